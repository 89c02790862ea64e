//! The RPCs of this service and what each asks of its caller, generated from the method options in `proto/`.

/// What an RPC asks of its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Required {
    /// Nothing.
    Public,
    /// A valid credential.
    Authenticated,
    /// The built-in role of operators at the installation.
    Operator,
    /// A permission in the request's organization.
    Permission {
        /// Its name; `{type}` stands for the type of the request's resource, `{visible_by}` for what that type is visible by.
        permission: &'static str,
        /// Path of the request field that names the place; empty for the organization.
        place: &'static str,
        /// What the organization's catalog must have, if anything.
        feature: Option<Feature>,
    },
}

/// A part of Guildhall that a catalog has or leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// Groups of members.
    Groups,
    /// Roles of an organization's own.
    CustomRoles,
}

include!(concat!(env!("OUT_DIR"), "/rpc.rs"));
