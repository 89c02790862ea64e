//! Resources shared, and shared no more.

use guildhall::proto;
use tonic::Code;

use super::{asset, person, put};
use crate::harness::messages::{membership, share, unshare};
use crate::harness::{assert_refused, project};
use crate::on_both;
use crate::refusals::{assert_violates, revision_of};

fn dashboard(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "dashboard".into(), id: id.into() }
}

on_both! {
    async fn a_list_is_written_by_who_may_share(app) {
        let organization = app.found_under("analytics-workspace").await;
        let id = organization.id.as_str();
        let una = person(&app, &organization, "una", &["default"]).await;
        let vic = person(&app, &organization, "vic", &["default"]).await;
        let key = put(&una.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let with = || vec![membership(&vic.membership_id)];

        assert_refused(vic.call.share_resource(share(id, key.clone(), with())).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(una.call.share_resource(share(id, key.clone(), with())).await.unwrap().granted.len(), 1);
        assert!(vic.call.allows(id, &vic.user_id, "asset.view", Some(key.clone())).await);
        assert_refused(
            vic.call.share_resource(share(id, key.clone(), with())).await,
            Code::PermissionDenied,
            "PERMISSION_MISSING",
        );
        let before = revision_of(&una.call, id).await;
        assert_eq!(una.call.share_resource(share(id, key.clone(), with())).await.unwrap().granted.len(), 0);
        assert_eq!(revision_of(&una.call, id).await, before, "who is listed is listed");
        for (message, reason) in [
            (share(id, key.clone(), vec![]), "OUT_OF_RANGE"),
            (proto::ShareResourceRequest { role: "no-such".into(), ..share(id, key.clone(), with()) }, "ROLE_UNKNOWN"),
            (
                proto::ShareResourceRequest { role: "workspace-admin".into(), ..share(id, key.clone(), with()) },
                "ROLE_NOT_SHAREABLE",
            ),
        ] {
            assert_refused(una.call.share_resource(message).await, Code::InvalidArgument, reason);
        }
        assert_eq!(revision_of(&una.call, id).await, before);

        assert_eq!(una.call.unshare_resource(unshare(id, key.clone(), with())).await.unwrap().revoked.len(), 1);
        assert!(!vic.call.allows(id, &vic.user_id, "asset.view", Some(key.clone())).await);
        assert_eq!(una.call.unshare_resource(unshare(id, key, with())).await.unwrap().revoked.len(), 0);
    }

    async fn a_shared_role_is_given_by_who_may_share_and_lapses(app) {
        let organization = app.found_under("bi-dashboards").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let analyst = person(&app, &organization, "ana", &["analyst"]).await;
        let viewer = person(&app, &organization, "vi", &["viewer"]).await;
        let key = put(&analyst.call, id, dashboard(""), None).await.unwrap().resource.unwrap();
        let with = || vec![membership(&viewer.membership_id)];
        let as_viewer = || proto::ShareResourceRequest {
            role: "dashboard-viewer".into(),
            expire_time: Some(crate::refusals::later(&app, std::time::Duration::from_mins(5))),
            ..share(id, key.clone(), with())
        };

        let listed = analyst.call.share_resource(share(id, key.clone(), with())).await;
        assert_violates(listed, &[("principals[0]", "ROLE_NOT_ASSIGNABLE")]);
        let past = proto::ShareResourceRequest { expire_time: Some(prost_types::Timestamp::default()), ..as_viewer() };
        assert_violates(analyst.call.share_resource(past).await, &[("expire_time", "OUT_OF_RANGE")]);
        analyst.call.share_resource(as_viewer()).await.unwrap();
        let sees = async || admin.call.allows(id, &viewer.user_id, "dashboard.view", Some(key.clone())).await;
        assert!(sees().await);
        app.clock.advance(std::time::Duration::from_mins(5));
        let admin = app.sign_in(&admin.email, &admin.membership_id).await;
        assert!(!admin.call.allows(id, &viewer.user_id, "dashboard.view", Some(key.clone())).await);
    }

    async fn nobody_takes_a_share_from_themselves(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner, organization.id.as_str());
        put(&owner.call, id, project("a"), None).await.unwrap();
        owner.call.share_resource(share(id, project("a"), vec![membership(&owner.membership_id)])).await.unwrap();
        let answer = owner.call.unshare_resource(unshare(id, project("a"), vec![membership(&owner.membership_id)])).await;
        assert_refused(answer, Code::FailedPrecondition, "SELF_REMOVAL");
    }
}
