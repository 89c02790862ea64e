//! Groups made, shown, changed and deleted, and who is in them.

use std::collections::BTreeMap;
use std::time::Duration;

use guildhall::proto;
use prost_types::value::Kind;
use prost_types::{FieldMask, Struct, Value};
use tonic::Code;

use super::{BOARDS, dashboard, resources, somebody, team};
use crate::harness::messages::{
    change, change_members, create_group, create_organization_under, delete_group, get_group, grant, group, invite,
    list_group_members, list_groups, look_up_group, rename_group,
};
use crate::harness::{assert_refused, at, role, violations};
use crate::on_both;
use crate::refusals::NOBODY;

fn only(field: &str) -> Struct {
    let value = Value { kind: Some(Kind::BoolValue(true)) };
    Struct { fields: BTreeMap::from([(field.to_owned(), value)]) }
}

on_both! {
    async fn a_group_is_made_found_changed_and_deleted(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let analyst = somebody(&app, &organization, "ann", "analyst").await;
        let metadata = proto::Metadata { public: Some(only("shown")), private: Some(only("kept")) };
        let request = proto::CreateGroupRequest {
            external_id: "hr:7".into(),
            metadata: Some(metadata.clone()),
            ..create_group(id, " Sales ")
        };
        let made = owner.create_group(request).await.unwrap().group.unwrap();
        assert_eq!((made.display_name.as_str(), made.external_id.as_str()), ("Sales", "hr:7"));
        assert_eq!(made.metadata, Some(metadata.clone()));
        assert_eq!(owner.get_group(get_group(id, &made.id)).await.unwrap().group.unwrap(), made);
        assert_eq!(owner.look_up_group(look_up_group(id, "hr:7")).await.unwrap().group.unwrap(), made);

        let shown = analyst.call.get_group(get_group(id, &made.id)).await.unwrap().group.unwrap();
        let public = proto::Metadata { private: None, ..metadata };
        assert_eq!(shown, proto::Group { metadata: Some(public), ..made.clone() }, "and not what is private");
        let refused = analyst.call.create_group(create_group(id, "Mine")).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");

        let mask = Some(FieldMask { paths: vec!["external_id".into(), "display_name".into()] });
        let renamed = proto::UpdateGroupRequest {
            etag: made.etag.clone(),
            update_mask: mask.clone(),
            ..rename_group(id, &made.id, "Sellers")
        };
        let changed = owner.update_group(renamed.clone()).await.unwrap().group.unwrap();
        assert_eq!((changed.display_name.as_str(), changed.external_id.as_str()), ("Sellers", ""));
        assert_eq!(changed.metadata, made.metadata, "not in the mask");
        assert_ne!(changed.etag, made.etag);
        assert_refused(owner.update_group(renamed).await, Code::Aborted, "ETAG_MISMATCH");
        let gone = owner.look_up_group(look_up_group(id, "hr:7")).await;
        assert_refused(gone, Code::NotFound, "NOT_FOUND");

        let stale = proto::DeleteGroupRequest { etag: made.etag, ..delete_group(id, &made.id) };
        assert_refused(owner.delete_group(stale).await, Code::Aborted, "ETAG_MISMATCH");
        owner.delete_group(delete_group(id, &made.id)).await.unwrap();
        let gone = owner.get_group(get_group(id, &made.id)).await;
        assert_refused(gone, Code::NotFound, "NOT_FOUND");
        assert!(owner.list_groups(list_groups(id)).await.unwrap().groups.is_empty());
        owner.create_group(create_group(id, "Sellers")).await.expect("a name that is free again");
    }

    async fn a_retry_by_request_id_makes_one_group_and_moves_a_member_once(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        let request_id = "018f4e9a-7b3c-7def-8a12-0123456789aa".to_owned();
        let request = proto::CreateGroupRequest { request_id: request_id.clone(), ..create_group(id, "Sales") };
        let made = owner.create_group(request.clone()).await.unwrap().group.unwrap();
        assert_eq!(owner.create_group(request.clone()).await.unwrap().group.unwrap(), made);
        let other = proto::CreateGroupRequest { display_name: "Other".into(), ..request };
        assert_refused(owner.create_group(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");

        let request_id = "018f4e9a-7b3c-7def-8a12-0123456789ac".to_owned();
        let join = change_members(id, &made.id, &[&vic.membership_id], &[]);
        let join = proto::ChangeGroupMembersRequest { request_id, ..join };
        let first = owner.change_group_members(join.clone()).await.unwrap();
        owner.change_group_members(change_members(id, &made.id, &[], &[&vic.membership_id])).await.unwrap();
        let again = owner.change_group_members(join).await.unwrap();
        assert_eq!(again.added_membership_ids, first.added_membership_ids, "the first answer, and nothing done");
        let inside = owner.list_group_members(list_group_members(id, &made.id)).await.unwrap();
        assert!(inside.members.is_empty());
    }

    async fn a_name_and_an_external_id_are_one_groups_of_an_organization(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let with_id = |name, external_id: &str| {
            proto::CreateGroupRequest { external_id: external_id.into(), ..create_group(id, name) }
        };
        let first = owner.create_group(with_id("Größe", "a")).await.unwrap().group.unwrap();
        let second = owner.create_group(with_id("Other", "b")).await.unwrap().group.unwrap();

        let before = app.traces().await;
        for request in [with_id("GRÖSSE", "c"), with_id("New", "A")] {
            let request = proto::CreateGroupRequest { validate_only: true, ..request };
            owner.create_group(request).await.expect("neither the same name nor the same id");
        }
        for taken in [with_id("GRÖßE", "c"), with_id("größe", ""), with_id("New", "a")] {
            assert_refused(owner.create_group(taken).await, Code::AlreadyExists, "NAME_TAKEN");
        }
        let taken = owner.update_group(rename_group(id, &second.id, "größe")).await;
        assert_refused(taken, Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(app.traces().await, before);
        owner.update_group(rename_group(id, &first.id, "GRÖßE")).await.expect("its own name, written otherwise");
        let request = create_organization_under(BOARDS, "Elsewhere", "oz@example.test");
        let elsewhere = app.operator().create_organization(request).await.unwrap().organization.unwrap().id;
        let free = proto::CreateGroupRequest { organization_id: elsewhere, ..with_id("Größe", "a") };
        app.operator().create_group(free).await.expect("another organization's names are its own");
    }

    async fn everything_that_is_wrong_with_a_group_is_told_at_once(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let wrong = proto::CreateGroupRequest { external_id: "a\nb".into(), ..create_group(id, " ") };
        let told = violations(&owner.create_group(wrong).await.unwrap_err());
        let expected = [("display_name", "FIELD_REQUIRED"), ("external_id", "TEXT_MALFORMED")];
        assert_eq!(told, expected.map(|(field, reason)| (field.to_owned(), reason.to_owned())));

        let made = team(&organization, "Sales", &[]).await;
        let mask = Some(FieldMask { paths: vec!["id".into()] });
        let unknown = proto::UpdateGroupRequest { update_mask: mask, ..rename_group(id, &made, "x") };
        assert_refused(owner.update_group(unknown).await, Code::InvalidArgument, "UPDATE_MASK_INVALID");
        let me = &organization.owner.membership_id;
        for (add, remove) in [(vec![], vec![]), (vec![&**me; 2], vec![]), (vec![&**me], vec![&**me])] {
            let refused = owner.change_group_members(change_members(id, &made, &add, &remove)).await;
            assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
        }
    }

    async fn members_come_in_and_go_out_in_any_state_and_are_listed_by_pages(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let (ann, vic) =
            (somebody(&app, &organization, "ann", "analyst").await, somebody(&app, &organization, "vic", "viewer").await);
        app.clock.advance(Duration::from_millis(1));
        let pending = owner.create_invitation(invite(id, "pia@example.test", vec![role("viewer")])).await.unwrap();
        let pia = pending.member.unwrap().id;
        let made = team(&organization, "Sales", &[&ann]).await;

        let request = change_members(id, &made, &[&ann.membership_id, &vic.membership_id, &pia], &[]);
        let changed = owner.change_group_members(request).await.unwrap();
        assert_eq!(changed.added_membership_ids, [vic.membership_id.clone(), pia.clone()], "who was in already is not new");
        let mut listed = Vec::new();
        let mut page = proto::ListGroupMembersRequest { page_size: 2, ..list_group_members(id, &made) };
        loop {
            let answer = vic.call.list_group_members(page.clone()).await;
            assert_refused(answer, Code::PermissionDenied, "PERMISSION_MISSING");
            let answer = ann.call.list_group_members(page.clone()).await.unwrap();
            assert!(answer.members.len() <= 2);
            listed.extend(answer.members.into_iter().map(|member| (member.membership_id, member.state)));
            if answer.next_page_token.is_empty() {
                break;
            }
            page.page_token = answer.next_page_token;
        }
        let (active, pending) = (proto::MemberState::Active.into(), proto::MemberState::Pending.into());
        let everybody = [(ann.membership_id.clone(), active), (vic.membership_id.clone(), active), (pia.clone(), pending)];
        assert_eq!(listed, everybody);

        let request = change_members(id, &made, &[], &[&ann.membership_id, &pia, &organization.owner.membership_id]);
        let refused = owner.change_group_members(request).await;
        assert_refused(refused, Code::FailedPrecondition, "SELF_REMOVAL");
        let request = change_members(id, &made, &[], &[&ann.membership_id, &pia]);
        let changed = owner.change_group_members(request.clone()).await.unwrap();
        assert_eq!(changed.removed_membership_ids, [ann.membership_id.clone(), pia.clone()]);
        let again = owner.change_group_members(request).await.unwrap();
        assert!(again.removed_membership_ids.is_empty(), "who is not in stays out");
        assert_eq!(again.revision, changed.revision, "nothing was to be committed");

        let stranger = NOBODY;
        for (of, member) in [(made.as_str(), stranger), (stranger, ann.membership_id.as_str())] {
            let refused = owner.change_group_members(change_members(id, of, &[member], &[])).await;
            assert_refused(refused, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn the_groups_of_a_person_are_listed_by_name_without_regard_to_case(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let ann = somebody(&app, &organization, "ann", "analyst").await;
        for (name, members) in [("beta", vec![&ann]), ("Gamma", vec![]), ("Alpha", vec![&ann]), ("delta", vec![&ann])] {
            team(&organization, name, &members).await;
        }
        let listed = async |membership_id: &str| {
            let mut names = Vec::new();
            let membership_id = membership_id.to_owned();
            let mut page = proto::ListGroupsRequest { membership_id, page_size: 2, ..list_groups(id) };
            loop {
                let answer = owner.list_groups(page.clone()).await.unwrap();
                names.extend(answer.groups.into_iter().map(|group| group.display_name));
                if answer.next_page_token.is_empty() {
                    return names;
                }
                page.page_token = answer.next_page_token;
            }
        };
        assert_eq!(listed("").await, ["Alpha", "beta", "delta", "Gamma"]);
        assert_eq!(listed(&ann.membership_id).await, ["Alpha", "beta", "delta"]);
        assert!(listed(&organization.owner.membership_id).await.is_empty());
        let of_nobody = proto::ListGroupsRequest {
            membership_id: NOBODY.into(),
            ..list_groups(id)
        };
        assert_refused(owner.list_groups(of_nobody).await, Code::NotFound, "NOT_FOUND");
    }

    async fn a_deletion_tells_what_it_would_take_along_and_takes_it_at_one_revision(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        let made = team(&organization, "Sales", &[&vic, &organization.owner]).await;
        resources(&organization, &[dashboard("a"), dashboard("b")]).await;
        let deltas = ["a", "b"].map(|it| grant(group(&made), at(dashboard(it), "dashboard-viewer")));
        owner.change_grants(change(id, deltas.to_vec())).await.unwrap();

        let before = app.traces().await;
        let trial = proto::DeleteGroupRequest { validate_only: true, ..delete_group(id, &made) };
        let would = owner.delete_group(trial).await.unwrap();
        assert_eq!((would.removed_members, would.revoked_grants, would.revision.as_str()), (2, 2, ""));
        assert_eq!(app.traces().await, before);

        let gone = owner.delete_group(delete_group(id, &made)).await.unwrap();
        assert_eq!((gone.removed_members, gone.revoked_grants), (2, 2));
        let mut left = before;
        for (table, rows) in [("commits", 1), ("grants", -2), ("group_members", -2), ("groups", -1)] {
            *left.rows.get_mut(table).unwrap() += rows;
        }
        assert_eq!(app.traces().await, left);
        assert!(!owner.allows(id, &vic.user_id, "dashboard.view", Some(dashboard("a"))).await);
        let late = owner.change_grants(change(id, deltas.to_vec())).await;
        assert_refused(late, Code::NotFound, "NOT_FOUND");
    }
}
