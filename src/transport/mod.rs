//! The wire: the only room, with the generated `proto` module, that names tonic, tower, http and prost.
//!
//! A handler decodes, calls its use case and encodes. `layer` stands before all of them: call id, credential, deadline,
//! panics, metrics, spans; `listener` before that, with the connections. One file per service; the next service is a new
//! file and a line in `dispatch`.

mod catalog;
mod check;
mod convert;
mod dispatch;
mod group;
mod handle;
mod http_endpoints;
mod incoming;
mod invitation;
mod layer;
mod listener;
mod member;
mod organization;
mod page;
mod put_off;
mod resource;
mod role;
mod server;
mod service_account;
mod session;
mod source;
mod status;
mod tls;
pub mod wire;

pub use http_endpoints::{Health, router};
pub use incoming::ServerState;
pub use layer::{Authenticator, HotPath};
pub use listener::{Listening, serve_plain};
pub use server::{health, serve, set_serving};
pub use source::Sources;
pub use tls::{TlsAcceptor, TlsError, tls};
