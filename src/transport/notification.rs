//! The part of `ResourceService` that is about who is mailed about a resource.

use super::call::Call;
use super::contact::address_key;
use super::convert::{recipient, token};
use super::page::page_size;
use super::resource::{Resources, count, named};
use crate::domain::error::Error;
use crate::domain::fields::all;
use crate::proto::{ListRecipientsRequest, ListRecipientsResponse, NotifyResourceRequest, NotifyResourceResponse};
use crate::service::{ListRecipients, NotifyResource};

impl Resources {
    pub(super) async fn list_recipients(
        &self,
        call: &Call,
        message: ListRecipientsRequest,
    ) -> Result<ListRecipientsResponse, Error> {
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let query = format!("recipients of {key} in {organization}");
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;
        let request = ListRecipients { organization, key, size, after };
        let listed = self.0.services.list_recipients(&call.reading(), request).await?;
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
        call: &Call,
        message: NotifyResourceRequest,
    ) -> Result<NotifyResourceResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let request = NotifyResource { organization, key, subject: message.subject, text: message.text };
        let notified = self.0.services.notify_resource(&context, request).await?;
        Ok(NotifyResourceResponse {
            recipient_count: count(notified.value.recipient_count),
            revision: token(notified.token),
        })
    }
}
