//! The tables of `docs/permissions/`, read, with the promise that none leaves out an RPC or a role.

use std::collections::BTreeSet;
use std::sync::Arc;

use guildhall::domain::catalog::{At, Catalog, presets};
use guildhall::rpc::Rpc;
use tonic::{Code, Status};

use crate::harness::reason;

/// The document of each preset.
const DOCUMENTS: [(&str, &str); 5] = [
    ("analytics-workspace", include_str!("../../../docs/permissions/analytics-workspace.md")),
    ("bi-dashboards", include_str!("../../../docs/permissions/bi-dashboards.md")),
    ("disaster-recovery", include_str!("../../../docs/permissions/disaster-recovery.md")),
    ("msp-monitoring", include_str!("../../../docs/permissions/msp-monitoring.md")),
    ("task-automation", include_str!("../../../docs/permissions/task-automation.md")),
];

/// The last column: whoever holds a role in another organization.
const ELSEWHERE: &str = "elsewhere";

/// What a call comes to, as the legend in `docs/permissions.md` explains it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    Yes,
    SignIn,
    Hidden,
    No,
    Off,
    Barred,
    Unfit,
    Absent,
    /// What no table says.
    Other,
}

impl Word {
    fn read(text: &str) -> Self {
        match text {
            "yes" => Self::Yes,
            "sign-in" => Self::SignIn,
            "hidden" => Self::Hidden,
            "no" => Self::No,
            "off" => Self::Off,
            "barred" => Self::Barred,
            "unfit" => Self::Unfit,
            "absent" => Self::Absent,
            _ => panic!("{text:?} is no word of the legend"),
        }
    }
}

/// Says in a word what a call has come to. Two words are one to whoever calls: of those it is the expected one.
pub fn word(result: &Result<(), Status>, expected: Word) -> Word {
    let Err(status) = result else { return Word::Yes };
    match status.code() {
        Code::Unauthenticated => Word::SignIn,
        Code::NotFound if expected == Word::Absent => Word::Absent,
        Code::NotFound => Word::Hidden,
        Code::PermissionDenied => Word::No,
        Code::FailedPrecondition if reason(status) == "FEATURE_OFF" => Word::Off,
        Code::FailedPrecondition => Word::Barred,
        Code::InvalidArgument => Word::Unfit,
        _ => Word::Other,
    }
}

/// What a caller holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Roles by name: at the product, the organization, or the resource in question, where each can be held.
    pub roles: Vec<String>,
    /// How they stand to the resource in question.
    pub relation: Relation,
}

/// How somebody stands to a resource, beside what they hold there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    Stranger,
    Listed,
    Owner,
}

/// A kind of caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Column {
    Nobody,
    Holder(Holding),
    Operator,
    Pending,
    Disabled,
}

impl Column {
    fn read(text: &str) -> Self {
        match text {
            "nobody" => Self::Nobody,
            "operator" => Self::Operator,
            "pending" => Self::Pending,
            "disabled" => Self::Disabled,
            _ => {
                let (roles, relation) = match text.split_once(", ") {
                    Some((roles, "listed")) => (roles, Relation::Listed),
                    Some((roles, "owning")) => (roles, Relation::Owner),
                    Some(_) => panic!("{text:?} is no kind of caller"),
                    None => (text, Relation::Stranger),
                };
                let roles = roles.split(" + ").filter(|role| *role != "member").map(str::to_owned).collect();
                Self::Holder(Holding { roles, relation })
            }
        }
    }
}

/// What a row says of those who hold a role elsewhere: one word, but for those who hold one of these roles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    word: Word,
    but: Vec<(&'static str, Word)>,
}

impl Elsewhere {
    /// Reads `WORD` or `WORD; ROLE: WORD`.
    fn read(text: &'static str) -> Self {
        let mut parts = text.split("; ");
        let word = Word::read(parts.next().expect("a word"));
        let exception = |part: &'static str| {
            let (role, word) = part.split_once(": ").expect("a role and a word");
            (role, Word::read(word))
        };
        Self { word, but: parts.map(exception).collect() }
    }

    /// Returns the word for somebody who holds these there.
    pub fn of(&self, holding: &Holding) -> Word {
        let but = self.but.iter().find(|(role, _)| holding.roles.iter().any(|held| held == role));
        but.map_or(self.word, |(_, word)| *word)
    }
}

