//! Removals: previewed, begun, listed, watched and acknowledged.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::Status;

use super::Memberships;
use crate::clock::Monotonic;
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::removal::{Assets, OwnedResource, Removal};
use crate::domain::text;
use crate::proto;
use crate::proto::{WatchRemovalsRequest, WatchRemovalsResponse};
use crate::service::{AcknowledgeRemoval, ListRemovals, PreviewRemoval, Read, RemovalPreview, RemoveMember};
use crate::transport::convert::{member, resource_ref, timestamp, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

/// How often a watcher looks for what other servers have committed.
const PERIOD: Duration = Duration::from_secs(1);
/// Most removals that are read at once.
const PAGE: u32 = 1_000;

/// What a watcher receives.
pub(super) type Watching = Pin<Box<dyn Stream<Item = Result<WatchRemovalsResponse, Status>> + Send>>;

impl Decode<proto::PreviewRemovalRequest> for PreviewRemoval {
    fn decode(message: proto::PreviewRemovalRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { membership: MembershipId::parse("membership_id", &message.membership_id)? })
    }
}

impl From<Read<RemovalPreview>> for proto::PreviewRemovalResponse {
    fn from(found: Read<RemovalPreview>) -> Self {
        let RemovalPreview { member: who, inventory, etag } = found.value;
        Self {
            member: Some(member(who)),
            owned: inventory.owned.iter().map(owned).collect(),
            invitation_ids: inventory.invitations.iter().map(ToString::to_string).collect(),
            deletes_user: inventory.deletes_user,
            etag,
            revision: token(Some(found.token)),
        }
    }
}

impl Memberships {
    pub(super) async fn remove(
        &self,
        call: &Incoming,
        message: proto::RemoveMemberRequest,
    ) -> Result<proto::RemoveMemberResponse, Error> {
        use proto::remove_member_request::Assets as Named;
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let (membership, assets, reason) = all((
            MembershipId::parse("membership_id", &message.membership_id),
            match message.assets {
                None => Ok(Assets::Keep),
                Some(Named::TransferTo(to)) => transfer(&to),
                Some(Named::DeleteAssets(is_meant)) => deletion(is_meant),
            },
            text::reason("reason", &message.reason),
        ))?;

        let request = RemoveMember { membership: Some(membership), assets, etag: message.etag, reason };
        let removed = self.0.services.remove_member(&context, organization, request).await?;
        Ok(proto::RemoveMemberResponse {
            member: Some(member(removed.value.member)),
            awaiting: names(&removed.value.awaiting),
            user_deleted: removed.value.user_deleted,
            revision: token(removed.token),
        })
    }

    pub(super) async fn leave(
        &self,
        call: &Incoming,
        message: proto::LeaveOrganizationRequest,
    ) -> Result<proto::LeaveOrganizationResponse, Error> {
        use proto::leave_organization_request::Assets as Named;
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let assets = match message.assets {
            None => Assets::Keep,
            Some(Named::TransferTo(to)) => transfer(&to)?,
            Some(Named::DeleteAssets(is_meant)) => deletion(is_meant)?,
        };

        let request = RemoveMember { membership: None, assets, etag: message.etag, reason: String::new() };
        let removed = self.0.services.remove_member(&context, organization, request).await?;
        Ok(proto::LeaveOrganizationResponse {
            awaiting: names(&removed.value.awaiting),
            user_deleted: removed.value.user_deleted,
            revision: token(removed.token),
        })
    }

    pub(super) async fn page_of_removals(
        &self,
        call: &Incoming,
        message: proto::ListRemovalsRequest,
    ) -> Result<proto::ListRemovalsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("removals {organization} {}", message.listener);
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;
        let listener = Some(message.listener.as_str()).filter(|listener| !listener.is_empty()).map(Arc::from);

        let request = ListRemovals { listener, size, after };
        let listed = self.0.services.query(&call.reading(), organization, &request).await?;
        let key = |it: &Removal| Ok((it.requested_at.as_micros(), it.membership.0));
        let page = self.0.page(&query, listed.value.removals, listed.value.next, key, |it| removal(&it))?;
        Ok(proto::ListRemovalsResponse {
            removals: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }

    pub(super) async fn acknowledge(
        &self,
        call: &Incoming,
        message: proto::AcknowledgeRemovalRequest,
    ) -> Result<proto::AcknowledgeRemovalResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let (membership, listener) =
            all((MembershipId::parse("membership_id", &message.membership_id), required_listener(&message.listener)))?;

        let request = AcknowledgeRemoval { membership, listener };
        let done = self.0.services.acknowledge_removal(&context, organization, request).await?;
        Ok(proto::AcknowledgeRemovalResponse { awaiting: names(&done.value.awaiting), revision: token(done.token) })
    }
}

