//! What is true in the simulation: who is allowed from when to when.

use std::sync::Arc;
use std::time::Duration;

use guildhall_client::Question;

use super::question;

/// Questions there are.
const QUESTIONS: usize = 8;

/// An instant at which an answer turns.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub at: Duration,
    /// Whether it turns to a denial of which whoever was ever told "allow" knew beforehand.
    pub is_foreseen: bool,
}

/// Returns whether a server that is no further behind than `since` may answer so, although it never was the answer.
pub type MaySay = Arc<dyn Fn(&Question, bool, Duration, Duration) -> bool + Send + Sync>;

/// For each question the instants at which its answer turns, in order. At first all are denied.
pub struct Truth {
    turns: Vec<Vec<Turn>>,
    questions: Vec<Question>,
    may_say: Option<MaySay>,
}

impl Truth {
    /// Draws a truth that turns no more from `end` on. Every other question's grants expire, and all else is a
    /// surprise.
    pub fn new(random: &mut fastrand::Rng, end: Duration) -> Self {
        let turns = (0..QUESTIONS).map(|number| {
            let (mut at, mut turns) = (Duration::ZERO, Vec::new());
            loop {
                // Some follow each other closely, some last longer than any lease.
                let longest = [200, 4_000, 20_000, 20_000][random.usize(..4)];
                at += Duration::from_millis(random.u64(1..longest));
                if at >= end {
                    break turns;
                }
                let is_foreseen = number % 2 == 0 && turns.len() % 2 == 1;
                turns.push(Turn { at, is_foreseen });
            }
        });
        Self::of((0..QUESTIONS).map(question).zip(turns).collect(), None)
    }

    /// Takes a truth that was drawn elsewhere.
    pub fn of(turns: Vec<(Question, Vec<Turn>)>, may_say: Option<MaySay>) -> Self {
        let (questions, turns) = turns.into_iter().unzip();
        Self { turns, questions, may_say }
    }

    pub fn questions(&self) -> Vec<Question> {
        self.questions.clone()
    }

    fn turns(&self, question: &Question) -> &[Turn] {
        let at = self.questions.iter().position(|it| it == question);
        at.map_or(&[], |at| &self.turns[at])
    }

    /// Returns what is true at an instant.
    pub fn allows(&self, question: &Question, at: Duration) -> bool {
        self.turns(question).partition_point(|turn| turn.at <= at) % 2 == 1
    }

    /// Returns whether that was the answer at any instant from `since` to `now`.
    fn has_been(&self, question: &Question, allowed: bool, since: Duration, now: Duration) -> bool {
        let turned = |turn: &Turn| turn.at > since && turn.at <= now;
        self.allows(question, since) == allowed || self.turns(question).iter().any(turned)
    }

    /// Returns whether a server that is no further behind than `since` may answer so.
    pub fn may_be_told(&self, question: &Question, allowed: bool, since: Duration, now: Duration) -> bool {
        let may_say = || self.may_say.as_ref().is_some_and(|may_say| may_say(question, allowed, since, now));
        self.has_been(question, allowed, since, now) || may_say()
    }

    /// Returns whether it is denied, and nobody may say otherwise from memory, however old.
    pub fn is_known_to_be_denied(&self, question: &Question, now: Duration) -> bool {
        let past = self.turns(question).iter().take_while(|turn| turn.at <= now);
        past.last().is_some_and(|turn| turn.is_foreseen)
    }

    /// Returns whether its answer turns because of expiries, which are known beforehand.
    pub fn expires(&self, question: &Question) -> bool {
        self.questions.iter().position(|it| it == question).is_some_and(|at| at % 2 == 0)
    }

    /// Returns the next instant at which the answer turns.
    pub fn next_turn(&self, question: &Question, after: Duration) -> Option<Duration> {
        self.turns(question).iter().map(|turn| turn.at).find(|turn| *turn > after)
    }

    /// Returns how many turns there were in all: the revision.
    pub fn revision(&self, at: Duration) -> u64 {
        self.turns.iter().map(|turns| turns.partition_point(|turn| turn.at <= at) as u64).sum()
    }
}
