//! Sends one mail: opens the payload of its delivery, writes it out and gives it to the transport.

use std::fmt;

use uuid::Uuid;

use super::message::{Mail, MailError};
use super::template;
use super::transport::{MailTransport, TransportError};
use crate::auth::Sealer;
use crate::clock::Env;
use crate::store::NewDelivery;

/// Sends the mails that deliveries hold.
pub struct Sender {
    sealer: Sealer,
    transport: MailTransport,
    env: Env,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Its payload cannot be read.
    #[error("the mail of the delivery is of no use")]
    Mail(#[from] MailError),
    /// The transport did not take it.
    #[error("sending the mail")]
    Transport(#[from] TransportError),
}

impl Sender {
    /// Returns a sender of mails that were sealed by `sealer`.
    #[must_use]
    pub fn new(sealer: Sealer, transport: MailTransport, env: Env) -> Self {
        Self { sealer, transport, env }
    }

    /// Sends a mail under the id of its delivery, and returns the mail that reports it, if there is one.
    ///
    /// # Errors
    /// - [`SendError::Mail`] if `sealed` is none.
    /// - [`SendError::Transport`] if it did not go out.
    pub async fn send(&self, id: Uuid, sealed: &[u8]) -> Result<Option<NewDelivery>, SendError> {
        let mail = Mail::open(&self.sealer, sealed)?;
        self.transport.send(id, &template::render(&mail)).await?;
        Ok(mail.follow_up().map(|mail| mail.delivery(&self.sealer, &self.env)))
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("transport", &self.transport).finish_non_exhaustive()
    }
}
