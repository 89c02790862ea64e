//! A client that holds decisions, and finds that each is true.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use guildhall::authz::{Answer, Item, Output, Question, Requirement, Stream, Update, View};
use guildhall::clock::Clock;
use guildhall::domain::access::{Decision, decide};
use guildhall::domain::error::{Error, Reason};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::revision::Token;
use guildhall::domain::time::Timestamp;

use super::pushes::{ORGANIZATIONS, OVER, Play, turns};
use super::truth::Order;
use super::{operator, organization};
use crate::harness::PATIENCE;
use crate::rule::facts::actor_of;
use crate::rule::rng::Rng;
use crate::rule::twin::Twin;

/// Numbers of subscriptions are those of their organization times this, and counted.
const NUMBERS: u64 = 1_000;

/// A client that holds decisions, and what it must find if all is well.
pub struct Client {
    play: Arc<Play>,
    name: String,
    rng: Rng,
    /// By organization.
    questions: Vec<Vec<Question>>,
    /// What it holds, by number; kept when a stream is lost.
    held: HashMap<u64, Held>,
    pings: u64,
}

/// One of its streams.
struct Line {
    stream: Stream<Vec<Item>>,
    /// What is subscribed to, and how many pings had been sent before.
    wanted: HashMap<u64, u64>,
    /// What was let go or reset on this stream: of that, older answers may still be under way.
    loose: HashSet<u64>,
    /// The frames of checks that are not answered, in order.
    asked: VecDeque<(usize, Vec<Question>)>,
    /// How far the answers have come, by organization.
    seen: HashMap<usize, (Order, Order)>,
    /// What `progress` has told, by organization.
    told: HashMap<usize, Token>,
    /// The newest ping that was answered.
    answered: u64,
}

/// Whether something is allowed, and until when.
type Held = (bool, Option<Timestamp>);

fn held(answer: Answer) -> Held {
    match answer {
        Answer::Allowed { until } => (true, until),
        Answer::Denied(_) => (false, None),
    }
}

fn number_of(id: OrganizationId) -> usize {
    (0..ORGANIZATIONS).find(|number| organization(*number as u128) == id).expect("an organization of the play")
}

/// Returns the organization and the place among its questions.
fn place(client: u64) -> (usize, usize) {
    let part = |number: u64| usize::try_from(number).expect("is below a usize");
    (part(client / NUMBERS), part(client % NUMBERS))
}

impl Client {
    pub fn new(play: &Arc<Play>, name: String, rng: Rng, questions: Vec<Vec<Question>>) -> Self {
        Self { play: Arc::clone(play), name, rng, questions, held: HashMap::new(), pings: 0 }
    }

    fn line(&self) -> Line {
        Line {
            stream: Stream::new(Arc::clone(&self.play.engine), operator()),
            wanted: HashMap::new(),
            loose: HashSet::new(),
            asked: VecDeque::new(),
            seen: HashMap::new(),
            told: HashMap::new(),
            answered: 0,
        }
    }

    /// Opens streams and loses them, until nothing more happens. Then it sees that it holds what is true.
    pub async fn live(mut self) {
        let mut steps = self.play.steps.subscribe();
        let mut line = self.line();
        while *steps.borrow_and_update() != OVER {
            if self.rng.percent(3) {
                // The connection breaks; what was said on it is all that is left.
                line = self.line();
            }
            match self.rng.below(12) {
                0 => {
                    // A slow reader: everything waits but the histories.
                    let until = steps.borrow().saturating_add(1 + self.rng.draw() % 20);
                    steps.wait_for(|steps| *steps >= until).await.expect("a play that goes on");
                }
                1 => self.check(&mut line),
                2 => self.ping(&mut line),
                3 => self.let_go(&mut line),
                4 | 5 => self.subscribe(&mut line, 50),
                _ => self.read(&mut line).await,
            }
        }
        if self.rng.percent(50) {
            line = self.line();
        }
        let finale = tokio::time::timeout(PATIENCE, self.finish(&mut line)).await;
        assert!(finale.is_ok(), "{}: nothing more came; told {:?}", self.name, line.told);
    }

    /// Takes in whatever there is, until it holds all it wants at the newest revisions.
    async fn finish(&mut self, line: &mut Line) {
        let all: usize = self.questions.iter().map(Vec::len).sum();
        loop {
            self.subscribe(line, 100);
            self.ping(line);
            let now = self.play.clock.now();
            let output = line.stream.next().await.expect("a credential that is good");
            self.hear(line, output, now);
            let is_held = line.wanted.len() == all && line.wanted.values().all(|since| *since < line.answered);
            if is_held && (0..ORGANIZATIONS).all(|number| self.is_current(line, number)) {
                break;
            }
            turns(1).await;
        }
        for number in 0..ORGANIZATIONS {
            self.must_hold_the_truth(line, number, self.play.clock.now());
        }
    }

