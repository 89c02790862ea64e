//! `AuthorizationService/ExplainCheck`.

use super::Authorization;
use crate::authz::{Answer, Denial, ItemFault};
use crate::domain::access::{Explanation, Missing};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{OrganizationId, ServiceAccountId, UserId};
use crate::domain::place::{ResourceKey, Subject};
use crate::proto;
use crate::proto::subject::Kind;
use crate::proto::{Decision, DecisionReason, ExplainCheckRequest, ExplainCheckResponse};
use crate::service::{ExplainCheck, ExplainItem, ExplainSubject, Explained, TokenTrouble, Verdict};
use crate::transport::convert::{PERMISSION_BYTES_MAX, Sight, allowed_by, decision, missing, token};
use crate::transport::incoming::Incoming;

/// Longest access token that is looked at.
const TOKEN_BYTES_MAX: usize = 4_096;

impl Authorization {
    pub(super) async fn explain(
        &self,
        call: &Incoming,
        message: ExplainCheckRequest,
    ) -> Result<ExplainCheckResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let item = message.item.as_ref();
        let item = item.ok_or_else(|| Error::invalid("item", Reason::FieldRequired, "is required"))?;
        let request = ExplainCheck { item: asked(item) };
        let explained = self.0.services.explain_check(&call.reading(), organization, request).await?;
        let (decision, explanation) = encode(&explained.value);
        Ok(ExplainCheckResponse {
            decision: Some(decision),
            explanation: Some(explanation),
            revision: token(Some(explained.token)),
        })
    }
}

/// Reads an item, or what of it is missing or malformed.
fn asked(item: &proto::CheckItem) -> Result<ExplainItem, ItemFault> {
    let kind = item.subject.as_ref().and_then(|subject| subject.kind.as_ref());
    let whom = match kind.ok_or(ItemFault::Subject)? {
        Kind::UserId(id) => {
            let id = UserId::parse("", id).map_err(|_| ItemFault::UserId)?;
            ExplainSubject::Subject(Subject::User(id))
        }
        Kind::ServiceAccountId(id) => {
            let id = ServiceAccountId::parse("", id).map_err(|_| ItemFault::ServiceAccountId)?;
            ExplainSubject::Subject(Subject::ServiceAccount(id))
        }
        Kind::AccessToken(token) if token.len() <= TOKEN_BYTES_MAX => ExplainSubject::Bearer(token.clone().into()),
        Kind::AccessToken(_) => return Err(ItemFault::AccessToken),
    };
    let resource = item.resource.as_ref();
    if let Some(fault) = resource.and_then(|resource| ItemFault::of_resource(&resource.r#type, &resource.id)) {
        return Err(fault);
    }
    if item.permission.is_empty() || item.permission.len() > PERMISSION_BYTES_MAX {
        return Err(ItemFault::Permission);
    }
    let target = resource.map(|it| ResourceKey { kind: it.r#type.as_str().into(), id: it.id.as_str().into() });
    Ok(ExplainItem { whom, permission: item.permission.as_str().into(), target })
}

fn encode(explained: &Explained) -> (Decision, proto::Explanation) {
    let denied = |reason: DecisionReason, summary: &str| {
        let decision = Decision { allowed: false, reason: reason.into(), ..Default::default() };
        (decision, proto::Explanation { summary: summary.to_owned(), ..Default::default() })
    };
    let (explanation, token_expires_at) = match &explained.verdict {
        Verdict::Malformed(fault) => {
            let decision = decision(Answer::Denied(Denial::Malformed(*fault)), explained.now);
            let summary = format!("{} is missing or malformed", fault.field());
            return (decision, proto::Explanation { summary, ..Default::default() });
        }
        Verdict::Token(TokenTrouble::Invalid) => {
            return denied(DecisionReason::TokenInvalid, "the access token is none of this installation");
        }
        Verdict::Token(TokenTrouble::Expired) => {
            return denied(DecisionReason::TokenExpired, "the access token has expired");
        }
        Verdict::Token(TokenTrouble::SessionEnded) => {
            return denied(DecisionReason::SessionEnded, "the session of the access token was ended");
        }
        Verdict::Judged { explanation, token_expires_at } => (explanation, *token_expires_at),
    };
    let sight = Sight { hidden: &explained.hidden };
    match explanation {
        Explanation::Allowed(allowed) => {
            let ends = [allowed.until, token_expires_at];
            let decision = decision(Answer::Allowed { until: ends.into_iter().flatten().min() }, explained.now);
            let (summary, allowed_by) = allowed_by(allowed, &sight);
            (decision, proto::Explanation { summary, allowed_by: Some(allowed_by), missing: Vec::new() })
        }
        Explanation::Denied(pieces) => {
            let denial = match pieces.first() {
                Some(Missing::PermissionUnknown) => Denial::PermissionUnknown,
                Some(Missing::ResourceTypeUnknown) => Denial::ResourceTypeUnknown,
                Some(Missing::PermissionNotAskedHere) => Denial::PermissionNotAskedHere,
                _ => Denial::NotGranted,
            };
            let missing: Vec<_> = pieces.iter().map(|piece| missing(piece, &sight)).collect();
            let words: Vec<&str> = missing.iter().map(|piece| piece.message.as_str()).collect();
            let summary = words.join("; ");
            let decision = decision(Answer::Denied(denial), explained.now);
            (decision, proto::Explanation { summary, allowed_by: None, missing })
        }
    }
}
