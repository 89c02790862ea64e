//! `CatalogService`.

use super::convert::{timestamp, token};
use super::handle::handlers;
use super::incoming::{Incoming, ServerState};
use super::page::page_size;
use crate::domain::catalog::{Difference, named_by};
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::OrganizationId;
use crate::proto;
use crate::proto::catalog_service_server::CatalogService;
use crate::proto::{
    DiffCatalogsRequest, DiffCatalogsResponse, GetCatalogRequest, GetCatalogResponse, ListCatalogsRequest,
    ListCatalogsResponse, PutCatalogRequest, PutCatalogResponse, SetOrganizationCatalogRequest,
    SetOrganizationCatalogResponse,
};
use crate::service::{CatalogName, CatalogView, PutCatalog, SetOrganizationCatalog};

/// Serves catalogs.
pub(super) struct Catalogs(pub ServerState);

handlers! {
    CatalogService for Catalogs {
        put_catalog(PutCatalogRequest) -> PutCatalogResponse: by put;
        get_catalog(GetCatalogRequest) -> GetCatalogResponse: by get;
        list_catalogs(ListCatalogsRequest) -> ListCatalogsResponse: by list;
        diff_catalogs(DiffCatalogsRequest) -> DiffCatalogsResponse: by diff;
        set_organization_catalog(SetOrganizationCatalogRequest) -> SetOrganizationCatalogResponse: by set;
    }
}

impl Catalogs {
    async fn put(&self, call: &Incoming, message: PutCatalogRequest) -> Result<PutCatalogResponse, Error> {
        let context = call.mutation(&message)?;
        if message.yaml.is_empty() {
            return Err(Error::invalid("yaml", Reason::FieldRequired, "is required"));
        }
        if message.yaml.contains('\0') {
            return Err(Error::invalid("yaml", Reason::TextMalformed, "holds a NUL"));
        }
        let put = self.0.services.put_catalog(&context, PutCatalog { yaml: message.yaml }).await?;
        Ok(PutCatalogResponse { catalog: Some(catalog(put.value)) })
    }

    async fn get(&self, _call: &Incoming, message: GetCatalogRequest) -> Result<GetCatalogResponse, Error> {
        let found = self.0.services.catalog(&name(message.name, message.version)).await?;
        Ok(GetCatalogResponse { catalog: Some(catalog(found)) })
    }

    async fn list(&self, _call: &Incoming, message: ListCatalogsRequest) -> Result<ListCatalogsResponse, Error> {
        let (size, after) = all((page_size(message.page_size), self.0.page_key("catalogs", &message.page_token)))?;
        let page = self.0.services.catalogs(after, size).await?;
        let key = |it: &CatalogView| Ok((it.name.clone(), it.version));
        let paged = self.0.page("catalogs", page.catalogs, page.next, key, |it| proto::Catalog {
            yaml: String::new(),
            ..catalog(it)
        })?;
        Ok(ListCatalogsResponse { catalogs: paged.items, next_page_token: paged.next_page_token })
    }

    async fn diff(&self, _call: &Incoming, message: DiffCatalogsRequest) -> Result<DiffCatalogsResponse, Error> {
        let other = if message.other_name.is_empty() { message.name.clone() } else { message.other_name };
        let (one, other) = (name(message.name, message.version), name(other, message.other_version));
        let differences = self.0.services.diff_catalogs(&one, &other).await?;
        let differences = differences.into_iter().map(|Difference { path, before, after }| proto::CatalogDifference {
            path,
            before,
            after,
        });
        Ok(DiffCatalogsResponse { differences: differences.collect() })
    }

    async fn set(
        &self,
        call: &Incoming,
        message: SetOrganizationCatalogRequest,
    ) -> Result<SetOrganizationCatalogResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let request = SetOrganizationCatalog { name: name(message.name, message.version) };
        let set = self.0.services.set_organization_catalog(&context, organization, request).await?;
        let (name, version) = named_by(&set.value.key);
        let invitation_ids = set.value.links.iter().map(ToString::to_string).collect();
        Ok(SetOrganizationCatalogResponse {
            name: name.to_owned(),
            version,
            revision: token(set.token),
            invitation_ids,
        })
    }
}

fn name(name: String, version: u32) -> CatalogName {
    CatalogName { name, version: (version > 0).then_some(version) }
}

fn catalog(view: CatalogView) -> proto::Catalog {
    proto::Catalog {
        name: view.name,
        version: view.version,
        description: view.description,
        is_preset: view.is_preset,
        yaml: view.yaml,
        create_time: view.created_at.map(timestamp),
    }
}
