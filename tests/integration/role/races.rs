//! Roles granted and deleted at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use guildhall::authz::{OrganizationIndex, Requirement};
use guildhall::changelog::Source;
use guildhall::domain::fact::{Held, OrganizationFact};
use guildhall::proto::{self, HolderKind};
use tokio::task::JoinSet;
use tonic::Code;

use super::{asset, make, workspace};
use crate::harness::messages::{
    account, change, check, create_service_account, custom_role, delete_role, grant, item_about, revoke,
    service_account,
};
use crate::harness::{Caller, Organization, TestApp, assert_refused, reason, role, soak};
use crate::log::{id_of, organization_log};
use crate::on_both;
use crate::rule::index::standing;
use crate::rule::rng::Rng;

/// Machines to whom the role is granted, each by a call of its own.
const MACHINES: usize = 60;
/// How often the holders of a role are moved to the next one while more are granted it.
const ROUNDS: usize = 4;
/// How often a role is made, and deleted while it is granted, by few at a time: so that there are instants at which
/// nobody holds it.
const LIVES: usize = 40;
/// Who is granted it each time.
const CROWD: usize = 6;

/// A role for machines.
fn runner(name: &str) -> proto::Role {
    proto::Role { to: vec![HolderKind::ServiceAccount.into()], ..custom_role(name, &["asset.view"]) }
}

async fn machines(by: &Caller, organization: &str) -> Vec<String> {
    let mut machines = Vec::new();
    for number in 0..MACHINES {
        let request = create_service_account(organization, &format!("machine {number}"));
        machines.push(by.create_service_account(request).await.unwrap().service_account.unwrap().id);
    }
    machines
}

