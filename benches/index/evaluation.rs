//! One evaluation from text, and frames of a hundred (P1).

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall::authz::{Asked, Denial, Engine, ItemFault, Requirement};
use guildhall::domain::id::{OrganizationId, UserId};
use guildhall::domain::place::Subject;

use crate::organizations::CALLER;
use crate::shape::{KIND, Shape, scramble};
use crate::{Failure, heading, percentile, row, text};

/// Questions of each kind.
const QUESTIONS: u64 = 200_000;
/// Questions in a frame.
const FRAME: usize = 100;

/// Longest id of a resource here.
const RESOURCE_BYTES: usize = 10;

/// A question as a client writes it: all of it in one place, as it would stand in a message.
struct Written {
    organization: [u8; 36],
    user: [u8; 36],
    resource: [u8; RESOURCE_BYTES],
}

impl Written {
    /// Draws a question; the members and resources of a frame are of one organization.
    fn draw(shape: Shape, organization: u32, draw: u64) -> Self {
        let below = |draw: u64, count: u32| u32::try_from(draw % u64::from(count)).unwrap_or(0);
        let member = below(scramble(draw), shape.members);
        let resource = below(scramble(draw + 1), shape.resources);
        let text = |text: &str, to: &mut [u8]| to.copy_from_slice(text.as_bytes());
        let mut written = Self { organization: [0; 36], user: [0; 36], resource: [0; RESOURCE_BYTES] };
        text(&Shape::organization(organization).to_string(), &mut written.organization);
        text(&Shape::user(organization, member).to_string(), &mut written.user);
        text(&shape.resource(organization, resource), &mut written.resource);
        written
    }

    fn organization(&self) -> Result<OrganizationId, Failure> {
        Ok(OrganizationId::parse("", std::str::from_utf8(&self.organization)?)?)
    }

    fn asked(&self) -> Result<Asked<'_>, Denial> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Denial::Malformed(ItemFault::UserId));
        let user = UserId::parse("", text(&self.user)?).map_err(|_| Denial::Malformed(ItemFault::UserId))?;
        let target = Some((KIND, text(&self.resource)?));
        Ok(Asked { subject: Subject::User(user), session: None, permission: "project.view", target })
    }
}

/// Prints how long checks take.
pub async fn report(engine: &Arc<Engine>, shape: Shape) -> Result<(), Failure> {
    let bytes = engine.bytes();
    heading(&format!("evaluation from text: {} organizations, {:.0} MB", shape.organizations, bytes as f64 / 1e6));
    let read = dependent_read(bytes);
    row("one dependent random read of as much memory, p50", &text(read), "1.00", "");
    let ratio = |each: Duration| format!("{:.2}", each.as_secs_f64() / read.as_secs_f64());

    let draw = |number: u64| u32::try_from(scramble(number) % u64::from(shape.organizations)).unwrap_or(0);
    let questions: Vec<Written> =
        (0..QUESTIONS).map(|number| Written::draw(shape, draw(number), number.wrapping_mul(3))).collect();
    let each = one_by_one(engine, &questions).await?;
    row("one check, a random organization each, p50", &text(each), &ratio(each), "≤ 6");

    let frames = QUESTIONS / FRAME as u64;
    let of_frames = (0..frames).flat_map(|frame| {
        (0..FRAME as u64).map(move |number| (draw(frame.wrapping_mul(7)), frame * FRAME as u64 + number))
    });
    let questions: Vec<Written> =
        of_frames.map(|(organization, number)| Written::draw(shape, organization, number.wrapping_mul(3))).collect();
    let each = in_frames(engine, &questions).await?;
    row("a check in a frame of 100, a random organization each, p50", &text(each), &ratio(each), "≤ 1.5");

    let questions: Vec<Written> = (0..2_000).map(|number| Written::draw(shape, 0, number * 3)).collect();
    for _ in 0..5 {
        one_by_one(engine, &questions).await?;
    }
    let each = one_by_one(engine, &questions).await?;
    row("one check, one warm organization, p50", &text(each), "", "≤ 300 ns");
    let each = in_frames(engine, &questions).await?;
    row("a check in a frame of 100, one warm organization, p50", &text(each), "", "");
    Ok(())
}

/// Asks questions one after another, and gives the median.
async fn one_by_one(engine: &Arc<Engine>, questions: &[Written]) -> Result<Duration, Failure> {
    let (mut samples, mut allowed) = (Vec::with_capacity(questions.len()), 0_usize);
    for question in questions {
        let began_at = Instant::now();
        let organization = question.organization()?;
        let view = engine.view(organization, Requirement::MaxAge(None), Subject::ServiceAccount(CALLER)).await?;
        let asked = question.asked().map_err(|denial| format!("{denial:?}"))?;
        allowed += usize::from(view.answer_asked(&asked).is_allowed());
        samples.push(began_at.elapsed());
    }
    must_be_mixed(allowed, questions.len());
    Ok(percentile(&mut samples, 0.5).saturating_sub(clock_cost()))
}

/// Asks questions in frames, and gives the median for each question.
async fn in_frames(engine: &Arc<Engine>, questions: &[Written]) -> Result<Duration, Failure> {
    let (mut samples, mut allowed) = (Vec::new(), 0_usize);
    for frame in questions.chunks(FRAME) {
        let began_at = Instant::now();
        let organization = frame[0].organization()?;
        let view = engine.view(organization, Requirement::MaxAge(None), Subject::ServiceAccount(CALLER)).await?;
        view.answer_all(frame.iter().map(Written::asked), |answer| allowed += usize::from(answer.is_allowed()));
        samples.push(began_at.elapsed());
    }
    must_be_mixed(allowed, questions.len());
    Ok(percentile(&mut samples, 0.5) / u32::try_from(FRAME)?)
}

fn must_be_mixed(allowed: usize, asked: usize) {
    assert!((1..asked).contains(&allowed), "{allowed} of {asked} are allowed: nothing was evaluated");
}

/// Returns how long reading the clock twice takes.
fn clock_cost() -> Duration {
    let mut samples: Vec<Duration> = (0..10_000)
        .map(|_| {
            let began_at = Instant::now();
            began_at.elapsed()
        })
        .collect();
    percentile(&mut samples, 0.5)
}

/// Reads memory at random, each address from what was read before.
fn dependent_read(bytes: usize) -> Duration {
    let count = (bytes / size_of::<u64>()).next_power_of_two() as u64;
    let memory: Vec<u64> = (0..count).map(scramble).collect();
    let mut samples = Vec::new();
    let mut at = 0_u64;
    for round in 0..2_000_u64 {
        const READS: u32 = 100;
        let began_at = Instant::now();
        for read in 0..u64::from(READS) {
            let next = memory[usize::try_from(at).unwrap_or(0)];
            at = (next ^ read ^ (round << 7)) & (count - 1);
        }
        samples.push(began_at.elapsed() / READS);
    }
    black_box(at);
    percentile(&mut samples, 0.5)
}
