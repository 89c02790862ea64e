//! A network that breaks between the server and PostgreSQL, at every message of every call that changes something.

use std::time::Duration;
use guildhall::clock::Clock;

use super::acts::{Act, Stage, table};
use super::seed;
use super::trial::{Answer, Kept, Servers, make, remembered, trial};
use super::truth::{Change, Truth};
use crate::harness::proxy::{At, Fault, Proxy, Strike};
use crate::harness::{Database, TestApp, soak};
use crate::rule::rng::Rng;

/// What can happen at a message. The SQLSTATEs: serialization_failure, query_canceled, disk_full, io_error, admin_shutdown.
const FAULTS: [Fault; 8] = [
    Fault::Cut,
    Fault::Swallow,
    Fault::Late(Duration::from_millis(60)),
    Fault::Fail("40001"),
    Fault::Fail("57014"),
    Fault::Fail("53100"),
    Fault::Fail("58030"),
    Fault::Fail("57P01"),
];
/// What servers ask by themselves: messages about it are not those of a call.
const ASKED_BY_ITSELF: [&str; 5] =
    ["pg_current_snapshot", "clock_timestamp", "last_active_at", "UPDATE \"outbox\"", "FROM \"outbox\""];

fn is_of_a_call(sql: &str) -> bool {
    !ASKED_BY_ITSELF.iter().any(|asked| sql.contains(asked))
}

/// Two servers on one database: one behind a network that breaks, and one that nothing happens to.
struct Pair {
    shaken: TestApp,
    steady: TestApp,
    proxy: Proxy,
    truth: Truth,
}

/// What a call comes to when nothing breaks.
struct Undisturbed {
    change: Change,
    messages: usize,
    commits: usize,
}

impl Pair {
    async fn start() -> Self {
        let steady = TestApp::start(Database::Postgres).await;
        let url = steady.config.database_url();
        let proxy = Proxy::before(&url, is_of_a_call).await;
        let mut config = steady.config.clone();
        config.database_url = Some(proxy.url(&url));
        let shaken = steady.replica_with(config).await;
        let truth = Truth::of(&shaken, &url).await;
        Self { shaken, steady, proxy, truth }
    }

    fn servers(&self) -> Servers<'_> {
        Servers { shaken: &self.shaken, steady: &self.steady, truth: &self.truth }
    }

    /// Makes a call to which nothing happens.
    async fn undisturbed(&self, stage: &Stage<'_>, act: Act) -> Undisturbed {
        let call = stage.prepare(act).await;
        let before = self.truth.state().await;
        self.proxy.mark();
        let answer = make(&self.shaken, &call).await;
        assert!(matches!(answer, Answer::Done(_)), "{act:?}: {answer:?}");
        let (messages, seen) = (self.proxy.count(), self.proxy.seen());
        let commits = seen.iter().filter(|message| message.ends_with("Query: COMMIT")).count();
        let change = self.truth.state().await.since(&before);
        assert!(!change.is_nothing() && messages > 0, "{act:?} changes nothing, by {seen:?}");
        Undisturbed { change, messages, commits }
    }

    /// Makes a call to which this happens; says what is wrong with it.
    async fn struck(
        &self,
        stage: &Stage<'_>,
        act: Act,
        strike: Strike,
        undisturbed: &Undisturbed,
    ) -> Result<(Answer, Option<Kept>), String> {
        let call = stage.prepare(act).await;
        let shake = || self.proxy.strike(strike);
        let mut struck = None;
        let calm = || {
            struck = self.proxy.struck();
            self.proxy.mark();
            self.proxy.back();
        };
        let tried = trial(self.servers(), (act, call), &undisturbed.change, shake, calm).await;
        tried.map_err(|wrong| format!("{act:?}, {struck:?}: {wrong}\n"))
    }
}

/// Picks what happens to an act: at a commit, and at some message; in a long run at every message in turn.
fn strikes(of: &Undisturbed, rng: &mut Rng) -> Vec<Strike> {
    let mut strikes = Vec::new();
    let mut add = |at: At, rng: &mut Rng| {
        strikes.extend(rng.pick(&FAULTS).map(|fault| Strike { fault, at, and_away: false }));
    };
    let commits = if soak() == 1 { of.commits.min(1) } else { of.commits * FAULTS.len() };
    for _ in 0..commits {
        add(At::Commit(1 + rng.below(of.commits)), rng);
    }
    let rounds = soak().div_ceil(25);
    if soak() == 1 {
        add(At::Message(1 + rng.below(of.messages)), rng);
    } else {
        for at in (0..rounds).flat_map(|_| 1..=of.messages) {
            add(At::Message(at), rng);
        }
    }
    strikes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_message_of_a_call_breaks_what_is_answered_is_there_and_what_is_refused_is_not() {
    println!("GUILDHALL_SEED={}", seed());
    let (mut pair, table, mut rng) = (Pair::start().await, table(), Rng::new(seed()));
    let (mut wrong, mut kept, mut steps) = (String::new(), Vec::new(), 0);
    {
        let stage = Stage::of(&pair.steady, &table).await;
        for act in Act::all() {
            let undisturbed = pair.undisturbed(&stage, act).await;
            for strike in strikes(&undisturbed, &mut rng) {
                steps += 1;
                eprintln!("DEBUG {:?} {act:?} {strike:?} of {} messages", guildhall::clock::SystemClock.monotonic(), undisturbed.messages);
                match pair.struck(&stage, act, strike, &undisturbed).await {
                    Ok((_, found)) => kept.extend(found),
                    Err(found) => { eprintln!("DEBUG wrong {found}"); wrong += &found },
                }
            }
        }
    }
    pair.shaken = pair.shaken.restart().await;
    wrong += &remembered(&pair.shaken, &pair.truth, &kept).await;
    println!("{steps} steps, {} answers kept", kept.len());
    assert!(wrong.is_empty(), "\n{wrong}");
}
