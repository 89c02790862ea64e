//! How fast checks are answered: `make bench`. How soon a revocation is pushed, `make demo` shows.
//!
//! Client and server share the machine, so figures are given as ratios to something measured in the same run: an empty
//! handler of the same server that no layer of ours stands before (the health service). Prints a table; fails on nothing.

#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the time and prints rates"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall::app::App;
use guildhall::authz::{InstallationIndex, OrganizationIndex, Question};
use guildhall::clock::World;
use guildhall::config::Config;
use guildhall::domain::catalog::presets;
use guildhall::domain::fact::{Commit, Fact, Grant, GrantSource, Held, MemberState, OrganizationState};
use guildhall::domain::id::{GrantId, MembershipId, UserId};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};
use guildhall::domain::revision::{Position, Revision, Tag};
use guildhall::proto;
use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::organization_service_client::OrganizationServiceClient;
use guildhall::proto::stream_checks_request::Frame as Asked;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

/// Members of the organization that is evaluated in process.
const MEMBERS: u128 = 1_000;
/// Resources of it; each lists one member in ten.
const RESOURCES: usize = 400;
/// Calls at once on one connection.
const IN_FLIGHT: usize = 64;
/// How long each load runs.
const RUN: Duration = Duration::from_secs(3);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!("{MEMBERS} members, {RESOURCES} resources; {IN_FLIGHT} calls in flight; {} s a load", RUN.as_secs());
    println!("{:<58} {:>14} {:>10}", "what", "figure", "ratio");
    evaluation();

    let directory = std::env::temp_dir().join(format!("guildhall-bench-{}", World::system().id::<Uuid>()));
    let served = serve(&directory).await;
    std::fs::remove_dir_all(&directory)?;
    served
}

/// Prints a row.
fn row(what: &str, figure: &str, ratio: &str) {
    println!("{what:<58} {figure:>14} {ratio:>10}");
}

/// One check in process, from a parsed question.
fn evaluation() {
    let (organization, questions) = organization();
    let installation = InstallationIndex::default();
    let now = World::system().now();
    let rounds = 200_000;
    let began_at = Instant::now();
    let mut allowed = 0_u64;
    for question in questions.iter().cycle().take(rounds) {
        allowed += u64::from(black_box(organization.answer(&installation, question, now)).is_allowed());
    }
    let each = began_at.elapsed() / u32::try_from(rounds).unwrap_or(u32::MAX);
    row("one evaluation in process, warm organization", &format!("{} ns", each.as_nanos()), "");
    assert!(allowed > 0, "some of it is allowed");
}

fn organization() -> (OrganizationIndex, Vec<Question>) {
    let catalog = presets::presets().first().cloned().expect("a preset is built in");
    let key = |number: usize| ResourceKey { kind: "project".into(), id: format!("p-{number}").into() };
    let mut facts = vec![Fact::Organization { state: OrganizationState::Active, catalog: Arc::clone(catalog.name()) }];
    let grant = |id: u128, member, place, held| {
        let (id, principal) = (GrantId(Uuid::from_u128(id)), Principal::Membership(member));
        Fact::Grant(Grant { id, principal, place, held, expires_at: None, source: GrantSource::Manual })
    };
    for number in 0..MEMBERS {
        let (id, user) = (MembershipId(Uuid::from_u128(number)), UserId(Uuid::from_u128(number)));
        facts.push(Fact::Membership { id, user: Some(user), state: MemberState::Active });
        facts.push(grant(number, id, Place::Organization, Held::Role("user".into())));
    }
    for number in 0..RESOURCES {
        facts.push(Fact::Resource { key: key(number), parent: None, owner: None });
        for member in (0..MEMBERS).filter(|member| member % 10 == number as u128 % 10) {
            let id = MEMBERS + (number as u128) * MEMBERS + member;
            let member = MembershipId(Uuid::from_u128(member));
            facts.push(grant(id, member, Place::Resource(key(number)), Held::AsMember));
        }
    }
    let mut index = OrganizationIndex::empty(catalog);
    index.apply(&Commit { position: Position { revision: Revision(1), tag: Tag(1) }, facts });

    let question = |number: usize| Question {
        subject: Subject::User(UserId(Uuid::from_u128((number as u128 * 7_919) % MEMBERS))),
        permission: "project.view".into(),
        target: Some(key((number * 31) % RESOURCES)),
    };
    (index, (0..4_096).map(question).collect())
}

