//! A network between a server and PostgreSQL that fails when it is told to. It knows the protocol: it counts the
//! messages that the server sends, breaks or fails at the one that is asked for, and falls silent for all connections
//! at once.
//!
//! Every connection, and whatever waits in it, ends with the [`Proxy`].

mod connection;
mod frames;
mod network;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use connection::Connection;
pub use network::Network;

/// How many connections the kernel completes by itself before they are accepted.
const BACKLOG: u32 = 32;
/// How long a connection to a proxy that accepts takes at the very most.
const CONNECTED_WITHIN: Duration = Duration::from_millis(200);
/// Most messages that are remembered.
const SEEN_MAX: usize = 2_000;

/// What happens at a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The connection breaks before the message is passed on.
    Cut,
    /// The message is passed on and done; the connection breaks before it is answered.
    Swallow,
    /// The connection breaks at once, and the message and what was sent with it arrive only after this long.
    Late(Duration),
    /// The database answers the message with this SQLSTATE, and is then in the state that follows from it.
    Fail(&'static str),
}

/// What becomes of connections that were open when the network fell silent, once it is back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Afterwards {
    /// Whatever was under way arrives.
    Flowing,
    /// Nothing arrives on them, ever, and nobody closes them: whoever kept their state in the middle has lost it.
    Dead,
}

/// Where something happens, counted from the mark; the first has 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Message(usize),
    Commit(usize),
}

/// A fault, where it happens, and what comes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strike {
    pub fault: Fault,
    pub at: At,
    /// Whether the network goes away with it, until it is [back](Proxy::back).
    pub and_away: bool,
}

/// The messages since the mark, and what is to happen at one of them.
#[derive(Debug, Default)]
struct Plan {
    count: usize,
    commits: usize,
    strike: Option<Strike>,
    /// The message at which it happened.
    struck: Option<String>,
    /// What was counted, for whoever reads of a failure.
    seen: Vec<String>,
}

/// What all connections share.
struct Shared {
    server: String,
    /// Returns by its SQL whether a message counts.
    counts: fn(&str) -> bool,
    plan: Mutex<Plan>,
    network: watch::Sender<Network>,
    connections: AtomicU64,
}

/// A proxy that listens on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    /// Connections that keep others from being completed while the network is deaf.
    fillers: Vec<TcpStream>,
}

impl Proxy {
    /// Listens before the server of `url`. Messages about statements that `counts` says no to are passed on uncounted.
    pub fn before(url: &str, counts: fn(&str) -> bool) -> Self {
        let (_, server, _) = parts(url);
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            counts,
            plan: Mutex::default(),
            network: watch::Sender::default(),
            connections: AtomicU64::new(0),
        });
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let listener = socket.listen(BACKLOG).expect("a socket that listens");
        let address = listener.local_addr().expect("an address");
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting, fillers: Vec::new() }
    }

    /// Returns the URL that leads to the same database through here.
    pub fn url(&self, url: &str) -> String {
        let (user, _, database) = parts(url);
        format!("{user}{}{database}", self.address)
    }

    /// Counts from nothing again; what was to happen does not.
    pub fn mark(&self) {
        *self.shared.plan.lock() = Plan::default();
    }

    /// Returns how many messages there were since the mark.
    pub fn count(&self) -> usize {
        self.shared.plan.lock().count
    }

    /// Returns which messages there were since the mark, in their order.
    pub fn seen(&self) -> Vec<String> {
        self.shared.plan.lock().seen.clone()
    }

    /// Marks, and has something happen.
    pub fn strike(&self, strike: Strike) {
        *self.shared.plan.lock() = Plan { strike: Some(strike), ..Plan::default() };
    }

    /// Says at which message it has happened, if it has.
    pub fn struck(&self) -> Option<String> {
        self.shared.plan.lock().struck.clone()
    }

    /// Breaks every connection, and every one that comes.
    pub fn away(&self) {
        self.shared.away(None);
    }

    /// Lets connections through again.
    pub fn back(&self) {
        self.shared.network.send_modify(|network| network.is_away = false);
    }

    /// Falls silent: on all connections nothing arrives any more, in either direction, and nothing is closed.
    ///
    /// New ones come through if `is_open`; else they are silent as well.
    pub fn silence(&self, is_open: bool) {
        let next = self.shared.connections.load(Ordering::SeqCst);
        let silent_below = if is_open { next } else { u64::MAX };
        self.shared.network.send_modify(|network| network.silent_below = silent_below);
    }

    /// Falls silent, and completes no connection either, as a host that is gone from the network.
    pub async fn deafen(&mut self) {
        self.shared.network.send_modify(|network| {
            network.silent_below = u64::MAX;
            network.is_deaf = true;
        });
        // Once as many wait as may, whoever comes next gets no answer at all.
        while let Ok(connected) = tokio::time::timeout(CONNECTED_WITHIN, TcpStream::connect(self.address)).await {
            self.fillers.push(connected.expect("a socket that listens"));
        }
    }

    /// Ends a silence.
    pub fn speak(&mut self, afterwards: Afterwards) {
        self.fillers.clear();
        let next = self.shared.connections.load(Ordering::SeqCst);
        self.shared.network.send_modify(|network| {
            if afterwards == Afterwards::Dead {
                network.dead_below = next;
            }
            network.silent_below = 0;
            network.is_deaf = false;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn away(&self, spared: Option<u64>) {
        self.network.send_modify(|network| {
            network.is_away = true;
            network.cut_below = self.connections.load(Ordering::SeqCst);
            network.spared = spared;
        });
    }

    /// Counts a message of a connection, and returns what is to happen at it.
    fn meet(&self, id: u64, is_commit: bool, label: impl FnOnce() -> String) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.count += 1;
        plan.commits += usize::from(is_commit);
        let (count, commits, label) = (plan.count, plan.commits, label());
        if plan.seen.len() < SEEN_MAX {
            plan.seen.push(format!("{count} {label}"));
        }
        let strike = plan.strike.take_if(|strike| match strike.at {
            At::Message(at) => at == count,
            At::Commit(at) => is_commit && at == commits,
        })?;
        plan.struck = Some(format!("{:?} at message {count}, {label}", strike.fault));
        drop(plan);
        if strike.and_away {
            self.away(Some(id));
        }
        Some(strike.fault)
    }
}

/// Takes a URL apart: what stands before the server, the server, and what stands behind it.
fn parts(url: &str) -> (&str, &str, &str) {
    let user = url.find('@').expect("a URL with a user") + 1;
    let database = user + url[user..].find('/').expect("a URL with a database");
    (&url[..user], &url[user..database], &url[database..])
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let (mut network, mut connections) = (shared.network.subscribe(), JoinSet::new());
    loop {
        let is_heard = network.wait_for(|network| !network.is_deaf).await.is_ok();
        if !is_heard {
            return;
        }
        // Those that have ended are let go of.
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        let id = shared.connections.fetch_add(1, Ordering::SeqCst);
        let connection = Connection::new(id, Arc::clone(&shared));
        connections.spawn(connection.run(client));
    }
}
