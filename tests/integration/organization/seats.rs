//! Seats (AX-25): every act that takes one asks for it, whoever is counted is counted once, and none is ever taken twice.

use std::time::Duration;

use guildhall::proto;
use guildhall::proto::bulk_members_request::{Act, Selection};
use tonic::Code;

use crate::harness::messages::{
    accept, acknowledge, change, change_members, create_group, create_member, create_members, disable, enable,
    everyone, get_seats, grant, group, invite, invite_by_link, membership, new_member, put_catalog, register, remove,
    set_seats, share,
};
use crate::harness::{Caller, Organization, TestApp, as_member, assert_refused, project, reason, role, token_in};
use crate::on_both;

/// Whose memberships take a seat, as a catalog says it.
const ALL: &str = "[PENDING, ACTIVE, DISABLED]";
const THE_ACTIVE: &str = "[ACTIVE]";

/// A workspace where `counts` sit, with every way in; a removal waits for one listener.
async fn found_where(app: &TestApp, counts: &str) -> Organization {
    let preset = include_str!("../../../presets/analytics-workspace.yaml");
    let yaml = preset.replace("name: analytics-workspace", "name: seated").replace(ALL, counts);
    let yaml = yaml.replace("      member.invite: ANY", "      member.create: ANY\n      member.invite: ANY");
    let yaml = format!("{yaml}\ninvitation: {{kinds: [EMAIL, LINK], lifetime: 7d}}\n");
    let yaml = format!("{yaml}removal: {{listeners: [product], grace: 1d}}\n");
    app.operator().put_catalog(put_catalog(&yaml)).await.expect("a catalog");
    app.found_under("seated").await
}

async fn used(by: &Caller, id: &str, at: Option<proto::ResourceRef>) -> u32 {
    by.get_seats(get_seats(id, at)).await.expect("seats").seats.expect("they are in the answer").used
}

async fn limit(app: &TestApp, id: &str, at: Option<proto::ResourceRef>, limit: u32) {
    app.operator().set_seat_limit(set_seats(id, at, Some(limit))).await.expect("a limit");
}

#[track_caller]
fn assert_exhausted<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) {
    assert_refused(answer, Code::ResourceExhausted, "SEATS_EXHAUSTED");
}

