//! Removing a member: what becomes of what they own, who is asked before they are gone for good.

use std::sync::Arc;

use crate::domain::error::{Error, Reason};
use crate::domain::id::{InvitationId, MembershipId, ServiceAccountId};
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;

/// What becomes of the resources that a removed member owns (X9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Assets {
    /// They stay, and are nobody's.
    #[default]
    Keep,
    /// They go to another member (AX-31).
    Transfer(MembershipId),
    /// They go, with all that stands below them (AX-30).
    Delete,
}

/// A removal that is under way.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Removal {
    /// Who is removed.
    pub membership: MembershipId,
    /// What becomes of what they own.
    pub assets: Assets,
    /// Names of those of the product who have not acknowledged yet.
    pub awaiting: Vec<Arc<str>>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// From then on nobody is waited for.
    pub due_at: Timestamp,
}

impl Removal {
    /// Returns whether nobody is waited for any more.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.awaiting.is_empty() || now >= self.due_at
    }
}

/// A resource that somebody to be removed owns.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct OwnedResource {
    pub key: ResourceKey,
    /// What stands below it and is owned by others.
    pub of_others: Vec<ResourceKey>,
    /// The service account that lives and ends with it.
    pub service_account: Option<ServiceAccountId>,
}

/// What a removal touches, as far as whoever asks sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Inventory {
    /// What the member owns.
    pub owned: Vec<OwnedResource>,
    /// Open invitations that they answer for, but for those to nothing that is seen.
    pub invitations: Vec<InvitationId>,
    /// Whether the account goes with the membership: the organization manages it, and it is in no other (X13).
    pub deletes_user: bool,
    /// Whether others own something below that whoever asks does not see. It keeps what stands above from being
    /// deleted, and is told in no other way.
    #[serde(skip)]
    pub hides_others: bool,
}

impl Inventory {
    /// Ensures that it is decided what becomes of what the member owns.
    ///
    /// # Errors
    /// - [`Reason::FeatureOff`] for a decision where the catalog knows no assets.
    /// - [`Reason::AssetsUndecided`] without one, where the member owns something.
    /// - [`Reason::AssetsOfOthers`] for deleting what others own something below of.
    pub fn must_be_decided(&self, assets: Assets, has_assets: bool) -> Result<(), Error> {
        match assets {
            Assets::Keep if has_assets && !self.owned.is_empty() => {
                let message = "the member owns resources: say whether they go to another member or are deleted";
                Err(Error::new(Reason::AssetsUndecided, message))
            }
            Assets::Transfer(_) | Assets::Delete if !has_assets => {
                let message = "the organization's catalog knows no assets";
                Err(Error::new(Reason::FeatureOff, message).about("feature", "assets"))
            }
            Assets::Delete => match self.owned.iter().find_map(|owned| owned.of_others.first()) {
                Some(key) => {
                    let message = "something below is owned by others; move or hand it over first";
                    Err(Error::new(Reason::AssetsOfOthers, message).about("resource", key))
                }
                None if self.hides_others => {
                    let message = "something below is owned by others; set another owner first";
                    Err(Error::new(Reason::AssetsOfOthers, message))
                }
                None => Ok(()),
            },
            Assets::Keep | Assets::Transfer(_) => Ok(()),
        }
    }
}
