//! Grants by pages: of one principal, at one place, of all; those that count, at places that the caller sees.

use std::time::Duration;

use guildhall::clock::Clock;
use guildhall::proto;
use guildhall::proto::GrantSource::{Invitation, Manual};
use guildhall::proto::assignment::Held;
use tonic::Code;

use super::{BOARDS, dashboard, holder, resources, somebody, team};
use crate::harness::messages::{change, everyone, grant, group, list_grants, membership, service_account};
use crate::harness::{Caller, as_member, assert_refused, at, project, role, violations};
use crate::on_both;
use crate::refusals::NOBODY;

/// Reads every page, two rows to each; a grant as who, what, where.
async fn read(call: &Caller, request: proto::ListGrantsRequest) -> Vec<(String, String, String)> {
    let mut page = proto::ListGrantsRequest { page_size: 2, ..request };
    let mut all = Vec::new();
    loop {
        let answer = call.list_grants(page.clone()).await.expect("a page");
        assert!(answer.grants.len() <= 2);
        all.extend(answer.grants.into_iter().map(|grant| {
            let assignment = grant.assignment.unwrap();
            let held = match assignment.held {
                Some(Held::Role(role)) => role,
                _ => "as_member".into(),
            };
            (holder(grant.principal), held, assignment.resource.map(|it| it.id).unwrap_or_default())
        }));
        if answer.next_page_token.is_empty() {
            return all;
        }
        page.page_token = answer.next_page_token;
    }
}

fn row(who: &str, what: &str, place: &str) -> (String, String, String) {
    (who.into(), what.into(), place.into())
}

