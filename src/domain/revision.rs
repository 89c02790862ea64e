//! Revisions: the number of a commit, the tag that proves its history, and the pair every answer is given at.

use super::id::OrganizationId;

/// The number of a commit in one log; the first commit is 1, an empty log stands at 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Returns the revision that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// 64 bits of a hash over a commit and the tag before it: equal tags mean equal histories.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Tag(pub u64);

/// What a revision token says: how far the log of one organization and that of the installation had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// Counts restores that tokens must not survive.
    pub epoch: u32,
    /// Whose revision it is.
    pub organization: OrganizationId,
    /// How far its log had come.
    pub position: Position,
    /// How far the installation's log had come; at revision 0 nothing is asked of it.
    pub installation: Position,
}

impl Token {
    const VERSION: u8 = 1;
    const LENGTH: usize = 1 + 4 + 16 + 8 + 8 + 8 + 8;

    /// Writes the token as bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.push(Self::VERSION);
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.organization.0.as_bytes());
        for position in [self.position, self.installation] {
            bytes.extend(position.revision.0.to_be_bytes());
            bytes.extend(position.tag.0.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Token::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::LENGTH || bytes[0] != Self::VERSION {
            return None;
        }
        let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_be_bytes);
        let position = |at: usize| Some(Position { revision: Revision(number(at)?), tag: Tag(number(at + 8)?) });
        Some(Self {
            epoch: u32::from_be_bytes(bytes[1..5].try_into().ok()?),
            organization: OrganizationId(uuid::Uuid::from_slice(&bytes[5..21]).ok()?),
            position: position(21)?,
            installation: position(37)?,
        })
    }
}

/// How far one log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The last commit.
    pub revision: Revision,
    /// Its tag.
    pub tag: Tag,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_reads_back_and_nothing_else_does(
            epoch: u32, id: u128, numbers: [u64; 4], noise in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let token = Token {
                epoch,
                organization: OrganizationId(uuid::Uuid::from_u128(id)),
                position: Position { revision: Revision(numbers[0]), tag: Tag(numbers[1]) },
                installation: Position { revision: Revision(numbers[2]), tag: Tag(numbers[3]) },
            };
            prop_assert_eq!(Token::from_bytes(&token.to_bytes()), Some(token));
            if let Some(read) = Token::from_bytes(&noise) {
                prop_assert_eq!(read.to_bytes(), noise);
            }
        }
    }
}
