//! Changing what is written on a member.

use super::{ChangedMembers, external_id_taken};
use crate::domain::access::Actor;
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::id::MembershipId;
use crate::domain::member::Member;
use crate::domain::metadata::Metadata;
use crate::service::etag::must_match;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Changes a member: for a caller with member.update, and one's own name for everyone.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::IdentityNotManaged`], [`Reason::EtagMismatch`],
///   [`Reason::NameTaken`].
#[derive(Debug)]
pub struct UpdateMember {
    pub id: MembershipId,
    /// What is to be written.
    pub fields: MemberFields,
    /// How the member must look; empty asks nothing.
    pub etag: String,
}

/// What a request writes of a member; what is `None` stays as it is.
#[derive(Debug)]
pub struct MemberFields {
    /// What they are called.
    pub display_name: Option<String>,
    /// The product's own id, or that it has none.
    pub external_id: Option<Option<String>>,
    /// What the product keeps with it.
    pub metadata: Option<Metadata>,
}

impl Authorize for UpdateMember {
    /// Whose identity it is, is asked when the member is known.
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(&[]).await?;
        let is_name_alone = self.fields.external_id.is_none() && self.fields.metadata.is_none();
        if !(self.is_oneself(&actor) && is_name_alone) {
            actor.must_hold(PermissionId::MEMBER_UPDATE, None)?;
        }
        Ok(actor)
    }
}

impl Mutation for UpdateMember {
    type Output = ChangedMembers;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ChangedMembers, Error> {
        let before = tx.reads().membership(self.id, tx.now()).await?;
        let before = before.ok_or_else(|| Error::not_found("member", self.id))?;
        must_match(&self.etag, &before.tagged())?;
        let mut member = before.clone();

        if let Some(display_name) = self.fields.display_name.as_ref().filter(|name| **name != member.display_name) {
            if !self.is_oneself(&actor) {
                must_be_managed(tx, &member).await?;
            }
            member.display_name.clone_from(display_name);
        }
        if let Some(external_id) = &self.fields.external_id {
            member.external_id.clone_from(external_id);
            if let Some(id) = external_id {
                let found = tx.reads().memberships_under(&[], std::slice::from_ref(id)).await?.pop();
                if let Some(other) = found.filter(|other| other.id != member.id) {
                    return Err(external_id_taken(&other));
                }
            }
        }
        if let Some(metadata) = &self.fields.metadata {
            member.metadata.clone_from(metadata);
        }
        if member != before {
            tx.membership_update(&member, "updated").await?;
        }
        Ok(ChangedMembers { members: vec![member], shows_private: actor.holds(PermissionId::MEMBER_UPDATE, None) })
    }
}

impl UpdateMember {
    fn is_oneself(&self, actor: &Actor) -> bool {
        actor.standing.membership() == Some(self.id)
    }
}

/// Ensures that the organization may edit who the user is (X13): nobody has come yet, or they are managed here.
async fn must_be_managed(tx: &Tx, member: &Member) -> Result<(), Error> {
    let Some(user) = member.user else { return Ok(()) };
    let is_elsewhere = !tx.reads().users_elsewhere(&[user]).await?.is_empty();
    if member.is_made_here && !is_elsewhere {
        return Ok(());
    }
    let message = "the person is a guest, and edits their name themselves";
    Err(Error::new(Reason::IdentityNotManaged, message).about("member", member.id))
}
