//! The list of people: searched, sorted, filtered, opened, and acted on one by one or all at once.

use std::time::Duration;

use guildhall::proto::MemberState::{Active, Disabled};
use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::{self, BulkMemberResult, ListMembersRequest};
use tonic::{Code, Status};

use super::workspace::open;
use crate::conformance::tenant::Tenant;
use crate::harness::messages::{accept, disable, get_member, get_organization, invite, list_members, update_member};
use crate::harness::{Caller, Person, TestApp, assert_refused, role};
use crate::on_both;

/// Noon by the clock of the tests, in seconds.
const NOON: i64 = 1_795_348_800;

/// A workspace with people of several names, states and roles, each a minute after the other.
async fn people(app: &TestApp) -> Tenant<'_> {
    let workspace = open(app).await;
    let (id, admin) = (workspace.id.clone(), workspace.founder.call.clone());
    for (name, email, roles) in [
        ("Zoe Lovelace", "eve@example.test", vec!["default"]),
        ("bob Marley", "zed@example.test", vec!["default", "shared-viewer"]),
        ("Émile Bovary", "mia@love.test", vec![]),
        ("Amy Love-Smith", "tom@example.test", vec!["shared-viewer"]),
    ] {
        let invitation = invite(&id, email, roles.into_iter().map(role).collect());
        admin
            .create_invitation(proto::CreateInvitationRequest { display_name: name.into(), ..invitation })
            .await
            .unwrap();
        app.clock.advance(Duration::from_mins(1));
        if name != "Amy Love-Smith" {
            app.join(email).await;
        }
    }
    app.app.services().write_activity().await.unwrap();
    let zed = admin.member(&id, "zed@example.test").await;
    admin.disable_member(disable(&id, &zed.id)).await.unwrap();
    workspace
}

/// Names whom a list shows, in its order, by what stands before the address's mark.
async fn listed(by: &Caller, request: ListMembersRequest) -> Result<Vec<String>, Status> {
    let members = by.list_members(request).await?.members.into_iter();
    Ok(members.map(|member| member.email.split('@').next().unwrap().to_owned()).collect())
}

/// On these people.
fn these(people: &[&Person]) -> Selection {
    let members = people.iter().map(|it| proto::MemberRef { membership_id: it.membership_id.clone() }).collect();
    Selection::Listed(proto::MemberList { members })
}

/// On all that a filter fits, or on everyone.
fn all(filter: &str) -> Selection {
    if filter.is_empty() {
        return Selection::All(true);
    }
    Selection::Matching(proto::MemberFilter { filter: filter.into(), ..Default::default() })
}

async fn act(by: &Caller, id: &str, selection: Selection, act: Act) -> Result<Vec<BulkMemberResult>, Status> {
    let request = proto::BulkMembersRequest {
        organization_id: id.into(),
        selection: Some(selection),
        act: Some(act),
        ..Default::default()
    };
    let chunks = by.bulk(request, usize::MAX).await?;
    Ok(chunks.into_iter().flat_map(|chunk| chunk.results).collect())
}

/// Says of how many anything has changed, and why of others it has not.
fn outcome(results: &[BulkMemberResult]) -> (usize, Vec<&str>) {
    let changed = results.iter().filter(|result| result.changed).count();
    (changed, results.iter().map(|result| result.reason.as_str()).filter(|reason| !reason.is_empty()).collect())
}

