//! Registering resources: one, or many of them in one commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ResourceView, find};
use crate::domain::access::{Actor, Node, is_visible};
use crate::domain::catalog::Verb;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, GrantSource};
use crate::domain::id::ServiceAccountId;
use crate::domain::metadata::Metadata;
use crate::domain::place::{Principal, ResourceKey, Subject};
use crate::domain::resource::{
    Resource, creator_assignments, may_stand_under, must_be_fit_to_own, must_fit_under, must_have, sees_every,
};
use crate::domain::service_account::ServiceAccount;
use crate::rpc::Rpc;
use crate::service::call::may_call;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Registers a resource under its parent. Registering it again at the same parent changes nothing.
///
/// # Errors
/// - [`Reason::NotFound`] for the parent and the owner, [`Reason::PermissionMissing`], [`Reason::ResourceTypeUnknown`].
/// - [`Reason::ParentTypeNotAllowed`], [`Reason::ResourceIdReserved`], [`Reason::ResourceExists`],
///   [`Reason::TreeCycle`], [`Reason::TreeTooDeep`], [`Reason::OwnerUnfit`].
#[derive(Debug)]
pub struct RegisterResource {
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

impl RegisterResource {
    /// Ensures that the actor may register it where the catalog lets it stand: that is asked whatever there is, and before
    /// anything is asked of the parent.
    fn must_be_allowed(&self, actor: &Actor) -> Result<(), Error> {
        must_fit_under(&actor.catalog, &self.kind, self.parent.as_ref().map(|parent| &*parent.kind))?;
        may_call(Rpc::RegisterResource, actor, self.above(), &self.kind)
    }

    fn key(&self) -> Option<ResourceKey> {
        let id = self.id.clone()?;
        Some(ResourceKey { kind: Arc::clone(&self.kind), id })
    }

    /// Returns where the caller must be able to put it: the parent, unless it names itself.
    fn above(&self) -> Option<&ResourceKey> {
        let key = self.key();
        self.parent.as_ref().filter(|parent| key.as_ref() != Some(*parent))
    }

    /// Returns everything that it is evaluated by.
    fn places(&self) -> impl Iterator<Item = ResourceKey> {
        self.parent.clone().into_iter().chain(self.key())
    }
}

impl Authorize for RegisterResource {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(&self.places().collect::<Vec<_>>()).await?;
        self.must_be_allowed(&actor)?;
        Ok(actor)
    }
}

impl Mutation for RegisterResource {
    type Output = ResourceView;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ResourceView, Error> {
        let mut batch = Batch::gather(tx, actor, std::slice::from_ref(self)).await?;
        match batch.take(tx, self)? {
            Taken::New(resource) => {
                let view = ResourceView::of(&batch.actor, resource)?;
                batch.write(tx).await?;
                Ok(view)
            }
            Taken::Known(key) => ResourceView::of(&batch.actor, find(tx.reads(), &key).await?),
        }
    }
}

/// Registers resources in one commit, those above before those below them. What is refused is left out, and reported.
/// Registering them again changes nothing, so that an interrupted caller begins anew.
///
/// # Errors
/// - [`Reason::NotFound`] for the organization. What is wrong with one of them stands in its [`Outcome`].
#[derive(Debug)]
pub struct RegisterResources {
    /// In this order.
    pub resources: Vec<RegisterResource>,
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
    /// Returns why one is refused.
    #[must_use]
    pub fn refused(error: &Error) -> Self {
        Self::Refused { reason: error.reason.name().to_owned(), message: error.message.clone() }
    }
}

impl Authorize for RegisterResources {
    /// The caller must see the organization, and is read before all that the resources are evaluated by: each is asked under
    /// the lock what it would be asked alone.
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let places: BTreeSet<ResourceKey> = self.resources.iter().flat_map(RegisterResource::places).collect();
        call.visitor(&places.into_iter().collect::<Vec<_>>()).await
    }
}

