//! The part of `ResourceService` that is about who is mailed about a resource.

use super::{Resources, address_key, count};
use crate::domain::error::Error;
use crate::domain::fields::all;
use crate::domain::id::OrganizationId;
use crate::domain::text::{mail_text, required_name};
use crate::proto::{ListRecipientsRequest, ListRecipientsResponse, NotifyResourceRequest, NotifyResourceResponse};
use crate::service::{ListRecipients, NotifyResource};
use crate::transport::convert::{recipient, required_key, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

impl Decode<NotifyResourceRequest> for NotifyResource {
    fn decode(message: NotifyResourceRequest, _server: &ServerState) -> Result<Self, Error> {
        let key = required_key("resource", message.resource.as_ref())?;
        let (subject, text) = all((required_name("subject", &message.subject), mail_text("text", message.text)))?;
        Ok(Self { key, subject, text })
    }
}

impl Resources {
    pub(super) async fn list_recipients(
        &self,
        call: &Incoming,
        message: ListRecipientsRequest,
    ) -> Result<ListRecipientsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let key = required_key("resource", message.resource.as_ref())?;
        let query = format!("recipients of {key} in {organization}");
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;

        let listed = self.0.services.query(&call.reading(), organization, &ListRecipients { key, size, after }).await?;
        let (recipients, next) = (listed.value.recipients, listed.value.next);
        let page = self.0.page(&query, recipients, next, |recipient| address_key(&recipient.email), recipient)?;
        Ok(ListRecipientsResponse {
            recipients: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }

    pub(super) async fn notify(
        &self,
        call: &Incoming,
        message: NotifyResourceRequest,
    ) -> Result<NotifyResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let request = NotifyResource::decode(message, &self.0)?;
        let notified = self.0.services.notify_resource(&context, organization, request).await?;
        Ok(NotifyResourceResponse {
            recipient_count: count(notified.value.recipient_count),
            revision: token(notified.token),
        })
    }
}
