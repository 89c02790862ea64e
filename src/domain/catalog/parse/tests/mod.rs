//! Defaults, ids, the closures of all presets, and that no text makes the parser panic.

mod refusals;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::{
    FurtherDomains, InvitationKind, Notice, OnLeave, PermissionId, RESERVED, Reach, ReachSet, Role, SeatState, Verb,
};

/// Takes a file of the repository into the test.
macro_rules! text_of {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))
    };
}

const DISASTER_RECOVERY: &str = text_of!("presets/disaster-recovery.yaml");
const MSP_MONITORING: &str = text_of!("presets/msp-monitoring.yaml");
const TASK_AUTOMATION: &str = text_of!("presets/task-automation.yaml");
const BI_DASHBOARDS: &str = text_of!("presets/bi-dashboards.yaml");
const ANALYTICS_WORKSPACE: &str = text_of!("presets/analytics-workspace.yaml");
const DOC: &str = text_of!("docs/catalog.md");
const MODELLING: &str = text_of!("docs/modelling.md");

/// Parses a text that is right.
fn good(yaml: &str) -> Catalog {
    parse("good.yaml", yaml).unwrap_or_else(|error| panic!("{error}"))
}

fn role<'a>(catalog: &'a Catalog, name: &str) -> &'a Role {
    catalog.role(catalog.role_id(name).unwrap_or_else(|| panic!("no role {name}")))
}

fn reach(catalog: &Catalog, name: &str, permission: &str) -> ReachSet {
    role(catalog, name).reach(catalog.permission(permission).unwrap_or_else(|| panic!("no permission {permission}")))
}

const ANY: ReachSet = ReachSet::of(Reach::Any);
const SHARED: ReachSet = ReachSet::of(Reach::Shared);
const OWN: ReachSet = ReachSet::of(Reach::Own);

#[test]
fn what_a_catalog_does_not_say_has_a_documented_default() {
    let catalog = good("name: shop\nversion: 3\ntypes: {task: {}}\nroles: {a: {}}\nsets: {}\nplans: {free: {}}");
    assert_eq!((&**catalog.name(), catalog.version(), &**catalog.description()), ("shop", 3, ""));
    assert_eq!(catalog.features(), crate::domain::catalog::Features::default());
    assert_eq!(catalog.invitation().kinds, [InvitationKind::Email]);
    assert_eq!(catalog.invitation().lifetime, Duration::from_hours(168));
    assert_eq!(catalog.invitation().longest, Duration::from_hours(168));
    assert_eq!(catalog.invitation().notice, Notice::None);
    assert_eq!(catalog.password().min_length, 15);
    assert_eq!(catalog.plans()[0].further_domains, FurtherDomains::None);
    assert!(catalog.seats().is_none() && catalog.default_role().is_none() && catalog.founder_roles().is_empty());
    let (kind, task) = catalog.resource_type("task").unwrap();
    assert_eq!(task.visible_by, PermissionId::of_type(kind, Verb::View));
    assert!(!task.has_list && !task.has_service_account);
    let role = role(&catalog, "a");
    assert_eq!(role.at, crate::domain::catalog::At::default());
    assert!(role.to.people && !role.to.groups && !role.to.everyone && !role.to.service_accounts);
    assert_eq!(role.on_leave, OnLeave::Keep);

    let policy = |rest: &str| good(&format!("name: shop\nversion: 1\n{rest}"));
    assert_eq!(policy("invitation: {lifetime: 30m}").invitation().longest, Duration::from_mins(30));
    assert_eq!(policy("invitation: {longest: 1d}").invitation().lifetime, Duration::from_hours(24));
    let symbols = policy("password: {require: [SYMBOL]}").password().symbols.clone().unwrap();
    assert_eq!(symbols.len(), 32);
}

