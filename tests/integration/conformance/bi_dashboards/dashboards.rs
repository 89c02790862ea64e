//! Dashboards and reports: who makes them, and who sees which.

use guildhall::proto;
use tonic::Code;

use super::cast::{Cast, dashboard, report, shared};
use crate::conformance::tenant::{NOTHING, changed};
use crate::harness::messages::{
    delete, disable, everyone, get_organization, grant, list_resources, register, revoke, user,
};
use crate::harness::{assert_refused, at, role};
use crate::on_both;

on_both! {
    async fn cv_12_an_analyst_creates_dashboards_and_reports(app) {
        let cast = Cast::open(&app).await;
        let id = &cast.tenant.id;
        for kind in ["dashboard", "report"] {
            let created = cast.tenant.make(&cast.analyst.call, kind).await;
            assert!(cast.tenant.sees(&cast.analyst, &created).await);
            assert!(cast.tenant.sees(&cast.tenant.founder, &created).await);
        }

        let untouched = app.traces().await;
        for created in [dashboard("mine"), report("mine")] {
            let refused = cast.viewer.call.register_resource(register(id, created.clone())).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        // Nor where there is nothing to be seen.
        let below = proto::RegisterResourceRequest { parent: Some(dashboard("sales")), ..register(id, dashboard("x")) };
        assert_refused(cast.analyst.call.register_resource(below).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cv_13_an_analyst_sees_dashboards_of_their_own_and_those_that_were_shared_with_them(app) {
        let cast = Cast::open(&app).await;
        let (tenant, ann) = (&cast.tenant, &cast.analyst);
        let bea = tenant.person("bea", vec![role("analyst")]).await;
        let [own, theirs, kept] = [tenant.make(&ann.call, "dashboard").await, tenant.make(&bea.call, "dashboard").await, tenant.make(&bea.call, "dashboard").await];
        for (seen, sees) in [(&own, true), (&theirs, false), (&kept, false), (&dashboard("sales"), false)] {
            assert_eq!(tenant.sees(ann, seen).await, sees, "{seen:?}");
        }
        let all = ["create", "delete", "notify", "share", "update", "view"].map(|verb| format!("dashboard.{verb}"));
        assert_eq!(tenant.may_on(ann, &own, &["dashboard"]).await, all);

        // By another analyst, and by an admin: to see, and no more.
        tenant.give(&bea.call, ann, at(theirs.clone(), "dashboard-viewer")).await.unwrap();
        tenant.give(&tenant.founder.call, ann, shared("sales")).await.unwrap();
        for shown in [&theirs, &dashboard("sales")] {
            assert!(tenant.sees(ann, shown).await);
            assert_eq!(tenant.may_on(ann, shown, &["dashboard"]).await, ["dashboard.create", "dashboard.view"]);
        }
        assert!(!tenant.sees(ann, &kept).await);
        let untouched = app.traces().await;
        let refused = ann.call.delete_resource(delete(&tenant.id, theirs.clone())).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = ann.call.delete_resource(delete(&tenant.id, kept.clone())).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cv_16_what_is_shared_with_all_every_member_sees_whatever_their_role(app) {
        let cast = Cast::open(&app).await;
        let (tenant, admin) = (&cast.tenant, &cast.tenant.founder.call);
        tenant.change(admin, vec![grant(everyone(), shared("sales"))]).await.unwrap();
        let late = tenant.person("late", vec![role("viewer")]).await;
        for member in [&cast.analyst, &cast.viewer, &late] {
            assert!(tenant.sees(member, &dashboard("sales")).await);
            assert!(!tenant.sees(member, &dashboard("stock")).await, "that one alone");
        }

        // Every member: not who is shut out, nor who has never been in.
        admin.disable_member(disable(&tenant.id, &late.membership_id)).await.unwrap();
        assert!(!tenant.sees(&late, &dashboard("sales")).await);
        let stranger = app.somebody("zoe@example.test").await;
        assert_eq!(tenant.may_on(&stranger, &dashboard("sales"), &["dashboard"]).await, NOTHING);
        let untouched = app.traces().await;
        let refused = tenant.change(&cast.viewer.call, vec![revoke(everyone(), shared("sales"))]).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        tenant.change(admin, vec![revoke(everyone(), shared("sales"))]).await.unwrap();
        assert!(!tenant.sees(&cast.viewer, &dashboard("sales")).await);
    }

    async fn cv_23_analysts_share_dashboards_of_their_own_admins_any_and_viewers_none(app) {
        let cast = Cast::open(&app).await;
        let (tenant, ann, vic) = (&cast.tenant, &cast.analyst, &cast.viewer);
        let own = tenant.make(&ann.call, "dashboard").await;
        let sharing = |place: &proto::ResourceRef| at(place.clone(), "dashboard-viewer");
        tenant.give(&ann.call, vic, sharing(&own)).await.unwrap();
        assert!(tenant.sees(vic, &own).await);
        tenant.take(&ann.call, vic, sharing(&own)).await.unwrap();
        assert!(!tenant.sees(vic, &own).await);
        for any in [&own, &dashboard("sales")] {
            tenant.give(&tenant.founder.call, vic, sharing(any)).await.unwrap();
            assert!(tenant.sees(vic, any).await);
        }
        tenant.give(&tenant.founder.call, ann, shared("stock")).await.unwrap();

        // Not what is others', seen or not; and viewers not even what they see.
        let untouched = app.traces().await;
        let refused = tenant.give(&ann.call, vic, shared("stock")).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = tenant.give(&ann.call, vic, shared("sales")).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        let refused = tenant.give(&vic.call, ann, sharing(&own)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        // To share is to show: no other role goes with it.
        let refused = tenant.give(&ann.call, vic, role("analyst")).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cv_14_a_viewer_has_no_settings_of_either_kind_and_creates_nothing(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.tenant.may(&cast.viewer).await, NOTHING);
        cast.viewer.call.get_organization(get_organization(&cast.tenant.id)).await.expect("a member sees where they are");

        let untouched = app.traces().await;
        for created in [dashboard("mine"), report("mine")] {
            let refused = cast.viewer.call.register_resource(register(&cast.tenant.id, created)).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await, untouched);

        // Neither by what is shared with them: to see is all there is to it.
        cast.tenant.give(&cast.tenant.founder.call, &cast.viewer, shared("sales")).await.unwrap();
        assert_eq!(cast.tenant.may_on(&cast.viewer, &dashboard("sales"), &["dashboard", "report"]).await, ["dashboard.view"]);
        assert_eq!(cast.tenant.may(&cast.viewer).await, NOTHING);
    }

    async fn cv_15_a_viewer_sees_only_dashboards_that_are_shared_with_them(app) {
        let cast = Cast::open(&app).await;
        let (tenant, admin) = (&cast.tenant, &cast.tenant.founder.call);
        let seen = async || {
            let request = list_resources(&tenant.id, user(&cast.viewer.user_id), "dashboard.view");
            let request = proto::ListResourcesRequest { resource_type: "dashboard".into(), ..request };
            cast.viewer.call.list_resources(request).await.unwrap().resource_ids
        };
        assert_eq!(seen().await, NOTHING);

        assert_eq!(tenant.give(admin, &cast.viewer, shared("sales")).await.unwrap(), changed(&["dashboard-viewer at sales"], &[]));
        assert_eq!(seen().await, ["sales"]);
        assert!(tenant.sees(&cast.viewer, &dashboard("sales")).await);
        for other in [dashboard("stock"), report("year")] {
            assert!(!tenant.sees(&cast.viewer, &other).await);
        }
        // With them, and with nobody beside them.
        assert!(!tenant.sees(&cast.analyst, &dashboard("sales")).await);

        // They do not show it on, nor help themselves to the rest.
        let untouched = app.traces().await;
        let shown = tenant.give(&cast.viewer.call, &cast.analyst, shared("sales")).await;
        assert_refused(shown, Code::PermissionDenied, "PERMISSION_MISSING");
        let helped = tenant.give(&cast.viewer.call, &cast.viewer, shared("stock")).await;
        assert_refused(helped, Code::NotFound, "NOT_FOUND");
        let everywhere = tenant.give(admin, &cast.viewer, role("dashboard-viewer")).await;
        assert_refused(everywhere, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        assert_eq!(app.traces().await, untouched);

        tenant.take(admin, &cast.viewer, shared("sales")).await.unwrap();
        assert_eq!(seen().await, NOTHING);
    }
}
