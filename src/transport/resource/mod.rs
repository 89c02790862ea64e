//! `ResourceService`.

mod contact;
mod notification;
mod register;

use tonic::{Request, Response, Status, Streaming};

use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::Held;
use crate::domain::fields::all;
use crate::domain::grant::assignment::{Act, Assignment, Delta};
use crate::domain::id::OrganizationId;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::resource::Under;
use crate::domain::text::name;
use crate::domain::words::Query;
use crate::proto;
use crate::proto::resource_service_server::ResourceService;
use crate::proto::{
    BrowseResourcesRequest, BrowseResourcesResponse, DeleteResourceRequest, DeleteResourceResponse,
    RegisterResourcesRequest, RegisterResourcesResponse,
};
use crate::service::{
    AddContact, BrowseResources, Changed, DeleteResource, GetResource, MoveResource, MovedResource, OwnedResource,
    Read, RegisterResource, RemoveContact, ResourceView, SetResourceOwner, ShareResource, UpdateResource, Written,
};
use crate::transport::convert::{
    Mask, grant, inherited, instant, metadata, optional_key, principal, read_each, required_key, resource,
    resource_key, resource_ref, token,
};
use crate::transport::handle::{Decode, handlers};
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

/// Most principals that a resource is shared with at once.
const PRINCIPALS_MAX: usize = 100;
/// What an update writes.
const FIELDS: &[&str] = &["display_name", "metadata"];

/// Serves resources.
pub(super) struct Resources(pub ServerState);

handlers! {
    ResourceService for Resources {
        register_resource(RegisterResourceRequest) -> RegisterResourceResponse: mutation RegisterResource;
        get_resource(GetResourceRequest) -> GetResourceResponse: query GetResource;
        browse_resources(BrowseResourcesRequest) -> BrowseResourcesResponse: by browse;
        update_resource(UpdateResourceRequest) -> UpdateResourceResponse: mutation UpdateResource;
        move_resource(MoveResourceRequest) -> MoveResourceResponse: mutation MoveResource;
        set_resource_owner(SetResourceOwnerRequest) -> SetResourceOwnerResponse: mutation SetResourceOwner;
        delete_resource(DeleteResourceRequest) -> DeleteResourceResponse: by delete;
        share_resource(ShareResourceRequest) -> ShareResourceResponse: mutation ShareResource;
        unshare_resource(UnshareResourceRequest) -> UnshareResourceResponse: mutation ShareResource;
        add_contact(AddContactRequest) -> AddContactResponse: mutation AddContact;
        remove_contact(RemoveContactRequest) -> RemoveContactResponse: mutation RemoveContact;
        list_contacts(ListContactsRequest) -> ListContactsResponse: by list_contacts;
        look_up_unsubscription(LookUpUnsubscriptionRequest) -> LookUpUnsubscriptionResponse: by look_up_unsubscription;
        unsubscribe(UnsubscribeRequest) -> UnsubscribeResponse: by unsubscribe;
        list_recipients(ListRecipientsRequest) -> ListRecipientsResponse: by list_recipients;
        notify_resource(NotifyResourceRequest) -> NotifyResourceResponse: by notify;
    }

    streams {
        async fn register_resources(
            &self,
            request: Request<Streaming<RegisterResourcesRequest>>,
        ) -> Result<Response<RegisterResourcesResponse>, Status> {
            let (call, messages) = Incoming::open(request)?;
            self.register_all(&call, messages).await
        }
    }
}

impl Decode<proto::GetResourceRequest> for GetResource {
    fn decode(message: proto::GetResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { key: required_key("resource", message.resource.as_ref())? })
    }
}

