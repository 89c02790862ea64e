//! Many questions at once, in stages: waiting for memory is nearly the whole cost of a check, and what does not depend on
//! each other is waited for together.

use std::hint::black_box;

use smallvec::SmallVec;

use super::OrganizationIndex;
use super::base::Base;
use super::evaluate::{Span, session_until};
use super::number::{NOBODY, Number, mix};
use crate::authz::installation::InstallationIndex;
use crate::authz::question::{Answer, Asked, Denial};
use crate::domain::catalog::{PermissionId, ResourceType, TypeId};
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;

/// How many questions go through the stages together: what they read at once stays in the nearest cache.
const TOGETHER: usize = 32;

/// A question on its way.
struct Staged<'a> {
    subject: Subject,
    permission: PermissionId,
    /// The target's type, its id and the hash of both.
    target: Option<(u16, &'a str, u64)>,
    /// The hash of the user, if the subject is one.
    user: Option<u64>,
    /// The membership and the resource that the tables seem to name: whether they are the ones, their records say.
    likely: (Option<Number>, Option<Number>),
    until: Span,
}

/// Names that were looked up last: the questions of one frame often share them.
#[derive(Default)]
struct LookedUp<'a> {
    permission: Option<(&'a str, Option<PermissionId>)>,
    kind: Option<(&'a str, Option<TypeId>)>,
}

impl OrganizationIndex {
    /// Answers questions in order, and each as [`OrganizationIndex::answer`] would.
    pub fn answer_all<'a>(
        &self,
        installation: &InstallationIndex,
        items: impl Iterator<Item = Result<Asked<'a>, Denial>>,
        now: Timestamp,
        mut tell: impl FnMut(Answer),
    ) {
        let mut names = LookedUp::default();
        let mut items = items.peekable();
        let mut staged: SmallVec<[Result<Staged<'_>, Denial>; TOGETHER]> = SmallVec::new();
        while items.peek().is_some() {
            let parse = |item: Result<Asked<'a>, Denial>| {
                item.and_then(|asked| self.stage(installation, asked, &mut names, now))
            };
            staged.extend(items.by_ref().take(TOGETHER).map(parse));
            self.bring_near(&mut staged);
            for item in staged.drain(..) {
                tell(match item {
                    Ok(staged) => self.answer_staged(installation, &staged, now),
                    Err(denial) => Answer::Denied(denial),
                });
            }
        }
    }

    /// Answers one question as it was asked.
    #[must_use]
    pub fn answer_asked(&self, installation: &InstallationIndex, asked: &Asked<'_>, now: Timestamp) -> Answer {
        let mut staged = [self.stage(installation, *asked, &mut LookedUp::default(), now)];
        self.bring_near(&mut staged);
        match &staged[0] {
            Ok(staged) => self.answer_staged(installation, staged, now),
            Err(denial) => Answer::Denied(*denial),
        }
    }

    /// Looks up names, and hashes what the tables are asked for.
    fn stage<'a>(
        &self,
        installation: &InstallationIndex,
        asked: Asked<'a>,
        names: &mut LookedUp<'a>,
        now: Timestamp,
    ) -> Result<Staged<'a>, Denial> {
        let until = session_until(installation, asked.session, now)?;
        let catalog = &self.words.catalog;
        let permission = remembered(&mut names.permission, asked.permission, |name| catalog.permission(name));
        let permission = permission.ok_or(Denial::PermissionUnknown)?;
        let target = match asked.target {
            None => None,
            Some((kind, id)) => {
                let find = |name: &str| catalog.resource_type(name).map(|(id, _): (TypeId, &ResourceType)| id);
                let kind = remembered(&mut names.kind, kind, find).ok_or(Denial::ResourceTypeUnknown)?;
                if !catalog.asks(permission, Some(kind)) {
                    return Err(Denial::PermissionNotAskedHere);
                }
                Some((kind.0, id, Base::key_hash(self.base.seed, kind.0, id)))
            }
        };
        let user = match asked.subject {
            Subject::User(user) => Some(mix(0, user.0.as_u128())),
            Subject::ServiceAccount(_) => None,
        };
        Ok(Staged { subject: asked.subject, permission, target, user, likely: (None, None), until })
    }

    /// Reads what will be read of each question, so that it is near when its turn comes: each loop waits for what the one
    /// before has found, of all questions at once, and does little else.
    fn bring_near(&self, staged: &mut [Result<Staged<'_>, Denial>]) {
        let base = &*self.base;
        for item in staged.iter().flatten() {
            black_box(item.user.and_then(|hash| base.by_user.peek(hash)));
            black_box(item.target.and_then(|(_, _, hash)| base.by_key.peek(hash)));
        }
        for item in staged.iter_mut().flatten() {
            let member = item.user.and_then(|hash| base.by_user.likely(hash));
            item.likely = (member, item.target.and_then(|(_, _, hash)| base.by_key.likely(hash)));
        }
        let mut further: SmallVec<[(usize, usize, usize); TOGETHER]> = SmallVec::new();
        for item in staged.iter().flatten() {
            let (member, resource) = item.likely;
            let member = member.and_then(|number| base.members.get(number as usize));
            let groups = member.map_or(0, |member| if member.groups == NOBODY { 0 } else { member.groups as usize });
            let entries = member.map_or(0, |member| member.held.start());
            let key = resource.and_then(|number| base.resources.get(number as usize));
            further.push((groups, entries, key.map_or(0, |resource| resource.key_start as usize)));
        }
        for (groups, entries, key) in further {
            black_box(base.group_lists.get(groups));
            black_box(base.entries.get(entries).map(|entry| entry.held));
            black_box(base.keys.as_bytes().get(key).copied());
        }
    }

    fn answer_staged(&self, installation: &InstallationIndex, staged: &Staged<'_>, now: Timestamp) -> Answer {
        let (member, resource) = staged.likely;
        let standing = self.standing_near(installation, staged.subject, member);
        let Some(standing) = standing.filter(|_| self.is_active) else {
            return Answer::Denied(Denial::NotGranted);
        };
        let chain = self.chain(staged.target.and_then(|(kind, id, hash)| {
            let is_it = |number: &Number| self.base.is_resource(*number, kind, id);
            resource.filter(is_it).or_else(|| self.known_resource(hash, kind, id))
        }));
        let span = self.evaluate(installation, staged.subject, &standing, &chain, staged.permission, now);
        span.min(staged.until).answer()
    }
}

/// Finds a name, unless it is the one that was found last.
fn remembered<'a, T: Copy>(
    last: &mut Option<(&'a str, Option<T>)>,
    name: &'a str,
    find: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    match last {
        Some((known, found)) if *known == name => *found,
        _ => last.insert((name, find(name))).1,
    }
}
