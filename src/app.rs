//! The composition root: builds everything, owns every task it spawns, shuts down in order.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{InstallationKey, KeyError, Passwords, Sealer, Secret, Tokens};
use crate::authz::{self, Engine};
use crate::changelog::Source;
use crate::clock::World;
use crate::config::{self, Config, Limits};
use crate::domain::catalog::presets;
use crate::domain::error::Error;
use crate::domain::mailing::MailLimits;
use crate::domain::throttle;
use crate::mail::{self, MailTransport, TransportError, Worker};
use crate::service::{self, Bearers, Services, StartError, Throttle};
use crate::store::{self, OpenError, Store};
use crate::telemetry::Metrics;
use crate::transport::{self, Authenticator, Edge, Health, HotPath, Listening, Sources, TlsError};

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
    /// The data directory cannot be made.
    #[error("the data directory {path}: {source}", path = .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
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
    /// The feed, the mail worker and what is beside them end.
    background: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    followers: Vec<JoinHandle<()>>,
    grace: std::time::Duration,
}

impl App {
    /// Starts a server: the database, the installation, the index, the listeners; in that order, ready at the end.
    ///
    /// # Errors
    /// See [`AppError`]; nothing is left running then.
    pub async fn start(config: &Config, world: World) -> Result<Self, AppError> {
        Self::start_with(config, world, |store| Arc::new(store)).await
    }

