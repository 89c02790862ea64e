//! Mails that a commit sends; that of an invitation is counted and added to it before anything else of it.

use super::Services;
use crate::auth::{Counted, Sealer};
use crate::clock::Env;
use crate::domain::catalog::OPERATOR;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::mailing::{MailLimit, MailLimits, WAIT_MAX};
use crate::domain::place::Subject;
use crate::domain::throttle::Key;
use crate::domain::time::Timestamp;
use crate::mail::Mail;
use crate::store::Tx;

/// The mail of an invitation, and what it counts under.
#[derive(Clone)]
pub struct Mailing {
    mail: Mail,
    sponsor: Subject,
    /// By limit, in the order of [`MailLimit::ALL`].
    keys: [Key; MailLimit::ALL.len()],
    limits: MailLimits,
    sealer: Sealer,
    env: Env,
}

impl std::fmt::Debug for Mailing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailing(…)")
    }
}

/// Seals the mails of mutations and adds them to their commits.
#[derive(Clone)]
pub struct Mailer {
    sealer: Sealer,
    env: Env,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailer")
    }
}

impl Mailer {
    /// Adds a mail to the commit.
    pub(super) async fn send(&self, tx: &mut Tx, mail: &Mail) -> Result<(), Error> {
        tx.delivery_insert(mail.delivery(&self.sealer, &self.env)).await
    }
}

impl Services {
    /// Returns what mutations send mails by.
    #[must_use]
    pub fn mailer(&self) -> Mailer {
        Mailer { sealer: self.sealer.clone(), env: self.env.clone() }
    }

    /// Prepares the mail of an invitation of `email`.
    pub(super) fn mailing(&self, sponsor: Subject, organization: OrganizationId, email: &Email, mail: Mail) -> Mailing {
        let of = organization.0.as_bytes();
        let by = match &sponsor {
            Subject::User(id) => id.0.as_bytes(),
            Subject::ServiceAccount(id) => id.0.as_bytes(),
        };
        let keys = MailLimit::ALL.map(|limit| match limit {
            MailLimit::RecipientOfOrganization => {
                self.sealer.fingerprint(Counted::RecipientOf, &[of, email.key().as_bytes()])
            }
            MailLimit::Recipient => self.sealer.fingerprint(Counted::Recipient, &[email.key().as_bytes()]),
            MailLimit::Sponsor => self.sealer.fingerprint(Counted::Sponsor, &[by]),
            MailLimit::Organization => self.sealer.fingerprint(Counted::Organization, &[of]),
        });
        let (limits, sealer, env) = (self.settings.mail_limits, self.sealer.clone(), self.env.clone());
        Mailing { mail, sponsor, keys, limits, sealer, env }
    }
}

impl Mailing {
    /// Counts the mail and adds it to the commit.
    ///
    /// Past what goes to one address in all, an operator is refused. Anybody else is answered as ever, since the address may be
    /// invited by organizations that they know nothing of: the mail waits, and is dropped if the invitation, which is open
    /// until `expires_at`, would not outlast the wait. Whoever is told that it went out is told at the same time as ever.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`], naming the limit.
    pub async fn put(self, tx: &mut Tx, expires_at: Timestamp) -> Result<(), Error> {
        let now = tx.now();
        let is_sent = |at: Timestamp| at <= now || at < expires_at.min(now.plus(WAIT_MAX));
        let (mut counted, mut send_at) = (tx.mails_counted(self.keys).await?, now);
        for (limit, counted) in MailLimit::ALL.into_iter().zip(&mut counted) {
            let (with_it, due_at) = counted.and_one(limit.most(&self.limits), limit.window(), now);
            let refuses = limit != MailLimit::Recipient;
            if due_at > now && (refuses || tx.above().holds_at_installation(self.sponsor, OPERATOR).await?) {
                let refusal = Error::new(Reason::RateLimited, limit.message(&self.limits));
                return Err(refusal.about("limit", limit.name()).retry_after(due_at.since(now)));
            }
            // What will not be sent counts for nothing.
            if is_sent(due_at) {
                *counted = with_it;
            }
            send_at = send_at.max(due_at);
        }
        let mut keys = self.keys.into_iter();
        tx.mails_count(counted.map(|counted| (keys.next().unwrap_or(Key::NONE), counted))).await?;

        if send_at <= now {
            return tx.delivery_insert(self.mail.delivery(&self.sealer, &self.env)).await;
        }
        if let Some(notice) = self.mail.follow_up() {
            tx.delivery_insert(notice.delivery(&self.sealer, &self.env)).await?;
        }
        if is_sent(send_at) {
            let alone = self.mail.without_follow_up().delivery(&self.sealer, &self.env);
            tx.delivery_insert_due(alone, send_at).await?;
        }
        Ok(())
    }
}
