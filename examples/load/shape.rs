//! The synthetic organizations: everything in them follows from their number, so that the server and whoever asks it
//! know the same without a word, and ten million memberships need no disk.
//!
//! Every member may work as `user` (one grant to everyone), is on the list of one resource, and is in a few groups,
//! each of which is on the list of another. Resources stand in a tree; a list counts for everything below.

use clap::{Args, ValueEnum};
use guildhall::domain::fact::{Grant, GrantSource, Held, MemberState, OrganizationFact, OrganizationState};
use guildhall::domain::id::{GrantId, GroupId, MembershipId, OrganizationId, UserId};
use guildhall::domain::place::{Place, Principal, ResourceKey};
use uuid::Uuid;

/// The catalog that the organizations follow.
pub const PRESET: &str = "disaster-recovery";
/// The type of their resources.
pub const KIND: &str = "project";
/// How many children a resource has that has any.
const CHILDREN: u32 = 4;
/// When the first of them was made, in milliseconds since 1970: their ids look like ids of a server.
const EPOCH_MS: u64 = 1_790_000_000_000;

/// How much there is.
#[derive(Clone, Debug, Args)]
pub struct Data {
    /// How much data: `small` is one organization of 1,000 members in 5 groups each of 20, with 400 resources at depth
    /// 3;
    /// `p1` is 10,000 of them (10 M memberships, 10 M grants, 4 M resources).
    #[arg(long = "data", value_enum, default_value_t = Preset::Small)]
    pub preset: Preset,
    /// Organizations, instead of what --data says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    organizations: Option<u32>,
    /// Members of an organization, instead of what --data says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    members: Option<u32>,
    /// Groups of an organization, instead of what --data says.
    #[arg(long)]
    groups: Option<u32>,
    /// How many groups a member is in, instead of what --data says.
    #[arg(long)]
    groups_each: Option<u32>,
    /// Resources of an organization, instead of what --data says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    resources: Option<u32>,
    /// How deep the resources stand, instead of what --data says; the organization's children are at depth 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8))]
    depth: Option<u32>,
}

/// Data of a size that has a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Preset {
    /// One organization.
    Small,
    /// 10,000 organizations.
    P1,
}

impl Data {
    /// Returns the shape.
    ///
    /// # Errors
    /// If the numbers do not go together.
    pub fn shape(&self) -> Result<Shape, String> {
        let organizations = match self.preset {
            Preset::Small => 1,
            Preset::P1 => 10_000,
        };
        let shape = Shape {
            organizations: self.organizations.unwrap_or(organizations),
            members: self.members.unwrap_or(1_000),
            groups: self.groups.unwrap_or(20),
            groups_each: self.groups_each.unwrap_or(5),
            resources: self.resources.unwrap_or(400),
            depth: self.depth.unwrap_or(3),
        };
        if shape.groups_each > shape.groups {
            return Err(format!("{} groups are too few for {} a member", shape.groups, shape.groups_each));
        }
        if shape.depth > 1 && shape.level_size(shape.depth - 1) < shape.level_size(shape.depth - 2) {
            return Err(format!("{} resources are too few for a depth of {}", shape.resources, shape.depth));
        }
        if shape.organizations.checked_mul(shape.resources.max(shape.members)).is_none() {
            return Err("that many organizations cannot be numbered".to_owned());
        }
        Ok(shape)
    }
}

/// How many of everything there are, and which is which.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Shape {
    /// Organizations.
    pub organizations: u32,
    /// Members of each.
    pub members: u32,
    /// Groups of each.
    pub groups: u32,
    /// How many groups a member is in.
    pub groups_each: u32,
    /// Resources of each organization.
    pub resources: u32,
    /// How deep the deepest resources stand.
    pub depth: u32,
}

/// What an id is of; ids of two kinds are never the same.
#[derive(Clone, Copy)]
enum Noun {
    Organization = 1,
    User,
    Membership,
    Group,
    Grant,
    ListOfMember,
    ListOfGroup,
    FirstGroup,
}

