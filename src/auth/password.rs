//! Passwords: hashed with Argon2id (RFC 9106), off the async threads, a bounded number at a time, by whoever has the turn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::Error as HashError;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Env;
use crate::domain::error::{Error, Reason};

/// What hashing one password costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes, which is also how many threads could share the work.
    pub lanes: u32,
}

impl Default for PasswordCost {
    /// The least that OWASP's cheat sheet names. No setting of a server lowers it.
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

impl PasswordCost {
    /// The least that RFC 9106 allows, for tests that are not about the cost.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    fn params(self) -> Params {
        let Self { memory_kib, passes, lanes } = self;
        Params::new(memory_kib, passes, lanes, None).expect("the parameters are within Argon2's bounds")
    }

    /// Returns a hash that stands in for one of a user who has none, and takes as long. No password is known to fit it.
    fn dummy(self) -> String {
        let Self { memory_kib, passes, lanes } = self;
        let (salt, hash) = ("Z3VpbGRoYWxsIGR1bW15IQ", "A".repeat(43));
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }
}

/// What a hash is taken to last until one was measured, and the least that one is taken to.
const LASTS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(1));
/// After how long a refused call may be tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Bytes of salt (RFC 9106, 3.1).
const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords. Cloning it is cheap, and clones share the bound.
#[derive(Clone)]
pub struct Passwords {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    argon2: Argon2<'static>,
    dummy: String,
    concurrency: usize,
    /// Longest that a caller waits for a turn.
    patience: Duration,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// How long a hash takes of late, in microseconds.
    lasts: AtomicU64,
}

