//! Who may import whom: the rooms of `src/`, read from its sources.
//!
//! The tables below are the rule (docs/architecture.md says why). A room or a crate that is not in them fails the test,
//! and so does an entry that nothing uses. What stands under `#[cfg(test)]` is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use guildhall::domain::catalog::{RESERVED, RoleId, parse};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What each room may name of ours. `room::Item` is that item and nothing else.
const ROOMS: &[(&str, &[&str])] = &[
    // Leaves.
    ("domain", &[]),
    ("locked", &[]),
    ("rpc", &[]),
    ("config", &[]),
    ("console", &[]),
    ("private", &[]),
    ("proto", &[]),
    ("clock", &["domain"]),
    ("telemetry", &["rpc"]),
    ("workers", &["clock"]),
    // The spine: rows and the log below, what derives from the log beside them.
    ("changelog", &["domain"]),
    ("store", &["changelog", "clock", "domain", "private"]),
    ("authz", &["changelog", "clock", "domain", "workers"]),
    // Credentials and mails.
    ("auth", &["clock", "domain", "locked", "private"]),
    ("mail", &["auth", "clock", "domain", "locked", "private", "store"]),
    // The way of a request.
    ("service", &["auth", "authz", "changelog::Author", "clock", "domain", "locked", "mail::Mail", "rpc", "store"]),
    ("jobs", &["authz", "clock", "domain", "mail::SendError", "mail::Sender", "service", "store", "workers"]),
    (
        "transport",
        &[
            "auth",
            "authz",
            "clock",
            "config::ListenerLimits",
            "domain",
            "proto",
            "rpc",
            "service",
            "telemetry",
            "workers",
        ],
    ),
    // A client like any other, and what builds everything.
    ("demo", &["app", "auth::InstallationKey", "clock", "config", "console", "private", "proto"]),
    (
        "app",
        &[
            "auth",
            "authz",
            "changelog::Source",
            "clock",
            "config",
            "domain",
            "jobs",
            "mail",
            "private",
            "service",
            "store",
            "telemetry",
            "transport",
            "workers",
        ],
    ),
    (
        "main",
        &[
            "app",
            "auth::install_jwt_crypto",
            "clock",
            "config",
            "console",
            "demo",
            "service::HandOver",
            "store",
            "telemetry",
        ],
    ),
    ("lib", &[]),
];

/// Modules of `service`, `transport` and `store` that are named for a noun: none of them names another. What two nouns
/// share is a rule, and stands in `domain`, or stands beside the nouns: how every use case runs, how a plan of grants
/// is carried out, how rows are read.
///
/// `domain` is not held to it. Its nouns are made of one another: an invitation offers assignments, a member's place is
/// in an organization, every noun has a catalog's types. A seam between them would hold identifiers and nothing else.
const NOUNS: &[&str] = &[
    "catalog",
    "check",
    "contact",
    "delivery",
    "grant",
    "group",
    "installation",
    "invitation",
    "mail_count",
    "member",
    "notification",
    "organization",
    "refusal",
    "resource",
    "role",
    "service_account",
    "session",
    "user",
];

