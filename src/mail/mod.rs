//! Mails: what they say, how they look, and what sends one.
//!
//! A use case seals a [`Mail`] and adds it as a delivery to its transaction; `jobs` takes it once that has committed, and
//! the [`Sender`] sends it. A new mail is a variant of [`Mail`] and a text in `template`; a new way out is a variant inside
//! [`MailTransport`]. May import `domain`, `clock`, `store`, `locked` and from `auth` the sealer. Addresses, names,
//! links and tokens never stand in a log: a mail is named by its id.

mod message;
mod sender;
mod template;
mod transport;

pub use message::{Mail, MailError};
pub use sender::{SendError, Sender};
pub use template::{Letter, render};
pub use transport::{MailTransport, TransportError};