impl From<Read<ResourceView>> for proto::GetResourceResponse {
    fn from(found: Read<ResourceView>) -> Self {
        Self { resource: Some(resource(found.value)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::UpdateResourceRequest> for UpdateResource {
    fn decode(message: proto::UpdateResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        let key = required_key("resource", message.resource.as_ref())?;
        let mask = Mask::parse(message.update_mask.as_ref(), FIELDS)?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let (display_name, metadata) = all((
            takes_name.then(|| name("display_name", &message.display_name)).transpose(),
            takes_metadata.then(|| metadata("metadata", message.metadata)).transpose(),
        ))?;
        Ok(Self { key, display_name, metadata, etag: message.etag })
    }
}

impl From<Written<ResourceView>> for proto::UpdateResourceResponse {
    fn from(updated: Written<ResourceView>) -> Self {
        Self { resource: Some(resource(updated.value)), revision: token(updated.token) }
    }
}

impl Decode<proto::MoveResourceRequest> for MoveResource {
    fn decode(message: proto::MoveResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        let key = required_key("resource", message.resource.as_ref())?;
        Ok(Self { key, parent: optional_key("parent", message.parent.as_ref())?, etag: message.etag })
    }
}

impl From<Written<MovedResource>> for proto::MoveResourceResponse {
    fn from(moved: Written<MovedResource>) -> Self {
        Self {
            resource: Some(resource(moved.value.view)),
            gained: moved.value.gained.into_iter().map(inherited).collect(),
            gained_count: count(moved.value.gained_count),
            lost: moved.value.lost.into_iter().map(inherited).collect(),
            lost_count: count(moved.value.lost_count),
            revision: token(moved.token),
        }
    }
}

impl Decode<proto::SetResourceOwnerRequest> for SetResourceOwner {
    fn decode(message: proto::SetResourceOwnerRequest, _server: &ServerState) -> Result<Self, Error> {
        let key = required_key("resource", message.resource.as_ref())?;
        Ok(Self { key, owner: optional_owner(message.owner.as_ref())?, etag: message.etag })
    }
}

impl From<Written<OwnedResource>> for proto::SetResourceOwnerResponse {
    fn from(set: Written<OwnedResource>) -> Self {
        Self {
            resource: Some(resource(set.value.view)),
            revoked: set.value.revoked.into_iter().map(grant).collect(),
            revision: token(set.token),
        }
    }
}

impl Decode<proto::ShareResourceRequest> for ShareResource {
    fn decode(message: proto::ShareResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        let (resource, expire_time) = (message.resource.as_ref(), message.expire_time.as_ref());
        sharing(resource, &message.principals, &message.role, expire_time, Act::Grant)
    }
}

impl From<Written<Changed>> for proto::ShareResourceResponse {
    fn from(changed: Written<Changed>) -> Self {
        Self {
            granted: changed.value.granted.into_iter().map(grant).collect(),
            revoked: changed.value.revoked.into_iter().map(grant).collect(),
            revision: token(changed.token),
        }
    }
}

impl Decode<proto::UnshareResourceRequest> for ShareResource {
    fn decode(message: proto::UnshareResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        sharing(message.resource.as_ref(), &message.principals, &message.role, None, Act::Revoke)
    }
}

impl From<Written<Changed>> for proto::UnshareResourceResponse {
    fn from(changed: Written<Changed>) -> Self {
        Self { revoked: changed.value.revoked.into_iter().map(grant).collect(), revision: token(changed.token) }
    }
}

impl Resources {
    async fn browse(&self, call: &Incoming, message: BrowseResourcesRequest) -> Result<BrowseResourcesResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let within = format!("{:?} {} {}", message.under, message.resource_type, message.query);
        let bound = format!("resources of {organization} {within}");
        let (under, query, size, after) = all((
            under(message.under.as_ref()),
            Query::parse("query", &message.query),
            page_size(message.page_size),
            self.0.page_key(&bound, &message.page_token),
        ))?;

        let kind = (!message.resource_type.is_empty()).then_some(message.resource_type);
        let request = BrowseResources { under, kind, query, size, after };
        let browsed = self.0.services.browse_resources(&call.reading(), organization, &request).await?;
        let (resources, next) = (browsed.value.resources, browsed.value.next);
        let page = self.0.page(&bound, resources, next, |(key, _)| Ok(key.clone()), |(_, view)| resource(view))?;
        Ok(BrowseResourcesResponse {
            resources: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(browsed.token)),
        })
    }

    async fn delete(&self, call: &Incoming, message: DeleteResourceRequest) -> Result<DeleteResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let request = DeleteResource { key, etag: message.etag };
        let deleted = self.0.services.delete_resource(&context, organization, request).await?;
        Ok(DeleteResourceResponse {
            deleted: deleted.value.resources.iter().map(resource_ref).collect(),
            deleted_count: count(deleted.value.resource_count),
            revision: token(deleted.token),
        })
    }
}

fn under(under: Option<&proto::browse_resources_request::Under>) -> Result<Under, Error> {
    match under {
        None => Ok(Under::Anything),
        Some(proto::browse_resources_request::Under::Top(_)) => Ok(Under::Organization),
        Some(proto::browse_resources_request::Under::Parent(parent)) => {
            Ok(Under::Resource(resource_key("parent", parent)?))
        }
    }
}

fn named(organization: &str, reference: Option<&proto::ResourceRef>) -> Result<(OrganizationId, ResourceKey), Error> {
    Ok((OrganizationId::parse("organization_id", organization)?, required_key("resource", reference)?))
}

fn optional_owner(owner: Option<&proto::Principal>) -> Result<Option<Principal>, Error> {
    owner.map(|owner| principal("owner", Some(owner))).transpose()
}

/// Reads what is shared with whom, as what and until when.
fn sharing(
    resource: Option<&proto::ResourceRef>,
    principals: &[proto::Principal],
    role: &str,
    expire_time: Option<&prost_types::Timestamp>,
    act: Act,
) -> Result<ShareResource, Error> {
    let (key, expires_at, principals) = all((
        required_key("resource", resource),
        expire_time.map(|at| instant("expire_time", at)).transpose(),
        shared_with(principals),
    ))?;
    let held = if role.is_empty() { Held::AsMember } else { Held::Role(role.into()) };
    let assignment = Assignment { place: Place::Resource(key.clone()), held, expires_at };
    let delta = |principal| Delta { principal, assignment: assignment.clone(), act };
    Ok(ShareResource::new(key, principals.into_iter().map(delta).collect()))
}

fn shared_with(principals: &[proto::Principal]) -> Result<Vec<Principal>, Error> {
    let mut violations = Violations::default();
    if principals.is_empty() || principals.len() > PRINCIPALS_MAX {
        violations.add("principals", Reason::OutOfRange, format!("must be from 1 to {PRINCIPALS_MAX}"));
    }
    let looked_at = &principals[..principals.len().min(PRINCIPALS_MAX)];
    let read = read_each("principals", looked_at, &mut violations, |field, it| principal(field, Some(it)))?;
    violations.finish()?;
    Ok(read)
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Returns by what an address is found.
fn address_key(address: &str) -> Result<String, Error> {
    Ok(Email::parse("email", address)?.key().to_owned())
}
