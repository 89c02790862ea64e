//! The codec of our own against the generated code: the same bytes accepted and refused, read as the same, written as
//! the same.
//!
//! `messages` makes valid messages, `mutation` makes of them what a fuzzer would; proptest chooses and shrinks.
//! `GUILDHALL_SOAK=20` tries twenty times as many.

mod messages;
mod mutation;
mod read;
mod serve;
mod write;

use proptest::test_runner::{Config, TestRunner};

use crate::harness::soak;

/// Makes a runner for so many cases, or more of them if somebody wants to know better.
fn runner(cases: u32) -> TestRunner {
    let times = u32::try_from(soak()).expect("a small number");
    // A failure prints what it shrank to; that belongs into a test of its own and not into a file beside.
    TestRunner::new(Config { cases: cases * times, failure_persistence: None, ..Config::default() })
}
