//! The environment's names: those that are settings, those that mean something elsewhere, and those that mean nothing,
//! which are refused: a misspelt setting would be passed over in silence.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;

use clap::{Args, Command};

use super::Config;

/// What all names of ours begin with.
const OURS: &str = "GUILDHALL_";

/// Names that clients, tests and tools read. No setting of a server.
pub const OF_CLIENTS_AND_TESTS: [&str; 10] = [
    "GUILDHALL_ACT",
    "GUILDHALL_BENCH_SHARE",
    "GUILDHALL_KEY",
    "GUILDHALL_PLANS",
    "GUILDHALL_POSTGRES_PROGRAMS",
    "GUILDHALL_SEED",
    "GUILDHALL_SOAK",
    "GUILDHALL_TEST_POSTGRES_LOG",
    "GUILDHALL_TEST_POSTGRES_URL",
    "GUILDHALL_TEST_PRESETS",
];

/// How alike a setting must be to be suggested, from 0 to 1 (Jaro). As clap does for options.
const ALIKE: f64 = 0.7;
/// With so many letters wrong a name is a misspelt setting, whatever it begins with.
const SLIPS: usize = 2;

/// Variables that are no settings, each with the setting that it looks most like.
#[derive(Debug)]
pub struct UnknownVariables(Vec<(String, Option<String>)>);

impl std::error::Error for UnknownVariables {}

impl fmt::Display for UnknownVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the environment has names that are no settings: ")?;
        for (at, (name, alike)) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            write!(f, "{}", name.escape_debug())?;
            if let Some(alike) = alike {
                write!(f, " (did you mean {alike}?)")?;
            }
        }
        f.write_str(". `guildhall serve --help` lists the settings")
    }
}

/// Refuses an environment with names that look like settings and are none. Nothing is said of what they are set to.
///
/// # Errors
/// - [`UnknownVariables`], all of them.
pub fn must_be_known(names: impl IntoIterator<Item = OsString>) -> Result<(), UnknownVariables> {
    let settings = settings();
    let unknown = |name: OsString| {
        let name = name.to_string_lossy().into_owned();
        let is_known = settings.contains(&name)
            || OF_CLIENTS_AND_TESTS.contains(&name.as_str())
            || is_made_by_kubernetes(&name)
            || !(is_ours(&name) || settings.iter().any(|setting| is_slip_of(&name, setting)));
        (!is_known).then(|| {
            let alike = most_alike(&name, &settings);
            (name, alike)
        })
    };
    let unknown: Vec<_> = names.into_iter().filter_map(unknown).collect();
    if unknown.is_empty() { Ok(()) } else { Err(UnknownVariables(unknown)) }
}

/// The variables that are settings.
fn settings() -> BTreeSet<String> {
    let command = Config::augment_args(Command::new("serve"));
    let names = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    names.filter(|name| name.starts_with(OURS)).collect()
}

fn is_ours(name: &str) -> bool {
    name.get(..OURS.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(OURS))
}

fn is_slip_of(name: &str, setting: &str) -> bool {
    // Most of an environment differs in length alone by more.
    name.len().abs_diff(setting.len()) <= SLIPS && strsim::osa_distance(&name.to_uppercase(), setting) <= SLIPS
}

fn most_alike(name: &str, settings: &BTreeSet<String>) -> Option<String> {
    let name = name.to_uppercase();
    let slips = settings.iter().map(|setting| (strsim::osa_distance(&name, setting), setting)).min();
    if let Some((_, setting)) = slips.filter(|(slips, _)| *slips <= SLIPS) {
        return Some(setting.clone());
    }
    if let Some(setting) = settings.iter().find(|setting| is_short_for(rest(&name), rest(setting))) {
        return Some(setting.clone());
    }
    let alike = settings.iter().map(|setting| (strsim::jaro(rest(&name), rest(setting)), setting));
    let (likeness, setting) = alike.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > ALIKE).then(|| setting.clone())
}