/// A row: what everybody gets for one request.
#[derive(Debug)]
pub struct Row {
    pub rpc: Rpc,
    /// What tells the request from others of the same RPC.
    pub case: &'static str,
    /// In the order of the columns.
    pub words: Vec<Word>,
    pub elsewhere: Elsewhere,
}

/// All that a document says.
pub struct Table {
    pub catalog: Arc<Catalog>,
    /// As they are called, but for the one about those elsewhere.
    pub columns: Vec<(&'static str, Column)>,
    pub rows: Vec<Row>,
}

impl Table {
    /// Reads the document of a preset; says what is wrong with it.
    pub fn of(preset: &str) -> Self {
        let (_, document) = DOCUMENTS.iter().find(|(name, _)| *name == preset).expect("a preset with a document");
        let (mut heads, mut rows, mut service) = (Vec::new(), Vec::new(), "");
        for line in document.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                service = heading;
            }
            let Some(line) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
            let cells: Vec<&'static str> = line.split('|').map(str::trim).collect();
            if cells[0] == "RPC" {
                heads.push(cells[2..].to_vec());
            } else {
                rows.push(Row::read(service, &cells));
            }
        }
        let head = heads.first().expect("a head").clone();
        assert!(heads.iter().all(|it| *it == head), "{preset}: heads that differ");
        assert_eq!(head.last(), Some(&ELSEWHERE), "{preset}");
        let columns: Vec<_> = head[..head.len() - 1].iter().map(|name| (*name, Column::read(name))).collect();
        for Row { rpc, case, words, .. } in &rows {
            assert_eq!(words.len(), columns.len(), "{preset}: cells of {}, {case:?}", rpc.path());
        }
        let distinct: BTreeSet<_> = rows.iter().map(|row| (row.rpc.path(), row.case)).collect();
        assert_eq!(distinct.len(), rows.len(), "{preset}: two rows about the same");
        Self { catalog: presets::preset(preset).expect("a preset"), columns, rows }
    }
}

impl Row {
    /// Reads a row that stands under the heading of a service.
    fn read(service: &str, cells: &[&'static str]) -> Self {
        let path = format!("/guildhall.v1.{service}/{}", cells[0]);
        let rpc = Rpc::ALL.iter().find(|rpc| rpc.path() == path);
        let rpc = *rpc.unwrap_or_else(|| panic!("a row for {path}, which is no RPC"));
        let (elsewhere, words) = cells[2..].split_last().expect("cells");
        let words = words.iter().map(|text| Word::read(text)).collect();
        Self { rpc, case: cells[1], words, elsewhere: Elsewhere::read(elsewhere) }
    }
}

#[test]
fn every_preset_has_a_table() {
    let documented: BTreeSet<&str> = DOCUMENTS.iter().map(|(name, _)| *name).collect();
    let presets: BTreeSet<&str> = presets::presets().iter().map(|preset| &**preset.name()).collect();
    assert_eq!(documented, presets);
}

#[test]
fn every_rpc_has_a_row_in_every_table() {
    for (preset, _) in DOCUMENTS {
        let rows = Table::of(preset).rows;
        let is_there = |rpc: &Rpc| rows.iter().any(|row| row.rpc == *rpc);
        let missing: Vec<_> = Rpc::ALL.iter().filter(|rpc| !is_there(rpc)).map(|rpc| rpc.path()).collect();
        assert!(missing.is_empty(), "docs/permissions/{preset}.md has no row for {missing:?}");
    }
}

#[test]
fn every_role_that_can_be_held_has_a_column() {
    for (preset, _) in DOCUMENTS {
        let Table { catalog, columns, .. } = Table::of(preset);
        let held: BTreeSet<String> = columns
            .into_iter()
            .filter_map(|(_, column)| if let Column::Holder(holding) = column { Some(holding.roles) } else { None })
            .flatten()
            .collect();
        let can_be_held = |at: &At| at.product || at.organization || !at.types.is_empty();
        let holdable = catalog.roles().filter(|(_, role)| can_be_held(&role.at)).map(|(_, role)| role.name.to_string());
        assert_eq!(held, holdable.collect(), "docs/permissions/{preset}.md");
    }
}
