//! The ways a mail leaves the house. Today there is one, a directory; SMTP will be the next variant of [`Way`].

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Message;
use lettre::address::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Body, Mailbox};
use uuid::Uuid;

use super::template::Letter;
use crate::clock::Env;
use crate::domain::email::Email;
use crate::domain::time::Timestamp;
use crate::private;

/// The last second that a `Date` header can tell: 9999-12-31T23:59:59Z.
const DATE_SECONDS_MAX: u64 = 253_402_300_799;

/// Most bytes of text in one encoded word, so that its line has at most 76 (RFC 2047, 2).
const ENCODED_BYTES_MAX: usize = 39;

/// Most bytes of a line, its end not counted (RFC 5322, 2.1.1).
const LINE_BYTES_MAX: usize = 998;

/// Carries mails out. Cloning it is cheap.
#[derive(Clone)]
pub struct MailTransport {
    from: Mailbox,
    env: Env,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// A file for each mail.
    Directory(PathBuf),
}

/// Why a mail could not be carried out. Holds no address.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The configured sender is no mailbox.
    #[error("the sender of mails is not a mailbox such as `Guildhall <guildhall@example.test>`")]
    Sender(#[source] lettre::address::AddressError),
    /// The address cannot be written into a mail.
    #[error("the mail's address cannot be used")]
    Recipient(#[source] lettre::address::AddressError),
    /// The mail lacks a header that it must have.
    #[error("the mail cannot be put together")]
    Form(#[source] lettre::error::Error),
    /// A line of the mail has more than 998 bytes (RFC 5322, 2.1.1).
    #[error("a line of the mail is too long")]
    Line,
    /// The directory for mails cannot be made.
    #[error("making the directory {} for mails", .path.display())]
    Directory {
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The mail's file cannot be written.
    #[error("writing a mail's file")]
    File(#[source] io::Error),
}

impl MailTransport {
    /// Keeps every mail as a file `<id>.eml` in the directory at `path`. Nothing is made yet.
    ///
    /// `from` is a mailbox (RFC 5322, 3.4).
    ///
    /// # Errors
    /// - [`TransportError::Sender`] if `from` is none.
    /// - [`TransportError::Directory`] if something else stands at `path`.
    pub fn directory(path: &Path, from: &str, env: Env) -> Result<Self, TransportError> {
        let from = from.parse::<Mailbox>().map_err(TransportError::Sender)?;
        if path.metadata().is_ok_and(|found| !found.is_dir()) {
            let source = io::ErrorKind::NotADirectory.into();
            return Err(TransportError::Directory { path: path.to_owned(), source });
        }
        Ok(Self { from, env, way: Way::Directory(path.to_owned()) })
    }

    /// Makes ready what mails go out by. Mails hold working links: the directory is made if it is absent, and closed to
    /// others than its owner if it is not.
    ///
    /// # Errors
    /// - [`TransportError::Directory`] with what the operating system says.
    pub fn prepare(&self) -> Result<(), TransportError> {
        let Way::Directory(path) = &self.way;
        let made = private::make_directory(path).and_then(|()| private::restrict_with_files(path));
        made.map_err(|source| TransportError::Directory { path: path.clone(), source })
    }

    /// Sends a letter; `id` becomes its Message-ID, so that a mail sent twice can be told for one.
    ///
    /// # Errors
    /// - [`TransportError::Recipient`], [`TransportError::Line`] and [`TransportError::Form`] if it cannot be a mail.
    /// - [`TransportError::File`] with what the operating system says.
    ///
    /// # Panics
    /// Between begin and commit, see [`crate::locked`].
    pub async fn send(&self, id: Uuid, letter: &Letter) -> Result<(), TransportError> {
        crate::locked::forbid("the mailer");
        let message = self.message(id, letter)?;
        match &self.way {
            Way::Directory(directory) => {
                let directory = directory.clone();
                let suffix = u64::from_le_bytes(self.env.random());
                let write = move || write(&directory, id, suffix, &message.formatted());
                let written = tokio::task::spawn_blocking(write).await;
                written.map_err(io::Error::other).flatten().map_err(TransportError::File)
            }
        }
    }

    fn message(&self, id: Uuid, letter: &Letter) -> Result<Message, TransportError> {
        // Mail servers know domains by their A-labels.
        let to = Email::parse("to", &letter.to).map_or_else(|_| letter.to.clone(), |email| email.deliverable());
        let to = to.parse::<Address>().map_err(TransportError::Recipient)?;
        let body = body(&letter.text)?;
        let mut message = Message::builder();
        if let Some(link) = &letter.unsubscribe {
            // In one click: a mail program sends a POST there (RFC 8058).
            let one_click = "List-Unsubscribe=One-Click".to_owned();
            message = message
                .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("List-Unsubscribe"), format!("<{link}>")))
                .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("List-Unsubscribe-Post"), one_click));
        }
        message
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .raw_header(subject(&letter.subject))
            // Without it the system's clock would be read.
            .date(date(self.env.now()))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .header(MIME_VERSION_1_0)
            // Keeps machines from answering (RFC 3834, 5).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .body(body)
            .map_err(TransportError::Form)
    }
}

