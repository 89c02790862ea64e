//! Addresses and names, however they are written: one mailbox is one address, and what looks alike is no second name.

use guildhall::proto::look_up_member_request::Name;
use guildhall::proto::{self, sign_in_response};
use tonic::Code;

use crate::harness::messages::{
    add_contact, change_members, create_group, create_member, invite, list_members, look_up_member, new_member,
    register, rename, rename_group, sign_in, unsubscribe,
};
use crate::harness::{PASSWORD, assert_refused, project, role, unsubscribe_token_in, violations};
use crate::on_both;

on_both! {
    async fn one_mailbox_is_one_account_however_its_address_is_written(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let written = "Jose\u{301}@EXA\u{308}MPLE.test";
        let jose = owner.create_invitation(invite(id, written, vec![role("user")])).await.unwrap().member.unwrap();
        assert_eq!(jose.email, "Jos\u{e9}@ex\u{e4}mple.test");
        app.accept(&app.token_mailed_to("Jos\u{e9}@xn--exmple-cua.test").await).await.expect("an account");

        let same = ["jos\u{e9}@ex\u{e4}mple.test", "JOSE\u{301}@xn--exmple-cua.TEST", "jos\u{c9}@EX\u{c4}MPLE.test"];
        for address in same {
            let found = owner.look_up_member(look_up_member(id, Name::Email(address.into()))).await.unwrap();
            assert_eq!(found.member.unwrap().id, jose.id, "{address}");
            let answer = app.anyone().sign_in(sign_in(address, PASSWORD)).await.unwrap();
            assert!(matches!(answer.outcome, Some(sign_in_response::Outcome::SignedIn(_))), "{address}");
            let again = owner.create_invitation(invite(id, address, vec![])).await;
            assert_refused(again, Code::AlreadyExists, "MEMBER_EXISTS");
            let again = owner.create_member(create_member(id, new_member(address, vec![]))).await;
            assert_refused(again, Code::AlreadyExists, "MEMBER_EXISTS");
        }
    }

    async fn an_address_that_only_looks_like_anothers_reaches_nobody(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        app.invite_and_join(id, owner, "kim@example.test", vec![role("user")]).await;
        let before = app.traces().await;
        for look_alike in [
            "\u{212a}im@example.test",
            "\u{ff4b}im@example.test",
            "kim@e\u{ff58}ample.test",
            "kim@example\u{ff0e}test",
            "ki\u{200b}m@example.test",
            "kim\u{fe0f}@example.test",
        ] {
            let malformed = |field: &str| [(field.to_owned(), "EMAIL_MALFORMED".to_owned())];
            let refused = app.anyone().sign_in(sign_in(look_alike, PASSWORD)).await.unwrap_err();
            assert_eq!(violations(&refused), malformed("email"), "{look_alike:?}");
            let refused = owner.create_invitation(invite(id, look_alike, vec![])).await.unwrap_err();
            assert_eq!(violations(&refused), malformed("email"), "{look_alike:?}");
            let refused = owner.create_member(create_member(id, new_member(look_alike, vec![]))).await.unwrap_err();
            assert_eq!(violations(&refused), malformed("member.email"), "{look_alike:?}");
            let found = owner.look_up_member(look_up_member(id, Name::Email(look_alike.into()))).await.unwrap_err();
            assert_eq!(violations(&found), malformed("email"), "{look_alike:?}");
        }
        assert_eq!(app.traces().await, before);
    }

    /// Its key is an address by itself, or the link in a mail would lead nowhere.
    async fn whoever_has_an_odd_address_gets_rid_of_mails(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("p"))).await.unwrap();
        for (address, mailbox) in [
            ("\u{130}pek@example.test", "\u{130}pek@example.test"),
            ("jose\u{301}@EX\u{c4}MPLE.test", "jos\u{e9}@xn--exmple-cua.test"),
        ] {
            owner.add_contact(add_contact(id, project("p"), address)).await.unwrap();
            let news = proto::NotifyResourceRequest {
                organization_id: id.into(),
                resource: Some(project("p")),
                subject: "News".into(),
                text: "There are some.".into(),
                ..Default::default()
            };
            owner.notify_resource(news).await.unwrap();
            let token = unsubscribe_token_in(&app.mail_to(mailbox).await);
            app.anyone().unsubscribe(unsubscribe(&token)).await.expect("a link that works");
            let again = owner.add_contact(add_contact(id, project("p"), address)).await;
            assert_refused(again, Code::FailedPrecondition, "CONTACT_UNSUBSCRIBED");
        }
    }

    async fn a_name_is_kept_in_one_form_and_found_in_every_other(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let grouped = app.found_under_by("analytics-workspace", "bea@example.test").await;
        let (admin, groups) = (&grouped.owner.call, grouped.id.as_str());
        let member = proto::NewMember { display_name: " Jose\u{301} ".into(), ..new_member("jose@example.test", vec![]) };
        let member = owner.create_member(create_member(id, member)).await.unwrap().member.unwrap();
        assert_eq!(member.display_name, "Jos\u{e9}");
        for query in ["jos\u{e9}", "JOSE\u{301}", "\u{ff4a}os\u{e9}"] {
            let request = proto::ListMembersRequest { query: query.into(), ..list_members(id) };
            let found = owner.list_members(request).await.unwrap().members;
            assert_eq!(found.iter().map(|it| &it.id).collect::<Vec<_>>(), [&member.id], "{query}");
        }
        owner.register_resource(register(id, project("p"))).await.unwrap();
        owner.update_resource(rename(id, project("p"), "Ame\u{301}lie")).await.unwrap();
        for query in ["am\u{e9}", "AME\u{301}LIE"] {
            let request = proto::BrowseResourcesRequest {
                organization_id: id.into(),
                query: query.into(),
                ..Default::default()
            };
            assert_eq!(owner.browse_resources(request).await.unwrap().resources.len(), 1, "{query}");
        }

        let group = admin.create_group(create_group(groups, "\u{c9}quipe Kelvin")).await.unwrap().group.unwrap().id;
        for look_alike in ["\u{e9}quipe kelvin", "E\u{301}QUIPE KELVIN", "\u{c9}quipe \u{212a}elvin", "\u{c9}quipe \u{ff2b}elvin"] {
            assert_refused(admin.create_group(create_group(groups, look_alike)).await, Code::AlreadyExists, "NAME_TAKEN");
        }
        admin.change_group_members(change_members(groups, &group, &[&grouped.owner.membership_id], &[])).await.unwrap();
    }

    async fn what_is_drawn_as_nothing_is_no_name(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let grouped = app.found_under_by("analytics-workspace", "bea@example.test").await;
        let (admin, groups) = (&grouped.owner.call, grouped.id.as_str());
        let group = admin.create_group(create_group(groups, "Team")).await.unwrap().group.unwrap().id;
        for nothing in ["\u{200b}", "\u{3164}", "\u{2060}\u{feff}", "\u{ad} \u{200d}", "\u{e0020}", "\u{2800}"] {
            let required = [("display_name".to_owned(), "FIELD_REQUIRED".to_owned())];
            let refused = admin.create_group(create_group(groups, nothing)).await.unwrap_err();
            assert_eq!(violations(&refused), required, "{nothing:?}");
            let refused = admin.update_group(rename_group(groups, &group, nothing)).await.unwrap_err();
            assert_eq!(violations(&refused), required, "{nothing:?}");
            let unnamed = proto::NewMember { display_name: nothing.into(), ..new_member("x@example.test", vec![]) };
            let request = proto::CreateMemberRequest { validate_only: true, ..create_member(id, unnamed) };
            assert_eq!(owner.create_member(request).await.unwrap().member.unwrap().display_name, "", "{nothing:?}");
        }
        let shown = admin.create_group(create_group(groups, "\u{2764}\u{fe0f}")).await.unwrap().group.unwrap();
        assert_eq!(shown.display_name, "\u{2764}\u{fe0f}");
    }
}
