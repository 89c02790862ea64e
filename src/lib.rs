//! Guildhall: identity, membership and authorization for the backends of multi-tenant products.

pub mod app;
pub mod auth;
pub mod authz;
pub mod changelog;
pub mod clock;
pub mod config;
pub mod console;
pub mod demo;
pub mod domain;
pub mod jobs;
pub mod locked;
pub mod mail;
pub mod private;
pub mod rpc;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod workers;

/// The generated messages, servers and clients of `guildhall.v1`.
pub mod proto {
    #![allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
    tonic::include_proto!("guildhall.v1");

    /// The encoded descriptor set of `proto/`, with comments, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