/// Who watches, and what they were told already.
struct Watcher {
    server: ServerState,
    call: Incoming,
    organization: OrganizationId,
    listener: Arc<str>,
    told: HashSet<MembershipId>,
    ready: Vec<Removal>,
    begun: watch::Receiver<()>,
    ends_at: Monotonic,
    is_over: bool,
}

/// Tells of every removal that a listener has yet to acknowledge, as they come.
pub(super) async fn watch(
    server: &ServerState,
    call: &Incoming,
    message: &WatchRemovalsRequest,
) -> Result<Watching, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let listener = required_listener(&message.listener)?;
    let clock = &server.services.env.clock;
    let ends_at = Monotonic(clock.monotonic().0.saturating_add(server.stream_age));
    let mut watcher = Watcher {
        server: server.clone(),
        call: call.clone(),
        organization,
        listener,
        told: HashSet::new(),
        ready: Vec::new(),
        begun: server.services.removals_begun.subscribe(),
        ends_at,
        is_over: false,
    };
    // Who may not is refused before the stream begins.
    watcher.look().await?;
    Ok(Box::pin(stream::unfold(watcher, |mut watcher| async move {
        let next = watcher.next().await?;
        Some((next, watcher))
    })))
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<WatchRemovalsResponse, Status>> {
        if self.is_over {
            return None;
        }
        loop {
            if let Some(removal) = self.ready.pop() {
                return Some(Ok(WatchRemovalsResponse { removal: Some(self::removal(&removal)) }));
            }
            if let Err(error) = self.wait().await {
                self.is_over = true;
                return Some(Err(self.call.refuse(&error)));
            }
        }
    }

    async fn wait(&mut self) -> Result<(), Error> {
        let clock = &self.server.services.env.clock;
        let is_draining = tokio::select! {
            () = self.server.draining.cancelled() => true,
            () = clock.sleep(PERIOD) => clock.monotonic() >= self.ends_at,
            _ = self.begun.changed() => false,
        };
        if is_draining {
            return Err(Error::new(Reason::Draining, "open another stream"));
        }
        self.look().await
    }

    /// Reads what the listener has yet to acknowledge; the oldest comes last, to be told first.
    async fn look(&mut self) -> Result<(), Error> {
        let (services, context) = (&self.server.services, self.call.reading());
        if let Some(caller) = &self.call.caller {
            services.engine.must_be_alive(caller)?;
        }
        let listener = Some(Arc::clone(&self.listener));
        let mut request = ListRemovals { listener, size: PAGE, after: None };
        let mut found = Vec::new();
        loop {
            let page = services.query(&context, self.organization, &request).await?.value;
            found.extend(page.removals);
            if page.next.is_none() {
                break;
            }
            request.after = page.next;
        }
        let there: HashSet<MembershipId> = found.iter().map(|removal| removal.membership).collect();
        self.told.retain(|told| there.contains(told));
        found.retain(|removal| self.told.insert(removal.membership));
        found.reverse();
        self.ready = found;
        Ok(())
    }
}

fn transfer(to: &str) -> Result<Assets, Error> {
    Ok(Assets::Transfer(MembershipId::parse("transfer_to", to)?))
}

fn deletion(is_meant: bool) -> Result<Assets, Error> {
    if !is_meant {
        return Err(Error::invalid("delete_assets", Reason::OutOfRange, "must be true"));
    }
    Ok(Assets::Delete)
}

fn required_listener(listener: &str) -> Result<Arc<str>, Error> {
    if listener.is_empty() {
        return Err(Error::invalid("listener", Reason::FieldRequired, "is required"));
    }
    Ok(listener.into())
}

fn owned(owned: &OwnedResource) -> proto::OwnedResource {
    proto::OwnedResource {
        resource: Some(resource_ref(&owned.key)),
        owned_by_others: owned.of_others.iter().map(resource_ref).collect(),
        service_account_id: owned.service_account.map(|id| id.to_string()).unwrap_or_default(),
    }
}

fn removal(removal: &Removal) -> proto::Removal {
    let transfer_to = match removal.assets {
        Assets::Transfer(to) => to.to_string(),
        Assets::Keep | Assets::Delete => String::new(),
    };
    proto::Removal {
        membership_id: removal.membership.to_string(),
        awaiting: names(&removal.awaiting),
        transfer_to,
        delete_assets: removal.assets == Assets::Delete,
        request_time: Some(timestamp(removal.requested_at)),
        due_time: Some(timestamp(removal.due_at)),
    }
}

fn names(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
