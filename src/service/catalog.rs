//! Catalogs: put and shown by operators; which one an organization follows.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mutation::{AuthorizeAbove, Transaction};
use super::{Authorize, Call, Context, Mutation, Services, Written};
use crate::auth::hash_of;
use crate::domain::access::Actor;
use crate::domain::catalog::{
    Catalog, CatalogError, Difference, InvitationKind, RoleId, diff, is_name, key_of, parse, presets,
};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::grant::assignment::Assignment;
use crate::domain::grant::cardinality::{self, Counters};
use crate::domain::id::{InvitationId, OrganizationId};
use crate::domain::invitation::Invitation;
use crate::domain::place::{Place, Principal, Subject};
use crate::domain::time::Timestamp;
use crate::store::{CatalogRow, Lock, OrgReads, Reads, Tx};

/// Most members who are given the default role of a catalog when their organization comes to follow it.
const DEFAULTS_MAX: u32 = 9_000;
/// Most open links that an answer names.
const LINKS_MAX: usize = 1_000;
/// Most texts that are read at a time for a page.
const TEXTS_MAX: u32 = 16;

/// One version of a catalog, as it is returned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CatalogView {
    /// Of all its versions.
    pub name: String,
    /// Of this text.
    pub version: u32,
    /// What it says of itself.
    pub description: String,
    /// Whether it ships with Guildhall.
    pub is_preset: bool,
    /// The text.
    pub yaml: String,
    /// When it was put; nothing for a preset.
    pub created_at: Option<Timestamp>,
}

/// A page of catalogs.
#[derive(Clone, Debug)]
pub struct Catalogs {
    /// Presets first.
    pub catalogs: Vec<CatalogView>,
    /// After which name and version the next page begins, if there is one.
    pub next: Option<(String, u32)>,
}

/// An organization that follows another catalog now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Followed {
    /// The key of the catalog that it follows.
    pub key: String,
    /// The first of its open links.
    pub links: Vec<InvitationId>,
}

/// Names one version of a catalog; the newest if none is named.
#[derive(Clone, Debug)]
pub struct CatalogName {
    /// A preset's, or an operator's.
    pub name: String,
    /// Of an operator's.
    pub version: Option<u32>,
}

/// Puts one version of a catalog.
///
/// # Errors
/// - [`Reason::CatalogInvalid`], a violation for each problem; [`Reason::NameTaken`]; [`Reason::OperatorRequired`].
#[derive(Debug)]
pub struct PutCatalog {
    /// The text.
    pub yaml: String,
}

/// A catalog whose text was read.
struct ReadCatalog {
    row: CatalogRow,
    catalog: Catalog,
}

/// Has an organization follow another catalog.
///
/// # Errors
/// - [`Reason::OperatorRequired`], [`Reason::NotFound`], [`Reason::CatalogUnknown`], [`Reason::CatalogIncompatible`],
///   [`Reason::ParentTypeNotAllowed`], [`Reason::RoleCardinality`].
/// - [`Reason::NameTaken`] if an organization that follows that catalog has the slug or the external id.
#[derive(Debug)]
pub struct SetOrganizationCatalog {
    pub name: CatalogName,
}

/// An organization that comes to follow a catalog.
struct Follow {
    request: SetOrganizationCatalog,
    key: Arc<str>,
    catalog: Arc<Catalog>,
}

impl Services {
    /// Puts one version of a catalog.
    ///
    /// # Errors
    /// As [`PutCatalog`].
    pub async fn put_catalog(
        self: &Arc<Self>,
        context: &Context,
        request: PutCatalog,
    ) -> Result<Written<CatalogView>, Error> {
        let authorized = self.authorize_above(context, Lock::Installation, &request).await?;
        let catalog = read(&request.yaml)?;
        if presets::preset(catalog.name()).is_some() {
            let message = "is the name of a preset; choose another";
            return Err(Error::new(Reason::NameTaken, message).about("catalog", catalog.name()));
        }
        let (name, version) = (catalog.name().to_string(), catalog.version());
        let key: Arc<str> = key_of(&name, version, &hash_of(&request.yaml)).into();
        let row = CatalogRow { key, name, version, yaml: request.yaml, created_at: self.env.now() };
        self.commit(context, &authorized, ReadCatalog { row, catalog }).await
    }

    /// Shows one version of a catalog.
    ///
    /// # Errors
    /// - [`Reason::NotFound`].
    pub async fn catalog(&self, name: &CatalogName) -> Result<CatalogView, Error> {
        let unknown = || Error::not_found("catalog", &name.name);
        if let Some((preset, yaml)) = presets::text(&name.name) {
            let is_meant = name.version.is_none_or(|version| version == preset.version());
            return if is_meant { Ok(view_of_preset(&preset, yaml)) } else { Err(unknown()) };
        }
        if !is_name(&name.name) {
            return Err(unknown());
        }
        let row = self.store.reads().catalog_row(&name.name, name.version).await?;
        view(self.store.reads(), row.ok_or_else(unknown)?)
    }

