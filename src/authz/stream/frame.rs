//! The frames of a stream, once they are read and before they are written.

use std::time::Duration;

use crate::authz::question::{Answer, Item};
use crate::authz::view::{Requirement, View};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::revision::Token;

/// A frame from the client.
#[derive(Debug)]
pub enum Update<Q> {
    /// Checks to answer.
    Check {
        /// Chosen by the client.
        frame: u64,
        organization: OrganizationId,
        questions: Q,
        /// How fresh the answers must be.
        requirement: Requirement,
    },
    /// Decisions to hold.
    Subscribe {
        organization: OrganizationId,
        /// The client's number, the question, and what the client holds already.
        subscriptions: Vec<(u64, Item, Option<bool>)>,
        /// The first answers take this in.
        at_least: Option<Token>,
    },
    /// Decisions to let go.
    Unsubscribe(Vec<u64>),
    /// A sign of life.
    Ping(u64),
}

/// A frame to the client.
#[derive(Debug)]
pub enum Output {
    /// Answers to one frame of checks.
    Decisions {
        /// As the client chose.
        frame: u64,
        /// In order; or why the frame as a whole was not answered.
        answers: Result<(Vec<Answer>, View), Error>,
    },
    /// Subscriptions whose answer is new.
    Changes {
        organization: OrganizationId,
        /// The client's number and the answer.
        changes: Vec<(u64, Answer)>,
        /// What it was evaluated on.
        view: View,
    },
    /// Everything that turned up to here was sent.
    Progress {
        /// The newest ping.
        ping: u64,
        /// How far each organization with subscriptions has come.
        organizations: Vec<Token>,
        /// The oldest age among them.
        age: Duration,
    },
    /// The subscriptions of an organization are gone.
    Reset { organization: OrganizationId, reason: Reason },
}
