//! Hundreds of conflicting calls at once: exactly what is documented comes of them, and a reader never sees less.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::Pin;

use guildhall::proto;
use guildhall::proto::assignment::Held;
use tonic::Status;

use super::{BOARDS, dashboard, holder, resources, somebody, team};
use crate::harness::messages::{
    change, change_members, delete_group, get_group, grant, group, list_grants, membership,
};
use crate::harness::{Organization, Person, TestApp, at, reason, role};
use crate::on_both;

/// A call that is ready to be made.
type Call = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Makes calls all at once, and reads again and again until the last is answered. Counts the outcomes by their reason.
async fn storm(calls: Vec<Call>, mut read: impl AsyncFnMut()) -> BTreeMap<String, usize> {
    let started: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    let is_over = Cell::new(false);
    let answers = async {
        let mut outcomes = BTreeMap::new();
        for call in started {
            let answer = call.await.expect("a call that ends");
            let word = answer.map_or_else(|status| reason(&status), |()| "OK".to_owned());
            *outcomes.entry(word).or_default() += 1;
        }
        is_over.set(true);
        outcomes
    };
    let reading = async {
        let mut reads = 0;
        while !is_over.get() {
            read().await;
            reads += 1;
        }
        reads
    };
    let (outcomes, reads) = tokio::join!(answers, reading);
    assert!(reads > 1, "nobody looked during the storm");
    outcomes
}

async fn people(app: &TestApp, organization: &Organization, count: usize, held: &str) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(somebody(app, organization, &format!("p{number}"), held).await);
    }
    people
}

on_both! {
    async fn a_group_that_is_deleted_while_it_is_being_granted_to_holds_nothing_after(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let members = people(&app, &organization, 4, "viewer").await;
        let boards: Vec<_> = (0..100).map(|number| dashboard(&format!("d{number}"))).collect();
        resources(&organization, &boards).await;
        let sales = team(&organization, "Sales", &[&members[0]]).await;

        let mut calls: Vec<Call> = Vec::new();
        for (number, board) in boards.into_iter().enumerate() {
            let request = change(id, vec![grant(group(&sales), at(board, "dashboard-viewer"))]);
            let call = owner.clone();
            calls.push(Box::pin(async move { call.change_grants(request).await.map(drop) }));
            let who = &*members[1 + number % 3].membership_id;
            let (add, remove) = if number % 2 == 0 { (vec![who], vec![]) } else { (vec![], vec![who]) };
            let (call, request) = (owner.clone(), change_members(id, &sales, &add, &remove));
            calls.push(Box::pin(async move { call.change_group_members(request).await.map(drop) }));
            if [50, 51, 52].contains(&number) {
                let (call, request) = (owner.clone(), delete_group(id, &sales));
                calls.push(Box::pin(async move { call.delete_group(request).await.map(drop) }));
            }
        }
        let mut is_gone = false;
        let outcomes = storm(calls, async || match owner.get_group(get_group(id, &sales)).await {
            Ok(_) => assert!(!is_gone, "a group came back"),
            Err(status) => {
                assert_eq!(reason(&status), "NOT_FOUND");
                is_gone = true;
            }
        })
        .await;

        assert!(outcomes.keys().all(|word| word == "OK" || word == "NOT_FOUND"), "{outcomes:?}");
        assert!(outcomes["OK"] >= 1 && outcomes["NOT_FOUND"] >= 2, "one deletion alone finds it: {outcomes:?}");
        let everything = proto::ListGrantsRequest { page_size: 1_000, ..list_grants(id, None) };
        let left = owner.list_grants(everything).await.unwrap().grants;
        assert!(left.iter().all(|grant| !holder(grant.principal.clone()).starts_with("group")), "{left:?}");
        let traces = app.traces().await;
        assert_eq!((traces.rows["groups"], traces.rows["group_members"]), (0, 0));
        for member in &members {
            assert!(!owner.allows(id, &member.user_id, "dashboard.view", Some(dashboard("d0"))).await);
        }
    }

    async fn a_member_holds_one_role_of_a_set_through_a_storm_of_grants(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        let mut calls: Vec<Call> = Vec::new();
        for number in 0..200 {
            let held = ["admin", "analyst", "viewer"][number % 3];
            let request = change(id, vec![grant(membership(&vic.membership_id), role(held))]);
            let call = owner.clone();
            calls.push(Box::pin(async move { call.change_grants(request).await.map(drop) }));
        }
        let outcomes = storm(calls, async || {
            let held = owner.list_grants(list_grants(id, Some(membership(&vic.membership_id)))).await.unwrap().grants;
            assert_eq!(held.len(), 1, "one role, never none nor two: {held:?}");
        })
        .await;
        assert_eq!(outcomes, BTreeMap::from([("OK".to_owned(), 200)]));
        assert_eq!(owner.member(id, &vic.email).await.roles.len(), 1);
    }

    async fn of_admins_who_demote_one_another_at_once_exactly_one_is_left(app) {
        let organization = app.found_under(BOARDS).await;
        let id = &organization.id;
        let mut admins = people(&app, &organization, 9, "admin").await;
        admins.push(organization.owner.clone());
        let pairs = admins.iter().flat_map(|one| admins.iter().map(move |other| (one, other)));
        let pairs = pairs.filter(|(one, other)| one.membership_id != other.membership_id);
        let by_one_another = pairs.map(|(one, other)| (one.call.clone(), other));
        let by_operator = admins.iter().cycle().take(150).map(|other| (app.operator(), other));
        let mut calls: Vec<Call> = Vec::new();
        for (call, other) in by_one_another.chain(by_operator) {
            let request = change(id, vec![grant(membership(&other.membership_id), role("viewer"))]);
            calls.push(Box::pin(async move { call.change_grants(request).await.map(drop) }));
        }
        let operator = app.operator();
        let outcomes = storm(calls, async || {
            let here = proto::ListGrantsRequest { at_organization: true, ..list_grants(id, None) };
            let grants = operator.list_grants(here).await.unwrap().grants;
            let held = grants.iter().filter_map(|grant| grant.assignment.as_ref()?.held.as_ref());
            assert!(held.filter(|held| **held == Held::Role("admin".into())).count() >= 1, "nobody is admin");
        })
        .await;

        let words = ["OK", "PERMISSION_MISSING", "ROLE_CARDINALITY"];
        assert!(outcomes.keys().all(|word| words.contains(&&**word)), "{outcomes:?}");
        assert!(outcomes["ROLE_CARDINALITY"] >= 1, "the operator was refused the last one: {outcomes:?}");
        let members = app.operator().members(id).await;
        assert_eq!(members.iter().filter(|member| member.roles == ["admin"]).count(), 1, "{members:?}");
        assert!(members.iter().all(|member| member.roles.len() == 1), "{members:?}");
    }
}
