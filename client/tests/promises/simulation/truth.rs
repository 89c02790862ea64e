//! What is true in the simulation: who is allowed from when to when.

use std::time::Duration;

use guildhall_client::Question;

use super::question;

/// Questions there are.
const QUESTIONS: usize = 8;

/// For each question the instants at which its answer turns, in order. At first all are denied.
#[derive(Debug)]
pub struct Truth {
    turns: Vec<Vec<Duration>>,
    questions: Vec<Question>,
}

impl Truth {
    /// Draws a truth that turns no more from `end` on.
    pub fn new(random: &mut fastrand::Rng, end: Duration) -> Self {
        let turns = (0..QUESTIONS).map(|_| {
            let (mut at, mut turns) = (Duration::ZERO, Vec::new());
            loop {
                // Some follow each other closely, some last longer than any lease.
                let longest = [200, 4_000, 20_000, 20_000][random.usize(..4)];
                at += Duration::from_millis(random.u64(1..longest));
                if at >= end {
                    break turns;
                }
                turns.push(at);
            }
        });
        Self { turns: turns.collect(), questions: (0..QUESTIONS).map(question).collect() }
    }

    pub fn questions(&self) -> Vec<Question> {
        self.questions.clone()
    }

    fn turns(&self, question: &Question) -> &[Duration] {
        let at = self.questions.iter().position(|it| it == question);
        at.map_or(&[], |at| &self.turns[at])
    }

    /// Says what is true at an instant.
    pub fn allows(&self, question: &Question, at: Duration) -> bool {
        self.turns(question).partition_point(|turn| *turn <= at) % 2 == 1
    }

    /// Says whether it was allowed at any instant from `since` to `now`.
    pub fn has_allowed_since(&self, question: &Question, since: Duration, now: Duration) -> bool {
        let turned = |turn: &&Duration| **turn > since && **turn <= now;
        self.allows(question, since) || self.turns(question).iter().any(|turn| turned(&turn))
    }

    /// Says whether its answer turns because of expiries, which are known beforehand.
    pub fn expires(&self, question: &Question) -> bool {
        self.questions.iter().position(|it| it == question).is_some_and(|at| at % 2 == 0)
    }

    /// Gives the next instant at which the answer turns.
    pub fn next_turn(&self, question: &Question, after: Duration) -> Option<Duration> {
        self.turns(question).iter().copied().find(|turn| *turn > after)
    }

    /// Gives how many turns there were in all: the revision.
    pub fn revision(&self, at: Duration) -> u64 {
        self.turns.iter().map(|turns| turns.partition_point(|turn| *turn <= at) as u64).sum()
    }
}
