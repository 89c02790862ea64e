//! Organizations edited, and found by other names than their ids.

use std::collections::BTreeSet;

use guildhall::proto::look_up_organization_request::Name;
use guildhall::proto::{self, LookUpOrganizationRequest, UpdateOrganizationRequest};
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::messages::{above, change_above, get_organization};
use crate::harness::{assert_refused, role, violations};
use crate::on_both;

fn update(organization: &str) -> UpdateOrganizationRequest {
    UpdateOrganizationRequest { organization_id: organization.into(), ..Default::default() }
}

fn look_up(name: Name) -> LookUpOrganizationRequest {
    LookUpOrganizationRequest { name: Some(name), catalog: "disaster-recovery".into() }
}

fn named(organization: &str, slug: &str, external_id: &str) -> UpdateOrganizationRequest {
    UpdateOrganizationRequest { slug: slug.into(), external_id: external_id.into(), ..update(organization) }
}

/// Empties these fields.
fn emptied(organization: &str, fields: &[&str]) -> UpdateOrganizationRequest {
    let paths = fields.iter().map(|&field| field.to_owned()).collect();
    UpdateOrganizationRequest { update_mask: Some(prost_types::FieldMask { paths }), ..update(organization) }
}

on_both! {
    async fn an_organization_is_edited_by_mask_and_on_the_look_that_was_had(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        let seen = operator.get_organization(get_organization(id)).await.unwrap().organization.unwrap();
        let request = UpdateOrganizationRequest {
            display_name: " Acme ".into(),
            etag: seen.etag.clone(),
            ..named(id, "acme", "crm:1")
        };
        let edited = operator.update_organization(request.clone()).await.unwrap();
        let acme = edited.organization.unwrap();
        assert_eq!((acme.display_name.as_str(), acme.slug.as_str(), acme.external_id.as_str()), ("Acme", "acme", "crm:1"));
        let shown = operator.get_organization(get_organization(id)).await.unwrap();
        assert_eq!((shown.organization, shown.revision), (Some(acme), edited.revision));
        assert_refused(operator.update_organization(request).await, Code::Aborted, "ETAG_MISMATCH");

        let without = operator.update_organization(emptied(id, &["slug"])).await.unwrap();
        assert_eq!(without.organization.unwrap().slug, "");
        let wrong = named(id, "A B", "\n");
        let refused = organization.owner.call.update_organization(wrong).await.unwrap_err();
        let expected = [("slug", "TEXT_MALFORMED"), ("external_id", "TEXT_MALFORMED")];
        assert_eq!(violations(&refused), expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
    }

    async fn a_slug_and_an_external_id_are_held_once_in_a_product(app) {
        let (one, two) = (app.found_as("One", "ada@example.test").await, app.found_as("Two", "max@example.test").await);
        let other = app.found_under_by("msp-monitoring", "eve@example.test").await;
        let operator = app.operator();
        operator.update_organization(named(&one.id, "acme", "1")).await.unwrap();
        for (slug, external_id) in [("acme", ""), ("", "1"), ("acme", "1")] {
            let taken = operator.update_organization(named(&two.id, slug, external_id)).await;
            assert!(!format!("{taken:?}").contains(&one.id));
            assert_refused(taken, Code::AlreadyExists, "NAME_TAKEN");
        }
        operator.update_organization(named(&one.id, "acme", "1")).await.unwrap();
        operator.update_organization(named(&two.id, "acme-2", "2")).await.unwrap();
        operator.update_organization(named(&other.id, "acme", "1")).await.expect("another product");
        let request = LookUpOrganizationRequest { catalog: "msp-monitoring".into(), ..look_up(Name::Slug("acme".into())) };
        assert_eq!(operator.look_up_organization(request).await.unwrap().organization.unwrap().id, other.id);
    }

    /// Whoever edits an organization asks about no other by it: what is taken and what is free are refused alike.
    async fn names_are_for_who_makes_organizations_of_the_product(app) {
        let mine = app.found_under_by("task-automation", "ada@example.test").await;
        let other = app.found_under_by("task-automation", "max@example.test").await;
        let elsewhere = app.found_as("Elsewhere", "eve@example.test").await;
        let (owner, id) = (&mine.owner.call, mine.id.as_str());
        app.operator().update_organization(named(&other.id, "taken", "taken")).await.unwrap();
        app.operator().update_organization(named(id, "mine", "mine")).await.unwrap();

        let before = app.traces().await;
        let mut told = BTreeSet::new();
        for request in [named(id, "taken", ""), named(id, "free", ""), emptied(id, &["slug"])] {
            let refused = owner.update_organization(request).await.unwrap_err();
            told.insert(format!("{:?} {} {:?}", refused.code(), refused.message(), refused.get_error_details()));
            assert_refused::<()>(Err(refused), Code::PermissionDenied, "FIELD_RESERVED");
        }
        assert_eq!(told.len(), 1, "{told:?}");
        for request in [named(id, "", "taken"), named(id, "", "free"), emptied(id, &["external_id", "slug"])] {
            assert_refused(owner.update_organization(request).await, Code::PermissionDenied, "FIELD_RESERVED");
        }
        assert_eq!(app.traces().await, before);

        let same = UpdateOrganizationRequest { display_name: "Anew".into(), ..named(id, "mine", "mine") };
        let edited = owner.update_organization(same).await.expect("nothing of it changes").organization.unwrap();
        assert_eq!((edited.display_name.as_str(), edited.slug.as_str()), ("Anew", "mine"));

        let rita = app.somebody("rita@example.test").await;
        let root = above(&rita.user_id, "task-automation", "root");
        app.operator().change_installation_grants(change_above(vec![root])).await.unwrap();
        assert_refused(rita.call.update_organization(named(id, "taken", "")).await, Code::AlreadyExists, "NAME_TAKEN");
        let done = rita.call.update_organization(named(id, "free", "free")).await.unwrap().organization.unwrap();
        assert_eq!((done.slug.as_str(), done.external_id.as_str()), ("free", "free"));
        let refused = rita.call.update_organization(named(&elsewhere.id, "free", "")).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
    }

    async fn an_organization_is_found_by_those_who_see_it_and_by_nobody_else(app) {
        let (one, two) = (app.found_as("One", "ada@example.test").await, app.found_as("Two", "max@example.test").await);
        app.operator().update_organization(named(&one.id, "acme", "crm:1")).await.unwrap();

        for name in [Name::Slug("acme".into()), Name::ExternalId("crm:1".into())] {
            for call in [&one.owner.call, &app.operator()] {
                let found = call.look_up_organization(look_up(name.clone())).await.unwrap();
                assert_eq!(found.organization.unwrap().id, one.id);
            }
            let hidden = two.owner.call.look_up_organization(look_up(name.clone())).await;
            let message = hidden.as_ref().unwrap_err().message().to_owned();
            assert!(!format!("{hidden:?}").contains(&one.id));
            assert_refused(hidden, Code::NotFound, "NOT_FOUND");
            let absent = look_up(Name::Slug("acme-2".into()));
            for catalog in ["disaster-recovery", "msp-monitoring", "no-such"] {
                let absent = LookUpOrganizationRequest { catalog: catalog.into(), ..absent.clone() };
                let absent = two.owner.call.look_up_organization(absent).await.unwrap_err();
                assert_eq!((absent.code(), absent.message()), (Code::NotFound, message.as_str()));
            }
        }
        let nothing = LookUpOrganizationRequest { name: None, catalog: "disaster-recovery".into() };
        assert_refused(one.owner.call.look_up_organization(nothing).await, Code::InvalidArgument, "FIELD_REQUIRED");
        let nowhere = LookUpOrganizationRequest { catalog: String::new(), ..look_up(Name::Slug("acme".into())) };
        assert_refused(one.owner.call.look_up_organization(nowhere).await, Code::InvalidArgument, "FIELD_REQUIRED");
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
