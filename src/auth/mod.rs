//! Bytes in, Principal out: tokens, keys, passwords and what seals them.
//!
//! Each kind of credential has a file. Nothing here reads a table or knows a transport: who holds a credential and
//! whether it still counts is asked by `service`. May import `domain`, `clock` and `locked`.

mod fingerprint;
mod jwt_crypto;
mod password;
mod seal;
mod secret;
mod signing_key;
mod token;
mod unsubscription;

pub use fingerprint::Counted;
pub use jwt_crypto::install_jwt_crypto;
pub use password::{PasswordCost, Passwords, Turn};
pub use seal::{InstallationKey, KeyError, Purpose, Sealer};
pub use secret::{Presented, Secret, SecretKind, SecretLink, hash_of, kind_of};
pub use signing_key::SigningKey;
pub use token::{AccessToken, Claims, Tokens, looks_like_jwt};
pub use unsubscription::Unsubscription;
