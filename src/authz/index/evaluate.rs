//! The rule, evaluated on the index. It must always answer what `domain::access::decide` does over the same facts.

use smallvec::SmallVec;

use super::OrganizationIndex;
use super::base::CHAIN_MAX;
use super::number::{AS_MEMBER, Holder, Holding, Number, ORGANIZATION};
use crate::authz::installation::InstallationIndex;
use crate::authz::question::{Answer, Denial, Question, Session};
use crate::domain::catalog::{PermissionId, Reach, Role};
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::id::{GroupId, ServiceAccountId, UserId};
use crate::domain::place::{Place, ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// How a subject stands in an organization.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Whether what is held here counts.
    pub is_in: bool,
    /// Whether the subject is in the organization itself: an ACTIVE member, or a machine of its own.
    is_at_home: bool,
    /// What the subject is among.
    pub holders: SmallVec<[Holder; 8]>,
    /// As what the subject would own.
    pub owner: Option<Holder>,
}

/// The target and what it stands under; nothing for the organization and for what is not registered.
#[derive(Debug, Default)]
pub(super) struct Chain {
    places: SmallVec<[Number; CHAIN_MAX]>,
}

impl Chain {
    /// Returns the target and what it stands under, the nearest first.
    pub fn places(&self) -> &[Number] {
        &self.places
    }
}

impl OrganizationIndex {
    /// Answers one question.
    #[must_use]
    pub fn answer(&self, installation: &InstallationIndex, question: &Question, now: Timestamp) -> Answer {
        self.answer_asked(installation, &question.asked(), now)
    }

    /// Returns whether the organization exists in the eyes of a subject: of whoever is in it, and of who holds
    /// something there or above it.
    #[must_use]
    pub fn is_seen_by(&self, installation: &InstallationIndex, subject: Subject, now: Timestamp) -> bool {
        let Some(standing) = self.standing(installation, subject).filter(|_| self.is_active) else { return false };
        standing.is_at_home
            || self.counting_above(installation, subject, now).next().is_some()
            || (standing.is_in && self.holds_something_here(&standing, now))
    }

    fn holds_something_here(&self, standing: &Standing, now: Timestamp) -> bool {
        let mut holds = false;
        for holder in &standing.holders {
            self.each_held(*holder, ORGANIZATION, |holding| {
                let is_something = holding.held == AS_MEMBER || self.words.role(holding.held).is_some();
                holds |= is_something && now.as_micros() < holding.expires_at;
            });
        }
        holds
    }

    /// Returns how long a subject that stands here may do something on a target.
    pub(super) fn evaluate(
        &self,
        installation: &InstallationIndex,
        subject: Subject,
        standing: &Standing,
        chain: &Chain,
        permission: PermissionId,
        now: Timestamp,
    ) -> Span {
        let mut tally = Tally { permission, ..Tally::default() };
        for (grant, role) in self.counting_above(installation, subject, now) {
            tally.role(role, Span::until(grant.expires_at));
        }
        if standing.is_in {
            for holder in &standing.holders {
                self.each_held_on(*holder, &chain.places, |place, holding| self.tally(&mut tally, place, holding, now));
                if tally.outright == Span::FOREVER {
                    return Span::FOREVER;
                }
            }
        }
        // Asked last: most permissions are not held by owning, and every place would have to be looked at.
        let owns = |me| chain.places.iter().any(|place| self.owner_of(*place) == Some(me));
        if tally.if_owner > tally.outright && standing.owner.is_some_and(owns) {
            tally.outright = tally.if_owner;
        }
        tally.outright.max(tally.if_listed.min(tally.listed))
    }

    /// Returns what a holder holds at the organization and at some places now.
    fn each_held_on(&self, holder: Holder, places: &[Number], mut each: impl FnMut(Number, Holding)) {
        if !self.overlay.has_spots(holder) {
            return self.base.each_held_on(holder, places, each);
        }
        for place in std::iter::once(ORGANIZATION).chain(places.iter().copied()) {
            self.each_held(holder, place, |holding| each(place, holding));
        }
    }

