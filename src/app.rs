//! The composition root: builds everything, owns every task it spawns, shuts down in order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{InstallationKey, KeyError, PasswordCost, Passwords, Sealer, Secret, Tokens};
use crate::authz::{self, Engine};
use crate::changelog::Source;
use crate::clock::{self, Env, Reading, SystemClock};
use crate::config::{self, Config, Limits};
use crate::domain::catalog::Catalogs;
use crate::domain::catalog::presets;
use crate::domain::error::Error;
use crate::domain::mailing::MailLimits;
use crate::domain::throttle;
use crate::jobs::{self, Deliveries, DeliverySettings};
use crate::mail::{MailTransport, Sender, TransportError};
use crate::private;
use crate::service::{self, Bearers, FirstStart, HandOver, Services, StartError, Throttle};
use crate::store::{self, Beginning, OpenError, Store};
use crate::telemetry::Metrics;
use crate::transport::{self, Authenticator, Health, HotPath, Listening, ServerState, Sources, TlsAcceptor, TlsError};
use crate::workers::Workers;

/// Why a server does not start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// PostgreSQL needs a key that outlives this machine.
    #[error(
        "a PostgreSQL database needs --installation-key-file: an existing file with 32 random bytes in base64, \
         the same on every replica (head -c 32 /dev/urandom | base64)"
    )]
    KeyMissing,
    /// An installation, and not its key.
    #[error(
        "the database holds an installation, and its key is not there: {}. Restore the key from its copy; without it the \
         database is of no use, and no other key takes its place", .0.display()
    )]
    KeyLost(PathBuf),
    /// The data directory cannot be made.
    #[error("the data directory {path}: {source}", path = .path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    /// The key file cannot be used.
    #[error("the installation key: {0}")]
    Key(#[from] KeyError),
    /// The installation in the database does not fit.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Something below failed.
    #[error("{0}: {cause}", cause = .0.cause())]
    Other(#[from] Error),
    /// The directory of the mails cannot be used.
    #[error("mail: {0}")]
    Mail(#[from] TransportError),
    /// Another program listens there.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// Plaintext would leave the machine.
    #[error(
        "{0} is not a loopback address, and what is said there would be plaintext: pass --tls-cert and --tls-key for \
         gRPC, or --allow-plaintext if something before it encrypts"
    )]
    Plaintext(SocketAddr),
    /// The listener cannot have TLS.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
}

/// What a server is built of, beside its settings. Tests and load generators put something else in the place of a part.
pub struct Parts<'a> {
    /// Time, ids and randomness.
    pub env: Env,
    /// How the database is opened.
    pub database: store::Settings,
    /// Makes what the index follows: the store itself, or something before it. Everything else works on the store.
    pub source: Box<dyn FnOnce(Store) -> Arc<dyn Source> + Send + 'a>,
    /// Receives the operator's key before the first start is committed.
    pub hand_over: HandOver,
    /// What hashing a password costs.
    pub password_cost: PasswordCost,
}

impl Parts<'_> {
    /// Returns the parts of an ordinary server.
    #[must_use]
    pub fn of(config: &Config, env: Env) -> Self {
        Self {
            env,
            database: store_settings(config),
            source: Box::new(|store| Arc::new(store)),
            hand_over: Box::new(|_| Box::pin(std::future::ready(Ok(())))),
            password_cost: PasswordCost::default(),
        }
    }
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("password_cost", &self.password_cost).finish_non_exhaustive()
    }
}

/// A running server.
#[derive(Debug)]
pub struct App {
    /// Where gRPC listens.
    pub grpc_address: SocketAddr,
    /// Where plain HTTP listens.
    pub http_address: SocketAddr,
    /// The operator's API key, on the first start alone.
    pub operator_key: Option<Secret>,
    services: Arc<Services>,
    health: Health,
    reporter: tonic_health::server::HealthReporter,
    /// No new calls; streams end.
    soft: CancellationToken,
    /// The background jobs end.
    background: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    followers: Vec<JoinHandle<()>>,
    grace: Duration,
}

impl App {
    /// Starts a server: the database, the installation, the index, the listeners; in that order, ready at the end. The
    /// operator's key of a first start is in `operator_key`.
    ///
    /// # Errors
    /// See [`AppError`]; nothing is left running then.
    pub async fn start(config: &Config, env: Env) -> Result<Self, AppError> {
        Self::start_of(config, Parts::of(config, env)).await
    }

