//! Passwords: hashed with Argon2id (RFC 9106), off the async threads, a bounded number at a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::Error as HashError;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::clock::World;
use crate::domain::error::{Error, Reason};

/// Memory of one hash, KiB. With [`PASSES`] and [`LANES`] the least that OWASP's cheat sheet names.
const MEMORY_KIB: u32 = 19_456;

/// Passes over the memory.
const PASSES: u32 = 2;

/// Lanes, which is also how many threads could share the work.
const LANES: u32 = 1;

/// Most hashes that wait for their turn, about two seconds' worth; above it `PASSWORDS_BUSY`.
const WAITING_MAX: usize = 256;

/// Bytes of salt (RFC 9106, 3.1).
const SALT_BYTES: usize = 16;

/// Stands in for the hash of whoever has none, with today's parameters. No password is known to fit it.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Z3VpbGRoYWxsIGR1bW15IQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords. Cloning it is cheap, and clones share the bound.
#[derive(Clone)]
pub struct Passwords {
    world: World,
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
    /// A place for every hash that runs or waits.
    places: Arc<Semaphore>,
}

impl Passwords {
    /// Makes a hasher that runs at most `concurrency` hashes at a time, at least one; each takes 19 MiB and one core.
    #[must_use]
    pub fn new(world: World, concurrency: usize) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within Argon2's bounds");
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            world,
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            permits: Arc::new(Semaphore::new(concurrency)),
            places: Arc::new(Semaphore::new(concurrency + WAITING_MAX)),
        }
    }

    /// Hashes a password with a salt of its own; gives a PHC string.
    ///
    /// Waits for its turn. Dropped while it hashes, it keeps its turn to the end.
    ///
    /// # Errors
    /// - [`PasswordsBusy`](Reason::PasswordsBusy) if too many wait.
    /// - [`Internal`](crate::domain::error::Reason::Internal) if there is no memory.
    ///
    /// # Panics
    /// Between begin and commit, see [`crate::locked`].
    pub async fn hash(&self, password: &str) -> Result<String, Error> {
        crate::locked::forbid("the password hasher");
        let salt = self.world.random::<SALT_BYTES>();
        let argon2 = self.argon2.clone();
        self.run(password, move |password| Ok(argon2.hash_password_with_salt(password, &salt)?.to_string())).await
    }

    /// Says whether `password` fits `hash`, a PHC string.
    ///
    /// With no hash it takes as long, and says no: how long a refusal takes does not tell who has an account.
    ///
    /// # Errors
    /// - [`PasswordsBusy`](Reason::PasswordsBusy) if too many wait.
    /// - [`Internal`](crate::domain::error::Reason::Internal) if `hash` is no PHC string of Argon2, or there is no
    ///   memory.
    ///
    /// # Panics
    /// Between begin and commit, see [`crate::locked`].
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, Error> {
        crate::locked::forbid("the password hasher");
        let is_real = hash.is_some();
        let hash = hash.unwrap_or(DUMMY).to_owned();
        let argon2 = self.argon2.clone();
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

    /// Runs `work` on a thread that may block, once there is a permit.
    async fn run<T: Send + 'static>(
        &self,
        password: &str,
        work: impl FnOnce(&[u8]) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, Error> {
        let password = SecretString::from(password);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let message = "too many passwords wait to be hashed";
            return Err(Error::new(Reason::PasswordsBusy, message).retry_after(Duration::from_secs(1)));
        };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(Error::internal)?;
        let hashing = tokio::task::spawn_blocking(move || {
            // The permit goes along: a caller who hangs up does not end the hash, nor make room for another.
            let _permits = (permit, place);
            work(password.expose_secret().as_bytes())
        });
        hashing.await.map_err(Error::internal)?.map_err(Error::internal)
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
        Passwords::new(World::system(), 2)
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other_does() {
        let passwords = passwords();
        let hash = passwords.hash("correct horse").await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse", Some(&hash)).await.expect("verified"));
        for wrong in ["", "correct horse ", "Correct horse"] {
            assert!(!passwords.verify(wrong, Some(&hash)).await.expect("verified"), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn each_hash_has_a_salt_of_its_own() {
        let passwords = passwords();
        assert_ne!(passwords.hash("same").await.expect("hashed"), passwords.hash("same").await.expect("hashed"));
    }

    #[tokio::test]
    async fn without_a_hash_nothing_fits() {
        for password in ["", "correct horse"] {
            assert!(!passwords().verify(password, None).await.expect("verified"));
        }
    }

    #[tokio::test]
    async fn the_dummy_costs_what_a_real_hash_costs() {
        let real = passwords().hash("x").await.expect("hashed");
        let (real, dummy) = (PasswordHash::new(&real).expect("a PHC string"), PasswordHash::new(DUMMY).expect("one"));
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
        assert!(passwords().verify("correct horse", Some(hash)).await.expect("verified"));
        assert!(!passwords().verify("correct mule", Some(hash)).await.expect("verified"));
    }

    #[tokio::test]
    async fn what_is_no_hash_is_an_error_and_no_refusal() {
        for hash in ["", "plain", "$2b$12$abcdefghijklmnopqrstuv"] {
            let error = passwords().verify("x", Some(hash)).await.expect_err("refused");
            assert_eq!(error.reason, Reason::Internal, "{hash:?}");
        }
    }

    #[tokio::test]
    async fn a_hash_waits_for_its_turn() {
        let passwords = Passwords::new(World::system(), 1);
        let turn = passwords.permits.clone().acquire_owned().await.expect("a permit");
        let mut waiting = Box::pin(passwords.hash("x"));
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
        assert!(!first);
        drop(turn);
        assert!(waiting.await.is_ok());
        assert_eq!(passwords.permits.available_permits(), 1);
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the password hasher was called between begin and commit"))]
    async fn nothing_is_hashed_under_a_lock() {
        let passwords = passwords();
        let _ = crate::locked::hold(passwords.hash("x")).await;
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the password hasher was called between begin and commit"))]
    async fn nothing_is_verified_under_a_lock() {
        let passwords = passwords();
        let _ = crate::locked::hold(passwords.verify("x", None)).await;
    }
}
