//! Checks and their answers.

use std::time::Duration;

use super::{duration, parse_token};
use crate::authz::{Answer, Asked, Caller, Denial, Item, ItemFault, Questions, Requirement, Session, Whom};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{ServiceAccountId, UserId};
use crate::domain::place::Subject;
use crate::domain::time::{Timestamp, must_last};
use crate::proto;
use crate::proto::consistency::Requirement as ProtoRequirement;
use crate::proto::subject::Kind;
use crate::service::Services;
use crate::transport::wire::read::{ConsistencyView, ItemView, ResourceView, SubjectView};
use crate::transport::wire::write::DecisionOut;

/// Longest name of a permission: a type, a dot and a verb.
pub const PERMISSION_BYTES_MAX: usize = 129;

/// Questions of the generated code.
pub struct Items<'a> {
    items: &'a [proto::CheckItem],
    tokens: Tokens,
}

impl<'a> Items<'a> {
    /// Takes items as they came, and verifies the tokens among them.
    pub fn new(items: &'a [proto::CheckItem], services: &Services) -> Self {
        Self { items, tokens: Tokens::verify(items.iter().map(item_view), services) }
    }
}

impl Questions for Items<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    fn asked(&self) -> impl Iterator<Item = Result<Asked<'_>, Denial>> {
        self.tokens.put_in(self.items.iter().map(item_view))
    }
}

/// Reads an item that is kept beyond its message.
pub fn question(item: Option<&proto::CheckItem>, services: &Services) -> Item {
    let view = item_view(item.ok_or(Denial::Malformed(ItemFault::Item))?);
    let tokens = Tokens::verify(std::iter::once(view), services);
    let asked = tokens.put_in(std::iter::once(view)).next().unwrap_or(Err(Denial::Malformed(ItemFault::Item)));
    asked.map(|asked| asked.to_question())
}

/// Reads the subject of a list, who must be given; what is wrong with a token is the list's answer.
///
/// # Errors
/// - [`Reason::FieldRequired`], [`Reason::IdMalformed`].
pub fn listed_subject(subject: Option<&proto::Subject>, services: &Services) -> Result<Result<Whom, Denial>, Error> {
    match subject.and_then(|subject| subject.kind.as_ref()) {
        Some(Kind::UserId(id)) => Ok(Ok((Subject::User(UserId::parse("subject.user_id", id)?), None))),
        Some(Kind::ServiceAccountId(id)) => {
            let id = ServiceAccountId::parse("subject.service_account_id", id)?;
            Ok(Ok((Subject::ServiceAccount(id), None)))
        }
        Some(Kind::AccessToken(token)) => {
            Ok(bearer(token, services).map(|(subject, session)| (subject, Some(session))))
        }
        None => Err(Error::invalid("subject", Reason::FieldRequired, "is required")),
    }
}

/// Writes how long something stands, from `now`.
pub fn valid_for(until: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    until.map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX))
}

/// Returns a generated item as it would be read in place.
fn item_view(item: &proto::CheckItem) -> ItemView<'_> {
    let kind = item.subject.as_ref().and_then(|subject| subject.kind.as_ref());
    ItemView {
        subject: match kind {
            Some(Kind::UserId(id)) => SubjectView::User(id),
            Some(Kind::ServiceAccountId(id)) => SubjectView::ServiceAccount(id),
            Some(Kind::AccessToken(token)) => SubjectView::AccessToken(token),
            None => SubjectView::None,
        },
        permission: &item.permission,
        resource: item.resource.as_ref().map(|resource| ResourceView { kind: &resource.r#type, id: &resource.id }),
    }
}

/// Whose a token is, and its session; or what is wrong with it.
type Verified = Result<(Subject, Session), Denial>;

/// Whose the access tokens among some items are, by the item's place.
#[derive(Debug, Default)]
pub struct Tokens {
    verified: Vec<(usize, Verified)>,
}

impl Tokens {
    /// Verifies the tokens among items.
    pub fn verify<'a>(items: impl Iterator<Item = ItemView<'a>>, services: &Services) -> Self {
        let tokens = items.enumerate().filter_map(|(at, item)| match item.subject {
            SubjectView::AccessToken(token) => Some((at, bearer(token, services))),
            SubjectView::None | SubjectView::User(_) | SubjectView::ServiceAccount(_) => None,
        });
        Self { verified: tokens.collect() }
    }

    /// Reads the same items as questions.
    pub fn put_in<'a>(
        &self,
        items: impl Iterator<Item = ItemView<'a>>,
    ) -> impl Iterator<Item = Result<Asked<'a>, Denial>> {
        let mut verified = self.verified.iter().peekable();
        items.enumerate().map(move |(at, item)| {
            let bearer = verified.next_if(|(token_at, _)| *token_at == at).map(|(_, bearer)| *bearer);
            asked_as(item, bearer)
        })
    }
}

/// Reads one item, and verifies its token if it has one. What is wrong with it is its own answer.
pub fn asked<'a>(item: ItemView<'a>, services: &Services) -> Result<Asked<'a>, Denial> {
    let bearer = match item.subject {
        SubjectView::AccessToken(token) => Some(bearer(token, services)),
        SubjectView::None | SubjectView::User(_) | SubjectView::ServiceAccount(_) => None,
    };
    asked_as(item, bearer)
}

/// Finds whose a token is; what is wrong with it is the item's answer.
fn bearer(token: &str, services: &Services) -> Verified {
    match services.bearer(token) {
        Ok(Caller { subject, session: Some(id), expires_at: Some(expires_at), .. }) => {
            Ok((subject, Session { id, expires_at }))
        }
        Ok(_) => Err(Denial::TokenInvalid),
        Err(error) => Err(match error.reason {
            Reason::TokenExpired => Denial::TokenExpired,
            Reason::SessionEnded => Denial::SessionEnded,
            Reason::UserDisabled => Denial::NotGranted,
            _ => Denial::TokenInvalid,
        }),
    }
}

