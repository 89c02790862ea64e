//! `RoleService`: what it says of grants.

use super::Roles;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fields::all;
use crate::domain::grant::matrix::CELLS_MAX;
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::domain::place::Place;
use crate::proto;
use crate::service::{
    ChangeGrants, ChangeInstallationGrants, Changed, ListGrants, Read, SummarizeGrants, Summary, Written,
};
use crate::transport::convert::{
    delta, grant, held, installation_delta, installation_grant, matrix, named, optional_key, principal, principal_out,
    read_each, resource_ref, token,
};
use crate::transport::handle::Decode;
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

/// Most deltas in one batch, those of matrices left aside.
const DELTAS_MAX: usize = 100;

impl Roles {
    pub(super) async fn change_installation_grants(
        &self,
        call: &Incoming,
        message: proto::ChangeInstallationGrantsRequest,
    ) -> Result<proto::ChangeInstallationGrantsResponse, Error> {
        let context = call.mutation(&message)?;
        if message.deltas.is_empty() || message.deltas.len() > DELTAS_MAX {
            return Err(Error::invalid("deltas", Reason::OutOfRange, format!("must be from 1 to {DELTAS_MAX}")));
        }
        let mut violations = Violations::default();
        let deltas = read_each("deltas", &message.deltas, &mut violations, installation_delta)?;
        violations.finish()?;
        let changed =
            self.0.services.change_installation_grants(&context, ChangeInstallationGrants { deltas }).await?.value;
        Ok(proto::ChangeInstallationGrantsResponse {
            granted: changed.granted.iter().map(installation_grant).collect(),
            revoked: changed.revoked.iter().map(installation_grant).collect(),
        })
    }

    pub(super) async fn list_grants(
        &self,
        call: &Incoming,
        message: proto::ListGrantsRequest,
    ) -> Result<proto::ListGrantsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let at = if message.at_organization { "itself" } else { "" };
        let query = format!("grants of {:?} at {:?}{at} in {organization}", message.principal, message.resource);
        let (principal, place, size, after) = all((
            message.principal.as_ref().map(|it| principal("principal", Some(it))).transpose(),
            place(&message),
            page_size(message.page_size),
            self.0.page_key(&query, &message.page_token),
        ))?;

        let request = ListGrants { principal, place, size, after };
        let listed = self.0.services.list_grants(&call.reading(), organization, &request).await?;
        let (grants, next) = (listed.value.grants, listed.value.next);
        let page = self.0.page(&query, grants, next, |grant| Ok(grant.id), grant)?;
        Ok(proto::ListGrantsResponse {
            grants: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }
}

impl Decode<proto::ChangeGrantsRequest> for ChangeGrants {
    fn decode(message: proto::ChangeGrantsRequest, _server: &ServerState) -> Result<Self, Error> {
        let mut violations = Violations::default();
        if message.deltas.len() > DELTAS_MAX || (message.deltas.is_empty() && message.matrices.is_empty()) {
            violations.add("deltas", Reason::OutOfRange, format!("must be from 1 to {DELTAS_MAX}"));
        }
        let looked_at = &message.deltas[..message.deltas.len().min(DELTAS_MAX)];
        let deltas = read_each("deltas", looked_at, &mut violations, delta)?;
        let asked = message.matrices.iter().map(|it| it.principals.len().saturating_mul(it.resources.len().max(1)));
        let is_too_much = asked.fold(deltas.len(), usize::saturating_add) > CELLS_MAX;
        let matrices = if is_too_much || message.matrices.len() > CELLS_MAX {
            let range = format!("must come to at most {CELLS_MAX} cells, with the deltas");
            violations.add("matrices", Reason::OutOfRange, range);
            Vec::new()
        } else {
            read_each("matrices", &message.matrices, &mut violations, matrix)?
        };
        violations.finish()?;
        Ok(Self::new(deltas, &matrices))
    }
}

impl From<Written<Changed>> for proto::ChangeGrantsResponse {
    fn from(changed: Written<Changed>) -> Self {
        let Changed { granted, revoked, left } = changed.value;
        Self {
            granted: granted.into_iter().map(grant).collect(),
            revoked: revoked.into_iter().map(grant).collect(),
            revision: token(changed.token),
            left_groups: left.into_iter().map(group_left).collect(),
        }
    }
}

impl Decode<proto::SummarizeGrantsRequest> for SummarizeGrants {
    fn decode(message: proto::SummarizeGrantsRequest, _server: &ServerState) -> Result<Self, Error> {
        use proto::assignment::Held as InAssignment;
        use proto::summarize_grants_request::Held as InRequest;
        let asked = message.held.map(|held| match held {
            InRequest::Role(role) => InAssignment::Role(role),
            InRequest::AsMember(it) => InAssignment::AsMember(it),
        });
        let ((principals, places), held) =
            all((named("", &message.principals, &message.resources), held("held", asked.as_ref())))?;
        Ok(Self { principals, places, held })
    }
}

impl From<Read<Vec<Summary>>> for proto::SummarizeGrantsResponse {
    fn from(summaries: Read<Vec<Summary>>) -> Self {
        Self { summaries: summaries.value.into_iter().map(summary).collect(), revision: token(Some(summaries.token)) }
    }
}

fn place(message: &proto::ListGrantsRequest) -> Result<Option<Place>, Error> {
    let is_alone = if message.at_organization && message.resource.is_some() {
        Err(Error::invalid("at_organization", Reason::OutOfRange, "must not be set together with resource"))
    } else {
        Ok(())
    };
    let (resource, ()) = all((optional_key("resource", message.resource.as_ref()), is_alone))?;
    Ok(resource.map(Place::Resource).or(message.at_organization.then_some(Place::Organization)))
}

fn summary(summary: Summary) -> proto::GrantSummary {
    let share = match summary.holders.len() {
        0 => proto::HolderShare::None,
        _ if summary.is_all => proto::HolderShare::All,
        _ => proto::HolderShare::Some,
    };
    proto::GrantSummary {
        resource: summary.place.resource().map(resource_ref),
        share: share.into(),
        holders: summary.holders.into_iter().map(principal_out).collect(),
    }
}

fn group_left((group, member): (GroupId, MembershipId)) -> proto::GroupLeft {
    proto::GroupLeft { group_id: group.to_string(), membership_id: member.to_string() }
}
