//! `RoleService`: what it says of grants.

use super::call::{Call, Edge};
use super::convert::{
    delta, grant, installation_delta, installation_grant, matrix, named, optional_key, principal, principal_out,
    read_each, resource_ref, token,
};
use super::page::page_size;
use super::role::Roles;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::Held;
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::domain::matrix::CELLS_MAX;
use crate::domain::place::Place;
use crate::proto::summarize_grants_request::Held as ProtoHeld;
use crate::proto::{
    ChangeGrantsRequest, ChangeGrantsResponse, ChangeInstallationGrantsRequest, ChangeInstallationGrantsResponse,
    GrantSummary, GroupLeft, HolderShare, ListGrantsRequest, ListGrantsResponse, SummarizeGrantsRequest,
    SummarizeGrantsResponse,
};
use crate::service::{ChangeGrants, ChangeInstallationGrants, ListGrants, SummarizeGrants, Summary};

/// Most deltas in one batch, those of matrices left aside.
const DELTAS_MAX: usize = 100;

impl Roles {
    pub(super) async fn change_installation_grants_of(
        &self,
        call: &Call,
        message: ChangeInstallationGrantsRequest,
    ) -> Result<ChangeInstallationGrantsResponse, Error> {
        let context = call.mutation(&message)?;
        if message.deltas.is_empty() || message.deltas.len() > DELTAS_MAX {
            return Err(Error::invalid("deltas", Reason::OutOfRange, format!("must be from 1 to {DELTAS_MAX}")));
        }
        let mut violations = Violations::default();
        let mut deltas = Vec::new();
        for (index, it) in message.deltas.iter().enumerate() {
            deltas.extend(violations.take(installation_delta(&format!("deltas[{index}]"), it))?);
        }
        violations.finish()?;
        let changed =
            self.0.services.change_installation_grants(&context, ChangeInstallationGrants { deltas }).await?.value;
        Ok(ChangeInstallationGrantsResponse {
            granted: changed.granted.iter().map(installation_grant).collect(),
            revoked: changed.revoked.iter().map(installation_grant).collect(),
        })
    }

    pub(super) async fn change_grants_of(
        &self,
        call: &Call,
        message: ChangeGrantsRequest,
    ) -> Result<ChangeGrantsResponse, Error> {
        let context = call.mutation(&message)?;
        let changed = self.0.services.change_grants(&context, decode(&message)?).await?;
        Ok(ChangeGrantsResponse {
            granted: changed.value.granted.into_iter().map(grant).collect(),
            revoked: changed.value.revoked.into_iter().map(grant).collect(),
            revision: token(changed.token),
            left_groups: changed.value.left.into_iter().map(group_left).collect(),
        })
    }

    pub(super) async fn list_grants_of(
        &self,
        call: &Call,
        message: ListGrantsRequest,
    ) -> Result<ListGrantsResponse, Error> {
        let (request, query) = listing(&self.0, &message)?;
        let page = self.0.services.list_grants(&call.reading(), request).await?;
        let (grants, next) = (page.value.grants, page.value.next);
        let paged = self.0.page(&query, grants, next, |grant| Ok(grant.id), grant)?;
        Ok(ListGrantsResponse {
            grants: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }

    pub(super) async fn summarize_grants_of(
        &self,
        call: &Call,
        message: SummarizeGrantsRequest,
    ) -> Result<SummarizeGrantsResponse, Error> {
        let request = summarizing(&message)?;
        let summaries = self.0.services.summarize_grants(&call.reading(), &request).await?;
        let asked = request.principals.len();
        Ok(SummarizeGrantsResponse {
            summaries: summaries.value.into_iter().map(|it| summary(it, asked)).collect(),
            revision: token(Some(summaries.token)),
        })
    }
}

fn listing(edge: &Edge, message: &ListGrantsRequest) -> Result<(ListGrants, String), Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    let of = message.principal.as_ref().map(|it| violations.take(principal("principal", Some(it)))).transpose()?;
    let at = violations.take(optional_key("resource", message.resource.as_ref()))?;
    if message.at_organization && message.resource.is_some() {
        violations.add("at_organization", Reason::OutOfRange, "must not be set together with resource");
    }
    let place = at.flatten().map(Place::Resource).or(message.at_organization.then_some(Place::Organization));
    let query = format!("grants of {of:?} at {place:?} in {organization}");
    let size = violations.take(page_size(message.page_size))?;
    let after = violations.take(edge.page_key(&query, &message.page_token))?;
    violations.finish()?;
    let (Some(size), Some(after)) = (size, after) else {
        return Err(Error::internal("a field without a value or a violation"));
    };
    Ok((ListGrants { organization, principal: of.flatten(), place, size, after }, query))
}

fn summarizing(message: &SummarizeGrantsRequest) -> Result<SummarizeGrants, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    let named = violations.take(named("", &message.principals, &message.resources))?;
    let held = match &message.held {
        Some(ProtoHeld::Role(role)) if !role.is_empty() => Some(Held::Role(role.as_str().into())),
        Some(ProtoHeld::AsMember(_)) => Some(Held::AsMember),
        Some(ProtoHeld::Role(_)) | None => {
            violations.add("held", Reason::FieldRequired, "is required");
            None
        }
    };
    violations.finish()?;
    match (named, held) {
        (Some((principals, places)), Some(held)) => Ok(SummarizeGrants { organization, principals, places, held }),
        _ => Err(Error::internal("a field without a value or a violation")),
    }
}

fn summary(summary: Summary, asked: usize) -> GrantSummary {
    let share = match summary.holders.len() {
        0 => HolderShare::None,
        all if all == asked => HolderShare::All,
        _ => HolderShare::Some,
    };
    GrantSummary {
        resource: summary.place.resource().map(resource_ref),
        share: share.into(),
        holders: summary.holders.into_iter().map(principal_out).collect(),
    }
}

fn decode(message: &ChangeGrantsRequest) -> Result<ChangeGrants, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    if message.deltas.len() > DELTAS_MAX || (message.deltas.is_empty() && message.matrices.is_empty()) {
        violations.add("deltas", Reason::OutOfRange, format!("must be from 1 to {DELTAS_MAX}"));
    }
    let mut deltas = Vec::new();
    for (index, it) in message.deltas.iter().take(DELTAS_MAX).enumerate() {
        deltas.extend(violations.take(delta(&format!("deltas[{index}]"), it))?);
    }
    let asked = message.matrices.iter().map(|it| it.principals.len().saturating_mul(it.resources.len().max(1)));
    let matrices = if asked.fold(deltas.len(), usize::saturating_add) > CELLS_MAX || message.matrices.len() > CELLS_MAX
    {
        violations.add(
            "matrices",
            Reason::OutOfRange,
            format!("must come to at most {CELLS_MAX} cells, with the deltas"),
        );
        Vec::new()
    } else {
        read_each("matrices", &message.matrices, &mut violations, matrix)?
    };
    violations.finish()?;
    Ok(ChangeGrants { organization, deltas, matrices })
}

fn group_left((group, member): (GroupId, MembershipId)) -> GroupLeft {
    GroupLeft { group_id: group.to_string(), membership_id: member.to_string() }
}
