//! Keyed hashes of what is counted or recognised and must not be kept: addresses, sources, tokens, users who are gone.

use ring::hmac;

use super::seal::Sealer;
use crate::domain::throttle::Key;

/// What a fingerprint is of. The same text has another as another thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// An address that is signed in with.
    Address,
    /// Where a caller sits.
    Source,
    /// What a device shows of an earlier sign-in.
    Device,
    /// The token of an invitation.
    Invitation,
    /// The token of a link by which an address wants no more mails.
    Unsubscription,
    /// An address that invitations are mailed to.
    Recipient,
    /// An address that one organization's invitations are mailed to.
    RecipientOf,
    /// Who invites.
    Sponsor,
    /// An organization that invites.
    Organization,
    /// A user who was removed from one organization.
    RemovedUser,
    /// An address of such a user.
    RemovedAddress,
}

impl Counted {
    /// Stands before what is hashed: once in use, it never changes.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Address => b"address",
            Self::Source => b"source",
            Self::Device => b"device",
            Self::Invitation => b"invitation",
            Self::Unsubscription => b"unsubscription",
            Self::Recipient => b"mail recipient",
            Self::RecipientOf => b"mail recipient of organization",
            Self::Sponsor => b"mail sponsor",
            Self::Organization => b"mail organization",
            Self::RemovedUser => b"removed user",
            Self::RemovedAddress => b"removed address",
        }
    }
}

impl Sealer {
    /// Returns the name under which something is counted or recognised: 128 bits of an HMAC-SHA256 under a key derived from the
    /// installation key. Whoever lacks that key cannot try addresses against it.
    #[must_use]
    pub fn fingerprint(&self, counted: Counted, parts: &[&[u8]]) -> Key {
        let mut hmac = hmac::Context::with_key(&self.hmac);
        for part in [counted.label()].iter().chain(parts) {
            // With its length before it, so that no two lists of parts read alike.
            hmac.update(&(part.len() as u64).to_be_bytes());
            hmac.update(part);
        }
        let tag = hmac.sign();
        Key(*tag.as_ref().first_chunk().expect("a tag has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::InstallationKey;

    fn sealer(text: &str) -> Sealer {
        Sealer::new(&InstallationKey::from_base64(text).expect("a key"))
    }

    #[test]
    fn a_fingerprint_is_of_one_thing_in_one_installation() {
        let ours = sealer("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let theirs = sealer("AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let of = |sealer: &Sealer, counted, parts: &[&[u8]]| sealer.fingerprint(counted, parts);
        let known = of(&ours, Counted::Address, &[b"ada@example.test"]);
        assert_eq!(known, of(&ours, Counted::Address, &[b"ada@example.test"]));
        for other in [
            of(&theirs, Counted::Address, &[b"ada@example.test"]),
            of(&ours, Counted::Recipient, &[b"ada@example.test"]),
            of(&ours, Counted::Address, &[b"ada@example", b".test"]),
            of(&ours, Counted::Address, &[b"eve@example.test"]),
        ] {
            assert_ne!(known, other);
        }
    }
}
