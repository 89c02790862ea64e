//! The tables, one module each, as `migrations` makes them.

pub mod api_keys;
pub mod grants;
pub mod idempotency_records;
pub mod installation;
pub mod invitations;
pub mod memberships;
pub mod organizations;
pub mod outbox;
pub mod passwords;
pub mod resources;
pub mod service_accounts;
pub mod sessions;
pub mod sign_in_failures;
pub mod signing_keys;
pub mod user_emails;
pub mod users;
