//! Registering resources: one, or many of them in one commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::access::{Actor, Node, is_visible};
use crate::domain::catalog::Verb;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, GrantSource};
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::domain::metadata::Metadata;
use crate::domain::place::{Principal, ResourceKey, Subject};
use crate::domain::resource::{
    Resource, creator_assignments, may_stand_under, must_be_fit_to_own, must_fit_under, must_have, sees_every,
};
use crate::domain::service_account::ServiceAccount;
use crate::domain::text::name;
use crate::domain::time::Timestamp;
use crate::rpc::Rpc;
use crate::service::shown::{Shown, show};
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Tx};

/// Asks for a resource to be registered.
#[derive(Clone, Debug)]
pub struct RegisterResource {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which type.
    pub kind: Arc<str>,
    /// Under which id; the server makes one if there is none.
    pub id: Option<Arc<str>>,
    /// What it stands under; the organization if nothing.
    pub parent: Option<ResourceKey>,
    /// For people; may be empty.
    pub display_name: String,
    /// Who owns it; the caller's membership if nobody is named.
    pub owner: Option<Principal>,
}

/// What became of one resource of many.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It is registered.
    Registered,
    /// It stood there already.
    Unchanged,
    /// It is not registered.
    Refused {
        /// Why, for machines.
        reason: String,
        /// Why, for people.
        message: String,
    },
}

impl Outcome {
    /// Tells why one is refused.
    #[must_use]
    pub fn refused(error: &Error) -> Self {
        Self::Refused { reason: error.reason.name().to_owned(), message: error.message.clone() }
    }
}

impl RegisterResource {
    /// Ensures that the catalog lets it stand there: whatever there is, and before anything is asked of the parent.
    fn must_fit(&self, actor: &Actor, now: Timestamp) -> Result<(), Error> {
        actor.must_see(None)?;
        must_fit_under(&actor.catalog, &self.kind, self.parent.as_ref().map(|parent| &*parent.kind))
    }

    fn key(&self) -> Option<ResourceKey> {
        let id = self.id.clone()?;
        Some(ResourceKey { kind: Arc::clone(&self.kind), id })
    }

    /// Gives where the caller must be able to put it: the parent, unless it names itself.
    fn above(&self) -> Option<&ResourceKey> {
        let key = self.key();
        self.parent.as_ref().filter(|parent| key.as_ref() != Some(*parent))
    }

    /// Gives everything that it is judged by.
    fn places(&self) -> impl Iterator<Item = ResourceKey> {
        self.parent.clone().into_iter().chain(self.key())
    }
}

impl Services {
    /// Registers a resource under its parent. Registering it again at the same parent changes nothing.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the parent and the owner, [`Reason::PermissionMissing`],
    ///   [`Reason::ResourceTypeUnknown`].
    /// - [`Reason::ParentTypeNotAllowed`], [`Reason::ResourceIdReserved`], [`Reason::ResourceExists`],
    ///   [`Reason::TreeCycle`], [`Reason::TreeTooDeep`].
    /// - [`Reason::TextMalformed`], [`Reason::OwnerUnfit`].
    pub async fn register_resource(
        self: &Arc<Self>,
        context: &Context,
        request: RegisterResource,
    ) -> Result<Written<Shown>, Error> {
        let organization = request.organization;
        let places: Vec<ResourceKey> = request.places().collect();
        let actor = self.store.reads().of(organization).actor(context.subject()?, &places, self.world.now()).await?;
        request.must_fit(&actor, self.world.now())?;
        context.authorize(&actor, request.above(), &request.kind)?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| register(tx, call.clone(), request.clone()))
            .await
    }
}

impl Services {
    /// Registers resources in one commit, those above before those below them. What is refused is left out, and told.
    /// Registering them again changes nothing, so that whoever was interrupted begins anew.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the organization. What is wrong with one of them stands in its [`Outcome`].
    pub async fn register_resources(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        requests: Vec<RegisterResource>,
    ) -> Result<Written<Vec<Outcome>>, Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        actor.must_see(None)?;
        let (call, requests) = (context.clone(), Arc::new(requests));
        self.write(context, Lock::Organization(organization), move |tx| {
            register_all(tx, call.clone(), organization, Arc::clone(&requests))
        })
        .await
    }
}

