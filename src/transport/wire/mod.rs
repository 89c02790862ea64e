//! Checks in the wire format, without the generated code between: ids are borrowed from the frame that was received, and
//! answers are written into the buffer that is sent.
//!
//! The bytes are those of `proto/guildhall/v1`, and what is refused is what the generated code refuses: the tests hold
//! both against each other. Everything that is not asked a million times a second stays with the generated code.
//!
//! `read` and `write` are pure. To serve through them, implement [`ServeStream`] and put an [`InPlace`] around the
//! generated server where it is added; a message that is [`read::StreamFrame::Other`] is decoded with prost.

pub mod read;
pub mod write;

mod codec;
mod reader;
mod service;

pub use codec::{Outgoing, Prepared, WireCodec};
pub use reader::Malformed;
pub use service::{InPlace, ServeStream};
