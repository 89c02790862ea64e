//! Sharing one's own, and what stands under what.

use guildhall::proto;
use tonic::Code;

use super::workspace::{asset, open, project, schedule};
use crate::conformance::tenant::Tenant;
use crate::harness::messages::{change_members, create_group, everyone, group, move_under, register, share};
use crate::harness::{Person, assert_refused, role};
use crate::on_both;

/// Makes a group of these, as the founder.
async fn team(workspace: &Tenant<'_>, members: &[&Person]) -> String {
    let admin = &workspace.founder.call;
    let team = admin.create_group(create_group(&workspace.id, "Team")).await.unwrap().group.unwrap().id;
    let members: Vec<&str> = members.iter().map(|person| person.membership_id.as_str()).collect();
    admin.change_group_members(change_members(&workspace.id, &team, &members, &[])).await.unwrap();
    team
}

on_both! {
    async fn ax_21_an_owner_shares_their_own_asset_with_everyone_and_with_a_group_they_are_in(app) {
        let workspace = open(&app).await;
        let ann = workspace.person("ann", vec![role("default")]).await;
        let ben = workspace.person("ben", vec![role("default")]).await;
        let cy = workspace.person("cy", vec![role("default")]).await;
        let team = team(&workspace, &[&ann, &ben]).await;
        let (for_all, for_team) = (workspace.make(&ann.call, "asset").await, workspace.make(&ann.call, "asset").await);
        let before = workspace.may_on(&ann, &for_all, &["asset"]).await;
        for shared in [&for_all, &for_team] {
            assert!(!workspace.sees(&ben, shared).await && !workspace.sees(&cy, shared).await);
        }

        ann.call.share_resource(share(&workspace.id, for_all.clone(), vec![everyone()])).await.unwrap();
        ann.call.share_resource(share(&workspace.id, for_team.clone(), vec![group(&team)])).await.unwrap();
        for (person, sees) in [(&ann, [true, true]), (&ben, [true, true]), (&cy, [true, false])] {
            let seen = [workspace.sees(person, &for_all).await, workspace.sees(person, &for_team).await];
            assert_eq!(seen, sees, "{}", person.email);
        }
        // They see it, and the owner may do what they could do already.
        assert_eq!(workspace.may_on(&ben, &for_all, &["asset"]).await, ["asset.create", "asset.view"]);
        assert_eq!(workspace.may_on(&ann, &for_all, &["asset"]).await, before);
    }

    async fn ax_21_assets_stand_in_projects_and_in_assets_and_schedules_in_projects(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        for (resource, parent) in [
            (project("inner"), Some(project("alpha"))),
            (asset("single"), None),
            (asset("inside"), Some(project("inner"))),
            (asset("part"), Some(asset("inside"))),
            (schedule("nightly"), None),
            (schedule("weekly"), Some(project("alpha"))),
        ] {
            let request = proto::RegisterResourceRequest { parent, ..register(id, resource) };
            admin.register_resource(request).await.unwrap();
        }
        let untouched = app.traces().await;
        for (resource, parent) in [
            (project("inner"), asset("single")),
            (project("inner"), schedule("nightly")),
            (asset("single"), schedule("nightly")),
            (schedule("weekly"), asset("single")),
            (schedule("weekly"), schedule("nightly")),
        ] {
            let new = proto::ResourceRef { id: "new".into(), ..resource.clone() };
            let request = proto::RegisterResourceRequest { parent: Some(parent.clone()), ..register(id, new) };
            let refused = admin.register_resource(request).await;
            assert_refused(refused, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
            let refused = admin.move_resource(move_under(id, resource, Some(parent))).await;
            assert_refused(refused, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
        }
        assert_eq!(app.traces().await, untouched);
    }
}
