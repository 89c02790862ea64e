//! The messages and the server of `AuthorizationService`, generated for the tests.

#![allow(
    missing_docs,
    dead_code,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/server/guildhall.v1.rs"));
