//! What nobody does to themselves.

use super::facts::Actor;
use crate::domain::error::{Error, Reason};
use crate::domain::place::Principal;

/// Ensures that nobody takes from themselves. What a group or everyone holds is taken from many, of whom the caller happens to
/// be one.
///
/// # Errors
/// - [`Reason::SelfRemoval`].
pub fn may_take_from(actor: &Actor, principal: Principal) -> Result<(), Error> {
    must_be_another(actor, principal, "nobody takes from themselves")
}

/// Ensures that nobody disables, enables or deletes themselves.
///
/// # Errors
/// - [`Reason::SelfRemoval`].
pub fn may_do_to(actor: &Actor, principal: Principal) -> Result<(), Error> {
    must_be_another(actor, principal, "nobody does this to themselves")
}

fn must_be_another(actor: &Actor, principal: Principal, message: &'static str) -> Result<(), Error> {
    if actor.standing.is_alone(principal) { Err(Error::new(Reason::SelfRemoval, message)) } else { Ok(()) }
}
