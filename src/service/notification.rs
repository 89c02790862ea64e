//! Mailing about a resource: to whom, and the mails.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Authorize, Call, Context, Mutation, Query, Services, Settings, Written};
use crate::auth::{Sealer, Unsubscription};
use crate::clock::Env;
use crate::domain::access::Actor;
use crate::domain::contact::Contact;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::notification::{Recipient, listing_roles, merge};
use crate::domain::place::ResourceKey;
use crate::mail::Mail;
use crate::store::{NewDelivery, OrgReads, Tx};

/// Most recipients of one notification.
const RECIPIENTS_MAX: usize = 10_000;
/// Recipients read at a time.
const PAGE_SIZE: u32 = 1_000;
/// Most notifications about one resource in a window.
const NOTIFICATIONS_MAX: u32 = 20;
/// How long the window is; it begins with the first.
const WINDOW: Duration = Duration::from_hours(1);

/// Lists who is mailed about a resource, by address (TE-22).
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct ListRecipients {
    /// About which resource.
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

impl Authorize for ListRecipients {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Query for ListRecipients {
    type Output = Recipients;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<Recipients, Error> {
        page(call.reads, &actor, &self.key, self.after.as_deref(), self.size).await
    }
}

/// Mails all recipients of a resource, once this has committed.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RateLimited`].
/// - [`Reason::OutOfRange`] above 10,000 recipients.
pub struct NotifyResource {
    /// About which resource.
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

/// Who was notified.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Notified {
    /// How many mails go out.
    pub recipient_count: u32,
}

/// A notification with what its mails are sealed by, under the lock, because only there it is known to whom they go.
struct PreparedNotification {
    request: NotifyResource,
    mailer: Mailer,
}

/// What mails are made with.
struct Mailer {
    settings: Settings,
    sealer: Sealer,
    env: Env,
}

impl Services {
    /// Mails all recipients of a resource.
    ///
    /// # Errors
    /// As [`NotifyResource`].
    pub async fn notify_resource(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: NotifyResource,
    ) -> Result<Written<Notified>, Error> {
        let authorized = self.authorize(context, organization, &request).await?;
        let (settings, sealer, env) = (self.settings.clone(), self.sealer.clone(), self.env.clone());
        let prepared = PreparedNotification { request, mailer: Mailer { settings, sealer, env } };
        self.commit_in(context, &authorized, prepared).await
    }
}

impl Authorize for NotifyResource {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Authorize for PreparedNotification {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.request.authorize(call).await
    }
}

impl Mutation for PreparedNotification {
    type Output = Notified;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Notified, Error> {
        let key = &self.request.key;
        let (count, began_at) = tx.notification_count(key, WINDOW).await?;
        if count > NOTIFICATIONS_MAX {
            let message = format!("more than {NOTIFICATIONS_MAX} notifications about the resource in an hour");
            let wait = began_at.plus(WINDOW).since(actor.now);
            return Err(Error::new(Reason::RateLimited, message).about("resource", key).retry_after(wait));
        }

        let recipients = all(tx.reads(), &actor, key).await?;
        let organization = tx.reads().organization().await?;
        let resource = tx.reads().resource(key).await?;
        let names = Names {
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            resource: resource.map(|resource| resource.display_name).unwrap_or_default(),
        };
        let mail = |to| self.mailer.notification(actor.organization, &self.request, &names, to);
        let mails = recipients.iter().map(mail).collect::<Result<_, _>>()?;
        tx.deliveries_insert(mails).await?;
        Ok(Notified { recipient_count: u32::try_from(recipients.len()).unwrap_or(u32::MAX) })
    }
}

/// How a notification calls what it is about.
struct Names {
    organization: String,
    resource: String,
}

impl Mailer {
    /// Returns the delivery of a notification's mail to one recipient. A contact gets a link to unsubscribe by.
    fn notification(
        &self,
        organization: OrganizationId,
        request: &NotifyResource,
        names: &Names,
        to: &Recipient,
    ) -> Result<NewDelivery, Error> {
        let unsubscribe = match to.contact {
            None => None,
            Some(_) => {
                let email_key = Email::parse("email", &to.email)?.key().to_owned();
                let subscription = Unsubscription { organization, key: request.key.clone(), email_key };
                Some(self.settings.unsubscribe_link(&subscription.seal(&self.sealer, &self.env)))
            }
        };
        let mail = Mail::Notification {
            to: to.email.clone(),
            organization: names.organization.clone(),
            resource: names.resource.clone(),
            subject: request.subject.clone(),
            text: request.text.clone(),
            unsubscribe,
        };
        Ok(mail.delivery(&self.sealer, &self.env))
    }
}

/// Reads all recipients, if they are not too many.
async fn all(reads: OrgReads<'_>, actor: &Actor, key: &ResourceKey) -> Result<Vec<Recipient>, Error> {
    let (mut recipients, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = page(reads, actor, key, after.as_deref(), PAGE_SIZE).await?;
        recipients.extend(page.recipients);
        if recipients.len() > RECIPIENTS_MAX {
            let message = format!("has more than {RECIPIENTS_MAX} recipients");
            return Err(Error::invalid("resource", Reason::OutOfRange, message));
        }
        after = page.next;
        if after.is_none() {
            return Ok(recipients);
        }
    }
}

/// Reads some of the recipients: members before contacts with the same address.
async fn page(
    reads: OrgReads<'_>,
    actor: &Actor,
    key: &ResourceKey,
    after: Option<&str>,
    size: u32,
) -> Result<Recipients, Error> {
    let kind = actor.catalog.resource_type(&key.kind).map(|(id, _)| id);
    let roles = kind.map(|kind| listing_roles(&actor.catalog, kind)).unwrap_or_default();
    let members = reads.listed_people(key, &roles, actor.now, after, size + 1).await?;
    let (contacts, _) = reads.contact_page(key, after, size + 1).await?;
    let contacts = contacts.into_iter().map(of_contact).collect::<Result<Vec<_>, Error>>()?;
    let (recipients, next) = merge(members, contacts, size as usize);
    Ok(Recipients { recipients, next })
}

/// Returns a contact as a recipient, with its address key.
fn of_contact(contact: Contact) -> Result<(String, Recipient), Error> {
    let email_key = Email::parse("email", &contact.email)?.key().to_owned();
    let (membership, display_name) = (None, String::new());
    Ok((email_key, Recipient { membership, contact: Some(contact.id), email: contact.email, display_name }))
}
