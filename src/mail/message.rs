//! The mails there are, as data; their deliveries keep them sealed.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::auth::{Purpose, Sealer};
use crate::clock::Env;
use crate::domain::time::Timestamp;
use crate::store::{DeliveryKind, NewDelivery};

/// One mail to one person. Its delivery keeps it as sealed JSON: variants and fields are only ever added.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "snake_case")]
pub enum Mail {
    /// Brings the link by which an invitation is accepted.
    Invitation {
        /// Whom it goes to.
        to: String,
        /// How the organization is called.
        organization: String,
        /// How whoever invited is called, if it was a person.
        invited_by: Option<String>,
        /// Where the invitation is accepted; holds its token.
        link: String,
        /// From when on the link no longer works.
        expires_at: Timestamp,
        /// Who is told once this mail went out (CE-08).
        tell: Option<String>,
    },
    /// Tells whoever invited that the invitation went out (CE-08).
    InvitationSent {
        /// Whom it goes to.
        to: String,
        /// How the organization is called.
        organization: String,
        /// The address that was invited.
        invitee: String,
    },
    /// Tells somebody of a resource, in a product's own words (TE-22).
    Notification {
        /// Whom it goes to.
        to: String,
        /// How the organization is called.
        organization: String,
        /// How the resource is called.
        resource: String,
        /// One line.
        subject: String,
        /// Lines that end in a line feed.
        text: String,
        /// Where a contact wants no more of them; holds a token.
        unsubscribe: Option<String>,
    },
    /// Tells somebody that a role which changes hands by transfers has come to them, or has left them (CE-35, X18).
    RoleTransferred {
        /// Whom it goes to.
        to: String,
        /// How the organization is called.
        organization: String,
        /// Whether they hold it now; else they held it.
        is_new_holder: bool,
    },
}

/// Why the payload of a delivery is no mail.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It was not sealed with this installation's key, or was altered since.
    #[error("the mail cannot be opened")]
    Sealed,
    /// It holds something that this version does not know, as a newer one may write.
    #[error("the mail cannot be read")]
    Unknown,
}

impl Mail {
    /// Returns the address the mail goes to.
    #[must_use]
    pub fn to(&self) -> &str {
        match self {
            Self::Invitation { to, .. }
            | Self::InvitationSent { to, .. }
            | Self::RoleTransferred { to, .. }
            | Self::Notification { to, .. } => to,
        }
    }

    /// Returns the mail to be sent once this one went out.
    #[must_use]
    pub fn follow_up(&self) -> Option<Self> {
        match self {
            Self::Invitation { to, organization, tell: Some(tell), .. } => {
                Some(Self::InvitationSent { to: tell.clone(), organization: organization.clone(), invitee: to.clone() })
            }
            Self::Invitation { tell: None, .. }
            | Self::InvitationSent { .. }
            | Self::RoleTransferred { .. }
            | Self::Notification { .. } => None,
        }
    }

    /// Returns the mail without the one that is sent after it.
    #[must_use]
    pub fn without_follow_up(mut self) -> Self {
        if let Self::Invitation { tell, .. } = &mut self {
            *tell = None;
        }
        self
    }

    /// Returns the delivery that sends the mail.
    #[must_use]
    pub fn delivery(&self, sealer: &Sealer, env: &Env) -> NewDelivery {
        NewDelivery { id: env.id(), kind: DeliveryKind::Mail, sealed: self.seal(sealer, env) }
    }

    fn seal(&self, sealer: &Sealer, env: &Env) -> Vec<u8> {
        let plaintext = Zeroizing::new(serde_json::to_vec(self).expect("texts and numbers can be written as JSON"));
        sealer.seal(Purpose::OutboxMail, &plaintext, env)
    }

    /// Opens the payload of a delivery.
    ///
    /// # Errors
    /// - [`MailError::Sealed`] if it was not sealed by this installation.
    /// - [`MailError::Unknown`] if this version cannot read it.
    pub fn open(sealer: &Sealer, bytes: &[u8]) -> Result<Self, MailError> {
        let plaintext = sealer.open(Purpose::OutboxMail, bytes).map(Zeroizing::new).ok_or(MailError::Sealed)?;
        // What the parser says can quote the text, so it is dropped.
        serde_json::from_slice(&plaintext).map_err(|_| MailError::Unknown)
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invitation { .. } => "Invitation(…)",
            Self::InvitationSent { .. } => "InvitationSent(…)",
            Self::RoleTransferred { .. } => "RoleTransferred(…)",
            Self::Notification { .. } => "Notification(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::InstallationKey;

    fn sealer() -> Sealer {
        Sealer::new(&InstallationKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a key"))
    }

    fn invitation(tell: Option<&str>) -> Mail {
        Mail::Invitation {
            to: "ada@example.test".to_owned(),
            organization: "Analytical Engines".to_owned(),
            invited_by: Some("Charles".to_owned()),
            link: "https://guildhall.example.test/invitations#ghi_x".to_owned(),
            expires_at: Timestamp::from_micros(1),
            tell: tell.map(str::to_owned),
        }
    }

    #[test]
    fn a_sealed_mail_opens_as_it_was() {
        let mail = invitation(Some("charles@example.test"));
        let sealed = mail.seal(&sealer(), &Env::system());
        assert_eq!(Mail::open(&sealer(), &sealed).expect("opened"), mail);
        assert!(!String::from_utf8_lossy(&sealed).contains("example"));
    }

    #[test]
    fn what_was_not_sealed_as_a_mail_is_none() {
        let env = Env::system();
        let mut altered = invitation(None).seal(&sealer(), &env);
        altered[20] ^= 1;
        assert!(matches!(Mail::open(&sealer(), &altered), Err(MailError::Sealed)));
        let other = sealer().seal(Purpose::PageToken, b"{}", &env);
        assert!(matches!(Mail::open(&sealer(), &other), Err(MailError::Sealed)));
        let newer = sealer().seal(Purpose::OutboxMail, br#"{"mail":"not_yet_known"}"#, &env);
        assert!(matches!(Mail::open(&sealer(), &newer), Err(MailError::Unknown)));
    }

    #[test]
    fn ce_08_whoever_invited_is_told_once() {
        let told = invitation(Some("charles@example.test")).follow_up().expect("a follow-up");
        let expected = Mail::InvitationSent {
            to: "charles@example.test".to_owned(),
            organization: "Analytical Engines".to_owned(),
            invitee: "ada@example.test".to_owned(),
        };
        assert_eq!(told, expected);
        assert_eq!(told.follow_up(), None);
        assert_eq!(invitation(None).follow_up(), None);
    }

    #[test]
    fn debugging_a_mail_shows_nobody() {
        let mail = invitation(Some("charles@example.test"));
        assert_eq!(format!("{mail:?} {:?}", mail.follow_up()), "Invitation(…) Some(InvitationSent(…))");
    }
}