#[test]
fn permissions_stand_reserved_first_then_by_type_then_as_declared() {
    let catalog = good("name: shop\nversion: 1\ntypes: {zoo: {}, ant: {}}\npermissions: [zoo.feed, ant.feed]");
    let names: Vec<&str> = catalog.permissions().map(|id| &**catalog.permission_name(id)).collect();
    let (reserved, rest) = names.split_at(RESERVED.len());
    assert_eq!(reserved, RESERVED);
    assert_eq!(rest[..2], ["zoo.view", "zoo.create"]);
    assert_eq!(rest[7..9], ["ant.view", "ant.create"]);
    assert_eq!(rest[14..], ["zoo.feed", "ant.feed"]);
    for (kind, resource_type) in catalog.resource_types() {
        for verb in Verb::ALL {
            let name = format!("{}.{}", resource_type.name, verb.name());
            assert_eq!(catalog.permission(&name), Some(PermissionId::of_type(kind, *verb)));
        }
    }
    assert_eq!(catalog.permission("access.check"), Some(PermissionId::ACCESS_CHECK));
    assert_eq!(catalog.permission("organization.create"), Some(PermissionId::ORGANIZATION_CREATE));
}

#[test]
fn a_permission_is_asked_at_its_type_at_what_can_stand_above_it_and_of_no_type_anywhere() {
    let catalog = good(
        "name: shop\nversion: 1\npermissions: [task.run, log.read]\ntypes:\n  \
         board: {under: [organization]}\n  \
         task: {under: [board, task]}\n  \
         step: {under: [task]}\n  \
         note: {under: [organization, note]}\n",
    );
    let asked = |permission: &str| -> Vec<&str> {
        let id = catalog.permission(permission).unwrap();
        assert!(catalog.asks(id, None), "everything is asked of the organization");
        let kinds = catalog.resource_types().filter(|(kind, _)| catalog.asks(id, Some(*kind)));
        kinds.map(|(_, kind)| &*kind.name).collect()
    };
    assert_eq!(asked("board.view"), ["board"]);
    assert_eq!(asked("task.run"), ["board", "task"]);
    assert_eq!(asked("task.create"), ["board", "task"]);
    assert_eq!(asked("step.view"), ["board", "task", "step"]);
    assert_eq!(asked("note.share"), ["note"]);
    for permission in ["log.read", "member.assign", "organization.view"] {
        assert_eq!(asked(permission), ["board", "task", "step", "note"], "{permission}");
    }

    // Where nothing is said anything stands under anything, which is what saying all of it means.
    let types = |under: &str| good(&format!("name: shop\nversion: 1\ntypes: {{a: {{{under}}}, b: {{}}}}"));
    assert_eq!(types(""), types("under: [b, a, organization]"));
    assert_ne!(types(""), types("under: [b, organization]"));
    for id in types("").permissions() {
        assert!(types("").resource_types().all(|(kind, _)| types("").asks(id, Some(kind))));
    }
}

#[test]
fn the_operator_holds_all_that_guildhall_asks_and_nothing_of_the_products_own() {
    let catalog = good("name: shop\nversion: 1\ntypes: {task: {}}\npermissions: [task.run]");
    let operator = role(&catalog, "operator");
    for id in catalog.permissions() {
        let is_declared = &**catalog.permission_name(id) == "task.run";
        assert_eq!(operator.reach(id), if is_declared { ReachSet::NONE } else { ANY });
    }
    assert_eq!(catalog.role_id("operator"), Some(crate::domain::catalog::RoleId::OPERATOR));
    assert!(operator.at.installation && !operator.at.product && !operator.at.organization);
    assert!(operator.to.people && operator.to.service_accounts && !operator.to.groups && !operator.to.everyone);
    assert!(operator.may_grant.any && operator.may_take.any && !operator.as_member);
}

#[test]
fn a_closure_takes_in_what_is_held_and_not_how_it_is_held() {
    let catalog = good(
        "name: shop\nversion: 1\ntypes: {task: {list: true}}\nsets: {s: [boss, clerk]}\nroles:\n  \
         chief: {at: [organization], includes: [boss], permissions: {task.view: OWN}}\n  \
         boss: {at: [organization], includes: [base], on_leave: CLEAR, may_grant: [clerk], holders: {most: 3}}\n  \
         clerk: {at: [organization]}\n  \
         base: {as_member: true, permissions: {task.view: SHARED}, may_grant: SUBSET, may_take: ANY}\n",
    );
    let chief = role(&catalog, "chief");
    assert_eq!(reach(&catalog, "chief", "task.view"), SHARED.or(OWN));
    assert!(chief.as_member && chief.may_grant.subset && chief.may_take.any);
    assert_eq!(chief.may_grant.list, role(&catalog, "boss").may_grant.list);
    assert_eq!((chief.most, chief.set, chief.on_leave), (None, None, OnLeave::Keep));
    assert!(!role(&catalog, "clerk").as_member);
}

