//! `BulkMembers`: one answer a chunk, as each is committed.

use std::collections::HashSet;
use std::pin::Pin;

use futures_util::{Stream, stream};
use tonic::Status;

use crate::domain::access::Move;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fields::all;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::list::{Filter, Query};
use crate::proto::bulk_members_request::{Act, Selection};
use crate::proto::{Assignment, BulkMemberResult, BulkMembersRequest, BulkMembersResponse, MemberFilter, MemberRef};
use crate::service;
use crate::service::{BulkAct, BulkMembers, BulkResult};
use crate::transport::convert::{assignment, token};
use crate::transport::incoming::{Incoming, ServerState};

/// Most members that one call names.
const IDS_MAX: usize = 10_000;

/// The answers of a call.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<BulkMembersResponse, Status>> + Send>>;

/// Serves `BulkMembers`. What is refused of the call as a whole is refused before the first answer.
pub(super) async fn bulk(server: &ServerState, call: &Incoming, message: BulkMembersRequest) -> Result<Chunks, Error> {
    let context = call.mutation(&message)?;
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let (selection, act) = all((selection(message.selection), act(message.act)))?;

    let request = BulkMembers { selection, act };
    let bulk = server.services.bulk_members(&context, organization, request).await?;
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
        Some(Selection::Matching(it)) => matching(&it),
        Some(Selection::Listed(list)) => listed(&list.members),
    }
}

/// Reads by what members are selected.
fn matching(matching: &MemberFilter) -> Result<service::Selection, Error> {
    let words = Query::parse("matching.query", &matching.query);
    let (words, filter) = all((
        words.and_then(|words| words.must_have_words("matching.query")),
        Filter::parse("matching.filter", &matching.filter),
    ))?;
    if words.is_empty() && filter.is_empty() {
        // What was left out by mistake must not mean everyone.
        let message = "has neither a query nor a filter; everyone is selected by `all: true`";
        return Err(Error::invalid("matching", Reason::QueryEmpty, message));
    }
    Ok(service::Selection::Matching { words, filter })
}

/// Reads who is named: from 1 to 10,000 members, each once.
fn listed(members: &[MemberRef]) -> Result<service::Selection, Error> {
    if !(1..=IDS_MAX).contains(&members.len()) {
        let message = format!("must be from 1 to {IDS_MAX}");
        return Err(Error::invalid("listed.members", Reason::OutOfRange, message));
    }
    let field = |index: usize| format!("listed.members[{index}].membership_id");
    let each = members.iter().enumerate();
    let ids = each.map(|(index, member)| MembershipId::parse(&field(index), &member.membership_id));
    let ids = all(ids.collect::<Vec<_>>())?;
    let (mut violations, mut seen) = (Violations::default(), HashSet::new());
    for (index, _) in ids.iter().enumerate().filter(|(_, id)| !seen.insert(**id)) {
        violations.add(field(index), Reason::OutOfRange, "stands in the list before");
    }
    violations.finish()?;
    Ok(service::Selection::Listed(ids))
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
