//! How many invitations may be mailed: to one address, by one sponsor, from one organization.
//!
//! All limits but one refuse. What goes to one address in all is told to operators alone: to anybody else a refusal would
//! tell that other organizations invite this address. Their invitation stands, and its mail waits.

use std::time::Duration;

use super::time::Timestamp;

/// Longest that a mail waits for its turn; one that would wait longer is not sent. A mail is tried for as long.
pub const WAIT_MAX: Duration = Duration::from_hours(7 * 24);
/// How long a count is kept after its window began: as long as a mail may wait, and that window.
pub const REMEMBERED: Duration = Duration::from_hours(9 * 24);

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How many invitations may be mailed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailLimits {
    /// To one address from one organization, in a day.
    pub recipient_of_organization: u32,
    /// To one address in all, in a day.
    pub recipient: u32,
    /// By one sponsor, in an hour.
    pub sponsor: u32,
    /// From one organization, in a day.
    pub organization: u32,
}

/// One of the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailLimit {
    /// See [`MailLimits::recipient_of_organization`].
    RecipientOfOrganization,
    /// See [`MailLimits::recipient`].
    Recipient,
    /// See [`MailLimits::sponsor`].
    Sponsor,
    /// See [`MailLimits::organization`].
    Organization,
}

impl MailLimit {
    /// All limits, those that refuse everybody first.
    pub const ALL: [Self; 4] = [Self::RecipientOfOrganization, Self::Sponsor, Self::Organization, Self::Recipient];

    /// Returns the name that a refusal gives.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecipientOfOrganization => "invitation_mails_to_recipient_of_organization",
            Self::Recipient => "invitation_mails_to_recipient",
            Self::Sponsor => "invitation_mails_by_sponsor",
            Self::Organization => "invitation_mails_of_organization",
        }
    }

    /// Returns how long a mail counts, from the first of its window on.
    #[must_use]
    pub const fn window(self) -> Duration {
        match self {
            Self::Sponsor => HOUR,
            Self::RecipientOfOrganization | Self::Recipient | Self::Organization => DAY,
        }
    }

    /// Returns how many mails a window has.
    #[must_use]
    pub fn most(self, limits: &MailLimits) -> u32 {
        let most = match self {
            Self::RecipientOfOrganization => limits.recipient_of_organization,
            Self::Recipient => limits.recipient,
            Self::Sponsor => limits.sponsor,
            Self::Organization => limits.organization,
        };
        most.max(1)
    }

    /// Returns what a refusal says.
    #[must_use]
    pub fn message(self, limits: &MailLimits) -> String {
        let most = self.most(limits);
        match self {
            Self::RecipientOfOrganization => {
                format!("this organization has mailed {most} invitations to this address in a day")
            }
            Self::Recipient => format!("{most} invitations were mailed to this address in a day"),
            Self::Sponsor => format!("the caller has had {most} invitations mailed in an hour"),
            Self::Organization => format!("this organization has mailed {most} invitations in a day"),
        }
    }
}

/// How many mails were counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mailed {
    /// When the first of the window was.
    pub window_began_at: Timestamp,
    /// Since then; of more than a window has, the rest waits for the next ones.
    pub mails: u32,
}

impl Default for Mailed {
    fn default() -> Self {
        Self { window_began_at: Timestamp::from_micros(0), mails: 0 }
    }
}

impl Mailed {
    /// Counts one more mail, and returns with the count when it may go out: at once while the window has room, else when the
    /// first window begins that does.
    #[must_use]
    pub fn and_one(self, most: u32, window: Duration, now: Timestamp) -> (Self, Timestamp) {
        let windows_over = now.since(self.window_began_at).as_micros() / window.as_micros().max(1);
        let windows_over = u32::try_from(windows_over).unwrap_or(u32::MAX);
        let waiting = self.mails.saturating_sub(most.saturating_mul(windows_over));
        let window_began_at =
            if waiting == 0 { now } else { self.window_began_at.plus(window.saturating_mul(windows_over)) };
        let counted = Self { window_began_at, mails: waiting.saturating_add(1) };
        let windows_to_come = waiting / most.max(1);
        let due_at =
            if windows_to_come == 0 { now } else { window_began_at.plus(window.saturating_mul(windows_to_come)) };
        (counted, due_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(HOUR * u32::try_from(hours + 1_000).expect("a small number"))
    }

    #[test]
    fn a_window_begins_with_its_first_mail_and_then_has_room_again() {
        let mut mailed = Mailed::default();
        for (hour, due) in [(0, 0), (1, 1), (2, 24), (3, 24), (4, 48), (25, 48), (26, 72), (200, 200), (201, 201)] {
            let (counted, due_at) = mailed.and_one(2, DAY, at(hour));
            assert_eq!(due_at, at(due), "counted at {hour}");
            mailed = counted;
        }
    }

    proptest! {
        #[test]
        fn no_window_sends_more_than_it_has(
            gaps in prop::collection::vec(0_u64..30, 1..60),
            most in 1_u32..6,
        ) {
            let (mut mailed, mut hour, mut sent) = (Mailed::default(), 0, Vec::new());
            for gap in gaps {
                hour += gap;
                let (counted, due_at) = mailed.and_one(most, DAY, at(hour));
                prop_assert!(due_at >= at(hour));
                prop_assert!(due_at.since(counted.window_began_at) < DAY * (counted.mails / most + 1));
                mailed = counted;
                sent.push(due_at);
            }
            // Nobody is overtaken, and of any more than two windows' worth some are a window apart.
            prop_assert!(sent.is_sorted());
            for some in sent.windows(2 * most as usize + 1) {
                prop_assert!(some[2 * most as usize].since(some[0]) >= DAY);
            }
        }
    }
}
