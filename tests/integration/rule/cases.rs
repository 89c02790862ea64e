//! What is easily got wrong, one promise each, in worlds made by hand.

use std::time::Duration;

use guildhall::domain::access::Decision;
use guildhall::domain::error::Reason;
use guildhall::domain::fact::{Held, MemberState, OrganizationState, UserState};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};

use super::catalogs::products;
use super::scene::{Person, Scene, at, product_place, role};
use super::worlds::{EPOCH, Home, Machine, Resource};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_list_entry_alone_gives_nothing() {
    let mut scene = Scene::of("task-automation");
    let ada = scene.person();
    let task = scene.resource("task", None, Some(ada));
    scene.list(ada, &task);

    let given = scene.world.permissions().into_iter().filter(|id| scene.may(ada, scene.world.name(*id), &task));
    assert_eq!(given.count(), 0);
    assert!(!scene.sees(ada, Some(&task)));
}

#[test]
fn on_the_acl_one_reaches_as_far_as_ones_role_and_the_acl_is_not_touched_when_it_changes_as_in_te_21() {
    let mut scene = Scene::of("task-automation");
    let ada = scene.person();
    let viewer = scene.give(ada, Place::Organization, "viewer");
    let (listed, unlisted) = (scene.resource("task", None, None), scene.resource("task", None, None));
    scene.list(ada, &listed);

    assert!(scene.may(ada, "task.view", &listed));
    assert!(!scene.may(ada, "task.run", &listed));
    assert!(!scene.may(ada, "task.view", &unlisted), "TE-08: the role alone shows nothing");

    scene.take(viewer);
    scene.give(ada, Place::Organization, "user");
    assert!(scene.may(ada, "task.run", &listed));
    assert!(!scene.may(ada, "task.run", &unlisted));
}

#[test]
fn full_access_sees_every_resource_listed_or_not_as_in_te_03() {
    let mut scene = Scene::of("task-automation");
    let (ada, bob) = (scene.holder("admin"), scene.holder("user"));
    let monitor = scene.resource("monitor", None, None);
    let task = scene.resource("task", Some(&monitor), Some(bob));

    for target in [&monitor, &task] {
        assert!(scene.sees(ada, Some(target)));
        assert!(!scene.sees(bob, Some(target)));
    }
    assert!(scene.may(ada, "task.run", &task), "being as listed everywhere carries the other roles as well");
}

#[test]
fn a_script_is_seen_by_who_creates_and_by_who_has_full_access_and_by_nobody_through_a_list_as_in_te_19() {
    let mut scene = Scene::of("task-automation");
    let (admin, user) = (scene.holder("admin"), scene.holder("user"));
    let task = scene.resource("task", None, None);
    let script = scene.resource("script", Some(&task), None);
    scene.list(user, &task);

    assert!(scene.sees(admin, Some(&script)));
    assert!(scene.sees(user, Some(&task)));
    assert!(!scene.sees(user, Some(&script)));
}

#[test]
fn root_at_the_product_reaches_its_organizations_and_those_of_no_other_as_in_te_09() {
    let mut scene = Scene::of("task-automation");
    let (here, other) = (scene.user(), scene.user());
    let task = scene.resource("task", None, None);
    scene.give(Principal::User(here), product_place(&scene), "root");
    scene.give(Principal::User(other), Place::Product("bi-dashboards".into()), "root");

    assert!(scene.may(Subject::User(here), "task.run", &task), "without any membership");
    assert!(scene.sees(Subject::User(here), None));
    assert!(!scene.may(Subject::User(other), "task.run", &task));
    assert!(!scene.sees(Subject::User(other), None));
}

#[test]
fn a_user_admin_gives_and_takes_four_roles_and_not_the_owners_as_in_te_07() {
    let mut scene = Scene::of("task-automation");
    let (mia, bob) = (scene.holder("manager"), scene.person());

    for name in ["admin", "manager", "user", "viewer"] {
        assert_eq!(scene.gives(mia, &role(name), None, bob), Ok(()), "{name} (X11: more than the manager has)");
        assert_eq!(scene.takes(mia, &role(name), None), Ok(()), "{name}");
    }
    for name in ["owner", "root", "full-access"] {
        assert_eq!(scene.gives(mia, &role(name), None, bob), Err(Reason::RoleNotGrantable), "{name}");
        assert_eq!(scene.takes(mia, &role(name), None), Err(Reason::RoleNotTakeable), "{name}");
    }
}

