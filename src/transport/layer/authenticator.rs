//! Who calls, and whether the method option lets them.

use std::sync::Arc;

use http::HeaderMap;

use crate::domain::catalog::{Catalog, RoleId};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Held;
use crate::domain::place::{Place, Subject};
use crate::rpc::{Required, Rpc};
use crate::service::{Bearer, Services};

/// Turns a credential into its caller, and asks what the method option asks.
pub struct Authenticator {
    pub(super) services: Arc<Services>,
    catalog: Arc<Catalog>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Authenticator {
    /// Makes an authenticator; `catalog` is any, for the name of the built-in role.
    #[must_use]
    pub fn new(services: Arc<Services>, catalog: Arc<Catalog>) -> Self {
        Self { services, catalog }
    }

    /// Finds the credential of a call.
    ///
    /// # Errors
    /// - [`Reason::CredentialInvalid`] for a header that holds none.
    pub(super) fn presented(headers: &HeaderMap) -> Result<Option<&str>, Error> {
        let Some(header) = headers.get(http::header::AUTHORIZATION) else { return Ok(None) };
        let text = header.to_str().ok().and_then(|text| text.split_once(' '));
        match text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
            Some((_, credential)) => Ok(Some(credential)),
            None => Err(Error::new(Reason::CredentialInvalid, "the credential is not one of this service")),
        }
    }

    /// Asks what the method option asks of whoever calls, as far as it needs no message.
    ///
    /// # Errors
    /// - [`Reason::OperatorRequired`], [`Reason::CredentialMissing`].
    pub(super) fn admit(&self, rpc: Rpc, bearer: Option<&Bearer>) -> Result<(), Error> {
        match (rpc.required(), bearer) {
            (Required::Public, _) | (Required::Authenticated | Required::Permission { .. }, Some(_)) => Ok(()),
            (Required::Operator, Some(bearer)) if self.is_operator(bearer.caller().subject) => Ok(()),
            (Required::Operator, Some(_)) => Err(Error::new(Reason::OperatorRequired, "only operators may call this")),
            (_, None) => Err(Error::new(Reason::CredentialMissing, "a credential is needed")),
        }
    }

    /// Returns whether `subject` is an operator, by the index.
    pub(super) fn is_operator(&self, subject: Subject) -> bool {
        let now = self.services.env.now();
        let operator = &self.catalog.role(RoleId::OPERATOR).name;
        self.services.engine.installation().held_above(subject).any(|grant| {
            grant.place == Place::Installation
                && !grant.is_expired(now)
                && matches!(&grant.held, Held::Role(role) if role == operator)
        })
    }
}