impl Passwords {
    /// Makes a hasher that runs at most `concurrency` hashes at a time, at least one; each takes one core and the memory of
    /// `cost`. For its turn a caller waits for at most `patience`.
    #[must_use]
    pub fn new(env: Env, cost: PasswordCost, concurrency: usize, patience: Duration) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Shared {
            env,
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()),
            dummy: cost.dummy(),
            concurrency,
            patience,
            permits: Arc::new(Semaphore::new(concurrency)),
            waiting: AtomicUsize::new(0),
            lasts: AtomicU64::new(micros(LASTS.0)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Waits for the turn to hash one password. It is to be taken before anything else is done for a caller without a
    /// credential.
    ///
    /// The queue is bounded by time: a caller whose turn would come too late, by what hashes take of late, is refused
    /// at once, and one whose turn comes later than that was foreseen once the time is over.
    ///
    /// # Errors
    /// - [`PasswordsBusy`](Reason::PasswordsBusy).
    ///
    /// # Panics
    /// Between begin and commit, see [`crate::locked`].
    pub async fn turn(&self) -> Result<Turn, Error> {
        crate::locked::forbid("the password hasher");
        let shared = &self.shared;
        if let Ok(permit) = Arc::clone(&shared.permits).try_acquire_owned() {
            return Ok(Turn { shared: Arc::clone(shared), permit });
        }
        let place = shared.waiting.fetch_add(1, Ordering::AcqRel) + 1;
        scopeguard::defer! {
            shared.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        if shared.wait_of(place) > shared.patience {
            return Err(busy());
        }
        tokio::select! {
            permit = Arc::clone(&shared.permits).acquire_owned() => {
                Ok(Turn { shared: Arc::clone(shared), permit: permit.map_err(Error::internal)? })
            }
            () = shared.env.clock.sleep(shared.patience) => Err(busy()),
        }
    }
}

fn busy() -> Error {
    Error::new(Reason::PasswordsBusy, "too many passwords wait to be hashed").retry_after(RETRY)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Shared {
    /// Returns about how long the caller waits who is at this place of the queue, the first being 1.
    fn wait_of(&self, place: usize) -> Duration {
        let lasts = Duration::from_micros(self.lasts.load(Ordering::Relaxed)).max(LASTS.1);
        lasts.saturating_mul(u32::try_from(place.div_ceil(self.concurrency)).unwrap_or(u32::MAX))
    }

    /// Counts how long a hash took: an eighth of it, and seven of what was known.
    fn note(&self, took: Duration) {
        let lasts = self.lasts.load(Ordering::Relaxed);
        self.lasts.store(lasts - lasts / 8 + micros(took) / 8, Ordering::Relaxed);
    }
}

/// The turn to hash one password.
pub struct Turn {
    shared: Arc<Shared>,
    permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Hashes a password with a salt of its own; returns a PHC string. Dropped while it hashes, the turn lasts to the end.
    ///
    /// # Errors
    /// - [`Internal`](crate::domain::error::Reason::Internal) if there is no memory.
    ///
    /// # Panics
    /// Between begin and commit, see [`crate::locked`].
    pub async fn hash(self, password: &str) -> Result<String, Error> {
        let salt = self.shared.env.random::<SALT_BYTES>();
        let argon2 = self.shared.argon2.clone();
        self.run(password, move |password| Ok(argon2.hash_password_with_salt(password, &salt)?.to_string())).await
    }

    /// Returns whether `password` fits `hash`, a PHC string.
    ///
    /// With no hash it takes as long, and says no: how long a refusal takes does not tell who has an account.
    ///
    /// # Errors
    /// - [`Internal`](crate::domain::error::Reason::Internal) if `hash` is no PHC string of Argon2, or there is no
    ///   memory.
    ///
    /// # Panics
    /// Between begin and commit, see [`crate::locked`].
    pub async fn verify(self, password: &str, hash: Option<&str>) -> Result<bool, Error> {
        let is_real = hash.is_some();
        let hash = hash.unwrap_or(&self.shared.dummy).to_owned();
        let argon2 = self.shared.argon2.clone();
        let fits = move |password: &[u8]| {
            // The parameters that count are those in the hash.
            match argon2.verify_password(password, &PasswordHash::new(&hash)?) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            }
        };
        Ok(self.run(password, fits).await? && is_real)
    }

    /// Runs `work` on a thread that may block.
    async fn run<T: Send + 'static>(
        self,
        password: &str,
        work: impl FnOnce(&[u8]) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, Error> {
        crate::locked::forbid("the password hasher");
        let password = SecretString::from(password);
        let hashing = tokio::task::spawn_blocking(move || {
            // The permit goes along: a caller who hangs up does not end the hash, nor make room for another.
            let Self { shared, permit } = self;
            let began_at = shared.env.clock.monotonic();
            let done = work(password.expose_secret().as_bytes());
            shared.note(shared.env.clock.monotonic().since(began_at));
            drop(permit);
            done
        });
        hashing.await.map_err(Error::internal)?.map_err(Error::internal)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(Env::system(), PasswordCost::default(), 2, Duration::from_mins(1))
    }

    async fn hash(passwords: &Passwords, password: &str) -> String {
        passwords.turn().await.expect("a turn").hash(password).await.expect("hashed")
    }

    async fn verify(passwords: &Passwords, password: &str, hash: Option<&str>) -> Result<bool, Error> {
        passwords.turn().await.expect("a turn").verify(password, hash).await
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other_does() {
        let passwords = passwords();
        let hash = hash(&passwords, "correct horse").await;
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify(&passwords, "correct horse", Some(&hash)).await.expect("verified"));
        for wrong in ["", "correct horse ", "Correct horse"] {
            assert!(!verify(&passwords, wrong, Some(&hash)).await.expect("verified"), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn each_hash_has_a_salt_of_its_own() {
        let passwords = passwords();
        assert_ne!(hash(&passwords, "same").await, hash(&passwords, "same").await);
    }

    #[tokio::test]
    async fn without_a_hash_nothing_fits() {
        for password in ["", "correct horse"] {
            assert!(!verify(&passwords(), password, None).await.expect("verified"));
        }
    }

    #[tokio::test]
    async fn the_dummy_costs_what_a_real_hash_costs() {
        let (real, dummy) = (hash(&passwords(), "x").await, PasswordCost::default().dummy());
        let (real, dummy) = (PasswordHash::new(&real).expect("a PHC string"), PasswordHash::new(&dummy).expect("one"));
        assert_eq!(dummy.algorithm, real.algorithm);
        assert_eq!(dummy.version, real.version);
        assert_eq!(dummy.params, real.params);
        assert_eq!(dummy.salt.expect("a salt").len(), real.salt.expect("a salt").len());
        assert_eq!(dummy.hash.expect("a hash").len(), real.hash.expect("a hash").len());
    }

    #[tokio::test]
    async fn a_hash_made_elsewhere_is_verified() {
        // Made by OpenSSL: 19,456 KiB, 2 passes, 1 lane.
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlIHNhbA$9kGBgFYWN+Xfs4MH8QoytV2s9GKiaMweMIlzz8j8uEo";
        assert!(verify(&passwords(), "correct horse", Some(hash)).await.expect("verified"));
        assert!(!verify(&passwords(), "correct mule", Some(hash)).await.expect("verified"));
    }

    #[tokio::test]
    async fn what_is_no_hash_is_an_error_and_no_refusal() {
        for hash in ["", "plain", "$2b$12$abcdefghijklmnopqrstuv"] {
            let error = verify(&passwords(), "x", Some(hash)).await.expect_err("refused");
            assert_eq!(error.reason, Reason::Internal, "{hash:?}");
        }
    }

    #[tokio::test]
    async fn a_hash_waits_for_its_turn() {
        let passwords = Passwords::new(Env::system(), PasswordCost::default(), 1, Duration::from_mins(1));
        let turn = passwords.turn().await.expect("a turn");
        let mut waiting = Box::pin(passwords.turn());
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
        assert!(!first);
        drop(turn);
        assert!(waiting.await.is_ok());
        assert_eq!(passwords.shared.waiting.load(Ordering::Relaxed), 0);
        assert_eq!(passwords.shared.permits.available_permits(), 1);
    }

    #[tokio::test]
    async fn whose_turn_would_come_too_late_is_refused_at_once() {
        let passwords = Passwords::new(Env::system(), PasswordCost::default(), 1, Duration::from_millis(120));
        // As if hashes had taken 50 ms of late: two may wait, for 50 and for 100.
        let turn = passwords.turn().await.expect("a turn");
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(passwords.turn())).collect();
        for waiting in &mut waiting {
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        }
        let mut third = Box::pin(passwords.turn());
        let refused = std::future::poll_fn(|cx| std::task::Poll::Ready(third.as_mut().poll(cx))).await;
        let std::task::Poll::Ready(Err(error)) = refused else { panic!("it waits") };
        assert_eq!((error.reason, error.retry_after), (Reason::PasswordsBusy, Some(RETRY)));

        // Those who wait are refused once they have waited as long as anybody does.
        for waiting in waiting {
            assert_eq!(waiting.await.expect_err("refused").reason, Reason::PasswordsBusy);
        }
        assert_eq!(passwords.shared.waiting.load(Ordering::Relaxed), 0);
        drop(turn);
        assert!(passwords.turn().await.is_ok());
    }

    #[tokio::test]
    async fn the_queue_knows_how_long_hashes_take() {
        let passwords = passwords();
        let before = passwords.shared.wait_of(1);
        for _ in 0..40 {
            passwords.shared.note(Duration::from_millis(400));
        }
        assert!(passwords.shared.wait_of(1) > before * 7);
        assert_eq!(passwords.shared.wait_of(1), passwords.shared.wait_of(2));
        assert_eq!(passwords.shared.wait_of(3), passwords.shared.wait_of(1) * 2);
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the password hasher was called between begin and commit"))]
    async fn nobody_waits_for_a_turn_under_a_lock() {
        let passwords = passwords();
        let _ = crate::locked::hold(passwords.turn()).await;
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the password hasher was called between begin and commit"))]
    async fn nothing_is_hashed_under_a_lock() {
        let turn = passwords().turn().await.expect("a turn");
        let _ = crate::locked::hold(turn.hash("x")).await;
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the password hasher was called between begin and commit"))]
    async fn nothing_is_verified_under_a_lock() {
        let turn = passwords().turn().await.expect("a turn");
        let _ = crate::locked::hold(turn.verify("x", None)).await;
    }
}
