//! The first start: what makes an installation, and what a later start finds of it.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::auth::{Purpose, Sealer, Secret, SecretKind, SigningKey};
use crate::changelog::Author;
use crate::clock::Env;
use crate::domain::catalog::OPERATOR;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::id::{GrantId, ServiceAccountId};
use crate::domain::place::{Place, Principal};
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::store::{InstallationRow, Lock, SigningKeyRow, Store};

/// What is sealed to tell a wrong installation key at start.
const KEY_CHECK: &[u8] = b"guildhall";

/// What the start of an installation gives.
#[derive(Debug)]
pub struct FirstStart {
    /// Counts restores that revision tokens must not survive.
    pub epoch: u32,
    /// Keys that sign access tokens, newest first.
    pub signing_keys: Vec<SigningKey>,
    /// The operator's API key, on the first start alone.
    pub operator_key: Option<Secret>,
}

/// Why an installation does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The installation key is another than the one the database was made with.
    #[error("the installation key does not fit this database: it was made with another one")]
    WrongKey,
    /// The operator's key could not be handed over, so the installation was not made.
    #[error(
        "this is the first start, and the operator's API key, which is shown once, cannot be printed: {0}. No \
         installation was made: start again where its standard output is read"
    )]
    Untold(std::io::Error),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] Error),
}

/// Hands the operator's key over. It must have arrived when the future ends, and the future must end soon: other replicas
/// wait for it.
pub type HandOver = Box<dyn FnOnce(&Secret) -> BoxFuture<'static, std::io::Result<()>> + Send>;

/// Makes the installation on the first start (signing key, operator, its API key), or finds it.
///
/// The key is handed over before the installation is committed: whoever has made one has its key, whatever happens next.
///
/// # Errors
/// - [`StartError::WrongKey`] if the database was made with another installation key.
/// - [`StartError::Untold`] if the key was not handed over; nothing was made then.
pub async fn start(store: &Store, sealer: &Sealer, env: &Env, hand_over: HandOver) -> Result<FirstStart, StartError> {
    let mut operator_key = None;
    if store.reads().installation().await?.is_none() {
        operator_key = make(store, sealer, env, hand_over).await?;
    }
    let row = store.reads().installation().await?;
    let row = row.ok_or_else(|| Error::internal("the installation was not made"))?;
    if sealer.open(Purpose::KeyCheck, &row.key_check).as_deref() != Some(KEY_CHECK) {
        return Err(StartError::WrongKey);
    }

    let mut signing_keys = Vec::new();
    for key in store.reads().signing_keys().await? {
        let seed = sealer.open(Purpose::SigningKey, &key.sealed_private_key);
        let seed = seed.and_then(|seed| seed.try_into().ok()).ok_or(StartError::WrongKey)?;
        signing_keys.push(SigningKey::from_seed(key.id, seed));
    }
    Ok(FirstStart { epoch: row.epoch, signing_keys, operator_key })
}

/// Makes the installation. `None` if another process was first.
async fn make(store: &Store, sealer: &Sealer, env: &Env, hand_over: HandOver) -> Result<Option<Secret>, StartError> {
    let author = Author { actor: None, rpc: "first start", call_id: env.id::<Uuid>(), reason: None };
    let mut tx = store.begin(Lock::Installation, Vec::new(), author, false).await?;
    let row = InstallationRow { epoch: 1, key_check: sealer.seal(Purpose::KeyCheck, KEY_CHECK, env) };
    match tx.installation_insert(&row).await {
        Err(error) if error.reason == Reason::ConcurrentUpdate => return Ok(None),
        made => made?,
    }

    let key = SigningKey::generate(env.id(), env);
    let sealed_private_key = sealer.seal(Purpose::SigningKey, key.seed(), env);
    tx.signing_key_insert(&SigningKeyRow { id: key.id(), public_key: key.public_key().to_vec(), sealed_private_key })
        .await?;

    let operator: ServiceAccountId = tx.id();
    let account = ServiceAccount {
        id: operator,
        organization: None,
        display_name: "first operator".into(),
        is_enabled: true,
        created_at: tx.now(),
        bound_to: None,
    };
    tx.service_account_insert(&account).await?;
    let grant = Grant {
        id: tx.id::<GrantId>(),
        principal: Principal::ServiceAccount(operator),
        place: Place::Installation,
        held: Held::Role(OPERATOR.into()),
        expires_at: None,
        source: GrantSource::Manual,
    };
    tx.installation_grant_insert(&grant).await?;
    let secret = Secret::new(env, SecretKind::ApiKey);
    let key =
        ApiKey { id: tx.id(), service_account: operator, created_at: tx.now(), expires_at: None, revoked_at: None };
    tx.installation_api_key_insert(&key, &secret.hash()).await?;
    if let Err(error) = hand_over(&secret).await {
        // What is not committed is gone with the connection, too.
        let _ = tx.rollback().await;
        return Err(StartError::Untold(error));
    }
    tx.commit().await?;
    Ok(Some(secret))
}