async fn register_all(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    requests: Arc<Vec<RegisterResource>>,
) -> Result<(Tx, Vec<Outcome>), Error> {
    // Each is asked what it would be asked alone.
    let context = Context { rpc: Rpc::RegisterResource, ..context };
    let mut batch = Batch::gather(&tx, context, organization, &requests).await?;
    batch.actor.must_see(None)?;
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests.iter() {
        outcomes.push(match batch.take(&tx, request) {
            Ok(Taken::New(_)) => Outcome::Registered,
            Ok(Taken::Known(_)) => Outcome::Unchanged,
            Err(error) if error.kind() == Kind::Internal => return Err(error),
            Err(error) => Outcome::refused(&error),
        });
    }
    batch.write(&mut tx).await?;
    Ok((tx, outcomes))
}

async fn register(mut tx: Tx, context: Context, request: RegisterResource) -> Result<(Tx, Shown), Error> {
    let mut batch = Batch::gather(&tx, context, request.organization, std::slice::from_ref(&request)).await?;
    let key = match batch.take(&tx, &request)? {
        Taken::New(key) => key,
        Taken::Known(key) => {
            let known = tx.reads().resource(&key).await?;
            let known = known.ok_or_else(|| Error::not_found("resource", &key))?;
            let shown = show(&batch.actor, known, tx.now())?;
            return Ok((tx, shown));
        }
    };
    let made = batch.made.iter().find(|made| made.key == key).cloned();
    let made = made.ok_or_else(|| Error::internal("what was registered is not there"))?;
    let shown = show(&batch.actor, made, tx.now())?;
    batch.write(&mut tx).await?;
    Ok((tx, shown))
}

/// What became of one resource.
enum Taken {
    /// It will be registered.
    New(ResourceKey),
    /// It stands there already.
    Known(ResourceKey),
}

/// Resources that are registered in one commit. What is taken in counts at once for what comes after it.
struct Batch {
    context: Context,
    organization: OrganizationId,
    actor: Actor,
    /// Who is named as an owner and does not exist.
    absent: Vec<Principal>,
    made: Vec<Resource>,
    accounts: Vec<ServiceAccount>,
    grants: Vec<Grant>,
}