    /// Lists catalogs, the presets on the first page.
    pub async fn catalogs(&self, after: Option<(String, u32)>, size: u32) -> Result<Catalogs, Error> {
        let mut catalogs = Vec::new();
        if after.is_none() {
            let texts = presets::presets().iter().filter_map(|preset| presets::text(preset.name()));
            catalogs.extend(texts.map(|(preset, yaml)| view_of_preset(&preset, yaml)));
        }
        let (mut missing, mut from) = (size, after);
        loop {
            // The texts are large, and are read for what they say of themselves alone.
            let step = TEXTS_MAX.min(missing + 1);
            let rows = self.store.reads().catalog_page(from.as_ref(), step).await?;
            let is_end = rows.len() < step as usize;
            for row in rows {
                if missing == 0 {
                    return Ok(Catalogs { catalogs, next: from });
                }
                missing -= 1;
                from = Some((row.name.clone(), row.version));
                catalogs.push(CatalogView { yaml: String::new(), ..view(self.store.reads(), row)? });
            }
            if is_end {
                return Ok(Catalogs { catalogs, next: None });
            }
        }
    }

    /// Tells in what two catalogs differ.
    ///
    /// # Errors
    /// - [`Reason::NotFound`].
    pub async fn diff_catalogs(&self, one: &CatalogName, other: &CatalogName) -> Result<Vec<Difference>, Error> {
        let (one, other) = (self.catalog(one).await?, self.catalog(other).await?);
        Ok(diff(&one.yaml, &other.yaml))
    }

    /// Has an organization follow another catalog.
    ///
    /// # Errors
    /// As [`SetOrganizationCatalog`].
    pub async fn set_organization_catalog(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: SetOrganizationCatalog,
    ) -> Result<Written<Followed>, Error> {
        let authorized = self.authorize(context, organization, &request).await?;
        let found = self.store.reads().catalog_named(&request.name.name, request.name.version).await?;
        let (key, catalog) = found.ok_or_else(|| {
            let message = "names no preset and no catalog of this installation";
            Error::invalid("name", Reason::CatalogUnknown, message)
        })?;
        if !context.validate_only {
            // A default role may take the place of one that has expired: the commit has no room for many of these.
            self.sweep_organization(organization, self.env.now()).await?;
        }
        self.commit_in(context, &authorized, Follow { request, key, catalog }).await
    }
}

/// Reads a text whose problems are told as violations.
fn read(yaml: &str) -> Result<Catalog, Error> {
    parse("yaml", yaml).map_err(|error: CatalogError| {
        let mut violations = Violations::default();
        for problem in error.problems() {
            let mut field = format!("yaml:{}:{}", problem.line, problem.column);
            if !problem.field.is_empty() {
                field = format!("{field}:{}", problem.field);
            }
            violations.add(field, Reason::CatalogInvalid, problem.message.clone());
        }
        violations.finish().err().unwrap_or_else(|| Error::internal(error))
    })
}

impl AuthorizeAbove for PutCatalog {
    type Actor = Subject;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Subject, Error> {
        call.operator().await
    }
}

impl AuthorizeAbove for ReadCatalog {
    type Actor = Subject;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Subject, Error> {
        call.operator().await
    }
}

impl Transaction for ReadCatalog {
    type Output = CatalogView;

    fn lock(&self) -> Lock {
        Lock::Installation
    }

    async fn apply(&self, tx: &mut Tx, _operator: Subject) -> Result<CatalogView, Error> {
        match tx.above().catalog_row(&self.row.name, Some(self.row.version)).await? {
            None => {
                tx.catalog_insert(&self.row).await?;
                Ok(view_of_row(self.row.clone(), &self.catalog))
            }
            Some(there) if there.yaml == self.row.yaml => Ok(view_of_row(there, &self.catalog)),
            Some(_) => {
                let message = "this version is there with another text; a version never changes";
                Err(Error::new(Reason::NameTaken, message).about("catalog", &self.row.name))
            }
        }
    }
}

impl Authorize for SetOrganizationCatalog {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.operator().await
    }
}

impl Authorize for Follow {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.request.authorize(call).await
    }
}