#[test]
fn ce_disaster_recovery_is_what_its_rules_say() {
    let catalog = good(DISASTER_RECOVERY);
    assert_eq!(reach(&catalog, "user", "project.view"), SHARED);
    assert_eq!(reach(&catalog, "user", "project.operate"), SHARED);
    assert_eq!(reach(&catalog, "user", "member.list"), ReachSet::NONE);
    assert_eq!(reach(&catalog, "owner", "project.operate"), ANY);
    assert_eq!(reach(&catalog, "admin", "service_account.manage"), ANY);
    assert_eq!(reach(&catalog, "backend", "access.check"), ANY);

    let id = |name| catalog.role_id(name).unwrap();
    let owner = role(&catalog, "owner");
    assert_eq!((owner.least, owner.most, owner.is_transfer_only), (1, Some(1), true));
    assert_eq!(owner.requires, [id("admin")]);
    assert_eq!(owner.may_take.list, [id("admin"), id("user"), id("backend")].into());
    assert_eq!(role(&catalog, "admin").on_leave, OnLeave::Clear);
    assert_eq!(role(&catalog, "admin").set, role(&catalog, "user").set);
    assert!(role(&catalog, "backend").to.service_accounts && !role(&catalog, "backend").to.people);
    assert_eq!(catalog.founder_roles(), [id("owner"), id("admin")]);
    assert_eq!(catalog.default_role(), Some(id("user")));

    let invitation = catalog.invitation();
    assert_eq!((invitation.lifetime, invitation.longest), (Duration::from_hours(168), Duration::from_hours(168)));
    assert_eq!((&*invitation.kinds, invitation.notice), (&[InvitationKind::Email][..], Notice::Inviter));
    let password = catalog.password();
    assert!(password.lower && password.upper && password.digit);
    assert_eq!((password.min_length, password.symbols.as_deref()), (8, Some("!@#$%&*")));
}

#[test]
fn cm_msp_monitoring_is_what_its_rules_say() {
    let catalog = good(MSP_MONITORING);
    let modify = role(&catalog, "config-modify");
    assert_eq!(reach(&catalog, "config-modify", "account.view"), ANY);
    assert!(modify.as_member && modify.at.types.len() == 1 && !modify.at.organization);
    assert_eq!(&*catalog.set(modify.set.unwrap()).name, "account");
    let nothing = role(&catalog, "management-read");
    assert!(catalog.permissions().all(|id| nothing.reach(id).is_empty()));
    assert_eq!(catalog.invitation().kinds, [InvitationKind::Link]);
    assert_eq!(catalog.invitation().longest, Duration::from_hours(24));
    let (_, account) = catalog.resource_type("account").unwrap();
    assert_eq!(account.creator_roles, [catalog.role_id("config-modify").unwrap()]);
}

#[test]
fn te_task_automation_is_what_its_rules_say() {
    let catalog = good(TASK_AUTOMATION);
    for name in ["root", "owner", "admin"] {
        assert!(role(&catalog, name).as_member, "{name}");
    }
    assert!(!role(&catalog, "manager").as_member);
    assert_eq!(reach(&catalog, "owner", "log.view"), SHARED);
    assert_eq!(reach(&catalog, "manager", "task.run"), SHARED);
    assert_eq!(reach(&catalog, "viewer", "script.view"), ReachSet::NONE);
    assert_eq!(reach(&catalog, "root", "organization.create"), ANY);
    assert!(role(&catalog, "root").may_grant.any && role(&catalog, "root").at.product);
    assert!(!role(&catalog, "owner").may_grant.list.contains(&catalog.role_id("owner").unwrap()));
    assert_eq!(role(&catalog, "full-access").at, crate::domain::catalog::At::default());
    assert!(catalog.invitation().role_required);
}

