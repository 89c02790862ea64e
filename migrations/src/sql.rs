//! Fills in what the two databases spell differently.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Runs `script`, statements apart by `;`, after the words in braces are replaced:
/// `{uuid}`, `{bytes}`, `{key}` (text compared bytewise), `{sequence}` and `{transaction}` (how a reader finds commits
/// that it could not see before; see `changelog`).
pub async fn run(manager: &SchemaManager<'_>, script: &str) -> Result<(), DbErr> {
    let words: [(&str, &str); 5] = match manager.get_database_backend() {
        DbBackend::Postgres => [
            ("{uuid}", "uuid"),
            ("{bytes}", "bytea"),
            ("{key}", "text collate \"C\""),
            ("{sequence}", ""),
            ("{transaction}", "txid xid8 not null default pg_current_xact_id(),"),
        ],
        _ => [
            ("{uuid}", "blob"),
            ("{bytes}", "blob"),
            ("{key}", "text"),
            ("{sequence}", "sequence integer primary key autoincrement,"),
            ("{transaction}", ""),
        ],
    };
    let script = words.iter().fold(script.to_owned(), |script, (word, sql)| script.replace(word, sql));
    for statement in script.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
