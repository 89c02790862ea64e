//! The part of `ResourceService` that is about many resources: registered by a stream, and browsed.

use tonic::{Response, Status, Streaming};

use super::{Resources, count, optional_owner};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::OrganizationId;
use crate::domain::resource::Under;
use crate::domain::revision::Token;
use crate::domain::words::Query;
use crate::proto;
use crate::proto::{
    BrowseResourcesRequest, BrowseResourcesResponse, NewResource, RegisterResourcesRequest, RegisterResourcesResponse,
};
use crate::service::{BrowseResources, Context, Outcome, RegisterResource};
use crate::transport::call::Call;
use crate::transport::convert::{optional_key, required_key, resource, resource_key, token};
use crate::transport::page::page_size;

/// Most resources of one message.
const CHUNK_MAX: usize = 100;
/// Most resources of one stream.
const RESOURCES_MAX: usize = 10_000;
/// Most refusals that are told.
const REFUSED_MAX: usize = 1_000;

/// What has become of a stream so far.
#[derive(Default)]
struct Tally {
    count: usize,
    answer: RegisterResourcesResponse,
    token: Option<Token>,
}

impl Resources {
    /// Registers message by message, until the stream ends or one is refused.
    pub(super) async fn register_all(
        &self,
        call: &Call,
        mut messages: Streaming<RegisterResourcesRequest>,
    ) -> Result<Response<RegisterResourcesResponse>, Status> {
        let (mut tally, mut first) = (Tally::default(), None);
        while let Some(message) = messages.message().await? {
            let done = self.register_some(call, &mut first, &message, &mut tally).await;
            done.map_err(|error| call.refuse(&error))?;
        }
        tally.answer.revision = token(tally.token);
        Ok(Response::new(tally.answer))
    }

    async fn register_some(
        &self,
        call: &Call,
        first: &mut Option<(Context, OrganizationId)>,
        message: &RegisterResourcesRequest,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let (context, organization) = match first {
            Some(first) => first.clone(),
            None => {
                let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
                let context = Context { validate_only: message.validate_only, ..call.reading() };
                first.insert((context, organization)).clone()
            }
        };
        let size = message.resources.len();
        if size == 0 || size > CHUNK_MAX || tally.count + size > RESOURCES_MAX {
            let text = format!("must be from 1 to {CHUNK_MAX}, and all of the stream at most {RESOURCES_MAX}");
            return Err(Error::invalid("resources", Reason::OutOfRange, text));
        }
        let (mut outcomes, mut requests) = (Vec::new(), Vec::new());
        for (index, resource) in message.resources.iter().enumerate() {
            match decode(organization, resource) {
                Ok(request) => requests.push(request),
                Err(error) => outcomes.push((index, Outcome::refused(&error))),
            }
        }
        let refused: Vec<usize> = outcomes.iter().map(|(index, _)| *index).collect();
        let written = self.0.services.register_resources(&context, organization, requests).await?;
        let others = (0..size).filter(|index| !refused.contains(index));
        outcomes.extend(others.zip(written.value));
        outcomes.sort_by_key(|(index, _)| *index);
        tally.token = written.token.or(tally.token);
        tally.take(size, outcomes);
        Ok(())
    }

    pub(super) async fn browse(
        &self,
        call: &Call,
        message: BrowseResourcesRequest,
    ) -> Result<BrowseResourcesResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let within = format!("{:?} {} {}", message.under, message.resource_type, message.query);
        let bound = format!("resources of {organization} {within}");
        let mut violations = Violations::default();
        let under = match &message.under {
            None => Some(Under::Anything),
            Some(proto::browse_resources_request::Under::Top(_)) => Some(Under::Organization),
            Some(proto::browse_resources_request::Under::Parent(parent)) => {
                violations.take(resource_key("parent", parent))?.map(Under::Resource)
            }
        };
        let query = violations.take(Query::parse("query", &message.query))?;
        let size = violations.take(page_size(message.page_size))?;
        let after = violations.take(self.0.page_key(&bound, &message.page_token))?;
        violations.finish()?;
        let (Some(under), Some(query), Some(size), Some(after)) = (under, query, size, after) else {
            return Err(Error::internal("a field without a value or a violation"));
        };

        let kind = (!message.resource_type.is_empty()).then(|| message.resource_type.clone());
        let request = BrowseResources { organization, under, kind, query, size, after };
        let page = self.0.services.browse_resources(&call.reading(), request).await?;
        let (resources, next) = (page.value.resources, page.value.next);
        let paged = self.0.page(&bound, resources, next, |(key, _)| Ok(key.clone()), |(_, it)| resource(it))?;
        Ok(BrowseResourcesResponse {
            resources: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }
}

impl Tally {
    fn take(&mut self, size: usize, outcomes: Vec<(usize, Outcome)>) {
        for (index, outcome) in outcomes {
            match outcome {
                Outcome::Registered => self.answer.registered_count += 1,
                Outcome::Unchanged => self.answer.unchanged_count += 1,
                Outcome::Refused { reason, message } => {
                    self.answer.refused_count += 1;
                    if self.answer.refused.len() < REFUSED_MAX {
                        let index = count(u32::try_from(self.count + index).unwrap_or(u32::MAX));
                        self.answer.refused.push(proto::RefusedResource { index, reason, message });
                    }
                }
            }
        }
        self.count += size;
    }
}

fn decode(organization: OrganizationId, new: &NewResource) -> Result<RegisterResource, Error> {
    let mut violations = Violations::default();
    let key = violations.take(required_key("resource", new.resource.as_ref()))?;
    let parent = violations.take(optional_key("parent", new.parent.as_ref()))?;
    let owner = violations.take(optional_owner(new.owner.as_ref()))?;
    violations.finish()?;
    let (Some(key), Some(parent), Some(owner)) = (key, parent, owner) else {
        return Err(Error::internal("a field without a value or a violation"));
    };
    let (kind, id, display_name) = (key.kind, Some(key.id), new.display_name.clone());
    Ok(RegisterResource { organization, kind, id, parent, display_name, owner })
}
