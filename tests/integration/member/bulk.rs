//! Acts on many members: chunk by chunk, told one by one, and resumed.

use std::time::Duration;

use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::{self, BulkMemberResult, BulkMembersRequest, BulkMembersResponse, MemberState};
use tonic::Code;

use crate::harness::messages::{create_members, get_organization, list_members, new_member, register};
use crate::harness::{TestApp, as_member, assert_refused, project, reason, role, violations};
use crate::on_both;

fn matching(organization: &str, filter: &str, act: Act) -> BulkMembersRequest {
    let filter = proto::MemberFilter { filter: filter.into(), ..Default::default() };
    BulkMembersRequest {
        organization_id: organization.into(),
        selection: Some(Selection::Matching(filter)),
        act: Some(act),
        ..Default::default()
    }
}

fn listed(organization: &str, members: &[&str], act: Act) -> BulkMembersRequest {
    let members = members.iter().map(|&id| proto::MemberRef { membership_id: id.into() }).collect();
    let selection = Some(Selection::Listed(proto::MemberList { members }));
    BulkMembersRequest { selection, ..matching(organization, "", act) }
}

/// Everyone.
fn everyone(organization: &str, act: Act) -> BulkMembersRequest {
    BulkMembersRequest { selection: Some(Selection::All(true)), ..matching(organization, "", act) }
}

fn results(answers: &[BulkMembersResponse]) -> Vec<BulkMemberResult> {
    answers.iter().flat_map(|answer| answer.results.clone()).collect()
}

fn reasons(answers: &[BulkMembersResponse]) -> Vec<String> {
    results(answers).into_iter().map(|result| result.reason).collect()
}

/// Makes so many PENDING members, a hundred at a time; gives their ids in order.
async fn many(app: &TestApp, organization: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for begin in (0..count).step_by(100) {
        let new = (begin..count.min(begin + 100)).map(|n| new_member(&format!("m{n:04}@example.test"), vec![]));
        let made = app.operator().batch_create_members(create_members(organization, new.collect())).await.unwrap();
        ids.extend(made.members.into_iter().map(|member| member.id));
        app.clock.advance(Duration::from_millis(1));
    }
    ids
}

const REQUEST: &str = "018f4e9a-0000-7000-8000-0000000000aa";

