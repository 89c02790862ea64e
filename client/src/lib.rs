//! Asks Guildhall what may be done, holds the answers, and trusts them no longer than they are proven.
//!
//! A client keeps one stream to a server of Guildhall. Questions that are *held* are subscribed to on it, and their answers are
//! pushed when they turn; asking for them takes tens to hundreds of nanoseconds and no call. What is not held is asked by a call. A held "allow"
//! counts under a *lease* of a few seconds, which the server renews every second, counted on a clock of the client's own that
//! also runs while the process is suspended: when the server is not heard for so long, the answer is no longer there, and the
//! client asks or denies. A held "deny" always counts.
//!
//! ```no_run
//! use guildhall_client::{Guildhall, Question, Subject};
//!
//! # async fn example() -> Result<(), guildhall_client::Error> {
//! let guildhall = Guildhall::builder("http://127.0.0.1:50051").credential("ghk_…").connect().await?;
//!
//! let user = Subject::user("018f4e9a-7b3c-7def-8a12-0123456789ac");
//! let question = Question::new("018f4e9a-7b3c-7def-8a12-0123456789ab", user, "project.view").on("project", "alpha");
//!
//! // A session that stays open holds what it stands on, and is told when it turns.
//! let mut held = guildhall.hold(&question)?;
//! if held.answered().await.is_ok() {
//!     while let Some(Ok(())) = held.changed().await {}
//!     // Turned, or not heard for the time of the lease: end the session.
//! }
//!
//! // Elsewhere: from memory if it is held, by a call otherwise.
//! if guildhall.is_allowed(&question).await? { /* … */ }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Guildhall`] is the handle, [`Builder`] how it is made, [`Held`] holds a question.
//! - [`GuardLayer`] guards another tonic service in one line.
//! - [`Clock`] is where time comes from; tests bring their own.
//!
//! # How it is built
//!
//! | module | job |
//! |---|---|
//! | `client`, `builder`, `guard` | what users see |
//! | `question`, `answer`, `error`, `clock` | words |
//! | `held` | the table of held questions, read without waiting: one word an entry |
//! | `stream` | the task that keeps them current, and why they may be trusted |
//! | `call` | single checks |
//! | `connect`, `shared` | how the server is reached; what handles and task share |
//!
//! Nothing here panics, and nothing grows with time: what is held is bounded by [`Builder::capacity`], all else by what is held.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod answer;
mod builder;
mod call;
mod client;
mod clock;
mod connect;
mod error;
mod guard;
mod held;
mod proto;
mod question;
mod shared;
mod stream;

pub use answer::{Answer, DenialReason};
pub use builder::{Builder, CAPACITY_MAX};
pub use call::{Checked, Freshness};
pub use client::Guildhall;
pub use clock::{Clock, Moment, SystemClock};
pub use connect::Spawned;
pub use error::Error;
pub use guard::{Call, Guard, GuardLayer};
pub use held::Held;
pub use question::{Question, Subject};