#[test]
fn nobody_gives_themselves_what_they_do_not_hold() {
    let mut scene = Scene::of("task-automation");
    let (mia, bob) = (scene.holder("manager"), scene.person());
    let (with, without) = (scene.group(&[mia, bob]), scene.group(&[bob]));

    assert_eq!(scene.gives(mia, &role("admin"), None, mia), Err(Reason::RoleNotGrantable), "directly");
    assert_eq!(scene.gives(mia, &role("admin"), None, Principal::Group(with)), Err(Reason::RoleNotGrantable));
    assert_eq!(scene.gives(mia, &role("admin"), None, Principal::Everyone), Err(Reason::RoleNotGrantable));
    assert_eq!(scene.gives(mia, &role("admin"), None, Principal::Group(without)), Ok(()));
    assert_eq!(scene.gives(mia, &role("admin"), None, bob), Ok(()));
    assert_eq!(scene.gives(mia, &role("viewer"), None, mia), Ok(()), "a manager views already");
}

#[test]
fn a_list_entry_is_given_and_taken_by_who_may_share_there() {
    let mut scene = Scene::of("disaster-recovery");
    let (ada, bob) = (scene.holder("admin"), scene.holder("user"));
    let project = scene.resource("project", None, None);

    assert_eq!(scene.gives(ada, &Held::AsMember, Some(&project), bob), Ok(()));
    assert_eq!(scene.takes(ada, &Held::AsMember, Some(&project)), Ok(()));
    assert_eq!(scene.gives(bob, &Held::AsMember, Some(&project), ada), Err(Reason::PermissionMissing));
    assert_eq!(scene.takes(bob, &Held::AsMember, Some(&project)), Err(Reason::PermissionMissing));
    assert!(scene.gives(ada, &Held::AsMember, None, bob).is_err(), "an organization has no list");
}

#[test]
fn who_owns_and_shares_does_not_list_themselves_for_what_only_the_listed_may() {
    let mut scene = Scene::of("thicket");
    let (ada, bob) = (scene.holder("tenant"), scene.person());
    let branch = scene.resource("branch", None, Some(ada));

    assert!(!scene.may(ada, "branch.shake", &branch), "reaches SHARED");
    assert_eq!(scene.gives(ada, &Held::AsMember, Some(&branch), bob), Ok(()));
    assert_eq!(scene.gives(ada, &Held::AsMember, Some(&branch), ada), Err(Reason::RoleNotGrantable));
}

#[test]
fn x5_a_pending_members_grants_count_once_it_is_active() {
    let mut scene = Scene::of("disaster-recovery");
    let (pending, eve) = (scene.pending(), scene.user());
    let project = scene.resource("project", None, None);
    scene.give(Principal::Membership(pending), Place::Organization, "user");
    scene.list(Principal::Membership(pending), &project);

    let eve_may = |scene: &Scene| scene.may(Subject::User(eve), "project.operate", &project);
    assert!(!eve_may(&scene), "no user is bound, even if one with that address exists");
    assert!(!scene.sees(Subject::User(eve), None));

    // Not a state that is ever stored: were a user bound early, the state alone must hold them off.
    scene.set(pending, Some(eve), MemberState::Pending);
    assert!(!eve_may(&scene));

    scene.set(pending, Some(eve), MemberState::Active);
    assert!(eve_may(&scene));
}

#[test]
fn a_disabled_member_has_nothing_and_has_it_back_as_it_was_as_in_ax_24_and_29() {
    let mut scene = Scene::of("analytics-workspace");
    let ada = scene.holder("default");
    let bob = scene.holder("default");
    let group = scene.group(&[ada]);
    let (own, shared) = (scene.resource("asset", None, Some(ada)), scene.resource("asset", None, Some(bob)));
    scene.list(Principal::Group(group), &shared);
    scene.give(Principal::Everyone, Place::Organization, "shared-viewer");

    for (state, may) in [(MemberState::Active, true), (MemberState::Disabled, false), (MemberState::Active, true)] {
        scene.set(ada.membership, Some(ada.user), state);
        assert_eq!(scene.may(ada, "asset.view", &own), may, "{state:?}");
        assert_eq!(scene.may(ada, "asset.view", &shared), may, "{state:?}");
        assert_eq!(scene.sees(ada, None), may, "{state:?}");
        assert!(scene.may(bob, "asset.view", &shared), "AX-28: others are not touched");
    }
}

