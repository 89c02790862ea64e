//! Gathering what a writing call is evaluated by: one subject before the targets it names, in at most three statements.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryResult, Statement, Value};

use super::encoding::{grant, optional_principal, principal_columns, state};
use super::entity::{grants, memberships};
use super::{OrgReads, Reads};
use crate::changelog::scope_key;
use crate::domain::access::{Actor, Node, Standing};
use crate::domain::catalog::{Catalog, named_by};
use crate::domain::error::Error;
use crate::domain::fact::{Grant, MemberState, OrganizationState, Scope, UserState};
use crate::domain::id::{GrantId, GroupId, MembershipId, OrganizationId, UserId};
use crate::domain::place::{Place, Principal, ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// Most places that one statement names: SQLite takes expressions of at most 1,000 terms.
const TERMS_MAX: usize = 300;

/// An organization that is there, and how a subject stands in it.
struct Found {
    /// The key of the catalog that it follows.
    catalog: String,
    organization_is_active: bool,
    standing: Standing,
}

/// What is read of a subject before its targets, but for the catalog.
struct Gathered {
    found: Option<Found>,
    chains: HashMap<ResourceKey, Vec<Node>>,
    grants: Arc<[Grant]>,
}

impl OrgReads<'_> {
    /// Gathers a caller before `targets`, whatever state they are in.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound) if there is no such organization, or the caller does not
    ///   stand to it in any way: by the same statements, so that nobody finds out which.
    pub async fn actor(&self, caller: Subject, targets: &[ResourceKey], now: Timestamp) -> Result<Actor, Error> {
        let gathered = self.gathered(caller, targets).await?;
        let Gathered { found, grants, .. } = &gathered;
        let stands = |found: &Found| found.standing.has_any(grants, named_by(&found.catalog).0);
        if !found.as_ref().is_some_and(stands) {
            return Err(Error::not_found("organization", self.organization));
        }
        self.acting(caller, gathered, now).await
    }

    /// Gathers somebody else than the caller before `targets`, whatever state they are in, and whether or not they
    /// stand to the organization.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound) if there is no such organization.
    pub async fn anybody(&self, subject: Subject, targets: &[ResourceKey], now: Timestamp) -> Result<Actor, Error> {
        let gathered = self.gathered(subject, targets).await?;
        self.acting(subject, gathered, now).await
    }

    /// Reads all but the catalog. An organization that is not there costs the same statements as any other.
    async fn gathered(&self, subject: Subject, targets: &[ResourceKey]) -> Result<Gathered, Error> {
        let found = self.standing(subject).await?;
        let standing = found.as_ref().map_or(&Standing::Stranger, |found| &found.standing);
        let chains = self.chains(targets).await?;
        let grants = self.grants_at(subject, standing, &chains).await?;
        Ok(Gathered { found, chains, grants })
    }

    async fn acting(&self, subject: Subject, gathered: Gathered, now: Timestamp) -> Result<Actor, Error> {
        let Gathered { found, chains, grants } = gathered;
        let found = found.ok_or_else(|| Error::not_found("organization", self.organization))?;
        let catalog = self.catalog_of(&found.catalog).await?;
        let Found { organization_is_active, standing, .. } = found;
        let organization = self.organization;
        Ok(Actor { organization, subject, now, catalog, organization_is_active, standing, chains, grants })
    }

    /// Gathers an owner before `targets` as if they were in force, whatever state they are in: a membership as ACTIVE,
    /// one that nobody has accepted yet included, and a service account as enabled.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound) if there is no such organization.
    pub async fn actor_in_force(
        &self,
        owner: Principal,
        targets: &[ResourceKey],
        now: Timestamp,
    ) -> Result<Actor, Error> {
        // Nobody has the nil id; who has not accepted holds nothing above the organization.
        let mut subject = Subject::User(UserId(uuid::Uuid::nil()));
        match owner {
            Principal::Membership(id) => {
                let member = memberships::Entity::find_by_id(id.0)
                    .filter(memberships::Column::OrganizationId.eq(self.organization.0))
                    .one(&self.db)
                    .await?;
                subject = member.and_then(|member| member.user_id).map_or(subject, |user| Subject::User(user.into()));
            }
            Principal::ServiceAccount(id) => subject = Subject::ServiceAccount(id),
            Principal::User(id) => subject = Subject::User(id),
            Principal::Group(_) | Principal::Everyone => {}
        }
        let found = self.standing(subject).await?;
        let found = found.ok_or_else(|| Error::not_found("organization", self.organization))?;
        let standing = match (owner, subject, found.standing) {
            (Principal::Membership(id), Subject::User(user), _) => {
                let groups = self.groups_of(&[id]).await?.into_iter().map(|(_, group)| group).collect();
                Standing::Person { user, is_active: true, membership: Some((id, MemberState::Active)), groups }
            }
            (_, _, Standing::Machine { id, is_at_home, .. }) => Standing::Machine { id, is_enabled: true, is_at_home },
            (_, _, found) => found,
        };
        let chains = self.chains(targets).await?;
        let grants = self.grants_at(subject, &standing, &chains).await?;
        let found = Some(Found { standing, ..found });
        self.acting(subject, Gathered { found, chains, grants }, now).await
    }

    /// Returns the actor with facts about `places` too. Nothing is read where all of them are known.
    pub async fn widened(&self, mut actor: Actor, places: &[ResourceKey]) -> Result<Actor, Error> {
        let unknown: BTreeSet<&ResourceKey> = places.iter().filter(|place| !actor.knows(place)).collect();
        if unknown.is_empty() {
            return Ok(actor);
        }
        let unknown: Vec<ResourceKey> = unknown.into_iter().cloned().collect();
        let chains = self.chains(&unknown).await?;
        let grants = self.grants_at(actor.subject, &actor.standing, &chains).await?;
        let known: HashSet<GrantId> = actor.grants.iter().map(|grant| grant.id).collect();
        let new = grants.iter().filter(|grant| !known.contains(&grant.id));
        actor.grants = actor.grants.iter().chain(new).cloned().collect();
        actor.chains.extend(chains);
        Ok(actor)
    }

    async fn standing(&self, subject: Subject) -> Result<Option<Found>, Error> {
        let (sql, id) = match subject {
            Subject::User(id) => (
                // A row for each group.
                "select o.state as organization_state, o.catalog, u.state as subject_state, \
                 m.id as membership_id, m.state as membership_state, g.group_id from organizations o \
                 left join users u on u.id = $2 \
                 left join memberships m on m.organization_id = o.id and m.user_id = $2 \
                 left join group_members g on g.membership_id = m.id where o.id = $1",
                id.0,
            ),
            Subject::ServiceAccount(id) => (
                "select o.state as organization_state, o.catalog, s.state as subject_state, s.organization_id as home \
                 from organizations o \
                 left join service_accounts s on s.id = $2 \
                 and (s.organization_id = o.id or s.organization_id is null) where o.id = $1",
                id.0,
            ),
        };
        let values: [Value; 2] = [self.organization.0.into(), id.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let rows = self.db.query_all_raw(statement).await?;
        let Some(row) = rows.first() else { return Ok(None) };

        let catalog: String = row.try_get("", "catalog")?;
        let organization_state: String = row.try_get("", "organization_state")?;
        let organization_state = state(OrganizationState::from_word, &organization_state)?;
        let subject_state: Option<String> = row.try_get("", "subject_state")?;
        let standing = match (subject, subject_state) {
            (_, None) => Standing::Stranger,
            (Subject::User(user), Some(word)) => {
                let membership: Option<uuid::Uuid> = row.try_get("", "membership_id")?;
                let membership_state: Option<String> = row.try_get("", "membership_state")?;
                let membership = membership
                    .zip(membership_state)
                    .map(|(id, word)| state(MemberState::from_word, &word).map(|state| (MembershipId(id), state)));
                Standing::Person {
                    user,
                    is_active: state(UserState::from_word, &word)? == UserState::Active,
                    membership: membership.transpose()?,
                    groups: groups_in(&rows)?,
                }
            }
            (Subject::ServiceAccount(id), Some(word)) => {
                let home: Option<uuid::Uuid> = row.try_get("", "home")?;
                Standing::Machine { id, is_enabled: word == "enabled", is_at_home: home.is_some() }
            }
        };
        Ok(Some(Found { catalog, organization_is_active: organization_state == OrganizationState::Active, standing }))
    }

    /// Reads the chain of each target that is registered, all in one statement.
    pub(super) async fn chains(&self, targets: &[ResourceKey]) -> Result<HashMap<ResourceKey, Vec<Node>>, Error> {
        let mut chains = HashMap::new();
        for targets in targets.chunks(TERMS_MAX) {
            self.add_chains(targets, &mut chains).await?;
        }
        Ok(chains)
    }

    async fn add_chains(
        &self,
        targets: &[ResourceKey],
        chains: &mut HashMap<ResourceKey, Vec<Node>>,
    ) -> Result<(), Error> {
        let mut values: Vec<Value> = vec![self.organization.0.into()];
        let mut starts = Vec::new();
        for target in targets {
            values.push(target.kind.to_string().into());
            values.push(target.id.to_string().into());
            starts.push(format!("(type = ${} and id = ${})", values.len() - 1, values.len()));
        }
        let sql = format!(
            "with recursive chain as ( \
             select type as start_type, id as start_id, 0 as depth, type, id, parent_type, parent_id, owner_kind, owner_id \
             from resources where organization_id = $1 and ({starts}) \
             union all \
             select c.start_type, c.start_id, c.depth + 1, r.type, r.id, r.parent_type, r.parent_id, r.owner_kind, \
             r.owner_id from chain c join resources r \
             on r.organization_id = $1 and r.type = c.parent_type and r.id = c.parent_id where c.depth < 8) \
             select start_type, start_id, type, id, owner_kind, owner_id from chain order by start_type, start_id, depth",
            starts = starts.join(" or "),
        );
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);

        for row in self.db.query_all_raw(statement).await? {
            let key = |kind: &str, id: &str| -> Result<ResourceKey, Error> {
                let (kind, id): (String, String) = (row.try_get("", kind)?, row.try_get("", id)?);
                Ok(ResourceKey { kind: kind.into(), id: id.into() })
            };
            let owner = optional_principal(row.try_get("", "owner_kind")?, row.try_get("", "owner_id")?)?;
            let node = Node { key: key("type", "id")?, owner };
            chains.entry(key("start_type", "start_id")?).or_default().push(node);
        }
        Ok(())
    }

    /// Reads the grants of every principal that the subject is among: above the resources, and on those of `chains`.
    async fn grants_at(
        &self,
        subject: Subject,
        standing: &Standing,
        chains: &HashMap<ResourceKey, Vec<Node>>,
    ) -> Result<Arc<[Grant]>, Error> {
        let scope = |scope| grants::Column::Scope.eq(scope_key(scope));
        let holds = |principal: Principal| {
            let (kind, id) = principal_columns(principal);
            Condition::all().add(grants::Column::PrincipalKind.eq(kind)).add(grants::Column::PrincipalId.eq(id))
        };
        let mut principals = Condition::any().add(holds(subject.above())).add(holds(Principal::Everyone));
        if let Some(membership) = standing.membership() {
            principals = principals.add(holds(Principal::Membership(membership)));
        }
        if let Standing::Person { groups, .. } = standing {
            let through = grants::Column::PrincipalId.is_in(groups.iter().map(|group| group.0));
            let through = Condition::all().add(grants::Column::PrincipalKind.eq("group")).add(through);
            principals = principals.add_option((!groups.is_empty()).then_some(through));
        }
        let nodes: HashSet<&ResourceKey> = chains.values().flatten().map(|node| &node.key).collect();
        let at = |key: &ResourceKey| {
            Condition::all()
                .add(grants::Column::PlaceKind.eq("resource"))
                .add(grants::Column::PlaceType.eq(&*key.kind))
                .add(grants::Column::PlaceId.eq(&*key.id))
        };
        // With more places than a statement takes, all grants are read: those elsewhere do not count.
        let places = if nodes.len() > TERMS_MAX {
            Condition::all()
        } else {
            let above = Condition::any().add(grants::Column::PlaceKind.ne("resource"));
            nodes.into_iter().fold(above, |any, key| any.add(at(key)))
        };
        let here = Condition::all().add(scope(Scope::Organization(self.organization))).add(principals).add(places);
        let above = Condition::all().add(scope(Scope::Installation)).add(holds(subject.above()));
        let rows = grants::Entity::find().filter(Condition::any().add(here).add(above)).all(&self.db).await?;
        rows.iter().map(grant).collect()
    }
}

