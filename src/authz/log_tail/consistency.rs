//! How far a caller wants to see: as far as a revision that the caller names, or as far as the log has come.

use std::sync::Arc;

use super::LogTail;
use crate::authz::index::OrganizationIndex;
use crate::authz::org_cache::Entry;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::revision::{Position, Revision, Token};

impl LogTail {
    /// Waits until both logs have come as far as `token` says.
    ///
    /// # Errors
    /// - [`Reason::RevisionInvalid`] for a token of another organization.
    /// - [`Reason::RevisionVanished`] for a token of a history that is no more.
    pub async fn follow_to(
        self: &Arc<Self>,
        id: OrganizationId,
        entry: &Arc<Entry>,
        token: &Token,
    ) -> Result<(), Error> {
        if token.organization != id {
            let message = "names a revision of another organization";
            return Err(Error::invalid("consistency.at_least", Reason::RevisionInvalid, message));
        }
        if token.epoch != self.history.epoch() {
            return Err(vanished());
        }
        self.follow_to_revision(id, entry, token.position.revision).await?;
        if token.position.revision == Revision::default() {
            return self.follow_installation_to(token.installation).await;
        }
        let head = entry.snapshot().map(|snapshot| snapshot.position()).unwrap_or_default();
        if head.revision < token.position.revision {
            return Err(vanished());
        }
        let recent = entry.recent(token.position.revision);
        if recent != Some(token.position) {
            let known = self.source.tag(Scope::Organization(id), token.position.revision).await?;
            if known != Some(token.position.tag) {
                return Err(vanished());
            }
            if recent.is_some() {
                // The log knows it, and memory came by another way: it is memory whose history is no more.
                self.keep_if_in_log(id, entry).await?;
            }
        }

        self.follow_installation_to(token.installation).await
    }

    /// Brings both logs to where their heads are now.
    pub async fn follow_to_head(self: &Arc<Self>, id: OrganizationId, entry: &Arc<Entry>) -> Result<(), Error> {
        let asked_at = self.env.clock.monotonic();
        let scopes = [Scope::Organization(id), Scope::Installation];
        let heads = self.source.positions(&scopes, None).await?;
        let head = |scope| heads.iter().find(|(other, _)| *other == scope).map(|(_, position)| *position);
        self.compare(id, entry, head(Scope::Organization(id))).await?;
        self.compare_installation(head(Scope::Installation)).await?;
        entry.proven_at().advance(asked_at);
        Ok(())
    }

    /// Follows the log as far as `revision`, if it goes that far. A caller names it, so nothing is believed of it.
    async fn follow_to_revision(
        self: &Arc<Self>,
        id: OrganizationId,
        entry: &Arc<Entry>,
        revision: Revision,
    ) -> Result<(), Error> {
        let has_come = |snapshot: &Arc<OrganizationIndex>| snapshot.position().revision >= revision;
        if entry.snapshot().as_ref().is_some_and(has_come) {
            return Ok(());
        }
        let _permit = entry.write_permit().await;
        match entry.snapshot() {
            None => self.load(id, entry).await,
            Some(snapshot) if has_come(&snapshot) => Ok(()),
            Some(snapshot) => self.follow_log(id, entry, &snapshot, revision).await,
        }
    }

    /// Follows the installation's log as far as a token says; at revision 0 it says nothing of it.
    async fn follow_installation_to(self: &Arc<Self>, named: Position) -> Result<(), Error> {
        if named.revision == Revision::default() {
            return Ok(());
        }
        if self.installation.load().position().revision < named.revision {
            self.catch_up_installation().await?;
        }
        if self.installation.load().position().revision < named.revision {
            return Err(vanished());
        }
        let recent = self.installation.recent(named.revision);
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
}

fn vanished() -> Error {
    Error::new(Reason::RevisionVanished, "the revision belongs to a history that is no more")
}