on_both! {
    async fn grants_are_listed_of_one_at_one_place_or_of_all(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner);
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        resources(&organization, &[dashboard("a"), dashboard("b")]).await;
        let sales = team(&organization, "Sales", &[&vic]).await;
        let view = |it| at(dashboard(it), "dashboard-viewer");
        let given = [(membership(&vic.membership_id), "a"), (group(&sales), "a"), (everyone(), "b")];
        for (to, place) in given {
            app.clock.advance(Duration::from_millis(1));
            owner.call.change_grants(change(id, vec![grant(to, view(place))])).await.unwrap();
        }

        let (me, them, sellers) = (&*owner.membership_id, &*vic.membership_id, format!("group {sales}"));
        let everything = [
            row(me, "admin", ""),
            row(them, "viewer", ""),
            row(them, "dashboard-viewer", "a"),
            row(&sellers, "dashboard-viewer", "a"),
            row("everyone", "dashboard-viewer", "b"),
        ];
        assert_eq!(read(&owner.call, list_grants(id, None)).await, everything);
        assert_eq!(read(&owner.call, list_grants(id, Some(membership(them)))).await, everything[1..3]);
        assert_eq!(read(&owner.call, list_grants(id, Some(group(&sales)))).await, everything[3..4]);
        assert_eq!(read(&owner.call, list_grants(id, Some(everyone()))).await, everything[4..]);
        let at_a = proto::ListGrantsRequest { resource: Some(dashboard("a")), ..list_grants(id, None) };
        assert_eq!(read(&owner.call, at_a.clone()).await, everything[2..4]);
        let at_all = proto::ListGrantsRequest { at_organization: true, ..list_grants(id, None) };
        assert_eq!(read(&owner.call, at_all).await, everything[..2]);
        let both = proto::ListGrantsRequest { principal: list_grants(id, Some(membership(them))).principal, ..at_a.clone() };
        assert_eq!(read(&owner.call, both).await, everything[2..3]);

        let sources = owner.call.list_grants(list_grants(id, Some(membership(them)))).await.unwrap().grants;
        assert_eq!(sources.iter().map(proto::Grant::source).collect::<Vec<_>>(), [Invitation, Manual]);
        let unclear = proto::ListGrantsRequest { at_organization: true, ..at_a };
        let status = owner.call.list_grants(unclear).await.unwrap_err();
        assert_eq!(violations(&status), [("at_organization".to_owned(), "OUT_OF_RANGE".to_owned())]);
        for nobody in [membership, group, service_account] {
            let request = list_grants(id, Some(nobody(NOBODY)));
            assert_refused(owner.call.list_grants(request).await, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn ones_own_grants_everybody_lists_and_others_who_may_list_members(app) {
        let organization = app.found_under(BOARDS).await;
        let id = &organization.id;
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        let mine = list_grants(id, Some(membership(&vic.membership_id)));
        assert_eq!(read(&vic.call, mine.clone()).await, [row(&vic.membership_id, "viewer", "")]);
        let theirs = list_grants(id, Some(membership(&organization.owner.membership_id)));
        let strangers = list_grants(id, Some(membership(NOBODY)));
        for others in [list_grants(id, None), theirs, strangers, list_grants(id, Some(everyone()))] {
            let refused = vic.call.list_grants(others).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let outsider = app.found_as("Outside", "oz@example.test").await.owner;
        assert_refused(outsider.call.list_grants(mine).await, Code::NotFound, "NOT_FOUND");
        let (machine, backend) = app.backend_account(&organization).await;
        let own = list_grants(id, Some(service_account(&machine)));
        assert_eq!(read(&backend, own).await, [row(&machine, "backend", "")]);
    }

    async fn what_stands_at_a_place_that_the_caller_does_not_see_is_not_listed(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let ann = somebody(&app, &organization, "ann", "analyst").await;
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        resources(&organization, &[dashboard("hidden"), dashboard("seen")]).await;
        let view = |it| at(dashboard(it), "dashboard-viewer");
        let of_vic = |it| grant(membership(&vic.membership_id), view(it));
        let deltas = vec![of_vic("hidden"), of_vic("seen"), grant(membership(&ann.membership_id), view("seen"))];
        app.clock.advance(Duration::from_millis(1));
        owner.change_grants(change(id, deltas)).await.unwrap();

        let listed = read(&ann.call, list_grants(id, Some(membership(&vic.membership_id)))).await;
        let (viewer, seen) = (row(&vic.membership_id, "viewer", ""), row(&vic.membership_id, "dashboard-viewer", "seen"));
        assert_eq!(listed, [viewer, seen]);
        assert!(read(&ann.call, list_grants(id, None)).await.iter().all(|(_, _, place)| place != "hidden"));
        for hidden in ["hidden", "nowhere"] {
            let at_it = proto::ListGrantsRequest { resource: Some(dashboard(hidden)), ..list_grants(id, None) };
            assert_refused(ann.call.list_grants(at_it).await, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn a_grant_shows_when_it_expires_and_is_not_listed_from_then_on(app) {
        let organization = app.found().await;
        let (id, owner) = (&organization.id, &organization.owner);
        resources(&organization, &[project("p")]).await;
        let user = somebody(&app, &organization, "uma", "user").await;
        let expires_at = app.clock.now().plus(Duration::from_mins(1));
        let seconds = expires_at.as_micros() / 1_000_000;
        let expire_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let listed = proto::Assignment { expire_time, ..as_member(project("p")) };
        let deltas = vec![grant(membership(&user.membership_id), listed)];
        app.clock.advance(Duration::from_millis(1));
        owner.call.change_grants(change(id, deltas.clone())).await.unwrap();

        let of_user = list_grants(id, Some(membership(&user.membership_id)));
        let grants = owner.call.list_grants(of_user.clone()).await.unwrap().grants;
        assert_eq!(grants[1].assignment.as_ref().unwrap().expire_time, expire_time);
        app.clock.advance(Duration::from_secs(61));
        assert_eq!(read(&owner.call, of_user).await, [row(&user.membership_id, "user", "")]);
        let shares = crate::harness::messages::summarize(id, vec![membership(&user.membership_id)], vec![project("p")]);
        let summary = owner.call.summarize_grants(shares).await.unwrap().summaries.remove(0);
        assert_eq!(summary.share(), proto::HolderShare::None);
        let again = owner.call.change_grants(change(id, deltas)).await;
        assert_refused(again, Code::InvalidArgument, "OUT_OF_RANGE");
        let for_good = vec![grant(membership(&user.membership_id), as_member(project("p")))];
        let renewed = owner.call.change_grants(change(id, for_good)).await.unwrap();
        assert_eq!((renewed.granted.len(), renewed.revoked.len()), (1, 0), "what had run out was not held");
        assert!(role("user").expire_time.is_none());
    }
}