on_both! {
    async fn a_role_is_given_to_all_who_fit_in_chunks_and_told_of_each(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        app.clock.advance(Duration::from_millis(1));
        let ids = many(&app, id, 250).await;

        let answers = owner.bulk(matching(id, "state = PENDING", Act::Grant(role("admin"))), 100).await.unwrap();
        let sizes: Vec<usize> = answers.iter().map(|answer| answer.results.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let mut found: Vec<String> = results(&answers).into_iter().map(|result| result.membership_id).collect();
        found.sort();
        let mut expected = ids.clone();
        expected.sort();
        assert_eq!(found, expected);
        assert!(results(&answers).iter().all(|result| result.changed && result.reason.is_empty()));
        let request = proto::ListMembersRequest { filter: "roles:admin".into(), page_size: 1_000, ..list_members(id) };
        let admins = owner.list_members(request).await.unwrap().members;
        assert_eq!(admins.len(), 251);
        assert!(admins.iter().filter(|it| it.state() == MemberState::Pending).all(|it| it.roles == ["admin"]));

        let again = owner.bulk(matching(id, "state = PENDING", Act::Grant(role("admin"))), 100).await.unwrap();
        assert!(results(&again).iter().all(|result| !result.changed && result.reason.is_empty()));
        assert_eq!(again.last().unwrap().revision, owner.get_organization(get_organization(id)).await.unwrap().revision);
    }

    async fn the_caller_is_left_out_and_who_cannot_be_acted_on_is_told_why(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("admin")]).await;
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("user")]).await;
        let pending = many(&app, id, 1).await.pop().unwrap();
        let nobody = "018f4e9a-7b3c-7def-8a12-0123456789ab";

        let own = organization.owner.membership_id.as_str();
        let all = [own, bob.membership_id.as_str(), nobody, &pending, &eve.membership_id];
        let disable = || Act::Disable(proto::PlainAct {});
        let answers = bob.call.bulk(listed(id, &all, disable()), 10).await.unwrap();
        assert_eq!(reasons(&answers), ["ROLE_NOT_TAKEABLE", "SELF_REMOVAL", "NOT_FOUND", "MEMBER_STATE", ""]);
        let found = owner.member(id, "eve@example.test").await;
        assert_eq!((found.state(), answers.len()), (MemberState::Disabled, 1));
        let answers = bob.call.bulk(matching(id, "state = DISABLED", Act::Enable(proto::PlainAct {})), 10).await.unwrap();
        assert_eq!(reasons(&answers), [""]);
        let answers = bob.call.bulk(everyone(id, Act::Revoke(role("admin"))), 10).await.unwrap();
        let told: Vec<(String, String)> =
            results(&answers).into_iter().map(|result| (result.membership_id, result.reason)).collect();
        assert!(told.contains(&(bob.membership_id.clone(), "SELF_REMOVAL".to_owned())), "{told:?}");
        assert!(told.contains(&(own.to_owned(), "ROLE_REQUIRED".to_owned())), "{told:?}");
        assert!(told.contains(&(eve.membership_id.clone(), String::new())), "{told:?}");
        let answers = owner.bulk(listed(id, &[&pending], Act::Grant(role("owner"))), 10).await.unwrap();
        assert_eq!(reasons(&answers).len(), 1);
        assert_ne!(reasons(&answers), [""]);
        assert_eq!(owner.member(id, &organization.owner.email).await.roles, ["admin", "owner"]);
    }

    async fn nobody_is_acted_on_by_a_selection_that_selects_by_nothing(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        for name in ["bob", "eve"] {
            app.invite_and_join(id, owner, &format!("{name}@example.test"), vec![role("user")]).await;
        }
        let disable = || Act::Disable(proto::PlainAct {});
        let select = |query: &str, filter: &str| {
            let filter = proto::MemberFilter { query: query.into(), filter: filter.into() };
            BulkMembersRequest { selection: Some(Selection::Matching(filter)), ..matching(id, "", disable()) }
        };
        let before = app.traces().await;
        for (query, filter, field) in [
            ("", "", "matching"),
            ("", "  ", "matching"),
            ("_", "", "matching.query"),
            (" ", "state = ACTIVE", "matching.query"),
            ("-- . @", "", "matching.query"),
            ("\u{1f642}", "", "matching.query"),
        ] {
            let refused = owner.bulk(select(query, filter), 10).await.expect_err("a refusal");
            assert_eq!(violations(&refused), [(field.to_owned(), "QUERY_EMPTY".to_owned())], "{query:?} {filter:?}");
        }
        // What is misspelt is held by nobody, so its negation would fit everybody.
        for filter in ["NOT roles:amdin", "roles:amdin", "state = ACTIVE AND (-roles:amdin OR managed = true)"] {
            let refused = owner.bulk(select("", filter), 10).await.expect_err("a refusal");
            let expected = [("matching.filter".to_owned(), "ROLE_UNKNOWN".to_owned())];
            assert_eq!(violations(&refused), expected, "{filter:?}");
            let request = proto::ListMembersRequest { filter: filter.into(), ..list_members(id) };
            let refused = owner.list_members(request).await.expect_err("a refusal");
            assert_eq!(violations(&refused), [("filter".to_owned(), "ROLE_UNKNOWN".to_owned())], "{filter:?}");
        }
        let filter = format!("NOT groups:{}", uuid::Uuid::from_u128(7));
        let operator = app.operator();
        assert_eq!(reason(&operator.bulk(select("", &filter), 10).await.expect_err("a refusal")), "NOT_FOUND");
        let no = BulkMembersRequest { selection: Some(Selection::All(false)), ..everyone(id, disable()) };
        assert_eq!(violations(&owner.bulk(no, 10).await.unwrap_err()), [("all".to_owned(), "OUT_OF_RANGE".to_owned())]);
        assert_eq!(app.traces().await, before);

        let answers = owner.bulk(select("_ bob", ""), 10).await.unwrap();
        assert_eq!(reasons(&answers), [""]);
        let answers = owner.bulk(everyone(id, disable()), 10).await.unwrap();
        let mut told = reasons(&answers);
        told.sort();
        assert_eq!(told, ["", "MEMBER_STATE", "SELF_REMOVAL"]);
        assert_eq!(owner.member(id, "eve@example.test").await.state(), MemberState::Disabled);
    }

    async fn what_broke_off_is_told_again_and_goes_on(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        app.clock.advance(Duration::from_millis(1));
        many(&app, id, 350).await;
        // Who was acted on fits no more: what is left is not what the call began with.
        let act = || BulkMembersRequest {
            request_id: REQUEST.into(),
            ..matching(id, "roles:user", Act::Grant(role("admin")))
        };

        let first = owner.bulk(act(), 1).await.unwrap();
        let again = owner.bulk(act(), 100).await.unwrap();
        assert_eq!(again[0].results, first[0].results);
        let sizes: Vec<usize> = again.iter().map(|answer| answer.results.len()).collect();
        assert_eq!(sizes, [100, 100, 100, 50]);
        assert!(results(&again).iter().all(|result| result.changed));
        let revision = owner.get_organization(get_organization(id)).await.unwrap().revision;
        let third = owner.bulk(act(), 100).await.unwrap();
        assert_eq!(results(&third), results(&again));
        assert_eq!(owner.get_organization(get_organization(id)).await.unwrap().revision, revision);
        let other = BulkMembersRequest { request_id: REQUEST.into(), ..everyone(id, Act::Grant(role("admin"))) };
        assert_refused(owner.bulk(other, 100).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }

    async fn a_dry_run_of_many_says_what_would_be_and_does_nothing(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        many(&app, id, 120).await;
        let before = owner.get_organization(get_organization(id)).await.unwrap().revision;
        let request =
            BulkMembersRequest { validate_only: true, ..matching(id, "state = PENDING", Act::Grant(role("admin"))) };
        let answers = owner.bulk(request, 100).await.unwrap();
        assert_eq!((results(&answers).len(), answers[0].revision.as_str()), (120, ""));
        assert!(results(&answers).iter().all(|result| result.changed));
        assert_eq!(owner.get_organization(get_organization(id)).await.unwrap().revision, before);
    }

    async fn places_that_are_hidden_and_acts_that_are_not_ones_own_are_refused_as_a_whole(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("alpha"))).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let ids = many(&app, id, 2).await;
        let members: Vec<&str> = ids.iter().map(String::as_str).collect();

        let share = || Act::Grant(as_member(project("alpha")));
        assert_refused(bob.call.bulk(listed(id, &members, share()), 9).await, Code::NotFound, "NOT_FOUND");
        let disable = Act::Disable(proto::PlainAct {});
        let refused = bob.call.bulk(listed(id, &members, disable), 9).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let unknown = owner.bulk(listed(id, &members, Act::Grant(role("no-such"))), 9).await.unwrap_err();
        assert_eq!(violations(&unknown), [("grant".to_owned(), "ROLE_UNKNOWN".to_owned())]);
        let twice = owner.bulk(listed(id, &[members[0], members[0]], share()), 9).await.unwrap_err();
        assert_eq!(violations(&twice), [("listed.members[1].membership_id".to_owned(), "OUT_OF_RANGE".to_owned())]);
        let nothing = BulkMembersRequest { organization_id: id.into(), ..Default::default() };
        let expected = [("selection", "FIELD_REQUIRED"), ("act", "FIELD_REQUIRED")];
        let refused = owner.bulk(nothing, 9).await.unwrap_err();
        assert_eq!(violations(&refused), expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
        let wrong = owner.bulk(matching(id, "age > 3", share()), 9).await.unwrap_err();
        assert_eq!(violations(&wrong), [("matching.filter".to_owned(), "FILTER_INVALID".to_owned())]);

        let answers = owner.bulk(listed(id, &members, share()), 9).await.unwrap();
        assert_eq!(reasons(&answers), ["", ""]);
        assert_eq!(owner.member(id, "m0000@example.test").await.place_count, 1);
    }
}
