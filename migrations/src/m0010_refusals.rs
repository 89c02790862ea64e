//! What was refused and mailed of late, and the devices that have signed in before.

use sea_orm_migration::prelude::*;

use crate::sql;

/// The migration.
#[derive(Debug)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0010_refusals"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, SCHEMA).await
    }

    /// All of it or none, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// `subject` and `address` are keyed hashes: neither an address nor where somebody sits stands here.
const SCHEMA: &str = "
create table refusals (
    subject {bytes} not null,
    address {bytes} not null,
    window_began_at bigint not null,
    in_window bigint not null,
    in_a_row bigint not null,
    refused_at bigint not null,
    primary key (subject, address)
);
create index refusals_by_last on refusals (refused_at);
create table devices (
    token_hash {bytes} primary key,
    user_id {uuid} not null references users (id),
    expires_at bigint not null
);
create index devices_by_user on devices (user_id, expires_at);
create index devices_by_expiry on devices (expires_at);
create table mail_counts (
    subject {bytes} primary key,
    window_began_at bigint not null,
    mails bigint not null
);
create index mail_counts_by_window on mail_counts (window_began_at)
";
