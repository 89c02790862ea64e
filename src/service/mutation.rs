//! What a use case is: a type. A [`Mutation`] changes an organization, a [`Query`] reads one, a [`Transaction`] commits
//! under another lock or without a caller. Each says once who may run it; how it runs stands in `run`.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Call;
use crate::domain::access::Actor;
use crate::domain::error::Error;
use crate::domain::id::{OrganizationId, UserId};
use crate::store::{Lock, Reads, Tx};

/// Who may run a use case in an organization.
pub trait Authorize: Send + Sync {
    /// Returns the caller, who may. A mutation is asked before the lock and again under it, and a replay before its answer
    /// is given: so it never asks for what the mutation itself takes away.
    ///
    /// By default the caller must hold, at the organization, the permission that the method option names. A use case whose
    /// option names a resource has an `authorize` of its own: the default refuses it.
    fn authorize(&self, call: &Call<'_>) -> impl Future<Output = Result<Actor, Error>> + Send {
        call.permitted()
    }
}

/// One RPC that changes an organization, its fields read.
pub trait Mutation: Authorize + 'static {
    /// The answer. It is stored under the request id, so it holds no secret: secrets are not `Serialize`.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Applies the change. May run several times, each in its own transaction; awaits only the database.
    fn apply(&self, tx: &mut Tx, actor: Actor) -> impl Future<Output = Result<Self::Output, Error>> + Send;

    /// Returns whether all is done. A part of it is committed, and not remembered as the answer to the request id.
    fn is_whole(&self, _output: &Self::Output) -> bool {
        true
    }
}

/// One RPC that reads an organization, its fields read.
pub trait Query: Authorize {
    /// The answer.
    type Output;

    /// Reads the answer.
    fn read(&self, call: &Call<'_>, actor: Actor) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// Who may run a use case that is not of one organization, or has no caller.
pub trait AuthorizeAbove: Send + Sync {
    /// Who may; `()` where a token or the server itself decides, and the comment beside it says which.
    type Actor: Send;

    /// Returns who may, as [`Authorize::authorize`].
    fn authorize(&self, call: &Call<'_, Reads<'_>>) -> impl Future<Output = Result<Self::Actor, Error>> + Send;
}

/// What is committed under a lock: a [`Mutation`] in its organization, or something that is none.
pub trait Transaction: AuthorizeAbove + 'static {
    /// As [`Mutation::Output`].
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Returns what is locked.
    fn lock(&self) -> Lock;

    /// Returns the users whose rows are locked, too, before anything is read.
    fn users(&self) -> Vec<UserId> {
        Vec::new()
    }

    /// As [`Mutation::apply`].
    fn apply(&self, tx: &mut Tx, actor: Self::Actor) -> impl Future<Output = Result<Self::Output, Error>> + Send;

    /// As [`Mutation::is_whole`].
    fn is_whole(&self, _output: &Self::Output) -> bool {
        true
    }
}

/// A mutation in its organization.
pub(super) struct In<M>(pub OrganizationId, pub M);

impl<M: Mutation> AuthorizeAbove for In<M> {
    type Actor = Actor;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Actor, Error> {
        self.1.authorize(&call.of(self.0)).await
    }
}

impl<M: Mutation> Transaction for In<M> {
    type Output = M::Output;

    fn lock(&self) -> Lock {
        Lock::Organization(self.0)
    }

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<M::Output, Error> {
        self.1.apply(tx, actor).await
    }

    fn is_whole(&self, output: &M::Output) -> bool {
        self.1.is_whole(output)
    }
}