    fn tally(&self, tally: &mut Tally, place: Number, holding: Holding, now: Timestamp) {
        // It counts strictly before its expiry.
        if now.as_micros() >= holding.expires_at {
            return;
        }
        let span = Span(holding.expires_at);
        if holding.held == AS_MEMBER {
            if place != ORGANIZATION {
                tally.listed = tally.listed.max(span);
            }
        } else if let Some(role) = self.words.role(holding.held) {
            tally.role(role, span);
        }
    }

    /// Returns the grants above the organization that count for the subject, each with its role.
    pub(super) fn counting_above<'a>(
        &'a self,
        installation: &'a InstallationIndex,
        subject: Subject,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Grant, &'a Role)> {
        let catalog = &self.words.catalog;
        installation
            .held_above(subject)
            .filter(move |grant| !grant.is_expired(now))
            .filter(|grant| match &grant.place {
                Place::Installation => true,
                Place::Product(product) => product == catalog.name(),
                Place::Organization | Place::Resource(_) => false,
            })
            .filter_map(|grant| match &grant.held {
                Held::Role(name) => catalog.role_id(name).map(|id| (grant, catalog.role(id))),
                Held::AsMember => None,
            })
    }

    /// Finds how a subject stands here; `None` if nothing they hold counts anywhere.
    pub(super) fn standing(&self, installation: &InstallationIndex, subject: Subject) -> Option<Standing> {
        self.standing_near(installation, subject, None)
    }

    /// Finds how a subject stands here, who is likely this member of the base.
    pub(super) fn standing_near(
        &self,
        installation: &InstallationIndex,
        subject: Subject,
        likely: Option<Number>,
    ) -> Option<Standing> {
        match subject {
            Subject::User(user) => {
                if !installation.is_user_active(user) {
                    return None;
                }
                let user = user.0.as_u128();
                let likely = likely.filter(|number| self.base.members[*number as usize].user == user);
                let member = self.overlay.user(user).or(likely).or_else(|| self.base.member_of(user));
                Some(member.map(|member| self.standing_of(member)).unwrap_or_default())
            }
            Subject::ServiceAccount(id) => self.machine_standing(installation, id),
        }
    }

    /// Finds how a membership stands.
    pub(super) fn standing_of(&self, number: Number) -> Standing {
        let me = Holder::membership(number);
        let mut holders = SmallVec::from_slice(&[me, Holder::EVERYONE]);
        let state = match self.overlay.member(number) {
            Some(member) => {
                holders.extend(member.groups.iter().map(|group| Holder::group(*group)));
                member.state
            }
            None => {
                let member = &self.base.members[number as usize];
                holders.extend(self.base.groups_of(member).map(Holder::group));
                Some(member.state())
            }
        };
        let is_in = state == Some(MemberState::Active);
        Standing { is_in, is_at_home: is_in, holders, owner: Some(me) }
    }

    fn machine_standing(&self, installation: &InstallationIndex, id: ServiceAccountId) -> Option<Standing> {
        let number = self.known_account(id.0.as_u128());
        let here = number.and_then(|number| self.account_now(number));
        let is_enabled = here.or(installation.service_account(id)) == Some(true);
        let me = number.map(Holder::account);
        is_enabled.then(|| Standing {
            is_in: true,
            is_at_home: here.is_some(),
            holders: me.into_iter().collect(),
            owner: me,
        })
    }

    /// Finds what a resource stands under, itself first.
    pub(super) fn chain(&self, target: Option<Number>) -> Chain {
        let mut chain = Chain::default();
        let Some(target) = target else { return chain };
        let in_base = self.base.resources.get(target as usize).filter(|_| self.overlay.resource(target).is_none());
        if let Some(resource) = in_base {
            let above = &resource.above[..usize::from(resource.above_count)];
            if above.iter().all(|number| self.overlay.resource(*number).is_none()) {
                if resource.is_registered {
                    chain.places.push(target);
                    chain.places.extend_from_slice(&above[..usize::from(resource.registered_count)]);
                }
                return chain;
            }
        }
        // Something of it has changed: node by node.
        let mut next = Some(target);
        while let Some(number) = next
            && chain.places.len() < CHAIN_MAX
        {
            let (is_registered, parent) = self.parent_of(number);
            if !is_registered {
                break;
            }
            chain.places.push(number);
            next = parent;
        }
        chain
    }

    /// Returns whether a resource is registered, and what it stands under.
    pub(super) fn parent_of(&self, number: Number) -> (bool, Option<Number>) {
        match self.overlay.resource(number) {
            Some(resource) => (resource.is_registered, resource.parent),
            None => {
                let resource = &self.base.resources[number as usize];
                (resource.is_registered, (resource.above_count > 0).then_some(resource.above[0]))
            }
        }
    }

    fn owner_of(&self, number: Number) -> Option<Holder> {
        match self.overlay.resource(number) {
            Some(resource) => resource.owner,
            None => Holder::from_stored(self.base.resources[number as usize].owner),
        }
    }

    /// Returns how long a subject holds a permission at the organization itself.
    pub(in crate::authz) fn held_here(
        &self,
        installation: &InstallationIndex,
        subject: Subject,
        permission: PermissionId,
        now: Timestamp,
    ) -> Answer {
        let standing = self.standing(installation, subject).filter(|_| self.is_active);
        let span = standing
            .map(|standing| self.evaluate(installation, subject, &standing, &Chain::default(), permission, now));
        span.unwrap_or_default().answer()
    }

    /// Returns whether a member is in a group.
    pub(in crate::authz) fn is_in_group(&self, user: UserId, group: GroupId) -> bool {
        let Some(number) = self.member_of(user.0.as_u128()) else { return false };
        self.member_now(number).groups.iter().any(|number| self.group_id(*number) == group)
    }

    /// Returns whether a resource is `place` or stands under it.
    pub(in crate::authz) fn is_under(&self, key: &ResourceKey, place: &ResourceKey) -> bool {
        let place = self.find_resource(place);
        place.is_some_and(|place| self.chain(self.find_resource(key)).places.contains(&place))
    }
}

