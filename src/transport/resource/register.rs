//! The part of `ResourceService` that registers: one, or many by a stream.

use std::sync::Arc;

use tonic::{Response, Status, Streaming};

use super::{Resources, count, optional_owner};
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::OrganizationId;
use crate::domain::revision::Token;
use crate::domain::text::name;
use crate::proto;
use crate::proto::{
    NewResource, RegisterResourceRequest, RegisterResourcesRequest, RegisterResourcesResponse, ResourceRef,
};
use crate::service::{Context, Outcome, RegisterResource, RegisterResources, ResourceView, Written};
use crate::transport::convert::{optional_key, required_key, resource, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::{Incoming, ServerState};

/// Most resources of one message.
const CHUNK_MAX: usize = 100;
/// Most resources of one stream.
const RESOURCES_MAX: usize = 10_000;
/// Most refusals that are reported.
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
        call: &Incoming,
        mut messages: Streaming<RegisterResourcesRequest>,
    ) -> Result<Response<RegisterResourcesResponse>, Status> {
        let (mut tally, mut first) = (Tally::default(), None);
        while let Some(message) = messages.message().await? {
            let done = self.register_some(call, &mut first, message, &mut tally).await;
            done.map_err(|error| call.refuse(&error))?;
        }
        tally.answer.revision = token(tally.token);
        Ok(Response::new(tally.answer))
    }

    async fn register_some(
        &self,
        call: &Incoming,
        first: &mut Option<(Context, OrganizationId)>,
        message: RegisterResourcesRequest,
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
        let (mut outcomes, mut resources) = (Vec::new(), Vec::new());
        for (index, resource) in message.resources.into_iter().enumerate() {
            match RegisterResource::decode(resource, &self.0) {
                Ok(resource) => resources.push(resource),
                Err(error) => outcomes.push((index, Outcome::refused(&error))),
            }
        }
        let refused: Vec<usize> = outcomes.iter().map(|(index, _)| *index).collect();
        let written = self.0.services.run(&context, organization, RegisterResources { resources }).await?;
        let others = (0..size).filter(|index| !refused.contains(index));
        outcomes.extend(others.zip(written.value));
        outcomes.sort_by_key(|(index, _)| *index);
        tally.token = written.token.or(tally.token);
        tally.take(size, outcomes);
        Ok(())
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

impl Decode<RegisterResourceRequest> for RegisterResource {
    fn decode(message: RegisterResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        let ((kind, id), parent, owner, display_name) = all((
            new_key(message.resource),
            optional_key("parent", message.parent.as_ref()),
            optional_owner(message.owner.as_ref()),
            name("display_name", &message.display_name),
        ))?;
        Ok(Self { kind, id, parent, display_name, owner })
    }
}

impl From<Written<ResourceView>> for proto::RegisterResourceResponse {
    fn from(registered: Written<ResourceView>) -> Self {
        Self { resource: Some(resource(registered.value)), revision: token(registered.token) }
    }
}

impl Decode<NewResource> for RegisterResource {
    fn decode(new: NewResource, _server: &ServerState) -> Result<Self, Error> {
        let (key, parent, owner, display_name) = all((
            required_key("resource", new.resource.as_ref()),
            optional_key("parent", new.parent.as_ref()),
            optional_owner(new.owner.as_ref()),
            name("display_name", &new.display_name),
        ))?;
        Ok(Self { kind: key.kind, id: Some(key.id), parent, display_name, owner })
    }
}

/// Reads the type of a new resource and its id, which may be left to the server.
fn new_key(reference: Option<ResourceRef>) -> Result<(Arc<str>, Option<Arc<str>>), Error> {
    match reference {
        // The type is read by the rules of a name; any id does.
        Some(reference) if reference.id.is_empty() => {
            let named = ResourceRef { id: "-".to_owned(), ..reference };
            Ok((required_key("resource", Some(&named))?.kind, None))
        }
        reference => required_key("resource", reference.as_ref()).map(|key| (key.kind, Some(key.id))),
    }
}