    /// Reads one frame, if one comes soon.
    async fn read(&mut self, line: &mut Line) {
        let (now, patience) = (self.play.clock.now(), self.rng.below(20));
        tokio::select! {
            biased;
            next = line.stream.next() => self.hear(line, next.expect("a credential that is good"), now),
            () = turns(patience) => {}
        }
    }

    /// Subscribes to what is not held on this stream, so many in a hundred.
    fn subscribe(&mut self, line: &mut Line, percent: usize) {
        for number in 0..ORGANIZATIONS {
            if !line.stream.has_room() {
                return;
            }
            let mut subscriptions = Vec::new();
            for (index, question) in (0..).zip(&self.questions[number]) {
                let client = number as u64 * NUMBERS + index;
                if !line.wanted.contains_key(&client) && self.rng.percent(percent) {
                    line.wanted.insert(client, self.pings);
                    // What was under way when it was let go is not what the server goes by.
                    let known = self.held.get_mut(&client).filter(|_| !line.loose.contains(&client));
                    let known = known.map(|(is_allowed, until)| {
                        // Of an end the server tells; if it is silent, there is none.
                        *until = None;
                        *is_allowed
                    });
                    subscriptions.push((client, Ok(question.clone()), known));
                }
            }
            if !subscriptions.is_empty() {
                let at_least = line.told.get(&number).copied().filter(|_| self.rng.percent(30));
                let update = Update::Subscribe { organization: organization(number as u128), subscriptions, at_least };
                line.stream.take(update).expect("within the limits");
            }
        }
    }

    fn let_go(&mut self, line: &mut Line) {
        if !line.stream.has_room() {
            return;
        }
        let mut numbers: Vec<u64> = line.wanted.keys().copied().collect();
        numbers.sort_unstable();
        numbers.retain(|_| self.rng.percent(20));
        for client in &numbers {
            line.wanted.remove(client);
            line.loose.insert(*client);
            self.held.remove(client);
        }
        line.stream.take(Update::Unsubscribe(numbers)).expect("within the limits");
    }

    fn check(&mut self, line: &mut Line) {
        if !line.stream.has_room() {
            return;
        }
        let number = self.rng.below(ORGANIZATIONS);
        let count = 1 + self.rng.below(20);
        let asked: Vec<Question> = (0..count).filter_map(|_| self.rng.pick(&self.questions[number])).collect();
        let requirement = match (self.rng.below(3), line.told.get(&number)) {
            (0, _) => Requirement::Fresh,
            (1, Some(token)) => Requirement::AtLeast(*token),
            _ => Requirement::MaxAge(None),
        };
        if self.rng.percent(50) {
            // What is at hand is answered while it is read.
            let mut answers = Vec::new();
            let items = asked.iter().map(|question| Ok(question.asked()));
            let told = line.stream.check_at_once(organization(number as u128), requirement, items, |answer, _| {
                answers.push(answer);
            });
            if let Some(answered) = told {
                self.judge(line, number, asked, answered.map(|view| (answers, view)));
                return;
            }
        }
        let (organization, questions) = (organization(number as u128), asked.iter().cloned().map(Ok).collect());
        line.asked.push_back((number, asked));
        line.stream.take(Update::Check { frame: 1, organization, questions, requirement }).expect("within the limits");
    }

    fn ping(&mut self, line: &mut Line) {
        if line.stream.has_room() {
            self.pings += 1;
            line.stream.take(Update::Ping(self.pings)).expect("within the limits");
        }
    }

