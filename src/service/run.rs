//! How every use case runs: the caller is authorized, the lock taken, the caller authorized again, the change applied and
//! committed, in a task that a caller's hanging up does not drop; retried where that helps.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::call::Call;
use super::mutation::{Authorize, AuthorizeAbove, In, Mutation, Query, Transaction};
use super::{Context, Services};
use crate::clock::Backoff;
use crate::domain::access::Actor;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::place::ResourceKey;
use crate::domain::revision::{Position, Token};
use crate::locked;
use crate::store::{Committed, Lock, Reads, Tx};

/// How often a transaction is tried when others are in the way.
const ATTEMPTS_MAX: u32 = 6;
/// The pauses between two tries, about.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(160) };

/// What a mutation has brought.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// The answer.
    pub value: T,
    /// The revision at which it stands; none if nothing was to be committed.
    pub token: Option<Token>,
    /// Whether this is the answer to an earlier request with the same id.
    pub is_replay: bool,
}

/// What a query has brought.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The answer.
    pub value: T,
    /// A revision that it takes in.
    pub token: Token,
}

/// Proof that the caller of a call was authorized before the lock: a commit demands it, because a request id that was used
/// before is answered before the caller is authorized again.
#[derive(Clone, Debug)]
pub(super) struct Authorized<A = Actor> {
    lock: Lock,
    /// As they stood then.
    pub actor: A,
}

impl<A> Authorized<A> {
    /// Returns the proof with another form of who was authorized.
    pub fn map<B>(self, form: impl FnOnce(A) -> B) -> Authorized<B> {
        Authorized { lock: self.lock, actor: form(self.actor) }
    }
}

impl Authorized {
    /// Authorizes the caller to delete a resource, before the lock. Where it is not there and the call has a request id, they
    /// need only see the organization: whether the call repeats the one that deleted it is known under the lock, and there
    /// they are refused if it does not.
    pub(super) async fn deleting(call: &Call<'_>, key: &ResourceKey) -> Result<Self, Error> {
        let actor = call.visitor(std::slice::from_ref(key)).await?;
        if call.context.replay.is_none() || actor.knows(key) {
            call.may(&actor, Some(key), &key.kind)?;
        }
        Ok(Self { lock: Lock::Organization(actor.organization), actor })
    }
}

/// How a transaction begins.
#[expect(clippy::large_enum_variant, reason = "lives for one match")]
enum Begun {
    /// The request id was used before: the answer, and the revision at which it stands.
    Replayed(serde_json::Value, Option<Token>),
    Open(Tx),
}

impl Services {
    /// Runs a mutation in an organization.
    ///
    /// # Errors
    /// What it refuses; what taking the lock and committing fail with.
    pub async fn run<M: Mutation>(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        mutation: M,
    ) -> Result<Written<M::Output>, Error> {
        let authorized = self.authorize(context, organization, &mutation).await?;
        self.commit_in(context, &authorized, mutation).await
    }

    /// Runs a query in an organization. The revision is read first, so that the answer takes it in.
    ///
    /// # Errors
    /// What it refuses; [`Reason::NotFound`] for an organization that is not there.
    pub async fn query<Q: Query>(
        &self,
        context: &Context,
        organization: OrganizationId,
        query: &Q,
    ) -> Result<Read<Q::Output>, Error> {
        let token = self.token_before_reading(organization).await?;
        let call = self.call(context).of(organization);
        let actor = query.authorize(&call).await?;
        Ok(Read { value: query.read(&call, actor).await?, token })
    }

