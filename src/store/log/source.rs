//! The log as the index follows it.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement, Value,
};
use uuid::Uuid;

use crate::store::encoding::{ACCOUNT_DELETED, ACCOUNT_DISABLED, grant, optional_key, optional_principal, state};
use crate::store::entity::{
    api_keys, grants, group_members, memberships, resources, service_accounts, sessions, users,
};

use super::polling::{HERE, must_be_primary, must_take_writes};
use crate::store::database::pool::{Bound, Executor, Pool, Transaction};

use crate::changelog::{self, Cursor, Lineage, Moved, Reading, Relation, Source, State, scope_key};
use crate::domain::catalog::Catalogs;
use crate::domain::error::Error;
use crate::domain::fact::{Commit, Fact, Grant, InstallationFact, MemberState, OrganizationFact, Scope, UserState};
use crate::domain::id::{OrganizationId, ServiceAccountId, UserId};
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::revision::{Position, Revision, Tag};
use crate::domain::time::Timestamp;
use crate::store::{Reads, Store};

/// How long it may take to read what a poll has found.
const FOLLOW: Bound = Bound { wait: Duration::from_secs(4), is_generous: false };
/// How long one statement of a load may take: a large organization takes longer than any call's statement may.
const LOAD: Bound = Bound { wait: Duration::from_secs(61), is_generous: true };

impl Source for Store {
    fn relation(&self, organization: OrganizationId, subject: Subject) -> Reading<'_, Relation> {
        Box::pin(async move {
            let id = match subject {
                Subject::User(id) => id.0,
                Subject::ServiceAccount(id) => id.0,
            };
            let is_postgres = self.reader.get_database_backend() == DbBackend::Postgres;
            let here = if is_postgres { HERE } else { "0 as is_standby" };
            let sql = "(select catalog from organizations where id = $1) as catalog, \
                       (case when exists (select 1 from memberships where organization_id = $1 and user_id = $2) \
                       or exists (select 1 from service_accounts where id = $2 and organization_id = $1) \
                       or exists (select 1 from grants where scope = $1 and principal_id = $2) \
                       then 1 else 0 end) as is_here";
            let values: [Value; 2] = [organization.0.into(), id.into()];
            let sql = format!("select {here}, {sql}");
            let statement = Statement::from_sql_and_values(self.reader.get_database_backend(), sql, values);
            let row = self.reader.query_one_raw(statement).await?;
            let row = row.ok_or_else(|| Error::internal("a select without from returns a row"))?;
            if is_postgres {
                must_be_primary(&row)?;
            }
            let is_here: i32 = row.try_get("", "is_here")?;
            Ok(Relation { catalog: row.try_get("", "catalog")?, is_here: is_here != 0 })
        })
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        Box::pin(self.loaded(Scope::Organization(id), async move |db: &Transaction| {
            organization_facts(db, &self.catalogs, id).await
        }))
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        let now = self.env.now();
        Box::pin(self.loaded(Scope::Installation, async move |db: &Transaction| installation_facts(db, now).await))
    }

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        Box::pin(async move {
            let reader = self.reader.within(FOLLOW);
            let commits = commits_from(&reader, Scope::Organization(id), from).await?;
            let reads = Reads { db: Executor::Pool(&reader), catalogs: &self.catalogs };
            reads.catalogs_learn(commits.iter().flat_map(|commit| &commit.facts)).await?;
            Ok(commits)
        })
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        Box::pin(async move { commits_from(&self.reader.within(FOLLOW), Scope::Installation, from).await })
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], of: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(self.heads_in(scopes, of))
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        Box::pin(self.tag_of(scope, revision))
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        Box::pin(self.present())
    }

    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved> {
        Box::pin(async move {
            match self.reader.get_database_backend() {
                DbBackend::Postgres => self.moved_since_transaction(cursor).await,
                _ => self.moved_since_sequence(cursor).await,
            }
        })
    }
}

impl Store {
    /// Reads the head of a log and what stands at it, in one snapshot.
    async fn loaded<F: Fact>(
        &self,
        scope: Scope,
        read: impl AsyncFnOnce(&Transaction) -> Result<Vec<F>, Error>,
    ) -> Result<Option<State<F>>, Error> {
        let db = self.begin_still(LOAD).await?;
        must_take_writes(&db).await?;
        if db.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("set local statement_timeout = '60s'").await?;
        }
        // The head first: what follows is read in the same snapshot.
        let state = match changelog::head(&db, scope).await? {
            None => None,
            Some(position) => Some(State { position, facts: read(&db).await? }),
        };
        db.rollback().await?;
        Ok(state)
    }
}

async fn commits_from<F: Fact>(reader: &Pool, scope: Scope, from: Position) -> Result<Vec<Commit<F>>, Error> {
    let commits = changelog::commits_after(reader, scope, from.revision).await?;
    if from != Position::default() && commits.first().is_none_or(|first| first.position != from) {
        // The follower is about to drop what it has: a standby that lags is no reason.
        must_take_writes(reader).await?;
    }
    Ok(commits)
}

