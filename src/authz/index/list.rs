//! Enumerating: what a subject may do on a target, which resources they may act on, and who may act on one.
//!
//! A list agrees with a check of every pair, as both come from the same evaluation. Pages go by key, so that what
//! changes between two of them neither repeats nor hides what stayed.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::OrganizationIndex;
use super::evaluate::Span;
use super::extent::Extent;
use super::number::Number;
use crate::authz::installation::InstallationIndex;
use crate::authz::question::{Answer, Whom};
use crate::domain::catalog::{PermissionId, TypeId};
use crate::domain::id::{ServiceAccountId, UserId};
use crate::domain::place::{Principal, ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// Most entries that one page looks at: a page that finds little comes back short, and says where to go on.
const LOOKED_AT_MAX: usize = 50_000;

/// A permission that a subject has on a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PermissionHeld {
    /// By name, as in `type.verb`.
    pub name: Arc<str>,
    /// From then on they have it no more, if nothing changes.
    pub until: Option<Timestamp>,
}

/// Some of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T, K> {
    /// In the order of the keys.
    pub items: Vec<T>,
    /// After which key the list goes on, if it does.
    pub next: Option<K>,
    /// How many entries were looked at for it.
    pub looked_at: usize,
}

impl<T, K> Default for Page<T, K> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None, looked_at: 0 }
    }
}

/// How far a list of subjects has come: what kind of subject, and which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub enum SubjectKey {
    /// Members of the organization, by membership.
    Member(u128),
    /// Service accounts that are known in the organization.
    Account(u128),
    /// Who holds something above the organization.
    Above(Subject),
}

/// Who asks for a list, and how: whoever may not ask about others gets what they may see.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    pub subject: Subject,
    /// Whether they may ask about everybody and everything here.
    pub may_check: bool,
}

impl OrganizationIndex {
    /// Returns what a subject may do on a target, in the order of the catalog.
    #[must_use]
    pub fn permissions(
        &self,
        installation: &InstallationIndex,
        (subject, session): Whom,
        target: Option<&ResourceKey>,
        now: Timestamp,
    ) -> Vec<PermissionHeld> {
        let Ok(until) = super::evaluate::session_until(installation, session, now) else { return Vec::new() };
        let Some(standing) = self.standing(installation, subject).filter(|_| self.is_active) else { return Vec::new() };
        let chain = self.chain(target.and_then(|target| self.find_resource(target)));
        let catalog = &self.words.catalog;
        let askable = catalog.askable(target.map(|target| &*target.kind));
        let held = catalog.permissions().filter(|permission| askable.has(*permission)).filter_map(|permission| {
            match self.evaluate(installation, subject, &standing, &chain, permission, now).min(until).answer() {
                Answer::Allowed { until } => {
                    Some(PermissionHeld { name: Arc::clone(catalog.permission_name(permission)), until })
                }
                Answer::Denied(_) => None,
            }
        });
        held.collect()
    }

    /// Returns the ids of the resources of one type on which a subject has a permission, those after `after`.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "what is asked, of what, as seen by whom, and which page of it")]
    pub fn resources(
        &self,
        installation: &InstallationIndex,
        (subject, session): Whom,
        permission: PermissionId,
        kind: TypeId,
        viewer: Viewer,
        (after, size): (Option<&str>, usize),
        now: Timestamp,
    ) -> Page<Arc<str>, Arc<str>> {
        let mut page = Page::default();
        let Ok(until) = super::evaluate::session_until(installation, session, now) else { return page };
        let Some(standing) = self.standing(installation, subject).filter(|_| self.is_active && until != Span::NEVER)
        else {
            return page;
        };
        if !self.words.catalog.asks(permission, Some(kind)) {
            return page;
        }
        let mut extent = self.extent(installation, subject, &standing, permission, now);
        if !viewer.may_check {
            let seeing = self.standing(installation, viewer.subject).unwrap_or_default();
            extent =
                self.common(extent, self.extent(installation, viewer.subject, &seeing, self.visible_by(kind), now));
        }
        for number in self.of_type(&extent, kind.0, after) {
            page.looked_at += 1;
            if !self.parent_of(number).0 {
                continue;
            }
            // A page ends where something that is listed follows, so that its token reports nothing else (CM-13).
            if page.items.len() == size {
                page.next = page.items.last().cloned();
                break;
            }
            page.items.push(self.id_of(number).into());
        }
        page
    }

    /// Returns the permission by which resources of a type are seen.
    fn visible_by(&self, kind: TypeId) -> PermissionId {
        let kinds = self.words.catalog.resource_types();
        let found = kinds.map(|(_, kind)| kind.visible_by).nth(usize::from(kind.0));
        found.expect("the type is one of the catalog")
    }