/// Which rooms may name a crate; [`ANY`] is every room but the pure ones.
const CRATES: &[(&str, &[&str])] = &[
    // The wire.
    ("axum", &["transport"]),
    ("bytes", &["transport"]),
    ("http", &["transport"]),
    ("http_body", &["transport"]),
    ("http_body_util", &["transport"]),
    ("h2", &["transport"]),
    ("hyper", &["transport"]),
    ("hyper_util", &["transport"]),
    ("prost", &["transport"]),
    ("prost_types", &["transport"]),
    ("tonic", &["demo", "lib", "transport"]),
    ("tonic_health", &["app", "transport"]),
    ("tonic_reflection", &["transport"]),
    ("tonic_types", &["transport"]),
    ("rustls", &["main", "transport"]),
    ("tokio_rustls", &["transport"]),
    ("tower", &["transport"]),
    // The database.
    ("migrations", &["store"]),
    ("nix", &["store"]),
    ("sea_orm", &["changelog", "store"]),
    ("sea_orm_migration", &["store"]),
    // Credentials.
    ("argon2", &["auth"]),
    ("jsonwebtoken", &["auth"]),
    ("ring", &["auth"]),
    ("secrecy", &["app", "auth", "config", "demo", "mail", "store"]),
    ("sha2", &["auth", "changelog", "transport"]),
    // Mails.
    ("lettre", &["mail"]),
    // Time and randomness.
    ("getrandom", &["clock"]),
    ("time", &["domain", "mail"]),
    ("rustix", &["clock", "console", "transport"]),
    // Settings, logs, metrics.
    ("clap", &["config", "demo", "main"]),
    ("ipnet", &["config", "transport"]),
    ("strsim", &["config", "domain"]),
    ("mimalloc", &["main"]),
    ("opentelemetry", &["telemetry", "transport"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry", "transport"]),
    ("prometheus_client", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    // Filters of lists.
    ("aip_160", &["domain"]),
    // Forms of texts.
    ("icu_properties", &["domain"]),
    ("idna", &["domain"]),
    ("unicode_normalization", &["domain"]),
    // The index.
    ("arc_swap", &["authz", "clock"]),
    ("foldhash", &["authz", "domain"]),
    ("hashbrown", &["authz"]),
    ("imbl", &["authz"]),
    ("quick_cache", &["service"]),
    // What any room may use.
    ("base64", ANY),
    ("futures_util", ANY),
    ("parking_lot", ANY),
    ("scopeguard", &["auth", "authz"]),
    ("serde", ANY),
    ("serde_json", ANY),
    ("serde_saphyr", &["domain"]),
    ("thiserror", ANY),
    ("tokio", ANY),
    ("tokio_stream", ANY),
    ("tokio_util", ANY),
    ("tracing", ANY),
    ("smallvec", &["authz"]),
    ("uuid", ANY),
];

const ANY: &[&str] = &["*"];

/// Crates of the manifest that the generated code names, or nothing does yet.
const NOT_NAMED: &[&str] = &["tonic_prost"];

/// Pure rooms and files: no runtime, no IO. They name these crates and no others.
const PURE: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "aip_160",
            "foldhash",
            "icu_properties",
            "idna",
            "serde",
            "serde_json",
            "serde_saphyr",
            "strsim",
            "thiserror",
            "time",
            "unicode_normalization",
            "uuid",
        ],
    ),
    ("authz/index/base.rs", &["foldhash"]),
    ("authz/index/draft.rs", &["foldhash"]),
    ("authz/index/evaluate.rs", &["smallvec"]),
    ("authz/index/list.rs", &["imbl", "serde", "uuid"]),
    ("authz/index/mod.rs", &["imbl", "smallvec", "uuid"]),
    ("authz/index/overlay.rs", &["foldhash", "imbl"]),
    ("authz/index/staged.rs", &["smallvec"]),
    ("authz/index/table.rs", &[]),
    ("authz/index/touched.rs", &[]),
    ("authz/index/words.rs", &[]),
    ("authz/installation.rs", &["foldhash", "imbl"]),
    ("authz/question.rs", &[]),
    ("clock/anchor.rs", &[]),
    ("transport/wire/read.rs", &[]),
    ("transport/wire/reader.rs", &["thiserror"]),
    ("transport/wire/write.rs", &["bytes"]),
];

/// Names in presets that are words of Guildhall's own, too, each with what it means here.
const WORDS: &[(&str, &str)] = &[
    ("owner", "a field of a request, about whose a resource is"),
    ("role", "what an error is about; a key of the catalog format"),
    ("user", "a kind of principal and of subject; what an error is about"),
    ("users", "a table"),
    ("view", "a verb that Guildhall asks of every type"),
];

/// One source file.
struct Source {
    /// Its path below `src/`.
    path: String,
    /// Its module, as in `["store", "entity", "users"]`; empty for lib.rs.
    module: Vec<String>,
    tokens: TokenStream,
}

impl Source {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Reads every file that is not a test.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let is_test = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let parts = path.trim_end_matches(".rs").split('/').filter(|part| !matches!(*part, "mod" | "lib"));
        let module = parts.map(str::to_owned).collect();
        Source { path, module, tokens: without_tests(text.parse().unwrap()) }
    };
    files_below(&src, "rs").into_iter().filter(|path| !is_test(path)).map(source).collect()
}

/// Drops every item that stands under `#[cfg(test)]`.
fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut is_in_test = false;
    for token in tokens {
        let ends_item = match &token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        let is_attribute = matches!(kept.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#');
        if is_in_test {
            is_in_test = !ends_item;
        } else if is_attribute && token.to_string().replace(' ', "") == "[cfg(test)]" {
            kept.pop();
            is_in_test = true;
        } else if let TokenTree::Group(group) = &token {
            let inner = without_tests(group.stream());
            kept.push(TokenTree::Group(proc_macro2::Group::new(group.delimiter(), inner)));
        } else {
            kept.push(token);
        }
    }
    kept.into_iter().collect()
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

fn text(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

/// Returns every path that the tokens name, `use` groups spread out: `a::{b, c::d}` is `a::b` and `a::c::d`.
///
/// Modules written in the file are stepped into: what `super` means there is made right.
fn paths(tokens: &TokenStream, depth: usize, found: &mut BTreeSet<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            let is_module = at >= 2 && text(&tokens[at - 2]).is_some_and(|it| it == "mod");
            paths(&group.stream(), depth + usize::from(is_module), found);
        } else if text(&tokens[at]).is_some() && is_colon(tokens.get(at + 1)) && is_colon(tokens.get(at + 2)) {
            let (spread, next) = spread(&tokens, at);
            for mut path in spread {
                // Out of a module written in the file, `super` is the file itself.
                let ups = path.iter().take_while(|part| *part == "super").count().min(depth);
                path.drain(..ups);
                if ups > 0 && path.first().is_none_or(|part| part != "super") {
                    path.insert(0, "self".to_owned());
                }
                found.insert(path);
            }
            at = next;
            continue;
        }
        at += 1;
    }
}

