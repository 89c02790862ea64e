//! The policies that a catalog sets for the organizations that follow it.

use std::sync::Arc;
use std::time::Duration;

use super::permission::TypeId;

/// How people come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvitationPolicy {
    /// Which kinds of invitation may be made (X2).
    pub kinds: Vec<InvitationKind>,
    /// How long an invitation is open when it does not say (X1).
    pub lifetime: Duration,
    /// How long an invitation may be open at the most (X1).
    pub longest: Duration,
    /// Who is told that an invitation went out (X10).
    pub notice: Notice,
    /// Whether an invitation must name a role (TE-16).
    pub role_required: bool,
}

/// What an invitation is bound to (X2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum InvitationKind {
    /// One mailbox; works once.
    Email,
    /// Whoever holds the link.
    Link,
}

/// Who is told of an invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Nobody.
    None,
    /// Who invited (CE-08).
    Inviter,
    /// The active holders of a grant at each place that the invitation brings (CM-24).
    HoldersAtThePlace,
}

/// What a password must be (X7). The installation's floor of 8 characters holds below every policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordPolicy {
    /// Fewest characters.
    pub min_length: usize,
    /// Whether a lower-case letter is asked for.
    pub lower: bool,
    /// Whether an upper-case letter is asked for.
    pub upper: bool,
    /// Whether a digit is asked for.
    pub digit: bool,
    /// If any: one of these characters is asked for.
    pub symbols: Option<String>,
}

impl PasswordPolicy {
    /// Fewest characters of any password in the installation (NIST SP 800-63B).
    pub const FLOOR: usize = 8;
    /// Fewest characters where the catalog says nothing.
    pub const DEFAULT: usize = 15;
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: Self::DEFAULT, lower: false, upper: false, digit: false, symbols: None }
    }
}

impl Default for InvitationPolicy {
    fn default() -> Self {
        let week = Duration::from_hours(7 * 24);
        Self {
            kinds: vec![InvitationKind::Email],
            lifetime: week,
            longest: week,
            notice: Notice::None,
            role_required: false,
        }
    }
}

/// Which optional parts an organization has; what the catalog does not name is off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// Groups of members.
    pub groups: bool,
    /// Roles that the organization makes itself (AX-23).
    pub custom_roles: bool,
    /// Assets: a removal names what becomes of them (X9).
    pub assets: bool,
}

/// What a plan allows; operators set an organization's plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Unique in the catalog.
    pub name: Arc<str>,
    /// How domains beside the founder's are registered.
    pub further_domains: FurtherDomains,
}

/// How an organization registers domains beside its founder's (CV-06, CV-07).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FurtherDomains {
    /// Not at all.
    #[default]
    None,
    /// By a proof in DNS that the domain is its own.
    Verified,
    /// By the approval of an operator.
    Approved,
}

/// What takes a seat (AX-25). A membership that is being removed keeps the seat it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeatPolicy {
    /// The states of a membership that take one.
    pub counts: Vec<SeatState>,
    /// Whether the organization's seats are counted.
    pub per_organization: bool,
    /// The types whose resources have seats of their own: the distinct members on the resource's list.
    pub per_types: Vec<TypeId>,
}

/// A state of a membership in which it can take a seat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SeatState {
    /// Offered or created.
    Pending,
    /// With a user.
    Active,
    /// Shut out for a while.
    Disabled,
}

/// Who of the product is waited for before a removed member is gone for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemovalPolicy {
    /// By name; with nobody to wait for, a removal is final at once.
    pub listeners: Vec<Arc<str>>,
    /// How long they are waited for.
    pub grace: Duration,
}

impl Default for RemovalPolicy {
    fn default() -> Self {
        Self { listeners: Vec::new(), grace: Duration::from_hours(30 * 24) }
    }
}
