//! What is asked: frames of checks of one organization, made before anything is measured, each with its right answers.

use bytes::Bytes;
use clap::ValueEnum;
use guildhall::proto::subject::Kind;
use guildhall::proto::{BatchCheckRequest, CheckFrame, CheckItem, CheckRequest, ResourceRef, Subject};
use prost::Message;

use crate::shape::{KIND, Shape, scramble};

/// How many different questions are asked of one organization: more than caches of a few kilobytes hold.
const QUESTIONS_OF_ONE: usize = 6_400;
/// How many are asked of many; each is another member, and nearly each another organization than the one before.
const QUESTIONS_OF_MANY: usize = 1_000_000;

/// Whom the frames ask about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// All about one organization.
    One,
    /// Each about another, at random.
    Random,
}

/// Checks of one organization.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which.
    pub organization: String,
    /// The checks.
    pub items: Vec<CheckItem>,
    /// Their answers, in order.
    pub allowed: Vec<bool>,
    /// The same as a message that is ready to be sent; on a stream the frame's number is put before it.
    pub encoded: Bytes,
}

/// The RPC that a frame is asked by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rpc {
    /// `Check`, of one item.
    Check,
    /// `BatchCheck`.
    BatchCheck,
    /// `StreamChecks`.
    StreamChecks,
}

impl Frame {
    /// Makes a frame for an RPC.
    pub fn new(rpc: Rpc, organization: String, items: Vec<CheckItem>, allowed: Vec<bool>) -> Self {
        let organization_id = organization.clone();
        let encoded = match rpc {
            Rpc::Check => {
                CheckRequest { organization_id, item: items.first().cloned(), consistency: None }.encode_to_vec()
            }
            Rpc::BatchCheck => {
                BatchCheckRequest { organization_id, items: items.clone(), consistency: None }.encode_to_vec()
            }
            Rpc::StreamChecks => {
                CheckFrame { frame_id: 0, organization_id, items: items.clone(), consistency: None }.encode_to_vec()
            }
        };
        Self { organization, items, allowed, encoded: encoded.into() }
    }

    /// Makes a frame of one check about the first member of a synthetic organization.
    pub fn of_member(shape: &Shape, organization: u32) -> Self {
        let (item, allowed) = question(shape, organization, 0, 0);
        Self::new(Rpc::Check, Shape::organization(organization).to_string(), vec![item], vec![allowed])
    }

    /// Compares answers with the right ones; what only echoes allows everything.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn verify(&self, is_echo: bool, answers: impl ExactSizeIterator<Item = bool>) -> Result<(), String> {
        if answers.len() != self.allowed.len() {
            return Err(format!("{} answers to {} checks", answers.len(), self.allowed.len()));
        }
        let mut pairs = answers.zip(&self.allowed);
        match pairs.position(|(answer, right)| answer != (is_echo || *right)) {
            None => Ok(()),
            Some(at) => Err(format!("a wrong answer to {:?} in {}", self.items.get(at), self.organization)),
        }
    }
}

/// Frames that are asked over and over, in an order that was drawn.
#[derive(Debug)]
pub struct Pool(Vec<Frame>);

impl Pool {
    /// Takes frames as they are; there must be one.
    pub fn new(frames: Vec<Frame>) -> Self {
        assert!(!frames.is_empty(), "a pool holds a frame");
        Self(frames)
    }

    /// Draws frames of `items` checks about synthetic organizations. Half of the checks are about what stands below
    /// something that the member is listed on; the others, about anything, are mostly denied.
    pub fn synthetic(shape: &Shape, spread: Spread, rpc: Rpc, items: usize) -> Self {
        let questions = match spread {
            Spread::One => QUESTIONS_OF_ONE,
            Spread::Random => QUESTIONS_OF_MANY.min(QUESTIONS_OF_ONE * shape.organizations as usize),
        };
        let mut draws = (0_u64..).map(scramble);
        let mut draw = || draws.next().unwrap_or_default();
        let mut below = |limit: u32| u32::try_from(draw() % u64::from(limit)).unwrap_or_default();
        let frames = (0..questions.div_ceil(items).max(1)).map(|_| {
            let organization = match spread {
                Spread::One => 0,
                Spread::Random => below(shape.organizations),
            };
            let (asked, allowed) = (0..items)
                .map(|_| {
                    let member = below(shape.members);
                    let resource = match below(2) {
                        0 => shape.listed_below(organization, member, u64::from(below(u32::MAX))),
                        _ => shape.deepest(u64::from(below(u32::MAX))),
                    };
                    question(shape, organization, member, resource)
                })
                .unzip();
            Frame::new(rpc, Shape::organization(organization).to_string(), asked, allowed)
        });
        Self(frames.collect())
    }

    /// Returns a frame, for any number.
    pub fn frame(&self, number: usize) -> &Frame {
        &self.0[number % self.0.len()]
    }

    /// Returns how many frames there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the share of the checks that is allowed.
    pub fn allowed_share(&self) -> f64 {
        let answers = || self.0.iter().flat_map(|frame| &frame.allowed);
        answers().filter(|allowed| **allowed).count() as f64 / answers().count().max(1) as f64
    }
}

/// Asks whether a member may see a resource, and gives the answer.
fn question(shape: &Shape, organization: u32, member: u32, resource: u32) -> (CheckItem, bool) {
    let user = Kind::UserId(Shape::user(organization, member).to_string());
    let item = CheckItem {
        subject: Some(Subject { kind: Some(user) }),
        permission: "project.view".into(),
        resource: Some(ResourceRef { r#type: KIND.into(), id: shape.resource(organization, resource) }),
    };
    (item, shape.is_allowed(organization, member, resource))
}