on_both! {
    async fn nobody_comes_in_by_any_way_once_every_seat_is_taken(app) {
        let workspace = found_where(&app, ALL).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let (known, refused) = (app.somebody("known@example.test").await, app.somebody("late@example.test").await);
        let link = token_in(&owner.create_invitation(invite_by_link(id, vec![])).await.unwrap().link);
        owner.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap();
        assert_eq!(used(owner, id, None).await, 2);
        limit(&app, id, None, 3).await;
        known.call.accept_invitation(accept(&link, "")).await.expect("the last seat");

        let before = app.traces().await;
        assert_exhausted(owner.create_invitation(invite(id, "new@example.test", vec![])).await);
        assert_exhausted(owner.create_member(create_member(id, new_member("new@example.test", vec![]))).await);
        let several = vec![new_member("new@example.test", vec![]), new_member("newer@example.test", vec![])];
        assert_exhausted(owner.batch_create_members(create_members(id, several)).await);
        assert_exhausted(refused.call.accept_invitation(accept(&link, "")).await);
        assert_eq!(app.traces().await, before);
        let token = app.token_mailed_to("eve@example.test").await;
        app.accept(&token).await.expect("who is invited sits already");

        limit(&app, id, None, 1).await;
        let seats = owner.get_seats(get_seats(id, None)).await.unwrap().seats.unwrap();
        assert_eq!((seats.limit, seats.used), (Some(1), 3), "who sits stays");
        assert_exhausted(owner.create_invitation(invite(id, "new@example.test", vec![])).await);
        app.operator().set_seat_limit(set_seats(id, None, None)).await.unwrap();
        owner.create_invitation(invite(id, "new@example.test", vec![])).await.expect("there is no bound");
    }

    async fn who_is_let_in_again_takes_a_seat_where_the_active_alone_sit(app) {
        let workspace = found_where(&app, THE_ACTIVE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        owner.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap();
        let token = app.token_mailed_to("eve@example.test").await;
        owner.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        assert_eq!(used(owner, id, None).await, 1);
        limit(&app, id, None, 1).await;

        assert_exhausted(app.accept(&token).await);
        assert_exhausted(owner.enable_member(enable(id, &bob.membership_id)).await);
        let bulk = proto::BulkMembersRequest {
            organization_id: id.clone(),
            selection: Some(Selection::Listed(proto::MemberList {
                members: vec![proto::MemberRef { membership_id: bob.membership_id.clone() }],
            })),
            act: Some(Act::Enable(proto::PlainAct {})),
            ..Default::default()
        };
        assert_exhausted(owner.bulk(bulk, 1).await);
        limit(&app, id, None, 2).await;
        app.accept(&token).await.expect("a refused acceptance has consumed nothing");
        assert_exhausted(owner.enable_member(enable(id, &bob.membership_id)).await);
    }

    async fn a_lapsed_invitation_frees_its_seat(app) {
        let workspace = found_where(&app, ALL).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        owner.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap();
        limit(&app, id, None, 2).await;
        assert_eq!(used(owner, id, None).await, 2);
        app.clock.advance(Duration::from_hours(24 * 7));
        let operator = app.operator();
        assert_eq!(used(&operator, id, None).await, 1);
        operator.create_invitation(invite(id, "new@example.test", vec![])).await.expect("the seat is free");
    }

    async fn a_removal_keeps_its_seat_to_its_end(app) {
        let workspace = found_where(&app, THE_ACTIVE).await;
        let (id, owner, operator) = (&workspace.id, &workspace.owner.call, app.operator());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await.membership_id;
        owner.create_invitation(invite(id, "new@example.test", vec![])).await.unwrap();
        limit(&app, id, None, 2).await;
        owner.remove_member(remove(id, &bob)).await.unwrap();
        assert_eq!(used(owner, id, None).await, 2);
        let token = app.token_mailed_to("new@example.test").await;
        assert_exhausted(app.accept(&token).await);
        operator.acknowledge_removal(acknowledge(id, &bob, "product")).await.unwrap();
        assert_eq!(used(owner, id, None).await, 1);
        app.accept(&token).await.unwrap();
    }

    async fn a_seat_on_a_list_is_taken_directly_by_a_group_or_as_everyone_and_once_by_each(app) {
        let workspace = found_where(&app, ALL).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let mut people = Vec::new();
        for name in ["ann", "bob", "cat", "dan"] {
            people.push(app.invite_and_join(id, owner, &format!("{name}@example.test"), vec![]).await.membership_id);
        }
        let [ann, bob, cat, dan] = [0, 1, 2, 3].map(|number: usize| people[number].as_str());
        let here = || Some(project("p"));
        owner.register_resource(register(id, project("p"))).await.unwrap();
        let team = owner.create_group(create_group(id, "Team")).await.unwrap().group.unwrap().id;
        owner.change_group_members(change_members(id, &team, &[ann, bob], &[])).await.unwrap();
        owner.share_resource(share(id, project("p"), vec![membership(ann), group(&team)])).await.unwrap();
        assert_eq!(used(owner, id, here()).await, 2);
        limit(&app, id, here(), 3).await;
        owner.change_group_members(change_members(id, &team, &[cat], &[])).await.expect("the last seat");

        let before = app.traces().await;
        let on_it = || as_member(project("p"));
        assert_exhausted(owner.share_resource(share(id, project("p"), vec![membership(dan)])).await);
        assert_exhausted(owner.change_grants(change(id, vec![grant(membership(dan), on_it())])).await);
        assert_exhausted(owner.change_group_members(change_members(id, &team, &[dan], &[])).await);
        assert_exhausted(owner.change_grants(change(id, vec![grant(everyone(), on_it())])).await);
        assert_exhausted(owner.create_invitation(invite(id, "new@example.test", vec![on_it()])).await);
        let bulk = proto::BulkMembersRequest {
            organization_id: id.clone(),
            selection: Some(Selection::Listed(proto::MemberList {
                members: vec![proto::MemberRef { membership_id: dan.into() }],
            })),
            act: Some(Act::Grant(on_it())),
            ..Default::default()
        };
        assert_exhausted(owner.bulk(bulk, 1).await);
        assert_eq!(app.traces().await, before);
        owner.share_resource(share(id, project("p"), vec![membership(bob)])).await.expect("who sits sits once");
    }

    async fn who_comes_onto_a_list_as_everyone_or_by_a_group_takes_a_seat_there_and_is_not_told_where(app) {
        let workspace = found_where(&app, THE_ACTIVE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        for name in ["everybodys", "teams"] {
            owner.register_resource(register(id, project(name))).await.unwrap();
        }
        owner.share_resource(share(id, project("everybodys"), vec![everyone()])).await.unwrap();
        let team = owner.create_group(create_group(id, "Team")).await.unwrap().group.unwrap().id;
        owner.share_resource(share(id, project("teams"), vec![group(&team)])).await.unwrap();
        let eve = owner.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap().member.unwrap().id;
        owner.change_group_members(change_members(id, &team, &[&eve], &[])).await.unwrap();
        let token = app.token_mailed_to("eve@example.test").await;
        assert_eq!((used(owner, id, Some(project("everybodys"))).await, used(owner, id, Some(project("teams"))).await), (1, 0));

        for (place, most) in [("everybodys", 1), ("teams", 0)] {
            limit(&app, id, Some(project(place)), most).await;
            let refused = app.accept(&token).await.unwrap_err();
            assert!(!format!("{refused:?}").contains(place), "{refused:?}");
            assert_exhausted::<()>(Err(refused));
            app.operator().set_seat_limit(set_seats(id, Some(project(place)), None)).await.unwrap();
        }
        app.accept(&token).await.unwrap();
    }

    async fn seats_are_shown_to_who_may_list_or_share_and_a_hidden_list_is_not_there(app) {
        let workspace = found_where(&app, ALL).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("default")]).await;
        owner.register_resource(register(id, project("p"))).await.unwrap();
        limit(&app, id, Some(project("p")), 0).await;
        let lacking = bob.call.get_seats(get_seats(id, None)).await;
        assert_refused(lacking, Code::PermissionDenied, "PERMISSION_MISSING");
        for hidden in ["p", "nowhere"] {
            let answer = bob.call.get_seats(get_seats(id, Some(project(hidden)))).await;
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
            let answer = bob.call.share_resource(share(id, project(hidden), vec![membership(&bob.membership_id)])).await;
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
        }
        let set = owner.set_seat_limit(set_seats(id, None, Some(9))).await;
        assert_refused(set, Code::PermissionDenied, "OPERATOR_REQUIRED");
    }

    async fn of_two_hundred_who_take_the_last_seats_at_once_as_many_get_one_as_there_are(app) {
        let workspace = found_where(&app, ALL).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        limit(&app, id, None, 41).await;
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..200 {
            let (call, id) = (owner.clone(), id.clone());
            calls.spawn(async move {
                let email = format!("taker-{number}@example.test");
                match number % 2 {
                    0 => call.create_member(create_member(&id, new_member(&email, vec![]))).await.map(drop),
                    _ => call.create_invitation(invite(&id, &email, vec![])).await.map(drop),
                }
            });
        }
        let (mut got, mut refused) = (0, 0);
        while let Some(answer) = calls.join_next().await {
            match answer.unwrap() {
                Ok(()) => got += 1,
                Err(status) => {
                    assert_eq!(reason(&status), "SEATS_EXHAUSTED", "{status:?}");
                    refused += 1;
                }
            }
            if (got + refused) % 10 == 0 {
                assert!(used(owner, id, None).await <= 41, "one seat too many");
            }
        }
        assert_eq!((got, refused, used(owner, id, None).await), (40, 160, 41));
    }
}
