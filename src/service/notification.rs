//! Telling people of a resource by mail.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Context, Read, Services, Written};
use crate::auth::Unsubscription;
use crate::domain::access::Actor;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::recipient::{Recipient, listing_roles, merge};
use crate::domain::text::required_name;
use crate::domain::time::Timestamp;
use crate::mail::Mail;
use crate::store::{Lock, Reads, Tx};

/// Most bytes of a notification's text.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Most recipients of one notification.
const RECIPIENTS_MAX: usize = 10_000;
/// Recipients read at a time.
const PAGE_SIZE: u32 = 1_000;
/// Most notifications about one resource in a window.
const NOTIFICATIONS_MAX: u32 = 20;
/// How long the window is; it begins with the first.
const WINDOW: Duration = Duration::from_hours(1);

/// Asks who is told of a resource.
#[derive(Clone, Debug)]
pub struct ListRecipients {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which resource.
    pub key: ResourceKey,
    /// At most so many.
    pub size: u32,
    /// The address key after which the page begins.
    pub after: Option<String>,
}

/// A page of recipients.
#[derive(Clone, Debug)]
pub struct Recipients {
    /// By address.
    pub recipients: Vec<Recipient>,
    /// The address key after which the next page begins, if there is one.
    pub next: Option<String>,
}

/// Asks for people to be told of a resource.
#[derive(Clone)]
pub struct NotifyResource {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which resource.
    pub key: ResourceKey,
    /// One line.
    pub subject: String,
    /// Lines.
    pub text: String,
}

impl std::fmt::Debug for NotifyResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NotifyResource(…)")
    }
}

/// Who was told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Notified {
    /// How many mails go out.
    pub recipient_count: u32,
}

impl Services {
    /// Lists who is told of a resource, by address (TE-22).
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    pub async fn list_recipients(&self, context: &Context, request: ListRecipients) -> Result<Read<Recipients>, Error> {
        let ListRecipients { organization, key, size, after } = request;
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor =
            reads.of(organization).actor(context.subject()?, std::slice::from_ref(&key), self.world.now()).await?;
        let now = self.world.now();
        context.authorize(&actor, Some(&key), &key.kind)?;
        let (recipients, next) = page(&reads, &actor, organization, &key, now, after.as_deref(), size).await?;
        Ok(Read { value: Recipients { recipients, next }, token })
    }

    /// Sends a mail about a resource to everybody who is told of it, once this has committed.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RateLimited`].
    /// - [`Reason::FieldRequired`], [`Reason::TextMalformed`]; [`Reason::OutOfRange`] above 10,000 recipients.
    pub async fn notify_resource(
        self: &Arc<Self>,
        context: &Context,
        mut request: NotifyResource,
    ) -> Result<Written<Notified>, Error> {
        let (organization, key) = (request.organization, &request.key);
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(key), self.world.now())
            .await?;
        context.authorize(&actor, Some(key), &key.kind)?;
        let mut violations = Violations::default();
        let subject = violations.take(required_name("subject", &request.subject))?;
        violations.take(must_be_text("text", &request.text))?;
        violations.finish()?;
        request.subject = subject.ok_or_else(|| Error::internal("a field without a value or a violation"))?;

        let (call, services) = (context.clone(), Arc::clone(self));
        self.write(context, Lock::Organization(organization), move |tx| {
            notify(tx, Arc::clone(&services), call.clone(), request.clone())
        })
        .await
    }

    fn notification(
        &self,
        request: &NotifyResource,
        names: &(String, String),
        to: &Recipient,
    ) -> Result<Vec<u8>, Error> {
        let unsubscribe = match to.contact {
            None => None,
            Some(_) => {
                let email_key = Email::parse("email", &to.email)?.key().to_owned();
                let told = Unsubscription { organization: request.organization, key: request.key.clone(), email_key };
                Some(self.settings.unsubscribe_link(&told.seal(&self.sealer, &self.world)))
            }
        };
        let mail = Mail::Notification {
            to: to.email.clone(),
            organization: names.0.clone(),
            resource: names.1.clone(),
            subject: request.subject.clone(),
            text: request.text.clone(),
            unsubscribe,
        };
        Ok(mail.seal(&self.sealer, &self.world))
    }
}

async fn notify(
    mut tx: Tx,
    services: Arc<Services>,
    context: Context,
    request: NotifyResource,
) -> Result<(Tx, Notified), Error> {
    let (organization, key, now) = (request.organization, &request.key, tx.now());
    let actor = tx.reads().actor(context.subject()?, std::slice::from_ref(key), tx.now()).await?;
    context.authorize(&actor, Some(key), &key.kind)?;
    let (count, began_at) = tx.notification_count(key, WINDOW).await?;
    if count > NOTIFICATIONS_MAX {
        let message = format!("more than {NOTIFICATIONS_MAX} notifications about the resource in an hour");
        let wait = began_at.plus(WINDOW).since(now);
        return Err(Error::new(Reason::RateLimited, message).about("resource", key).retry_after(wait));
    }

    let (mut recipients, mut after) = (Vec::new(), None::<String>);
    loop {
        let (found, next) = page(&tx.above(), &actor, organization, key, now, after.as_deref(), PAGE_SIZE).await?;
        recipients.extend(found);
        if recipients.len() > RECIPIENTS_MAX {
            let message = format!("has more than {RECIPIENTS_MAX} recipients");
            return Err(Error::invalid("resource", Reason::OutOfRange, message));
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    let in_words = tx.reads().organization().await?;
    let resource = tx.reads().resource(key).await?;
    let names = (
        in_words.map(|organization| organization.display_name).unwrap_or_default(),
        resource.map(|resource| resource.display_name).unwrap_or_default(),
    );
    let mails = recipients.iter().map(|to| services.notification(&request, &names, to)).collect::<Result<_, _>>()?;
    tx.mails_insert(mails).await?;
    Ok((tx, Notified { recipient_count: u32::try_from(recipients.len()).unwrap_or(u32::MAX) }))
}

/// Reads some of who is told: members before contacts with the same address.
async fn page(
    reads: &Reads<'_>,
    actor: &Actor,
    organization: OrganizationId,
    key: &ResourceKey,
    now: Timestamp,
    after: Option<&str>,
    size: u32,
) -> Result<(Vec<Recipient>, Option<String>), Error> {
    let kind = actor.catalog.resource_type(&key.kind).map(|(id, _)| id);
    let roles = kind.map(|kind| listing_roles(&actor.catalog, kind)).unwrap_or_default();
    let people = reads.of(organization).listed_people(key, &roles, now, after, size + 1).await?;
    let (contacts, _) = reads.of(organization).contact_page(key, after, size + 1).await?;
    let contact = |contact: crate::domain::contact::Contact| {
        let email_key = Email::parse("email", &contact.email)?.key().to_owned();
        let (membership, display_name) = (None, String::new());
        Ok((email_key, Recipient { membership, contact: Some(contact.id), email: contact.email, display_name }))
    };
    let contacts = contacts.into_iter().map(contact).collect::<Result<Vec<_>, Error>>()?;
    Ok(merge(people, contacts, size as usize))
}

/// Asks that a text can stand in a mail.
fn must_be_text(field: &str, text: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, Reason::FieldRequired, "is required"));
    }
    if text.len() > TEXT_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n' && c != '\r') {
        let message = "must be at most 8192 bytes without control characters but line ends";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(())
}