impl Batch {
    /// Reads what all of `requests` are judged by. They are of one organization.
    async fn gather(
        tx: &Tx,
        context: Context,
        organization: OrganizationId,
        requests: &[RegisterResource],
    ) -> Result<Self, Error> {
        let mut places: Vec<ResourceKey> = requests.iter().flat_map(RegisterResource::places).collect();
        places.sort();
        places.dedup();
        let actor = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
        let owners: Vec<Principal> = requests.iter().filter_map(|request| request.owner).collect();
        let absent = tx.reads().absent_among(&owners).await?;
        let (made, accounts, grants) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { context, organization, actor, absent, made, accounts, grants })
    }

    /// Judges one resource and takes it in.
    fn take(&mut self, tx: &Tx, request: &RegisterResource) -> Result<Taken, Error> {
        let (now, kind) = (tx.now(), Arc::clone(&request.kind));
        request.must_fit(&self.actor, now)?;
        self.context.authorize(&self.actor, request.above(), &kind)?;
        self.may_choose_id(request, now)?;
        let id = request.id.clone().unwrap_or_else(|| tx.id::<Uuid>().to_string().into());
        let key = ResourceKey { kind, id };
        let above = request.above().map(|parent| self.actor.at(Some(parent)).chain).unwrap_or_default();
        may_stand_under(&key, 1, request.parent.as_ref(), &above)?;
        if let Some(chain) = self.actor.chains.get(&key) {
            // Under what the caller does not see, it stands at the top for them (CM-13).
            let is_shown_there = is_visible(&self.actor.above(&key), now);
            let parent = chain.get(1).map(|node| &node.key).filter(|_| is_shown_there);
            if parent == request.parent.as_ref() {
                return Ok(Taken::Known(key));
            }
            let message = "it is registered under another parent";
            return Err(Error::new(Reason::ResourceExists, message).about("resource", &key));
        }

        let owner = self.owner(request, now)?;
        let display_name = name("display_name", &request.display_name)?;
        let service_account = self.bound_account(tx, &key, &display_name);
        let resource = Resource {
            parent: request.parent.clone(),
            owner,
            created_at: now,
            display_name,
            metadata: Metadata::default(),
            service_account,
            key,
        };
        let key = resource.key.clone();
        let node = Node { key: key.clone(), owner };
        self.actor.chains.insert(key.clone(), std::iter::once(node).chain(above).collect());
        self.add_creator_grants(tx, &key, request.owner);
        self.made.push(resource);
        Ok(Taken::New(key))
    }

    /// Asks that the caller may name this id. A person who does not see every resource of the type may not name one that
    /// they do not see: whether it is taken would tell that it exists (CM-13).
    fn may_choose_id(&self, request: &RegisterResource, now: Timestamp) -> Result<(), Error> {
        let Some(key) = request.key() else { return Ok(()) };
        let is_person = matches!(self.context.subject()?, Subject::User(_));
        let is_seen = self.actor.knows(&key) && is_visible(&self.actor.at(Some(&key)), now);
        if !is_person || is_seen || sees_every(&self.actor, &request.kind, now) {
            return Ok(());
        }
        let message = "only who sees every resource of the type chooses the id of a new one; leave it empty";
        Err(Error::new(Reason::ResourceIdReserved, message).about("resource", &key))
    }

    /// Decides who owns it: whom the request names, or the caller's membership. A machine registers on behalf of whom it
    /// names; a person names another only with `T.set_owner`.
    fn owner(&self, request: &RegisterResource, now: Timestamp) -> Result<Option<Principal>, Error> {
        let own = self.actor.standing.membership().map(Principal::Membership);
        let Some(named) = request.owner else { return Ok(own) };
        let is_machine = matches!(self.context.subject()?, Subject::ServiceAccount(_));
        if !is_machine && own != Some(named) {
            must_have(&self.actor.at(request.above()), &request.kind, Verb::SetOwner, now)?;
        }
        must_be_fit_to_own("owner", named, &self.absent)?;
        Ok(Some(named))
    }

    /// Makes the service account that lives and ends with the resource, if its type has such (AX-27).
    fn bound_account(&mut self, tx: &Tx, key: &ResourceKey, display_name: &str) -> Option<ServiceAccountId> {
        let (_, kind) = self.actor.catalog.resource_type(&key.kind)?;
        if !kind.has_service_account {
            return None;
        }
        let name = if display_name.is_empty() { &*key.id } else { display_name };
        let account = ServiceAccount {
            id: tx.id(),
            organization: Some(self.organization),
            display_name: name.to_owned(),
            is_enabled: true,
            created_at: tx.now(),
            bound_to: Some(key.clone()),
        };
        let id = account.id;
        self.accounts.push(account);
        Some(id)
    }

    /// Gives the creator's roles to the caller's membership, or to that of whom a machine registers for (X17).
    fn add_creator_grants(&mut self, tx: &Tx, key: &ResourceKey, named: Option<Principal>) {
        let own = self.actor.standing.membership().map(Principal::Membership);
        let creator = own.or(named).filter(|creator| matches!(creator, Principal::Membership(_)));
        let Some(creator) = creator else { return };
        let assignments = creator_assignments(&self.actor.catalog, key).into_iter();
        let new: Vec<Grant> = assignments.map(|it| it.to_grant(tx.id(), creator, GrantSource::Manual)).collect();
        if !new.is_empty() {
            self.actor.grants = self.actor.grants.iter().chain(&new).cloned().collect();
            self.grants.extend(new);
        }
    }

    async fn write(self, tx: &mut Tx) -> Result<(), Error> {
        for account in &self.accounts {
            tx.service_account_insert(account).await?;
        }
        tx.resources_insert(&self.made).await?;
        for grant in &self.grants {
            tx.grant_insert(grant).await?;
        }
        Ok(())
    }
}
