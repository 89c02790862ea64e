//! Seals what must not be readable in a copy of the database: one key per installation, one derived key per purpose.
//!
//! A new use is a variant of [`Purpose`]; what was sealed for one purpose does not open for another.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac::{HMAC_SHA256, Key as HmacKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};

use crate::clock::Env;
use crate::private;

/// Bytes of the installation key.
const KEY_BYTES: usize = 32;

/// Most bytes read of a key file: the key as base64 has 44, and somebody may have added white space.
const FILE_BYTES_MAX: u64 = 1_024;

/// First byte of what is sealed today: ChaCha20-Poly1305 (RFC 8439) under a key by HKDF-SHA256 (RFC 5869).
const VERSION: u8 = 1;

/// Separates our derived keys from those another program may derive from the same key.
const SALT: &[u8] = b"guildhall/seal/1";

/// Stands in the derivation of the key of keyed hashes, as [`Purpose::info`] does in those of the others.
const FINGERPRINTS: &[u8] = b"fingerprints";

/// The key under which an installation keeps its secrets. Whoever lacks it learns nothing from the database alone.
pub struct InstallationKey(SecretBox<[u8; KEY_BYTES]>);

impl InstallationKey {
    /// Reads a key from its text: 32 bytes as padded base64 (RFC 4648, 4), white space around it ignored.
    ///
    /// # Errors
    /// - [`KeyError::Malformed`] for anything else.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let mut key = Self(SecretBox::new(Box::new([0; KEY_BYTES])));
        let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new).map_err(|_| KeyError::Malformed)?;
        if bytes.len() != KEY_BYTES {
            return Err(KeyError::Malformed);
        }
        secrecy::ExposeSecretMut::expose_secret_mut(&mut key.0).copy_from_slice(&bytes);
        Ok(key)
    }

    /// Reads the key from the file at `path`; `None` if there is none.
    ///
    /// One that others may read is used, with a warning in the log.
    ///
    /// # Errors
    /// - [`KeyError::FileMalformed`] if the file holds no key.
    /// - [`KeyError::Read`] with what the operating system says.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        match load(path) {
            Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            known => known.map(Some),
        }
    }

    /// Draws a key and keeps it in a file at `path`, readable by its owner alone. The file is there with the whole key or
    /// not at all, and one that is there is never written over.
    ///
    /// # Errors
    /// - [`KeyError::Write`] with what the operating system says.
    pub fn create(path: &Path, env: &Env) -> Result<Self, KeyError> {
        create(path, env).map_err(|source| KeyError::Write { path: path.to_owned(), source })
    }

    /// Reads the key from the file at `path`, or makes it.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`create`](Self::create).
    pub fn load_or_create(path: &Path, env: &Env) -> Result<Self, KeyError> {
        Self::load(path)?.map_or_else(|| Self::create(path, env), Ok)
    }
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationKey(…)")
    }
}

/// Why there is no installation key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A text is no key.
    #[error("the installation key is not 32 bytes in base64")]
    Malformed,
    /// A file holds no key.
    #[error("{} does not hold an installation key: 32 bytes in base64", .path.display())]
    FileMalformed {
        /// Which file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("reading the installation key from {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be made.
    #[error("keeping a new installation key in {}", .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn load(path: &Path) -> Result<InstallationKey, KeyError> {
    let mut text = Zeroizing::new(String::new());
    let read = std::fs::File::open(path).and_then(|file| {
        warn_if_exposed(path, &file)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)
    });
    match read {
        Ok(_) => {}
        Err(source) if source.kind() == io::ErrorKind::InvalidData => {
            return Err(KeyError::FileMalformed { path: path.to_owned() });
        }
        Err(source) => return Err(KeyError::Read { path: path.to_owned(), source }),
    }
    InstallationKey::from_base64(&text).map_err(|_| KeyError::FileMalformed { path: path.to_owned() })
}

fn create(path: &Path, env: &Env) -> io::Result<InstallationKey> {
    let key = InstallationKey(SecretBox::init_with(|| env.random()));
    let text = Zeroizing::new(STANDARD.encode(key.0.expose_secret()));
    // Written under another name: half a key would be refused at every start from now on.
    let unfinished = path.with_added_extension("unfinished");
    remove(&unfinished)?;
    let mut file = private::make(&unfinished)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        // Unlike a new name, a second one is not given where something has it.
        .and_then(|()| std::fs::hard_link(&unfinished, path));
    remove(&unfinished)?;
    written?;
    // A database that outlives the name of its key cannot be opened again.
    private::sync_name(path)?;
    Ok(key)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn warn_if_exposed(path: &Path, file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let mode = format!("{mode:03o}");
        tracing::warn!(path = %path.display(), mode, "the installation key is open to others than its owner");
    }
    Ok(())
}

