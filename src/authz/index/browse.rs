//! The tree as one subject sees it, in the order of types and ids.

use super::OrganizationIndex;
use super::extent::Extent;
use super::number::{NOBODY, Number};
use crate::authz::installation::InstallationIndex;
use crate::domain::catalog::TypeId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::resource::Under;
use crate::domain::time::Timestamp;

/// What one subject sees of each type of resources, at one moment.
#[derive(Debug)]
pub struct Seen {
    /// In the order of the types' names.
    kinds: Vec<SeenKind>,
}

#[derive(Clone, Debug)]
struct SeenKind {
    name: String,
    kind: TypeId,
    extent: Extent,
}

/// Resources that a subject is likely to see: the index proposes them, and the tables decide.
#[derive(Debug, Default)]
pub struct Candidates {
    /// In the order of types and ids.
    pub keys: Vec<ResourceKey>,
    /// How many entries of the index were looked at.
    pub looked_at: usize,
}

impl Seen {
    /// Returns the types of which the subject sees every resource, by name.
    pub fn whole(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().filter(|it| it.extent == Extent::All).map(|it| it.name.as_str())
    }

    /// Returns the types of which only some resources are seen.
    #[must_use]
    pub fn in_part(&self) -> Self {
        Self { kinds: self.kinds.iter().filter(|it| it.extent != Extent::All).cloned().collect() }
    }

    fn extent(&self, kind: u16) -> Option<&Extent> {
        self.kinds.iter().find(|it| it.kind.0 == kind).map(|it| &it.extent)
    }
}

impl OrganizationIndex {
    /// Returns what a subject sees.
    #[must_use]
    pub fn seen(&self, installation: &InstallationIndex, subject: Subject, now: Timestamp) -> Seen {
        let standing = self.standing(installation, subject).filter(|_| self.is_active);
        let kinds = self.words.catalog.resource_types().filter_map(|(kind, declared)| {
            let standing = standing.as_ref()?;
            let extent = self.extent(installation, subject, standing, declared.visible_by, now);
            Some(SeenKind { name: declared.name.to_string(), kind, extent })
        });
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Seen { kinds }
    }

    /// Returns at most `size` resources after a key: those of `of` that stand where `under` says, as `all` sees it: what
    /// stands below something that is not seen stands at the top.
    #[must_use]
    pub fn candidates(
        &self,
        (of, all): (&Seen, &Seen),
        under: &Under,
        kind: Option<&str>,
        after: Option<&ResourceKey>,
        size: usize,
    ) -> Candidates {
        let mut candidates = Candidates::default();
        for seen in &of.kinds {
            let is_before = after.is_some_and(|after| seen.name.as_str() < &*after.kind);
            if is_before || kind.is_some_and(|kind| kind != seen.name) {
                continue;
            }
            let after = after.filter(|after| *after.kind == *seen.name).map(|after| &*after.id);
            for number in self.standing_under(seen, all, under, after) {
                if candidates.keys.len() == size {
                    return candidates;
                }
                candidates.looked_at += 1;
                if self.parent_of(number).0 && self.is_taken(number, all, under) {
                    candidates.keys.push(self.resource_key(number));
                }
            }
        }
        candidates
    }

    /// Returns the resources of one type that may stand where `under` says, in the order of their ids.
    fn standing_under<'a>(
        &'a self,
        seen: &SeenKind,
        all: &Seen,
        under: &Under,
        after: Option<&'a str>,
    ) -> Box<dyn Iterator<Item = Number> + 'a> {
        let parent = match under {
            Under::Resource(key) => match self.find_resource(key) {
                Some(number) => number,
                None => return Box::new(std::iter::empty()),
            },
            // Whoever sees everything finds at the top what stands there.
            Under::Organization if all.kinds.iter().all(|it| it.extent == Extent::All) => NOBODY,
            Under::Organization | Under::Anything => return self.of_type(&seen.extent, seen.kind.0, after),
        };
        let is_covered = parent == NOBODY || self.is_within(&seen.extent, parent);
        let mut found: Vec<Number> = match &seen.extent {
            Extent::Below(roots) if !is_covered => roots.clone(),
            _ => self.children_of(parent).collect(),
        };
        found.retain(|number| {
            self.kind_of(*number) == seen.kind.0 && after.is_none_or(|after| self.id_of(*number) > after)
        });
        found.sort_unstable_by(|one, other| self.id_of(*one).cmp(self.id_of(*other)));
        Box::new(found.into_iter())
    }

    fn is_taken(&self, number: Number, all: &Seen, under: &Under) -> bool {
        let parent = self.parent_of(number).1;
        match under {
            Under::Anything => true,
            Under::Resource(key) => parent.is_some_and(|parent| self.resource_key(parent) == *key),
            Under::Organization => !parent.is_some_and(|parent| {
                self.parent_of(parent).0
                    && all.extent(self.kind_of(parent)).is_some_and(|extent| self.is_within(extent, parent))
            }),
        }
    }
}
