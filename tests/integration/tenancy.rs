//! Every statement on an organization's rows names its organization: read from the sources of `src/store`.
//!
//! A function that names a table of organizations by its entity, or in SQL, must name the column too. The few that must not are
//! listed with the reason; an entry that nothing needs fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Tables whose rows are an organization's. A grant's column is `scope`, which is the installation's or an organization's.
const TABLES: &[&str] = &[
    "barred_from_links",
    "contacts",
    "grants",
    "group_members",
    "groups",
    "invitations",
    "membership_words",
    "memberships",
    "muted_contacts",
    "notification_windows",
    "removals",
    "resource_words",
    "resources",
    "roles",
    "seat_limits",
    "service_accounts",
];

/// What names the organization: the column of an entity or in SQL, the one that a read or transaction is of, and helpers that
/// select within it.
const NAMES_IT: &[&str] = &["OrganizationId", "organization_id", "organization", "Scope", "scope", "in_groups"];

/// Functions that read across organizations, and why.
const ACROSS: &[(&str, &str)] = &[
    ("bars_forget", "deletes what has lapsed, in every organization"),
    ("invitation_by_token", "the token says which organization is meant"),
    ("sits", "a part of statements that name it"),
];

#[test]
fn every_statement_on_an_organizations_rows_names_it() {
    let (mut wrong, mut unused) = (Vec::new(), ACROSS.iter().copied().collect::<BTreeMap<_, _>>());
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for path in sources_below(&store) {
        let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        for (name, body) in functions(&tokens) {
            let words = words(&body);
            let names_table = TABLES.iter().find(|table| is_read(&body, &words, table));
            let Some(table) = names_table else { continue };
            if words.iter().any(|word| NAMES_IT.contains(&word.as_str())) {
                continue;
            }
            if unused.remove(name.as_str()).is_none() && !ACROSS.iter().any(|(other, _)| *other == name) {
                wrong.push(format!("{}: {name} on {table}", path.strip_prefix(&store).unwrap().display()));
            }
        }
    }
    wrong.sort();
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(unused, BTreeMap::new(), "listed and not needed");
}

/// Returns every source below a folder.
fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Returns whether a body has a statement on a table: by its entity, or in a text of SQL.
fn is_read(body: &TokenStream, words: &[String], table: &str) -> bool {
    let by_entity = words.windows(2).any(|pair| pair[0] == table && pair[1] == "Entity");
    let in_sql = texts(body).iter().any(|text| {
        ["from", "join", "update", "into"].iter().any(|verb| {
            let named = format!("{verb} {table}");
            text.match_indices(&named).any(|(at, _)| {
                !text[at + named.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
            })
        })
    });
    by_entity || in_sql
}

/// Returns the name and body of every function, those of tests aside.
fn functions(tokens: &TokenStream) -> Vec<(String, TokenStream)> {
    let mut found = Vec::new();
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut name: Option<String> = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "fn" => name = tokens.get(at + 1).map(ToString::to_string),
            TokenTree::Punct(mark) if mark.as_char() == ';' => name = None,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => match name.take() {
                Some(name) => found.push((name, group.stream())),
                None => found.extend(functions(&group.stream())),
            },
            _ => {}
        }
    }
    found
}

/// Returns the identifiers of some tokens and those in their texts, in order.
fn words(tokens: &TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens.clone() {
        match token {
            TokenTree::Group(group) => found.extend(words(&group.stream())),
            TokenTree::Ident(word) => found.push(word.to_string()),
            TokenTree::Literal(text) => {
                let text = text.to_string();
                let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                found.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
            }
            TokenTree::Punct(_) => {}
        }
    }
    found
}

fn texts(tokens: &TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens.clone() {
        match token {
            TokenTree::Group(group) => found.extend(texts(&group.stream())),
            TokenTree::Literal(text) => {
                // The line breaks of a text that goes over several.
                let text = text.to_string().replace("\\\n", " ");
                found.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
    found
}

#[test]
fn a_statement_without_its_organization_is_found() {
    let source = "
        impl OrgReads<'_> {
            fn by_id(&self) { groups::Entity::find_by_id(id).one(&self.db) }
            fn in_sql(&self) { rows(\"select 1 from \\
                resources r where id = $1\") }
            fn named(&self) { groups::Entity::find().filter(groups::Column::OrganizationId.eq(1)) }
            fn other(&self) { users::Entity::find() }
        }
    ";
    let found: Vec<String> = functions(&source.parse().unwrap())
        .into_iter()
        .filter(|(_, body)| {
            let words = words(body);
            let is_on_a_table = TABLES.iter().any(|table| is_read(body, &words, table));
            is_on_a_table && !words.iter().any(|word| NAMES_IT.contains(&word.as_str()))
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, ["by_id", "in_sql"]);
}