impl Shape {
    /// Writes the shape as arguments that [`Data`] reads.
    pub fn arguments(&self) -> Vec<String> {
        let Self { organizations, members, groups, groups_each, resources, depth } = self;
        vec![
            format!("--organizations={organizations}"),
            format!("--members={members}"),
            format!("--groups={groups}"),
            format!("--groups-each={groups_each}"),
            format!("--resources={resources}"),
            format!("--depth={depth}"),
        ]
    }

    /// Returns the id of an organization.
    pub fn organization(organization: u32) -> OrganizationId {
        OrganizationId(id(Noun::Organization, organization, 0))
    }

    /// Returns the id of a member's user. Nobody is a member of two organizations.
    pub fn user(organization: u32, member: u32) -> UserId {
        UserId(id(Noun::User, organization, member))
    }

    /// Returns the id that the product chose for a resource: ten characters that are in no order.
    pub fn resource(&self, organization: u32, resource: u32) -> String {
        // Times an odd number: no two of the whole installation are the same.
        format!("p-{:08x}", (organization * self.resources + resource).wrapping_mul(0x9e37_79b1))
    }

    /// Returns whether a member may see a resource, as the rule has it: whether the member, or a group of theirs, is on
    /// the list of the resource or of one that it stands under.
    pub fn is_allowed(&self, organization: u32, member: u32, resource: u32) -> bool {
        let mine = self.list_of_member(organization, member);
        let mut next = Some(resource);
        while let Some(at) = next {
            if at == mine
                || self.groups_of(organization, member).any(|group| self.list_of_group(organization, group) == at)
            {
                return true;
            }
            next = self.parent(at);
        }
        false
    }

    /// Draws one of the deepest resources below the one on whose list the member is.
    pub fn listed_below(&self, organization: u32, member: u32, draw: u64) -> u32 {
        let (mut level, mut at) = self.level_of(self.list_of_member(organization, member));
        while level + 1 < self.depth {
            let (here, below) = (u64::from(self.level_size(level)), u64::from(self.level_size(level + 1)));
            let first = (u64::from(at) * below).div_ceil(here);
            let after = (u64::from(at + 1) * below).div_ceil(here);
            at = narrow(first + draw % (after - first).max(1));
            level += 1;
        }
        self.level_start(level) + at
    }

    /// Draws one of the deepest resources.
    pub fn deepest(&self, draw: u64) -> u32 {
        let level = self.depth - 1;
        self.level_start(level) + narrow(draw % u64::from(self.level_size(level)))
    }

    /// Returns everything that stands in an organization.
    pub fn facts(&self, organization: u32) -> Vec<OrganizationFact> {
        let count = 2 + self.members * (2 + self.groups_each) + self.groups + self.resources;
        let mut facts = Vec::with_capacity(count as usize);
        facts.push(OrganizationFact::Organization { state: OrganizationState::Active, catalog: PRESET.into() });
        let kind: std::sync::Arc<str> = KIND.into();
        let keys: Vec<ResourceKey> = (0..self.resources)
            .map(|resource| ResourceKey { kind: kind.clone(), id: self.resource(organization, resource).into() })
            .collect();
        let membership = |member| MembershipId(id(Noun::Membership, organization, member));
        let group_id = |group| GroupId(id(Noun::Group, organization, group));
        for member in 0..self.members {
            let (id, user) = (membership(member), Some(Self::user(organization, member)));
            facts.push(OrganizationFact::Membership { id, user, state: MemberState::Active });
        }
        for member in 0..self.members {
            facts.extend(self.groups_of(organization, member).map(|group| OrganizationFact::GroupMember {
                group: group_id(group),
                membership: membership(member),
                is_in: true,
            }));
        }
        for resource in 0..self.resources {
            let parent = self.parent(resource).map(|parent| keys[parent as usize].clone());
            facts.push(OrganizationFact::Resource { key: keys[resource as usize].clone(), parent, owner: None });
        }

        let mut number = 0;
        let mut grant = |principal, place, held| {
            let id = GrantId(id(Noun::Grant, organization, number));
            number += 1;
            OrganizationFact::Grant(Grant { id, principal, place, held, expires_at: None, source: GrantSource::Manual })
        };
        facts.push(grant(Principal::Everyone, Place::Organization, Held::Role("user".into())));
        let listed = |resource: u32| Place::Resource(keys[resource as usize].clone());
        for member in 0..self.members {
            let place = listed(self.list_of_member(organization, member));
            facts.push(grant(Principal::Membership(membership(member)), place, Held::AsMember));
        }
        for group in 0..self.groups {
            let place = listed(self.list_of_group(organization, group));
            facts.push(grant(Principal::Group(group_id(group)), place, Held::AsMember));
        }
        facts
    }