/// What goes over the wire.
async fn serve(directory: &Path) -> Result<(), Failure> {
    let app = App::start(&Config::local(directory.to_owned()), World::system()).await?;
    let key = app.operator_key.as_ref().map(|key| key.text().to_owned()).ok_or("no operator key")?;
    let address = format!("http://{}", app.grpc_address);
    let channel = Endpoint::from_shared(address)?.tcp_nodelay(true).connect().await?;
    let organization = create_organization(&channel, &key).await?;

    let empty = load(&channel, |channel| async move {
        HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await.is_ok()
    })
    .await;
    row("unary, empty handler without layers", &format!("{empty:.0} /s"), "1.00");
    let check = load(&channel, |channel| {
        let request = with(&key, check(&organization));
        async move { AuthorizationServiceClient::new(channel).check(request).await.is_ok() }
    })
    .await;
    row("unary Check, every layer on", &format!("{check:.0} /s"), &format!("{:.2}", check / empty));
    let stream = stream(&channel, &key, &organization).await?;
    row("StreamChecks, frames of 100", &format!("{stream:.0} checks/s"), "");
    app.stop().await;
    Ok(())
}

/// Calls `one` again and again, so many at once, and gives how many came back well in a second.
async fn load<Calling>(channel: &Channel, one: impl Fn(Channel) -> Calling) -> f64
where
    Calling: Future<Output = bool> + Send + 'static,
{
    let began_at = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    let mut done = 0_u64;
    while began_at.elapsed() < RUN {
        while calls.len() < IN_FLIGHT {
            calls.spawn(one(channel.clone()));
        }
        if let Some(Ok(true)) = calls.join_next().await {
            done += 1;
        }
    }
    calls.shutdown().await;
    done as f64 / began_at.elapsed().as_secs_f64()
}

/// Asks frames of 100 one after another, four at once, and gives checks a second.
async fn stream(channel: &Channel, key: &str, organization: &str) -> Result<f64, Failure> {
    let (frames, outgoing) = mpsc::channel(4);
    let request = with(key, ReceiverStream::new(outgoing));
    let mut answers = AuthorizationServiceClient::new(channel.clone()).stream_checks(request).await?.into_inner();
    let items = vec![item(); 100];
    let frame = |frame_id| proto::StreamChecksRequest {
        frame: Some(Asked::Check(proto::CheckFrame {
            frame_id,
            organization_id: organization.to_owned(),
            items: items.clone(),
            consistency: None,
        })),
    };
    for number in 0..4 {
        frames.send(frame(number)).await?;
    }
    let (began_at, mut answered) = (Instant::now(), 0_u64);
    while began_at.elapsed() < RUN {
        answers.message().await?.ok_or("the stream ended")?;
        answered += 100;
        frames.send(frame(answered)).await?;
    }
    Ok(answered as f64 / began_at.elapsed().as_secs_f64())
}

async fn create_organization(channel: &Channel, key: &str) -> Result<String, Failure> {
    let request = proto::CreateOrganizationRequest {
        display_name: "Bench".into(),
        preset: "disaster-recovery".into(),
        founder_email: "ada@example.test".into(),
        ..Default::default()
    };
    let created = OrganizationServiceClient::new(channel.clone()).create_organization(with(key, request)).await?;
    Ok(created.into_inner().organization.unwrap_or_default().id)
}

fn check(organization: &str) -> proto::CheckRequest {
    proto::CheckRequest { organization_id: organization.to_owned(), item: Some(item()), consistency: None }
}

fn item() -> proto::CheckItem {
    let user = proto::subject::Kind::UserId(Uuid::from_u128(7).to_string());
    proto::CheckItem {
        subject: Some(proto::Subject { kind: Some(user) }),
        permission: "project.view".into(),
        resource: Some(proto::ResourceRef { r#type: "project".into(), id: "p-1".into() }),
    }
}

fn with<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {key}").parse().expect("a key of plain characters");
    request.metadata_mut().insert("authorization", value);
    request
}
