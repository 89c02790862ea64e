//! Reading: commits in order, and how far the logs have come.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::append::{scope_key, scope_of};
use super::entity::{commits, facts, heads};
use crate::domain::fact::{Commit, Fact, Scope};
use crate::domain::revision::{Position, Revision, Tag};

/// Most commits that one reading gives.
const COMMITS_MAX: u64 = 1_000;

/// Reads the commits of a log from revision `from` on, itself included; at most 1,000, so ask again for more.
///
/// Reads commits and facts in two statements: a commit that shows up between them is left to the next reading.
///
/// # Errors
/// Passes on what the database says; a fact that cannot be read is [`DbErr::Custom`].
pub async fn commits_after<F: Fact>(
    db: &impl ConnectionTrait,
    scope: Scope,
    from: Revision,
) -> Result<Vec<Commit<F>>, DbErr> {
    let rows = commits::Entity::find()
        .filter(commits::Column::Scope.eq(scope_key(scope)))
        .filter(commits::Column::Revision.gte(from.0.cast_signed()))
        .order_by_asc(commits::Column::Revision)
        .limit(COMMITS_MAX)
        .all(db)
        .await?;
    let Some(last) = rows.last() else { return Ok(Vec::new()) };
    let facts = facts::Entity::find()
        .filter(facts::Column::Scope.eq(scope_key(scope)))
        .filter(facts::Column::Revision.between(from.0.cast_signed(), last.revision))
        .order_by_asc(facts::Column::Revision)
        .order_by_asc(facts::Column::Ordinal)
        .all(db)
        .await?;

    let mut facts = facts.into_iter().peekable();
    let mut commits = Vec::with_capacity(rows.len());
    for row in rows {
        let mut commit = Commit { position: position(row.revision, row.tag), facts: Vec::new() };
        while let Some(fact) = facts.next_if(|fact| fact.revision == row.revision) {
            commit.facts.push(decode(&fact.fact)?);
        }
        commits.push(commit);
    }
    Ok(commits)
}

/// Reads how far a log has come; `None` if there is none.
pub async fn head(db: &impl ConnectionTrait, scope: Scope) -> Result<Option<Position>, DbErr> {
    let row = heads::Entity::find_by_id(scope_key(scope)).one(db).await?;
    Ok(row.map(|row| position(row.revision, row.tag)))
}

/// Reads how far several logs have come.
pub async fn head_positions(db: &impl ConnectionTrait, scopes: &[Scope]) -> Result<Vec<(Scope, Position)>, DbErr> {
    let keys = scopes.iter().map(|scope| scope_key(*scope));
    let rows = heads::Entity::find().filter(heads::Column::Scope.is_in(keys)).all(db).await?;
    Ok(rows.into_iter().map(|row| (scope_of(row.scope), position(row.revision, row.tag))).collect())
}

/// Reads the tag of one commit; `None` if there is none.
pub async fn tag(db: &impl ConnectionTrait, scope: Scope, revision: Revision) -> Result<Option<Tag>, DbErr> {
    let row = commits::Entity::find_by_id((scope_key(scope), revision.0.cast_signed())).one(db).await?;
    Ok(row.map(|row| Tag(row.tag.cast_unsigned())))
}

fn position(revision: i64, tag: i64) -> Position {
    Position { revision: Revision(revision.cast_unsigned()), tag: Tag(tag.cast_unsigned()) }
}

fn decode<F: Fact>(text: &str) -> Result<F, DbErr> {
    serde_json::from_str(text).map_err(|error| DbErr::Custom(format!("a fact that cannot be read: {error}")))
}