impl Mutation for RegisterResources {
    type Output = Vec<Outcome>;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Vec<Outcome>, Error> {
        let mut batch = Batch::gather(tx, actor, &self.resources).await?;
        let mut outcomes = Vec::with_capacity(self.resources.len());
        for resource in &self.resources {
            let allowed = resource.must_be_allowed(&batch.actor);
            outcomes.push(match allowed.and_then(|()| batch.take(tx, resource)) {
                Ok(Taken::New(_)) => Outcome::Registered,
                Ok(Taken::Known(_)) => Outcome::Unchanged,
                Err(error) if error.kind() == Kind::Internal => return Err(error),
                Err(error) => Outcome::refused(&error),
            });
        }
        batch.write(tx).await?;
        Ok(outcomes)
    }
}

/// What became of one resource.
enum Taken {
    /// It will be registered so.
    New(Resource),
    /// It stands there already.
    Known(ResourceKey),
}

/// Resources that are registered in one commit. What is taken in counts at once for what comes after it.
struct Batch {
    actor: Actor,
    /// Who is named as an owner and does not exist.
    absent: Vec<Principal>,
    resources: Vec<Resource>,
    accounts: Vec<ServiceAccount>,
    grants: Vec<Grant>,
}

impl Batch {
    /// Reads what else `requests` are evaluated by than the actor, who was read before all their places.
    async fn gather(tx: &Tx, actor: Actor, requests: &[RegisterResource]) -> Result<Self, Error> {
        let owners: Vec<Principal> = requests.iter().filter_map(|request| request.owner).collect();
        let absent = tx.reads().absent_among(&owners).await?;
        Ok(Self { actor, absent, resources: Vec::new(), accounts: Vec::new(), grants: Vec::new() })
    }

    /// Evaluates one resource, which the actor may register, and takes it in.
    fn take(&mut self, tx: &Tx, request: &RegisterResource) -> Result<Taken, Error> {
        self.may_choose_id(request)?;
        let (now, kind) = (self.actor.now, Arc::clone(&request.kind));
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

        let owner = self.owner(request)?;
        let service_account = self.bound_account(tx, &key, &request.display_name);
        let resource = Resource {
            parent: request.parent.clone(),
            owner,
            created_at: now,
            display_name: request.display_name.clone(),
            metadata: Metadata::default(),
            service_account,
            key,
        };
        let node = Node { key: resource.key.clone(), owner };
        self.actor.chains.insert(resource.key.clone(), std::iter::once(node).chain(above).collect());
        self.add_creator_grants(tx, &resource.key, request.owner);
        self.resources.push(resource.clone());
        Ok(Taken::New(resource))
    }

    /// Ensures that the caller may name this id. A person who does not see every resource of the type may not name one that
    /// they do not see: whether it is taken would tell that it exists (CM-13).
    fn may_choose_id(&self, request: &RegisterResource) -> Result<(), Error> {
        let Some(key) = request.key() else { return Ok(()) };
        let is_person = matches!(self.actor.subject, Subject::User(_));
        if !is_person || self.actor.sees(Some(&key)) || sees_every(&self.actor, &request.kind, self.actor.now) {
            return Ok(());
        }
        let message = "only who sees every resource of the type chooses the id of a new one; leave it empty";
        Err(Error::new(Reason::ResourceIdReserved, message).about("resource", &key))
    }

    /// Decides who owns it: whom the request names, or the caller's membership. A machine registers on behalf of whom it
    /// names; a person names another only with `T.set_owner`.
    fn owner(&self, request: &RegisterResource) -> Result<Option<Principal>, Error> {
        let own = self.actor.standing.membership().map(Principal::Membership);
        let Some(named) = request.owner else { return Ok(own) };
        let is_machine = matches!(self.actor.subject, Subject::ServiceAccount(_));
        if !is_machine && own != Some(named) {
            must_have(&self.actor.at(request.above()), &request.kind, Verb::SetOwner, self.actor.now)?;
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
            organization: Some(self.actor.organization),
            display_name: name.to_owned(),
            is_enabled: true,
            created_at: tx.now(),
            bound_to: Some(key.clone()),
        };
        let id = account.id;
        self.accounts.push(account);
        Some(id)
    }

    /// Grants the creator's roles to the caller's membership, or to that of whom a machine registers for (X17).
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
        tx.resources_insert(&self.resources).await?;
        for grant in &self.grants {
            tx.grant_insert(grant).await?;
        }
        Ok(())
    }
}
