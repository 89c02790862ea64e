//! Pages: tokens that are garbage, foreign or old, and sizes that are none.

use std::time::Duration;

use guildhall::proto::{ListMembersRequest, ListMembersResponse};
use tonic::Status;

use super::assert_violates;
use crate::harness::messages::{invite, list_members};
use crate::harness::{Caller, Organization, TestApp};
use crate::on_both;

async fn page(call: &Caller, id: &str, size: i32, token: &str) -> Result<ListMembersResponse, Status> {
    call.list_members(ListMembersRequest { page_size: size, page_token: token.into(), ..list_members(id) }).await
}

/// Makes an organization of two, and gives the token of its second page.
async fn two_pages(app: &TestApp, owner: &str) -> (Organization, String) {
    let organization = app.found_by(owner).await;
    let request = invite(&organization.id, "zoe@example.test", vec![]);
    organization.owner.call.create_invitation(request).await.unwrap();
    let first = page(&organization.owner.call, &organization.id, 1, "").await.unwrap();
    assert_eq!(first.members.len(), 1);
    (organization, first.next_page_token)
}

on_both! {
    async fn a_page_token_that_was_not_made_here_is_refused(app) {
        let (organization, token) = two_pages(&app, "ada@example.test").await;
        let flipped = |at: usize| {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            format!("{}{other}{}", &token[..at], &token[at + 1..])
        };
        let middle = token.len() / 2;

        for bad in [
            "x".into(),
            "!".into(),
            "\u{e4}".into(),
            " ".into(),
            "A".repeat(40),
            "A".repeat(5_000),
            flipped(0),
            flipped(middle),
            token[..middle].to_owned(),
            format!("{token}A"),
            format!("{token}{token}"),
            format!("{token}="),
        ] {
            let answer = page(&organization.owner.call, &organization.id, 1, &bad).await;
            assert_violates(answer, &[("page_token", "PAGE_TOKEN_INVALID")]);
        }
        let second = page(&organization.owner.call, &organization.id, 1, &token).await.unwrap();
        assert_eq!(second.members[0].email, "zoe@example.test");
    }

    async fn a_page_token_of_another_query_is_refused(app) {
        let (organization, _) = two_pages(&app, "ada@example.test").await;
        let (_, theirs) = two_pages(&app, "eve@example.test").await;
        let answer = page(&organization.owner.call, &organization.id, 1, &theirs).await;
        assert_violates(answer, &[("page_token", "PAGE_TOKEN_MISMATCH")]);
    }

    async fn a_page_token_is_good_for_a_day(app) {
        let (organization, token) = two_pages(&app, "ada@example.test").await;
        let (id, email) = (organization.id.as_str(), organization.owner.email.as_str());

        app.clock.advance(Duration::from_hours(23));
        let owner = app.sign_in(email, "").await.call;
        assert_eq!(page(&owner, id, 1, &token).await.unwrap().members.len(), 1);
        app.clock.advance(Duration::from_hours(2));
        let owner = app.sign_in(email, "").await.call;
        assert_violates(page(&owner, id, 1, &token).await, &[("page_token", "PAGE_TOKEN_INVALID")]);
    }

    async fn a_page_has_1_to_1000_rows(app) {
        let (organization, token) = two_pages(&app, "ada@example.test").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        for size in [-1, 1_001, i32::MIN, i32::MAX] {
            assert_violates(page(owner, id, size, &token).await, &[("page_size", "OUT_OF_RANGE")]);
            let both = [("page_size", "OUT_OF_RANGE"), ("page_token", "PAGE_TOKEN_INVALID")];
            assert_violates(page(owner, id, size, "x").await, &both);
        }
        for (size, rows) in [(0, 2), (1, 1), (1_000, 2)] {
            assert_eq!(page(owner, id, size, "").await.unwrap().members.len(), rows);
        }
    }
}
