//! `ListMembers`, `GetMember`, `LookUpMember` and `ListMyMemberships`.

use super::Memberships;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::member::list::{Filter, Order, Query};
use crate::domain::member::{Belonging, Listed};
use crate::domain::metadata::external_id;
use crate::proto;
use crate::proto::look_up_member_request::Name;
use crate::service::{FoundMember, GetMember, ListMembers, LookUpMember, MemberName, Members, Read};
use crate::transport::convert::{listed_member, member_state, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

impl Memberships {
    pub(super) async fn list(
        &self,
        call: &Incoming,
        message: proto::ListMembersRequest,
    ) -> Result<proto::ListMembersResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let proto::ListMembersRequest { query, filter, order_by, .. } = message;
        let asked = format!("members of {organization}: {query:?} {filter:?} {order_by:?}");
        let (words, filter, order, size, after) = all((
            Query::parse("query", &query),
            Filter::parse("filter", &filter),
            Order::parse("order_by", &order_by),
            page_size(message.page_size),
            self.0.page_key(&asked, &message.page_token),
        ))?;

        let request = ListMembers { words, filter, order, size, after };
        let listed = self.0.services.list_members(&call.reading(), organization, request).await?;
        let Members { members, shows_private, next, total } = listed.value;
        let key = |listed: &Listed| Ok(listed.position.clone());
        let page = self.0.page(&asked, members, next, key, |it| listed_member(it, shows_private))?;
        Ok(proto::ListMembersResponse {
            members: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
            total_size: total.map(|total| i64::try_from(total).unwrap_or(i64::MAX)),
        })
    }

    pub(super) async fn list_mine(
        &self,
        call: &Incoming,
        message: proto::ListMyMembershipsRequest,
    ) -> Result<proto::ListMyMembershipsResponse, Error> {
        let context = call.reading();
        let asked = format!("memberships of {:?}", context.subject()?);
        let (size, after) =
            all((page_size(message.page_size), self.0.page_key::<MembershipId>(&asked, &message.page_token)))?;

        let listed = self.0.services.my_memberships(&context, after, size).await?;
        let page = self.0.page(&asked, listed.memberships, listed.next, |it| Ok(it.member.id), my_membership)?;
        Ok(proto::ListMyMembershipsResponse { memberships: page.items, next_page_token: page.next_page_token })
    }
}

impl Decode<proto::GetMemberRequest> for GetMember {
    fn decode(message: proto::GetMemberRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { id: MembershipId::parse("membership_id", &message.membership_id)? })
    }
}

impl From<Read<FoundMember>> for proto::GetMemberResponse {
    fn from(found: Read<FoundMember>) -> Self {
        let member = Some(listed_member(found.value.listed, found.value.shows_private));
        Self { member, revision: token(Some(found.token)) }
    }
}

impl Decode<proto::LookUpMemberRequest> for LookUpMember {
    fn decode(message: proto::LookUpMemberRequest, _server: &ServerState) -> Result<Self, Error> {
        let required = |field| Error::invalid(field, Reason::FieldRequired, "is required");
        let name = match message.name {
            Some(Name::UserId(id)) => MemberName::User(UserId::parse("user_id", &id)?),
            Some(Name::Email(email)) => MemberName::Email(Email::parse("email", &email)?),
            Some(Name::ExternalId(id)) => {
                let id = external_id("external_id", &id)?;
                MemberName::ExternalId(id.ok_or_else(|| required("external_id"))?)
            }
            None => return Err(required("name")),
        };
        Ok(Self { name })
    }
}

impl From<Read<FoundMember>> for proto::LookUpMemberResponse {
    fn from(found: Read<FoundMember>) -> Self {
        let member = Some(listed_member(found.value.listed, found.value.shows_private));
        Self { member, revision: token(Some(found.token)) }
    }
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