#[test]
fn an_admin_has_the_owners_rights_as_in_ax_09() {
    let mut scene = Scene::of("analytics-workspace");
    let (admin, bob, eve) = (scene.holder("workspace-admin"), scene.holder("default"), scene.holder("default"));
    let asset = scene.resource("asset", None, Some(bob));
    for permission in ["asset.view", "asset.update", "asset.share", "asset.delete"] {
        assert!(scene.may(bob, permission, &asset), "{permission}");
        assert!(scene.may(admin, permission, &asset), "{permission}");
        assert!(!scene.may(eve, permission, &asset), "{permission}");
    }
}

#[test]
fn subset_refuses_what_the_granter_lacks_as_in_cm_09() {
    let mut scene = Scene::of("msp-monitoring");
    let (ada, bob) = (scene.holder("users-modify"), scene.person());
    let account = scene.resource("account", None, None);

    assert_eq!(scene.gives(ada, &role("users-modify"), None, bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("users-read"), None, bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("billing-read"), None, bob), Err(Reason::RoleNotGrantable));
    assert_eq!(scene.gives(ada, &role("access"), Some(&account), bob), Err(Reason::RoleNotGrantable));

    scene.give(ada, Place::Organization, "billing-modify");
    scene.give(ada, at(&account), "config-read");
    assert_eq!(scene.gives(ada, &role("billing-read"), None, bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("access"), Some(&account), bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("config-read"), Some(&account), bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("config-modify"), Some(&account), bob), Err(Reason::RoleNotGrantable));
    assert_eq!(scene.takes(ada, &role("config-modify"), Some(&account)), Ok(()), "may_take is wider: ANY");
}

#[test]
fn subset_counts_being_listed_and_both_ceilings_as_something_held() {
    let mut scene = Scene::of("thicket");
    let (ada, bob) = (scene.holder("gardener"), scene.person());
    let (listed, unlisted) = (scene.resource("nest", None, None), scene.resource("nest", None, None));
    scene.list(ada, &listed);

    assert_eq!(scene.gives(ada, &role("tenant"), Some(&listed), bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("listed"), Some(&listed), bob), Ok(()), "a list entry is as good");
    // Nothing stands between the two but the list.
    scene.give(ada, at(&unlisted), "seer");
    assert_eq!(scene.gives(ada, &role("tenant"), Some(&unlisted), bob), Ok(()));
    assert_eq!(scene.gives(ada, &role("listed"), Some(&unlisted), bob), Err(Reason::RoleNotGrantable));

    assert_eq!(scene.gives(ada, &role("gardener"), Some(&listed), bob), Ok(()), "SUBSET is no wider than SUBSET");
    assert_eq!(scene.gives(ada, &role("namer"), Some(&listed), bob), Err(Reason::RoleNotGrantable), "a list is");
    assert_eq!(scene.gives(ada, &role("reaper"), Some(&listed), bob), Err(Reason::RoleNotGrantable), "may take ANY");
}

#[test]
fn to_give_subsets_is_more_than_to_give_a_list() {
    let mut scene = Scene::of("thicket");
    let (ada, bob) = (scene.holder("namer"), scene.person());
    assert_eq!(scene.gives(ada, &role("keeper"), None, bob), Ok(()), "it is on the list");
    assert_eq!(scene.gives(ada, &role("keeper"), None, ada), Err(Reason::RoleNotGrantable), "who keeps gives more");
}

