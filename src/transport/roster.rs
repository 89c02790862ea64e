//! The reading half of `MembershipService`: `ListMembers`, `GetMember`, `LookUpMember`, `ListMyMemberships`.

use super::call::{Call, Edge};
use super::convert::{listed_member, member_state, token};
use super::page::page_size;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::member::{Belonging, Listed};
use crate::proto;
use crate::proto::look_up_member_request::Name;
use crate::proto::{
    GetMemberRequest, GetMemberResponse, ListMembersRequest, ListMembersResponse, ListMyMembershipsRequest,
    ListMyMembershipsResponse, LookUpMemberRequest, LookUpMemberResponse,
};
use crate::service::{ListMembers, MemberName};

/// Serves `ListMembers`.
pub(super) async fn list(edge: &Edge, call: &Call, message: ListMembersRequest) -> Result<ListMembersResponse, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let ListMembersRequest { query, filter, order_by, .. } = message;
    let asked = format!("members of {organization}: {query:?} {filter:?} {order_by:?}");
    let mut violations = Violations::default();
    let size = violations.take(page_size(message.page_size))?;
    let after = violations.take(edge.page_key(&asked, &message.page_token))?;
    violations.finish()?;
    let (Some(size), Some(after)) = (size, after) else { return Err(unread()) };

    let request = ListMembers { organization, query, filter, order_by, size, after };
    let page = edge.services.list_members(&call.reading(), request).await?;
    let value = page.value;
    let key = |listed: &Listed| Ok(listed.position.clone());
    let paged = edge.page(&asked, value.members, value.next, key, |it| listed_member(it, value.shows_private))?;
    Ok(ListMembersResponse {
        members: paged.items,
        next_page_token: paged.next_page_token,
        revision: token(Some(page.token)),
        total_size: value.total.map(|total| i64::try_from(total).unwrap_or(i64::MAX)),
    })
}

/// Serves `GetMember`.
pub(super) async fn get(edge: &Edge, call: &Call, message: &GetMemberRequest) -> Result<GetMemberResponse, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let id = MembershipId::parse("membership_id", &message.membership_id)?;
    let found = edge.services.member(&call.reading(), organization, id).await?;
    let member = Some(listed_member(found.value.listed, found.value.shows_private));
    Ok(GetMemberResponse { member, revision: token(Some(found.token)) })
}

/// Serves `LookUpMember`.
pub(super) async fn look_up(
    edge: &Edge,
    call: &Call,
    message: LookUpMemberRequest,
) -> Result<LookUpMemberResponse, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let name = match message.name {
        Some(Name::UserId(id)) => MemberName::User(UserId::parse("user_id", &id)?),
        Some(Name::Email(email)) => MemberName::Email(Email::parse("email", &email)?),
        Some(Name::ExternalId(id)) => match crate::domain::metadata::external_id("external_id", &id)? {
            Some(id) => MemberName::ExternalId(id),
            None => return Err(Error::invalid("external_id", Reason::FieldRequired, "is required")),
        },
        None => return Err(Error::invalid("name", Reason::FieldRequired, "is required")),
    };
    let found = edge.services.look_up_member(&call.reading(), organization, &name).await?;
    let member = Some(listed_member(found.value.listed, found.value.shows_private));
    Ok(LookUpMemberResponse { member, revision: token(Some(found.token)) })
}

/// Serves `ListMyMemberships`.
pub(super) async fn mine(
    edge: &Edge,
    call: &Call,
    message: &ListMyMembershipsRequest,
) -> Result<ListMyMembershipsResponse, Error> {
    let context = call.reading();
    let asked = format!("memberships of {:?}", context.subject()?);
    let mut violations = Violations::default();
    let size = violations.take(page_size(message.page_size))?;
    let after = violations.take(edge.page_key::<MembershipId>(&asked, &message.page_token))?;
    violations.finish()?;
    let (Some(size), Some(after)) = (size, after) else { return Err(unread()) };

    let page = edge.services.my_memberships(&context, after, size).await?;
    let paged = edge.page(&asked, page.memberships, page.next, |place| Ok(place.member.id), my_membership)?;
    Ok(ListMyMembershipsResponse { memberships: paged.items, next_page_token: paged.next_page_token })
}

fn my_membership(place: Belonging) -> proto::MyMembership {
    proto::MyMembership {
        organization_id: place.organization.id.to_string(),
        organization_display_name: place.organization.display_name,
        organization_slug: place.organization.slug.unwrap_or_default(),
        membership_id: place.member.id.to_string(),
        state: member_state(place.member.state).into(),
        roles: place.member.roles,
    }
}

fn unread() -> Error {
    Error::internal("a field without a value or a violation")
}
