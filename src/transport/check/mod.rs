//! `AuthorizationService`: checks, their explanations and lists, and the stream of them.

mod explain;
mod list;
mod stream;

pub(super) use stream::Streams;

use futures_util::stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use super::convert::{Items, consistency, decision, millis_up, token};
use super::handle::handlers;
use super::incoming::{Incoming, ServerState};
use crate::authz::{Answer, Denial, ITEMS_MAX, ItemFault};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::proto::authorization_service_server::AuthorizationService;
use crate::proto::{
    BatchCheckRequest, BatchCheckResponse, CheckItem, CheckRequest, CheckResponse, Consistency, StreamChecksRequest,
    StreamChecksResponse,
};
use crate::service::Checked;

/// Serves checks.
pub(super) struct Authorization(pub ServerState);

handlers! {
    AuthorizationService for Authorization {
        check(CheckRequest) -> CheckResponse: by check_one;
        batch_check(BatchCheckRequest) -> BatchCheckResponse: by check_batch;
        explain_check(ExplainCheckRequest) -> ExplainCheckResponse: by explain;
        list_permissions(ListPermissionsRequest) -> ListPermissionsResponse: by permissions;
        list_resources(ListResourcesRequest) -> ListResourcesResponse: by resources;
        list_subjects(ListSubjectsRequest) -> ListSubjectsResponse: by subjects;
    }
    streams {
        type StreamChecksStream = Empty<Result<StreamChecksResponse, Status>>;

        async fn stream_checks(
            &self,
            _: Request<Streaming<StreamChecksRequest>>,
        ) -> Result<Response<Self::StreamChecksStream>, Status> {
            Err(Status::internal("frames of checks are read in place, before they come here"))
        }
    }
}

impl Authorization {
    async fn check_one(&self, call: &Incoming, message: CheckRequest) -> Result<CheckResponse, Error> {
        let item = message.item.as_ref();
        let item = item.ok_or_else(|| Error::invalid("item", Reason::FieldRequired, "is required"))?;
        let checked = self
            .answers(call, &message.organization_id, std::slice::from_ref(item), message.consistency.as_ref())
            .await?;
        let only = checked.answers.first().copied().unwrap_or(Answer::Denied(Denial::Malformed(ItemFault::Item)));
        if only == Answer::Denied(Denial::Stale) {
            return Err(Error::new(Reason::IndexStale, "the index is not proven fresh enough to allow")
                .retry_after(self.0.services.engine.settings().poll_interval));
        }
        Ok(CheckResponse {
            decision: Some(decision(only, checked.view.now())),
            revision: token(Some(checked.view.token())),
            age_ms: millis_up(checked.view.age),
        })
    }

    async fn check_batch(&self, call: &Incoming, message: BatchCheckRequest) -> Result<BatchCheckResponse, Error> {
        if message.items.is_empty() || message.items.len() > ITEMS_MAX {
            let range = format!("must be from 1 to {ITEMS_MAX}");
            return Err(Error::invalid("items", Reason::OutOfRange, range));
        }
        let checked =
            self.answers(call, &message.organization_id, &message.items, message.consistency.as_ref()).await?;
        let now = checked.view.now();
        Ok(BatchCheckResponse {
            decisions: checked.answers.into_iter().map(|it| decision(it, now)).collect(),
            revision: token(Some(checked.view.token())),
            age_ms: millis_up(checked.view.age),
        })
    }

    async fn answers(
        &self,
        call: &Incoming,
        organization: &str,
        asked: &[CheckItem],
        freshness: Option<&Consistency>,
    ) -> Result<Checked, Error> {
        let organization = OrganizationId::parse("organization_id", organization)?;
        let services = &self.0.services;
        let requirement = consistency(freshness, services.engine.settings().staleness_bound)?;
        services.check(&call.reading(), organization, &Items::new(asked, services), requirement).await
    }
}
