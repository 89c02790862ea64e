//! The end of a removal: what the member owned is cleared in slices, and then the membership is no more.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::error::{Error, Kind};
use crate::domain::fact::MemberState;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::removal::Assets;
use crate::domain::resource::Resource;
use crate::domain::revision::Token;
use crate::rpc::Rpc;
use crate::service::clearing::{Clearing, judge_anew};
use crate::service::{Context, Services};
use crate::store::{Lock, Tx};

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
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn finish_removals(self: &Arc<Self>) -> Result<(), Error> {
        let mut failure = None;
        for (organization, membership) in self.store.reads().removals_due(self.world.now(), DUE_MAX).await? {
            // One that cannot be finished does not hold up those behind it.
            if let Err(error) = self.finish_removal(organization, membership).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Finishes a removal whose last hindrance a commit has just ended, and returns the revision at which it then stands.
    ///
    /// That commit is acknowledged whatever happens here: what cannot be finished now, [`keep_removals`] finishes.
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
        let context = Context::of_server(Rpc::RemoveMember, self.world.id::<Uuid>());
        loop {
            let lock = Lock::Organization(organization);
            let slice = self.write(&context, lock, move |tx| clear_slice(tx, organization, membership)).await;
            match slice {
                Ok(written) if written.value => return Ok(()),
                Ok(_) => {}
                // The organization went meanwhile, and everything with it.
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Clears a slice. Says whether nothing is left to do.
async fn clear_slice(mut tx: Tx, organization: OrganizationId, membership: MembershipId) -> Result<(Tx, bool), Error> {
    let removal = tx.reads().removal(membership).await?;
    let Some(removal) = removal.filter(|removal| removal.is_due(tx.now())) else { return Ok((tx, true)) };
    let mut owned = tx.reads().owned_by(&[Principal::Membership(membership)], SLICE).await?;
    if owned.is_empty() {
        let rows = tx.reads().grants_of(&[Principal::Membership(membership)], tx.now()).await?.rows(0);
        if !rows.is_empty() {
            tx.grants_delete(&rows[..rows.len().min(FACTS_MAX)]).await?;
            return Ok((tx, false));
        }
        tx.membership_delete(membership).await?;
        return Ok((tx, true));
    }
    let kept = if removal.assets == Assets::Delete {
        below_which_others_own(&tx, membership, &mut owned).await?
    } else {
        HashSet::new()
    };
    let mut room = FACTS_MAX;
    for resource in owned {
        match removal.assets {
            Assets::Delete if kept.contains(&resource.key) => hand_over(&mut tx, organization, resource, None).await?,
            Assets::Keep => hand_over(&mut tx, organization, resource, None).await?,
            Assets::Transfer(to) => {
                let heir = tx.reads().membership(to, tx.now()).await?;
                let heir = heir.filter(|heir| heir.state != MemberState::Removing);
                let heir = heir.map(|heir| Principal::Membership(heir.id));
                hand_over(&mut tx, organization, resource, heir).await?;
            }
            Assets::Delete => {
                // Below another that went just now, there is nothing left to clear.
                let clearing = Clearing::of(&tx, organization, &resource.key).await?;
                let count = clearing.len();
                clearing.take(&mut tx, count.min(room)).await?;
                if count >= room {
                    return Ok((tx, false));
                }
                room -= count;
            }
        }
    }
    Ok((tx, false))
}

/// Names what others have come to own something below of since it was decided that it goes: theirs does not go with it, so
/// it stays, and is nobody's. Leaves those out of `owned` of which that is not known yet.
async fn below_which_others_own(
    tx: &Tx,
    membership: MembershipId,
    owned: &mut Vec<Resource>,
) -> Result<HashSet<ResourceKey>, Error> {
    let found = tx.reads().owned_by_others_below(membership, KEPT_MAX).await?;
    if found.len() as u64 == KEPT_MAX
        && let Some((last, _)) = found.last()
    {
        owned.retain(|resource| resource.key <= *last);
    }
    Ok(found.into_iter().map(|(top, _)| top).collect())
}

/// Gives a resource to another owner, or to nobody, and takes from the service account bound to it what they may not give.
///
/// # Errors
/// Only what the database says.
pub(super) async fn hand_over(
    tx: &mut Tx,
    _organization: OrganizationId,
    resource: Resource,
    owner: Option<Principal>,
) -> Result<(), Error> {
    let account = resource.service_account;
    tx.resource_update(&Resource { owner, ..resource }, "handed over").await?;
    if let Some(account) = account {
        judge_anew(tx, account, owner).await?;
    }
    Ok(())
}
