//! The generated messages and the client of `AuthorizationService`.

#![allow(
    missing_docs,
    dead_code,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

tonic::include_proto!("guildhall.v1");
