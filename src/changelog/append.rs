//! Writing: the head's lock, and a commit with its facts and details.

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityTrait, Statement, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::entity::{change_details, commits, facts, heads};
use crate::domain::fact::{Fact, Scope};
use crate::domain::place::Subject;
use crate::domain::revision::{Position, Revision, Tag};
use crate::domain::time::Timestamp;

/// Most facts in one commit; larger acts are cut into several.
pub const FACTS_MAX: usize = 10_000;

/// Who makes a commit, by which RPC.
#[derive(Clone, Debug)]
pub struct Author {
    /// Who; nobody for an acceptance and for what the server does by itself.
    pub actor: Option<Subject>,
    /// Name of the RPC, or of the server's own act.
    pub rpc: &'static str,
    /// The call's id, as in the log lines about it.
    pub call_id: Uuid,
    /// Why, in the words of who did it, where they said so.
    pub reason: Option<String>,
}

/// One fact, and what it says about people.
#[derive(Clone, Debug)]
pub struct Change<F> {
    /// Without personal data.
    pub fact: F,
    /// Names, addresses, before and after; erasable.
    pub detail: Option<Detail>,
}

/// What a change says about people.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The person by whom it can be erased: a membership or a user.
    pub subject: Option<Uuid>,
    /// Field by field.
    pub fields: serde_json::Value,
}

impl<F> Change<F> {
    /// A fact with nothing personal to it.
    #[must_use]
    pub fn of(fact: F) -> Self {
        Self { fact, detail: None }
    }

    /// Adds what the fact says about the person `subject`.
    #[must_use]
    pub fn about(mut self, subject: Uuid, fields: serde_json::Value) -> Self {
        self.detail = Some(Detail { subject: Some(subject), fields });
        self
    }
}

/// One log, to be appended to.
#[derive(Clone, Debug)]
pub struct Log {
    pub scope: Scope,
    /// Its head as locked.
    pub head: Head,
}

/// The head of a log: how far it has come, and what is counted under its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last commit.
    pub position: Position,
    /// Holders of bounded roles and the like, as JSON; the store knows what stands in it.
    pub counters: String,
}

/// Returns the key under which a log is stored: the organization's id, or the nil UUID for the installation.
#[must_use]
pub fn scope_key(scope: Scope) -> Uuid {
    match scope {
        Scope::Installation => Uuid::nil(),
        Scope::Organization(id) => id.0,
    }
}

/// Reads back what [`scope_key`] gave.
#[must_use]
pub fn scope_of(key: Uuid) -> Scope {
    if key.is_nil() { Scope::Installation } else { Scope::Organization(key.into()) }
}

/// Starts a log, empty.
pub async fn head_insert(db: &impl ConnectionTrait, scope: Scope) -> Result<(), DbErr> {
    let head =
        heads::ActiveModel { scope: Set(scope_key(scope)), revision: Set(0), tag: Set(0), counters: Set("{}".into()) };
    heads::Entity::insert(head).exec_without_returning(db).await?;
    Ok(())
}

