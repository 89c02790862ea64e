//! Lists agree with the check of every pair, whoever asks and whatever was changed before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use guildhall::domain::place::Subject;
use guildhall::proto;
use guildhall::proto::subject::Kind;
use tonic::{Code, Status};

use super::{for_a_while, scene};
use crate::harness::messages::{
    account, at_least, bearer, change, disable, enable, fresh, grant, item_about, list_permissions, list_resources,
    list_subjects, membership, register, revoke, user,
};
use crate::harness::{Caller, TestApp, as_member, assert_refused, project, role, violations};
use crate::on_both;

/// What is asked about.
const PERMISSIONS: &[&str] = &["project.view", "project.operate", "project.share", "member.list", "access.check"];

/// Names a subject.
fn name(subject: &proto::Subject) -> String {
    match subject.kind.as_ref().expect("a subject") {
        Kind::UserId(id) | Kind::ServiceAccountId(id) => id.clone(),
        Kind::AccessToken(token) => token.clone(),
    }
}

/// Lists resources to the end.
async fn resources(by: &Caller, request: proto::ListResourcesRequest) -> Result<Vec<String>, Status> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = by.list_resources(proto::ListResourcesRequest { page_token, ..request.clone() }).await?;
        assert!(page.resource_ids.len() <= 2, "{page:?}");
        found.extend(page.resource_ids);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            assert!(found.is_sorted(), "{found:?}");
            return Ok(found);
        }
    }
}

/// Lists subjects to the end.
async fn subjects(by: &Caller, request: proto::ListSubjectsRequest) -> Result<BTreeSet<String>, Status> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = by.list_subjects(proto::ListSubjectsRequest { page_token, ..request.clone() }).await?;
        assert!(page.subjects.len() <= 2, "{page:?}");
        found.extend(page.subjects.iter().map(name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            let (count, found) = (found.len(), found.into_iter().collect::<BTreeSet<_>>());
            assert_eq!(found.len(), count, "somebody is listed twice");
            return Ok(found);
        }
    }
}

/// Asks for every list, and for the check of every pair, and holds them against each other.
async fn must_agree(by: &Caller, id: &str, all: &[proto::Subject], when: &str) {
    let targets = [None, Some("alpha"), Some("beta"), Some("gamma")];
    let mut allowed: BTreeMap<(String, &str, Option<&str>), Option<u64>> = BTreeMap::new();
    for target in targets {
        let pairs: Vec<_> = all.iter().flat_map(|it| PERMISSIONS.iter().map(move |what| (it, *what))).collect();
        let items = pairs.iter().map(|(subject, what)| item_about((*subject).clone(), what, target.map(project)));
        let consistency = Some(fresh());
        let request = proto::BatchCheckRequest { organization_id: id.into(), items: items.collect(), consistency };
        let decisions = by.batch_check(request).await.unwrap().decisions;
        for ((subject, what), decision) in pairs.into_iter().zip(decisions) {
            if decision.allowed {
                allowed.insert((name(subject), what, target), decision.valid_for_ms);
            }
        }
    }

    for subject in all {
        for target in targets {
            let held = by.list_permissions(list_permissions(id, subject.clone(), target.map(project))).await.unwrap();
            let held: BTreeMap<_, _> =
                held.permissions.into_iter().map(|it| (it.permission, it.valid_for_ms)).collect();
            for what in PERMISSIONS {
                let expected = allowed.get(&(name(subject), *what, target));
                assert_eq!(held.get(*what), expected, "{when}: {subject:?} {what} {target:?}");
            }
        }
        for what in PERMISSIONS {
            let listed = resources(by, list_resources(id, subject.clone(), what)).await.unwrap();
            let may = |target| allowed.contains_key(&(name(subject), *what, target));
            let expected: Vec<&str> = targets.into_iter().filter(|it| may(*it)).flatten().collect();
            assert_eq!(listed, expected, "{when}: {subject:?} {what}");
        }
    }
    for what in PERMISSIONS {
        for target in targets {
            let listed = subjects(by, list_subjects(id, what, target.map(project))).await.unwrap();
            let known = all.iter().map(name).filter(|it| allowed.contains_key(&(it.clone(), *what, target)));
            assert_eq!(listed, known.collect(), "{when}: {what} {target:?}");
        }
    }
}

