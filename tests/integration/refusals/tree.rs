//! Shapes that a tree, or the holders of a role, cannot take.

use guildhall::proto;
use tonic::{Code, Status};

use super::revision_of;
use crate::harness::messages::{change, get_resource, grant, invite, membership, register};
use crate::harness::{Caller, assert_refused, project, role};
use crate::on_both;

async fn put(call: &Caller, organization: &str, id: &str, parent: Option<&str>) -> Result<String, Status> {
    let parent = parent.map(project);
    let request = proto::RegisterResourceRequest { parent, ..register(organization, project(id)) };
    Ok(call.register_resource(request).await?.revision)
}

on_both! {
    async fn nothing_stands_below_itself(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        put(owner, id, "a", None).await.unwrap();
        put(owner, id, "b", Some("a")).await.unwrap();
        let before = put(owner, id, "c", Some("b")).await.unwrap();

        for (resource, parent) in [("new", "new"), ("a", "a"), ("a", "b"), ("a", "c"), ("b", "c")] {
            let answer = put(owner, id, resource, Some(parent)).await;
            assert_refused(answer, Code::FailedPrecondition, "TREE_CYCLE");
        }
        assert_refused(put(owner, id, "c", Some("a")).await, Code::AlreadyExists, "RESOURCE_EXISTS");
        assert_refused(put(owner, id, "b", None).await, Code::AlreadyExists, "RESOURCE_EXISTS");
        assert_refused(put(owner, id, "d", Some("no-such")).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(put(owner, id, "c", Some("b")).await.unwrap(), before, "where it stands already, nothing changes");
        assert_eq!(revision_of(owner, id).await, before);
        for absent in ["new", "d"] {
            assert_refused(owner.get_resource(get_resource(id, project(absent))).await, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn nothing_stands_nine_deep(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let mut parent = None;
        for depth in 1..=8 {
            let name = format!("depth-{depth}");
            put(owner, id, &name, parent.as_deref()).await.unwrap();
            parent = Some(name);
        }

        let before = revision_of(owner, id).await;
        assert_refused(put(owner, id, "depth-9", Some("depth-8")).await, Code::FailedPrecondition, "TREE_TOO_DEEP");
        assert_refused(owner.get_resource(get_resource(id, project("depth-9"))).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(revision_of(owner, id).await, before);
        put(owner, id, "another-8", Some("depth-7")).await.unwrap();
    }

    async fn there_is_no_second_owner(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("admin")]).await;
        let before = revision_of(owner, id).await;

        let not_theirs = (Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let by_transfer = (Code::FailedPrecondition, "ROLE_TRANSFER_ONLY");
        for (who, (code, why)) in [(owner, not_theirs), (&bob.call, not_theirs), (&app.operator(), by_transfer)] {
            let delta = grant(membership(&bob.membership_id), role("owner"));
            let harmless = grant(membership(&bob.membership_id), role("user"));
            assert_refused(who.change_grants(change(id, vec![harmless, delta])).await, code, why);
            let offer = invite(id, "eve@example.test", vec![role("owner"), role("admin")]);
            assert_refused(who.create_invitation(offer).await, code, why);
        }
        assert_eq!(revision_of(owner, id).await, before);
        let roles: Vec<_> = owner.members(id).await.into_iter().map(|member| (member.email, member.roles)).collect();
        let expected = [("ada@example.test", vec!["admin", "owner"]), ("bob@example.test", vec!["admin"])];
        assert_eq!(roles, expected.map(|(who, roles)| (who.into(), roles.into_iter().map(String::from).collect())));
        assert_eq!(app.mails_so_far("eve@example.test"), 0);
    }
}
