//! Members × places: one batch over all pairs, and the mixed state before it (CE-24 to CE-28).

use guildhall::proto::grant_matrix::Act::{Grant, Revoke};
use guildhall::proto::{self, HolderShare};
use tonic::Code;

use super::{holder, resources};
use crate::harness::messages::{
    change, change_by_matrix, grant, invite, list_grants, matrix, membership, principal, service_account, summarize,
};
use crate::harness::{Organization, TestApp, as_member, assert_refused, project, role, violations};
use crate::on_both;
use crate::refusals::NOBODY;

/// An organization with three projects and three people who are assigned to none.
async fn scene(app: &TestApp) -> (Organization, Vec<String>) {
    let organization = app.found().await;
    resources(&organization, &["a", "b", "c"].map(project)).await;
    let mut people = Vec::new();
    for name in ["mia", "max", "moe"] {
        let request = invite(&organization.id, &format!("{name}@example.test"), vec![]);
        people.push(organization.owner.call.create_invitation(request).await.unwrap().member.unwrap().id);
    }
    (organization, people)
}

fn listed() -> proto::Assignment {
    proto::Assignment { resource: None, ..as_member(project("")) }
}

fn all(people: &[String]) -> Vec<proto::principal::Kind> {
    people.iter().map(|id| membership(id)).collect()
}

/// Gives, for each project, how many of the people are on its list, and who.
async fn shares(organization: &Organization, people: &[String]) -> Vec<(HolderShare, Vec<String>)> {
    let request = summarize(&organization.id, all(people), ["a", "b", "c"].map(project).to_vec());
    let answer = organization.owner.call.summarize_grants(request).await.unwrap();
    let places: Vec<_> = answer.summaries.iter().map(|it| it.resource.clone().unwrap().id).collect();
    assert_eq!(places, ["a", "b", "c"]);
    let share = |it: proto::GrantSummary| (it.share(), it.holders.into_iter().map(|it| holder(Some(it))).collect());
    answer.summaries.into_iter().map(share).collect()
}

