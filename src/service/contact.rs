//! Contacts: bare addresses that are told of a resource, and how they get rid of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::throttle::Tried;
use super::{Context, Read, Services, Written};
use crate::auth::{Counted, Unsubscription, hash_of};
use crate::domain::contact::{Contact, must_have_room};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{ContactId, OrganizationId};
use crate::domain::place::ResourceKey;
use crate::store::{Lock, Tx};

/// Asks for an address to be told of a resource.
#[derive(Clone)]
pub struct AddContact {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which resource.
    pub key: ResourceKey,
    /// Where mails go.
    pub email: String,
}

impl std::fmt::Debug for AddContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddContact(…)")
    }
}

/// Asks for a contact to be removed.
#[derive(Clone, Debug)]
pub struct RemoveContact {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which resource.
    pub key: ResourceKey,
    /// Which.
    pub id: ContactId,
}

/// Asks for a page of contacts.
#[derive(Clone, Debug)]
pub struct ListContacts {
    /// Whose.
    pub organization: OrganizationId,
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
    /// Has an address told of a resource. One that is a contact already stays as it is.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::EmailMalformed`].
    /// - [`Reason::ContactsExhausted`], [`Reason::ContactUnsubscribed`].
    pub async fn add_contact(
        self: &Arc<Self>,
        context: &Context,
        request: AddContact,
    ) -> Result<Written<Contact>, Error> {
        let AddContact { organization, key, email } = request;
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(&key), self.world.now())
            .await?;
        context.authorize(&actor, Some(&key), &key.kind)?;
        let email = Email::parse("email", &email)?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            add(tx, call.clone(), organization, key.clone(), email.clone())
        })
        .await
    }

    /// Has a contact told of a resource no more.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    pub async fn remove_contact(
        self: &Arc<Self>,
        context: &Context,
        request: RemoveContact,
    ) -> Result<Written<Contact>, Error> {
        let (organization, key) = (request.organization, &request.key);
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(key), self.world.now())
            .await?;
        context.authorize(&actor, Some(key), &key.kind)?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| remove(tx, call.clone(), request.clone())).await
    }

    /// Lists the contacts of a resource, by address.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    pub async fn list_contacts(&self, context: &Context, request: ListContacts) -> Result<Read<Contacts>, Error> {
        let ListContacts { organization, key, size, after } = request;
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor =
            reads.of(organization).actor(context.subject()?, std::slice::from_ref(&key), self.world.now()).await?;
        context.authorize(&actor, Some(&key), &key.kind)?;
        let (contacts, next) = reads.of(organization).contact_page(&key, after.as_deref(), size).await?;
        Ok(Read { value: Contacts { contacts, next }, token })
    }

    /// Shows what a link in a notification is about. Looking changes nothing.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for a token that this installation did not make.
    pub async fn look_up_unsubscription(&self, token: &str) -> Result<ContactLink, Error> {
        let told = self.unsubscription(token)?;
        let reads = self.store.reads();
        let organization = reads.of(told.organization).organization().await?;
        let resource = reads.of(told.organization).resource(&told.key).await?;
        let hash = hash_of(&told.email_key);
        Ok(ContactLink {
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            resource: resource.map(|resource| resource.display_name).unwrap_or_default(),
            is_muted: reads.of(told.organization).contact_is_muted(&told.key, &hash).await?,
        })
    }

    /// Has the address of a link told of its resource no more, whoever adds it again; with `undo`, lets it be added again.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`] after too many changes by one link.
    /// - [`Reason::NotFound`] for a token that this installation did not make.
    pub async fn unsubscribe(
        self: &Arc<Self>,
        context: &Context,
        token: &str,
        undo: bool,
    ) -> Result<Written<ContactLink>, Error> {
        let told = self.unsubscription(token)?;
        let reads = self.store.reads();
        let hash = hash_of(&told.email_key);
        let is_muted = reads.of(told.organization).contact_is_muted(&told.key, &hash).await?;
        let exists = reads.of(told.organization).resource(&told.key).await?.is_some();
        if if undo { !is_muted } else { is_muted || !exists } {
            // Nothing is to be changed, and nobody's lock is taken for it.
            let value = ContactLink { is_muted: !undo && exists, ..self.look_up_unsubscription(token).await? };
            return Ok(Written { value, token: None, is_replay: false });
        }
        let of: [&[u8]; 4] = [
            told.organization.0.as_bytes(),
            told.key.kind.as_bytes(),
            told.key.id.as_bytes(),
            told.email_key.as_bytes(),
        ];
        let key = self.sealer.fingerprint(Counted::Unsubscription, &of);
        // Whoever holds the link can have it written to and fro, so each time counts.
        drop(self.try_once(&[Tried::Bearer(key)]).await?);
        let lock = Lock::Organization(told.organization);
        self.write(context, lock, move |tx| mute(tx, told.clone(), undo)).await
    }

    fn unsubscription(&self, token: &str) -> Result<Unsubscription, Error> {
        Unsubscription::open(&self.sealer, token).ok_or_else(|| Error::not_found("subscription", ""))
    }
}

async fn add(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    key: ResourceKey,
    email: Email,
) -> Result<(Tx, Contact), Error> {
    let actor = tx.reads().actor(context.subject()?, std::slice::from_ref(&key), tx.now()).await?;
    context.authorize(&actor, Some(&key), &key.kind)?;
    if let Some(known) = tx.reads().contact_by_email(&key, &email).await? {
        return Ok((tx, known));
    }
    if tx.reads().contact_is_muted(&key, &hash_of(email.key())).await? {
        let message = "the address wants no mails about this resource";
        return Err(Error::new(Reason::ContactUnsubscribed, message).about("resource", &key));
    }
    must_have_room(&key, tx.reads().contact_count(&key).await?)?;
    let contact = Contact { id: tx.id(), key, email: email.text().to_owned(), created_at: tx.now() };
    tx.contact_insert(&contact, &email).await?;
    Ok((tx, contact))
}

async fn remove(mut tx: Tx, context: Context, request: RemoveContact) -> Result<(Tx, Contact), Error> {
    let RemoveContact { organization, key, id } = request;
    let actor = tx.reads().actor(context.subject()?, std::slice::from_ref(&key), tx.now()).await?;
    context.authorize(&actor, Some(&key), &key.kind)?;
    let contact = tx.reads().contact(&key, id).await?;
    let contact = contact.ok_or_else(|| Error::not_found("contact", id))?;
    tx.contacts_delete(std::slice::from_ref(&contact)).await?;
    Ok((tx, contact))
}

async fn mute(mut tx: Tx, told: Unsubscription, undo: bool) -> Result<(Tx, ContactLink), Error> {
    let Unsubscription { organization: _, key, email_key } = told;
    let hash = hash_of(&email_key);
    let resource = tx.reads().resource(&key).await?;
    let is_muted = tx.reads().contact_is_muted(&key, &hash).await?;
    if undo && is_muted {
        tx.contact_unmute(&key, &hash).await?;
    }
    // Of a resource that is gone nobody is told; one that comes anew under its name is another.
    if !undo && !is_muted && resource.is_some() {
        let email = Email::parse("token", &email_key)?;
        let contact = tx.reads().contact_by_email(&key, &email).await?;
        tx.contacts_delete(contact.as_slice()).await?;
        tx.contact_mute(&key, &hash).await?;
    }
    let found = tx.reads().organization().await?;
    let link = ContactLink {
        organization: found.map(|organization| organization.display_name).unwrap_or_default(),
        is_muted: !undo && resource.is_some(),
        resource: resource.map(|resource| resource.display_name).unwrap_or_default(),
    };
    Ok((tx, link))
}