    /// Takes a frame in, which was read no earlier than at `now`.
    fn hear(&mut self, line: &mut Line, output: Output, now: Timestamp) {
        match output {
            Output::Changes { organization, changes, view } => {
                let number = number_of(organization);
                let asked = changes.iter().map(|(client, answer)| (self.question(*client), *answer)).collect();
                self.must_be_true(line, number, asked, &view.token(), view.now());
                for (client, answer) in changes {
                    let is_loose = line.loose.contains(&client);
                    if !line.wanted.contains_key(&client) {
                        assert!(is_loose, "{}: {client} was never subscribed to", self.name);
                        continue;
                    }
                    let before = self.held.insert(client, held(answer));
                    assert!(is_loose || before != Some(held(answer)), "{}: {client} is no news", self.name);
                }
            }
            Output::Decisions { answers, .. } => {
                let (number, asked) = line.asked.pop_front().expect("a frame that was sent");
                self.judge(line, number, asked, answers);
            }
            Output::Progress { ping, organizations, .. } => {
                assert!(ping > line.answered && ping <= self.pings, "{}: progress {ping}", self.name);
                line.answered = ping;
                for token in organizations {
                    let number = number_of(token.organization);
                    let order = |token: &Token| self.play.truth.order(number, token);
                    let before = line.told.insert(number, token);
                    let is_news = before.is_none_or(|before| order(&before) != order(&token));
                    let has_ended = line.loose.iter().any(|client| place(*client).0 == number);
                    assert!(is_news || has_ended, "{}: told twice {token:?}", self.name);
                }
                for number in 0..ORGANIZATIONS {
                    // While nothing happens, what is held is what is true.
                    if self.is_current(line, number) && self.play.clock.now() == now {
                        self.must_hold_the_truth(line, number, now);
                    }
                }
            }
            Output::Reset { organization, .. } => {
                let number = number_of(organization);
                for client in (0..).map(|index| number as u64 * NUMBERS + index).take(self.questions[number].len()) {
                    line.wanted.remove(&client);
                    line.loose.insert(client);
                    self.held.remove(&client);
                }
            }
        }
    }

    /// Takes the answers to a frame of checks in, or why it was not answered.
    fn judge(&self, line: &mut Line, number: usize, asked: Vec<Question>, answers: Result<(Vec<Answer>, View), Error>) {
        match answers {
            Ok((answers, view)) => {
                assert_eq!(answers.len(), asked.len());
                let asked = asked.into_iter().zip(answers).collect();
                self.must_be_true(line, number, asked, &view.token(), view.now());
            }
            // A history that was cut off, or an organization that is shut.
            Err(error) => assert!(
                matches!(error.reason, Reason::RevisionVanished | Reason::NotFound | Reason::PermissionMissing),
                "{}: {error:?}",
                self.name
            ),
        }
    }

    fn question(&self, client: u64) -> Question {
        let (number, index) = place(client);
        self.questions[number][index].clone()
    }

    /// Asserts that answers are what the twin says at the revisions they name, and not older than those before.
    fn must_be_true(
        &self,
        line: &mut Line,
        number: usize,
        asked: Vec<(Question, Answer)>,
        token: &Token,
        now: Timestamp,
    ) {
        let order = self.play.truth.order(number, token);
        if let Some(before) = line.seen.insert(number, order) {
            assert!(before.0 <= order.0 && before.1 <= order.1, "{}: back from {before:?} to {order:?}", self.name);
        }
        let world = self.play.truth.at(number, token, now);
        let twin = Twin::new(&world);
        self.play.answers.fetch_add(asked.len() as u64, Ordering::Relaxed);
        for (Question { subject, permission, target, .. }, answer) in asked {
            let expected = twin.may(subject, &permission, target.as_ref());
            assert_eq!(
                answer.is_allowed(),
                expected,
                "{}: {subject:?} {permission} {target:?} at {token:?}",
                self.name
            );
        }
    }

    /// Returns whether the stream has told of the newest revisions of an organization.
    fn is_current(&self, line: &Line, number: usize) -> bool {
        line.told.get(&number).is_some_and(|token| self.play.is_newest(number, token))
    }

    /// Asserts that what is held of an organization is what the twin says, as far as the last progress goes.
    fn must_hold_the_truth(&self, line: &Line, number: usize, now: Timestamp) {
        let token = line.told[&number];
        let world = self.play.truth.at(number, &token, now);
        let twin = Twin::new(&world);
        let actors: HashMap<_, _> =
            world.subjects().into_iter().map(|subject| (subject, actor_of(&world, subject))).collect();
        let wanted =
            line.wanted.iter().filter(|(client, since)| place(**client).0 == number && **since < line.answered);
        for (client, _) in wanted {
            let Question { subject, permission, target, .. } = self.question(*client);
            let id = world.product.compiled.permission(&permission).expect("a permission of the catalog");
            let expected = match decide(&actors[&subject].at(target.as_ref()), id, now) {
                Decision::Allowed { until, .. } => (true, until),
                Decision::Denied => (false, None),
            };
            assert_eq!(expected.0, twin.may(subject, &permission, target.as_ref()));
            let held = self.held.get(client).copied();
            assert_eq!(held, Some(expected), "{}: {subject:?} {permission} {target:?} at {token:?}", self.name);
            self.play.answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}