#[test]
fn an_admin_who_reaches_any_gives_what_reaches_own_and_shared_as_in_ax_20() {
    let mut scene = Scene::of("analytics-workspace");
    let (admin, bob) = (scene.holder("workspace-admin"), scene.person());
    for name in ["default", "shared-viewer", "workspace-admin"] {
        assert_eq!(scene.gives(admin, &role(name), None, bob), Ok(()), "{name}");
    }
    assert_eq!(scene.gives(bob, &role("default"), None, bob), Err(Reason::PermissionMissing));
}

#[test]
fn a_role_that_a_type_shares_is_given_by_who_may_share_and_asks_nothing_more() {
    let mut scene = Scene::of("bi-dashboards");
    let (ann, vic, adm) = (scene.holder("analyst"), scene.holder("viewer"), scene.holder("admin"));
    let (own, other) = (scene.resource("dashboard", None, Some(ann)), scene.resource("dashboard", None, Some(vic)));
    let viewer = || role("dashboard-viewer");

    assert_eq!(scene.gives(ann, &viewer(), Some(&own), vic), Ok(()), "CV-23: their own");
    assert_eq!(scene.gives(ann, &viewer(), Some(&other), vic), Err(Reason::PermissionMissing));
    assert_eq!(scene.gives(vic, &viewer(), Some(&other), ann), Err(Reason::PermissionMissing), "CV-23: viewers none");
    assert_eq!(scene.gives(adm, &viewer(), Some(&other), ann), Ok(()), "CV-23: admins any");
    assert_eq!(scene.gives(ann, &role("viewer"), None, vic), Err(Reason::PermissionMissing), "no other role");
}

#[test]
fn an_analyst_sees_own_and_shared_as_in_cv_13() {
    let mut scene = Scene::of("bi-dashboards");
    let (ann, bea) = (scene.holder("analyst"), scene.holder("analyst"));
    let dashboards = [0; 3].map(|_| scene.resource("dashboard", None, Some(bea)));
    let own = scene.resource("dashboard", None, Some(ann));
    let [shared, to_all, kept] = &dashboards;
    let group = scene.group(&[ann]);
    scene.give(Principal::Group(group), at(shared), "dashboard-viewer");
    scene.give(Principal::Everyone, at(to_all), "dashboard-viewer");

    for (target, sees) in [(&own, true), (shared, true), (to_all, true), (kept, false)] {
        assert_eq!(scene.sees(ann, Some(target)), sees, "{target}");
    }
    assert!(!scene.may(ann, "dashboard.update", shared), "shared is to see");
}

#[test]
fn a_viewer_sees_what_is_shared_with_them_their_group_or_all_as_in_cv_15_to_17() {
    let mut scene = Scene::of("bi-dashboards");
    let (vic, una) = (scene.holder("viewer"), scene.person());
    let [with_vic, with_group, with_all, own] = [0; 4].map(|_| scene.resource("dashboard", None, Some(vic)));
    let group = scene.group(&[una]);
    scene.give(vic, at(&with_vic), "dashboard-viewer");
    scene.give(Principal::Group(group), at(&with_group), "dashboard-viewer");
    scene.give(Principal::Everyone, at(&with_all), "dashboard-viewer");

    let seen = |who: Person| [&with_vic, &with_group, &with_all, &own].map(|target| scene.sees(who, Some(target)));
    assert_eq!(seen(vic), [true, false, true, false], "to own gives nothing without a role that reaches OWN");
    assert_eq!(seen(una), [false, true, true, false], "CV-16: whatever their role, and be it none");
}

#[test]
fn without_access_an_account_does_not_exist_and_with_it_only_that_one_does_as_in_cm_13() {
    let mut scene = Scene::of("msp-monitoring");
    let ada = scene.holder("management-modify");
    let (one, other) = (scene.resource("account", None, None), scene.resource("account", None, None));
    assert!(!scene.sees(ada, Some(&one)) && !scene.sees(ada, Some(&other)));
    assert!(!scene.may(ada, "account.delete", &one));

    scene.give(ada, at(&one), "access");
    assert!(scene.sees(ada, Some(&one)) && !scene.sees(ada, Some(&other)));
    assert!(scene.may(ada, "account.delete", &one), "CM-06: what they have access to; the role lists as well");
    assert!(!scene.may(ada, "account.delete", &other));
    assert!(scene.may_here(ada, "account.create"));
}

