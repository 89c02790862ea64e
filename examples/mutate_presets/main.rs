//! Changes the presets, one line at a time, and asks the conformance tests whether they notice: `make mutate-presets`.
//!
//! `mutants` makes the changed texts; `trial` has tests judge one. A change that no test notices survives: either a rule
//! has no test for it, or no rule asks for the line. Ends with 1 if anything survives.

mod mutants;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use guildhall::domain::catalog::presets;

use mutants::{Mutant, mutants};
use trial::{Judge, Verdict};

/// What rules ask for that the server does not do yet: no test can notice a change to it. A line leaves this list with the
/// rule's first test.
const NOT_YET: &[(&str, &str, &str)] = &[
    ("bi-dashboards", "plans", "CV-05 to CV-08: domains"),
    ("msp-monitoring", "invitation.notice", "CM-24: the holders at the place are told"),
];

/// Which presets are changed, and what judges them.
#[derive(Parser)]
struct Options {
    /// The program of the integration tests, as `cargo test --no-run` names it.
    #[arg(long)]
    tests: PathBuf,
    /// Where changed texts are kept while they are judged.
    #[arg(long)]
    directory: PathBuf,
    /// How many are judged at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only changes whose name contains this, or another of these: `roles.admin`.
    #[arg(long)]
    only: Vec<String>,
    /// Names of presets; none: all.
    presets: Vec<String>,
}

/// What came of the changes to one preset.
#[derive(Default)]
struct Tally {
    refused: usize,
    same: usize,
    not_yet: usize,
    noticed: usize,
    survivors: Vec<Mutant>,
}

#[expect(clippy::disallowed_methods, reason = "says how long it took")]
fn main() -> ExitCode {
    let options = Options::parse();
    let began_at = Instant::now();
    std::fs::create_dir_all(&options.directory).expect("a directory for changed texts");
    let all = presets::presets().iter().map(|preset| preset.name().to_string());
    let wanted: Vec<String> = all.filter(|name| options.presets.is_empty() || options.presets.contains(name)).collect();
    assert!(!wanted.is_empty(), "no preset has such a name: {:?}", options.presets);

    let mut survivors = Vec::new();
    for preset in wanted {
        let preset_began_at = Instant::now();
        let tally = judge_all(&options, &preset);
        let count = tally.refused + tally.same + tally.not_yet + tally.noticed + tally.survivors.len();
        println!(
            "{preset}: {count} changes: {} refused by the parser, {} noticed by tests, {} mean the same, {} not yet done, {} survive; {} s",
            tally.refused,
            tally.noticed,
            tally.same,
            tally.not_yet,
            tally.survivors.len(),
            preset_began_at.elapsed().as_secs()
        );
        survivors.extend(tally.survivors.into_iter().map(|mutant| format!("{preset}: {}", mutant.what)));
    }
    println!("{} survivors in {} s", survivors.len(), began_at.elapsed().as_secs());
    for survivor in &survivors {
        println!("  {survivor}");
    }
    if survivors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Has every change to a preset judged, some at a time.
fn judge_all(options: &Options, preset: &str) -> Tally {
    let (_, yaml) = presets::text(preset).expect("it was found by its name");
    let is_wanted = |mutant: &Mutant| {
        options.only.is_empty() || options.only.iter().any(|part| mutant.what.contains(part.as_str()))
    };
    let is_not_yet = |mutant: &Mutant| {
        let place = mutant.what.strip_prefix("without ").unwrap_or(&mutant.what);
        NOT_YET.iter().any(|(name, path, _)| *name == preset && place.starts_with(path))
    };
    let (waiting, mutants): (Vec<Mutant>, Vec<Mutant>) =
        mutants(yaml).into_iter().filter(is_wanted).partition(is_not_yet);
    for (name, path, rule) in NOT_YET.iter().filter(|(name, ..)| *name == preset) {
        println!("{name}: {path}: not yet done ({rule})");
    }
    let judge = Judge::new(&options.tests, preset, yaml);
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally { not_yet: waiting.len(), ..Tally::default() }));
    std::thread::scope(|scope| {
        for job in 0..options.jobs {
            let (mutants, judge, next, tally) = (&mutants, &judge, &next, &tally);
            scope.spawn(move || {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let file = options.directory.join(format!("{preset}-{job}.yaml"));
                    let verdict = judge.judge(&mutant.text, &file);
                    tally.lock().expect("no job panics").enter(preset, mutant, verdict);
                }
            });
        }
    });
    tally.into_inner().expect("no job panics")
}

impl Tally {
    fn enter(&mut self, preset: &str, mutant: &Mutant, verdict: Verdict) {
        match verdict {
            Verdict::Refused => self.refused += 1,
            Verdict::Same => self.same += 1,
            Verdict::Noticed(test) => {
                println!("{preset}: {}: noticed by {test}", mutant.what);
                self.noticed += 1;
            }
            Verdict::Survived => {
                println!("{preset}: {}: SURVIVES", mutant.what);
                self.survivors.push(mutant.clone());
            }
        }
    }
}
