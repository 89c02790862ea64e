//! `BulkMembers`: one answer a chunk, as each is committed.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tonic::Status;

use super::call::{Call, Edge};
use super::convert::{assignment, token};
use crate::domain::access::Move;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::proto::bulk_members_request::{Act, Selection};
use crate::proto::{Assignment, BulkMemberResult, BulkMembersRequest, BulkMembersResponse};
use crate::service;
use crate::service::{BulkAct, BulkMembers, BulkResult};

/// The answers of a call.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<BulkMembersResponse, Status>> + Send>>;

/// Serves `BulkMembers`. What is refused of the call as a whole is refused before the first answer.
pub(super) async fn bulk(edge: &Edge, call: &Call, message: BulkMembersRequest) -> Result<Chunks, Error> {
    let context = call.mutation(&message)?;
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    let selection = violations.take(selection(message.selection))?;
    let act = violations.take(act(message.act))?;
    violations.finish()?;
    let (Some(selection), Some(act)) = (selection, act) else {
        return Err(Error::internal("a field without a value or a violation"));
    };

    let bulk = edge.services.bulk_members(&context, BulkMembers { organization, selection, act }).await?;
    let call = call.clone();
    let chunks = stream::unfold(Some(bulk), move |bulk| {
        let call = call.clone();
        async move {
            let mut bulk = bulk?;
            match bulk.next().await {
                Ok(None) => None,
                Ok(Some((results, revision))) => {
                    let results = results.into_iter().map(result).collect();
                    Some((Ok(BulkMembersResponse { results, revision: token(revision) }), Some(bulk)))
                }
                Err(error) => Some((Err(call.refuse(&error)), None)),
            }
        }
    });
    Ok(Box::pin(chunks))
}

fn selection(selection: Option<Selection>) -> Result<service::Selection, Error> {
    match selection {
        None => Err(Error::invalid("selection", Reason::FieldRequired, "is required")),
        Some(Selection::All(true)) => Ok(service::Selection::All),
        Some(Selection::All(false)) => Err(Error::invalid("all", Reason::OutOfRange, "must be true")),
        Some(Selection::Matching(it)) => Ok(service::Selection::Matching { query: it.query, filter: it.filter }),
        Some(Selection::Listed(list)) => {
            let (mut violations, mut ids) = (Violations::default(), Vec::new());
            for (index, member) in list.members.iter().enumerate() {
                let field = format!("listed.members[{index}].membership_id");
                ids.extend(violations.take(MembershipId::parse(&field, &member.membership_id))?);
            }
            violations.finish()?;
            Ok(service::Selection::Listed(ids))
        }
    }
}

fn act(act: Option<Act>) -> Result<BulkAct, Error> {
    match act {
        None => Err(Error::invalid("act", Reason::FieldRequired, "is required")),
        Some(Act::Disable(_)) => Ok(BulkAct::Move(Move::Disable)),
        Some(Act::Enable(_)) => Ok(BulkAct::Move(Move::Enable)),
        Some(Act::Grant(it)) => Ok(BulkAct::Grant(assignment("grant", &it)?)),
        Some(Act::Revoke(it)) => Ok(BulkAct::Revoke(assignment("revoke", &Assignment { expire_time: None, ..it })?)),
    }
}

fn result(result: BulkResult) -> BulkMemberResult {
    let (reason, message) = result.refusal.unwrap_or_default();
    BulkMemberResult { membership_id: result.id.to_string(), changed: result.is_changed, reason, message }
}