    /// Starts a server whose index follows what `source` makes of the store: the store itself, or something before it, as
    /// a load generator puts there for organizations that no database holds. Everything else works on the store.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(
        config: &Config,
        world: World,
        source: impl FnOnce(Store) -> Arc<dyn Source>,
    ) -> Result<Self, AppError> {
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(certificate), Some(key)) => Some(transport::tls(certificate, key, config.tls_client_ca.as_deref())?),
            _ => None,
        };
        for (address, has_tls) in [(config.listen, tls.is_some()), (config.http_listen, false)] {
            if !address.ip().is_loopback() && !has_tls && !config.allow_plaintext {
                return Err(AppError::Plaintext(address));
            }
        }
        say_whose_source_is_known(&config.limits);
        let listening = Listening::new(tls, world.jittered(config.connection_age))?;
        let (listener, grpc_address) = listen(config.listen).await?;
        let (http_listener, http_address) = listen(config.http_listen).await?;

        let settings = store_settings(config);
        settings.must_be_known()?;
        let sealer = Sealer::new(&installation_key(config, &world)?);
        let store = Store::open(&settings, world.clone()).await?;
        // Before the first start can make anything that is told only once.
        let post = MailTransport::directory(&config.mail_dir(), &config.mail_from, world.clone())?;
        let first = service::start(&store, &sealer, &world).await?;
        let bytes_max = (config.index_memory_mib as usize) << 20;
        let engine_settings = authz::Settings { bytes_max, ..authz::Settings::default() };
        let engine = Engine::start(source(store.clone()), world.clone(), engine_settings, first.epoch).await?;
        let services = Arc::new(Services {
            engine: Arc::clone(&engine),
            passwords: Passwords::new(world.clone(), usize::from(config.password_concurrency), config.password_wait),
            throttle: Throttle::new(world.clone(), sign_in_limits(&config.limits)),
            tokens: Tokens::new(config.issuer.clone(), first.signing_keys, world.clone())?,
            bearers: Bearers::default(),
            sealer: sealer.clone(),
            world: world.clone(),
            settings: service::Settings {
                epoch: first.epoch,
                join_url: config.join_url.clone(),
                unsubscribe_url: config.unsubscribe_url.clone(),
                access_token_lifetime: config::ACCESS_TOKEN_LIFETIME,
                session_lifetime: config::SESSION_LIFETIME,
                device_lifetime: config.limits.device_lifetime,
                mail_limits: mail_limits(&config.limits),
                calls_max: config.calls_per_credential,
                streams_max: config.streams_per_credential,
            },
            mail: Arc::new(Notify::new()),
            removals_begun: tokio::sync::watch::Sender::default(),
            activity: Arc::default(),
            writes: TaskTracker::new(),
            store: store.clone(),
        });
        let worker = Worker::new(store, sealer.clone(), post, world.clone(), mail::Settings::default());

        let (soft, background) = (CancellationToken::new(), CancellationToken::new());
        let metrics = Arc::new(Metrics::new());
        let edge = Edge {
            services: Arc::clone(&services),
            sealer,
            world,
            metrics: Arc::clone(&metrics),
            draining: soft.clone(),
            stream_age: config.connection_age,
            // The other half is for calls that begin when the streams have ended.
            stream_grace: config.shutdown_grace / 2,
        };
        let (health, hot_path) = (Health::default(), hot_path(config, &services, metrics)?);
        let (reporter, health_service) = transport::health().await;
        let followers = vec![
            tokio::spawn(authz::follow(engine, background.clone())),
            tokio::spawn(worker.run(Arc::clone(&services.mail), background.clone())),
            tokio::spawn(service::keep_activity(Arc::clone(&services), background.clone())),
            tokio::spawn(service::keep_removals(Arc::clone(&services), background.clone())),
            tokio::spawn(service::keep_refusals(Arc::clone(&services), background.clone())),
        ];
        let servers = vec![
            tokio::spawn(serve_grpc(listener, listening, edge.clone(), hot_path, health_service, soft.clone())),
            tokio::spawn(serve_http(http_listener, transport::router(edge, health.clone()), background.clone())),
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

    /// Gives the use cases, for tests that look behind the wire.
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

/// Gives what the store is opened with.
#[must_use]
pub fn store_settings(config: &Config) -> store::Settings {
    store::Settings {
        url: config.database_url(),
        connections_max: config.database_connections,
        patience: config::DATABASE_PATIENCE,
        write_wait: config.write_wait,
        sqlite_hook: None,
    }
}

fn installation_key(config: &Config, world: &World) -> Result<InstallationKey, AppError> {
    if let Some(text) = &config.installation_key {
        return Ok(InstallationKey::from_base64(text)?);
    }
    let path = match &config.installation_key_file {
        Some(path) if config.is_embedded() || path.exists() => path.clone(),
        None if config.is_embedded() => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
            made.map_err(|source| AppError::Directory { path: config.data_dir.clone(), source })?;
            config.data_dir.join("installation.key")
        }
        // A key made here would be lost with this machine, and all that it seals.
        Some(_) | None => return Err(AppError::KeyMissing),
    };
    Ok(InstallationKey::load_or_create(&path, world)?)
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

fn mail_limits(limits: &Limits) -> MailLimits {
    MailLimits {
        recipient_of_organization: limits.invitations_per_address_and_organization,
        recipient: limits.invitations_per_address,
        sponsor: limits.invitations_per_sponsor,
        organization: limits.invitations_per_organization,
    }
}

fn hot_path(config: &Config, services: &Arc<Services>, metrics: Arc<Metrics>) -> Result<HotPath, AppError> {
    let catalog = presets::presets().first().cloned().ok_or_else(|| Error::internal("no catalog is built in"))?;
    let authenticator = Authenticator::new(Arc::clone(services), catalog);
    let trace_ratio = config.otlp_endpoint.is_some().then_some(config.trace_ratio);
    let sources = Sources::new(config.limits.trusted_proxies.clone());
    Ok(HotPath::new(authenticator, sources, metrics, trace_ratio))
}

async fn serve_grpc(
    listener: TcpListener,
    listening: Listening,
    edge: Edge,
    hot_path: HotPath,
    health: tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
    stop: CancellationToken,
) {
    if let Err(error) = transport::serve(listener, listening, edge, hot_path, health, stop.cancelled_owned()).await {
        tracing::error!(%error, "the gRPC server failed");
    }
}

async fn serve_http(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serve.await {
        tracing::error!(%error, "the HTTP server failed");
    }
}