impl Mutation for Follow {
    type Output = Followed;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Followed, Error> {
        let found = tx.reads().organization().await?;
        let mut found = found.ok_or_else(|| Error::not_found("organization", actor.organization))?;
        if found.catalog == self.key {
            return Ok(Followed { key: self.key.to_string(), links: Vec::new() });
        }
        let now = tx.now();
        let extended = tx.reads().in_use(now).await?.must_fit(&self.catalog)?;
        let somebody = Principal::Membership(tx.id());
        let mut links = Vec::new();
        let look = |link: Invitation| {
            if links.len() < LINKS_MAX {
                links.push(link.id);
            }
            link.must_fit(&extended, somebody, now)
        };
        tx.reads().each_open_link(now, look).await?;
        mails_must_fit(tx.reads(), &extended, now).await?;
        give_default_role(tx, &extended).await?;
        must_fit_together(tx.reads(), &extended, now).await?;

        let holders = tx.reads().role_holders(now).await?;
        let counters = Counters::recounted(&extended, &holders);
        cardinality::must_be_within(&extended, &counters, tx.reads().has_active_member().await?)?;
        *tx.counters() = counters;
        found.catalog = Arc::clone(&self.key);
        // Those of the product that it leaves are another product's from now on.
        found.names_must_be_free(&tx.above().organizations_called_like(&found).await?)?;
        tx.organization_catalog_update(&found).await?;
        Ok(Followed { key: self.key.to_string(), links })
    }
}

/// Ensures that the open invitations to mailboxes could be made anew under `catalog`. What they bring are grants, which
/// others look after.
async fn mails_must_fit(reads: OrgReads<'_>, catalog: &Catalog, now: Timestamp) -> Result<(), Error> {
    let policy = catalog.invitation();
    let is_closed = !policy.kinds.contains(&InvitationKind::Email);
    if !is_closed && !policy.role_required {
        return Ok(());
    }
    match reads.open_mailed_invitation(!is_closed, now).await? {
        Some(id) => {
            let message =
                "the organization has an open invitation of a kind that the catalog does not open, or without a role";
            Err(Error::new(Reason::CatalogIncompatible, message).about("invitation", id))
        }
        None => Ok(()),
    }
}

/// Returns the catalog's default role, if it has one, to every member who holds no role at the organization.
async fn give_default_role(tx: &mut Tx, catalog: &Catalog) -> Result<(), Error> {
    let Some(role) = catalog.default_role() else { return Ok(()) };
    let (role, now) = (&catalog.role(role).name, tx.now());
    let without = tx.reads().members_without_a_role(now, DEFAULTS_MAX + 1).await?;
    if without.len() > DEFAULTS_MAX as usize {
        let message = format!("more than {DEFAULTS_MAX} members hold no role, and would hold the role {role}");
        return Err(Error::new(Reason::CatalogIncompatible, message).about("role", role));
    }
    let held = Held::Role(Arc::clone(role));
    let default = Assignment { place: Place::Organization, held, expires_at: None };
    let given = without.into_iter().map(|id| default.to_grant(tx.id(), Principal::Membership(id), GrantSource::Manual));
    let given: Vec<Grant> = given.collect();
    let mut outlived = tx.reads().lapsed_grants_of_role(role, now, u64::from(DEFAULTS_MAX)).await?;
    let new: HashSet<Principal> = given.iter().map(|grant| grant.principal).collect();
    outlived.retain(|grant| grant.place == Place::Organization && new.contains(&grant.principal));
    tx.grants_delete(&outlived).await?;
    tx.grants_insert(&given).await
}

/// Ensures that nobody holds two roles that the catalog keeps apart, or one without what it needs beside it.
async fn must_fit_together(reads: OrgReads<'_>, catalog: &Catalog, now: Timestamp) -> Result<(), Error> {
    let name = |id: &RoleId| catalog.role(*id).name.to_string();
    for set in catalog.sets() {
        let refuse = |message| Err(Error::new(Reason::CatalogIncompatible, message).about("set", &set.name));
        let roles: Vec<String> = set.roles.iter().map(name).collect();
        if reads.holds_several(&roles).await? {
            return refuse(format!("somebody holds several roles of the set {}", set.name));
        }
        if set.is_required && reads.holds_none(&roles, now).await? {
            return refuse(format!("somebody holds no role of the set {}", set.name));
        }
    }
    for (_, role) in catalog.roles() {
        for required in &role.requires {
            if reads.holds_without(&role.name, &name(required), now).await? {
                let message = format!("somebody holds the role {} without one that it needs", role.name);
                return Err(Error::new(Reason::CatalogIncompatible, message).about("role", &role.name));
            }
        }
    }
    Ok(())
}

fn view_of_preset(preset: &Catalog, yaml: &str) -> CatalogView {
    CatalogView {
        name: preset.name().to_string(),
        version: preset.version(),
        description: preset.description().to_string(),
        is_preset: true,
        yaml: yaml.to_owned(),
        created_at: None,
    }
}

fn view(reads: Reads<'_>, row: CatalogRow) -> Result<CatalogView, Error> {
    let catalog = reads.catalog_of_row(&row)?;
    Ok(view_of_row(row, &catalog))
}

fn view_of_row(row: CatalogRow, catalog: &Catalog) -> CatalogView {
    CatalogView {
        name: row.name,
        version: row.version,
        description: catalog.description().to_string(),
        is_preset: false,
        yaml: row.yaml,
        created_at: Some(row.created_at),
    }
}
