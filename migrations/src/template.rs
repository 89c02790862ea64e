//! Fills in what PostgreSQL and SQLite spell differently.

use sea_orm_migration::sea_orm::DbBackend;

/// A word in braces, and what each engine reads in its place.
pub struct Placeholder {
    pub name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

const fn placeholder(name: &'static str, postgres: &'static str, sqlite: &'static str) -> Placeholder {
    Placeholder { name, postgres, sqlite }
}

pub const PLACEHOLDERS: &[Placeholder] = &[
    placeholder("uuid", "uuid", "blob"),
    placeholder("bytes", "bytea", "blob"),
    // Text compared bytewise.
    placeholder("key", "text collate \"C\"", "text"),
    // How a reader of the log finds commits that it could not see before (see `changelog`): SQLite numbers them, and
    // PostgreSQL keeps the transaction.
    placeholder("sequence", "", "sequence integer primary key autoincrement,"),
    placeholder("transaction", "txid xid8 not null default pg_current_xact_id(),", ""),
    placeholder("transaction_index", "create index commits_by_transaction on commits (txid);", ""),
];

/// Returns the script for `engine`. `{}`, the empty JSON object, stays.
///
/// # Errors
/// A word in braces that is no placeholder, and a brace that is not closed.
pub fn fill(template: &str, engine: DbBackend) -> Result<String, String> {
    let mut script = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a brace is not closed")?;
        script.push_str(before);
        script.push_str(match (name, PLACEHOLDERS.iter().find(|placeholder| placeholder.name == name)) {
            ("", _) => "{}",
            (_, Some(placeholder)) if engine == DbBackend::Postgres => placeholder.postgres,
            (_, Some(placeholder)) => placeholder.sqlite,
            (_, None) => return Err(format!("{{{name}}} is no placeholder")),
        });
        rest = after;
    }
    script.push_str(rest);
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_becomes_the_word_of_the_engine() {
        let template = "id {uuid} not null, name {key} default '{}'";
        let filled = |engine| fill(template, engine).expect("a script");
        assert_eq!(filled(DbBackend::Postgres), "id uuid not null, name text collate \"C\" default '{}'");
        assert_eq!(filled(DbBackend::Sqlite), "id blob not null, name text default '{}'");
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for template in ["id {uid}", "id {Uuid}", "id { uuid }", "id {uuid", "default '{\"a\": 1}'"] {
            for engine in [DbBackend::Postgres, DbBackend::Sqlite] {
                assert!(fill(template, engine).is_err(), "{template}");
            }
        }
    }
}
