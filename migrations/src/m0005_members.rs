//! Members as they are listed, searched and told apart: ids and metadata of the product's own, keys to sort and search by,
//! and when each was last active. Organizations get the same of the product's own, and a slug.
//! Both are unique among the organizations that follow one catalog, whose name is the product's.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::prelude::Uuid;
use sea_orm_migration::sea_orm::{ConnectionTrait, Statement, Value};

use crate::sql;

/// The migration.
#[derive(Debug)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_members"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, SCHEMA).await?;
        fill(manager).await
    }

    /// All of it or none, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Every documented order of members has an index that ends with the id: pages are cut between any two rows. For a
/// member who was never active stands -2^62, which is before any instant that can be named, so that the order has no holes.
const SCHEMA: &str = "
alter table memberships add column external_id {key};
alter table memberships add column metadata text;
alter table memberships add column name_key {key} not null default '';
alter table memberships add column last_active_at bigint not null default -4611686018427387904;
alter table memberships add column is_made_here boolean not null default false;
create unique index memberships_by_external_id on memberships (organization_id, external_id);
create index memberships_by_name on memberships (organization_id, name_key, id);
create index memberships_by_activity on memberships (organization_id, last_active_at, id);
create index memberships_by_creation on memberships (organization_id, created_at, id);
create index memberships_by_state on memberships (organization_id, state, id);
create index memberships_by_address on memberships (email_key, id);
drop index memberships_by_user;
create index memberships_by_user on memberships (user_id, id);

create table membership_words (
    membership_id {uuid} not null references memberships (id),
    word {key} not null,
    organization_id {uuid} not null references organizations (id),
    primary key (membership_id, word)
);
create index membership_words_by_word on membership_words (organization_id, word, membership_id);
create index grants_by_role on grants (scope, place_kind, role, principal_kind, principal_id);

alter table organizations add column product {key} not null default '';
alter table organizations add column slug {key};
alter table organizations add column external_id {key};
alter table organizations add column metadata text;
create unique index organizations_by_slug on organizations (product, slug);
create unique index organizations_by_external_id on organizations (product, external_id)
";

/// Writes the keys and the words of the members who are there already, as they were made when this was written.
async fn fill(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let (db, backend) = (manager.get_connection(), manager.get_database_backend());
    let all = Statement::from_string(backend, "select id, organization_id, email_key, display_name from memberships");
    for row in db.query_all_raw(all).await? {
        let (id, organization): (Value, Value) =
            (row.try_get::<Uuid>("", "id")?.into(), row.try_get::<Uuid>("", "organization_id")?.into());
        let (email, name): (String, String) = (row.try_get("", "email_key")?, row.try_get("", "display_name")?);
        let name = name.to_lowercase();
        let keyed = "update memberships set name_key = $1 where id = $2";
        db.execute_raw(Statement::from_sql_and_values(backend, keyed, [name.clone().into(), id.clone()])).await?;
        for word in words(&name, &email) {
            let insert = "insert into membership_words (membership_id, word, organization_id) values ($1, $2, $3)";
            let values = [id.clone(), word.into(), organization.clone()];
            db.execute_raw(Statement::from_sql_and_values(backend, insert, values)).await?;
        }
    }
    Ok(())
}

fn words(name: &str, email: &str) -> std::collections::BTreeSet<String> {
    let texts = name.split_whitespace().chain([email]);
    let beginnings = texts.flat_map(|text| {
        let is_begin = |at: usize| at == 0 || !text[..at].ends_with(char::is_alphanumeric);
        text.char_indices().filter(move |(at, c)| c.is_alphanumeric() && is_begin(*at)).map(move |(at, _)| &text[at..])
    });
    beginnings.take(40).map(str::to_owned).collect()
}
