//! Principals of an organization, found whatever their kind.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::domain::error::{Error, Reason};
use crate::domain::fact::MemberState;
use crate::domain::place::Principal;
use crate::store::OrgReads;
use crate::store::encoding::{ACCOUNT_DELETED, state};
use crate::store::entity::{groups, memberships, service_accounts};

/// Principals that exist, memberships with their state.
#[derive(Clone, Debug, Default)]
pub struct Principals {
    members: HashMap<Uuid, MemberState>,
}

impl Principals {
    /// Returns where a membership stands.
    #[must_use]
    pub fn state_of(&self, principal: Principal) -> Option<MemberState> {
        match principal {
            Principal::Membership(id) => self.members.get(&id.0).copied(),
            Principal::Group(_) | Principal::Everyone | Principal::ServiceAccount(_) | Principal::User(_) => None,
        }
    }
}

impl OrgReads<'_> {
    /// Finds every one of some principals in an organization, a statement for each kind that is among them.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the first that is not there; [`Reason::MemberState`] for one that is being removed.
    pub async fn principals(&self, named: &[Principal]) -> Result<Principals, Error> {
        let ids = |of: fn(Principal) -> Option<Uuid>| named.iter().copied().filter_map(of).collect::<BTreeSet<_>>();
        let members = ids(|it| if let Principal::Membership(id) = it { Some(id.0) } else { None });
        let in_groups = ids(|it| if let Principal::Group(id) = it { Some(id.0) } else { None });
        let accounts = ids(|it| if let Principal::ServiceAccount(id) = it { Some(id.0) } else { None });

        let mut found = Principals::default();
        if !members.is_empty() {
            let rows = memberships::Entity::find()
                .filter(memberships::Column::OrganizationId.eq(self.organization.0))
                .filter(memberships::Column::Id.is_in(members));
            for row in rows.all(&self.db).await? {
                let state = state(MemberState::from_word, &row.state)?;
                if state == MemberState::Removing {
                    let message = "the member is being removed";
                    return Err(Error::new(Reason::MemberState, message).about("member", row.id.hyphenated()));
                }
                found.members.insert(row.id, state);
            }
        }
        let mut others = BTreeSet::new();
        if !in_groups.is_empty() {
            let rows = groups::Entity::find()
                .filter(groups::Column::OrganizationId.eq(self.organization.0))
                .filter(groups::Column::Id.is_in(in_groups));
            others.extend(rows.all(&self.db).await?.into_iter().map(|row| row.id));
        }
        if !accounts.is_empty() {
            let rows = service_accounts::Entity::find()
                .filter(service_accounts::Column::OrganizationId.eq(self.organization.0))
                .filter(service_accounts::Column::State.ne(ACCOUNT_DELETED))
                .filter(service_accounts::Column::Id.is_in(accounts));
            others.extend(rows.all(&self.db).await?.into_iter().map(|row| row.id));
        }

        for principal in named {
            let (is_there, noun, id) = match principal {
                Principal::Membership(id) => (found.members.contains_key(&id.0), "member", id.0),
                Principal::Group(id) => (others.contains(&id.0), "group", id.0),
                Principal::ServiceAccount(id) => (others.contains(&id.0), "service_account", id.0),
                Principal::Everyone => continue,
                Principal::User(id) => (false, "user", id.0),
            };
            if !is_there {
                return Err(Error::not_found(noun, id.hyphenated()));
            }
        }
        Ok(found)
    }
}
