//! Contacts: bare addresses that are mailed about a resource, and how they unsubscribe from that.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mutation::{AuthorizeAbove, Transaction};
use super::throttle::Tried;
use super::{Authorize, Call, Context, Mutation, Query, Services, Written};
use crate::auth::{Counted, Presented, Unsubscription, hash_of};
use crate::domain::access::Actor;
use crate::domain::contact::{Contact, must_have_room};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::id::ContactId;
use crate::domain::place::ResourceKey;
use crate::store::{Lock, Reads, Tx};

/// Adds an address to those that are mailed about a resource. One that is a contact already stays as it is.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
/// - [`Reason::ContactsExhausted`], [`Reason::ContactUnsubscribed`].
#[derive(Debug)]
pub struct AddContact {
    /// About which resource.
    pub key: ResourceKey,
    /// Where mails go.
    pub email: Email,
}

impl Authorize for AddContact {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Mutation for AddContact {
    type Output = Contact;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Contact, Error> {
        let Self { key, email } = self;
        if let Some(known) = tx.reads().contact_by_email(key, email).await? {
            return Ok(known);
        }
        if tx.reads().contact_is_muted(key, &hash_of(email.key())).await? {
            let message = "the address wants no mails about this resource";
            return Err(Error::new(Reason::ContactUnsubscribed, message).about("resource", key));
        }
        must_have_room(key, tx.reads().contact_count(key).await?)?;
        let (id, email_text) = (tx.id(), email.text().to_owned());
        let contact = Contact { id, key: key.clone(), email: email_text, created_at: actor.now };
        tx.contact_insert(&contact, email).await?;
        Ok(contact)
    }
}

/// Removes a contact from a resource. It can be added again.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct RemoveContact {
    /// From which resource.
    pub key: ResourceKey,
    pub id: ContactId,
}

impl Authorize for RemoveContact {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Mutation for RemoveContact {
    type Output = Contact;

    async fn apply(&self, tx: &mut Tx, _actor: Actor) -> Result<Contact, Error> {
        let contact = tx.reads().contact(&self.key, self.id).await?;
        let contact = contact.ok_or_else(|| Error::not_found("contact", self.id))?;
        tx.contacts_delete(std::slice::from_ref(&contact)).await?;
        Ok(contact)
    }
}

/// Lists the contacts of a resource, by address.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct ListContacts {
    /// Of which resource.
    pub key: ResourceKey,
    /// At most so many.
    pub size: u32,
    /// The address key after which the page begins.
    pub after: Option<String>,
}

/// A page of contacts.
#[derive(Clone, Debug)]
pub struct Contacts {
    /// By address.
    pub contacts: Vec<Contact>,
    /// The address key after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl Authorize for ListContacts {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Query for ListContacts {
    type Output = Contacts;

    async fn read(&self, call: &Call<'_>, _actor: Actor) -> Result<Contacts, Error> {
        let (contacts, next) = call.reads.contact_page(&self.key, self.after.as_deref(), self.size).await?;
        Ok(Contacts { contacts, next })
    }
}

/// What a link in a notification is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContactLink {
    /// How the organization is called.
    pub organization: String,
    /// How the resource is called; empty if it is no more.
    pub resource: String,
    /// Whether the address gets no mails about it.
    pub is_muted: bool,
}

impl Services {
    /// Shows what a link in a notification is about. Looking changes nothing.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for a token that this installation did not make.
    pub async fn look_up_unsubscription(&self, token: &Presented) -> Result<ContactLink, Error> {
        let subscription = self.unsubscription(token)?;
        let reads = self.store.reads().of(subscription.organization);
        let organization = reads.organization().await?;
        let resource = reads.resource(&subscription.key).await?;
        let hash = hash_of(&subscription.email_key);
        Ok(ContactLink {
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            resource: resource.map(|resource| resource.display_name).unwrap_or_default(),
            is_muted: reads.contact_is_muted(&subscription.key, &hash).await?,
        })
    }

    /// Unsubscribes the address of a link from its resource, so that nobody can add it again; with `undo`, so that they can.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`] after too many changes by one link.
    /// - [`Reason::NotFound`] for a token that this installation did not make.
    pub async fn unsubscribe(
        self: &Arc<Self>,
        context: &Context,
        token: &Presented,
        undo: bool,
    ) -> Result<Written<ContactLink>, Error> {
        let subscription = self.unsubscription(token)?;
        let reads = self.store.reads().of(subscription.organization);
        let hash = hash_of(&subscription.email_key);
        let is_muted = reads.contact_is_muted(&subscription.key, &hash).await?;
        let exists = reads.resource(&subscription.key).await?.is_some();
        if if undo { !is_muted } else { is_muted || !exists } {
            // Nothing is to be changed, and nobody's lock is taken for it.
            let value = ContactLink { is_muted: !undo && exists, ..self.look_up_unsubscription(token).await? };
            return Ok(Written { value, token: None, is_replay: false });
        }
        let of: [&[u8]; 4] = [
            subscription.organization.0.as_bytes(),
            subscription.key.kind.as_bytes(),
            subscription.key.id.as_bytes(),
            subscription.email_key.as_bytes(),
        ];
        let key = self.sealer.fingerprint(Counted::Unsubscription, &of);
        // Whoever holds the link can have it written to and fro, so each time counts.
        drop(self.try_once(&[Tried::Bearer(key)]).await?);
        self.execute(context, Unsubscribe { subscription, undo }).await
    }

    fn unsubscription(&self, token: &Presented) -> Result<Unsubscription, Error> {
        Unsubscription::open(&self.sealer, token.text()).ok_or_else(|| Error::not_found("subscription", ""))
    }
}

/// Unsubscribes an address from a resource, or undoes that.
struct Unsubscribe {
    subscription: Unsubscription,
    undo: bool,
}

impl AuthorizeAbove for Unsubscribe {
    /// Nobody: the sealed token, which only this installation makes and only the address was sent, is what allows it.
    type Actor = ();

    async fn authorize(&self, _call: &Call<'_, Reads<'_>>) -> Result<(), Error> {
        Ok(())
    }
}

impl Transaction for Unsubscribe {
    type Output = ContactLink;

    fn lock(&self) -> Lock {
        Lock::Organization(self.subscription.organization)
    }

    async fn apply(&self, tx: &mut Tx, (): ()) -> Result<ContactLink, Error> {
        let Unsubscription { organization: _, key, email_key } = &self.subscription;
        let hash = hash_of(email_key);
        let resource = tx.reads().resource(key).await?;
        let is_muted = tx.reads().contact_is_muted(key, &hash).await?;
        if self.undo && is_muted {
            tx.contact_unmute(key, &hash).await?;
        }
        // About a resource that is gone nobody is mailed; one that comes anew under its name is another.
        if !self.undo && !is_muted && resource.is_some() {
            let email = Email::parse("token", email_key)?;
            let contact = tx.reads().contact_by_email(key, &email).await?;
            tx.contacts_delete(contact.as_slice()).await?;
            tx.contact_mute(key, &hash).await?;
        }
        let organization = tx.reads().organization().await?;
        Ok(ContactLink {
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            is_muted: !self.undo && resource.is_some(),
            resource: resource.map(|resource| resource.display_name).unwrap_or_default(),
        })
    }
}
