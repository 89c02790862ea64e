//! The part of `ResourceService` that is about contacts.

use super::{Resources, address_key};
use crate::domain::contact::Contact;
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fields::all;
use crate::domain::id::{ContactId, OrganizationId};
use crate::proto;
use crate::proto::{
    ListContactsRequest, ListContactsResponse, LookUpUnsubscriptionRequest, LookUpUnsubscriptionResponse,
    UnsubscribeRequest, UnsubscribeResponse,
};
use crate::service::{AddContact, ListContacts, RemoveContact, Written};
use crate::transport::convert::{contact, required_key, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

impl Decode<proto::AddContactRequest> for AddContact {
    fn decode(message: proto::AddContactRequest, _server: &ServerState) -> Result<Self, Error> {
        let key = required_key("resource", message.resource.as_ref())?;
        Ok(Self { key, email: Email::parse("email", &message.email)? })
    }
}

impl From<Written<Contact>> for proto::AddContactResponse {
    fn from(added: Written<Contact>) -> Self {
        Self { contact: Some(contact(added.value)), revision: token(added.token) }
    }
}

impl Decode<proto::RemoveContactRequest> for RemoveContact {
    fn decode(message: proto::RemoveContactRequest, _server: &ServerState) -> Result<Self, Error> {
        let key = required_key("resource", message.resource.as_ref())?;
        Ok(Self { key, id: ContactId::parse("contact_id", &message.contact_id)? })
    }
}

impl From<Written<Contact>> for proto::RemoveContactResponse {
    fn from(removed: Written<Contact>) -> Self {
        Self { contact: Some(contact(removed.value)), revision: token(removed.token) }
    }
}

impl Resources {
    pub(super) async fn list_contacts(
        &self,
        call: &Incoming,
        message: ListContactsRequest,
    ) -> Result<ListContactsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let key = required_key("resource", message.resource.as_ref())?;
        let query = format!("contacts of {key} in {organization}");
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;

        let listed = self.0.services.query(&call.reading(), organization, &ListContacts { key, size, after }).await?;
        let (contacts, next) = (listed.value.contacts, listed.value.next);
        let page = self.0.page(&query, contacts, next, |contact| address_key(&contact.email), contact)?;
        Ok(ListContactsResponse {
            contacts: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }

    pub(super) async fn look_up_unsubscription(
        &self,
        _: &Incoming,
        message: LookUpUnsubscriptionRequest,
    ) -> Result<LookUpUnsubscriptionResponse, Error> {
        let link = self.0.services.look_up_unsubscription(&message.token.into()).await?;
        Ok(LookUpUnsubscriptionResponse {
            organization_display_name: link.organization,
            resource_display_name: link.resource,
            unsubscribed: link.is_muted,
        })
    }

    pub(super) async fn unsubscribe(
        &self,
        call: &Incoming,
        message: UnsubscribeRequest,
    ) -> Result<UnsubscribeResponse, Error> {
        let link = self.0.services.unsubscribe(&call.reading(), &message.token.into(), message.undo).await?.value;
        Ok(UnsubscribeResponse {
            organization_display_name: link.organization,
            resource_display_name: link.resource,
            unsubscribed: link.is_muted,
        })
    }
}
