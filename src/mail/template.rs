//! The words of each mail: a subject and a plain text, in English.
//!
//! Names come from users. They are cut and lose whatever could begin a line or turn the direction of writing, so that
//! none of them can pass for words of ours.

use std::fmt;

use time::{OffsetDateTime, PrimitiveDateTime};

use super::message::Mail;
use crate::domain::time::Timestamp;

/// Most bytes of a name in a mail: two of them and our words fit a line of 998 bytes (RFC 5322, 2.1.1).
const NAME_BYTES_MAX: usize = 400;

/// Most bytes of a line of a product's own words, and of one word of them.
const WORD_BYTES_MAX: usize = 900;

/// A mail in words.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// The address it goes to.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Lines that end in a line feed.
    pub text: String,
    /// Where whoever gets it wants no more of its kind, also in one click (RFC 8058).
    pub unsubscribe: Option<String>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter(…)")
    }
}

/// Puts a mail into words. A link stands alone on its line.
#[must_use]
pub fn render(mail: &Mail) -> Letter {
    match mail {
        Mail::Invitation { to, organization, invited_by, link, expires_at, tell: _ } => {
            let organization = name(organization);
            let invites = match invited_by.as_deref().map(name).filter(|name| !name.is_empty()) {
                Some(inviter) => format!("{inviter} invites you to join \"{organization}\"."),
                None => format!("You are invited to join \"{organization}\"."),
            };
            Letter {
                to: to.clone(),
                subject: format!("Invitation to join {organization}"),
                text: format!(
                    "Hello,\n\
                     \n\
                     {invites}\n\
                     To accept, open this link:\n\
                     \n\
                     {link}\n\
                     \n\
                     It works once, until {until}.\n\
                     If you did not expect this invitation, you can ignore it.\n",
                    link = link_line(link),
                    until = date_time(*expires_at),
                ),
                unsubscribe: None,
            }
        }
        Mail::InvitationSent { to, organization, invitee } => {
            let organization = name(organization);
            Letter {
                to: to.clone(),
                subject: format!("Your invitation to {organization} was sent"),
                text: format!(
                    "Hello,\n\
                     \n\
                     the invitation of {invitee} to join \"{organization}\" was sent.\n",
                    invitee = name(invitee),
                ),
                unsubscribe: None,
            }
        }
        Mail::Notification { to, organization, resource, subject, text, unsubscribe } => {
            let (organization, resource) = (name(organization), name(resource));
            let about = if resource.is_empty() { String::new() } else { format!("\"{resource}\" in ") };
            let unsubscribe = unsubscribe.as_deref().map(link_line);
            let end = match &unsubscribe {
                Some(link) => format!("To get no more mails about it, open this link:\n\n{link}\n"),
                None => String::new(),
            };
            Letter {
                to: to.clone(),
                subject: name(subject),
                text: format!("{}\n--\nThis mail is about {about}\"{organization}\".\n{end}", paragraphs(text)),
                unsubscribe,
            }
        }
        Mail::RoleTransferred { to, organization, is_new_holder } => role_transferred(to, organization, *is_new_holder),
    }
}

fn role_transferred(to: &str, organization: &str, is_new_holder: bool) -> Letter {
    let organization = name(organization);
    let what = if is_new_holder { "has been transferred to you" } else { "that you held has been transferred" };
    Letter {
        to: to.to_owned(),
        subject: format!("A role in {organization} has changed hands"),
        text: format!(
            "Hello,\n\
             \n\
             a role in \"{organization}\" {what}.\n\
             If you did not expect this, write to whoever runs the service.\n"
        ),
        unsubscribe: None,
    }
}

/// Makes a name of a user's choosing fit for the middle of a line.
fn name(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join(" ");
    name.retain(|c| !turns_direction(c));
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

/// Tells the characters that change the direction of what comes after them (Unicode UAX #9, 2).
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Takes the words of a product over, line by line. A line that is too long for a mail is cut where a word ends, and what
/// turns the direction of writing is left out.
fn paragraphs(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut width = 0;
        for word in line.split(' ') {
            let mut word: String = word.chars().filter(|c| !c.is_control() && !turns_direction(*c)).collect();
            word.truncate(word.floor_char_boundary(WORD_BYTES_MAX));
            if width > 0 && width + 1 + word.len() > WORD_BYTES_MAX {
                lines.push('\n');
                width = 0;
            } else if width > 0 {
                lines.push(' ');
                width += 1;
            }
            width += word.len();
            lines.push_str(&word);
        }
        lines.push('\n');
    }
    lines
}

/// Keeps a link on its line, whatever it was made of.
fn link_line(link: &str) -> String {
    link.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}

