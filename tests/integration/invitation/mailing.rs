//! How many invitations are mailed: to one address, by one sponsor, from one organization; and that nobody learns by it
//! what other organizations do.

use std::sync::Arc;
use std::time::Duration;

use guildhall::config::Config;
use guildhall::proto;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::messages::{create_organization, invite, remove};
use crate::harness::{Caller, Database, ManualClock, Organization, TestApp, eventually, mails_in, reason, role};
use crate::on_both;
use crate::refusals::revision_of;

const DAY: Duration = Duration::from_hours(24);

async fn start(database: Database, set: impl FnOnce(&mut Config)) -> TestApp {
    let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
    let mut config = database.config(data_dir.path()).await;
    set(&mut config);
    TestApp::start_with(config, data_dir, ManualClock::new()).await.expect("a server that starts")
}

/// Returns which limit has refused a call, and how long it is to wait.
#[track_caller]
fn limited<T: std::fmt::Debug>(result: Result<T, Status>) -> (String, Duration) {
    let status = result.expect_err("a refusal");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"), "{status:?}");
    let quota = status.get_details_quota_failure().expect("it names the limit");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("it says how long to wait");
    (quota.violations[0].subject.clone(), delay)
}

async fn offer(by: &Caller, organization: &str, email: &str) -> Result<proto::CreateInvitationResponse, Status> {
    by.create_invitation(invite(organization, email, vec![])).await
}

/// Invites an address, and takes the invitation away again.
async fn in_and_out(organization: &Organization, email: &str) -> Result<(), Status> {
    let made = offer(&organization.owner.call, &organization.id, email).await?;
    let member = made.member.expect("it is in the answer").id;
    organization.owner.call.remove_member(remove(&organization.id, &member)).await.expect("removed");
    Ok(())
}

/// What an answer to an invitation tells, but for ids.
fn told(made: proto::CreateInvitationResponse) -> (proto::Invitation, proto::Member) {
    let (mut invitation, mut member) = (made.invitation.unwrap(), made.member.unwrap());
    for id in [&mut invitation.id, &mut invitation.membership_id, &mut invitation.email] {
        id.clear();
    }
    for id in [&mut member.id, &mut member.email, &mut member.etag] {
        id.clear();
    }
    (invitation, member)
}

on_both! {
    async fn an_address_gets_five_invitations_a_day_from_one_organization(app) {
        let (organization, other) = (app.found().await, app.found_as("Other", "eve@example.test").await);
        for _ in 0..5 {
            in_and_out(&organization, "bob@example.test").await.unwrap();
        }
        let before = (app.traces().await, revision_of(&organization.owner.call, &organization.id).await);
        let refused = limited(offer(&organization.owner.call, &organization.id, "BOB@example.test").await);
        assert_eq!(refused, ("invitation_mails_to_recipient_of_organization".into(), DAY));
        let dry = proto::CreateInvitationRequest {
            validate_only: true,
            ..invite(&organization.id, "bob@example.test", vec![])
        };
        limited(organization.owner.call.create_invitation(dry).await);
        assert_eq!((app.traces().await, revision_of(&organization.owner.call, &organization.id).await), before);

        offer(&organization.owner.call, &organization.id, "max@example.test").await.unwrap();
        in_and_out(&other, "bob@example.test").await.unwrap();
        app.clock.advance_short_of(DAY);
        let ada = app.sign_in("ada@example.test", "").await.call;
        limited(offer(&ada, &organization.id, "bob@example.test").await);
        app.clock.tick();
        offer(&ada, &organization.id, "bob@example.test").await.unwrap();
    }
}