    /// Runs a transaction that is no mutation.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) async fn execute<T: Transaction>(
        self: &Arc<Self>,
        context: &Context,
        transaction: T,
    ) -> Result<Written<T::Output>, Error> {
        let authorized = self.authorize_above(context, transaction.lock(), &transaction).await?;
        self.commit(context, &authorized, transaction).await
    }

    /// Returns a call as it is before any lock.
    pub(super) fn call<'a>(&'a self, context: &'a Context) -> Call<'a, Reads<'a>> {
        Call { context, reads: self.store.reads(), now: self.env.now() }
    }

    /// Authorizes the caller before the lock: for use cases that prepare something, or go on after the commit.
    pub(super) async fn authorize(
        &self,
        context: &Context,
        organization: OrganizationId,
        use_case: &impl Authorize,
    ) -> Result<Authorized, Error> {
        let actor = use_case.authorize(&self.call(context).of(organization)).await?;
        Ok(Authorized { lock: Lock::Organization(organization), actor })
    }

    /// As [`Self::authorize`], for what is committed under another lock.
    pub(super) async fn authorize_above<A: AuthorizeAbove>(
        &self,
        context: &Context,
        lock: Lock,
        use_case: &A,
    ) -> Result<Authorized<A::Actor>, Error> {
        Ok(Authorized { lock, actor: use_case.authorize(&self.call(context)).await? })
    }

    /// Commits a mutation in the organization that its caller was authorized for.
    pub(super) async fn commit_in<M: Mutation>(
        self: &Arc<Self>,
        context: &Context,
        authorized: &Authorized,
        mutation: M,
    ) -> Result<Written<M::Output>, Error> {
        let Lock::Organization(organization) = authorized.lock else {
            return Err(Error::internal("authorized above organizations, and committed in one"));
        };
        self.commit(context, authorized, In(organization, mutation)).await
    }

    /// Commits, in a task that a caller's hanging up does not drop.
    pub(super) async fn commit<T: Transaction>(
        self: &Arc<Self>,
        context: &Context,
        authorized: &Authorized<T::Actor>,
        transaction: T,
    ) -> Result<Written<T::Output>, Error> {
        if authorized.lock != transaction.lock() {
            return Err(Error::internal("authorized for another lock"));
        }
        // Calls that go on for long commit many times: none of it under a credential that has ended meanwhile.
        if let Some(caller) = &context.caller {
            self.engine.must_be_alive(caller)?;
        }
        let (services, context) = (Arc::clone(self), context.clone());
        let committing = async move { services.commit_retrying(&context, &transaction).await };
        // The task, not the caller, owns the transaction.
        self.writes.spawn(committing.in_current_span()).await.map_err(Error::internal)?
    }

    async fn commit_retrying<T: Transaction>(
        &self,
        context: &Context,
        transaction: &T,
    ) -> Result<Written<T::Output>, Error> {
        let lock = transaction.lock();
        if let Lock::Organization(organization) = lock {
            context.note(organization, self.env.now());
        }
        for attempt in 1.. {
            let error = match locked::hold(self.attempt(context, lock, transaction)).await {
                Ok((written, committed)) => {
                    self.publish(lock, committed).await;
                    return Ok(written);
                }
                Err(error) => error,
            };
            if error.reason != Reason::ConcurrentUpdate || attempt == ATTEMPTS_MAX || self.is_late(context) {
                return Err(error);
            }
            tracing::debug!(attempt, cause = error.cause(), "another writer was in the way");
            self.env.clock.sleep(self.env.jittered(PAUSES.after(attempt))).await;
        }
        unreachable!("the last attempt returns")
    }

    pub(super) fn is_late(&self, context: &Context) -> bool {
        context.deadline.is_some_and(|deadline| self.env.clock.monotonic() >= deadline)
    }

    /// Tries once. What does not depend on the type stands in [`Self::begin`] and [`Self::end`], compiled once.
    async fn attempt<T: Transaction>(
        &self,
        context: &Context,
        lock: Lock,
        transaction: &T,
    ) -> Result<(Written<T::Output>, Committed), Error> {
        let mut tx = match self.begin(context, lock, transaction.users()).await? {
            Begun::Open(tx) => tx,
            Begun::Replayed(answer, token) => {
                let value = serde_json::from_value(answer).map_err(Error::internal)?;
                return Ok((Written { value, token, is_replay: true }, Committed::default()));
            }
        };
        let actor = transaction.authorize(&Call { context, reads: tx.above(), now: tx.now() }).await?;
        let value = transaction.apply(&mut tx, actor).await?;
        let is_answer = context.replay.is_some() && transaction.is_whole(&value);
        let answer = is_answer.then(|| serde_json::to_value(&value)).transpose().map_err(Error::internal)?;
        let (token, committed) = self.end(context, lock, tx, answer).await?;
        Ok((Written { value, token, is_replay: false }, committed))
    }

    async fn begin(&self, context: &Context, lock: Lock, users: Vec<UserId>) -> Result<Begun, Error> {
        let tx = self.store.begin(lock, users, context.author(), context.validate_only).await?;
        if let Some(replay) = &context.replay
            && let Some(answer) = tx.replayed(replay).await?
        {
            let position = tx.position();
            tx.rollback().await?;
            let token = position.and_then(|position| self.token(lock, position, None));
            return Ok(Begun::Replayed(answer, token));
        }
        if self.is_late(context) {
            // The caller has stopped waiting: what is not done need not be.
            tx.rollback().await?;
            return Err(Error::new(Reason::DeadlineExceeded, "the deadline has passed"));
        }
        Ok(Begun::Open(tx))
    }

    async fn end(
        &self,
        context: &Context,
        lock: Lock,
        mut tx: Tx,
        answer: Option<serde_json::Value>,
    ) -> Result<(Option<Token>, Committed), Error> {
        if tx.is_dry() {
            tx.rollback().await?;
            return Ok((None, Committed::default()));
        }
        if let (Some(replay), Some(answer)) = (&context.replay, &answer) {
            tx.remember(replay, answer).await?;
        }
        let committed = tx.commit().await?;
        let token = committed.organization.and_then(|position| self.token(lock, position, committed.installation));
        Ok((token, committed))
    }

    /// Brings the index of this process up to date before the caller is answered, and wakes the job that
    /// carries deliveries out if there are any.
    pub(super) async fn publish(&self, lock: Lock, committed: Committed) {
        let organization = lock.organization().zip(committed.organization);
        self.engine.committed(organization, committed.installation).await;
        if committed.has_delivery {
            self.deliveries.notify_one();
        }
    }

    pub(super) fn token(&self, lock: Lock, position: Position, installation: Option<Position>) -> Option<Token> {
        let organization = lock.organization()?;
        // What this server knows to have counted before: who asks elsewhere at the commit's revision gets it as well.
        let installation = installation.unwrap_or_else(|| self.engine.installation().position());
        Some(Token { epoch: self.engine.epoch(), organization, position, installation })
    }

    /// Returns a revision that whatever is read after this takes in. That there is such an organization is not ensured here:
    /// the actor is read next, whose absence is the same as their not seeing it.
    pub(super) async fn token_before_reading(&self, organization: OrganizationId) -> Result<Token, Error> {
        // The tables hold what the index has taken in, and more.
        let installation = self.engine.installation().position();
        let position = self.store.reads().of(organization).position().await?;
        let position = position.unwrap_or_default();
        Ok(Token { epoch: self.engine.epoch(), organization, position, installation })
    }
}