#[test]
fn a_role_may_give_nothing_as_in_cm_05() {
    let mut scene = Scene::of("msp-monitoring");
    let ada = scene.holder("management-read");
    let account = scene.resource("account", None, Some(ada));
    assert!(scene.world.permissions().into_iter().all(|id| !scene.may(ada, scene.world.name(id), &account)));
}

#[test]
fn an_admin_takes_from_admins_and_not_from_the_owner_as_in_ce_21() {
    let mut scene = Scene::of("disaster-recovery");
    let (owner, admin) = (scene.holder("admin"), scene.holder("admin"));
    scene.give(owner, Place::Organization, "owner");

    assert_eq!(scene.takes(admin, &role("admin"), None), Ok(()));
    assert_eq!(scene.takes(admin, &role("owner"), None), Err(Reason::RoleNotTakeable));
    assert_eq!(scene.gives(owner, &role("owner"), None, admin), Err(Reason::RoleNotGrantable), "only by a transfer");
}

#[test]
fn what_lists_or_is_owned_reaches_all_below_and_nothing_beside_or_above() {
    let mut scene = Scene::of("thicket");
    let (ada, bob) = (scene.holder("tenant"), scene.holder("tenant"));
    let root = scene.resource("branch", None, None);
    let fork = scene.resource("branch", Some(&root), Some(ada));
    let (leaf, beside) = (scene.resource("branch", Some(&fork), None), scene.resource("branch", Some(&root), None));
    scene.list(bob, &fork);

    for (target, reaches) in [(&root, false), (&fork, true), (&leaf, true), (&beside, false)] {
        assert_eq!(scene.may(ada, "branch.update", target), reaches, "{target}: by OWN");
        assert_eq!(scene.may(bob, "branch.shake", target), reaches, "{target}: by SHARED");
        assert!(!scene.may(ada, "branch.shake", target), "{target}: to own is not to be listed");
        assert!(!scene.may(bob, "branch.update", target), "{target}: to be listed is not to own");
    }
}

#[test]
fn a_role_reaches_below_its_place_only_even_for_who_is_listed_or_owns_elsewhere() {
    let mut scene = Scene::of("thicket");
    let ada = scene.person();
    let (here, there) = (scene.resource("branch", None, Some(ada)), scene.resource("branch", None, Some(ada)));
    let below = scene.resource("branch", Some(&here), None);
    scene.list(ada, &there);
    scene.give(ada, at(&here), "tenant");

    assert!(scene.may(ada, "branch.update", &here) && scene.may(ada, "branch.update", &below));
    assert!(!scene.may(ada, "branch.update", &there) && !scene.may(ada, "branch.shake", &there));
    assert!(!scene.may(ada, "branch.shake", &here), "the list is the other's");
    assert!(!scene.may_here(ada, "branch.update"));
}

#[test]
fn ownership_outlasts_the_membership_for_who_reaches_in_from_above() {
    let mut scene = Scene::of("thicket");
    let ada = scene.person();
    let branch = scene.resource("branch", None, Some(ada));
    scene.list(ada, &branch);
    scene.give(Principal::User(ada.user), product_place(&scene), "tenant");
    assert!(scene.may(ada, "branch.update", &branch) && scene.may(ada, "branch.shake", &branch));

    scene.set(ada.membership, Some(ada.user), MemberState::Disabled);
    assert!(scene.may(ada, "branch.update", &branch), "by OWN");
    assert!(!scene.may(ada, "branch.shake", &branch), "the list entry is a grant, and counts no more");
}

#[test]
fn what_is_not_registered_is_a_child_of_the_organization_without_owner_and_list() {
    let mut scene = Scene::of("task-automation");
    let (admin, user) = (scene.holder("admin"), scene.holder("user"));
    let parent = scene.resource("task", None, Some(user));
    scene.list(user, &parent);
    let unknown = ResourceKey { kind: "task".into(), id: "not registered".into() };

    assert!(scene.may(admin, "task.run", &unknown), "as_member at the organization lists everything in it");
    assert!(!scene.may(user, "task.run", &unknown));
    scene.world.resources.insert(unknown.clone(), Resource { parent: Some(parent), owner: None });
    assert!(scene.may(user, "task.run", &unknown), "registered, it stands under what lists the user");
}

