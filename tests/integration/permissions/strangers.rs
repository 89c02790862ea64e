//! Who has no standing in an organization does not find out that it is there, also not by what a call costs (C12).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use guildhall::proto::look_up_organization_request::Name;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, subject};
use guildhall::rpc::Rpc;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::calls::prepare;
use super::scene::{SLUG, Scene, Someone};
use super::table::{Holding, Relation, Row, Table};
use super::targets::Ask;
use crate::harness::messages::{fresh, item, membership};
use crate::harness::{Caller, ManualClock, TestApp, eventually_finds, messages_of};
use crate::on_both;

/// How often each call is made: background tasks send statements, too.
const TIMES: usize = 4;

/// What one call comes to: how many statements it sends, at the fewest, and how it ends.
type Cost = (u64, Option<(Code, String)>);

async fn cost<T>(app: &TestApp, call: impl AsyncFn() -> Result<T, Status>) -> Cost {
    let (mut fewest, mut end) = (u64::MAX, None);
    for _ in 0..TIMES {
        if app.clock.is_still() {
            forget_refusals(app).await;
        }
        let before = app.app.services().store.statements_read();
        let result = call().await;
        fewest = fewest.min(app.app.services().store.statements_read() - before);
        let reason = |status: &Status| status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        end = result.err().map(|status| (status.code(), reason(&status)));
    }
    (fewest, end)
}

/// Has a server whose clock stands still forget who was refused, and waits until it has looked at the log.
async fn forget_refusals(app: &TestApp) {
    let engine = &app.app.services().engine;
    app.clock.advance(engine.settings().absence);
    let mut looks = 0;
    eventually_finds("a look at the log", async || {
        looks += 1;
        if looks % 100 == 0 {
            // One that was under way began before, and the next one waits for its time.
            app.clock.advance(engine.settings().poll_interval * 2);
        }
        (engine.log_age() == Duration::ZERO).then_some(())
    })
    .await;
}

/// Returns whether a request names an organization by its id.
fn names_an_organization(row: &Row) -> bool {
    row.rpc == Rpc::StreamChecks || messages_of(row.rpc).0.get_field_by_name("organization_id").is_some()
}

/// Sends one frame on a stream of its own, and returns what it is refused with.
async fn say(call: &Caller, frame: Asked) -> Result<(), Status> {
    let mut stream = call.stream().await?;
    stream.send(frame).await;
    match stream.receive().await? {
        Some(Told::Reset(reset)) => Err(Status::not_found(reset.reason)),
        Some(Told::Decisions(frame)) if !frame.error.is_empty() => Err(Status::not_found(frame.error)),
        other => panic!("not refused: {other:?}"),
    }
}

async fn compare(app: &TestApp, preset: &str) {
    let table = Table::of(preset);
    let mut scene = Scene::of(app, &table).await;
    let stranger = app.somebody("stranger@example.test").await;
    // The id of a member elsewhere, and a token that is as good as new.
    let call = app.sign_in(&stranger.email, "").await.call;
    let who = Someone {
        name: "stranger".into(),
        call: call.clone(),
        email: Some(stranger.email.clone()),
        principal: Some(membership(&stranger.membership_id)),
        subject: Some(subject::Kind::UserId(stranger.user_id.clone())),
        holding: Holding { roles: Vec::new(), relation: Relation::Stranger },
    };
    let (there, absent) = (scene.tenant.id.clone(), Uuid::from_u128(7).to_string());
    let (mut wrong, mut services) = (String::new(), BTreeSet::new());
    for row in table.rows.iter().filter(|row| names_an_organization(row)) {
        // It lives for ten minutes.
        let who = Someone { call: app.sign_in(&stranger.email, "").await.call, ..who.clone() };
        let mut costs = Vec::new();
        for id in [&there, &absent] {
            scene.tenant.id.clone_from(id);
            let ask = Ask { scene: &scene, row, who: &who, is_done: false };
            costs.push(cost(app, async || prepare(&ask).await.await).await);
        }
        if costs[0] != costs[1] || costs[0].1.is_none() {
            wrong += &format!(
                "{} ({}): {:?} there, {:?} where there is none\n",
                row.rpc.path(),
                row.case,
                costs[0],
                costs[1]
            );
        }
        services.insert(row.rpc.path().split('/').nth(1));
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(services.len(), 9, "{services:?}");

    let named =
        |name: &str| proto::LookUpOrganizationRequest { name: Some(Name::Slug(name.into())), catalog: preset.into() };
    let hidden = cost(app, async || call.look_up_organization(named(SLUG)).await).await;
    assert_eq!(cost(app, async || call.look_up_organization(named("free")).await).await, hidden);
}

/// Compares what the streams of strangers are refused by, where an organization is in memory and where it is none.
async fn compare_streams(app: &TestApp, loaded: &str, call: &Caller, stranger: &str) {
    let items = || vec![item(stranger, "asset.view", None)];
    let mut costs = Vec::new();
    for id in [loaded, &Uuid::from_u128(7).to_string()] {
        let mut of = Vec::new();
        for consistency in [None, Some(fresh())] {
            let frame = || {
                let (organization_id, items) = (id.to_owned(), items());
                let consistency = consistency.clone();
                Asked::Check(proto::CheckFrame { frame_id: 1, organization_id, items, consistency })
            };
            of.push(cost(app, async || say(call, frame()).await).await);
        }
        let frame = || {
            let subscription = |item| proto::Subscription { subscription_id: 1, item: Some(item), known_allowed: None };
            let (organization_id, subscriptions) = (id.to_owned(), items().into_iter().map(subscription).collect());
            Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least: String::new() })
        };
        of.push(cost(app, async || say(call, frame()).await).await);
        costs.push(of);
    }
    assert_eq!(costs[0], costs[1]);
}

on_both! {
    async fn a_stranger_is_refused_by_the_same_statements_where_organizations_make_roles(app) {
        compare(&app, "analytics-workspace").await;
    }

    async fn a_stranger_is_refused_by_the_same_statements_where_they_make_none(app) {
        compare(&app, "msp-monitoring").await;
    }
}

on_both! {
    async fn a_stranger_is_refused_by_the_same_statements_on_a_stream(database: Database) {
        let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let config = database.config(data_dir.path()).await;
        let app = TestApp::start_with(config, data_dir, ManualClock::still()).await.expect("a server that starts");
        let organization = app.found_under("analytics-workspace").await;
        let owner = &organization.owner;
        assert!(owner.call.allows(&organization.id, &owner.user_id, "member.list", None).await, "it is in memory");
        let stranger = app.somebody("stranger@example.test").await;
        compare_streams(&app, &organization.id, &stranger.call, &stranger.user_id).await;
    }
}
