//! One changed preset before its judges: the parser, then the conformance tests, until one of them fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use guildhall::domain::catalog::{Catalog, parse};

/// What came of a change.
pub enum Verdict {
    /// The parser refuses it.
    Refused,
    /// It comes to the same catalog.
    Same,
    /// This test fails.
    Noticed(String),
    /// Every test passes.
    Survived,
}

/// Judges changes to one preset.
pub struct Judge<'a> {
    tests: &'a Path,
    preset: &'a str,
    original: Catalog,
    /// Names of the tests that noticed a change, the latest last: what they notice is often beside what they noticed.
    sharp: Mutex<Vec<String>>,
}

impl<'a> Judge<'a> {
    /// `tests` is the program of the tests, `yaml` the preset as it ships.
    pub fn new(tests: &'a Path, preset: &'a str, yaml: &str) -> Self {
        // Written in the order in which changes are written: it is the order of the permissions.
        let original: serde_json::Value = serde_saphyr::from_str(yaml).expect("a preset is YAML");
        let original = parse(preset, &original.to_string()).expect("a preset is a catalog");
        Self { tests, preset, original, sharp: Mutex::default() }
    }

    /// Judges `changed`; `file` is where the tests find it.
    pub fn judge(&self, changed: &str, file: &Path) -> Verdict {
        let Ok(catalog) = parse(self.preset, changed) else { return Verdict::Refused };
        if catalog == self.original {
            return Verdict::Same;
        }
        std::fs::write(file, changed).expect("a file for the changed text");
        match self.first_failure(file) {
            Some(test) => {
                let mut sharp = self.sharp.lock().expect("no job panics");
                sharp.retain(|it| *it != test);
                sharp.push(test.clone());
                // The test's own name: its last word is the engine.
                Verdict::Noticed(test.rsplit("::").nth(1).unwrap_or(&test).to_owned())
            }
            None => Verdict::Survived,
        }
    }

    /// Asks the tests that are likely to notice, then all of the preset's rules, then those that products disagree on.
    fn first_failure(&self, file: &Path) -> Option<String> {
        let sharp = self.sharp.lock().expect("no job panics").clone();
        for few in sharp.rchunks(2).take(2) {
            let names: Vec<&str> = few.iter().map(String::as_str).chain(["--exact"]).collect();
            if let Some(test) = self.run(&names, file) {
                return Some(test);
            }
        }
        let own = format!("conformance::{}::", self.preset.replace('-', "_"));
        self.run(&[&own], file).or_else(|| self.run(&["conformance::conflicts::"], file))
    }

    /// Runs some tests on `SQLite` with a changed preset until one fails, and names it.
    fn run(&self, which: &[&str], file: &Path) -> Option<String> {
        let mut run = Command::new(self.tests)
            .args(which)
            .args(["--skip", "on_postgres", "--test-threads", "2"])
            .env("GUILDHALL_TEST_PRESETS", file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program of the tests");
        let lines = BufReader::new(run.stdout.take().expect("it was asked for")).lines();
        let (mut failed, mut passed) = (None, 0);
        for line in lines.map_while(Result::ok) {
            match line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
                Some((test, "FAILED")) => {
                    failed = Some(test.to_owned());
                    // What is still running has nothing more to tell.
                    let _ = run.kill();
                    break;
                }
                Some((_, "ok")) => passed += 1,
                _ => {}
            }
        }
        let status = run.wait().expect("it was started");
        // A program that ends badly by itself, or runs nothing, would let everything survive.
        assert!(failed.is_some() || status.success() && passed > 0, "{which:?}: {status}");
        failed
    }
}