/// Returns whether all letters of `short` stand in `long` in their order, the first and the last at its ends, as in
/// `DB_URL`.
fn is_short_for(short: &str, long: &str) -> bool {
    let mut letters = long.chars();
    short.len() > 2
        && short.chars().next() == long.chars().next()
        && short.chars().last() == long.chars().last()
        && short.chars().all(|letter| letters.any(|other| other == letter))
}

/// What tells settings apart: all of them begin alike.
fn rest(name: &str) -> &str {
    name.strip_prefix(OURS).unwrap_or(name)
}

/// Returns whether a name is one of those that Kubernetes puts into every pod for each Service that there is:
/// `*_SERVICE_HOST`, `*_SERVICE_PORT*`, `*_PORT`, `*_PORT_<number>_TCP*` and the like of other protocols.
fn is_made_by_kubernetes(name: &str) -> bool {
    let is_port = |rest: &str| {
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        digits > 0 && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| rest[digits..].starts_with(protocol))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, mark)| is_port(&name[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(names: &[&str]) -> Option<String> {
        must_be_known(names.iter().map(Into::into)).err().map(|unknown| unknown.to_string())
    }

    #[test]
    fn no_setting_is_named_as_kubernetes_names_services() {
        let settings = settings();
        assert!(settings.len() > 20, "{settings:?}");
        for setting in &settings {
            assert!(!is_made_by_kubernetes(setting), "a Service would set {setting}");
            assert!(!OF_CLIENTS_AND_TESTS.contains(&setting.as_str()), "{setting} would mean two things");
        }
    }

    #[test]
    fn what_services_clients_and_others_set_passes() {
        for names in [
            ["GUILDHALL_SERVICE_HOST", "GUILDHALL_SERVICE_PORT", "GUILDHALL_SERVICE_PORT_GRPC", "GUILDHALL_PORT"],
            ["GUILDHALL_PORT_50051_TCP", "GUILDHALL_PORT_50051_TCP_PROTO", "GUILDHALL_PORT_53_UDP_ADDR", "PATH"],
            ["GUILDHALL_WEB_PORT_8080_TCP_PORT", "GUILDHALL_KEY", "GUILDHALL_DATABASE_URL", "GUILDHALL"],
            ["GUILDHALL_DATABASE_SERVICE_HOST", "HALL_DATABASE_URL", "DATABASE_URL", "guild"],
        ] {
            assert_eq!(refused(&names), None);
        }
    }

    #[test]
    fn a_slip_is_refused_with_what_was_meant() {
        for name in [
            "GUILDHALL_DATABSE_URL",
            "GUILDHALL_DATABASEURL",
            "GUILDHALL_DATABASE_URI",
            "GUILDHALL_DB_URL",
            "guildhall_database_url",
            "Guildhall_Database_Url",
            "GUILDHAL_DATABASE_URL",
            "GUILD_HALL_DATABASE_URL",
            "GUILDHALLDATABASE_URL",
            "GUILDHALL_DATABASE_URL_",
        ] {
            let told = refused(&["PATH", name]).expect(name);
            assert!(told.contains(&format!("{name} (did you mean GUILDHALL_DATABASE_URL?)")), "{told}");
            assert!(!told.contains("PATH"), "{told}");
        }
        for name in ["GUILDHALL_", "GUILDHALL_X", "GUILDHALL_PORT_TCP", "GUILDHALL_PORT_X_TCP", "GUILDHALL_\u{e4}"] {
            assert!(refused(&[name]).is_some_and(|told| told.contains(name)), "{name}");
        }
        let told = refused(&["GUILDHALL_LISTN", "GUILDHALL_ISUER"]).expect("both");
        assert!(told.contains("GUILDHALL_LISTEN?") && told.contains("GUILDHALL_ISSUER?"), "{told}");
    }
}