on_both! {
    async fn ax_02_one_several_or_all_people_are_selected_and_acted_on_at_once(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let (amy, bob, eve) = (workspace.person("amy", vec![]).await, workspace.person("bob", vec![]).await, workspace.person("eve", vec![]).await);
        let roles = async || {
            let mut roles = Vec::new();
            for person in [&amy, &bob, &eve] {
                roles.push(workspace.standing(person).await.1.join(" "));
            }
            roles
        };
        let give = |name: &str| Act::Grant(role(name));
        let shut_out = || Act::Disable(proto::PlainAct {});

        let one = act(admin, id, these(&[&amy]), give("default")).await.unwrap();
        assert_eq!((outcome(&one), roles().await), ((1, vec![]), vec!["default".into(), String::new(), String::new()]));
        let several = act(admin, id, these(&[&amy, &bob]), give("default")).await.unwrap();
        assert_eq!(outcome(&several), (1, vec![]), "one of them had it");
        let rest = act(admin, id, all("-roles:default -roles:workspace-admin"), give("default")).await.unwrap();
        assert_eq!((outcome(&rest), roles().await), ((1, vec![]), vec!["default".to_owned(); 3]));

        // Whoever does it is left out of what nobody does to themselves, and told so.
        let everybody = act(admin, id, all(""), shut_out()).await.unwrap();
        assert_eq!(outcome(&everybody), (3, vec!["SELF_REMOVAL"]));
        let states = [workspace.standing(&workspace.founder).await.0, workspace.standing(&amy).await.0];
        assert_eq!(states, [Active, Disabled]);
        let back = act(admin, id, all("state = DISABLED"), Act::Enable(proto::PlainAct {})).await.unwrap();
        assert_eq!(outcome(&back), (3, vec![]));

        // Who may not do it to one, may not to several nor to all.
        let untouched = app.traces().await;
        for selection in [these(&[&bob]), these(&[&bob, &eve]), all("")] {
            for what in [shut_out(), give("workspace-admin")] {
                let refused = act(&amy.call, id, selection.clone(), what).await;
                assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
            }
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn ax_03_a_name_leads_to_the_persons_details_which_can_be_edited(app) {
        let workspace = people(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let row = admin.member(id, "eve@example.test").await;
        assert_eq!(row.display_name, "Zoe Lovelace");
        let details = admin.get_member(get_member(id, &row.id)).await.unwrap().member.unwrap();
        assert_eq!((details.email.as_str(), details.state(), details.roles.join(" ")), ("eve@example.test", Active, "default".into()));

        let rename = |name: &str, etag: &str| proto::UpdateMemberRequest {
            display_name: name.into(),
            etag: etag.into(),
            ..update_member(id, &row.id)
        };
        let edited = admin.update_member(rename("Zoe King", &details.etag)).await.unwrap().member.unwrap();
        assert_eq!((edited.display_name.as_str(), edited.email), ("Zoe King", details.email.clone()));
        assert_eq!(admin.member(id, "eve@example.test").await.display_name, "Zoe King");

        // Not on a look that is old, nor by who sees only themselves.
        let mia = app.sign_in("mia@love.test", "").await;
        let untouched = app.traces().await;
        assert_refused(admin.update_member(rename("Zoe", &details.etag)).await, Code::Aborted, "ETAG_MISMATCH");
        assert_refused(mia.call.get_member(get_member(id, &row.id)).await, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_refused(mia.call.update_member(rename("Zoe", "")).await, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(admin.member(id, "eve@example.test").await.display_name, "Zoe King");
    }

    async fn ax_10_the_list_gives_the_number_of_roles(app) {
        let workspace = people(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let counts = async || {
            let members = admin.members(id).await.into_iter();
            members.map(|it| (it.email.split('@').next().unwrap().to_owned(), it.role_count)).collect::<Vec<_>>()
        };
        let expected = [("ada", 1), ("eve", 1), ("mia", 0), ("tom", 1), ("zed", 2)];
        assert_eq!(counts().await, expected.map(|(name, count)| (name.to_owned(), count)));

        let eve = app.sign_in("eve@example.test", &admin.member(id, "eve@example.test").await.id).await;
        workspace.give(admin, &eve, role("shared-viewer")).await.unwrap();
        workspace.give(admin, &eve, role("workspace-admin")).await.unwrap();
        assert_eq!(counts().await[1].1, 3);
        workspace.take(admin, &eve, role("workspace-admin")).await.unwrap();
        assert_eq!(counts().await[1].1, 2);
        let refused = eve.call.list_members(list_members(id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn ax_11_the_list_gives_when_a_person_was_last_active_here_to_the_minute(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let home = app.found_as("Elsewhere", "zoe@example.test").await;
        admin.create_invitation(invite(id, "zoe@example.test", vec![role("default")])).await.unwrap();
        let token = app.token_mailed_by("Example", "zoe@example.test").await;
        home.owner.call.accept_invitation(accept(&token, "")).await.unwrap();
        home.owner.call.get_organization(get_organization(id)).await.unwrap();
        let eve = workspace.person("eve", vec![role("default")]).await;
        admin.create_invitation(invite(id, "tom@example.test", vec![])).await.unwrap();
        // As an operator lists them, who is no member: to look is an activity, too.
        let last = async || {
            app.app.services().write_activity().await.unwrap();
            let members = app.operator().members(id).await.into_iter();
            let told = |it: proto::Member| (it.email, it.last_active_time.map(|at| (at.seconds - NOON, at.nanos)));
            members.map(told).filter(|(email, _)| email != "ada@example.test").collect::<Vec<_>>()
        };
        let expected = |eve: i64| [("eve@example.test", Some((eve, 0))), ("tom@example.test", None), ("zoe@example.test", Some((0, 0)))]
            .map(|(email, at)| (email.to_owned(), at));
        assert_eq!(last().await, expected(0));

        app.clock.advance(Duration::from_secs(119));
        eve.call.get_organization(get_organization(id)).await.unwrap();
        assert_eq!(last().await, expected(60));
        // What was asked about them is not theirs, and what they did elsewhere is not told here.
        app.clock.advance(Duration::from_mins(2));
        admin.get_member(get_member(id, &eve.membership_id)).await.unwrap();
        home.owner.call.get_organization(get_organization(&home.id)).await.unwrap();
        assert_eq!(last().await, expected(60));
        let there = app.operator().member(&home.id, "zoe@example.test").await.last_active_time.unwrap();
        assert_eq!(there.seconds - NOON, 180);

        let refused = eve.call.list_members(list_members(id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn ax_13_people_are_found_by_name_or_by_address(app) {
        let workspace = people(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let query = |query: &str| ListMembersRequest { query: query.into(), ..list_members(id) };
        for (words, found) in [
            ("zoe", &["eve"][..]),
            ("ZED", &["zed"]),
            ("love", &["eve", "mia", "tom"]),
            ("smith amy", &["tom"]),
            ("ém", &["mia"]),
            ("example.test", &["ada", "eve", "tom", "zed"]),
            ("arley", &[]),
            ("zoe marley", &[]),
        ] {
            assert_eq!(listed(admin, query(words)).await.unwrap(), found, "{words}");
        }
        let long = listed(admin, query(&"x".repeat(201))).await.unwrap_err();
        assert_eq!(long.code(), Code::InvalidArgument);
        let mia = app.sign_in("mia@love.test", "").await;
        assert_refused(listed(&mia.call, query("zoe")).await, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn ax_14_people_are_sorted_by_name_or_by_last_activity_up_or_down(app) {
        let workspace = people(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let sorted = |order_by: &str| ListMembersRequest {
            order_by: order_by.into(),
            filter: "-roles:workspace-admin".into(),
            ..list_members(id)
        };
        // Amy has never been active; Zoe was first, then Bob and Émile.
        for (order_by, found) in [
            ("display_name", ["tom", "zed", "eve", "mia"]),
            ("display_name asc", ["tom", "zed", "eve", "mia"]),
            ("display_name desc", ["mia", "eve", "zed", "tom"]),
            ("last_active_time", ["tom", "eve", "zed", "mia"]),
            ("last_active_time desc", ["mia", "zed", "eve", "tom"]),
        ] {
            assert_eq!(listed(admin, sorted(order_by)).await.unwrap(), found, "{order_by}");
        }
        assert_refused(listed(admin, sorted("shoe_size")).await, Code::InvalidArgument, "ORDER_INVALID");
        let mia = app.sign_in("mia@love.test", "").await;
        assert_refused(listed(&mia.call, sorted("display_name")).await, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn ax_15_people_are_filtered_by_status(app) {
        let workspace = people(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let fitting = |filter: &str| ListMembersRequest { filter: filter.into(), ..list_members(id) };
        for (filter, found) in [
            ("state = PENDING", &["tom"][..]),
            ("state = ACTIVE", &["ada", "eve", "mia"]),
            ("state = DISABLED", &["zed"]),
            ("state != ACTIVE", &["tom", "zed"]),
            ("state = DISABLED OR state = PENDING", &["tom", "zed"]),
            ("state = DISABLED AND state = PENDING", &[]),
        ] {
            assert_eq!(listed(admin, fitting(filter)).await.unwrap(), found, "{filter}");
        }
        assert_refused(listed(admin, fitting("state = GONE")).await, Code::InvalidArgument, "FILTER_INVALID");
        let mia = app.sign_in("mia@love.test", "").await;
        assert_refused(listed(&mia.call, fitting("state = ACTIVE")).await, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn ax_16_people_are_filtered_by_roles_that_they_have_or_do_not_have(app) {
        let workspace = people(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let fitting = |filter: &str| ListMembersRequest { filter: filter.into(), ..list_members(id) };
        for (filter, found) in [
            ("roles:default", &["eve", "zed"][..]),
            ("-roles:default", &["ada", "mia", "tom"]),
            ("NOT roles:default", &["ada", "mia", "tom"]),
            ("roles:default AND roles:shared-viewer", &["zed"]),
            ("roles:default AND NOT roles:shared-viewer", &["eve"]),
            ("roles:workspace-admin OR roles:shared-viewer", &["ada", "tom", "zed"]),
            ("-roles:default -roles:shared-viewer state = ACTIVE", &["ada", "mia"]),
        ] {
            assert_eq!(listed(admin, fitting(filter)).await.unwrap(), found, "{filter}");
        }
        assert_refused(listed(admin, fitting("roles =")).await, Code::InvalidArgument, "FILTER_INVALID");
        let mia = app.sign_in("mia@love.test", "").await;
        assert_refused(listed(&mia.call, fitting("roles:default")).await, Code::PermissionDenied, "PERMISSION_MISSING");
    }
}
