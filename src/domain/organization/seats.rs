//! Seats: how many memberships an organization, or the list of a resource, has room for (AX-25).

use crate::domain::error::{Error, Reason};
use crate::domain::place::ResourceKey;

/// How many may sit somewhere, and how many do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Seats {
    /// Most that may; nothing if there is no bound.
    pub limit: Option<u32>,
    /// How many do.
    pub used: u32,
}

impl Seats {
    /// Ensures that a change which leads from `before` to `self` takes no seat that is not there. More may sit than may
    /// if the limit was lowered, but none is added then.
    ///
    /// # Errors
    /// - [`Reason::SeatsExhausted`], about the resource, or the organization if none is named.
    pub fn must_be_there(self, before: Self, place: Option<&ResourceKey>) -> Result<(), Error> {
        let Some(limit) = self.limit.filter(|limit| self.used > *limit && self.used > before.used) else {
            return Ok(());
        };
        let error = Error::new(Reason::SeatsExhausted, format!("all {limit} seats are taken"));
        Err(match place {
            Some(key) => error.about("resource", key),
            None => error.about("organization", "seats"),
        })
    }
}
