//! Nothing that was answered is lost, nothing that was refused is there, whatever breaks, wherever it breaks.
//!
//! `acts` has every call that changes something, `truth` reads what is in the database past every server, and `trial`
//! holds one against the other while something breaks: on PostgreSQL a network between (`postgres`), which may also
//! fall silent (`silence`); on SQLite commits and
//! statements (`sqlite`), and the disk (`full`). `GUILDHALL_SOAK` breaks all in turn instead of some,
//! `GUILDHALL_SEED` picks others, and `GUILDHALL_ACT` plays one call alone.

pub mod acts;
mod full;
mod load;
mod postgres;
mod silence;
mod sqlite;
pub mod trial;
mod truth;

use guildhall::config::Config;

/// Where the picking begins.
fn seed() -> u64 {
    std::env::var("GUILDHALL_SEED").map_or(1, |text| text.parse().expect("a number"))
}

/// Returns the settings of a server whose acts are many: more than anybody may have mailed.
fn unlimited(mut config: Config) -> Config {
    config.limits.invitations_per_sponsor = u32::MAX;
    config.limits.invitations_per_organization = u32::MAX;
    config
}
