//! The rules and the words they are written in: pure functions over plain data.
//!
//! Nothing here awaits, reads a clock, draws a random number, names a database or a wire format. What a rule
//! needs comes in as a value. A new rule goes to the module of the noun that it is about; a new noun gets a module.

pub mod access;
pub mod catalog;
pub mod contact;
pub mod email;
pub mod error;
pub mod fact;
pub mod fields;
pub mod grant;
pub mod group;
pub mod id;
pub mod invitation;
pub mod mailing;
pub mod member;
pub mod metadata;
pub mod notification;
pub mod organization;
pub mod password;
pub mod place;
pub mod resource;
pub mod revision;
pub mod service_account;
pub mod text;
pub mod throttle;
pub mod time;
pub mod words;
