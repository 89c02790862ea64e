//! Numbers that stand for ids inside one index, so that a 16-byte id or a name is stored once.
//!
//! A number is good as long as the base it was given out over: a compaction numbers everything anew.

/// A membership, group, service account or resource, by its place in its table.
pub(super) type Number = u32;

/// No number at all.
pub(super) const NOBODY: Number = u32::MAX;

/// The organization itself as the place of a grant; any other place is a resource's number.
pub(super) const ORGANIZATION: Number = u32::MAX;

/// What is held when it is a place on a list and no role.
pub(super) const AS_MEMBER: u16 = u16::MAX;

/// How many numbers of one kind there are at the most: two bits tell the kind of a holder.
pub(super) const NUMBERS_MAX: usize = 1 << 30;

/// Who can hold a grant, as a number that tells its kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Holder(u32);

/// A holder taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HolderKind {
    Membership(Number),
    Group(Number),
    Account(Number),
    Everyone,
}

impl Holder {
    pub const EVERYONE: Self = Self(3 << 30);

    pub fn membership(number: Number) -> Self {
        Self(number)
    }

    pub fn group(number: Number) -> Self {
        Self(1 << 30 | number)
    }

    pub fn account(number: Number) -> Self {
        Self(2 << 30 | number)
    }

    pub fn kind(self) -> HolderKind {
        let number = self.0 & !(3 << 30);
        match self.0 >> 30 {
            0 => HolderKind::Membership(number),
            1 => HolderKind::Group(number),
            2 => HolderKind::Account(number),
            _ => HolderKind::Everyone,
        }
    }

    /// Returns the holder as it is stored where there may be none.
    pub fn stored(holder: Option<Self>) -> u32 {
        holder.map_or(NOBODY, |holder| holder.0)
    }

    /// Reads what [`Holder::stored`] gave.
    pub fn from_stored(stored: u32) -> Option<Self> {
        (stored != NOBODY).then_some(Self(stored))
    }
}

/// One thing that is held at one place by one holder: what, and until when.
///
/// Two grants that say the same are the same here, so a tombstone takes away any one of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Holding {
    /// A role's number, or [`AS_MEMBER`].
    pub held: u16,
    /// Microseconds since the epoch; [`FOREVER`] without an expiry.
    pub expires_at: i64,
}

/// No expiry.
pub(super) const FOREVER: i64 = i64::MAX;

/// Hashes an id together with what tells one use of it from another.
pub(super) fn mix(salt: u64, value: u128) -> u64 {
    // The halves of a UUIDv7 differ in time and in 62 random bits; one multiplication folds both into all bits.
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (low, high) = (value as u64, (value >> 64) as u64);
    let product = u128::from(low ^ salt).wrapping_mul(u128::from(high ^ 0x9e37_79b9_7f4a_7c15));
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let folded = (product as u64) ^ ((product >> 64) as u64);
    folded.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32)
}