/// Waits, on PostgreSQL, until no transaction is under way that writes to a log or starts it. Leaves the head locked,
/// and is to be rolled back.
pub async fn head_await(db: &impl ConnectionTrait, scope: Scope) -> Result<(), DbErr> {
    let sql =
        "insert into heads (scope, revision, tag, counters) values ($1, 0, 0, '{}') on conflict (scope) do nothing";
    let values: [Value; 1] = [scope_key(scope).into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    head_lock(db, scope).await?;
    Ok(())
}

/// Locks a log to the end of the transaction and reads its head. Whoever holds it is the only writer of that log.
///
/// `None` if there is no such log. On SQLite the transaction, begun IMMEDIATE, is the lock.
pub async fn head_lock(db: &impl ConnectionTrait, scope: Scope) -> Result<Option<Log>, DbErr> {
    let backend = db.get_database_backend();
    let lock = if backend == DbBackend::Postgres { " for no key update" } else { "" };
    let sql = format!("select revision, tag, counters from heads where scope = $1{lock}");
    let values: [Value; 1] = [scope_key(scope).into()];
    let Some(row) = db.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await? else {
        return Ok(None);
    };
    let position = Position {
        revision: Revision(row.try_get::<i64>("", "revision")?.cast_unsigned()),
        tag: Tag(row.try_get::<i64>("", "tag")?.cast_unsigned()),
    };
    Ok(Some(Log { scope, head: Head { position, counters: row.try_get("", "counters")? } }))
}

/// Appends one commit to a locked log and moves its head, with the counters as they are in `log`.
///
/// # Errors
/// Passes on what the database says.
///
/// # Panics
/// Above 10,000 changes: the caller cuts larger acts into several commits.
pub async fn append(
    db: &impl ConnectionTrait,
    log: &Log,
    author: &Author,
    changes: &[Change<impl Fact>],
    now: Timestamp,
) -> Result<Position, DbErr> {
    assert!(changes.len() <= FACTS_MAX, "a commit holds at most {FACTS_MAX} facts");
    let scope = scope_key(log.scope);
    let revision = log.head.position.revision.next();
    let texts: Vec<String> = changes.iter().map(|change| encode(&change.fact)).collect();
    let actor = serde_json::to_string(&author.actor).expect("a subject is plain data");
    let tag = tag(log.head.position.tag, scope, revision, &actor, now, &texts);
    let number = revision.0.cast_signed();

    let commit = commits::ActiveModel {
        scope: Set(scope),
        revision: Set(number),
        tag: Set(tag.0.cast_signed()),
        rpc: Set(author.rpc.to_owned()),
        actor: Set(actor),
        call_id: Set(author.call_id),
        reason: Set(author.reason.clone()),
        committed_at: Set(now.as_micros()),
    };
    commits::Entity::insert(commit).exec_without_returning(db).await?;

    let rows = texts.into_iter().zip(0..).map(|(fact, ordinal)| facts::ActiveModel {
        scope: Set(scope),
        revision: Set(number),
        ordinal: Set(ordinal),
        fact: Set(fact),
    });
    // SQLite takes at most 32,766 parameters a statement.
    for chunk in rows.collect::<Vec<_>>().chunks(5_000) {
        facts::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await?;
    }

    let details = changes.iter().zip(0..).filter_map(|(change, ordinal)| {
        let detail = change.detail.as_ref()?;
        Some(change_details::ActiveModel {
            scope: Set(scope),
            revision: Set(number),
            ordinal: Set(ordinal),
            subject: Set(detail.subject),
            detail: Set(detail.fields.to_string()),
        })
    });
    for chunk in details.collect::<Vec<_>>().chunks(5_000) {
        change_details::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await?;
    }

    let head = heads::ActiveModel {
        scope: Set(scope),
        revision: Set(number),
        tag: Set(tag.0.cast_signed()),
        counters: Set(log.head.counters.clone()),
    };
    heads::Entity::update(head).exec(db).await?;
    Ok(Position { revision, tag })
}

/// Writes a fact as it is stored.
pub(super) fn encode(fact: &impl Fact) -> String {
    serde_json::to_string(fact).expect("facts are plain data")
}

/// Hashes a commit together with the tag before it.
fn tag(before: Tag, scope: Uuid, revision: Revision, actor: &str, now: Timestamp, facts: &[String]) -> Tag {
    let mut hash = Sha256::new();
    hash.update(before.0.to_be_bytes());
    hash.update(scope.as_bytes());
    hash.update(revision.0.to_be_bytes());
    hash.update(now.as_micros().to_be_bytes());
    for text in std::iter::once(actor).chain(facts.iter().map(String::as_str)) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let digest = hash.finalize();
    Tag(u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes")))
}
