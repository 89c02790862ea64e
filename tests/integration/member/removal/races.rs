//! Removals at once with each other, with grants, and with what happens elsewhere: never half of one, and never nobody left.

use futures_util::future::join_all;
use guildhall::changelog::Source;
use guildhall::domain::fact::OrganizationFact;
use guildhall::domain::place::Principal;
use guildhall::proto::MemberState::Active;
use tonic::Status;

use super::{WORKSPACE, worker};
use crate::harness::messages::{
    accept, change, disable, get_organization, grant, invite, membership, register, remove, revoke, share, sign_in,
};
use crate::harness::{Caller, PASSWORD, Person, TestApp, as_member, project, reason, role};
use crate::on_both;

async fn admins(app: &TestApp, id: &str, by: &Caller, count: usize) -> Vec<Person> {
    let mut admins = Vec::new();
    for number in 0..count {
        let email = format!("admin-{number}@example.test");
        admins.push(app.invite_and_join(id, by, &email, vec![role("workspace-admin")]).await);
    }
    admins
}

fn words(answers: Vec<Result<(), Status>>) -> Vec<String> {
    answers.into_iter().map(|answer| answer.map_or_else(|status| reason(&status), |()| "OK".into())).collect()
}

on_both! {
    async fn admins_who_end_each_other_in_every_way_at_once_leave_at_least_one(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let id = &workspace.id;
        let mut all = admins(&app, id, &workspace.owner.call, 7).await;
        all.push(workspace.owner.clone());
        let operator = app.operator();
        let active = async || {
            let members = operator.members(id).await.into_iter();
            members.filter(|it| it.state() == Active && it.roles.iter().any(|role| role == "workspace-admin")).count()
        };

        let mut calls = tokio::task::JoinSet::new();
        for by in &all {
            for to in all.iter().filter(|to| to.membership_id != by.membership_id) {
                for act in 0..4 {
                    let (by, to, id) = (by.call.clone(), to.membership_id.clone(), id.clone());
                    calls.spawn(async move {
                        let taken = vec![revoke(membership(&to), role("workspace-admin"))];
                        match act {
                            0 => by.remove_member(remove(&id, &to)).await.map(drop),
                            1 => by.disable_member(disable(&id, &to)).await.map(drop),
                            2 => by.change_grants(change(&id, taken)).await.map(drop),
                            _ => by.leave_organization(crate::harness::messages::leave(&id)).await.map(drop),
                        }
                    });
                }
            }
        }
        assert!(calls.len() > 200);
        let mut done = Vec::new();
        while let Some(answer) = calls.join_next().await {
            done.push(answer.unwrap());
            if done.len() % 10 == 0 {
                assert!(active().await >= 1, "nobody is left");
            }
        }
        let words = words(done);
        assert!(active().await >= 1);
        assert!(words.iter().any(|word| word == "OK"), "{words:?}");
        let documented = ["OK", "ROLE_CARDINALITY", "NOT_FOUND", "MEMBER_STATE", "LEAVING_BARRED", "PERMISSION_MISSING",
                          "ROLE_NOT_TAKEABLE", "CREDENTIAL_INVALID", "SESSION_ENDED", "USER_DISABLED"];
        let others: Vec<_> = words.iter().filter(|word| !documented.contains(&word.as_str())).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    async fn nobody_who_is_gone_holds_anything_whatever_they_were_given_meanwhile(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let mut people = Vec::new();
        for number in 0..12 {
            people.push(worker(&app, &workspace, &format!("p{number}")).await);
        }
        for number in 0..8 {
            owner.register_resource(register(id, project(&format!("p{number}")))).await.unwrap();
        }
        let mut calls = tokio::task::JoinSet::new();
        for person in &people {
            for number in 0..8 {
                let (call, id, who) = (owner.clone(), id.clone(), person.membership_id.clone());
                calls.spawn(async move {
                    let here = project(&format!("p{number}"));
                    match number {
                        3 => call.remove_member(remove(&id, &who)).await.map(drop),
                        0 | 2 | 4 => call.share_resource(share(&id, here, vec![membership(&who)])).await.map(drop),
                        _ => {
                            let given = vec![grant(membership(&who), as_member(here))];
                            call.change_grants(change(&id, given)).await.map(drop)
                        }
                    }
                });
            }
        }
        while let Some(answer) = calls.join_next().await {
            if let Err(status) = answer.unwrap() {
                assert!(["NOT_FOUND", "MEMBER_STATE"].contains(&&*reason(&status)), "{status:?}");
            }
        }

        let organization = guildhall::domain::id::OrganizationId::parse("id", id).unwrap();
        let facts = app.app.services().store.organization(organization).await.unwrap().unwrap().facts;
        let there = |id| facts.iter().any(|fact| matches!(fact, OrganizationFact::Membership { id: other, .. } if *other == id));
        let mut holders = 0;
        for fact in &facts {
            if let OrganizationFact::Grant(held) = fact
                && let Principal::Membership(id) = held.principal
            {
                assert!(there(id), "{held:?} outlives its holder");
                holders += 1;
            }
        }
        assert_eq!((owner.members(id).await.len(), holders), (1, 1));
    }

    async fn an_account_that_is_removed_here_while_it_accepts_elsewhere_is_gone_or_there_and_never_half(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let other = app.found_as("Elsewhere", "eva@example.test").await;
        let mut people = Vec::new();
        for number in 0..16 {
            let person = worker(&app, &workspace, &format!("p{number}")).await;
            other.owner.call.create_invitation(invite(&other.id, &person.email, vec![])).await.unwrap();
            let token = app.token_mailed_by("Elsewhere", &person.email).await;
            people.push((person, token));
        }
        let workspace = &workspace;
        let races = people.iter().map(|(person, token)| async move {
            let gone = workspace.owner.call.remove_member(remove(&workspace.id, &person.membership_id));
            let come = person.call.accept_invitation(accept(token, ""));
            let (gone, come) = tokio::join!(gone, come);
            (person, gone.unwrap().user_deleted, come)
        });
        let mut deleted = 0;
        for (person, user_deleted, come) in join_all(races).await {
            assert_eq!(user_deleted, come.is_err(), "{come:?}");
            deleted += usize::from(user_deleted);
            let answer = app.anyone().sign_in(sign_in(&person.email, PASSWORD)).await;
            assert_eq!(answer.is_ok(), !user_deleted);
            let there = person.call.get_organization(get_organization(&other.id)).await;
            assert_eq!(there.is_ok(), !user_deleted);
        }
        println!("{deleted} of {} were gone first", people.len());
    }
}
