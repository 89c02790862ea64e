//! One's own organizations.

use std::time::Duration;

use guildhall::proto::{self, MemberState};

use crate::harness::messages::{create_member, disable, invite, new_member};
use crate::harness::{Caller, role};
use crate::on_both;

async fn mine(call: &Caller, page_size: i32) -> Vec<proto::MyMembership> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListMyMembershipsRequest { page_size, page_token };
        let page = call.list_my_memberships(request).await.unwrap();
        assert!(page_size == 0 || page.memberships.len() <= usize::try_from(page_size).unwrap());
        all.extend(page.memberships);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

on_both! {
    async fn whoever_is_signed_in_lists_where_they_belong_and_where_they_are_offered_to(app) {
        // Ids are ordered by the millisecond.
        let moment = || app.clock.advance(Duration::from_millis(1));
        let bob = app.found_as("Home", "bob@example.test").await;
        let ada = app.found_as("Ada's", "ada@example.test").await;
        let max = app.found_as("Max's", "max@example.test").await;
        moment();
        ada.owner.call.create_invitation(invite(&ada.id, "Bob@example.test", vec![role("admin")])).await.unwrap();
        moment();
        max.owner.call.create_member(create_member(&max.id, new_member("bob@example.test", vec![]))).await.unwrap();

        for page_size in [0, 1, 2] {
            let found = mine(&bob.owner.call, page_size).await;
            let named: Vec<(&str, MemberState, Vec<String>)> = found
                .iter()
                .map(|it| (it.organization_display_name.as_str(), it.state(), it.roles.clone()))
                .collect();
            assert_eq!(
                named,
                [
                    ("Home", MemberState::Active, vec!["admin".to_owned(), "owner".to_owned()]),
                    ("Ada's", MemberState::Pending, vec!["admin".to_owned()]),
                    ("Max's", MemberState::Pending, vec!["user".to_owned()]),
                ]
            );
        }
        let ids: Vec<String> = mine(&bob.owner.call, 0).await.into_iter().map(|it| it.organization_id).collect();
        assert_eq!(ids, [bob.id.clone(), ada.id.clone(), max.id.clone()]);
    }

    async fn who_was_shut_out_is_told_of_it_nowhere_and_a_machine_belongs_to_nobody(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let bob = app.invite_and_join(&organization.id, owner, "bob@example.test", vec![role("user")]).await;
        assert_eq!(mine(&bob.call, 0).await.len(), 1);
        owner.disable_member(disable(&organization.id, &bob.membership_id)).await.unwrap();
        assert_eq!(mine(&bob.call, 0).await, []);
        let backend = app.backend(&organization).await;
        assert_eq!(mine(&backend, 0).await, []);
        assert_eq!(mine(&app.operator(), 0).await, []);
    }
}