on_both! {
    async fn the_mixed_state_is_told_and_a_matrix_sets_it_clears_it_or_leaves_it(app) {
        let (organization, people) = scene(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let (none, some, every) = (HolderShare::None, HolderShare::Some, HolderShare::All);
        assert_eq!(shares(&organization, &people).await, vec![(none, vec![]); 3]);
        let first = vec![grant(membership(&people[1]), as_member(project("a")))];
        owner.change_grants(change(id, first)).await.unwrap();

        // All to b; a stays mixed, c empty.
        let set = matrix(all(&people), vec![project("b")], Grant(listed()));
        assert_eq!(owner.change_grants(change_by_matrix(id, vec![set])).await.unwrap().granted.len(), 3);
        let expected = [(some, vec![people[1].clone()]), (every, people.clone()), (none, vec![])];
        assert_eq!(shares(&organization, &people).await, expected);

        // a: setting assigns all of them; b: clearing removes all; one call and one revision.
        let set = matrix(all(&people), vec![project("a"), project("c")], Grant(listed()));
        let clear = matrix(all(&people), vec![project("b")], Revoke(listed()));
        let before = app.traces().await.rows["commits"];
        let changed = owner.change_grants(change_by_matrix(id, vec![set, clear])).await.unwrap();
        assert_eq!((changed.granted.len(), changed.revoked.len()), (5, 3), "who was assigned already is not new");
        assert_eq!(app.traces().await.rows["commits"], before + 1);
        assert_eq!(shares(&organization, &people).await, [(every, people.clone()), (none, vec![]), (every, people.clone())]);
    }

    async fn several_people_are_promoted_and_demoted_at_once(app) {
        let (organization, people) = scene(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let assign = matrix(all(&people), vec![project("a")], Grant(listed()));
        let promote = matrix(all(&people), vec![], Grant(role("admin")));
        owner.change_grants(change_by_matrix(id, vec![assign, promote])).await.unwrap();
        let admins = async || {
            let held = Some(proto::summarize_grants_request::Held::Role("admin".into()));
            let request = proto::SummarizeGrantsRequest { held, ..summarize(id, all(&people), vec![]) };
            let answer = owner.summarize_grants(request).await.unwrap();
            assert_eq!(answer.summaries.len(), 1);
            answer.summaries[0].share()
        };
        assert_eq!(admins().await, HolderShare::All);
        let demote = matrix(all(&people), vec![], Grant(role("user")));
        let demoted = owner.change_grants(change_by_matrix(id, vec![demote])).await.unwrap();
        assert_eq!((demoted.granted.len(), demoted.revoked.len()), (3, 6), "and from every project");
        assert!(demoted.left_groups.is_empty());
        assert_eq!(admins().await, HolderShare::None);
        assert_eq!(shares(&organization, &people).await[0], (HolderShare::None, vec![]));
    }

    async fn a_matrix_is_all_or_nothing_and_what_is_wrong_with_it_is_told_once(app) {
        let (organization, people) = scene(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let before = app.traces().await;
        let hidden = matrix(all(&people), vec![project("a"), project("nowhere")], Grant(listed()));
        assert_refused(owner.change_grants(change_by_matrix(id, vec![hidden])).await, Code::NotFound, "NOT_FOUND");
        let stranger = vec![membership(&people[0]), service_account(NOBODY)];
        let absent = matrix(stranger, vec![project("a")], Grant(listed()));
        assert_refused(owner.change_grants(change_by_matrix(id, vec![absent])).await, Code::NotFound, "NOT_FOUND");

        let good = matrix(all(&people), vec![project("a")], Grant(listed()));
        let unlisted = matrix(all(&people), vec![], Grant(listed()));
        let status = owner.change_grants(change_by_matrix(id, vec![good.clone(), unlisted])).await.unwrap_err();
        assert_eq!(violations(&status), [("matrices[1].resource".to_owned(), "ROLE_NOT_ASSIGNABLE".to_owned())]);

        let twice = matrix(vec![membership(&people[0]); 2], vec![project("a"); 2], Grant(listed()));
        let status = owner.change_grants(change_by_matrix(id, vec![twice])).await.unwrap_err();
        let paths: Vec<_> = violations(&status).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["matrices[0].principals[1]", "matrices[0].resources[1]"]);
        let placed = matrix(all(&people), vec![], Grant(as_member(project("a"))));
        let status = owner.change_grants(change_by_matrix(id, vec![placed])).await.unwrap_err();
        assert_eq!(violations(&status), [("matrices[0].grant.resource".to_owned(), "OUT_OF_RANGE".to_owned())]);

        let many = (0..100).map(|number| project(&format!("p{number}"))).collect::<Vec<_>>();
        let wide = matrix(all(&people), many, Grant(listed()));
        let status = owner.change_grants(change_by_matrix(id, vec![wide; 4])).await.unwrap_err();
        assert_eq!(violations(&status), [("matrices".to_owned(), "OUT_OF_RANGE".to_owned())]);
        assert_eq!(app.traces().await, before);
    }

    async fn a_thousand_cells_are_one_commit(app) {
        let (organization, people) = scene(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let projects: Vec<_> = (0..100).map(|number| project(&format!("p{number}"))).collect();
        resources(&organization, &projects).await;
        let ones: Vec<_> = [&people[..], std::slice::from_ref(&organization.owner.membership_id)].concat();
        let set = matrix(all(&ones), projects.clone(), Grant(listed()));
        let before = app.traces().await.rows["commits"];
        let changed = owner.change_grants(change_by_matrix(id, vec![set])).await.unwrap();
        assert_eq!((changed.granted.len(), app.traces().await.rows["commits"]), (400, before + 1));
        let clear = matrix(all(&people), projects, Revoke(listed()));
        let changed = owner.change_grants(change_by_matrix(id, vec![clear])).await.unwrap();
        assert_eq!(changed.revoked.len(), 300);
    }

    async fn a_summary_is_refused_where_a_change_would_be(app) {
        let (organization, people) = scene(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let ask = |people: &[String], places: Vec<_>| summarize(id, all(people), places);
        let refused = owner.summarize_grants(ask(&people, vec![project("nowhere")])).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        let nobody = [NOBODY.to_owned()];
        assert_refused(owner.summarize_grants(ask(&nobody, vec![])).await, Code::NotFound, "NOT_FOUND");
        assert_refused(owner.summarize_grants(ask(&[], vec![])).await, Code::InvalidArgument, "OUT_OF_RANGE");
        let held = Some(proto::summarize_grants_request::Held::Role("nothing".into()));
        let unknown = proto::SummarizeGrantsRequest { held, ..ask(&people, vec![]) };
        assert_refused(owner.summarize_grants(unknown).await, Code::InvalidArgument, "ROLE_UNKNOWN");
        let all_of_them = owner.list_grants(list_grants(id, Some(membership(&people[0])))).await.unwrap();
        assert_eq!(all_of_them.grants[0].principal, Some(principal(membership(&people[0]))));
    }
}
