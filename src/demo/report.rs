//! What the demo prints: a line a step, with how long it took.

use crate::clock::{Env, Monotonic};
use crate::console;

/// Prints steps and times them.
pub(super) struct Report {
    env: Env,
    began_at: Monotonic,
    last_at: Monotonic,
    steps: u32,
}

impl Report {
    /// Begins to time.
    pub fn new(env: Env) -> Self {
        let now = env.clock.monotonic();
        Self { env, began_at: now, last_at: now, steps: 0 }
    }

    /// Begins to time the next step here rather than where the last one ended.
    pub fn begin(&mut self) {
        self.last_at = self.env.clock.monotonic();
    }

    /// Prints a step that is done, with the time since the last one.
    pub fn step(&mut self, what: &str) {
        let now = self.env.clock.monotonic();
        self.steps += 1;
        print(&format!("{:>3}. {what}  ({:.1?})\n", self.steps, now.since(self.last_at)));
        self.last_at = now;
    }

    /// Prints what the step before has brought.
    #[expect(clippy::unused_self, reason = "reads as one report")]
    pub fn found(&self, what: &str) {
        print(&format!("     → {what}\n"));
    }

    /// Prints the end.
    pub fn done(&self) {
        let took = self.env.clock.monotonic().since(self.began_at);
        print(&format!("All {} steps did what they promise, in {took:.1?}.\n", self.steps));
    }
}

fn print(line: &str) {
    // Whoever has read enough, as `head` does, is no reason not to go on.
    let _ = console::print(line);
}
