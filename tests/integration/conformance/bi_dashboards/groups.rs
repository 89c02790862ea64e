//! Groups: any number of them beside the one role, and what is shared with them.

use guildhall::proto::{self, ResourceRef};
use tonic::Code;

use super::cast::{Cast, dashboard, report, shared};
use crate::conformance::tenant::changed;
use crate::harness::messages::{
    change_members, create_group, delete_group, disable, enable, grant, group, invite, list_groups, revoke,
};
use crate::harness::{Person, assert_refused, at, role};
use crate::on_both;

/// Makes a group of these people.
async fn team(cast: &Cast<'_>, name: &str, people: &[&Person]) -> String {
    let (id, admin) = (&cast.tenant.id, &cast.tenant.founder.call);
    let made = admin.create_group(create_group(id, name)).await.unwrap().group.unwrap().id;
    let members: Vec<&str> = people.iter().map(|person| person.membership_id.as_str()).collect();
    if !members.is_empty() {
        admin.change_group_members(change_members(id, &made, &members, &[])).await.unwrap();
    }
    made
}

on_both! {
    async fn cv_09_a_person_has_one_role_and_any_number_of_groups(app) {
        let cast = Cast::open(&app).await;
        let (tenant, vic) = (&cast.tenant, &cast.viewer);
        let (id, admin) = (&tenant.id, &tenant.founder.call);
        let groups = async || {
            let request = proto::ListGroupsRequest { membership_id: vic.membership_id.clone(), ..list_groups(id) };
            let found = admin.list_groups(request).await.unwrap().groups;
            found.into_iter().map(|group| group.display_name).collect::<Vec<_>>()
        };
        assert_eq!(groups().await, [""; 0]);
        for name in ["Finance", "Night shift", "Sales"] {
            team(&cast, name, &[vic]).await;
        }
        assert_eq!(groups().await, ["Finance", "Night shift", "Sales"]);
        assert_eq!(tenant.standing(vic).await.1, ["viewer"]);

        // Another role takes the place of the one, and touches no group.
        assert_eq!(tenant.give(admin, vic, role("analyst")).await.unwrap(), changed(&["analyst"], &["viewer"]));
        assert_eq!((tenant.standing(vic).await.1, groups().await.len()), (vec!["analyst".to_owned()], 3));
        tenant.give(admin, vic, role("viewer")).await.unwrap();
        let both = vec![role("viewer"), role("analyst")];
        let invited = admin.create_invitation(invite(id, "eve@example.test", both)).await.unwrap().member.unwrap();
        assert_eq!(invited.roles, ["analyst"]);

        let untouched = app.traces().await;
        let none = tenant.take(admin, vic, role("viewer")).await;
        assert_refused(none, Code::FailedPrecondition, "ROLE_REQUIRED");
        // A role is a person's, and not a group's; and nobody but an admin sees to groups.
        let sales = team_id(&cast, "Sales").await;
        let by_group = tenant.change(admin, vec![grant(group(&sales), role("analyst"))]).await;
        assert_refused(by_group, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        for person in [&cast.analyst, vic] {
            let made = person.call.create_group(create_group(id, "Mine")).await;
            assert_refused(made, Code::PermissionDenied, "PERMISSION_MISSING");
            let joined = change_members(id, &sales, &[&cast.analyst.membership_id], &[]);
            let joined = person.call.change_group_members(joined).await;
            assert_refused(joined, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn cv_17_a_dashboard_can_be_shared_with_chosen_groups_alone(app) {
        let cast = Cast::open(&app).await;
        let (tenant, vic, ann) = (&cast.tenant, &cast.viewer, &cast.analyst);
        let (id, admin) = (&tenant.id, &tenant.founder.call);
        let sam = tenant.person("sam", vec![role("viewer")]).await;
        let (sales, stock) = (team(&cast, "Sales", &[vic]).await, team(&cast, "Stock", &[ann]).await);
        let seen_by = async |place: &ResourceRef| {
            let mut seen = Vec::new();
            for (name, person) in [("vic", vic), ("ann", ann), ("sam", &sam)] {
                if tenant.sees(person, place).await {
                    seen.push(name);
                }
            }
            seen
        };

        let did = tenant.change(admin, vec![grant(group(&sales), shared("sales"))]).await.unwrap();
        assert_eq!(did, changed(&["dashboard-viewer at sales"], &[]));
        assert_eq!(seen_by(&dashboard("sales")).await, ["vic"]);
        tenant.change(admin, vec![grant(group(&stock), shared("sales"))]).await.unwrap();
        assert_eq!(seen_by(&dashboard("sales")).await, ["vic", "ann"]);
        assert_eq!(seen_by(&dashboard("stock")).await, [""; 0], "that one alone");
        // An analyst shares their own with a group, and nothing else.
        let own = tenant.make(&ann.call, "dashboard").await;
        tenant.change(&ann.call, vec![grant(group(&sales), at(own.clone(), "dashboard-viewer"))]).await.unwrap();
        assert_eq!(seen_by(&own).await, ["vic", "ann"]);
        let untouched = app.traces().await;
        for (by, what, code, expected) in [
            (&ann.call, shared("sales"), Code::PermissionDenied, "PERMISSION_MISSING"),
            (&ann.call, shared("stock"), Code::NotFound, "NOT_FOUND"),
            (&vic.call, shared("sales"), Code::PermissionDenied, "PERMISSION_MISSING"),
            (admin, at(report("year"), "dashboard-viewer"), Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE"),
        ] {
            assert_refused(tenant.change(by, vec![grant(group(&stock), what)]).await, code, expected);
        }
        assert_eq!(app.traces().await, untouched);

        // Who is in the group at the time, and may work: no longer, nor before.
        admin.change_group_members(change_members(id, &sales, &[&sam.membership_id], &[&vic.membership_id])).await.unwrap();
        assert_eq!(seen_by(&dashboard("sales")).await, ["ann", "sam"]);
        admin.disable_member(disable(id, &sam.membership_id)).await.unwrap();
        assert_eq!(seen_by(&dashboard("sales")).await, ["ann"]);
        admin.enable_member(enable(id, &sam.membership_id)).await.unwrap();
        tenant.change(admin, vec![revoke(group(&stock), shared("sales"))]).await.unwrap();
        assert_eq!(seen_by(&dashboard("sales")).await, ["sam"]);
        admin.delete_group(delete_group(id, &sales)).await.unwrap();
        assert_eq!(seen_by(&dashboard("sales")).await, [""; 0]);
        assert_eq!(seen_by(&own).await, ["ann"]);
    }
}

async fn team_id(cast: &Cast<'_>, name: &str) -> String {
    let found = cast.tenant.founder.call.list_groups(list_groups(&cast.tenant.id)).await.unwrap().groups;
    found.into_iter().find(|group| group.display_name == name).unwrap().id
}