/// Asserts, commit by commit, that nobody was ever granted a role that was not there, nor held one that went; and that
/// tables and index say the same in the end.
async fn must_be_sound(app: &TestApp, organization: &Organization) {
    let (store, id) = (app.app.services().store.clone(), id_of(organization));
    let (mut roles, mut held) = (std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
    for commit in organization_log(&store, id).await {
        for fact in &commit.facts {
            match fact {
                OrganizationFact::Role(role) => drop(roles.insert(Arc::clone(&role.name))),
                OrganizationFact::RoleGone { name } => {
                    assert!(roles.remove(name), "{name} is gone twice");
                    assert!(!held.values().any(|other| other == name), "{name} is held at {:?}", commit.position);
                }
                OrganizationFact::Grant(grant) => {
                    if let Held::Role(name) = &grant.held
                        && name.starts_with("runner")
                    {
                        assert!(roles.contains(name), "{name} is granted at {:?}", commit.position);
                        held.insert(grant.id, Arc::clone(name));
                    }
                }
                OrganizationFact::GrantGone(grant) => drop(held.remove(&grant.id)),
                _ => {}
            }
        }
    }
    let loaded = store.organization(id).await.unwrap().unwrap();
    let is_held = |fact: &&OrganizationFact| {
        matches!(fact, OrganizationFact::Grant(grant)
        if matches!(&grant.held, Held::Role(name) if name.starts_with("runner")))
    };
    assert_eq!(loaded.facts.iter().filter(is_held).count(), held.len());

    let fresh = OrganizationIndex::load(loaded.position, &loaded.facts, store.catalogs(), 0).unwrap();
    let caller = app.app.services().authenticate(app.operator_key()).await.unwrap().caller().subject;
    let lived = app.app.services().engine.view(id, Requirement::Fresh, caller).await.unwrap().organization;
    assert_eq!(standing(&lived), standing(&fresh));
}

on_both! {
    async fn a_role_is_never_granted_once_it_is_deleted(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (workspace.owner.call.clone(), workspace.id.clone());
        let machines = machines(&owner, &id).await;
        let (mut granted, mut late, mut deleted) = (0, 0, 0);
        let lives = LIVES * usize::try_from(soak()).unwrap();
        for round in 0..lives {
            make(&owner, &id, runner("runner")).await.unwrap();
            let mut rng = Rng::new(round as u64);
            let mut calls = JoinSet::new();
            let deletions = [rng.below(CROWD), rng.below(CROWD)];
            for (number, machine) in machines.iter().take(CROWD).enumerate() {
                let (owner, id, machine) = (owner.clone(), id.clone(), machine.clone());
                if deletions.contains(&number) {
                    let (owner, id) = (owner.clone(), id.clone());
                    calls.spawn(async move { ("delete", owner.delete_role(delete_role(&id, "runner")).await.map(drop)) });
                }
                calls.spawn(async move {
                    let deltas = vec![grant(service_account(&machine), role("runner"))];
                    let granted = owner.change_grants(change(&id, deltas)).await.map(drop);
                    let gone = vec![revoke(service_account(&machine), role("runner"))];
                    // Whoever was granted it gives it back at once, so that some deletion finds nobody.
                    if granted.is_ok() {
                        let _ = owner.change_grants(change(&id, gone)).await;
                    }
                    ("grant", granted)
                });
            }
            while let Some(call) = calls.join_next().await {
                match call.unwrap() {
                    ("grant", Ok(())) => granted += 1,
                    ("grant", refused) => {
                        late += 1;
                        assert_refused(refused, Code::InvalidArgument, "ROLE_UNKNOWN");
                    }
                    (_, Ok(())) => deleted += 1,
                    (_, Err(status)) => {
                        assert!(["ROLE_IN_USE", "NOT_FOUND"].contains(&reason(&status).as_str()), "{status:?}");
                    }
                }
            }
            // If somebody held it whenever it was to go, it goes now.
            if owner.delete_role(delete_role(&id, "runner")).await.is_ok() {
                deleted += 1;
            }
        }
        println!("{granted} granted, {late} too late, {deleted} deleted");
        assert_eq!(deleted, lives);
        assert!(granted > lives && late > 0, "each comes first now and then");
        must_be_sound(&app, &workspace).await;
    }

    /// One machine holds the role from the beginning. What it may do by either role it may do throughout.
    async fn holders_who_are_moved_lose_nothing_on_the_way_and_a_reader_sees_no_gap(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (workspace.owner.call.clone(), workspace.id.clone());
        let machines = machines(&owner, &id).await;
        make(&owner, &id, runner("runner-0")).await.unwrap();
        let first = || vec![grant(service_account(&machines[0]), role("runner-0"))];
        owner.change_grants(change(&id, first())).await.unwrap();

        let is_over = Arc::new(AtomicBool::new(false));
        let reader = tokio::spawn({
            let (reader, id, machine, is_over) = (app.operator(), id.clone(), machines[0].clone(), Arc::clone(&is_over));
            async move {
                let mut looks = 0;
                while !is_over.load(Ordering::SeqCst) || looks == 0 {
                    for consistency in [None, Some(crate::harness::messages::fresh())] {
                        let item = item_about(account(&machine), "asset.view", Some(asset("plan")));
                        let request = proto::CheckRequest { consistency, ..check(&id, item) };
                        assert!(reader.check(request).await.unwrap().decision.unwrap().allowed, "after {looks} looks");
                        looks += 1;
                    }
                }
                looks
            }
        });
        for round in 1..=ROUNDS {
            let (gone, next) = (format!("runner-{}", round - 1), format!("runner-{round}"));
            make(&owner, &id, runner(&next)).await.unwrap();
            let mut calls = JoinSet::new();
            for (number, machine) in machines.iter().enumerate() {
                let (owner, id, machine, gone, next) =
                    (owner.clone(), id.clone(), machine.clone(), gone.clone(), next.clone());
                calls.spawn(async move {
                    if number % 15 == 7 {
                        let request = proto::DeleteRoleRequest { move_holders_to: next, ..delete_role(&id, &gone) };
                        return ("delete", owner.delete_role(request).await.map(drop));
                    }
                    let deltas = vec![grant(service_account(&machine), role(&gone))];
                    ("grant", owner.change_grants(change(&id, deltas)).await.map(drop))
                });
            }
            let mut deleted = 0;
            while let Some(call) = calls.join_next().await {
                match call.unwrap() {
                    ("delete", Ok(())) => deleted += 1,
                    ("delete", refused) => assert_refused(refused, Code::NotFound, "NOT_FOUND"),
                    (_, Ok(())) => {}
                    (_, refused) => assert_refused(refused, Code::InvalidArgument, "ROLE_UNKNOWN"),
                }
            }
            assert_eq!(deleted, 1);
        }
        is_over.store(true, Ordering::SeqCst);
        println!("{} looks", reader.await.unwrap());
        must_be_sound(&app, &workspace).await;
    }
}
