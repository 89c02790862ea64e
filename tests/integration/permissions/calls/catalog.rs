//! Catalogs, which are the installation's.

use guildhall::proto;
use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{get_catalog, put_catalog, set_catalog};
use crate::permissions::scene::copy_of;
use crate::permissions::targets::Ask;

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let name = ask.catalog().name();
    match ask.row.rpc {
        Rpc::PutCatalog => call!(ask, put_catalog(put_catalog(&copy_of(ask.catalog(), &ask.fresh())))),
        Rpc::GetCatalog => call!(ask, get_catalog(get_catalog(name))),
        Rpc::ListCatalogs => call!(ask, list_catalogs(proto::ListCatalogsRequest::default())),
        Rpc::DiffCatalogs => {
            let message = proto::DiffCatalogsRequest { name: name.to_string(), ..Default::default() };
            call!(ask, diff_catalogs(message))
        }
        Rpc::SetOrganizationCatalog if ask.is_done => {
            // The callers' own organization goes on with the preset.
            let copy = ask.fresh();
            let made = ask.operator().put_catalog(put_catalog(&copy_of(ask.catalog(), &copy))).await;
            made.expect("a catalog like the preset");
            call!(ask, set_organization_catalog(set_catalog(&ask.standing().third, &copy)))
        }
        Rpc::SetOrganizationCatalog => call!(ask, set_organization_catalog(set_catalog(ask.id(), name))),
        _ => unknown(ask),
    }
}
