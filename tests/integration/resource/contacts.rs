//! Bare addresses on resources: who adds them, who is told, and how they get rid of it.

use std::time::Duration;

use guildhall::proto;
use tonic::Code;

use super::{asset, person, put};
use crate::harness::messages::{
    add_contact, change, change_members, create_group, delete, disable, everyone, grant, group, list_contacts,
    list_recipients, membership, notify, remove_contact, rename, share, unsubscribe,
};
use crate::harness::{Caller, assert_refused, mails_in, unsubscribe_token_in};
use crate::on_both;
use crate::refusals::assert_violates;

async fn addresses(call: &Caller, organization: &str, resource: proto::ResourceRef) -> Vec<String> {
    let request = list_recipients(organization, resource);
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListRecipientsRequest { page_size: 2, page_token, ..request.clone() };
        let page = call.list_recipients(request).await.unwrap();
        assert!(page.recipients.len() <= 2);
        found.extend(page.recipients.into_iter().map(|recipient| recipient.email));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

on_both! {
    async fn a_contact_is_added_once_and_never_a_principal(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        put(admin, id, asset("a"), None).await.unwrap();
        let add = |email: &str| admin.add_contact(add_contact(id, asset("a"), email));

        let added = add("Out@Example.Test").await.unwrap().contact.unwrap();
        assert_eq!(add(" out@example.test ").await.unwrap().contact.unwrap(), added, "whatever its case");
        assert_violates(add("nobody").await, &[("email", "EMAIL_MALFORMED")]);
        assert_refused(
            una.call.add_contact(add_contact(id, asset("a"), "x@example.test")).await,
            Code::NotFound,
            "NOT_FOUND",
        );
        // Who has the address sees nothing by it.
        add("una@example.test").await.unwrap();
        assert!(!admin.allows(id, &una.user_id, "asset.view", Some(asset("a"))).await);

        let listed = admin.list_contacts(list_contacts(id, asset("a"))).await.unwrap().contacts;
        let listed: Vec<_> = listed.into_iter().map(|contact| contact.email).collect();
        assert_eq!(listed, ["Out@example.test", "una@example.test"]);
        let before = app.traces().await;
        admin.remove_contact(remove_contact(id, asset("a"), &added.id)).await.unwrap();
        assert_refused(
            admin.remove_contact(remove_contact(id, asset("a"), &added.id)).await,
            Code::NotFound,
            "NOT_FOUND",
        );
        assert_eq!(before.rows["contacts"] - app.traces().await.rows["contacts"], 1);
        admin.delete_resource(delete(id, asset("a"))).await.unwrap();
        assert_eq!(app.traces().await.rows["contacts"], 0);
    }

    async fn a_resource_has_a_hundred_contacts_and_no_more(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        put(admin, id, asset("a"), None).await.unwrap();
        let adding = (0..120).map(|at| {
            let (call, request) = (admin.clone(), add_contact(id, asset("a"), &format!("c{at}@example.test")));
            tokio::spawn(async move { call.add_contact(request).await })
        });
        let mut added = 0;
        for adding in adding.collect::<Vec<_>>() {
            match adding.await.unwrap() {
                Ok(_) => added += 1,
                refused => assert_refused(refused, Code::ResourceExhausted, "CONTACTS_EXHAUSTED"),
            }
        }
        assert_eq!(added, 100);
        assert_eq!(app.traces().await.rows["contacts"], 100);
    }

    async fn whoever_is_listed_on_it_is_told_each_address_once(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        // Whatever their role, or none at all.
        let listed = person(&app, &organization, "listed", &[]).await;
        let grouped = person(&app, &organization, "grouped", &["default"]).await;
        let out = person(&app, &organization, "out", &["default"]).await;
        let above = person(&app, &organization, "above", &["default"]).await;
        let _bystander = person(&app, &organization, "bystander", &["default"]).await;
        put(&admin.call, id, asset("top"), None).await.unwrap();
        put(&admin.call, id, asset("a"), Some(asset("top"))).await.unwrap();
        let team = admin.call.create_group(create_group(id, "Team")).await.unwrap().group.unwrap().id;
        let members = [grouped.membership_id.as_str(), listed.membership_id.as_str()];
        admin.call.change_group_members(change_members(id, &team, &members, &[])).await.unwrap();
        let with = vec![membership(&listed.membership_id), membership(&out.membership_id), group(&team)];
        admin.call.share_resource(share(id, asset("a"), with)).await.unwrap();
        admin.call.share_resource(share(id, asset("top"), vec![membership(&above.membership_id)])).await.unwrap();
        admin.call.disable_member(disable(id, &out.membership_id)).await.unwrap();
        for email in ["LISTED@example.test", "else@example.test"] {
            admin.call.add_contact(add_contact(id, asset("a"), email)).await.unwrap();
        }

        let expected = ["else@example.test", "grouped@example.test", "listed@example.test"];
        assert_eq!(addresses(&admin.call, id, asset("a")).await, expected);
        let all = grant(everyone(), crate::harness::as_member(asset("a")));
        admin.call.change_grants(change(id, vec![all])).await.unwrap();
        let everybody = addresses(&admin.call, id, asset("a")).await;
        assert_eq!(everybody.len(), 6, "{everybody:?}");
        assert!(!everybody.contains(&"out@example.test".to_owned()));
        assert_refused(
            listed.call.list_recipients(list_recipients(id, asset("a"))).await,
            Code::NotFound,
            "NOT_FOUND",
        );
    }

    async fn a_notification_goes_to_each_and_a_contact_gets_rid_of_it(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        put(&admin.call, id, asset("a"), None).await.unwrap();
        admin.call.update_resource(rename(id, asset("a"), "Numbers")).await.unwrap();
        admin.call.share_resource(share(id, asset("a"), vec![membership(&una.membership_id)])).await.unwrap();
        admin.call.add_contact(add_contact(id, asset("a"), "out@example.test")).await.unwrap();

        let request_id = crate::refusals::NOBODY.to_owned();
        let request = proto::NotifyResourceRequest { request_id, ..notify(id, asset("a"), "News of numbers") };
        let dry = proto::NotifyResourceRequest { validate_only: true, ..notify(id, asset("a"), "News of numbers") };
        assert_eq!(admin.call.notify_resource(dry).await.unwrap().recipient_count, 2);
        assert_eq!(admin.call.notify_resource(request.clone()).await.unwrap().recipient_count, 2);
        admin.call.notify_resource(request).await.unwrap();
        app.traces().await;

        let about = |email: &str| {
            let mails = mails_in(&app.config.mail_dir(), email).into_iter();
            mails.filter(|mail| mail.contains("Subject: News of numbers")).collect::<Vec<_>>()
        };
        let (to_una, to_out) = (about("una@example.test"), about("out@example.test"));
        assert_eq!((to_una.len(), to_out.len()), (1, 1), "a retry sends nothing again");
        assert!(!to_una[0].contains("List-Unsubscribe") && to_una[0].contains("\"Numbers\""));
        assert!(to_out[0].contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
        let token = unsubscribe_token_in(&to_out[0]);
        let header = format!("List-Unsubscribe: <{}?token={token}>", app.config.unsubscribe_url);
        assert!(to_out[0].replace("\r\n ", " ").contains(&header), "{}", to_out[0]);

        // A mail scanner that follows the link changes nothing.
        let look = async || {
            let request = proto::LookUpUnsubscriptionRequest { token: token.clone() };
            app.anyone().look_up_unsubscription(request).await.unwrap()
        };
        assert_eq!((look().await.resource_display_name.as_str(), look().await.unsubscribed), ("Numbers", false));
        assert_eq!(addresses(&admin.call, id, asset("a")).await.len(), 2);
        for _ in 0..2 {
            assert!(app.anyone().unsubscribe(unsubscribe(&token)).await.unwrap().unsubscribed);
        }
        assert!(look().await.unsubscribed);
        assert_eq!(addresses(&admin.call, id, asset("a")).await, ["una@example.test"]);
        let again = || admin.call.add_contact(add_contact(id, asset("a"), "OUT@example.test"));
        assert_refused(again().await, Code::FailedPrecondition, "CONTACT_UNSUBSCRIBED");
        // Elsewhere it may be told.
        put(&admin.call, id, asset("b"), None).await.unwrap();
        admin.call.add_contact(add_contact(id, asset("b"), "out@example.test")).await.unwrap();
        let undo = proto::UnsubscribeRequest { undo: true, ..unsubscribe(&token) };
        assert!(!app.anyone().unsubscribe(undo).await.unwrap().unsubscribed);
        again().await.unwrap();
        for wrong in ["", "x", &token[1..]] {
            assert_refused(app.anyone().unsubscribe(unsubscribe(wrong)).await, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn twenty_notifications_an_hour_and_then_a_wait(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        put(&admin.call, id, asset("a"), None).await.unwrap();
        for _ in 0..20 {
            admin.call.notify_resource(notify(id, asset("a"), "News")).await.unwrap();
        }
        assert_refused(
            admin.call.notify_resource(notify(id, asset("a"), "News")).await,
            Code::ResourceExhausted,
            "RATE_LIMITED",
        );
        put(&admin.call, id, asset("b"), None).await.unwrap();
        admin.call.notify_resource(notify(id, asset("b"), "News")).await.unwrap();
        app.clock.advance(Duration::from_hours(1));
        let admin = app.sign_in(&admin.email, &admin.membership_id).await;
        admin.call.notify_resource(notify(id, asset("a"), "News")).await.unwrap();

        let silent = proto::NotifyResourceRequest { text: " \n".into(), ..notify(id, asset("a"), "") };
        assert_violates(
            admin.call.notify_resource(silent).await,
            &[("subject", "FIELD_REQUIRED"), ("text", "FIELD_REQUIRED")],
        );
    }
}
