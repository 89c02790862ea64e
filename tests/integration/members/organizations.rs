//! Organizations edited, and found by other names than their ids.

use guildhall::proto::look_up_organization_request::Name;
use guildhall::proto::{self, LookUpOrganizationRequest, UpdateOrganizationRequest};
use tonic::Code;

use crate::harness::messages::get_organization;
use crate::harness::{assert_refused, role, violations};
use crate::on_both;

fn update(organization: &str) -> UpdateOrganizationRequest {
    UpdateOrganizationRequest { organization_id: organization.into(), ..Default::default() }
}

fn look_up(name: Name) -> LookUpOrganizationRequest {
    LookUpOrganizationRequest { name: Some(name) }
}

on_both! {
    async fn an_organization_is_edited_by_mask_and_on_the_look_that_was_had(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let seen = owner.get_organization(get_organization(id)).await.unwrap().organization.unwrap();
        let request = UpdateOrganizationRequest {
            display_name: " Acme ".into(),
            slug: "acme".into(),
            external_id: "crm:1".into(),
            etag: seen.etag.clone(),
            ..update(id)
        };
        let edited = owner.update_organization(request.clone()).await.unwrap();
        let acme = edited.organization.unwrap();
        assert_eq!((acme.display_name.as_str(), acme.slug.as_str(), acme.external_id.as_str()), ("Acme", "acme", "crm:1"));
        let shown = owner.get_organization(get_organization(id)).await.unwrap();
        assert_eq!((shown.organization, shown.revision), (Some(acme), edited.revision));
        assert_refused(owner.update_organization(request).await, Code::Aborted, "ETAG_MISMATCH");

        let update_mask = Some(prost_types::FieldMask { paths: vec!["slug".into()] });
        let emptied = owner.update_organization(UpdateOrganizationRequest { update_mask, ..update(id) }).await.unwrap();
        assert_eq!(emptied.organization.unwrap().slug, "");
        let wrong = UpdateOrganizationRequest { slug: "A B".into(), external_id: "\n".into(), ..update(id) };
        let refused = owner.update_organization(wrong).await.unwrap_err();
        let expected = [("slug", "TEXT_MALFORMED"), ("external_id", "TEXT_MALFORMED")];
        assert_eq!(violations(&refused), expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
    }

    async fn a_slug_and_an_external_id_are_held_once_in_the_installation(app) {
        let (one, two) = (app.found_as("One", "ada@example.test").await, app.found_as("Two", "max@example.test").await);
        let named = |id: &str, slug: &str, external_id: &str| UpdateOrganizationRequest {
            slug: slug.into(), external_id: external_id.into(), ..update(id)
        };
        one.owner.call.update_organization(named(&one.id, "acme", "1")).await.unwrap();
        for (slug, external_id) in [("acme", ""), ("", "1")] {
            let taken = two.owner.call.update_organization(named(&two.id, slug, external_id)).await;
            assert!(!format!("{taken:?}").contains(&one.id));
            assert_refused(taken, Code::AlreadyExists, "NAME_TAKEN");
        }
        one.owner.call.update_organization(named(&one.id, "acme", "1")).await.unwrap();
        two.owner.call.update_organization(named(&two.id, "acme-2", "2")).await.unwrap();
    }

    async fn an_organization_is_found_by_those_who_see_it_and_by_nobody_else(app) {
        let (one, two) = (app.found_as("One", "ada@example.test").await, app.found_as("Two", "max@example.test").await);
        let request = UpdateOrganizationRequest { slug: "acme".into(), external_id: "crm:1".into(), ..update(&one.id) };
        one.owner.call.update_organization(request).await.unwrap();

        for name in [Name::Slug("acme".into()), Name::ExternalId("crm:1".into())] {
            for call in [&one.owner.call, &app.operator()] {
                let found = call.look_up_organization(look_up(name.clone())).await.unwrap();
                assert_eq!(found.organization.unwrap().id, one.id);
            }
            let hidden = two.owner.call.look_up_organization(look_up(name.clone())).await;
            let message = hidden.as_ref().unwrap_err().message().to_owned();
            assert!(!format!("{hidden:?}").contains(&one.id));
            assert_refused(hidden, Code::NotFound, "NOT_FOUND");
            let absent = two.owner.call.look_up_organization(look_up(Name::Slug("acme-2".into()))).await.unwrap_err();
            assert_eq!((absent.code(), absent.message()), (Code::NotFound, message.as_str()));
        }
        let nothing = LookUpOrganizationRequest { name: None };
        assert_refused(one.owner.call.look_up_organization(nothing).await, Code::InvalidArgument, "FIELD_REQUIRED");
    }

    async fn private_metadata_of_an_organization_is_for_those_who_edit_it(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let user = app.invite_and_join(id, owner, "uma@example.test", vec![role("user")]).await;
        let part = |text: &str| {
            let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text.into())) };
            Some(prost_types::Struct { fields: [("a".to_owned(), value)].into_iter().collect() })
        };
        let metadata = Some(proto::Metadata { public: part("p"), private: part("s") });
        let request = UpdateOrganizationRequest { metadata: metadata.clone(), ..update(id) };
        owner.update_organization(request.clone()).await.unwrap();

        assert_eq!(owner.get_organization(get_organization(id)).await.unwrap().organization.unwrap().metadata, metadata);
        let shown = user.call.get_organization(get_organization(id)).await.unwrap().organization.unwrap();
        assert_eq!(shown.metadata, Some(proto::Metadata { public: part("p"), private: None }));
        assert_refused(user.call.update_organization(request).await, Code::PermissionDenied, "PERMISSION_MISSING");
    }
}