/// Returns until when the session of a token may be spoken for at all.
pub(super) fn session_until(
    installation: &InstallationIndex,
    session: Option<Session>,
    now: Timestamp,
) -> Result<Span, Denial> {
    let Some(session) = session else { return Ok(Span::FOREVER) };
    if now >= session.expires_at {
        return Err(Denial::TokenExpired);
    }
    if installation.is_session_ended(session.id) {
        return Err(Denial::SessionEnded);
    }
    Ok(Span(session.expires_at.as_micros()))
}

/// What was found so far: how long ANY allows, how long OWN and SHARED would, how long the subject is listed.
#[derive(Default)]
struct Tally {
    permission: PermissionId,
    outright: Span,
    if_owner: Span,
    if_listed: Span,
    listed: Span,
}

impl Tally {
    fn role(&mut self, role: &Role, span: Span) {
        let reach = role.reach(self.permission);
        if reach.has(Reach::Any) {
            self.outright = self.outright.max(span);
        }
        if reach.has(Reach::Own) {
            self.if_owner = self.if_owner.max(span);
        }
        if reach.has(Reach::Shared) {
            self.if_listed = self.if_listed.max(span);
        }
        if role.as_member {
            self.listed = self.listed.max(span);
        }
    }
}

/// How long something holds: never, until an instant, or without end; in that order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Span(pub i64);

impl Span {
    pub const NEVER: Self = Self(i64::MIN);
    pub const FOREVER: Self = Self(super::number::FOREVER);

    pub fn until(expires_at: Option<Timestamp>) -> Self {
        expires_at.map_or(Self::FOREVER, |at| Self(at.as_micros()))
    }

    pub fn answer(self) -> Answer {
        match self {
            Self::NEVER => Answer::Denied(Denial::NotGranted),
            Self::FOREVER => Answer::Allowed { until: None },
            Self(at) => Answer::Allowed { until: Some(Timestamp::from_micros(at)) },
        }
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::NEVER
    }
}