    /// Returns the resources of a type in an extent, those after an id, in the order of their ids. Of an extent that is
    /// all there are, some may not be registered.
    pub(super) fn of_type<'a>(
        &'a self,
        extent: &Extent,
        kind: u16,
        after: Option<&'a str>,
    ) -> Box<dyn Iterator<Item = Number> + 'a> {
        match extent {
            Extent::All => Box::new(self.resources_after(kind, after).map(|(_, number)| number)),
            Extent::Below(roots) => Box::new(self.within(roots, kind, after).into_iter()),
        }
    }

    /// Returns who has a permission on a target, those after `after`: members of the organization, then service
    /// accounts known in it, then who has it from above.
    #[must_use]
    pub fn subjects(
        &self,
        installation: &InstallationIndex,
        permission: PermissionId,
        target: Option<&ResourceKey>,
        (after, size): (Option<SubjectKey>, usize),
        now: Timestamp,
    ) -> Page<Subject, SubjectKey> {
        let chain = self.chain(target.and_then(|target| self.find_resource(target)));
        let mut page = Page::default();
        let askable = self.words.catalog.askable(target.map(|target| &*target.kind));
        if !self.is_active || !askable.has(permission) {
            return page;
        }
        let members = self.members_after(after).map(|(key, subject)| (SubjectKey::Member(key), subject));
        let accounts = self.accounts_after(after).map(|(key, subject)| (SubjectKey::Account(key), Some(subject)));
        let above = self.above_after(installation, after).into_iter();
        let above = above.map(|subject| (SubjectKey::Above(subject), Some(subject)));
        for (looked_at, (key, subject)) in members.chain(accounts).chain(above).enumerate() {
            if page.items.len() == size || looked_at == LOOKED_AT_MAX {
                return page;
            }
            page.looked_at += 1;
            page.next = Some(key);
            let Some(subject) = subject else { continue };
            let Some(standing) = self.standing(installation, subject) else { continue };
            if self.evaluate(installation, subject, &standing, &chain, permission, now) != Span::NEVER {
                page.items.push(subject);
            }
        }
        page.next = None;
        page
    }

    /// Returns the resources of a type after an id, registered or not, in the order of their ids.
    fn resources_after(&self, kind: u16, after: Option<&str>) -> impl Iterator<Item = (Arc<str>, Number)> {
        let base = &*self.base;
        let from = base.resources.partition_point(|resource| match resource.kind.cmp(&kind) {
            Ordering::Less => true,
            Ordering::Equal => after.is_some_and(|after| base.key(resource) <= after),
            Ordering::Greater => false,
        });
        let old = base.resources[from..]
            .iter()
            .zip(Number::try_from(from).unwrap_or(Number::MAX)..)
            .take_while(move |(resource, _)| resource.kind == kind);
        let old = old.map(|(resource, at)| (Arc::from(base.key(resource)), at));
        let start = match after {
            Some(after) => Bound::Excluded((kind, Arc::from(after))),
            None => Bound::Included((kind, Arc::from(""))),
        };
        let new = self.overlay.new_resources().range((start, Bound::Unbounded));
        let new = new.take_while(move |((other, _), _)| *other == kind);
        merged(old, new.map(|((_, id), number)| (Arc::clone(id), *number)))
    }

    /// Returns the members after a key, each as a subject if somebody is bound and stands here by this membership.
    fn members_after(&self, after: Option<SubjectKey>) -> impl Iterator<Item = (u128, Option<Subject>)> {
        let past = match after {
            None => Some(None),
            Some(SubjectKey::Member(id)) => Some(Some(id)),
            Some(SubjectKey::Account(_) | SubjectKey::Above(_)) => None,
        };
        let (old, new) = (&*self.base.member_ids, &self.overlay.new_members);
        let all = past.into_iter().flat_map(move |past| ids_after(old, |id| *id, new, past));
        all.map(|(id, number)| {
            let user = self.member_now(number).user;
            let is_theirs = user != 0 && self.member_of(user) == Some(number);
            (id, is_theirs.then(|| Subject::User(UserId(Uuid::from_u128(user)))))
        })
    }

    fn accounts_after(&self, after: Option<SubjectKey>) -> impl Iterator<Item = (u128, Subject)> {
        let past = match after {
            None | Some(SubjectKey::Member(_)) => Some(None),
            Some(SubjectKey::Account(id)) => Some(Some(id)),
            Some(SubjectKey::Above(_)) => None,
        };
        let (old, new) = (&*self.base.accounts, &self.overlay.new_accounts);
        let all = past.into_iter().flat_map(move |past| ids_after(old, |account| account.id, new, past));
        all.map(|(id, _)| (id, Subject::ServiceAccount(ServiceAccountId(Uuid::from_u128(id)))))
    }

    /// Returns who holds something above the organization and was not met in it.
    fn above_after(&self, installation: &InstallationIndex, after: Option<SubjectKey>) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = installation
            .holders()
            .filter_map(|principal| match principal {
                Principal::User(id) => self.member_of(id.0.as_u128()).is_none().then_some(Subject::User(id)),
                Principal::ServiceAccount(id) => {
                    self.known_account(id.0.as_u128()).is_none().then_some(Subject::ServiceAccount(id))
                }
                Principal::Membership(_) | Principal::Group(_) | Principal::Everyone => None,
            })
            .filter(|subject| match after {
                Some(SubjectKey::Above(after)) => *subject > after,
                None | Some(SubjectKey::Member(_) | SubjectKey::Account(_)) => true,
            })
            .collect();
        subjects.sort_unstable();
        subjects
    }
}

/// Returns the ids past one, those of the base and those that came later, in their order.
fn ids_after<'a, Record>(
    old: &'a [Record],
    id: impl Fn(&Record) -> u128 + Copy + 'a,
    new: &'a imbl::OrdMap<u128, Number>,
    past: Option<u128>,
) -> impl Iterator<Item = (u128, Number)> + 'a {
    let from = past.map_or(0, |past| old.partition_point(|record| id(record) <= past));
    let old = old[from..].iter().map(id).zip(Number::try_from(from).unwrap_or(Number::MAX)..);
    let start = past.map_or(Bound::Unbounded, Bound::Excluded);
    merged(old, new.range((start, Bound::Unbounded)).map(|(id, number)| (*id, *number)))
}

/// Merges two lists in the order of their keys.
fn merged<K: Ord>(
    one: impl Iterator<Item = (K, Number)>,
    other: impl Iterator<Item = (K, Number)>,
) -> impl Iterator<Item = (K, Number)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((left, _)), Some((right, _))) if left <= right => one.next(),
        (Some(_), None) => one.next(),
        _ => other.next(),
    })
}
