//! `ResourceService`.

mod tree;

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use crate::domain::assignment::{Act, Assignment, Delta};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::Held;
use crate::domain::id::OrganizationId;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;
use crate::proto;
use crate::proto::resource_service_server::ResourceService;
use crate::proto::{
    DeleteResourceRequest, DeleteResourceResponse, GetResourceRequest, GetResourceResponse, MoveResourceRequest,
    MoveResourceResponse, RegisterResourceRequest, RegisterResourceResponse, RegisterResourcesRequest,
    RegisterResourcesResponse, ResourceRef, SetResourceOwnerRequest, SetResourceOwnerResponse, ShareResourceRequest,
    ShareResourceResponse, UnshareResourceRequest, UnshareResourceResponse, UpdateResourceRequest,
    UpdateResourceResponse,
};
use crate::service::{
    AddContact, DeleteResource, MoveResource, RegisterResource, RemoveContact, SetResourceOwner, ShareResource,
    UpdateResource,
};
use crate::transport::call::{Call, Edge};
use crate::transport::convert::{
    Mask, grant, inherited, instant, metadata, optional_key, principal, required_key, resource, resource_ref, token,
};
use crate::transport::handle::handlers;

/// Most principals that a resource is shared with at once.
const PRINCIPALS_MAX: usize = 100;

/// Serves resources.
pub(super) struct Resources(pub Edge);

handlers! {
    ResourceService for Resources {
        register_resource(RegisterResourceRequest) -> RegisterResourceResponse: by register;
        get_resource(GetResourceRequest) -> GetResourceResponse: by get;
        browse_resources(BrowseResourcesRequest) -> BrowseResourcesResponse: by browse;
        update_resource(UpdateResourceRequest) -> UpdateResourceResponse: by update;
        move_resource(MoveResourceRequest) -> MoveResourceResponse: by relocate;
        set_resource_owner(SetResourceOwnerRequest) -> SetResourceOwnerResponse: by set_owner;
        delete_resource(DeleteResourceRequest) -> DeleteResourceResponse: by delete;
        share_resource(ShareResourceRequest) -> ShareResourceResponse: by share;
        unshare_resource(UnshareResourceRequest) -> UnshareResourceResponse: by unshare;
        add_contact(AddContactRequest) -> AddContactResponse: mutation AddContact;
        remove_contact(RemoveContactRequest) -> RemoveContactResponse: mutation RemoveContact;
        list_contacts(ListContactsRequest) -> ListContactsResponse: by list_contacts;
        look_up_unsubscription(LookUpUnsubscriptionRequest) -> LookUpUnsubscriptionResponse: by look_up_unsubscription;
        unsubscribe(UnsubscribeRequest) -> UnsubscribeResponse: by unsubscribe;
        list_recipients(ListRecipientsRequest) -> ListRecipientsResponse: by list_recipients;
        notify_resource(NotifyResourceRequest) -> NotifyResourceResponse: by notify;
    }

    async fn register_resources(
        &self,
        request: Request<Streaming<RegisterResourcesRequest>>,
    ) -> Result<Response<RegisterResourcesResponse>, Status> {
        let (call, messages) = Call::open(request)?;
        self.register_all(&call, messages).await
    }
}

