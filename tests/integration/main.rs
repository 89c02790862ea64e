//! Every test that goes through the real server, in one binary: it links once.
//!
//! `harness` starts servers; `conformance` holds the rules, a test a rule id; the other modules hold what their names
//! say. `make test` runs all of it on both databases.

#![allow(clippy::large_futures, reason = "a test's future is made once, and holds whole servers")]
#![allow(clippy::similar_names, reason = "an owner owns what is owned")]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "what went wrong is written once, at the end")]

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod ceiling;
#[cfg(test)]
mod check;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod grant;
#[cfg(test)]
mod group;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod invitation;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listener;
#[cfg(test)]
mod log;
#[cfg(test)]
mod member;
#[cfg(test)]
mod organization;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod process;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod resource;
#[cfg(test)]
mod role;
#[cfg(test)]
mod rule;
#[cfg(test)]
mod session;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod two_worlds;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod workers;
