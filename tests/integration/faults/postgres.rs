//! A network that breaks between the server and PostgreSQL, at every message of every call that changes something.

use std::sync::Arc;
use std::time::Duration;

use guildhall::rpc::Rpc;
use tempfile::TempDir;

use super::acts::{Act, Stage, table};
use super::trial::{Answer, Kept, Servers, make, remembered, trial};
use super::truth::{Change, Truth};
use super::{seed, unlimited};
use crate::harness::proxy::{At, Fault, Proxy, Strike};
use crate::harness::{Database, ManualClock, TestApp, soak};
use crate::rule::rng::Rng;

/// What can happen at a message. The SQLSTATEs: `serialization_failure`, `query_canceled`, `disk_full`, `io_error`, `admin_shutdown`.
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
/// In a run of this length, so many messages of an act.
const MESSAGES_PER_SOAK: usize = 4;
/// Most commits of an act that are struck, each in every way.
const COMMITS_MAX: usize = 4;
/// How often an act without a transaction is struck in a short run.
const LOOSE_STRIKES: usize = 4;
/// How many acts come to an end that is not known, in a short run.
const UNKNOWN_ACTS: usize = 8;
/// What servers ask by themselves: messages about it are not those of a call.
const ASKED_BY_ITSELF: [&str; 5] =
    ["pg_current_snapshot", "clock_timestamp", "last_active_at", "UPDATE \"deliveries\"", "FROM \"deliveries\""];

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
        let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let config = unlimited(Database::Postgres.config(data_dir.path()).await);
        let steady = TestApp::start_with(config, data_dir, ManualClock::new()).await;
        let steady = steady.expect("a server that starts");
        let url = steady.config.database_url();
        let proxy = Proxy::before(&url, is_of_a_call);
        let mut config = steady.config.clone();
        config.database_url = Some(proxy.url(&url).into());
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

/// Picks what happens to an act: at a commit or at some message. In a long run it is everything at each commit, and something
/// at every message in turn, or at so many of them, evenly spread.
fn strikes(of: &Undisturbed, rng: &mut Rng) -> Vec<Strike> {
    let pick = |rng: &mut Rng| FAULTS[rng.below(FAULTS.len())];
    let mut chosen: Vec<(At, Fault)> = Vec::new();
    if soak() > 1 {
        for at in 1..=of.commits.min(COMMITS_MAX) {
            chosen.extend(FAULTS.map(|fault| (At::Commit(at), fault)));
        }
        let step = of.messages.div_ceil(MESSAGES_PER_SOAK * usize::try_from(soak()).expect("a small number"));
        chosen.extend((1 + rng.below(step)..=of.messages).step_by(step).map(|at| (At::Message(at), pick(rng))));
    } else if of.commits > 0 && rng.percent(50) {
        chosen.push((At::Commit(1 + rng.below(of.commits)), pick(rng)));
    } else {
        // What commits by itself does so at any message.
        let count = if of.commits == 0 { LOOSE_STRIKES } else { 1 };
        chosen.extend((0..count).map(|_| (At::Message(1 + rng.below(of.messages)), pick(rng))));
    }
    chosen.into_iter().map(|(at, fault)| Strike { fault, at, and_away: false }).collect()
}

/// Has every one of `acts` struck as `strikes` says, and asks for everything again after a restart.
async fn play(acts: Vec<Act>, mut strikes: impl FnMut(&Undisturbed) -> Vec<Strike>, holds: fn(&Answer) -> bool) {
    let (mut pair, table) = (Pair::start().await, table());
    let (mut wrong, mut kept, mut steps) = (String::new(), Vec::new(), 0);
    {
        let stage = Stage::of(&pair.steady, &table).await;
        for act in acts {
            let undisturbed = pair.undisturbed(&stage, act).await;
            for strike in strikes(&undisturbed) {
                steps += 1;
                match pair.struck(&stage, act, strike, &undisturbed).await {
                    Ok((answer, found)) => {
                        kept.extend(found);
                        if !holds(&answer) {
                            wrong += &format!("{act:?}, {strike:?}: {answer:?}\n");
                        }
                    }
                    Err(found) => wrong += &found,
                }
            }
        }
    }
    pair.shaken = pair.shaken.restart().await;
    wrong += &remembered(&pair.shaken, &pair.truth, &kept).await;
    println!("{steps} steps, {} answers asked for again after a restart", kept.len());
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_message_of_a_call_breaks_what_is_answered_is_there_and_what_is_refused_is_not() {
    println!("GUILDHALL_SEED={}", seed());
    let mut rng = Rng::new(seed());
    play(Act::all(), |of| strikes(of, &mut rng), |_| true).await;
}

/// The network goes away with the COMMIT, and nobody can find out what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_commit_is_not_known_if_so_it_is_said_and_asked_again_it_is_answered() {
    println!("GUILDHALL_SEED={}", seed());
    let (mut rng, mut acts) = (Rng::new(seed()), Act::all());
    // Signing in has no transaction.
    acts.retain(|act| act.rpc != Rpc::SignIn);
    while soak() == 1 && acts.len() > UNKNOWN_ACTS {
        acts.swap_remove(rng.below(acts.len()));
    }
    let strikes = |of: &Undisturbed| {
        let faults = [Fault::Cut, Fault::Swallow];
        assert!(of.commits > 0, "a commit");
        faults.map(|fault| Strike { fault, at: At::Commit(1), and_away: true }).to_vec()
    };
    play(acts, strikes, |answer| matches!(answer, Answer::Unknown)).await;
}