impl Resources {
    async fn register(&self, call: &Call, message: RegisterResourceRequest) -> Result<RegisterResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let registered = self.0.services.register_resource(&context, decode(&message)?).await?;
        Ok(RegisterResourceResponse { resource: Some(resource(registered.value)), revision: token(registered.token) })
    }

    async fn get(&self, call: &Call, message: GetResourceRequest) -> Result<GetResourceResponse, Error> {
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let found = self.0.services.resource(&call.reading(), organization, &key).await?;
        Ok(GetResourceResponse { resource: Some(resource(found.value)), revision: token(Some(found.token)) })
    }

    async fn update(&self, call: &Call, message: UpdateResourceRequest) -> Result<UpdateResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let mask = Mask::parse(message.update_mask.as_ref(), &["display_name", "metadata"])?;
        let display_name =
            mask.takes("display_name", !message.display_name.is_empty()).then(|| message.display_name.clone());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let metadata = takes_metadata.then(|| metadata("metadata", message.metadata.clone())).transpose()?;
        let request = UpdateResource { organization, key, display_name, metadata, etag: message.etag.clone() };
        let updated = self.0.services.update_resource(&context, request).await?;
        Ok(UpdateResourceResponse { resource: Some(resource(updated.value)), revision: token(updated.token) })
    }

    async fn relocate(&self, call: &Call, message: MoveResourceRequest) -> Result<MoveResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let parent = optional_key("parent", message.parent.as_ref())?;
        let request = MoveResource { organization, key, parent, etag: message.etag.clone() };
        let moved = self.0.services.move_resource(&context, request).await?;
        Ok(MoveResourceResponse {
            resource: Some(resource(moved.value.shown)),
            gained: moved.value.gained.into_iter().map(inherited).collect(),
            gained_count: count(moved.value.gained_count),
            lost: moved.value.lost.into_iter().map(inherited).collect(),
            lost_count: count(moved.value.lost_count),
            revision: token(moved.token),
        })
    }

    async fn set_owner(
        &self,
        call: &Call,
        message: SetResourceOwnerRequest,
    ) -> Result<SetResourceOwnerResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let owner = optional_owner(message.owner.as_ref())?;
        let request = SetResourceOwner { organization, key, owner, etag: message.etag.clone() };
        let done = self.0.services.set_resource_owner(&context, request).await?;
        Ok(SetResourceOwnerResponse {
            resource: Some(resource(done.value.shown)),
            revoked: done.value.revoked.into_iter().map(grant).collect(),
            revision: token(done.token),
        })
    }

    async fn delete(&self, call: &Call, message: DeleteResourceRequest) -> Result<DeleteResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let request = DeleteResource { organization, key, etag: message.etag.clone() };
        let deleted = self.0.services.delete_resource(&context, request).await?;
        Ok(DeleteResourceResponse {
            deleted: deleted.value.resources.iter().map(resource_ref).collect(),
            deleted_count: count(deleted.value.resource_count),
            revision: token(deleted.token),
        })
    }

    async fn share(&self, call: &Call, message: ShareResourceRequest) -> Result<ShareResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let expires_at = message.expire_time.as_ref().map(|at| instant("expire_time", at)).transpose()?;
        let deltas = deltas(&key, &message.principals, &message.role, expires_at, Act::Grant)?;
        let changed = self.0.services.share_resource(&context, ShareResource { organization, key, deltas }).await?;
        Ok(ShareResourceResponse {
            granted: changed.value.granted.into_iter().map(grant).collect(),
            revoked: changed.value.revoked.into_iter().map(grant).collect(),
            revision: token(changed.token),
        })
    }

    async fn unshare(&self, call: &Call, message: UnshareResourceRequest) -> Result<UnshareResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let deltas = deltas(&key, &message.principals, &message.role, None, Act::Revoke)?;
        let changed = self.0.services.share_resource(&context, ShareResource { organization, key, deltas }).await?;
        Ok(UnshareResourceResponse {
            revoked: changed.value.revoked.into_iter().map(grant).collect(),
            revision: token(changed.token),
        })
    }
}

fn decode(message: &RegisterResourceRequest) -> Result<RegisterResource, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    let key = violations.take(new_key(message.resource.as_ref()))?;
    let parent = violations.take(optional_key("parent", message.parent.as_ref()))?;
    let owner = violations.take(optional_owner(message.owner.as_ref()))?;
    violations.finish()?;
    let (Some((kind, id)), Some(parent), Some(owner)) = (key, parent, owner) else {
        return Err(Error::internal("a field without a value or a violation"));
    };
    Ok(RegisterResource { organization, kind, id, parent, display_name: message.display_name.clone(), owner })
}

/// Reads the type of a new resource and its id, which may be left to the server.
fn new_key(reference: Option<&ResourceRef>) -> Result<(Arc<str>, Option<Arc<str>>), Error> {
    match reference {
        // The type is read by the rules of a name; any id does.
        Some(reference) if reference.id.is_empty() => {
            let named = ResourceRef { id: "-".to_owned(), ..reference.clone() };
            Ok((required_key("resource", Some(&named))?.kind, None))
        }
        reference => required_key("resource", reference).map(|key| (key.kind, Some(key.id))),
    }
}

pub(in crate::transport) fn named(
    organization: &str,
    reference: Option<&ResourceRef>,
) -> Result<(OrganizationId, ResourceKey), Error> {
    Ok((OrganizationId::parse("organization_id", organization)?, required_key("resource", reference)?))
}

fn optional_owner(owner: Option<&proto::Principal>) -> Result<Option<Principal>, Error> {
    owner.map(|owner| principal("owner", Some(owner))).transpose()
}

/// Reads with whom something is shared, and as what.
fn deltas(
    key: &ResourceKey,
    principals: &[proto::Principal],
    role: &str,
    expires_at: Option<Timestamp>,
    act: Act,
) -> Result<Vec<Delta>, Error> {
    let mut violations = Violations::default();
    if principals.is_empty() || principals.len() > PRINCIPALS_MAX {
        violations.add("principals", Reason::OutOfRange, format!("must be from 1 to {PRINCIPALS_MAX}"));
    }
    let held = if role.is_empty() { Held::AsMember } else { Held::Role(role.into()) };
    let assignment = Assignment { place: Place::Resource(key.clone()), held, expires_at };
    let mut deltas = Vec::new();
    for (index, it) in principals.iter().take(PRINCIPALS_MAX).enumerate() {
        let principal = violations.take(principal(&format!("principals[{index}]"), Some(it)))?;
        deltas.extend(principal.map(|principal| Delta { principal, assignment: assignment.clone(), act }));
    }
    violations.finish()?;
    Ok(deltas)
}

pub(in crate::transport) fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
