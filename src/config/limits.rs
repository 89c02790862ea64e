//! Limits of what callers without a credential may try, and of what may be mailed.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::some_seconds;

/// Limits.
#[derive(Clone, Debug, Args)]
pub struct Limits {
    /// Addresses and networks, as 10.0.0.0/8, of proxies and backends that say in the header x-forwarded-for where a
    /// user sits who signs in. Of nobody else, but of operators, is it believed; and without it tries are not limited by
    /// source.
    #[arg(long, env = "GUILDHALL_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,

    /// Most refused sign-ins of one address from one source, or on one known device, within the window.
    #[arg(long, env = "GUILDHALL_SIGN_IN_TRIES", default_value_t = Self::default().sign_in_tries, value_parser = some())]
    pub sign_in_tries: u32,

    /// How long refused sign-ins count, in seconds, from the first on.
    #[arg(long, env = "GUILDHALL_SIGN_IN_WINDOW_SECONDS", default_value = "900", value_parser = some_seconds)]
    pub sign_in_window: Duration,

    /// Most addresses of which a sign-in from one source is refused within the window.
    #[arg(long, env = "GUILDHALL_SIGN_IN_ADDRESSES_PER_SOURCE", default_value_t = Self::default().sign_in_addresses_per_source, value_parser = some())]
    pub sign_in_addresses_per_source: u32,

    /// How many sign-ins of one address may be refused in a row, over all sources, before the next has to wait.
    #[arg(long, env = "GUILDHALL_SIGN_IN_FREE_TRIES", default_value_t = Self::default().sign_in_free_tries, value_parser = some())]
    pub sign_in_free_tries: u32,

    /// After how many refusals in a row an address waits longest; a known device is known no more then.
    #[arg(long, env = "GUILDHALL_SIGN_IN_REFUSALS_IN_A_ROW", default_value_t = Self::default().sign_in_refusals_in_a_row, value_parser = some())]
    pub sign_in_refusals_in_a_row: u32,

    /// The first wait of an address, in seconds. Each further refusal makes it longer by the same factor.
    #[arg(long, env = "GUILDHALL_SIGN_IN_DELAY_SECONDS", default_value = "1", value_parser = some_seconds)]
    pub sign_in_delay: Duration,

    /// The longest wait of an address, in seconds.
    #[arg(long, env = "GUILDHALL_SIGN_IN_LONGEST_DELAY_SECONDS", default_value = "3600", value_parser = some_seconds)]
    pub sign_in_longest_delay: Duration,

    /// How long a device is known after a sign-in on it, in seconds.
    #[arg(long, env = "GUILDHALL_DEVICE_LIFETIME_SECONDS", default_value = "7776000", value_parser = some_seconds)]
    pub device_lifetime: Duration,

    /// Most invitations mailed to one address from one organization in a day.
    #[arg(long, env = "GUILDHALL_INVITATIONS_PER_ADDRESS_AND_ORGANIZATION", default_value_t = Self::default().invitations_per_address_and_organization, value_parser = some())]
    pub invitations_per_address_and_organization: u32,

    /// Most invitations mailed to one address in a day, from all organizations. What is beyond it waits, unless an operator
    /// invites, who is refused.
    #[arg(long, env = "GUILDHALL_INVITATIONS_PER_ADDRESS", default_value_t = Self::default().invitations_per_address, value_parser = some())]
    pub invitations_per_address: u32,

    /// Most invitations that one user or service account has mailed in an hour.
    #[arg(long, env = "GUILDHALL_INVITATIONS_PER_SPONSOR", default_value_t = Self::default().invitations_per_sponsor, value_parser = some())]
    pub invitations_per_sponsor: u32,

    /// Most invitations mailed from one organization in a day.
    #[arg(long, env = "GUILDHALL_INVITATIONS_PER_ORGANIZATION", default_value_t = Self::default().invitations_per_organization, value_parser = some())]
    pub invitations_per_organization: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            sign_in_tries: 10,
            sign_in_window: Duration::from_mins(15),
            sign_in_addresses_per_source: 50,
            sign_in_free_tries: 10,
            sign_in_refusals_in_a_row: 100,
            sign_in_delay: Duration::from_secs(1),
            sign_in_longest_delay: Duration::from_hours(1),
            device_lifetime: Duration::from_hours(90 * 24),
            invitations_per_address_and_organization: 5,
            invitations_per_address: 20,
            invitations_per_sponsor: 200,
            invitations_per_organization: 2_000,
        }
    }
}

/// Takes any number but 0.
fn some() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| one())
        .map_err(|_| "must be an address or a network, as 10.0.0.0/8 or 2001:db8::/32".into())
}
