//! Members edited: by whom, which fields, and on which look.

use guildhall::proto::look_up_member_request::Name;
use guildhall::proto::{self, Management};
use prost_types::value::Kind;
use prost_types::{FieldMask, Struct, Value};
use tonic::Code;

use crate::harness::messages::{
    accept, create_member, get_member, invite, look_up_member, new_member, register, update_member,
};
use crate::harness::{as_member, assert_refused, project, role};
use crate::on_both;

fn object(text: &str) -> Struct {
    let value = Value { kind: Some(Kind::StringValue(text.into())) };
    Struct { fields: [("a".to_owned(), value)].into_iter().collect() }
}

fn metadata(public: &str, private: &str) -> proto::Metadata {
    proto::Metadata { public: Some(object(public)), private: Some(object(private)) }
}

on_both! {
    async fn a_mask_says_what_is_written_and_without_one_what_is_set(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        let new = proto::NewMember {
            display_name: "Bob".into(),
            external_id: "17".into(),
            metadata: Some(metadata("p", "s")),
            ..new_member("bob@example.test", vec![])
        };
        let bob = operator.create_member(create_member(id, new)).await.unwrap().member.unwrap();
        assert_eq!(bob.metadata, Some(metadata("p", "s")));

        let request = proto::UpdateMemberRequest { display_name: "Robert".into(), ..update_member(id, &bob.id) };
        let edited = operator.update_member(request).await.unwrap().member.unwrap();
        assert_eq!((edited.display_name.as_str(), edited.external_id.as_str()), ("Robert", "17"));
        assert_ne!(edited.etag, bob.etag);
        let mask = |paths: &[&str]| Some(FieldMask { paths: paths.iter().map(|&it| it.to_owned()).collect() });
        let request = proto::UpdateMemberRequest {
            display_name: "Nobody".into(),
            update_mask: mask(&["external_id", "metadata"]),
            ..update_member(id, &bob.id)
        };
        let edited = operator.update_member(request).await.unwrap().member.unwrap();
        assert_eq!((edited.display_name.as_str(), edited.external_id.as_str()), ("Robert", ""));
        assert_eq!(edited.metadata, None);
        let request = proto::UpdateMemberRequest { update_mask: mask(&["state"]), ..update_member(id, &bob.id) };
        assert_refused(operator.update_member(request).await, Code::InvalidArgument, "UPDATE_MASK_INVALID");
        let found = operator.look_up_member(look_up_member(id, Name::Email("BOB@example.test".into()))).await.unwrap();
        assert_eq!(found.member.unwrap().etag, edited.etag);
    }

    async fn an_edit_on_an_old_look_is_refused(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        let bob = app.invite_and_join(id, &organization.owner.call, "bob@example.test", vec![role("user")]).await;
        let seen = operator.get_member(get_member(id, &bob.membership_id)).await.unwrap().member.unwrap();
        let write = async |external_id: &str, etag: &str| {
            let request = update_member(id, &bob.membership_id);
            let (external_id, etag) = (external_id.to_owned(), etag.to_owned());
            operator.update_member(proto::UpdateMemberRequest { external_id, etag, ..request }).await
        };

        let edited = write("1", &seen.etag).await.unwrap().member.unwrap();
        assert_refused(write("2", &seen.etag).await, Code::Aborted, "ETAG_MISMATCH");
        let listed = organization.owner.call.member(id, "bob@example.test").await;
        assert_eq!((listed.etag.as_str(), listed.external_id.as_str()), (edited.etag.as_str(), "1"));
        app.sign_in("bob@example.test", "").await;
        write("3", &edited.etag).await.expect("a sign-in makes no other etag");
    }

    async fn nothing_is_committed_where_nothing_changes(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        let request = || proto::UpdateMemberRequest {
            external_id: "1".into(),
            ..update_member(id, &organization.owner.membership_id)
        };
        let first = operator.update_member(request()).await.unwrap();
        assert_eq!(operator.update_member(request()).await.unwrap().revision, first.revision);
    }

    async fn everyone_edits_their_own_name_and_nothing_else_of_theirs(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let own = || update_member(id, &bob.membership_id);

        let request = proto::UpdateMemberRequest { display_name: "Bob B.".into(), ..own() };
        assert_eq!(bob.call.update_member(request).await.unwrap().member.unwrap().display_name, "Bob B.");
        let request = proto::UpdateMemberRequest { external_id: "1".into(), ..own() };
        assert_refused(bob.call.update_member(request).await, Code::PermissionDenied, "PERMISSION_MISSING");
        let request = proto::UpdateMemberRequest { metadata: Some(metadata("a", "b")), ..own() };
        assert_refused(bob.call.update_member(request).await, Code::PermissionDenied, "PERMISSION_MISSING");
        let others = update_member(id, &organization.owner.membership_id);
        let request = proto::UpdateMemberRequest { display_name: "Eve".into(), ..others };
        assert_refused(bob.call.update_member(request).await, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(owner.member(id, "bob@example.test").await.display_name, "Bob B.");
    }

    async fn the_name_of_a_guest_is_their_own(app) {
        let home = app.found_as("Home", "bob@example.test").await;
        let organization = app.found().await;
        let (owner, id, operator) = (&organization.owner.call, organization.id.as_str(), app.operator());
        let managed = app.invite_and_join(id, owner, "max@example.test", vec![role("user")]).await;
        owner.create_invitation(invite(id, "bob@example.test", vec![role("user")])).await.unwrap();
        let token = app.token_mailed_by("Example", "bob@example.test").await;
        home.owner.call.accept_invitation(accept(&token, "")).await.unwrap();

        let rename = async |membership: &str| {
            let request = update_member(id, membership);
            operator.update_member(proto::UpdateMemberRequest { display_name: "New".into(), ..request }).await
        };
        let guest = owner.member(id, "bob@example.test").await;
        assert_eq!(guest.management(), Management::Guest);
        assert_eq!(owner.member(id, "max@example.test").await.management(), Management::Managed);
        assert_refused(rename(&guest.id).await, Code::FailedPrecondition, "IDENTITY_NOT_MANAGED");
        rename(&managed.membership_id).await.unwrap();
        let host = home.owner.call.member(&home.id, "bob@example.test").await;
        assert_eq!(host.management(), Management::Guest, "who is elsewhere, too, is nobody's");
    }

    async fn private_metadata_is_for_those_who_edit(app) {
        let organization = app.found().await;
        let (owner, id, operator) = (&organization.owner.call, organization.id.as_str(), app.operator());
        let request = update_member(id, &organization.owner.membership_id);
        let request = proto::UpdateMemberRequest { metadata: Some(metadata("p", "s")), ..request };
        operator.update_member(request).await.unwrap();

        let shown = owner.get_member(get_member(id, &organization.owner.membership_id)).await.unwrap().member.unwrap();
        let public = proto::Metadata { public: Some(object("p")), private: None };
        assert_eq!(shown.metadata, Some(public.clone()));
        assert_eq!(owner.member(id, &organization.owner.email).await.metadata, Some(public));
        assert_eq!(operator.member(id, &organization.owner.email).await.metadata, Some(metadata("p", "s")));
        let request = update_member(id, &organization.owner.membership_id);
        let request = proto::UpdateMemberRequest { metadata: Some(metadata(&"x".repeat(16_400), "")), ..request };
        assert_refused(operator.update_member(request).await, Code::InvalidArgument, "METADATA_MALFORMED");
    }

    async fn everyone_gets_oneself_and_others_only_by_the_permission(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;

        let own = bob.call.get_member(get_member(id, &bob.membership_id)).await.unwrap().member.unwrap();
        assert_eq!((own.email.as_str(), own.role_count), ("bob@example.test", 1));
        let other = bob.call.get_member(get_member(id, &organization.owner.membership_id)).await;
        assert_refused(other, Code::PermissionDenied, "PERMISSION_MISSING");
        let nobody = bob.call.get_member(get_member(id, "018f4e9a-7b3c-7def-8a12-0123456789ab")).await;
        assert_refused(nobody, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn a_member_is_looked_up_by_address_user_and_external_id(app) {
        let organization = app.found().await;
        let (owner, id, operator) = (&organization.owner.call, organization.id.as_str(), app.operator());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let request = proto::UpdateMemberRequest { external_id: "hr:1".into(), ..update_member(id, &bob.membership_id) };
        operator.update_member(request).await.unwrap();

        let names = [Name::Email("Bob@example.test".into()), Name::UserId(bob.user_id), Name::ExternalId("hr:1".into())];
        for name in names {
            let found = owner.look_up_member(look_up_member(id, name.clone())).await;
            assert_eq!(found.unwrap().member.unwrap().id, bob.membership_id, "{name:?}");
        }
        for name in [Name::Email("eve@example.test".into()), Name::ExternalId("hr:2".into())] {
            assert_refused(owner.look_up_member(look_up_member(id, name)).await, Code::NotFound, "NOT_FOUND");
        }
        let elsewhere = app.found_by("max@example.test").await;
        let found = elsewhere.owner.call.look_up_member(look_up_member(&elsewhere.id, Name::ExternalId("hr:1".into()))).await;
        assert_refused(found, Code::NotFound, "NOT_FOUND");
    }

    async fn a_row_reads_all_for_who_sees_every_resource_and_names_20_places(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let mut lists = vec![role("user")];
        for n in 0..25 {
            owner.register_resource(register(id, project(&format!("p{n:02}")))).await.unwrap();
            lists.push(as_member(project(&format!("p{n:02}"))));
        }
        owner.create_member(create_member(id, new_member("bob@example.test", lists))).await.unwrap();

        let bob = owner.member(id, "bob@example.test").await;
        assert_eq!((bob.places.len(), bob.place_count), (20, 25));
        assert_eq!((bob.places[0].id.as_str(), bob.places[19].id.as_str()), ("p00", "p19"));
        assert_eq!(bob.all_of_types, Vec::<String>::new());
        let ada = owner.member(id, &organization.owner.email).await;
        assert_eq!((ada.place_count, ada.all_of_types), (0, vec!["project".to_owned()]));
    }
}