#[test]
fn everyone_is_every_active_member_and_no_machine() {
    let mut scene = Scene::of("bi-dashboards");
    let (ada, shut_out, stranger) = (scene.person(), scene.person(), scene.user());
    let machine = scene.machine(Home::Here);
    scene.set(shut_out.membership, Some(shut_out.user), MemberState::Disabled);
    let dashboard = scene.resource("dashboard", None, None);
    scene.give(Principal::Everyone, at(&dashboard), "dashboard-viewer");

    assert!(scene.sees(ada, Some(&dashboard)));
    for other in [Subject::from(shut_out), Subject::User(stranger), Subject::ServiceAccount(machine)] {
        assert!(!scene.sees(other, Some(&dashboard)), "{other:?}");
    }
}

#[test]
fn a_disabled_organization_denies_everyone_operators_too() {
    let mut scene = Scene::of("disaster-recovery");
    let (admin, operator, machine) = (scene.holder("admin"), scene.user(), scene.machine(Home::Here));
    scene.give(Principal::User(operator), Place::Installation, "operator");
    scene.give(Principal::ServiceAccount(machine), Place::Organization, "backend");
    let everybody = [admin.into(), Subject::User(operator), Subject::ServiceAccount(machine)];

    for (state, may) in [(OrganizationState::Active, true), (OrganizationState::Disabled, false)] {
        scene.world.organization = state;
        for who in everybody {
            assert_eq!(scene.may_here(who, "access.check"), may, "{who:?}");
            assert_eq!(scene.sees(who, None), may, "{who:?}");
        }
    }
}

#[test]
fn an_operators_grant_reaches_every_organization_and_no_permission_of_the_product() {
    for product in products() {
        let mut scene = Scene::with(product);
        let operator = scene.user();
        scene.give(Principal::User(operator), Place::Installation, "operator");
        let kinds: Vec<_> = product.written.types.keys().cloned().collect();
        for kind in kinds {
            let key = scene.resource(&kind, None, None);
            assert!(scene.may(Subject::User(operator), &format!("{kind}.delete"), &key), "{}", product.name());
        }
        assert!(scene.may_here(Subject::User(operator), "organization.delete"));
    }
    let mut scene = Scene::of("task-automation");
    let operator = scene.user();
    scene.give(Principal::User(operator), Place::Installation, "operator");
    let task = scene.resource("task", None, None);
    assert!(!scene.may(Subject::User(operator), "task.run", &task));
}

#[test]
fn a_disabled_user_has_nothing_anywhere() {
    let mut scene = Scene::of("disaster-recovery");
    let ada = scene.holder("admin");
    scene.give(Principal::User(ada.user), Place::Installation, "operator");
    scene.world.users.insert(ada.user, UserState::Disabled);
    assert!(!scene.may_here(ada, "member.list"));
    assert!(!scene.sees(ada, None));
}

#[test]
fn a_machine_of_another_organization_has_nothing_here_whatever_it_holds() {
    let mut scene = Scene::of("thicket");
    for (home, may) in [(Home::Here, true), (Home::Above, true), (Home::Elsewhere, false)] {
        let machine = scene.machine(home);
        let who = Subject::ServiceAccount(machine);
        let stone = scene.resource("stone", None, None);
        scene.give(Principal::ServiceAccount(machine), product_place(&scene), "tenant");
        scene.give(Principal::ServiceAccount(machine), Place::Organization, "tenant");
        assert_eq!(scene.sees(who, Some(&stone)), may, "{home:?}");

        scene.world.service_accounts.insert(machine, Machine { home, is_enabled: false });
        assert!(!scene.sees(who, Some(&stone)), "{home:?}, disabled");
    }
}

#[test]
fn a_grant_counts_strictly_before_its_expiry() {
    let mut scene = Scene::of("disaster-recovery");
    let ada = scene.person();
    let until = EPOCH.plus(HOUR);
    let by = scene.grant(ada, Place::Organization, role("admin"), Some(until));
    assert_eq!(scene.decide(ada, "member.list", None), Decision::Allowed { by, until: Some(until) });

    scene.world.now = until.minus(Duration::from_micros(1));
    assert!(scene.may_here(ada, "member.list"));
    scene.world.now = until;
    assert!(!scene.may_here(ada, "member.list"));
}