on_both! {
    async fn a_dry_run_and_a_repetition_count_for_nothing(database: Database) {
        let app = start(database, |config| config.limits.invitations_per_organization = 3).await;
        // The founder's is the first.
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        for _ in 0..3 {
            let dry = proto::CreateInvitationRequest { validate_only: true, ..invite(id, "bob@example.test", vec![]) };
            owner.create_invitation(dry).await.unwrap();
        }
        let request_id = "018f4e9a-7b3c-7def-8a12-0123456789ab".to_owned();
        let once = proto::CreateInvitationRequest { request_id, ..invite(id, "bob@example.test", vec![]) };
        for _ in 0..3 {
            owner.create_invitation(once.clone()).await.unwrap();
        }
        offer(owner, id, "max@example.test").await.unwrap();
        let refused = limited(offer(owner, id, "joe@example.test").await);
        assert_eq!(refused, ("invitation_mails_of_organization".into(), DAY));
    }

    async fn a_sponsor_has_so_many_invitations_mailed_in_an_hour_over_all_organizations(database: Database) {
        let app = start(database, |config| config.limits.invitations_per_sponsor = 4).await;
        let organization = app.found().await;
        let id = organization.id.as_str();
        let owner = &organization.owner;
        let admin = app.invite_and_join(id, &owner.call, "max@example.test", vec![role("admin")]).await;
        // However many try at once.
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..12 {
            let (call, id) = (owner.call.clone(), id.to_owned());
            tries.spawn(async move { offer(&call, &id, &format!("new-{number}@example.test")).await });
        }
        let (mut made, mut refused) = (0, 0);
        while let Some(tried) = tries.join_next().await {
            match tried.unwrap() {
                Ok(_) => made += 1,
                Err(status) => {
                    let hour = Duration::from_hours(1);
                    assert_eq!(limited(Err::<(), _>(status)), ("invitation_mails_by_sponsor".into(), hour));
                    refused += 1;
                }
            }
        }
        assert_eq!((made, refused), (3, 9));
        offer(&admin.call, id, "by-another@example.test").await.unwrap();
        app.clock.advance(Duration::from_hours(1));
        let owner = app.sign_in(&owner.email, "").await.call;
        offer(&owner, id, "later@example.test").await.unwrap();
    }

    async fn an_operator_makes_no_more_founders_of_one_address_in_a_day_than_it_may_get_mails(database: Database) {
        let app = start(database, |config| config.limits.invitations_per_address = 3).await;
        for number in 0..3 {
            let request = create_organization(&format!("Number {number}"), "ada@example.test");
            app.operator().create_organization(request).await.unwrap();
        }
        let before = app.traces().await;
        let fourth = app.operator().create_organization(create_organization("Fourth", "ada@example.test")).await;
        assert_eq!(limited(fourth), ("invitation_mails_to_recipient".into(), DAY));
        assert_eq!(app.traces().await, before);
        app.operator().create_organization(create_organization("Other", "eve@example.test")).await.unwrap();
        app.clock.advance(DAY);
        app.operator().create_organization(create_organization("Fourth", "ada@example.test")).await.unwrap();
    }

    async fn nobody_learns_that_other_organizations_invite_an_address_and_its_mails_wait(database: Database) {
        let app = start(database, |config| config.limits.invitations_per_address = 2).await;
        let organization = app.found().await;
        let others = [app.found_as("One", "eve@example.test").await, app.found_as("Two", "max@example.test").await];
        for other in &others {
            offer(&other.owner.call, &other.id, "bob@example.test").await.unwrap();
        }
        app.mails_to("bob@example.test", 2).await;
        app.traces().await;

        // Both are answered alike, and the inviter is told alike that the mail went out (CE-08).
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let told_before = app.mails_so_far("ada@example.test");
        let full = offer(owner, id, "bob@example.test").await.unwrap();
        let free = offer(owner, id, "joe@example.test").await.unwrap();
        let member = full.member.clone().unwrap().id;
        assert_eq!(told(full), told(free));
        app.mails_to("ada@example.test", told_before + 2).await;
        app.mails_to("joe@example.test", 1).await;
        // It is an invitation like any other.
        assert_eq!(
            limited_or_pending(offer(owner, id, "bob@example.test").await),
            limited_or_pending(offer(owner, id, "joe@example.test").await),
        );
        assert_eq!(app.mails_so_far("bob@example.test"), 2);

        // The next day it goes out, and works.
        app.clock.advance(DAY);
        let token = app.token_mailed_by("Example", "bob@example.test").await;
        let accepted = app.accept(&token).await.unwrap();
        assert_eq!(accepted.member.unwrap().id, member);
        assert_eq!(app.mails_so_far("ada@example.test"), told_before + 2);
    }

    async fn a_mail_that_would_wait_longer_than_its_invitation_is_open_is_not_sent(database: Database) {
        let app = start(database, |config| config.limits.invitations_per_address = 1).await;
        let (organization, other) = (app.found().await, app.found_as("Other", "eve@example.test").await);
        offer(&other.owner.call, &other.id, "bob@example.test").await.unwrap();
        let lifetime = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
        let short = proto::CreateInvitationRequest { lifetime, ..invite(&organization.id, "bob@example.test", vec![]) };
        organization.owner.call.create_invitation(short).await.unwrap();
        // Nothing waits, and the next day has room.
        app.traces().await;
        app.clock.advance(DAY);
        let third = app.found_as("Third", "max@example.test").await;
        offer(&third.owner.call, &third.id, "bob@example.test").await.unwrap();
        eventually("the second mail", || (mails_in(&app.config.mail_dir(), "bob@example.test").len() == 2).then_some(())).await;
    }
}

/// Returns how an address is refused that was invited already.
#[track_caller]
fn limited_or_pending<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("a refusal");
    (status.code(), reason(&status))
}
