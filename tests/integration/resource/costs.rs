//! A list costs by what its caller sees: what is hidden from them costs nothing, and is not found by the time it takes.

use std::time::Duration;

use guildhall::authz::{Requirement, Viewer};
use guildhall::domain::place::Subject;
use guildhall::proto;
use guildhall::proto::browse_resources_request::Under;
use guildhall::proto::grant_matrix::Act;
use tonic::Code;
use uuid::Uuid;

use super::{person, schedule};
use crate::harness::messages::{
    browse, change, change_by_matrix, check, create_group, create_service_account, get_organization, grant, item,
    list_accounts, list_grants, list_members, list_resources, matrix, membership, put_catalog, register, register_all,
    user,
};
use crate::harness::{Organization, Person, TestApp, as_member, assert_refused, project};
use crate::on_both;

/// How much more there is that is hidden.
const HIDDEN: usize = 400;

/// How often each call is made.
const TIMES: usize = 5;

/// What one page costs: statements sent, and entries of the index looked at.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    browsed: u64,
    found_by_name: u64,
    under_top: u64,
    listed: u64,
    looked_at: usize,
}

/// Names what is hidden, a hundred at a time.
fn hidden(count: usize) -> impl Iterator<Item = Vec<proto::ResourceRef>> {
    let name = |at: usize| project(&format!("m-hidden-{at:04}"));
    (0..count / 100).map(move |chunk| (0..100).map(|at| name(chunk * 100 + at)).collect())
}

async fn hide_more(organization: &Organization, count: usize) {
    for names in hidden(count) {
        let resources = names.into_iter().map(|name| (name, None));
        organization.owner.call.register_resources(vec![register_all(&organization.id, resources)]).await.unwrap();
    }
}

/// Counts the statements that a call sends: the fewest of several times, since background tasks send some too.
macro_rules! statements {
    ($app:expr, $call:expr) => {{
        let mut fewest = u64::MAX;
        let mut answer = None;
        for _ in 0..TIMES {
            let before = $app.app.services().store.statements_read();
            answer = Some($call.await);
            fewest = fewest.min($app.app.services().store.statements_read() - before);
        }
        (fewest, answer.expect("it was called"))
    }};
}

async fn costs(app: &TestApp, organization: &Organization, who: &Person) -> Cost {
    let id = organization.id.as_str();
    let seen = |answer: proto::BrowseResourcesResponse| {
        assert_eq!(answer.next_page_token, "", "nothing that is seen follows");
        let ids = answer.resources.into_iter().map(|it| it.resource.unwrap().id);
        assert_eq!(ids.collect::<Vec<_>>(), ["a-seen", "z-seen"]);
    };
    let (browsed, answer) = statements!(app, who.call.browse_resources(browse(id)));
    seen(answer.unwrap());
    let request = proto::BrowseResourcesRequest { query: "named".into(), ..browse(id) };
    let (found_by_name, answer) = statements!(app, who.call.browse_resources(request.clone()));
    seen(answer.unwrap());
    let request = proto::BrowseResourcesRequest { under: Some(Under::Top(proto::Top {})), ..browse(id) };
    let (under_top, answer) = statements!(app, who.call.browse_resources(request.clone()));
    seen(answer.unwrap());
    let (listed, answer) =
        statements!(app, who.call.list_resources(list_resources(id, user(&who.user_id), "project.view")));
    let answer = answer.unwrap();
    assert_eq!((answer.resource_ids.len(), answer.next_page_token.as_str()), (2, ""));

    let subject = Subject::User(Uuid::parse_str(&who.user_id).unwrap().into());
    let organization = Uuid::parse_str(id).unwrap().into();
    let view = app.app.services().engine.view(organization, Requirement::Fresh, subject).await.unwrap();
    let catalog = view.organization.catalog();
    let (kind, _) = catalog.resource_type("project").unwrap();
    let viewer = Viewer { subject, may_check: false };
    let permission = catalog.permission("project.view").unwrap();
    let page = view.resources((subject, None), permission, kind, viewer, (None, 10));
    assert_eq!(page.items.len(), 2);
    Cost { browsed, found_by_name, under_top, listed, looked_at: page.looked_at }
}

