//! Sweeping: grants that have expired go, each with its fact. They counted for nothing since they expired.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::mutation::{AuthorizeAbove, Transaction};
use super::{Call, Context, Services};
use crate::domain::error::{Error, Kind};
use crate::domain::id::OrganizationId;
use crate::domain::time::Timestamp;
use crate::rpc::Rpc;
use crate::store::{Lock, Reads, Tx};

/// How long a grant that has expired is kept, so that an explanation can name it.
const KEPT: Duration = Duration::from_hours(24);
/// Most organizations that are swept in one go.
const ORGANIZATIONS_MAX: u64 = 1_000;
/// Most grants that go in one commit.
const SLICE: u64 = 1_000;

impl Services {
    /// Sweeps what expired more than a day ago, in every organization.
    pub async fn sweep_grants(self: &Arc<Self>) -> Result<(), Error> {
        let before = self.env.now().minus(KEPT);
        let reads = self.store.reads();
        let mut failure = None;
        for organization in reads.organizations_with_lapsed_grants(before, ORGANIZATIONS_MAX).await? {
            // One that cannot be swept does not hold up those behind it.
            if let Err(error) = self.sweep_organization(organization, before).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sweeps what expired in an organization at `before` or earlier, a slice a commit: also before an act that has no room for
    /// it in its own.
    pub(super) async fn sweep_organization(
        self: &Arc<Self>,
        organization: OrganizationId,
        before: Timestamp,
    ) -> Result<(), Error> {
        let context = Context::of_server(Rpc::ChangeGrants, self.env.id::<Uuid>());
        // Most often there is nothing, and no lock is taken.
        while !self.store.reads().of(organization).lapsed_grants(before, 1).await?.is_empty() {
            match self.execute(&context, SweepSlice { organization, before }).await {
                Ok(_) => {}
                // The organization went meanwhile, and everything with it.
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Deletes some of the grants of an organization that expired at `before` or earlier.
struct SweepSlice {
    organization: OrganizationId,
    before: Timestamp,
}

impl AuthorizeAbove for SweepSlice {
    type Actor = ();

    /// The server decides: what expired counts for nothing.
    async fn authorize(&self, _call: &Call<'_, Reads<'_>>) -> Result<(), Error> {
        Ok(())
    }
}

impl Transaction for SweepSlice {
    type Output = ();

    fn lock(&self) -> Lock {
        Lock::Organization(self.organization)
    }

    async fn apply(&self, tx: &mut Tx, (): ()) -> Result<(), Error> {
        let lapsed = tx.reads().lapsed_grants(self.before, SLICE).await?;
        // Nothing is counted: a role with a bound is never held with an end.
        tx.grants_delete(&lapsed).await
    }
}