    /// Returns the groups that a member is in: neighbours, from one that is drawn.
    fn groups_of(&self, organization: u32, member: u32) -> impl Iterator<Item = u32> {
        let first = mix(Noun::FirstGroup, organization, member);
        let groups = u64::from(self.groups.max(1));
        (0..self.groups_each).map(move |number| narrow((first % groups + u64::from(number)) % groups))
    }

    fn list_of_member(&self, organization: u32, member: u32) -> u32 {
        narrow(mix(Noun::ListOfMember, organization, member) % u64::from(self.resources))
    }

    fn list_of_group(&self, organization: u32, group: u32) -> u32 {
        narrow(mix(Noun::ListOfGroup, organization, group) % u64::from(self.resources))
    }

    /// Returns what a resource stands under.
    fn parent(&self, resource: u32) -> Option<u32> {
        let (level, at) = self.level_of(resource);
        let above = level.checked_sub(1)?;
        let at = u64::from(at) * u64::from(self.level_size(above)) / u64::from(self.level_size(level));
        Some(self.level_start(above) + narrow(at))
    }

    /// Returns a resource's level, counted from 0, and its place in it.
    fn level_of(&self, resource: u32) -> (u32, u32) {
        let (mut level, mut at) = (0, resource);
        while level + 1 < self.depth && at >= self.level_size(level) {
            at -= self.level_size(level);
            level += 1;
        }
        (level, at)
    }

    fn level_start(&self, level: u32) -> u32 {
        (0..level).map(|above| self.level_size(above)).sum()
    }

    /// Returns how many resources stand at a level: each has four times as many as the one above, the last has the
    /// rest.
    fn level_size(&self, level: u32) -> u32 {
        let weight: u32 = (0..self.depth).map(|level| CHILDREN.pow(level)).sum();
        let size = |level| self.resources.div_ceil(weight).saturating_mul(CHILDREN.pow(level));
        if level + 1 < self.depth {
            return size(level);
        }
        self.resources.saturating_sub((0..level).map(size).sum())
    }
}

/// Makes an id as the server would have: the time it was made, and then noise.
fn id(noun: Noun, organization: u32, number: u32) -> Uuid {
    let noise = mix(noun, organization, number);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&noise.to_be_bytes());
    random[8..].copy_from_slice(&scramble(noise).to_be_bytes()[..2]);
    uuid::Builder::from_unix_timestamp_millis(EPOCH_MS + u64::from(organization), &random).into_uuid()
}

/// Draws 64 bits that belong to one number of one noun.
fn mix(noun: Noun, organization: u32, number: u32) -> u64 {
    scramble(scramble((u64::from(organization) << 32) | u64::from(number)).wrapping_add(noun as u64))
}

/// Scatters the bits of a number; no two numbers come out the same. By Sebastiano Vigna's splitmix64.
pub fn scramble(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Takes a remainder back to the width of what it was taken by.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("the remainder by a number of 32 bits")
}