#[test]
fn cv_bi_dashboards_is_what_its_rules_say() {
    let catalog = good(BI_DASHBOARDS);
    assert_eq!(reach(&catalog, "analyst", "dashboard.share"), OWN);
    let set = catalog.set(role(&catalog, "analyst").set.unwrap());
    assert!(set.is_required && set.roles.len() == 3);
    let (_, dashboard) = catalog.resource_type("dashboard").unwrap();
    assert_eq!(dashboard.shares, [catalog.role_id("dashboard-viewer").unwrap()]);
    let viewer = role(&catalog, "dashboard-viewer").to;
    assert!(viewer.people && viewer.groups && viewer.everyone && !viewer.service_accounts);
    let plans: Vec<_> = catalog.plans().iter().map(|plan| (&*plan.name, plan.further_domains)).collect();
    assert!(plans.contains(&("pro", FurtherDomains::Verified)) && plans.contains(&("default", FurtherDomains::None)));
}

#[test]
fn ax_analytics_workspace_is_what_its_rules_say() {
    let catalog = good(ANALYTICS_WORKSPACE);
    assert_eq!(reach(&catalog, "default", "asset.view"), OWN.or(SHARED));
    assert_eq!(reach(&catalog, "workspace-admin", "asset.view"), ANY.or(OWN).or(SHARED));
    let seats = catalog.seats().unwrap();
    assert_eq!(seats.counts, [SeatState::Pending, SeatState::Active, SeatState::Disabled]);
    assert_eq!(seats.per_types, [catalog.resource_type("project").unwrap().0]);
    assert!(seats.per_organization);
    assert_eq!(catalog.never_leave(), [catalog.role_id("workspace-admin").unwrap()]);
    assert!(catalog.resource_type("schedule").unwrap().1.has_service_account);
}

#[test]
fn the_examples_of_the_documentation_parse() {
    let example = |page: &'static str| page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let catalog = good(example(DOC).expect("docs/catalog.md has a fenced example"));
    assert!(role(&catalog, "editor").as_member);
    let catalog = good(example(MODELLING).expect("docs/modelling.md has a fenced example"));
    assert!(role(&catalog, "payer").is_transfer_only);
}

/// The bytes of a right catalog with a few stretches taken out, doubled or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let texts = [DISASTER_RECOVERY, MSP_MONITORING, TASK_AUTOMATION, BI_DASHBOARDS, ANALYTICS_WORKSPACE];
    let bits = prop_oneof!["[ -~\n]{0,6}", "[\\[\\]{}:,&*!|>'\"#-]{1,3}", Just("\u{0}é\u{1F600}".to_owned())];
    let edit = (any::<prop::sample::Index>(), 0_usize..40, 0_u8..3, bits);
    (prop::sample::select(texts.to_vec()), prop::collection::vec(edit, 1..6)).prop_map(|(text, edits)| {
        let mut letters: Vec<char> = text.chars().collect();
        for (start, length, act, bits) in edits {
            let start = start.index(letters.len() + 1);
            let end = (start + length).min(letters.len());
            let stretch: Vec<char> = letters[start..end].to_vec();
            let with = match act {
                0 => Vec::new(),
                1 => [stretch.clone(), stretch].concat(),
                _ => bits.chars().collect(),
            };
            letters.splice(start..end, with);
        }
        letters.into_iter().collect()
    })
}

/// Whatever comes out, it is a catalog or says where it is wrong.
fn is_answered(yaml: &str) {
    if let Err(error) = parse("any.yaml", yaml) {
        assert!(!error.problems().is_empty());
        assert!(error.problems().iter().all(|problem| problem.line > 0 && problem.column > 0), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(yaml in "(\\PC|[\n\t :{}\\[\\],&*!|>'\"#?-]){0,200}") {
        is_answered(&yaml);
    }

    #[test]
    fn no_mutation_of_a_catalog_makes_the_parser_panic(yaml in mutated()) {
        is_answered(&yaml);
    }
}
