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
        if token.epoch != self.epoch {
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
        let known = match slot.recent(token.position.revision) {
            Some(position) => Some(position.tag),
            None => self.source.tag(Scope::Organization(id), token.position.revision).await?,
        };
        if known != Some(token.position.tag) {
            return Err(vanished());
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
        let known = match recent {
            Some(position) => Some(position.tag),
            None => self.source.tag(Scope::Installation, named.revision).await?,
        };
        if known != Some(named.tag) {
            return Err(vanished());
        }
        Ok(())
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
        for (scope, position) in self.source.positions(&scopes).await? {
            match scope {
                // As told by a poll: a head that went back is noticed.
                Scope::Organization(_) => self.follow_to(id, slot, position).await?,
                Scope::Installation if self.installation.load().position() != position => {
                    self.catch_up_installation().await?;
                }
                Scope::Installation => {}
            }
        }
        slot.proof().raise(asked_at);
        Ok(())
    }
}

fn vanished() -> Error {
    Error::new(Reason::RevisionVanished, "the revision belongs to a history that is no more")
}