/// Finds the account of the installation's operator, whose id is told nowhere.
async fn operator_account(app: &TestApp) -> String {
    let caller = app.app.services().authenticate(app.operator_key()).await.unwrap();
    match caller.caller().subject {
        Subject::ServiceAccount(id) => id.to_string(),
        Subject::User(id) => panic!("{id} is no machine"),
    }
}

on_both! {
    async fn every_list_is_the_check_of_every_pair_after_every_change(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("user")]).await;
        let (backend_id, backend) = app.backend_account(&organization).await;
        let operator = operator_account(&app).await;
        let all = [
            user(&organization.owner.user_id),
            user(&bob.user_id),
            user(&eve.user_id),
            account(&backend_id),
            account(&operator),
            user(crate::refusals::NOBODY),
        ];
        must_agree(&backend, id, &all, "at the beginning").await;

        let at = |person: &crate::harness::Person| membership(&person.membership_id);
        for (when, deltas) in [
            ("listed for a while", vec![for_a_while(&app, &eve, "beta", Duration::from_mins(1))]),
            ("listed for longer elsewhere", vec![for_a_while(&app, &eve, "gamma", Duration::from_mins(2))]),
            ("promoted", vec![grant(at(&bob), role("admin")), revoke(at(&bob), role("user"))]),
            // Whoever leaves the admins is taken from every list.
            ("demoted", vec![revoke(at(&bob), role("admin")), grant(at(&bob), role("user"))]),
            ("moved", vec![grant(at(&bob), as_member(project("gamma")))]),
        ] {
            owner.change_grants(change(id, deltas)).await.unwrap();
            must_agree(&backend, id, &all, when).await;
        }
        owner.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        must_agree(&backend, id, &all, "shut out").await;
        owner.enable_member(enable(id, &bob.membership_id)).await.unwrap();
        must_agree(&backend, id, &all, "let in").await;
        app.clock.advance_short_of(Duration::from_mins(1));
        must_agree(&backend, id, &all, "an instant before").await;
        app.clock.tick();
        must_agree(&backend, id, &all, "expired").await;
        let ada = app.sign_in(&organization.owner.email, "").await.call;
        let request = register(id, project("delta"));
        let request = proto::RegisterResourceRequest { parent: Some(project("gamma")), ..request };
        let written = ada.register_resource(request).await.unwrap();

        let request = list_resources(id, user(&bob.user_id), "project.view");
        let request = proto::ListResourcesRequest { consistency: Some(at_least(&written.revision)), ..request };
        assert_eq!(resources(&backend, request).await.unwrap(), ["delta", "gamma"]);
    }

    async fn a_page_is_as_long_as_asked_and_its_token_is_good_for_its_own_query_alone(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let who = || user(&organization.owner.user_id);
        let first = owner.list_resources(list_resources(id, who(), "project.view")).await.unwrap();
        assert_eq!(first.resource_ids, ["alpha", "beta"]);
        let page_token = first.next_page_token;
        for (name, other) in [
            ("subject", list_resources(id, user(&bob.user_id), "project.view")),
            ("permission", list_resources(id, who(), "project.operate")),
        ] {
            let refused = owner.list_resources(proto::ListResourcesRequest { page_token: page_token.clone(), ..other });
            let refused = refused.await.expect_err(name);
            assert_eq!(violations(&refused), [("page_token".into(), "PAGE_TOKEN_MISMATCH".into())], "{name}");
        }
        let other = list_subjects(id, "project.view", None);
        let refused = owner.list_subjects(proto::ListSubjectsRequest { page_token: page_token.clone(), ..other }).await;
        // Of another list it is no key at all.
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
        // Nor is it good in another organization.
        let elsewhere = app.found_by("eve@example.test").await;
        let other = list_resources(&elsewhere.id, who(), "project.view");
        let refused = elsewhere.owner.call;
        let refused = refused.list_resources(proto::ListResourcesRequest { page_token: page_token.clone(), ..other });
        assert_eq!(violations(&refused.await.unwrap_err()), [("page_token".into(), "PAGE_TOKEN_MISMATCH".into())]);

        // What comes to exist between two pages is on the next if its turn is there.
        owner.register_resource(register(id, project("aaa"))).await.unwrap();
        owner.register_resource(register(id, project("zulu"))).await.unwrap();
        let request = list_resources(id, who(), "project.view");
        let second = owner.list_resources(proto::ListResourcesRequest { page_token, ..request }).await.unwrap();
        assert_eq!((second.resource_ids, second.next_page_token.as_str()), (vec!["gamma".into(), "zulu".into()], ""));
    }

    async fn what_the_catalog_does_not_know_is_refused_by_name(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let who = || user(&bob.user_id);
        let planet = proto::ListResourcesRequest {
            resource_type: "planet".into(),
            ..list_resources(id, who(), "project.view")
        };
        let refusals = [
            (owner.list_resources(list_resources(id, who(), "project.fly")).await.map(drop), "PERMISSION_UNKNOWN"),
            (owner.list_resources(list_resources(id, who(), &"x".repeat(130))).await.map(drop), "PERMISSION_UNKNOWN"),
            (owner.list_resources(list_resources(id, who(), "")).await.map(drop), "FIELD_REQUIRED"),
            (owner.list_resources(planet).await.map(drop), "RESOURCE_TYPE_UNKNOWN"),
            (owner.list_subjects(list_subjects(id, "project.fly", None)).await.map(drop), "PERMISSION_UNKNOWN"),
            (owner.list_subjects(list_subjects(id, "", None)).await.map(drop), "FIELD_REQUIRED"),
        ];
        for (refused, reason) in refusals {
            assert_refused(refused, Code::InvalidArgument, reason);
        }
        for size in [-1, 1_001] {
            let request = list_resources(id, who(), "project.view");
            let refused = owner.list_resources(proto::ListResourcesRequest { page_size: size, ..request }).await;
            assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
            let request = proto::ListSubjectsRequest { page_size: size, ..list_subjects(id, "project.view", None) };
            assert_refused(owner.list_subjects(request).await, Code::InvalidArgument, "OUT_OF_RANGE");
        }
    }

    async fn about_oneself_everybody_may_list_what_they_see_and_about_others_only_who_may_check(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let listed = resources(&bob.call, list_resources(id, user(&bob.user_id), "project.view")).await.unwrap();
        assert_eq!(listed, ["alpha", "beta"]);
        // By one's own token it is oneself, too.
        let token = bob.call.credential.clone().unwrap();
        let listed = resources(&bob.call, list_resources(id, bearer(&token), "project.operate")).await.unwrap();
        assert_eq!(listed, ["alpha", "beta"]);
        let held = bob.call.list_permissions(list_permissions(id, user(&bob.user_id), Some(project("alpha")))).await;
        assert!(held.unwrap().permissions.iter().any(|held| held.permission == "project.view"));

        let missing = |refused| assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let ada = || user(&organization.owner.user_id);
        missing(bob.call.list_permissions(list_permissions(id, ada(), None)).await.map(drop));
        missing(bob.call.list_resources(list_resources(id, ada(), "project.view")).await.map(drop));
        missing(bob.call.list_subjects(list_subjects(id, "project.view", Some(project("alpha")))).await.map(drop));
        let token = owner.credential.clone().unwrap();
        missing(bob.call.list_resources(list_resources(id, bearer(&token), "project.view")).await.map(drop));
        // A token that is none says nothing about whose it might be.
        missing(bob.call.list_permissions(list_permissions(id, bearer("x"), None)).await.map(drop));

        let outsider = app.found_by("eve@example.test").await.owner;
        let unseen = |refused| assert_refused(refused, Code::NotFound, "NOT_FOUND");
        unseen(outsider.call.list_permissions(list_permissions(id, user(&outsider.user_id), None)).await.map(drop));
        unseen(outsider.call.list_subjects(list_subjects(id, "project.view", None)).await.map(drop));
        // Of a dead token nothing is listed.
        let nothing = owner.list_permissions(list_permissions(id, bearer("x"), None)).await.unwrap();
        assert!(nothing.permissions.is_empty());
        let nothing = owner.list_resources(list_resources(id, bearer("x"), "project.view")).await.unwrap();
        assert!(nothing.resource_ids.is_empty() && nothing.next_page_token.is_empty());
    }
}
