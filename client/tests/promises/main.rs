//! What the client promises, shown against a server that does what a test tells it to, and on a simulated network.

#![allow(clippy::unchecked_time_subtraction, reason = "a test that panics has said what it found")]

#[cfg(test)]
mod calls;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod held;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod proto;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod reset;
#[cfg(test)]
mod server;
#[cfg(test)]
mod simulation;