impl Reads<'_> {
    /// Gathers `subject` before an organization of the product that is not there yet: what counts is held above it.
    pub async fn actor_above(&self, subject: Subject, catalog: &Arc<Catalog>, now: Timestamp) -> Result<Actor, Error> {
        let standing = match subject {
            Subject::User(user) => match self.user_state(user).await? {
                Some(state) => {
                    let is_active = state == UserState::Active;
                    Standing::Person { user, is_active, membership: None, groups: Vec::new() }
                }
                None => Standing::Stranger,
            },
            Subject::ServiceAccount(id) if self.installation_service_account(id).await? => {
                Standing::Machine { id, is_enabled: true, is_at_home: false }
            }
            Subject::ServiceAccount(_) => Standing::Stranger,
        };
        let (kind, id) = principal_columns(subject.above());
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Installation)))
            .filter(grants::Column::PrincipalKind.eq(kind))
            .filter(grants::Column::PrincipalId.eq(id))
            .all(&self.db)
            .await?;
        let grants = rows.iter().map(grant).collect::<Result<Arc<[_]>, _>>()?;
        Ok(Actor {
            organization: OrganizationId(uuid::Uuid::nil()),
            subject,
            now,
            catalog: Arc::clone(catalog),
            organization_is_active: true,
            standing,
            chains: HashMap::new(),
            grants,
        })
    }

    /// Returns whether `subject` holds a role at the installation, by its name.
    pub async fn holds_at_installation(&self, subject: Subject, role: &str) -> Result<bool, Error> {
        let (kind, id) = principal_columns(subject.above());
        let row = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Installation)))
            .filter(grants::Column::PrincipalKind.eq(kind))
            .filter(grants::Column::PrincipalId.eq(id))
            .filter(grants::Column::Role.eq(role))
            .one(&self.db)
            .await?;
        let now_holds = row.as_ref().map(grant).transpose()?;
        Ok(now_holds.is_some_and(|grant| matches!(grant.place, Place::Installation)))
    }
}

fn groups_in(rows: &[QueryResult]) -> Result<Vec<GroupId>, Error> {
    let groups = rows.iter().map(|row| row.try_get::<Option<uuid::Uuid>>("", "group_id"));
    Ok(groups.filter_map(Result::transpose).map(|id| id.map(GroupId)).collect::<Result<_, _>>()?)
}