/// Spreads out one path that begins at `at`; gives where it ends.
fn spread(tokens: &[TokenTree], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut prefix = Vec::new();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => prefix.push(ident.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && !prefix.is_empty() => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let branches = inner.split(|token| matches!(token, TokenTree::Punct(it) if it.as_char() == ','));
                let spread_all = branches.filter(|branch| !branch.is_empty()).flat_map(|branch| spread(branch, 0).0);
                let all = spread_all.map(|rest| prefix.iter().cloned().chain(rest).collect()).collect();
                return (all, at + 1);
            }
            _ => return (vec![prefix], at),
        }
        at += 1;
        if !(is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))) {
            return (vec![prefix], at);
        }
        at += 2;
    }
}

/// Returns what a file names of ours, from the crate's root down; and the crates that it names.
fn named(source: &Source, crates: &BTreeSet<String>) -> (BTreeSet<Vec<String>>, BTreeSet<String>) {
    let mut all = BTreeSet::new();
    paths(&source.tokens, 0, &mut all);
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    for path in all {
        match path[0].as_str() {
            "crate" | "guildhall" => drop(ours.insert(path[1..].to_vec())),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let above = &source.module[..source.module.len() - ups];
                ours.insert(above.iter().chain(&path[ups..]).cloned().collect());
            }
            name if crates.contains(name) => drop(theirs.insert(name.to_owned())),
            _ => {}
        }
    }
    (ours, theirs)
}

/// Names the crates of the manifest, as they are written in sources.
fn crates() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (section, _) = rest.split_once("\n[").unwrap();
    section.lines().filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect()
}

