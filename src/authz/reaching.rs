//! Reaching a revision that a caller names, or the head of the log.

use std::sync::Arc;

use super::engine::Engine;
use super::index::OrganizationIndex;
use super::slot::{Slot, remembered};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::revision::{Position, Revision, Token};

impl Engine {
    /// Waits until both logs have come as far as `token` says.
    pub(super) async fn reach(
        self: &Arc<Self>,
        id: OrganizationId,
        slot: &Arc<Slot>,
        token: &Token,
    ) -> Result<(), Error> {
        if token.organization != id {
            let message = "names a revision of another organization";
            return Err(Error::invalid("consistency.at_least", Reason::RevisionInvalid, message));
        }
        if token.epoch != self.epoch() {
            return Err(vanished());
        }
        self.reach_revision(id, slot, token.position.revision).await?;
        if token.position.revision == Revision::default() {
            return self.reach_installation(token.installation).await;
        }
        let head = slot.snapshot().map(|snapshot| snapshot.position()).unwrap_or_default();
        if head.revision < token.position.revision {
            return Err(vanished());
        }
        let recent = slot.recent(token.position.revision);
        if recent != Some(token.position) {
            let known = self.source.tag(Scope::Organization(id), token.position.revision).await?;
            if known != Some(token.position.tag) {
                return Err(vanished());
            }
            if recent.is_some() {
                // The log knows it, and memory came by another way: it is memory whose history is no more.
                self.keep_if_in_log(id, slot).await?;
            }
        }

        self.reach_installation(token.installation).await
    }

    /// Follows the installation's log as far as a token says, which says nothing of it at revision 0.
    async fn reach_installation(self: &Arc<Self>, named: Position) -> Result<(), Error> {
        if named.revision == Revision::default() {
            return Ok(());
        }
        if self.installation.load().position().revision < named.revision {
            self.catch_up_installation().await?;
        }
        if self.installation.load().position().revision < named.revision {
            return Err(vanished());
        }
        let recent = remembered(&self.installation_recent.lock(), named.revision);
        if recent == Some(named) {
            return Ok(());
        }
        if self.source.tag(Scope::Installation, named.revision).await? != Some(named.tag) {
            return Err(vanished());
        }
        match recent {
            // As above.
            Some(_) => self.catch_up_installation().await,
            None => Ok(()),
        }
    }

    /// Follows the log as far as `revision`, if it goes that far. A caller names it: nothing is believed of it.
    async fn reach_revision(
        self: &Arc<Self>,
        id: OrganizationId,
        slot: &Arc<Slot>,
        revision: Revision,
    ) -> Result<(), Error> {
        let has_come = |snapshot: &Arc<OrganizationIndex>| snapshot.position().revision >= revision;
        if slot.snapshot().as_ref().is_some_and(has_come) {
            return Ok(());
        }
        let _turn = slot.turn.lock().await;
        match slot.snapshot() {
            None => self.load(id, slot).await,
            Some(snapshot) if has_come(&snapshot) => Ok(()),
            Some(snapshot) => self.follow_log(id, slot, &snapshot, revision).await,
        }
    }

    /// Brings both logs to where their heads are now.
    pub(super) async fn reach_head(self: &Arc<Self>, id: OrganizationId, slot: &Arc<Slot>) -> Result<(), Error> {
        let asked_at = self.world.clock.monotonic();
        let scopes = [Scope::Organization(id), Scope::Installation];
        let heads = self.source.positions(&scopes, None).await?;
        let head = |scope| heads.iter().find(|(other, _)| *other == scope).map(|(_, position)| *position);
        self.compare(id, slot, head(Scope::Organization(id))).await?;
        self.compare_installation(head(Scope::Installation)).await?;
        slot.proof().raise(asked_at);
        Ok(())
    }
}

fn vanished() -> Error {
    Error::new(Reason::RevisionVanished, "the revision belongs to a history that is no more")
}
