//! The part of `ResourceService` that is about contacts, and about whom is told of a resource.

use super::call::Call;
use super::convert::{contact, recipient, token};
use super::page::page_size;
use super::resource::{Resources, count, named};
use crate::domain::email::Email;
use crate::domain::error::{Error, Violations};
use crate::domain::id::ContactId;
use crate::proto::{
    AddContactRequest, AddContactResponse, ListContactsRequest, ListContactsResponse, ListRecipientsRequest,
    ListRecipientsResponse, LookUpUnsubscriptionRequest, LookUpUnsubscriptionResponse, NotifyResourceRequest,
    NotifyResourceResponse, RemoveContactRequest, RemoveContactResponse, UnsubscribeRequest, UnsubscribeResponse,
};
use crate::service::{AddContact, ListContacts, ListRecipients, NotifyResource, RemoveContact};

impl Resources {
    pub(super) async fn add_contact(
        &self,
        call: &Call,
        message: &AddContactRequest,
    ) -> Result<AddContactResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let request = AddContact { organization, key, email: message.email.clone() };
        let added = self.0.services.add_contact(&context, request).await?;
        Ok(AddContactResponse { contact: Some(contact(added.value)), revision: token(added.token) })
    }

    pub(super) async fn remove_contact(
        &self,
        call: &Call,
        message: &RemoveContactRequest,
    ) -> Result<RemoveContactResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let id = ContactId::parse("contact_id", &message.contact_id)?;
        let removed = self.0.services.remove_contact(&context, RemoveContact { organization, key, id }).await?;
        Ok(RemoveContactResponse { contact: Some(contact(removed.value)), revision: token(removed.token) })
    }

    pub(super) async fn list_contacts(
        &self,
        call: &Call,
        message: &ListContactsRequest,
    ) -> Result<ListContactsResponse, Error> {
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let query = format!("contacts of {key} in {organization}");
        let (size, after) = self.paging(&query, message.page_size, &message.page_token)?;
        let request = ListContacts { organization, key, size, after };
        let page = self.0.services.list_contacts(&call.reading(), request).await?;
        let (contacts, next) = (page.value.contacts, page.value.next);
        let paged = self.0.page(&query, contacts, next, |contact| address_key(&contact.email), contact)?;
        Ok(ListContactsResponse {
            contacts: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }

    pub(super) async fn look_up_unsubscription(
        &self,
        _: &Call,
        message: &LookUpUnsubscriptionRequest,
    ) -> Result<LookUpUnsubscriptionResponse, Error> {
        let link = self.0.services.look_up_unsubscription(&message.token).await?;
        Ok(LookUpUnsubscriptionResponse {
            organization_display_name: link.organization,
            resource_display_name: link.resource,
            unsubscribed: link.is_muted,
        })
    }

    pub(super) async fn unsubscribe(
        &self,
        call: &Call,
        message: &UnsubscribeRequest,
    ) -> Result<UnsubscribeResponse, Error> {
        let link = self.0.services.unsubscribe(&call.reading(), &message.token, message.undo).await?.value;
        Ok(UnsubscribeResponse {
            organization_display_name: link.organization,
            resource_display_name: link.resource,
            unsubscribed: link.is_muted,
        })
    }

    pub(super) async fn list_recipients(
        &self,
        call: &Call,
        message: &ListRecipientsRequest,
    ) -> Result<ListRecipientsResponse, Error> {
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let query = format!("recipients of {key} in {organization}");
        let (size, after) = self.paging(&query, message.page_size, &message.page_token)?;
        let request = ListRecipients { organization, key, size, after };
        let page = self.0.services.list_recipients(&call.reading(), request).await?;
        let (recipients, next) = (page.value.recipients, page.value.next);
        let paged = self.0.page(&query, recipients, next, |recipient| address_key(&recipient.email), recipient)?;
        Ok(ListRecipientsResponse {
            recipients: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }

    pub(super) async fn notify(
        &self,
        call: &Call,
        message: &NotifyResourceRequest,
    ) -> Result<NotifyResourceResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, key) = named(&message.organization_id, message.resource.as_ref())?;
        let (subject, text) = (message.subject.clone(), message.text.clone());
        let request = NotifyResource { organization, key, subject, text };
        let notified = self.0.services.notify_resource(&context, request).await?;
        Ok(NotifyResourceResponse {
            recipient_count: count(notified.value.recipient_count),
            revision: token(notified.token),
        })
    }

    fn paging(&self, query: &str, size: i32, page_token: &str) -> Result<(u32, Option<String>), Error> {
        let mut violations = Violations::default();
        let size = violations.take(page_size(size))?;
        let after = violations.take(self.0.page_key(query, page_token))?;
        violations.finish()?;
        match (size, after) {
            (Some(size), Some(after)) => Ok((size, after)),
            _ => Err(Error::internal("a field without a value or a violation")),
        }
    }
}

/// Returns by what an address is found.
fn address_key(address: &str) -> Result<String, Error> {
    Ok(Email::parse("email", address)?.key().to_owned())
}
