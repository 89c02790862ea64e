//! A million subscriptions on one organization: a change that touches one, and one that touches all (P9).

use std::sync::Arc;
use std::time::Instant;

use guildhall::authz::{Caller, Engine, Item, Output, Question, Requirement, Stream, Update};
use guildhall::domain::fact::{Grant, GrantSource, Held, OrganizationFact};
use guildhall::domain::id::GrantId;
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};
use uuid::Uuid;

use crate::organizations::{CALLER, Organizations, engine_over};
use crate::shape::{KIND, Shape, scramble};
use crate::{Failure, heading, percentile, row, text};

/// As many as one stream holds.
const EACH: u32 = 100_000;
/// As many as a frame holds.
const FRAME: u32 = 1_000;
/// Changes that touch one.
const CHANGES: u64 = 2_000;

type Checks = Stream<Vec<Item>>;

/// Prints what subscriptions take, and how soon they are told.
pub async fn report(shape: Shape) -> Result<(), Failure> {
    let source = Arc::new(Organizations::new(shape));
    let engine = engine_over(Arc::clone(&source)).await?;
    let organization = Shape::organization(0);
    let caller = Subject::ServiceAccount(CALLER);
    engine.view(organization, Requirement::MaxAge(None), caller).await?;

    let mut streams = Vec::new();
    for first in (0..shape.members).step_by(EACH as usize) {
        streams.push(subscribed(&engine, shape, first, EACH.min(shape.members - first)).await?);
    }
    let (count, bytes) = engine.subscriptions();
    heading(&format!(
        "subscriptions: {count} on {} streams, each of another member, on {} resources",
        streams.len(),
        shape.resources
    ));
    let found: usize = streams.iter().map(Checks::bytes).sum();
    row("a subscription", &format!("{} B", (bytes + found) / count), "", "≤ 200 B");

    // One: a member gets on the list of the resource that is asked about.
    let memberships: Vec<_> = shape
        .facts(0)
        .into_iter()
        .filter_map(|fact| match fact {
            OrganizationFact::Membership { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    let grant = |number: u64, principal, place, held| Grant {
        id: GrantId(Uuid::from_u128(u128::from(number))),
        principal,
        place,
        held,
        expires_at: None,
        source: GrantSource::Manual,
    };
    let mut samples = Vec::new();
    for number in 0..CHANGES {
        let member = u32::try_from(scramble(number) % u64::from(shape.members))?;
        let place = Place::Resource(target(shape, member));
        let holder = Principal::Membership(memberships[member as usize]);
        let position = source
            .commit(organization, vec![OrganizationFact::Grant(grant(number + 10, holder, place, Held::AsMember))]);
        let began_at = Instant::now();
        engine.committed(Some((organization, position)), None).await;
        samples.push(began_at.elapsed());
    }
    row("a change touching one: applied and marked, p50", &text(percentile(&mut samples, 0.5)), "", "");
    row("a change touching one: applied and marked, p99", &text(percentile(&mut samples, 0.99)), "", "≤ 50 µs");
    for stream in &mut streams {
        settle(stream, 0).await?;
    }

    // All: everybody gets a role that lets them see everything.
    let all = grant(1, Principal::Everyone, Place::Organization, Held::Role("admin".into()));
    let position = source.commit(organization, vec![OrganizationFact::Grant(all)]);
    let began_at = Instant::now();
    engine.committed(Some((organization, position)), None).await;
    let marked = began_at.elapsed();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                settle(&mut stream, 1).await.map(|changes| (stream, changes)).map_err(|it| it.to_string())
            })
        })
        .collect();
    let mut changes = 0;
    for task in tasks {
        let (stream, told) = task.await??;
        changes += told;
        drop(stream);
    }
    let all = text(began_at.elapsed());
    row("a role for everyone, touching all: applied and marked", &text(marked), "", "");
    row(&format!("... and evaluated on every stream, {changes} changes told"), &all, "", "≤ 1 s");
    Ok(())
}

/// Opens a stream with so many subscriptions, each about another member.
async fn subscribed(engine: &Arc<Engine>, shape: Shape, first: u32, count: u32) -> Result<Checks, Failure> {
    let caller = Caller { subject: Subject::ServiceAccount(CALLER), session: None, key: None, expires_at: None };
    let mut stream = Stream::new(Arc::clone(engine), caller);
    for frame in (first..first + count).step_by(FRAME as usize) {
        let subscriptions = (frame..(frame + FRAME).min(first + count)).map(|member| {
            let question = Question {
                subject: Subject::User(Shape::user(0, member)),
                session: None,
                permission: "project.view".into(),
                target: Some(target(shape, member)),
            };
            (u64::from(member), Ok(question), None)
        });
        let subscriptions = subscriptions.collect();
        stream.take(Update::Subscribe { organization: Shape::organization(0), subscriptions, at_least: None })?;
        settle(&mut stream, 0).await?;
    }
    Ok(stream)
}

/// What is asked about a member.
fn target(shape: Shape, member: u32) -> ResourceKey {
    ResourceKey { kind: KIND.into(), id: shape.resource(0, member % shape.resources).into() }
}

/// Reads a stream until a ping is answered, and counts the changes.
async fn settle(stream: &mut Checks, ping: u64) -> Result<usize, Failure> {
    stream.take(Update::Ping(ping))?;
    let mut count = 0;
    loop {
        match stream.next().await? {
            Output::Changes { changes, .. } => count += changes.len(),
            Output::Progress { .. } => return Ok(count),
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
}