    /// As [`App::start`], of parts that the caller has chosen.
    ///
    /// # Errors
    /// As [`App::start`]; [`StartError::Untold`] if the operator's key could not be handed over.
    pub async fn start_of(config: &Config, parts: Parts<'_>) -> Result<Self, AppError> {
        let Parts { env, database, source, hand_over, password_cost } = parts;
        let tls = find_tls(config)?;
        say_whose_source_is_known(&config.limits);
        let (listener, grpc_address) = listen(config.listen).await?;
        let (http_listener, http_address) = listen(config.http_listen).await?;

        // Whatever can be refused is refused before anything is made.
        database.location()?;
        let post = MailTransport::directory(&config.mail_dir(), &config.mail_from, env.clone())?;
        let key = find_key(config)?;
        let catalogs = Catalogs::default();
        let store = Store::open(&database, env.clone(), catalogs.clone()).await?;
        let (sealer, first) = match find_installation(&store, key, config, &env, &post, hand_over).await {
            Ok(found) => found,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        // Before anything can expire for somebody: whoever starts after this one must not find it good again.
        if let Err(error) = store.time_keep(env.now(), jobs::unrecorded(&env)).await {
            tracing::warn!(cause = error.cause(), "the time could not be put on record");
        }
        let bytes_max = (config.index_memory_mib as usize) << 20;
        let engine_settings = authz::Settings { bytes_max, ..authz::Settings::default() };
        let engine = Engine::start(source(store.clone()), catalogs, env.clone(), engine_settings, first.epoch).await?;
        let hashes_at_once = usize::from(config.password_concurrency);
        let services = Arc::new(Services {
            engine: Arc::clone(&engine),
            passwords: Passwords::new(env.clone(), password_cost, hashes_at_once, config.password_wait),
            throttle: Throttle::new(env.clone(), sign_in_limits(&config.limits)),
            tokens: Tokens::new(config.issuer.clone(), first.signing_keys, config::ACCESS_TOKEN_LIFETIME, env.clone())?,
            bearers: Bearers::default(),
            sealer: sealer.clone(),
            env: env.clone(),
            settings: service_settings(config),
            deliveries: Arc::new(Notify::new()),
            removals_begun: tokio::sync::watch::Sender::default(),
            activity: Arc::default(),
            writes: TaskTracker::new(),
            store: store.clone(),
        });
        let mails = Sender::new(sealer.clone(), post, env.clone());
        let nudge = Arc::clone(&services.deliveries);
        let deliveries = Deliveries::new(store, mails, env.clone(), DeliverySettings::default(), nudge);

        let (soft, background) = (CancellationToken::new(), CancellationToken::new());
        let metrics = Arc::new(Metrics::new());
        let server = ServerState {
            services: Arc::clone(&services),
            sealer,
            env,
            metrics: Arc::clone(&metrics),
            draining: soft.clone(),
            stream_age: config.connection_age,
            // The other half is for calls that begin when the streams have ended.
            stream_grace: config.shutdown_grace / 2,
        };
        let (grpc, plain) = (listening(config, tls, &server), listening(config, None, &server));
        let (health, hot_path) = (Health::default(), hot_path(config, &services, metrics)?);
        let (reporter, health_service) = transport::health().await;
        let workers = Arc::new(Workers::new(Arc::clone(&services.env.clock)));
        let followers = jobs::start(&workers, &services, deliveries, &background);
        let servers = vec![
            tokio::spawn(serve_grpc(listener, grpc, server.clone(), hot_path, health_service, soft.clone())),
            tokio::spawn(transport::serve_plain(
                http_listener,
                plain,
                transport::router(server, health.clone(), workers),
                background.clone(),
            )),
        ];
        transport::set_serving(&reporter, true).await;
        health.set(true);
        Ok(Self {
            grpc_address,
            http_address,
            operator_key: first.operator_key,
            services,
            health,
            reporter,
            soft,
            background,
            servers,
            followers,
            grace: config.shutdown_grace,
        })
    }

    /// Returns the text of the operator's API key, on the first start alone.
    #[must_use]
    pub fn operator_key_text(&self) -> Option<&str> {
        self.operator_key.as_ref().map(Secret::text)
    }

    /// Returns the use cases, for tests that look behind the wire.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Stops in two stages: first no new calls, and those under way end within the grace; then whatever is left.
    pub async fn stop(mut self) {
        self.health.set(false);
        transport::set_serving(&self.reporter, false).await;
        self.soft.cancel();
        let Some(mut grpc) = (!self.servers.is_empty()).then(|| self.servers.remove(0)) else { return };
        self.services.writes.close();
        let calls = async {
            // A server that panicked has ended too.
            let _ = (&mut grpc).await;
            self.services.writes.wait().await;
        };
        if tokio::time::timeout(self.grace, calls).await.is_err() {
            tracing::warn!("calls that did not end in time are cut off");
            grpc.abort();
        }

        self.background.cancel();
        for task in self.servers.drain(..).chain(self.followers.drain(..)) {
            let mut task = task;
            if tokio::time::timeout(self.grace, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.services.store.clone().close().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let refuse = |source| AppError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    Ok((listener, address))
}

/// Brings the schema up to date, and does no more.
///
/// # Errors
/// - [`AppError::KeyLost`] for an embedded installation without its key, which no server would serve.
pub async fn migrate(config: &Config) -> Result<(), AppError> {
    // A server of PostgreSQL may be migrated where its key is not.
    let key = if config.is_embedded() { Some(find_key(config)?) } else { None };
    let store = Store::open(&store_settings(config), Env::system(), Catalogs::default()).await?;
    let installation = store.reads().installation().await;
    store.close().await;
    match key {
        Some(Key::Absent(path)) if installation?.is_some() => Err(AppError::KeyLost(path)),
        _ => Ok(()),
    }
}

/// Begins to keep time by the database's clock, or by this machine's where it has none; not before what is on record.
async fn begin_time(store: &Store, env: &Env, may_go_back: bool) -> Result<(), AppError> {
    let asked_at = env.clock.monotonic();
    let time = store.time().await?;
    let answered_at = env.clock.monotonic();
    let database = time.clock.map(|time| Reading { time, asked_at, answered_at });
    env.clock.begin(&clock::Beginning { database, recorded: time.newest, unrecorded: time.unrecorded, may_go_back });
    Ok(())
}

/// Returns what the store is opened with.
#[must_use]
pub fn store_settings(config: &Config) -> store::Settings {
    store::Settings {
        url: config.database_url().into(),
        beginning: beginning(config),
        connections_max: config.database_connections,
        patience: config::DATABASE_PATIENCE,
        write_wait: config.write_wait,
        sqlite_hook: None,
    }
}

/// The installation key, as it is found before the database is opened.
enum Key {
    /// It was given, or is there.
    Found(InstallationKey),
    /// It would be made here.
    Absent(PathBuf),
}

/// Returns where the installation key of an embedded database is if none is named: beside it, made at the first start.
fn own_key_file(config: &Config) -> PathBuf {
    config.data_dir.join("installation.key")
}

/// Returns where a new installation may begin, by what there is of a key.
fn beginning(config: &Config) -> Beginning {
    match &config.installation_key_file {
        _ if config.installation_key.is_some() => Beginning::NoFile,
        Some(path) if path.exists() => Beginning::NoFile,
        None if own_key_file(config).exists() => Beginning::Nowhere,
        Some(_) | None => Beginning::Anywhere,
    }
}

/// Finds the installation key. Makes nothing.
fn find_key(config: &Config) -> Result<Key, AppError> {
    if let Some(text) = &config.installation_key {
        return Ok(Key::Found(InstallationKey::from_base64(text.expose_secret())?));
    }
    let (path, is_named) = match &config.installation_key_file {
        Some(path) => (path.clone(), true),
        None => (own_key_file(config), false),
    };
    let is_given = is_named && path.exists();
    if !config.is_embedded() && !is_given {
        // A key made here would be lost with this machine, and all that it seals.
        return Err(AppError::KeyMissing);
    }
    if path.is_symlink() && !path.exists() {
        // It may lead to a disk that is not mounted.
        let source = std::io::ErrorKind::NotFound.into();
        return Err(KeyError::Read { path, source }.into());
    }
    if path.starts_with(&config.data_dir) {
        private::restrict(&path).map_err(|source| KeyError::Read { path: path.clone(), source })?;
    }
    match InstallationKey::load(&path)? {
        Some(key) => Ok(Key::Found(key)),
        None if is_named && !path.starts_with(&config.data_dir) && !path.parent().is_some_and(is_directory) => {
            let source = std::io::ErrorKind::NotFound.into();
            Err(KeyError::Write { path, source }.into())
        }
        None => Ok(Key::Absent(path)),
    }
}

fn is_directory(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

/// Finds the installation and what opens its secrets; makes both at the first start, and the directory of the mails.
async fn find_installation(
    store: &Store,
    key: Key,
    config: &Config,
    env: &Env,
    post: &MailTransport,
    hand_over: HandOver,
) -> Result<(Sealer, FirstStart), AppError> {
    begin_time(store, env, config.allow_clock_back).await?;
    let sealer = Sealer::new(&key_of(store, key, config, env).await?);
    post.prepare()?;
    let first = service::start(store, &sealer, env, hand_over).await?;
    Ok((sealer, first))
}

/// Returns the key that belongs to the database: the one that was found, or for a database without an installation a
/// new one.
async fn key_of(store: &Store, key: Key, config: &Config, env: &Env) -> Result<InstallationKey, AppError> {
    let path = match key {
        Key::Found(key) => return Ok(key),
        Key::Absent(path) => path,
    };
    if store.reads().installation().await?.is_some() {
        return Err(AppError::KeyLost(path));
    }
    let made = private::make_directory(&config.data_dir);
    made.map_err(|source| AppError::Directory { path: config.data_dir.clone(), source })?;
    Ok(InstallationKey::create(&path, env)?)
}

/// Says for whom tries are limited by source: without that a product's backend looks like one user who tries everybody.
fn say_whose_source_is_known(limits: &Limits) {
    if limits.trusted_proxies.is_empty() {
        tracing::info!(
            "sign-ins are not limited by source, but where an operator names it in x-forwarded-for: set \
             --trusted-proxies to the networks of the proxies and backends that sign users in"
        );
        return;
    }
    let networks: Vec<String> = limits.trusted_proxies.iter().map(ToString::to_string).collect();
    let trusted = networks.join(",");
    tracing::info!(trusted, "sign-ins are limited by source for these peers and operators, and for no others");
}

fn sign_in_limits(limits: &Limits) -> throttle::Limits {
    throttle::Limits {
        tries: limits.sign_in_tries,
        window: limits.sign_in_window,
        addresses: limits.sign_in_addresses_per_source,
        free: limits.sign_in_free_tries,
        row: limits.sign_in_refusals_in_a_row,
        delay: (limits.sign_in_delay, limits.sign_in_longest_delay),
    }
}

fn service_settings(config: &Config) -> service::Settings {
    service::Settings {
        join_url: config.join_url.clone(),
        unsubscribe_url: config.unsubscribe_url.clone(),
        session_lifetime: config::SESSION_LIFETIME,
        device_lifetime: config.limits.device_lifetime,
        mail_limits: mail_limits(&config.limits),
        calls_max: config.calls_per_credential,
        streams_max: config.streams_per_credential,
    }
}

fn mail_limits(limits: &Limits) -> MailLimits {
    MailLimits {
        recipient_of_organization: limits.invitations_per_address_and_organization,
        recipient: limits.invitations_per_address,
        sponsor: limits.invitations_per_sponsor,
        organization: limits.invitations_per_organization,
    }
}

/// Reads what the listener of gRPC needs for TLS, if it is to have it.
///
/// # Errors
/// - [`AppError::Plaintext`], and what the files are refused with.
fn find_tls(config: &Config) -> Result<Option<TlsAcceptor>, AppError> {
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(transport::tls(certificate, key, config.tls_client_ca.as_deref())?),
        _ => None,
    };
    for (address, has_tls) in [(config.listen, tls.is_some()), (config.http_listen, false)] {
        if !address.ip().is_loopback() && !has_tls && !config.allow_plaintext {
            return Err(AppError::Plaintext(address));
        }
    }
    Ok(tls)
}

fn listening(config: &Config, tls: Option<TlsAcceptor>, server: &ServerState) -> Listening {
    Listening {
        tls,
        connection_age: server.env.jittered(config.connection_age),
        limits: config.listener.clone(),
        proxies: Sources::new(config.limits.trusted_proxies.clone()),
        clock: Arc::new(SystemClock),
        metrics: Arc::clone(&server.metrics),
    }
}

fn hot_path(config: &Config, services: &Arc<Services>, metrics: Arc<Metrics>) -> Result<HotPath, AppError> {
    let catalog = presets::presets().first().cloned().ok_or_else(|| Error::internal("no catalog is built in"))?;
    let authenticator = Authenticator::new(Arc::clone(services), catalog);
    let trace_ratio = config.otlp_endpoint.is_some().then_some(config.trace_ratio);
    let sources = Sources::new(config.limits.trusted_proxies.clone());
    Ok(HotPath::new(authenticator, sources, metrics, trace_ratio, &config.listener))
}

async fn serve_grpc(
    listener: TcpListener,
    listening: Listening,
    server: ServerState,
    hot_path: HotPath,
    health: tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
    stop: CancellationToken,
) {
    if let Err(error) = transport::serve(listener, listening, server, hot_path, health, stop).await {
        tracing::error!(%error, "the gRPC server failed");
    }
}
