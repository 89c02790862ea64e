//! The organization itself, its seats, and roles that are handed on.

use guildhall::proto::{self, look_up_organization_request};
use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{create_organization_under, get_organization, get_seats, set_seats, transfer};
use crate::permissions::scene::SLUG;
use crate::permissions::targets::{Ask, kind_in};

/// More seats than are taken.
const ENOUGH: u32 = 10_000;

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let id = ask.id();
    match ask.row.rpc {
        Rpc::CreateOrganization => {
            let message = create_organization_under(ask.catalog().name(), "Another", &ask.email());
            call!(ask, create_organization(message))
        }
        Rpc::GetOrganization => call!(ask, get_organization(get_organization(id))),
        Rpc::LookUpOrganization => {
            let name = Some(look_up_organization_request::Name::Slug(SLUG.into()));
            let catalog = ask.catalog().name().to_string();
            call!(ask, look_up_organization(proto::LookUpOrganizationRequest { name, catalog }))
        }
        Rpc::UpdateOrganization => {
            let (organization_id, display_name) = (id.to_owned(), ask.fresh());
            let message = proto::UpdateOrganizationRequest { organization_id, display_name, ..Default::default() };
            call!(ask, update_organization(message))
        }
        Rpc::TransferRole => {
            // The role stays where other rows look for it.
            let message = transfer(id, ask.row.case, &ask.active().await);
            let reason = "whoever held it is gone".into();
            call!(ask, transfer_role(proto::TransferRoleRequest { validate_only: true, reason, ..message }))
        }
        Rpc::GetSeats if ask.row.case == "of the organization" => call!(ask, get_seats(get_seats(id, None))),
        Rpc::GetSeats => call!(ask, get_seats(get_seats(id, Some(ask.resource(kind_in(ask.row.case)))))),
        Rpc::SetSeatLimit => call!(ask, set_seat_limit(set_seats(id, None, Some(ENOUGH)))),
        _ => unknown(ask),
    }
}
