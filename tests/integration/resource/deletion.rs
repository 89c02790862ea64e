//! Resources deleted with all that hangs on them.

use guildhall::proto;
use tonic::Code;

use super::{asset, get, person, put, schedule};
use crate::harness::messages::{check, delete, item_about, membership, service_account, share};
use crate::harness::{Caller, assert_refused, project};
use crate::on_both;
use crate::refusals::revision_of;

async fn names(call: &Caller, request: proto::DeleteResourceRequest) -> Vec<String> {
    let deleted = call.delete_resource(request).await.unwrap();
    let names: Vec<String> = deleted.deleted.into_iter().map(|key| key.id).collect();
    assert_eq!(usize::try_from(deleted.deleted_count).unwrap(), names.len());
    names
}

on_both! {
    async fn a_subtree_goes_with_everything_that_hangs_on_it(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        put(&admin.call, id, project("p"), None).await.unwrap();
        put(&admin.call, id, asset("a"), Some(project("p"))).await.unwrap();
        put(&admin.call, id, asset("b"), Some(asset("a"))).await.unwrap();
        let scheduled = put(&admin.call, id, schedule("s"), Some(project("p"))).await.unwrap();
        put(&admin.call, id, asset("elsewhere"), None).await.unwrap();
        for target in [project("p"), asset("a"), asset("b"), asset("elsewhere")] {
            let with = vec![membership(&una.membership_id), service_account(&scheduled.service_account_id)];
            admin.call.share_resource(share(id, target, with)).await.unwrap();
        }

        let before = app.traces().await;
        let all = ["p", "a", "s", "b"];
        let dry = proto::DeleteResourceRequest { validate_only: true, ..delete(id, project("p")) };
        assert_eq!(names(&admin.call, dry).await, all);
        assert_eq!(app.traces().await, before);
        assert_refused(
            una.call.delete_resource(delete(id, project("p"))).await,
            Code::PermissionDenied,
            "PERMISSION_MISSING",
        );
        assert_eq!(names(&admin.call, delete(id, project("p"))).await, all);

        let after = app.traces().await;
        assert_eq!(before.rows["resources"] - after.rows["resources"], 4);
        // On what is gone, and what the schedule's account held elsewhere.
        assert_eq!(before.rows["grants"] - after.rows["grants"], 7);
        for gone in [project("p"), asset("a"), asset("b"), schedule("s")] {
            assert_refused(get(&admin.call, id, gone).await, Code::NotFound, "NOT_FOUND");
        }
        assert!(get(&una.call, id, asset("elsewhere")).await.is_ok());
        let item = item_about(
            crate::harness::messages::account(&scheduled.service_account_id), "asset.view", Some(asset("elsewhere")));
        assert!(!admin.call.check(check(id, item)).await.unwrap().decision.unwrap().allowed);
        // What comes again under the same name is another, with nobody on its list.
        put(&admin.call, id, asset("a"), None).await.unwrap();
        assert!(!admin.call.allows(id, &una.user_id, "asset.view", Some(asset("a"))).await);
        assert_refused(admin.call.delete_resource(delete(id, project("p"))).await, Code::NotFound, "NOT_FOUND");
    }

    async fn a_deletion_is_guarded_by_a_tag_and_repeated_by_its_request_id(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let made = put(owner, id, project("a"), None).await.unwrap();
        let stale = proto::DeleteResourceRequest { etag: "0".repeat(16), ..delete(id, project("a")) };
        assert_refused(owner.delete_resource(stale).await, Code::Aborted, "ETAG_MISMATCH");
        let request_id = crate::refusals::NOBODY.to_owned();
        let request = proto::DeleteResourceRequest { etag: made.etag, request_id, ..delete(id, project("a")) };
        let first = owner.delete_resource(request.clone()).await.unwrap();
        let before = revision_of(owner, id).await;
        assert_eq!(owner.delete_resource(request).await.unwrap().deleted, first.deleted);
        assert_eq!(revision_of(owner, id).await, before);
    }
}
