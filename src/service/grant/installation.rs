//! Grants above organizations: at the installation, and at a product over all organizations that follow its catalog.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::catalog::{Catalog, OPERATOR};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, Held, UserState};
use crate::domain::id::UserId;
use crate::domain::place::{Place, Principal, Subject};
use crate::service::mutation::{AuthorizeAbove, Transaction};
use crate::service::{Call, Context, Services, Written};
use crate::store::{Lock, Reads, Tx};

/// What is granted or revoked above organizations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstallationDelta {
    /// A person, or a service account of the installation.
    pub subject: Subject,
    /// The installation or a product.
    pub place: Place,
    /// A role that is held there.
    pub role: Arc<str>,
    /// Whether it is granted; else it is revoked.
    pub is_grant: bool,
}

/// What changed above organizations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InstallationChanged {
    /// Grants that are new.
    pub granted: Vec<Grant>,
    /// Grants that are gone.
    pub revoked: Vec<Grant>,
}

/// Grants and revokes above organizations, all at one revision of the installation (TE-09).
///
/// # Errors
/// - [`Reason::OperatorRequired`]; [`Reason::NotFound`] for a subject that is not there.
/// - [`Reason::CatalogUnknown`], [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], under `deltas[i]`.
/// - [`Reason::SelfRemoval`]; [`Reason::RoleCardinality`] if no operator would be left.
#[derive(Debug)]
pub struct ChangeInstallationGrants {
    /// Applied in order, all or none.
    pub deltas: Vec<InstallationDelta>,
}

impl Services {
    /// Grants and revokes above organizations.
    ///
    /// # Errors
    /// As [`ChangeInstallationGrants`].
    pub async fn change_installation_grants(
        self: &Arc<Self>,
        context: &Context,
        request: ChangeInstallationGrants,
    ) -> Result<Written<InstallationChanged>, Error> {
        self.execute(context, request).await
    }
}

impl AuthorizeAbove for ChangeInstallationGrants {
    type Actor = Subject;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Subject, Error> {
        call.operator().await
    }
}

impl Transaction for ChangeInstallationGrants {
    type Output = InstallationChanged;

    /// The installation's log from the beginning: of two operators who revoke each other, the second one is asked for their
    /// role when the first one's commit is done.
    fn lock(&self) -> Lock {
        Lock::InstallationAtOnce
    }

    /// So that nobody holds anything whose account is ended meanwhile.
    fn users(&self) -> Vec<UserId> {
        let users = self.deltas.iter().filter_map(|delta| match delta.subject {
            Subject::User(id) => Some(id),
            Subject::ServiceAccount(_) => None,
        });
        users.collect()
    }

    async fn apply(&self, tx: &mut Tx, caller: Subject) -> Result<InstallationChanged, Error> {
        must_be_possible(tx.above(), &self.deltas).await?;
        let mut changed = InstallationChanged::default();
        for InstallationDelta { subject, place, role, is_grant } in &self.deltas {
            let (principal, held) = (subject.above(), Held::Role(Arc::clone(role)));
            let there = tx.above().installation_grant(principal, place, &held).await?;
            match (there, is_grant) {
                (None, true) => {
                    let (place, source) = (place.clone(), GrantSource::Manual);
                    let grant = Grant { id: tx.id(), principal, place, held, expires_at: None, source };
                    tx.installation_grant_insert(&grant).await?;
                    changed.granted.push(grant);
                }
                (Some(grant), false) => {
                    if *subject == caller {
                        return Err(Error::new(Reason::SelfRemoval, "nobody takes from themselves"));
                    }
                    tx.installation_grant_delete(&grant).await?;
                    changed.revoked.push(grant);
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        if tx.above().operator_count().await? == 0 {
            let message = "an installation has at least one operator";
            return Err(Error::new(Reason::RoleCardinality, message).about("role", OPERATOR));
        }
        Ok(changed)
    }
}

/// Ensures that every subject is there and every role can be held at its place.
async fn must_be_possible(reads: Reads<'_>, deltas: &[InstallationDelta]) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (index, delta) in deltas.iter().enumerate() {
        let is_there = match delta.subject {
            Subject::User(id) => reads.user_state(id).await?.is_some_and(|state| state != UserState::Deleted),
            Subject::ServiceAccount(id) => reads.installation_service_account(id).await?,
        };
        if !is_there {
            return Err(match delta.subject {
                Subject::User(id) => Error::not_found("user", id),
                Subject::ServiceAccount(id) => Error::not_found("service_account", id),
            });
        }
        let field = format!("deltas[{index}]");
        let catalog = match &delta.place {
            Place::Product(name) => {
                let found = reads.catalog_named(name, None).await?;
                if found.is_none() {
                    let message = "names no preset and no catalog of this installation";
                    violations.add(format!("{field}.product"), Reason::CatalogUnknown, message);
                    continue;
                }
                found.map(|(_, catalog)| catalog)
            }
            _ => None,
        };
        violations.take(must_be_held_there(delta, catalog.as_deref(), &format!("{field}.role")))?;
    }
    violations.finish()
}

fn must_be_held_there(delta: &InstallationDelta, catalog: Option<&Catalog>, field: &str) -> Result<(), Error> {
    let Some(catalog) = catalog else {
        if *delta.role == *OPERATOR {
            return Ok(());
        }
        return Err(Error::invalid(field, Reason::RoleUnknown, "names no role of the installation"));
    };
    let Some(id) = catalog.role_id(&delta.role) else {
        return Err(Error::invalid(field, Reason::RoleUnknown, "names no role of the catalog"));
    };
    let role = catalog.role(id);
    let principal: Principal = delta.subject.above();
    if role.at.product && role.to.has(principal) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        Reason::RoleNotAssignable,
        "names a role that is not held there, or not by such a subject",
    ))
}