#[cfg(not(unix))]
fn warn_if_exposed(_path: &Path, _file: &std::fs::File) -> io::Result<()> {
    Ok(())
}

/// What something is sealed for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// A known text, by which a wrong installation key is told at start.
    KeyCheck,
    /// The private half of a key that signs access tokens.
    SigningKey,
    /// A mail in the outbox.
    OutboxMail,
    /// Where the next page of a list begins.
    PageToken,
    /// Who wants no more mails about what.
    Unsubscription,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::KeyCheck, Self::SigningKey, Self::OutboxMail, Self::PageToken, Self::Unsubscription];

    /// Stands in the derivation of the purpose's key: once in use, it never changes.
    const fn info(self) -> &'static [u8] {
        match self {
            Self::KeyCheck => b"key check",
            Self::SigningKey => b"signing key",
            Self::OutboxMail => b"outbox mail",
            Self::PageToken => b"page token",
            Self::Unsubscription => b"unsubscription",
        }
    }
}

/// Seals and opens under keys derived from the installation key.
///
/// What is sealed is 29 bytes longer than its plaintext: a version, a nonce of 12 bytes, the ciphertext, a tag of 16.
/// Nonces are random: up to 2³² texts for one purpose, the chance that any two share one stays below 2⁻³².
///
/// Besides it makes [fingerprints](Self::fingerprint): keyed hashes by which something is recognised that must not be kept.
#[derive(Clone)]
pub struct Sealer {
    keys: Arc<[LessSafeKey; Purpose::ALL.len()]>,
    /// Of keyed hashes, see [`Sealer::fingerprint`].
    pub(super) hmac: Arc<HmacKey>,
}

impl Sealer {
    /// Derives the keys of all purposes.
    #[must_use]
    pub fn new(key: &InstallationKey) -> Self {
        let root = Salt::new(HKDF_SHA256, SALT).extract(key.0.expose_secret());
        let derive = |purpose: Purpose| {
            let info = [purpose.info()];
            let okm = root.expand(&info, &CHACHA20_POLY1305).expect("HKDF-SHA256 gives up to 8,160 bytes");
            LessSafeKey::new(UnboundKey::from(okm))
        };
        let hmac = root.expand(&[FINGERPRINTS], HMAC_SHA256).expect("HKDF-SHA256 gives up to 8,160 bytes");
        Self { keys: Arc::new(Purpose::ALL.map(derive)), hmac: Arc::new(hmac.into()) }
    }

