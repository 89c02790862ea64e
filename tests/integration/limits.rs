//! What many, or much, must not bring about.

use std::collections::BTreeMap;

use tonic::Code;

use crate::harness::messages::{change, disable, enable, grant, item, membership, register, sign_in};
use crate::harness::{as_member, assert_refused, project, reason, role};
use crate::on_both;

/// More places than one statement of ours names.
const MANY: usize = 320;

on_both! {
    async fn of_many_wrong_passwords_at_once_only_ten_are_judged(app) {
        app.found().await;
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..30 {
            let anyone = app.anyone();
            tries.spawn(async move {
                let wrong = format!("Wrong4Horse!{number}");
                reason(&anyone.sign_in(sign_in("ada@example.test", &wrong)).await.unwrap_err())
            });
        }
        let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(refusal) = tries.join_next().await {
            *refusals.entry(refusal.unwrap()).or_default() += 1;
        }
        assert_eq!(refusals, BTreeMap::from([("RATE_LIMITED".into(), 20), ("SIGN_IN_REFUSED".into(), 10)]));
    }

    async fn a_member_with_many_grants_is_shut_out_and_let_in_like_any_other(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let names: Vec<String> = (0..MANY).map(|number| format!("p-{number}")).collect();
        for name in &names {
            owner.register_resource(register(id, project(name))).await.unwrap();
        }
        for names in names.chunks(100) {
            let deltas = names.iter().map(|name| grant(membership(&bob.membership_id), as_member(project(name))));
            owner.change_grants(change(id, deltas.collect())).await.unwrap();
        }

        owner.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        assert!(!owner.allows(id, &bob.user_id, "project.view", Some(project("p-7"))).await);
        owner.enable_member(enable(id, &bob.membership_id)).await.unwrap();
        assert!(owner.allows(id, &bob.user_id, "project.view", Some(project("p-7"))).await);
    }

    async fn what_guildhall_keeps_for_itself_is_no_type_of_a_resource(app) {
        let organization = app.found().await;
        for kind in ["member", "organization", "service_account", "unheard_of"] {
            let mut request = register(&organization.id, project("p-1"));
            request.resource.as_mut().unwrap().r#type = kind.into();
            let refused = organization.owner.call.register_resource(request).await;
            assert_refused(refused, Code::InvalidArgument, "RESOURCE_TYPE_UNKNOWN");
        }
    }

    async fn a_name_longer_than_any_permission_is_malformed(app) {
        let organization = app.found().await;
        let owner = &organization.owner;
        let request = guildhall::proto::BatchCheckRequest {
            organization_id: organization.id.clone(),
            items: vec![item(&owner.user_id, &"x".repeat(130), None), item(&owner.user_id, "member.list", None)],
            consistency: None,
        };
        let answers = owner.call.batch_check(request).await.unwrap().decisions;
        let malformed = i32::from(guildhall::proto::DecisionReason::ItemMalformed);
        assert_eq!((answers[0].allowed, answers[0].reason, answers[1].allowed), (false, malformed, true));
    }
}
