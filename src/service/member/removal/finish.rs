//! The end of a removal: what the member owned is cleared in slices, and then the membership is no more.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::error::{Error, Kind};
use crate::domain::fact::MemberState;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::removal::Assets;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::resource::Resource;
use crate::domain::revision::Token;
use crate::rpc::Rpc;
use crate::service::clearing::{Clearing, judge_anew};
use crate::service::mutation::{AuthorizeAbove, Transaction};
use crate::service::{Call, Context, Services};
use crate::store::{Lock, Reads, Tx};

/// Most removals that are finished in one go.
const DUE_MAX: u64 = 100;
/// Most owned resources that are cleared in one commit.
const SLICE: u64 = 50;
/// Most facts that clearing adds to one commit.
const FACTS_MAX: usize = 5_000;
/// Most resources of others that are looked at in one commit.
const KEPT_MAX: u64 = 1_000;

impl Services {
    /// Finishes every removal for which nobody is waited any more.
    pub async fn finish_removals(self: &Arc<Self>) -> Result<(), Error> {
        let mut failure = None;
        for (organization, membership) in self.store.reads().removals_due(self.env.now(), DUE_MAX).await? {
            // One that cannot be finished does not hold up those behind it.
            if let Err(error) = self.finish_removal(organization, membership).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Finishes a removal whose last hindrance a commit has just ended, and returns the revision at which it then
    /// stands.
    ///
    /// That commit is acknowledged whatever happens here: what cannot be finished now,
    /// [`finish_removals`](Self::finish_removals) finishes.
    pub(super) async fn finish_committed(
        self: &Arc<Self>,
        organization: OrganizationId,
        membership: MembershipId,
        committed: Option<Token>,
    ) -> Option<Token> {
        let finish = async {
            self.finish_removal(organization, membership).await?;
            self.token_before_reading(organization).await
        };
        match finish.await {
            Ok(token) => Some(token),
            Err(error) => {
                tracing::warn!(cause = error.cause(), reason = error.reason.name(), "a removal is finished later");
                committed
            }
        }
    }

    /// Clears what a removed member owned and ends the membership, a slice a commit.
    pub(super) async fn finish_removal(
        self: &Arc<Self>,
        organization: OrganizationId,
        membership: MembershipId,
    ) -> Result<(), Error> {
        let context = Context::of_server(Rpc::RemoveMember, self.env.id::<Uuid>());
        loop {
            match self.execute(&context, FinishSlice { organization, membership }).await {
                Ok(written) if written.value => return Ok(()),
                Ok(_) => {}
                // The organization went meanwhile, and everything with it.
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Clears a slice of what a removed member owned and held, and ends the membership when nothing is left of it. Returns
/// whether nothing is left to do.
struct FinishSlice {
    organization: OrganizationId,
    membership: MembershipId,
}

impl AuthorizeAbove for FinishSlice {
    type Actor = ();

    /// Who asked for the removal was authorized when it began, and what becomes of the assets was decided then.
    async fn authorize(&self, _call: &Call<'_, Reads<'_>>) -> Result<(), Error> {
        Ok(())
    }
}

impl Transaction for FinishSlice {
    type Output = bool;

    fn lock(&self) -> Lock {
        Lock::Organization(self.organization)
    }

    async fn apply(&self, tx: &mut Tx, (): ()) -> Result<bool, Error> {
        let removal = tx.reads().removal(self.membership).await?;
        let Some(removal) = removal.filter(|removal| removal.is_due(tx.now())) else { return Ok(true) };
        let member = Principal::Membership(self.membership);
        let owned = tx.reads().owned_by(&[member], SLICE).await?;
        if !owned.is_empty() {
            self.clear(tx, removal.assets, owned).await?;
            return Ok(false);
        }
        let rows = tx.reads().grants_of(&[member], tx.now()).await?.rows(0);
        if !rows.is_empty() {
            tx.grants_delete(&rows[..rows.len().min(FACTS_MAX)]).await?;
            return Ok(false);
        }
        tx.membership_delete(self.membership).await?;
        Ok(true)
    }
}

impl FinishSlice {
    /// Does with some of what the member owned what was decided.
    async fn clear(&self, tx: &mut Tx, assets: Assets, mut owned: Vec<Resource>) -> Result<(), Error> {
        let kept = match assets {
            Assets::Delete => self.below_which_others_own(tx, &mut owned).await?,
            Assets::Keep | Assets::Transfer(_) => HashSet::new(),
        };
        let mut room = FACTS_MAX;
        for resource in owned {
            match assets {
                Assets::Delete if kept.contains(&resource.key) => hand_over(tx, resource, None).await?,
                Assets::Keep => hand_over(tx, resource, None).await?,
                Assets::Transfer(to) => {
                    let heir = tx.reads().membership(to, tx.now()).await?;
                    let heir = heir.filter(|heir| heir.state != MemberState::Removing);
                    let heir = heir.map(|heir| Principal::Membership(heir.id));
                    hand_over(tx, resource, heir).await?;
                }
                Assets::Delete => {
                    // Below another that went just now, there is nothing left to clear.
                    let clearing = Clearing::of(tx, &resource.key).await?;
                    let count = clearing.len();
                    clearing.take(tx, count.min(room)).await?;
                    if count >= room {
                        return Ok(());
                    }
                    room -= count;
                }
            }
        }
        Ok(())
    }

    /// Returns what others have come to own something below of since it was decided that it goes: theirs does not go
    /// with it, so it stays, without an owner. Leaves those out of `owned` of which that is not known yet.
    async fn below_which_others_own(&self, tx: &Tx, owned: &mut Vec<Resource>) -> Result<HashSet<ResourceKey>, Error> {
        let found = tx.reads().owned_by_others_below(self.membership, KEPT_MAX).await?;
        if found.len() as u64 == KEPT_MAX
            && let Some((last, _)) = found.last()
        {
            owned.retain(|resource| resource.key <= *last);
        }
        Ok(found.into_iter().map(|(top, _)| top).collect())
    }
}

/// Sets another owner of a resource, or none, and takes from the service account bound to it what they may not
/// give.
pub(super) async fn hand_over(tx: &mut Tx, resource: Resource, owner: Option<Principal>) -> Result<(), Error> {
    let account = resource.service_account;
    tx.resource_update(&Resource { owner, ..resource }, "owner set").await?;
    if let Some(account) = account {
        judge_anew(tx, account, owner).await?;
    }
    Ok(())
}