    /// Seals `plaintext`, so that only [`open`](Self::open) with the same purpose and installation key gives it back.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, plaintext: &[u8], env: &Env) -> Vec<u8> {
        let nonce = env.random::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plaintext.len() + CHACHA20_POLY1305.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let in_place = &mut sealed[1 + NONCE_LEN..];
        let tag = self
            .key(purpose)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from([VERSION]), in_place)
            .expect("ChaCha20-Poly1305 takes up to 256 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for `purpose`; `None` for anything that was not, or was altered since.
    #[must_use]
    pub fn open(&self, purpose: Purpose, sealed: &[u8]) -> Option<Vec<u8>> {
        let (&version, rest) = sealed.split_first()?;
        if version != VERSION {
            return None;
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut plaintext = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key(purpose).open_in_place(nonce, Aad::from([version]), &mut plaintext).ok()?.len();
        plaintext.truncate(length);
        Some(plaintext)
    }

    fn key(&self, purpose: Purpose) -> &LessSafeKey {
        // In the order of `Purpose::ALL`, which is that of the declaration.
        &self.keys[purpose as usize]
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> InstallationKey {
        InstallationKey::from_base64(&STANDARD.encode([byte; 32])).expect("a key")
    }

    #[test]
    fn the_purposes_are_listed_in_the_order_of_their_declaration() {
        for (index, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, index);
        }
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_and_key_alone() {
        let env = Env::system();
        let seal = || Sealer::new(&key(1)).seal(Purpose::OutboxMail, b"a mail", &env);
        let sealed = seal();
        assert_eq!(sealed.len(), 6 + 29);
        assert_ne!(sealed, seal(), "nonces must differ");
        for purpose in Purpose::ALL {
            let expected = (purpose == Purpose::OutboxMail).then(|| b"a mail".to_vec());
            assert_eq!(Sealer::new(&key(1)).open(purpose, &sealed), expected, "{purpose:?}");
            assert_eq!(Sealer::new(&key(2)).open(purpose, &sealed), None, "{purpose:?}");
        }
    }

    #[test]
    fn no_byte_can_be_altered_dropped_or_added() {
        let sealed = Sealer::new(&key(1)).seal(Purpose::SigningKey, &[7; 32], &Env::system());
        let open = |bytes: &[u8]| Sealer::new(&key(1)).open(Purpose::SigningKey, bytes);
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut altered = sealed.clone();
                altered[index] ^= 1 << bit;
                assert_eq!(open(&altered), None, "byte {index}, bit {bit}");
            }
            assert_eq!(open(&sealed[..index]), None, "{index} bytes");
        }
        assert_eq!(open(&[sealed.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn what_earlier_versions_sealed_opens() {
        // Computed apart from this code: HKDF-SHA256 (RFC 5869), then ChaCha20-Poly1305 (RFC 8439), nonce 0..12.
        let sealed = STANDARD.decode("AQABAgMEBQYHCAkKC5Ca6L1ZhVuUjc/N5Ra+xwgEfmOVKK+vH9o=").expect("base64");
        assert_eq!(Sealer::new(&key(1)).open(Purpose::KeyCheck, &sealed).as_deref(), Some(b"guildhall".as_slice()));
    }

    #[test]
    fn only_32_bytes_in_base64_are_a_key() {
        assert!(InstallationKey::from_base64(&format!(" {}\n", STANDARD.encode([255; 32]))).is_ok());
        for wrong in [String::new(), "x".to_owned(), STANDARD.encode([1; 31]), STANDARD.encode([1; 33]), "é".repeat(22)]
        {
            assert!(matches!(InstallationKey::from_base64(&wrong), Err(KeyError::Malformed)), "{wrong:?}");
        }
    }

    #[test]
    fn debugging_shows_no_key() {
        assert_eq!(format!("{:?} {:?}", key(1), Sealer::new(&key(1))), "InstallationKey(…) Sealer(…)");
    }

    #[test]
    fn the_first_start_makes_the_key_and_later_ones_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("installation.key");
        let first = InstallationKey::load_or_create(&path, &Env::system()).expect("made");
        let text = std::fs::read(&path).expect("a file");
        let second = InstallationKey::load_or_create(&path, &Env::system()).expect("read");

        assert_eq!(first.0.expose_secret(), second.0.expose_secret());
        assert_ne!(first.0.expose_secret(), &[0; 32]);
        assert_eq!(std::fs::read(&path).expect("a file"), text);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("installation.key");
        for content in [b"".as_slice(), b"short\n", b"\xff\xfe", &[b'A'; 4_000]] {
            std::fs::write(&path, content).expect("written");
            let refused = InstallationKey::load_or_create(&path, &Env::system());
            assert!(matches!(refused, Err(KeyError::FileMalformed { .. })), "{refused:?}");
            assert_eq!(std::fs::read(&path).expect("a file"), content);
        }
    }

    #[test]
    fn a_key_that_cannot_be_kept_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("absent").join("installation.key");
        let refused = InstallationKey::load_or_create(&path, &Env::system());
        assert!(matches!(refused, Err(KeyError::Write { .. })), "{refused:?}");
        let refused = InstallationKey::load_or_create(directory.path(), &Env::system());
        assert!(matches!(refused, Err(KeyError::Read { .. })), "{refused:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens(plaintext in prop::collection::vec(any::<u8>(), 0..200)) {
            let sealed = Sealer::new(&key(1)).seal(Purpose::PageToken, &plaintext, &Env::system());
            prop_assert_eq!(Sealer::new(&key(1)).open(Purpose::PageToken, &sealed), Some(plaintext));
        }

        #[test]
        fn anything_can_be_tried_to_open(mut bytes in prop::collection::vec(any::<u8>(), 0..100), is_current: bool) {
            if let (true, Some(first)) = (is_current, bytes.first_mut()) {
                *first = VERSION;
            }
            prop_assert_eq!(Sealer::new(&key(1)).open(Purpose::PageToken, &bytes), None);
        }
    }
}