/// Reads one item; `bearer` is whose its token is.
fn asked_as(item: ItemView<'_>, bearer: Option<Verified>) -> Result<Asked<'_>, Denial> {
    let (subject, session) = match item.subject {
        SubjectView::User(id) => {
            (Subject::User(UserId::parse("", id).map_err(|_| Denial::Malformed(ItemFault::UserId))?), None)
        }
        SubjectView::ServiceAccount(id) => {
            let id = ServiceAccountId::parse("", id).map_err(|_| Denial::Malformed(ItemFault::ServiceAccountId))?;
            (Subject::ServiceAccount(id), None)
        }
        SubjectView::AccessToken(_) => {
            let (subject, session) = bearer.unwrap_or(Err(Denial::TokenInvalid))?;
            (subject, Some(session))
        }
        SubjectView::None => return Err(Denial::Malformed(ItemFault::Subject)),
    };
    let target = item.resource.map(|resource| (resource.kind, resource.id));
    if let Some(fault) = target.and_then(|(kind, id)| ItemFault::of_resource(kind, id)) {
        return Err(Denial::Malformed(fault));
    }
    if item.permission.is_empty() || item.permission.len() > PERMISSION_BYTES_MAX {
        return Err(Denial::Malformed(ItemFault::Permission));
    }
    Ok(Asked { subject, session, permission: item.permission, target })
}

/// Reads how fresh an answer must be; `bound` is the oldest that the server allows.
///
/// # Errors
/// - [`Reason::OutOfRange`], [`Reason::RevisionInvalid`].
pub fn consistency(consistency: Option<&proto::Consistency>, bound: Duration) -> Result<Requirement, Error> {
    match consistency.and_then(|it| it.requirement.as_ref()) {
        None | Some(ProtoRequirement::Fresh(false)) => Ok(Requirement::MaxAge(None)),
        Some(ProtoRequirement::Fresh(true)) => Ok(Requirement::Fresh),
        Some(ProtoRequirement::AtLeast(text)) => Ok(Requirement::AtLeast(parse_token("consistency.at_least", text)?)),
        Some(ProtoRequirement::MaxAge(max_age)) => {
            let max_age = duration("consistency.max_age", max_age)?;
            must_last("consistency.max_age", max_age, &(Duration::from_millis(1)..=bound))?;
            Ok(Requirement::MaxAge(Some(max_age)))
        }
    }
}

/// Reads how fresh an answer must be from a frame that was read in place.
///
/// # Errors
/// As [`consistency`].
pub fn consistency_view(view: Option<ConsistencyView<'_>>, bound: Duration) -> Result<Requirement, Error> {
    let requirement = match view {
        None | Some(ConsistencyView::Unspecified) => return Ok(Requirement::MaxAge(None)),
        Some(ConsistencyView::MaxAge { seconds, nanos }) => {
            ProtoRequirement::MaxAge(prost_types::Duration { seconds, nanos })
        }
        Some(ConsistencyView::AtLeast(text)) => ProtoRequirement::AtLeast(text.to_owned()),
        Some(ConsistencyView::Fresh(fresh)) => ProtoRequirement::Fresh(fresh),
    };
    consistency(Some(&proto::Consistency { requirement: Some(requirement) }), bound)
}

/// Writes an answer that was given `now`, for a message that is written in place.
pub fn decision_out(answer: Answer, now: Timestamp) -> DecisionOut {
    match answer {
        Answer::Allowed { until } => DecisionOut {
            allowed: true,
            reason: proto::DecisionReason::Unspecified.into(),
            valid_for_ms: valid_for(until, now),
            malformed_field: 0,
        },
        Answer::Denied(denial) => {
            let reason = match denial {
                Denial::NotGranted => proto::DecisionReason::NotGranted,
                Denial::PermissionUnknown => proto::DecisionReason::PermissionUnknown,
                Denial::ResourceTypeUnknown => proto::DecisionReason::ResourceTypeUnknown,
                Denial::PermissionNotAskedHere => proto::DecisionReason::PermissionNotAskedHere,
                Denial::Malformed(_) => proto::DecisionReason::ItemMalformed,
                Denial::Stale => proto::DecisionReason::IndexStale,
                Denial::TokenInvalid => proto::DecisionReason::TokenInvalid,
                Denial::TokenExpired => proto::DecisionReason::TokenExpired,
                Denial::SessionEnded => proto::DecisionReason::SessionEnded,
            };
            let malformed_field = if let Denial::Malformed(fault) = denial { malformed_field(fault).into() } else { 0 };
            DecisionOut { allowed: false, reason: reason.into(), valid_for_ms: None, malformed_field }
        }
    }
}

/// Writes an answer that was given `now`.
pub fn decision(answer: Answer, now: Timestamp) -> proto::Decision {
    let DecisionOut { allowed, reason, valid_for_ms, malformed_field } = decision_out(answer, now);
    proto::Decision { allowed, reason, valid_for_ms, malformed_field }
}

fn malformed_field(fault: ItemFault) -> proto::MalformedField {
    match fault {
        ItemFault::Item => proto::MalformedField::Item,
        ItemFault::Subject => proto::MalformedField::Subject,
        ItemFault::UserId => proto::MalformedField::UserId,
        ItemFault::ServiceAccountId => proto::MalformedField::ServiceAccountId,
        ItemFault::AccessToken => proto::MalformedField::AccessToken,
        ItemFault::Permission => proto::MalformedField::Permission,
        ItemFault::ResourceType => proto::MalformedField::ResourceType,
        ItemFault::ResourceId => proto::MalformedField::ResourceId,
    }
}