async fn organization_facts(
    db: &Transaction,
    catalogs: &Catalogs,
    id: OrganizationId,
) -> Result<Vec<OrganizationFact>, Error> {
    let reads = Reads { db: Executor::Transaction(db), catalogs };
    let Some(organization) = reads.of(id).organization().await? else {
        return Err(Error::internal("a log without its organization"));
    };
    // So that whoever is given the facts knows it.
    reads.catalog(&organization.catalog).await?;
    let mut facts = vec![OrganizationFact::Organization { state: organization.state, catalog: organization.catalog }];
    // Before the grants, which name them.
    facts.extend(reads.of(id).roles().await?.into_iter().map(OrganizationFact::Role));

    let members = memberships::Entity::find().filter(memberships::Column::OrganizationId.eq(id.0)).all(db).await?;
    for row in members {
        let state = state(MemberState::from_word, &row.state)?;
        facts.push(OrganizationFact::Membership { id: row.id.into(), user: row.user_id.map(UserId), state });
    }
    let in_groups =
        group_members::Entity::find().filter(group_members::Column::OrganizationId.eq(id.0)).all(db).await?;
    facts.extend(in_groups.into_iter().map(|row| OrganizationFact::GroupMember {
        group: row.group_id.into(),
        membership: row.membership_id.into(),
        is_in: true,
    }));
    let accounts = accounts_standing(db, Some(id)).await?;
    facts.extend(accounts.into_iter().map(|(id, is_enabled)| OrganizationFact::ServiceAccount { id, is_enabled }));
    facts.extend(resource_facts(db, id).await?);
    let grants = grants_standing(db, Scope::Organization(id)).await?;
    facts.extend(grants.into_iter().map(OrganizationFact::Grant));
    Ok(facts)
}

/// What counts everywhere: users who are not ACTIVE, sessions that ended early, revoked keys, and who holds what above.
async fn installation_facts(db: &Transaction, now: Timestamp) -> Result<Vec<InstallationFact>, Error> {
    let mut facts = Vec::new();
    let inactive = users::Entity::find().filter(users::Column::State.ne(UserState::Active.word())).all(db).await?;
    for row in inactive {
        facts.push(InstallationFact::User { id: row.id.into(), state: state(UserState::from_word, &row.state)? });
    }
    let ended = sessions::Entity::find()
        .filter(sessions::Column::EndedAt.is_not_null())
        .filter(sessions::Column::ExpiresAt.gt(now.as_micros()))
        .all(db)
        .await?;
    facts.extend(ended.into_iter().map(|row| InstallationFact::SessionEnded {
        id: row.id.into(),
        expires_at: Timestamp::from_micros(row.expires_at),
    }));
    let revoked = api_keys::Entity::find().filter(api_keys::Column::RevokedAt.is_not_null()).all(db).await?;
    facts.extend(revoked.into_iter().map(|row| InstallationFact::ApiKey {
        id: row.id.into(),
        service_account: row.service_account_id.into(),
        is_revoked: true,
    }));
    let accounts = accounts_standing(db, None).await?;
    facts.extend(accounts.into_iter().map(|(id, is_enabled)| InstallationFact::ServiceAccount { id, is_enabled }));
    // Those that are bound to a resource have no keys.
    let disabled = service_accounts::Entity::find()
        .select_only()
        .column(service_accounts::Column::Id)
        .filter(service_accounts::Column::OrganizationId.is_not_null())
        .filter(service_accounts::Column::ResourceId.is_null())
        .filter(service_accounts::Column::State.eq(ACCOUNT_DISABLED))
        .into_tuple::<Uuid>();
    let disabled = disabled.all(db).await?;
    facts.extend(
        disabled.into_iter().map(|id| InstallationFact::ServiceAccountDisabled { id: id.into(), is_disabled: true }),
    );
    let grants = grants_standing(db, Scope::Installation).await?;
    facts.extend(grants.into_iter().map(InstallationFact::Grant));
    Ok(facts)
}

/// The columns that count in a check: names and metadata can be many times as large.
async fn resource_facts(db: &Transaction, organization: OrganizationId) -> Result<Vec<OrganizationFact>, Error> {
    type Row = (String, String, Option<String>, Option<String>, Option<String>, Option<Uuid>);
    let rows: Vec<Row> = resources::Entity::find()
        .select_only()
        .columns([resources::Column::Kind, resources::Column::Id])
        .columns([resources::Column::ParentType, resources::Column::ParentId])
        .columns([resources::Column::OwnerKind, resources::Column::OwnerId])
        .filter(resources::Column::OrganizationId.eq(organization.0))
        .into_tuple()
        .all(db)
        .await?;
    let fact = |(kind, id, parent_type, parent_id, owner_kind, owner_id): Row| {
        let key = ResourceKey { kind: kind.into(), id: id.into() };
        let (parent, owner) = (optional_key(parent_type, parent_id), optional_principal(owner_kind, owner_id)?);
        Ok(OrganizationFact::Resource { key, parent, owner })
    };
    rows.into_iter().map(fact).collect()
}

/// The service accounts of an organization, or of the installation itself, and whether each is enabled.
async fn accounts_standing(
    db: &Transaction,
    organization: Option<OrganizationId>,
) -> Result<Vec<(ServiceAccountId, bool)>, DbErr> {
    let of = match organization {
        Some(id) => service_accounts::Column::OrganizationId.eq(id.0),
        None => service_accounts::Column::OrganizationId.is_null(),
    };
    let rows = service_accounts::Entity::find().filter(of).filter(service_accounts::Column::State.ne(ACCOUNT_DELETED));
    let rows = rows.all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.state == "enabled")).collect())
}

async fn grants_standing(db: &Transaction, scope: Scope) -> Result<Vec<Grant>, Error> {
    let rows = grants::Entity::find().filter(grants::Column::Scope.eq(scope_key(scope))).all(db).await?;
    rows.iter().map(grant).collect()
}
