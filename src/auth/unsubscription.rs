//! The token of a link by which an address wants no more mails about a resource. It names all of that by itself, sealed:
//! nothing is kept of it, looking it up consumes nothing, and it works for as long as the installation has its key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seal::{Purpose, Sealer};
use crate::clock::Env;
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 1_024;
/// Bytes of an organization's id.
const ID_BYTES: usize = 16;

/// Who wants no more mails about what.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsubscription {
    /// Whose the resource is.
    pub organization: OrganizationId,
    /// Which resource.
    pub key: ResourceKey,
    /// The canonical form of the address.
    pub email_key: String,
}

impl Unsubscription {
    /// Writes the token: unpadded base64url (RFC 4648, 5), at most 660 characters.
    #[must_use]
    pub fn seal(&self, sealer: &Sealer, env: &Env) -> String {
        let mut plain = self.organization.0.as_bytes().to_vec();
        // None of the three holds a control character.
        plain.extend(format!("{}\0{}\0{}", self.key.kind, self.key.id, self.email_key).into_bytes());
        URL_SAFE_NO_PAD.encode(sealer.seal(Purpose::Unsubscription, &plain, env))
    }

    /// Reads a token; `None` for anything that this installation did not make.
    #[must_use]
    pub fn open(sealer: &Sealer, token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
        let plain = sealer.open(Purpose::Unsubscription, &bytes)?;
        let (id, rest) = plain.split_first_chunk::<ID_BYTES>()?;
        let mut parts = std::str::from_utf8(rest).ok()?.splitn(3, '\0');
        let (kind, id_of_resource, email_key) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            organization: uuid::Uuid::from_bytes(*id).into(),
            key: ResourceKey { kind: kind.into(), id: id_of_resource.into() },
            email_key: email_key.to_owned(),
        })
    }
}

impl std::fmt::Debug for Unsubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unsubscription(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::seal::InstallationKey;
    use super::*;

    #[test]
    fn a_token_is_read_by_who_made_it_alone() {
        let sealer = |text| Sealer::new(&InstallationKey::from_base64(text).expect("a key"));
        let ours = sealer("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let told = Unsubscription {
            organization: uuid::Uuid::from_u128(7).into(),
            key: ResourceKey { kind: "k".repeat(64).into(), id: "i".repeat(128).into() },
            email_key: "e".repeat(254),
        };
        let token = told.seal(&ours, &Env::system());
        assert!(token.len() <= 660, "{}", token.len());
        assert_eq!(Unsubscription::open(&ours, &token), Some(told));
        let theirs = sealer("AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        for (sealer, token) in [(&theirs, token.as_str()), (&ours, ""), (&ours, &token[1..]), (&ours, "\u{e4}")] {
            assert_eq!(Unsubscription::open(sealer, token), None);
        }
    }
}