/// Writes an instant to the minute, as in `2026-11-22 05:05 UTC`.
///
/// Rounded down: what is said to work until then works at least until then. Years end with 9999.
fn date_time(instant: Timestamp) -> String {
    let seconds = instant.as_micros().div_euclid(1_000_000);
    let end = if seconds < 0 { PrimitiveDateTime::MIN } else { PrimitiveDateTime::MAX };
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(end.assume_utc());
    let month = u8::from(at.month());
    format!("{:04}-{month:02}-{:02} {:02}:{:02} UTC", at.year(), at.day(), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINK: &str = "https://guildhall.example.test/invitations?token=ghi_x";

    fn invitation(organization: &str, invited_by: Option<&str>) -> Mail {
        Mail::Invitation {
            to: "ada@example.test".to_owned(),
            organization: organization.to_owned(),
            invited_by: invited_by.map(str::to_owned),
            link: LINK.to_owned(),
            expires_at: Timestamp::from_micros(1_795_323_959_999_999),
            tell: None,
        }
    }

    #[test]
    fn an_invitation_says_who_where_how_and_until_when() {
        let letter = render(&invitation("Analytical Engines", Some("Charles")));
        assert_eq!(letter.to, "ada@example.test");
        assert_eq!(letter.subject, "Invitation to join Analytical Engines");
        let expected = "Hello,\n\nCharles invites you to join \"Analytical Engines\".\nTo accept, open this link:\n\n\
            https://guildhall.example.test/invitations?token=ghi_x\n\n\
            It works once, until 2026-11-22 05:05 UTC.\n\
            If you did not expect this invitation, you can ignore it.\n";
        assert_eq!(letter.text, expected);
    }

    #[test]
    fn an_invitation_can_do_without_an_inviter() {
        for nobody in [None, Some(""), Some(" \n")] {
            let letter = render(&invitation("Analytical Engines", nobody));
            assert!(letter.text.contains("\nYou are invited to join \"Analytical Engines\".\n"), "{}", letter.text);
        }
    }

    #[test]
    fn ce_08_the_inviter_learns_whom_the_mail_went_to() {
        let letter = render(&Mail::InvitationSent {
            to: "charles@example.test".to_owned(),
            organization: "Analytical Engines".to_owned(),
            invitee: "ada@example.test".to_owned(),
        });
        assert_eq!(letter.to, "charles@example.test");
        assert_eq!(letter.subject, "Your invitation to Analytical Engines was sent");
        assert!(letter.text.contains("the invitation of ada@example.test to join \"Analytical Engines\" was sent."));
    }

    #[test]
    fn a_notification_keeps_to_lines_and_tells_a_contact_how_to_get_no_more() {
        let mail = |unsubscribe: Option<&str>| Mail::Notification {
            to: "ada@example.test".to_owned(),
            organization: "Analytical Engines".to_owned(),
            resource: "Mill".to_owned(),
            subject: "It\r\nBcc: stopped".to_owned(),
            text: format!("First.\n\nSecond\u{202e} {}\n{}", "word ".repeat(400), "x".repeat(2_000)),
            unsubscribe: unsubscribe.map(str::to_owned),
        };
        let letter = render(&mail(Some(LINK)));
        assert_eq!(letter.subject, "It Bcc: stopped");
        assert!(letter.text.starts_with("First.\n\nSecond word "));
        assert!(letter.text.lines().all(|line| line.len() <= 998));
        assert!(letter.text.contains("about \"Mill\" in \"Analytical Engines\"."));
        assert!(letter.text.lines().any(|line| line == LINK));
        assert_eq!(letter.unsubscribe.as_deref(), Some(LINK));
        let letter = render(&mail(None));
        assert!(!letter.text.contains("no more mails") && letter.unsubscribe.is_none());
    }

    #[test]
    fn a_name_stays_in_its_line() {
        let name = name(" A\r\nBcc: eve@example.test\u{2028}\u{85}B\u{202e}C\0 ");
        assert_eq!(name, "A Bcc: eve@example.test BC");
        assert_eq!(super::name(&"x".repeat(1_000)).len(), NAME_BYTES_MAX);
        let long = "\u{1f980}".repeat(1_000);
        let letter = render(&invitation(&long, Some(&format!("x{long}"))));
        assert!(letter.text.lines().all(|line| line.len() <= 998));
    }

    #[test]
    fn instants_are_written_in_the_gregorian_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (-1, "1969-12-31 23:59 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(date_time(Timestamp::from_micros(seconds * 1_000_000)), expected);
        }
        // The ends of what can be told do not panic.
        assert_eq!(date_time(Timestamp::from_micros(i64::MAX)), "9999-12-31 23:59 UTC");
        assert_eq!(date_time(Timestamp::from_micros(i64::MIN)), "-9999-01-01 00:00 UTC");
    }

    proptest! {
        #[test]
        fn no_name_adds_a_line_or_a_header(organization in any::<String>(), inviter in any::<String>()) {
            let letter = render(&invitation(&organization, Some(&inviter)));
            prop_assert!(!letter.subject.chars().any(char::is_control));
            prop_assert_eq!(letter.text.lines().count(), 9);
            prop_assert_eq!(letter.text.lines().nth(5), Some(LINK));
            prop_assert!(letter.text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
