//! Where a list looks for what is held or bound: where its caller sees something, so that it costs nothing for what is hidden (CM-13).
//!
//! As in `resource::browse`, the index proposes and the tables decide: each list evaluates what it found before it returns it.

use super::Services;
use crate::authz::Requirement;
use crate::domain::access::{Actor, decide};
use crate::domain::error::Error;
use crate::domain::fact::Grant;
use crate::domain::id::{GrantId, ServiceAccountId};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::resource::Under;
use crate::domain::revision::Token;
use crate::domain::service_account::ServiceAccount;
use crate::domain::time::Timestamp;
use crate::store::{GrantPage, HeldAt, OrgReads};

/// Most resources that one statement names.
const KEYS_MAX: usize = 1_000;

/// Where a list looks for what is held.
pub(super) enum Sought<'a> {
    Anywhere,
    At(&'a Place),
    /// At the organization and at what the caller sees: of some types every resource, of the others these.
    Seen {
        whole: Vec<String>,
        in_part: Vec<ResourceKey>,
    },
}

impl Services {
    /// Returns where the caller sees what is held. Who sees every type whole is not looked up in the index.
    ///
    /// # Errors
    /// - [`IndexStale`](crate::domain::error::Reason::IndexStale), and what
    ///   [`Engine::view`](crate::authz::Engine::view) fails with.
    pub(super) async fn sought(&self, actor: &Actor, token: Token) -> Result<Sought<'static>, Error> {
        let (here, subject) = (actor.at(None), actor.subject);
        let mut kinds = actor.catalog.resource_types();
        if kinds.all(|(_, kind)| decide(&here, kind.visible_by, actor.now).is_allowed()) {
            let whole = actor.catalog.resource_types().map(|(_, kind)| kind.name.to_string()).collect();
            return Ok(Sought::Seen { whole, in_part: Vec::new() });
        }
        let view = self.engine.view(actor.organization, Requirement::AtLeast(token), subject).await?;
        self.must_be_fresh(&view)?;
        let seen = view.seen(subject);
        let in_part = view.organization.candidates((&seen.in_part(), &seen), &Under::Anything, None, None, usize::MAX);
        Ok(Sought::Seen { whole: seen.whole().map(str::to_owned).collect(), in_part: in_part.keys })
    }
}

impl Sought<'_> {
    /// Reads a page of what is held there, by one principal if one is named.
    pub async fn page(
        &self,
        reads: OrgReads<'_>,
        principal: Option<Principal>,
        now: Timestamp,
        after: Option<GrantId>,
        size: u32,
    ) -> Result<GrantPage, Error> {
        let mut all = GrantPage::default();
        for part in self.parts() {
            let page = reads.grant_page((principal, part), now, after, size).await?;
            all = all.merged(page, size as usize);
        }
        Ok(all)
    }

    /// Reads service accounts that are bound to what is there, and those that are bound to nothing, in the order in which they
    /// were made: at most `size` of them, from after `after` on.
    pub async fn accounts(
        &self,
        reads: OrgReads<'_>,
        after: Option<ServiceAccountId>,
        size: usize,
    ) -> Result<Vec<ServiceAccount>, Error> {
        let mut all = Vec::new();
        for part in self.parts() {
            all.extend(reads.service_account_page(part, after, size as u64).await?);
        }
        all.sort_unstable_by_key(|account| account.id);
        all.truncate(size);
        Ok(all)
    }

    /// Reads all that some principals hold there.
    pub async fn grants_of(
        &self,
        reads: OrgReads<'_>,
        principals: &[Principal],
        now: Timestamp,
    ) -> Result<Vec<Grant>, Error> {
        let mut grants = Vec::new();
        for part in self.parts() {
            grants.extend(reads.grants_held_at(principals, part, now).await?);
        }
        Ok(grants)
    }

    /// Cuts it into what one statement looks for.
    fn parts(&self) -> Vec<HeldAt<'_>> {
        match self {
            Self::Anywhere => vec![HeldAt::Anywhere],
            Self::At(place) => vec![HeldAt::Place(place)],
            Self::Seen { whole, in_part } => {
                let resources = in_part.chunks(KEYS_MAX).map(HeldAt::Resources);
                std::iter::once(HeldAt::Types(whole)).chain(resources).collect()
            }
        }
    }
}
