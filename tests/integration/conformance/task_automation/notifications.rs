//! Who is told of a resource: those on its list, and bare addresses.

use guildhall::proto;
use tonic::Code;

use super::cast::{Cast, monitor, task};
use crate::conformance::tenant::NOTHING;
use crate::harness::messages::{
    add_contact, disable, invite, list_contacts, list_recipients, notify, remove_contact, sign_in,
};
use crate::harness::{Caller, PASSWORD, TestApp, as_member, assert_refused, mails_in, role};
use crate::on_both;

/// Lists whom a notification goes to, by address.
async fn recipients(by: &Caller, id: &str, resource: proto::ResourceRef) -> Vec<String> {
    let page = by.list_recipients(list_recipients(id, resource)).await.unwrap();
    page.recipients.into_iter().map(|recipient| recipient.email).collect()
}

/// Names, once for each mail, whom a notification has gone out to.
async fn told(app: &TestApp, subject: &str) -> Vec<String> {
    app.traces().await;
    let mails = mails_in(&app.config.mail_dir(), "").into_iter();
    let about = mails.filter(|mail| mail.lines().any(|line| line == format!("Subject: {subject}")));
    let to = about.map(|mail| mail.lines().find_map(|line| line.strip_prefix("To: ").map(str::to_owned)).unwrap());
    let mut to: Vec<String> = to.collect();
    to.sort();
    to
}

on_both! {
    async fn te_22_notifications_go_to_everyone_on_the_list_whatever_their_role_and_to_contacts_each_address_once(app) {
        let cast = Cast::open(&app).await;
        let (tenant, admin, id) = (&cast.tenant, &cast.admin.call, &cast.tenant.id);
        // On the list of the task itself: people of every role, one who has none, one who is shut out, one who has yet to come.
        let bare = tenant.person("bea", vec![role("viewer"), as_member(task("other"))]).await;
        tenant.take(&app.operator(), &bare, role("viewer")).await.unwrap();
        let gone = tenant.person("gus", vec![role("user"), as_member(task("other"))]).await;
        app.operator().disable_member(disable(id, &gone.membership_id)).await.unwrap();
        let coming = invite(id, "tom@example.test", vec![role("user"), as_member(task("other"))]);
        app.operator().create_invitation(coming).await.unwrap();
        for person in [&cast.admin, &cast.viewer] {
            tenant.give(&app.operator(), person, as_member(task("other"))).await.unwrap();
        }
        for email in ["duty@pager.test", "vic@example.test"] {
            admin.add_contact(add_contact(id, task("other"), email)).await.unwrap();
        }
        let expected = ["bea@example.test", "duty@pager.test", "max@example.test", "vic@example.test"];
        assert_eq!(recipients(admin, id, task("other")).await, expected);

        // To who sees and may, to nobody twice, and to nobody of another task; the owner is on no list.
        let untouched = app.traces().await;
        for person in [&cast.manager, &cast.user, &cast.viewer] {
            let listed = person.call.notify_resource(notify(id, task("listed"), "Ha")).await;
            assert_refused(listed, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let hidden = cast.user.call.notify_resource(notify(id, task("other"), "Ha")).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
        for (by, subject) in [(admin, "By an admin"), (&tenant.founder.call, "By the owner"), (&tenant.backend, "By the product")] {
            let sent = by.notify_resource(notify(id, task("other"), subject)).await.unwrap();
            assert_eq!(sent.recipient_count, 4, "{subject}");
            assert_eq!(told(&app, subject).await, expected, "{subject}");
        }
        assert_eq!(recipients(admin, id, monitor("other")).await, NOTHING);
    }

    async fn te_23_a_bare_address_on_the_list_is_notified_member_or_not_and_never_gains_access(app) {
        let cast = Cast::open(&app).await;
        let (tenant, admin, id) = (&cast.tenant, &cast.admin.call, &cast.tenant.id);
        let stranger = app.somebody("zoe@example.test").await;
        let before = app.traces().await;
        let emails = ["nobody@example.test", "uma@example.test", "zoe@example.test"];
        let mut contacts = Vec::new();
        for email in emails {
            contacts.push(admin.add_contact(add_contact(id, task("other"), email)).await.unwrap().contact.unwrap().id);
        }
        assert_eq!(recipients(admin, id, task("other")).await, emails);
        admin.notify_resource(notify(id, task("other"), "Broken")).await.unwrap();
        assert_eq!(told(&app, "Broken").await, emails);

        // A member with that address, somebody with an account elsewhere, and nobody at all.
        assert_eq!(cast.may_on(&cast.user, task("other")).await, NOTHING);
        assert!(!tenant.sees(&cast.user, &task("other")).await);
        assert_eq!(cast.may_on(&stranger, task("other")).await, NOTHING);
        assert!(!tenant.sees(&stranger, &task("other")).await);
        let none = app.anyone().sign_in(sign_in("nobody@example.test", PASSWORD)).await;
        assert_refused(none, Code::Unauthenticated, "SIGN_IN_REFUSED");
        let after = app.traces().await;
        for kept in ["grants", "memberships", "users", "invitations"] {
            assert_eq!(after.rows[kept], before.rows[kept], "{kept}");
        }
        // Whoever joins later under it has not gained any either.
        app.operator().create_invitation(invite(id, "nobody@example.test", vec![role("user")])).await.unwrap();
        app.accept(&app.token_mailed_by("Example", "nobody@example.test").await).await.unwrap();
        let late = app.sign_in("nobody@example.test", "").await;
        assert_eq!(cast.may_on(&late, task("other")).await, NOTHING);

        let untouched = app.traces().await;
        for person in [&cast.manager, &cast.user, &cast.viewer] {
            let refused = person.call.add_contact(add_contact(id, task("listed"), "eve@example.test")).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
            let refused = person.call.list_contacts(list_contacts(id, task("other"))).await;
            assert_refused(refused, Code::NotFound, "NOT_FOUND");
        }
        let malformed = admin.add_contact(add_contact(id, task("other"), "no address")).await;
        assert_refused(malformed, Code::InvalidArgument, "EMAIL_MALFORMED");
        assert_eq!(app.traces().await, untouched);
        admin.remove_contact(remove_contact(id, task("other"), &contacts[1])).await.unwrap();
        assert_eq!(recipients(admin, id, task("other")).await, ["nobody@example.test", "zoe@example.test"]);
    }
}
