//! Mails: what they say, how they look, and the worker that carries them out of the outbox.
//!
//! A use case seals a [`Mail`] and puts it into the outbox within its transaction; the [`Worker`] sends it once that
//! has committed. A new mail is a variant of [`Mail`] and a text in `template`; a new way out is a variant inside
//! [`MailTransport`]. May import `domain`, `clock`, `store`, `locked` and from `auth` the sealer. Addresses, names,
//! links and tokens never stand in a log: a mail is named by its id.

mod message;
mod template;
mod transport;
mod worker;

pub use message::{Mail, MailError};
pub use template::{Letter, render};
pub use transport::{MailTransport, TransportError};
pub use worker::{Settings, Worker};