#[test]
fn an_allow_by_a_list_lasts_until_the_sooner_of_role_and_list_and_the_longest_of_several_counts() {
    let mut scene = Scene::of("task-automation");
    let ada = scene.person();
    let task = scene.resource("task", None, None);
    let [one, two, three] = [1, 2, 3].map(|hours| Some(EPOCH.plus(HOUR * hours)));
    let user = scene.grant(ada, Place::Organization, role("user"), three);
    scene.grant(ada, at(&task), Held::AsMember, one);
    let lasts = |scene: &Scene| scene.decide(ada, "task.run", Some(&task));

    assert_eq!(lasts(&scene), Decision::Allowed { by: user, until: one });
    scene.grant(ada, at(&task), Held::AsMember, two);
    assert_eq!(lasts(&scene), Decision::Allowed { by: user, until: two });
    scene.list(ada, &task);
    assert_eq!(lasts(&scene), Decision::Allowed { by: user, until: three });
    let forever = scene.give(ada, Place::Organization, "user");
    assert_eq!(lasts(&scene), Decision::Allowed { by: forever, until: None });
}

#[test]
fn a_role_that_is_no_longer_declared_gives_nothing() {
    let mut scene = Scene::of("disaster-recovery");
    let ada = scene.holder("chief");
    let project = scene.resource("project", None, Some(ada));
    assert!(!scene.sees(ada, Some(&project)));
    assert!(scene.sees(ada, None), "who is a member sees the organization");
}

#[test]
fn a_permission_of_a_type_is_asked_of_what_can_stand_above_it_and_of_the_organization_and_nowhere_else() {
    let mut scene = Scene::of("thicket");
    let (ada, bob) = (scene.holder("owner"), scene.person());
    let branch = scene.resource("branch", None, None);
    let nest = scene.resource("nest", Some(&branch), None);
    let stone = scene.resource("stone", Some(&nest), None);

    let asked = |permission| [&branch, &nest, &stone].map(|target| scene.may(ada, permission, target));
    assert_eq!(asked("branch.view"), [true, false, false]);
    assert_eq!(asked("nest.peek"), [true, true, false]);
    assert_eq!(asked("stone.view"), [true, true, true], "of a branch too: a stone stands under it through a nest");
    assert_eq!(asked("member.assign"), [true, true, true], "of no type");
    for permission in ["branch.view", "nest.peek", "stone.view", "member.assign"] {
        assert!(scene.may_here(ada, permission), "{permission}");
    }
    // Nor does it count there: a guest holds nothing at a stone but what is asked of branches and nests.
    scene.give(bob, at(&stone), "gardener");
    assert_eq!(scene.gives(bob, &role("guest"), Some(&stone), ada), Err(Reason::PermissionMissing), "shared");
    assert_eq!(scene.gives(bob, &role("seer"), Some(&stone), ada), Ok(()), "nests have no part in stones");
    assert_eq!(scene.gives(bob, &role("seer"), Some(&stone), bob), Ok(()));
    scene.give(bob, at(&nest), "gardener");
    assert_eq!(scene.gives(bob, &role("seer"), Some(&nest), ada), Err(Reason::RoleNotGrantable));
}

#[test]
fn an_owner_shares_their_own_asset_with_everyone_they_are_one_of() {
    let mut scene = Scene::of("analytics-workspace");
    let ann = scene.holder("default");
    let team = scene.group(&[ann]);
    let project = scene.resource("project", None, None);
    let asset = scene.resource("asset", Some(&project), Some(ann));
    for recipient in [Principal::Everyone, Principal::Group(team), ann.into()] {
        assert_eq!(scene.gives(ann, &Held::AsMember, Some(&asset), recipient), Ok(()), "{recipient:?}");
    }
    // To own the project lets nobody list themselves on it: that would open what reaches SHARED there.
    scene.give(ann, at(&project), "workspace-admin");
    assert_eq!(scene.gives(ann, &Held::AsMember, Some(&project), ann), Ok(()), "an admin there sees it all already");
}