impl fmt::Debug for MailTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
        }
    }
}

/// Leaves the text as it is but for its line ends: an encoding that breaks lines would leave whoever reads the file
/// with a link in pieces.
fn body(text: &str) -> Result<Body, TransportError> {
    if text.lines().any(|line| line.len() > LINE_BYTES_MAX) {
        return Err(TransportError::Line);
    }
    let encoding = if text.is_ascii() { ContentTransferEncoding::SevenBit } else { ContentTransferEncoding::EightBit };
    Ok(Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), encoding))
}

/// Writes a subject. One that has what begins an encoded word is encoded as a whole (RFC 2047): mail programs would decode
/// it, and show a text that nobody has looked at.
fn subject(text: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if !text.contains("=?") {
        return HeaderValue::new(name, text.to_owned());
    }
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(ENCODED_BYTES_MAX));
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    // Spaces between encoded words are not shown.
    HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), words.join("\r\n "))
}

fn date(instant: Timestamp) -> SystemTime {
    let seconds = (instant.as_millis() / 1_000).min(DATE_SECONDS_MAX);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Writes a mail under a name that no reader looks for, then gives it its own: nobody ever sees half a mail.
fn write(directory: &Path, id: Uuid, suffix: u64, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!(".{id}.{suffix:016x}.tmp"));
    let mut file = private::make(&temporary)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, directory.join(format!("{id}.eml"))));
    if written.is_err() {
        // What it could not write is of no use to anybody; the error that counts is the first.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use lettre::message::header::Date;

    use super::*;

    const FROM: &str = "Guildhall <guildhall@example.test>";
    const LINK: &str =
        "https://guildhall.example.test/invitations?token=ghi_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn letter(to: &str, subject: &str, text: &str) -> Letter {
        Letter { to: to.to_owned(), subject: subject.to_owned(), text: text.to_owned(), unsubscribe: None }
    }

    fn files(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }

    #[tokio::test]
    async fn a_mail_becomes_one_file_named_by_its_id() {
        let directory = tempfile::tempdir().expect("a directory");
        let outbox = directory.path().join("made").join("here");
        let env = Env::system();
        let transport = MailTransport::directory(&outbox, FROM, env.clone()).expect("a transport");
        assert!(!outbox.exists(), "nothing is made yet");
        transport.prepare().expect("a directory");
        let id: Uuid = env.id();

        let text = format!("Grüße,\n\n{LINK}\n");
        for _ in 0..2 {
            transport.send(id, &letter("ada@example.test", "Ein Gruß", &text)).await.expect("sent");
        }

        assert_eq!(files(&outbox), [format!("{id}.eml")]);
        let path = outbox.join(format!("{id}.eml"));
        let mail = String::from_utf8(std::fs::read(&path).expect("a file")).expect("UTF-8");
        let (head, body) = mail.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("From: Guildhall <guildhall@example.test>\r\n"), "{head}");
        assert!(head.contains("To: ada@example.test\r\n"), "{head}");
        assert!(head.contains(&format!("Message-ID: <{id}@example.test>\r\n")), "{head}");
        assert!(head.contains("MIME-Version: 1.0\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{head}");
        assert!(head.is_ascii(), "{head}");
        assert_eq!(body, format!("Grüße,\r\n\r\n{LINK}\r\n"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&outbox)), (0o600, 0o700));
            std::fs::set_permissions(&outbox, std::fs::Permissions::from_mode(0o755)).expect("a restored directory");
            transport.prepare().expect("a directory");
            assert_eq!(mode(&outbox), 0o700);
        }
    }

    #[tokio::test]
    async fn a_subject_or_an_address_adds_no_header() {
        let directory = tempfile::tempdir().expect("a directory");
        let transport = MailTransport::directory(directory.path(), FROM, Env::system()).expect("a transport");

        let subject = "Hello\r\nBcc: eve@example.test\r\n\r\nbody";
        let message = transport.message(Uuid::nil(), &letter("ada@example.test", subject, "x\n")).expect("a message");
        let formatted = String::from_utf8(message.formatted()).expect("ASCII");
        assert!(!formatted.lines().any(|line| line.starts_with("Bcc")), "{formatted}");
        assert_eq!(formatted.matches("\r\n\r\n").count(), 1, "{formatted}");

        for address in ["", "ada", "ada@example.test\r\nBcc: eve@example.test", "ada@example.test, eve@example.test"] {
            let refused = transport.send(Uuid::nil(), &letter(address, "Hello", "x\n")).await;
            assert!(matches!(refused, Err(TransportError::Recipient(_))), "{address:?}: {refused:?}");
        }
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let refused = transport.send(Uuid::nil(), &letter("ada@example.test", "Hello", &long)).await;
        assert!(matches!(refused, Err(TransportError::Line)), "{refused:?}");
        assert!(files(directory.path()).is_empty());
    }

    #[tokio::test]
    async fn an_encoded_word_in_a_subject_is_shown_as_it_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let transport = MailTransport::directory(directory.path(), FROM, Env::system()).expect("a transport");
        let forged = "=?utf-8?q?Your_bank?=";
        for written in [
            format!("Invitation to join {forged}"),
            format!("\u{fc} {forged} \u{fc}"),
            format!("{} {forged}", "\u{fc}".repeat(100)),
            "=?".to_owned(),
        ] {
            let letter = letter("ada@example.test", &written, "x\n");
            let message = transport.message(Uuid::nil(), &letter).expect("a message");
            let formatted = String::from_utf8(message.formatted()).expect("ASCII");
            let (_, rest) = formatted.split_once("Subject: ").expect("a subject");
            let mut lines = rest.split("\r\n");
            let mut shown = lines.next().expect("a line").to_owned();
            for line in lines.take_while(|line| line.starts_with(' ')) {
                shown.push_str(line);
            }
            assert!(!shown.contains("Your_bank"), "{formatted}");
            assert!(formatted.split("\r\n").all(|line| line.len() <= 76), "{formatted}");
            let word = |word: &str| {
                let text = word.strip_prefix("=?utf-8?b?").and_then(|text| text.strip_suffix("?=")).expect(word);
                String::from_utf8(STANDARD.decode(text).expect("base64")).expect("whole letters")
            };
            assert_eq!(shown.split(' ').map(word).collect::<String>(), written);
        }
    }

    #[tokio::test]
    async fn a_domain_is_written_as_mail_servers_know_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let transport = MailTransport::directory(directory.path(), FROM, Env::system()).expect("a transport");
        let letter = letter("Ada@ex\u{e4}mple.test", "Hello", "x\n");
        let formatted = transport.message(Uuid::nil(), &letter).expect("a message").formatted();
        let formatted = String::from_utf8(formatted).expect("ASCII");
        assert!(formatted.contains("To: Ada@xn--exmple-cua.test\r\n"), "{formatted}");
    }

    #[tokio::test]
    async fn the_date_is_our_clocks() {
        assert_eq!(Date::from(date(Timestamp::from_micros(0))), Date::from(SystemTime::UNIX_EPOCH));
        // A clock far off gives a wrong date and no panic.
        for micros in [i64::MIN, -1, i64::MAX] {
            let _ = Date::from(date(Timestamp::from_micros(micros)));
        }
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let outbox = directory.path().join("outbox");
        let transport = MailTransport::directory(&outbox, FROM, Env::system()).expect("a transport");
        transport.prepare().expect("a directory");
        std::fs::remove_dir(&outbox).expect("removed");
        let refused = transport.send(Uuid::nil(), &letter("ada@example.test", "Hello", "x\n")).await;
        assert!(matches!(refused, Err(TransportError::File(_))), "{refused:?}");

        std::fs::write(&outbox, b"a file").expect("written");
        let refused = MailTransport::directory(&outbox, FROM, Env::system());
        assert!(matches!(refused, Err(TransportError::Directory { .. })), "{refused:?}");
        let refused = MailTransport::directory(directory.path(), "nobody", Env::system());
        assert!(matches!(refused, Err(TransportError::Sender(_))), "{refused:?}");
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the mailer was called between begin and commit"))]
    async fn nothing_is_sent_under_a_lock() {
        let directory = tempfile::tempdir().expect("a directory");
        let transport = MailTransport::directory(directory.path(), FROM, Env::system()).expect("a transport");
        let _ = crate::locked::hold(transport.send(Uuid::nil(), &letter("ada@example.test", "Hello", "x\n"))).await;
    }
}
