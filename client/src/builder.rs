//! How a client is built.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Uri};
use tower::Service;

use crate::client::Guildhall;
use crate::clock::{Clock, SystemClock};
use crate::connect::{Dial, Spawned, Spawner};
use crate::error::Error;
use crate::held::{Lease, Table};
use crate::shared::Shared;
use crate::stream::{Backoff, Settings, Task};

/// Most questions that a client can hold: what one stream may, less some for those that are exchanged.
pub const CAPACITY_MAX: usize = 98_000;

/// From one keepalive of a connection to the next, and how long is waited for its answer.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How long a connection may take to be made, unless the endpoint says.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type BoxError = Box<dyn StdError + Send + Sync>;

/// How a client is built; from [`Guildhall::builder`].
#[must_use]
pub struct Builder {
    endpoint: Result<Endpoint, BoxError>,
    tls: Option<ClientTlsConfig>,
    credential: Option<String>,
    settings: Settings,
    call_timeout: Duration,
    max_age: Option<Duration>,
    capacity: usize,
    capacity_on_use: usize,
    clock: Arc<dyn Clock>,
    spawner: Option<Spawner>,
}

impl fmt::Debug for Builder {
    /// Without the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new<E>(endpoint: E) -> Self
    where
        E: TryInto<Endpoint>,
        E::Error: Into<BoxError>,
    {
        let random = Mutex::new(fastrand::Rng::new());
        Self {
            endpoint: endpoint.try_into().map_err(Into::into),
            tls: None,
            credential: None,
            settings: Settings {
                lease_margin: Duration::from_millis(50),
                lease_max: Duration::from_secs(30),
                ping_every: Duration::from_millis(800),
                ping_spacing: Duration::from_millis(50),
                silence_max: Duration::from_secs(8),
                refused_retry: Duration::from_secs(20),
                backoff: Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(10), random },
            },
            call_timeout: Duration::from_secs(2),
            max_age: None,
            capacity: 50_000,
            capacity_on_use: 0,
            clock: Arc::new(SystemClock),
            spawner: None,
        }
    }

    /// Sends this API key, or access token, with every call.
    pub fn credential(mut self, credential: impl Into<String>) -> Self {
        self.credential = Some(credential.into());
        self
    }

    /// Encrypts. Roots of trust are named in `tls`, as for any client of tonic.
    pub fn tls(mut self, tls: ClientTlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Takes this off every lease and every validity: what may lie between asking whether something is allowed and
    /// doing it, and what the clocks of client and server may differ in rate within a lease. Default 50 ms.
    pub fn lease_margin(mut self, margin: Duration) -> Self {
        self.settings.lease_margin = margin;
        self
    }

    /// Takes no lease longer than this, whatever the server says. Default 30 s, the server's own bound.
    pub fn lease_max(mut self, longest: Duration) -> Self {
        self.settings.lease_max = longest;
        self
    }

    /// Sends a ping so often; 100 ms to 1 s. Default 800 ms.
    pub fn ping_every(mut self, period: Duration) -> Self {
        self.settings.ping_every = period.clamp(Duration::from_millis(100), Duration::from_secs(1));
        self
    }

    /// Returns a stream up that has not echoed a ping for so long; at least 1 s. Default 8 s.
    pub fn stream_timeout(mut self, silence: Duration) -> Self {
        self.settings.silence_max = silence.max(Duration::from_secs(1));
        self
    }

    /// Waits `first` (at least 10 ms), less a random half of it, before a stream that was lost is opened anew, and
    /// twice as long each time up to `longest`. Default 100 ms and 10 s.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.backoff.first = first.max(Duration::from_millis(10));
        self.settings.backoff.longest = longest.max(self.settings.backoff.first);
        self
    }

    /// Asks so late again for what this service may not be told; at least 1 s. Default 20 s.
    pub fn refused_retry(mut self, period: Duration) -> Self {
        self.settings.refused_retry = period.max(Duration::from_secs(1));
        self
    }

    /// Waits so long for the answer to a call, retries included. Default 2 s.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Asks of calls that their answer is no older than this, where nothing else is asked. 1 ms to the server's hard
    /// bound, which is the default.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Holds at most so many questions, up to [`CAPACITY_MAX`]. Default 50,000.
    pub fn capacity(mut self, questions: usize) -> Self {
        self.capacity = questions.min(CAPACITY_MAX);
        self
    }

    /// Holds what was asked for with [`Guildhall::ask`] or [`Guildhall::is_allowed`], so that it is answered from
    /// memory the next time: at most so many questions, of which those go first that were not asked about lately. They
    /// give way to questions that somebody holds. Default 0: nothing is held on use.
    pub fn hold_on_use(mut self, questions: usize) -> Self {
        self.capacity_on_use = questions;
        self
    }

    /// Takes time from `clock`. Default [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Draws what is random (waits between streams) from this seed, so that a run can be repeated.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.backoff.random = Mutex::new(fastrand::Rng::with_seed(seed));
        self
    }

    /// Has `spawn` run the tasks of the client and of its connections. Default: the Tokio runtime in which it is built.
    pub fn spawn_with(mut self, spawn: impl Fn(Spawned) + Send + Sync + 'static) -> Self {
        self.spawner = Some(Spawner::new(spawn));
        self
    }

    /// Connects, and gives the client once the server was reached.
    ///
    /// # Errors
    /// - [`Error::Connect`] for an endpoint, TLS settings or a server that cannot be used;
    ///   [`Error::CredentialMalformed`]; [`Error::NoRuntime`].
    pub async fn connect(mut self) -> Result<Guildhall, Error> {
        let endpoint = self.endpoint()?;
        let calls = endpoint.connect().await.map_err(|error| Error::Connect(error.into()))?;
        self.build(calls, Arc::new(move || endpoint.connect_lazy()))
    }

    /// Returns the client at once; it connects when it is used.
    ///
    /// # Errors
    /// As [`Builder::connect`], but for a server that cannot be reached.
    pub fn connect_lazy(mut self) -> Result<Guildhall, Error> {
        let endpoint = self.endpoint()?;
        self.build(endpoint.connect_lazy(), Arc::new(move || endpoint.connect_lazy()))
    }

    /// As [`Builder::connect_lazy`], over connections that `connector` makes: a proxy, a socket, a simulated network.
    ///
    /// # Errors
    /// As [`Builder::connect_lazy`].
    pub fn connect_with<C>(mut self, connector: C) -> Result<Guildhall, Error>
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: Read + Write + Send + Unpin,
        C::Future: Send,
        BoxError: From<C::Error> + Send,
    {
        let endpoint = self.endpoint()?;
        let calls = endpoint.connect_with_connector_lazy(connector.clone());
        self.build(calls, Arc::new(move || endpoint.connect_with_connector_lazy(connector.clone())))
    }

    /// As [`Builder::connect_lazy`], over a channel that is there, for calls and streams alike. The endpoint and TLS of
    /// the builder are not used. The channel should have HTTP/2 keepalive on, or a lost connection is found late; and
    /// where it holds to one connection, the stream that follows a draining one may meet the same replica again.
    ///
    /// # Errors
    /// - [`Error::CredentialMalformed`], [`Error::NoRuntime`].
    pub fn connect_over(self, channel: Channel) -> Result<Guildhall, Error> {
        let stream = channel.clone();
        self.build(channel, Arc::new(move || stream.clone()))
    }

    /// Returns the endpoint as it is connected to: no connection is taken for alive that is not.
    fn endpoint(&mut self) -> Result<Endpoint, Error> {
        let missing = || Err("the endpoint is taken".into());
        let mut endpoint = std::mem::replace(&mut self.endpoint, missing()).map_err(Error::Connect)?;
        if let Some(tls) = self.tls.take() {
            endpoint = endpoint.tls_config(tls).map_err(|error| Error::Connect(error.into()))?;
        }
        if endpoint.get_connect_timeout().is_none() {
            endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT);
        }
        if let Some(spawner) = &self.spawner {
            endpoint = endpoint.executor(spawner.clone());
        }
        Ok(endpoint
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true))
    }

    fn build(self, calls: Channel, stream: Arc<dyn Fn() -> Channel + Send + Sync>) -> Result<Guildhall, Error> {
        let credential = self.credential.as_ref().map(|credential| {
            let mut value = MetadataValue::try_from(format!("Bearer {credential}"))?;
            value.set_sensitive(true);
            Ok::<_, tonic::metadata::errors::InvalidMetadataValue>(value)
        });
        let credential = credential.transpose().map_err(|_| Error::CredentialMalformed)?;
        let spawner = match self.spawner {
            Some(spawner) => spawner,
            None => {
                let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
                Spawner::new(move |task| drop(runtime.spawn(task)))
            }
        };
        let shared = Arc::new(Shared {
            table: Table::new(self.capacity, self.capacity_on_use),
            lease: Lease::default(),
            renewed: tokio::sync::Notify::new(),
            clock: self.clock,
        });
        let dial = Dial::new(calls, stream, credential);
        let task = Task::new(Arc::clone(&shared), dial.clone(), self.settings);
        let (stop, stopped) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        spawner.spawn(async move {
            task.run(stopped).await;
            // Nobody waits for it, as a rule.
            let _ = done.send(());
        });
        Ok(Guildhall::new(shared, dial, self.call_timeout, self.max_age, (stop, ended)))
    }
}
