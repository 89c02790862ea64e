//! The ceiling on every path: whatever gives or takes, against the tables in `docs/ceiling.md`.
//!
//! The next path needs a row there, and its request in [`giving`] or [`taking`].

mod giving;
mod scene;
mod taking;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;

use tonic::{Code, Status};

use crate::harness::reason;
use crate::on_both;
use crate::refusals::blotted;
use scene::{ABSENT, HIDDEN, Scene};

const DOCUMENT: &str = include_str!("../../../docs/ceiling.md");

/// What stands in the way, as the columns of the tables are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Column {
    /// Nothing: what the actor may give and take.
    Within,
    /// A role that is not the actor's to give or take.
    Above,
    /// A place that the actor does not see.
    Hidden,
    /// It is for the actor, or theirs.
    Oneself,
}

const COLUMNS: [(Column, &str); 4] = [
    (Column::Within, "what is theirs to give"),
    (Column::Above, "a role above"),
    (Column::Hidden, "a hidden place"),
    (Column::Oneself, "oneself"),
];

/// What the cell says that does not apply.
const NOTHING: &str = "–";

/// What a call has come to: the code and the reason, as they stand in a cell, and all that a client can tell it by.
#[derive(Debug)]
struct Outcome {
    cell: String,
    told: String,
}

/// A call that is ready to be made.
type Call = Pin<Box<dyn Future<Output = Outcome>>>;

/// A cell that says something.
struct Cell {
    path: &'static str,
    column: Column,
    expected: &'static str,
}

fn outcome<T>(result: Result<T, Status>) -> Outcome {
    let Err(status) = result else { return Outcome { cell: "OK".into(), told: String::new() } };
    let code = match status.code() {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        other => panic!("{other:?} is no code of the ceiling: {status:?}"),
    };
    let name = reason(&status);
    let cell = if name == code { name } else { format!("{code} {name}") };
    // Both places have names of one length.
    let status = [HIDDEN, ABSENT].map(|place| format!("{:?}", blotted(&status, place)));
    let told = status.into_iter().find(|told| told.contains("######")).unwrap_or_default();
    Outcome { cell, told }
}

/// What becomes of one item, where what is refused stands in the answer.
fn item_outcome(reason: &str, message: &str) -> Outcome {
    let cell = if reason.is_empty() { "OK".into() } else { format!("OK, item {reason}") };
    Outcome { cell, told: message.replace(HIDDEN, "######").replace(ABSENT, "######") }
}

/// Reads the tables; says what is wrong with them.
fn cells() -> Vec<Cell> {
    let (mut cells, mut paths) = (Vec::new(), BTreeSet::new());
    for table in DOCUMENT.split("<!-- ceiling -->\n").skip(1) {
        let (table, _) = table.split_once("<!-- /ceiling -->").expect("the table ends");
        let mut lines = table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        assert_eq!(lines.next().expect("a head")[1..], COLUMNS.map(|(_, name)| name));
        for line in lines.skip(1) {
            assert_eq!(line.len(), COLUMNS.len() + 1, "cells of {}", line[0]);
            assert!(paths.insert(line[0]), "two rows about {}", line[0]);
            for (at, (column, _)) in COLUMNS.into_iter().enumerate() {
                cells.push(Cell { path: line[0], column, expected: line[at + 1] });
            }
        }
    }
    cells
}

/// Makes the calls whose cells are not what they come to, and notes these.
async fn make(calls: Vec<(&Cell, Call, Option<Call>)>, wrong: &mut String) {
    for (Cell { path, column, expected }, call, of_absent) in calls {
        let found = call.await;
        if found.cell != *expected {
            writeln!(wrong, "{path}, {column:?}: expected {expected}, got {found:?}").unwrap();
        }
        if let Some(absent) = of_absent {
            let absent = absent.await;
            if (&absent.cell, &absent.told) != (&found.cell, &found.told) {
                writeln!(wrong, "{path}: {found:?} of what is hidden, {absent:?} of what is not there").unwrap();
            }
        }
    }
}

#[test]
fn the_tables_tell_of_every_path() {
    let paths: BTreeSet<&str> = cells().iter().map(|cell| cell.path).collect();
    let tested: BTreeSet<&str> = giving::PATHS.iter().chain(taking::PATHS).copied().collect();
    assert_eq!(paths, tested);
}

on_both! {
    async fn every_path_asks_the_ceiling_and_a_refused_call_leaves_nothing(app) {
        let (cells, scene) = (cells(), Scene::of(&app).await);
        let (mut wrong, mut refused, mut allowed) = (String::new(), Vec::new(), Vec::new());
        for cell in &cells {
            let call = scene.prepare(cell.path, cell.column, HIDDEN).await;
            let Some(call) = call else {
                if cell.expected != NOTHING {
                    writeln!(wrong, "{}, {:?}: no request for {}", cell.path, cell.column, cell.expected).unwrap();
                }
                continue;
            };
            // What is hidden is answered as what is not there, wherever the request names it.
            let is_named = cell.column == Column::Hidden && cell.expected.ends_with("NOT_FOUND");
            let of_absent = if is_named { scene.prepare(cell.path, cell.column, ABSENT).await } else { None };
            let kept = if cell.expected == "OK" { &mut allowed } else { &mut refused };
            kept.push((cell, call, of_absent));
        }

        let untouched = app.traces().await;
        make(refused, &mut wrong).await;
        // A bulk act commits its chunk, in which nothing has changed.
        assert_eq!(app.traces().await, untouched, "{wrong}");
        make(allowed, &mut wrong).await;
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}