#[test]
fn every_room_names_only_what_it_may() {
    let (crates, mut wrong) = (crates(), Vec::new());
    let mut unused: BTreeSet<(&str, &str)> =
        ROOMS.iter().flat_map(|(room, may)| may.iter().map(move |other| (*room, *other))).collect();
    for source in sources() {
        let room = source.room();
        let Some((room, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room {room} is not in ROOMS", source.path));
            continue;
        };
        for path in named(&source, &crates).0 {
            let item = path.iter().take(2).map(String::as_str).collect::<Vec<_>>().join("::");
            let other = path.first().map_or("", String::as_str);
            if other.is_empty() || other == *room || !ROOMS.iter().any(|(name, _)| *name == other) {
                continue;
            }
            match may.iter().find(|allowed| **allowed == other || **allowed == item) {
                Some(allowed) => drop(unused.remove(&(room, allowed))),
                None => wrong.push(format!("{}: {room} may not name {item}", source.path)),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(unused, BTreeSet::new(), "allowed and not used");
}

#[test]
fn every_crate_is_named_only_where_it_may_be() {
    let (crates, mut wrong) = (crates(), Vec::new());
    let listed: BTreeSet<String> =
        CRATES.iter().map(|(name, _)| *name).chain(NOT_NAMED.iter().copied()).map(str::to_owned).collect();
    assert_eq!(crates, listed, "the manifest on the left, the tables on the right");

    let mut unused: BTreeSet<(&str, &str)> =
        CRATES.iter().flat_map(|(name, rooms)| rooms.iter().map(move |room| (*name, *room))).collect();
    for source in sources() {
        let pure = PURE.iter().find(|(place, _)| *place == source.room() || *place == source.path);
        for name in named(&source, &crates).1 {
            let Some((name, rooms)) = CRATES.iter().find(|(other, _)| *other == name) else {
                wrong.push(format!("{}: {name} is not to be named", source.path));
                continue;
            };
            let room = rooms.iter().find(|room| **room == "*" || **room == source.room());
            let is_pure_enough = pure.is_none_or(|(_, may)| may.contains(name));
            match room.filter(|_| is_pure_enough) {
                Some(room) => drop(unused.remove(&(name, room))),
                None => wrong.push(format!("{} may not name {name}", source.path)),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(unused, BTreeSet::new(), "allowed and not used");
    for (place, _) in PURE {
        assert!(root().join("src").join(place).exists(), "{place} is no more");
    }
}

#[test]
fn no_noun_uses_another() {
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<&str> = NOUNS.iter().copied().collect();
    for layer in ["service", "transport", "store"] {
        let sources: Vec<Source> =
            sources().into_iter().filter(|source| source.room() == layer && source.module.len() > 1).collect();
        let index = format!("{layer}/mod.rs");
        let owners = owners(&index);
        for source in &sources {
            let Some(noun) = NOUNS.iter().find(|noun| **noun == source.module[1]) else { continue };
            unused.remove(noun);
            for path in named(source, &BTreeSet::new()).0 {
                let Some(name) = path.get(1).filter(|_| path[0] == layer) else { continue };
                let owner = owners.get(name).unwrap_or(name);
                if owner != noun && NOUNS.contains(&owner.as_str()) {
                    wrong.push(format!("{} uses {owner}, by {name}", source.path));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(unused, BTreeSet::new(), "nouns that are no more");
}

/// Returns which module an item belongs to that the layer's `mod.rs` exports: `pub use invitation::Offer` makes `Offer`
/// the name of something in `invitation`.
fn owners(index: &str) -> BTreeMap<String, String> {
    let index = sources().into_iter().find(|source| source.path == index).unwrap();
    let mut exported = BTreeSet::new();
    paths(&index.tokens, 0, &mut exported);
    exported.into_iter().filter(|path| path.len() == 2).map(|path| (path[1].clone(), path[0].clone())).collect()
}

#[test]
fn no_source_knows_a_name_of_a_preset() {
    let mut names = BTreeSet::new();
    for path in files_below(&root().join("presets"), "yaml") {
        let catalog = parse(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap()).unwrap();
        names.insert(catalog.name().to_string());
        names.extend(catalog.resource_types().map(|(_, kind)| kind.name.to_string()));
        names.extend(catalog.plans().iter().map(|plan| plan.name.to_string()));
        let permissions = catalog.permissions().map(|id| catalog.permission_name(id).to_string());
        names.extend(permissions.filter(|name| !RESERVED.contains(&name.as_str())));
        for (_, role) in catalog.roles().filter(|(id, _)| *id != RoleId::OPERATOR) {
            names.insert(role.name.to_string());
            names.extend(role.set.map(|set| catalog.set(set).name.to_string()));
        }
    }
    for known in ["bi-dashboards", "project", "pro", "task.run", "task.set_owner", "admin", "management"] {
        assert!(names.contains(known), "{known} is not in {names:?}");
    }

    let (mut wrong, mut words) = (Vec::new(), BTreeSet::new());
    // The demonstration is a client like any other, and follows one preset.
    for source in sources().into_iter().filter(|source| source.room() != "demo") {
        let mut literals = BTreeSet::new();
        literals_in(&source.tokens, &mut literals);
        for name in literals.intersection(&names) {
            match WORDS.iter().find(|(word, _)| word == name) {
                Some((word, _)) => drop(words.insert(*word)),
                None => wrong.push(format!("{} says {name:?}", source.path)),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(words, WORDS.iter().map(|(word, _)| *word).collect(), "words that nobody says");
}

fn literals_in(tokens: &TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens.clone() {
        match token {
            TokenTree::Group(group) => literals_in(&group.stream(), found),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if let (Some(begin), Some(end)) = (text.find('"'), text.rfind('"')) {
                    found.insert(text[begin + 1..end].to_owned());
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

#[test]
fn what_is_forbidden_is_found_however_it_is_written() {
    let source = "
        use crate::{store::{Tx, self}, domain as d};
        use super::super::mail::Mail;
        mod inner { use super::super::store::Lock; fn f() { let x: crate::auth::Secret = tonic::Status::ok(); } }
        #[cfg(test)] mod tests { use crate::transport::serve; }
        #[cfg(test)] use crate::telemetry::Metrics;
        // use crate::app::App;
        const TEXT: &str = \"crate::config::Config\";
        #[tokio::main] fn main() { pub(crate) struct X; let owner = \"admin\"; }
    ";
    let module = vec!["service".to_owned(), "grant".to_owned()];
    let source = Source { path: String::new(), module, tokens: without_tests(source.parse().unwrap()) };
    let crates = ["tonic", "tokio"].map(str::to_owned).into();
    let (ours, theirs) = named(&source, &crates);
    let ours: BTreeSet<String> = ours.into_iter().map(|path| path.join("::")).collect();
    let expected = ["auth::Secret", "domain", "mail::Mail", "service::store::Lock", "store::Tx", "store::self"];
    assert_eq!(ours, expected.map(str::to_owned).into());
    assert_eq!(theirs, crates);
    let mut literals = BTreeSet::new();
    literals_in(&source.tokens, &mut literals);
    assert!(literals.contains("admin"));
}