on_both! {
    async fn what_is_hidden_costs_nothing_in_any_list_of_resources(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        for name in ["a-seen", "z-seen"] {
            let request = proto::RegisterResourceRequest {
                display_name: "Named alike".into(),
                ..register(id, project(name))
            };
            owner.register_resource(request).await.unwrap();
        }
        let who = person(&app, &organization, "bob", &["user"]).await;
        let to_see = ["a-seen", "z-seen"].map(|name| grant(membership(&who.membership_id), as_member(project(name))));
        owner.change_grants(change(id, to_see.to_vec())).await.unwrap();

        let before = costs(&app, &organization, &who).await;
        hide_more(&organization, HIDDEN).await;
        assert_eq!(costs(&app, &organization, &who).await, before);
        assert_eq!(before.looked_at, 2);
    }

    async fn what_is_held_at_hidden_places_costs_nothing_in_lists_of_grants_and_members(app) {
        let preset = include_str!("../../../presets/disaster-recovery.yaml").replace("name: disaster-recovery", "name: open");
        let yaml = preset.replacen("project.operate: SHARED\n", "project.operate: SHARED\n      member.list: ANY\n", 1);
        app.operator().put_catalog(put_catalog(&yaml)).await.unwrap();
        let organization = app.found_under("open").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("a-seen"))).await.unwrap();
        let who = person(&app, &organization, "bob", &["user"]).await;
        let other = person(&app, &organization, "cleo", &["user"]).await;
        for person in [&who, &other] {
            let to_see = grant(membership(&person.membership_id), as_member(project("a-seen")));
            owner.change_grants(change(id, vec![to_see])).await.unwrap();
        }
        let cost = async || {
            let (count, answer) = statements!(app, who.call.list_grants(list_grants(id, None)));
            let answer = answer.unwrap();
            assert_eq!(answer.next_page_token, "", "nothing that is seen follows");
            let there = answer.grants.into_iter().filter(|grant| grant.assignment.as_ref().unwrap().resource.is_some());
            let (of_members, answer) = statements!(app, who.call.list_members(list_members(id)));
            let places: Vec<i32> = answer.unwrap().members.into_iter().map(|member| member.place_count).collect();
            (count, there.count(), of_members, places)
        };
        let before = cost().await;
        assert_eq!((before.1, &before.3), (2, &vec![0, 1, 1]));
        // More than is read at once.
        hide_more(&organization, 3 * HIDDEN).await;
        for places in hidden(3 * HIDDEN) {
            let act = Act::Grant(proto::Assignment { resource: None, ..as_member(project("")) });
            let all = matrix(vec![membership(&other.membership_id)], places, act);
            owner.change_grants(change_by_matrix(id, vec![all])).await.unwrap();
        }
        assert_eq!(cost().await, before);
    }

    async fn accounts_that_are_bound_to_what_is_hidden_cost_nothing_in_the_list_of_accounts(app) {
        let preset = include_str!("../../../presets/analytics-workspace.yaml");
        let preset = preset.replace("name: analytics-workspace", "name: open-workspace");
        let yaml = preset.replacen("schedule.view: OWN\n", "schedule.view: OWN\n      service_account.manage: ANY\n", 1);
        app.operator().put_catalog(put_catalog(&yaml)).await.unwrap();
        let organization = app.found_under("open-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let who = person(&app, &organization, "bob", &["default"]).await;
        let make = async |name: &str| {
            // Ids are in the order of time to the millisecond.
            app.clock.advance(Duration::from_millis(1));
            let made = who.call.create_service_account(create_service_account(id, name)).await.unwrap();
            made.service_account.unwrap().id
        };
        let bound = async |name: &str| {
            app.clock.advance(Duration::from_millis(1));
            let theirs = Some(proto::Principal { kind: Some(membership(&who.membership_id)) });
            let request = proto::RegisterResourceRequest { owner: theirs, ..register(id, schedule(name)) };
            owner.register_resource(request).await.unwrap().resource.unwrap().service_account_id
        };
        let seen = [make("first").await, bound("a-seen").await];
        let cost = async |size, page_token: &str| {
            let (page_size, page_token) = (size, page_token.to_owned());
            let request = proto::ListServiceAccountsRequest { page_size, page_token, ..list_accounts(id) };
            let (count, answer) = statements!(app, who.call.list_service_accounts(request.clone()));
            let answer = answer.unwrap();
            let ids: Vec<String> = answer.service_accounts.into_iter().map(|account| account.id).collect();
            (count, ids, answer.next_page_token)
        };
        let before = cost(0, "").await;
        assert_eq!((before.1.as_slice(), before.2.as_str()), (&seen[..], ""));
        // More than is read at once.
        for names in hidden(3 * HIDDEN) {
            let schedules = names.into_iter().map(|name| (schedule(&name.id), None));
            owner.register_resources(vec![register_all(id, schedules)]).await.unwrap();
        }
        assert_eq!(cost(0, "").await, before);

        // What is seen behind it is found, page by page, and no page says that something hidden follows.
        let (seen, last) = ([seen[0].clone(), seen[1].clone(), bound("z-seen").await], make("last").await);
        let (count, ids, next) = cost(3, "").await;
        assert_eq!((count, ids.as_slice()), (before.0, &seen[..]));
        let (count, ids, next) = cost(3, &next).await;
        assert!(count <= before.0, "{count}");
        assert_eq!((ids, next), (vec![last], String::new()));
    }

    async fn a_stranger_is_refused_by_the_statements_of_an_organization_that_is_not_there_and_has_nothing_loaded(app) {
        let organization = app.found().await;
        let stranger = app.somebody("eve@example.test").await;
        // A server that has nothing loaded.
        let app = app.restart().await;
        let call = app.sign_in(&stranger.email, "").await.call;
        let loaded = app.app.services().engine.organizations();
        let absent = Uuid::from_u128(7).to_string();
        let whom = stranger.user_id.as_str();

        let calls = async |id: &str| {
            let mut counts = Vec::new();
            let question = item(whom, "project.view", Some(project("alpha")));
            let (count, answer) = statements!(app, call.check(check(id, question.clone())));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            let (count, answer) = statements!(app, call.list_resources(list_resources(id, user(whom), "project.view")));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            let question = item(whom, "project.view", Some(project("alpha")));
            let request = proto::CheckRequest { consistency: None, ..check(id, question) };
            let (count, answer) = statements!(app, call.check(request.clone()));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            let (count, answer) = statements!(app, call.browse_resources(browse(id)));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            let (count, answer) = statements!(app, call.get_organization(get_organization(id)));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            let (count, answer) = statements!(app, call.list_members(list_members(id)));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            let (count, answer) = statements!(app, call.create_group(create_group(id, "Readers")));
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            counts.push(count);
            counts
        };
        let there = calls(&organization.id).await;
        assert_eq!(calls(&absent).await, there);
        assert_eq!(app.app.services().engine.organizations(), loaded, "a stranger had something loaded");

        // Loaded by somebody who may, it is refused to the stranger in the same way.
        let owner = app.sign_in(&organization.owner.email, "").await;
        let question = item(&organization.owner.user_id, "project.view", Some(project("alpha")));
        owner.call.check(check(&organization.id, question)).await.unwrap();
        assert_eq!(app.app.services().engine.organizations(), loaded + 1);
        app.clock.advance(app.app.services().engine.settings().absence);
        assert_eq!(calls(&organization.id).await, there);
    }
}
