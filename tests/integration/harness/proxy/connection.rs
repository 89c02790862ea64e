//! One connection through the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use guildhall::clock::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::frames::{Frame, Frames, Statements};
use super::network::Network;
use super::{Fault, Shared};

/// SQLSTATEs with which the database closes the connection.
const FATAL: [&str; 5] = ["57P01", "57P02", "57P03", "53300", "25P03"];

/// A connection from the server to the database.
pub struct Connection {
    id: u64,
    shared: Arc<Shared>,
    network: watch::Receiver<Network>,
    /// How many batches the database has yet to answer.
    unanswered: AtomicUsize,
    /// The SQLSTATE that the server gets instead of hearing that its transaction was rolled back.
    failing_commit: Mutex<Option<&'static str>>,
}

/// How the way to the database ended.
enum Ending {
    /// At once, on both sides.
    Broken,
    /// What was passed on is done; the answer is not passed on.
    Unanswered { is_batch: bool },
    /// What the server sent last arrives after this long.
    Late(Duration, Vec<Frame>),
    /// The database says why, and closes.
    Refused(&'static str),
}

impl Connection {
    pub fn new(id: u64, shared: Arc<Shared>) -> Self {
        let network = shared.network.subscribe();
        Self { id, shared, network, unanswered: AtomicUsize::new(0), failing_commit: Mutex::new(None) }
    }

    /// Passes on what is said until either side ends or the network does.
    pub async fn run(self, client: TcpStream) {
        if self.network.borrow().is_away {
            return;
        }
        client.set_nodelay(true).expect("a socket");
        let (from_client, mut to_client) = tokio::io::split(client);
        let mut from_client = Frames::new(from_client);
        let Some(start) = self.greet(&mut from_client, &mut to_client).await else { return };
        let Ok(server) = TcpStream::connect(&self.shared.server).await else { return };
        server.set_nodelay(true).expect("a socket");
        let (from_server, mut to_server) = tokio::io::split(server);
        let mut from_server = Frames::new(from_server);

        let mut network = self.network.clone();
        let ending = tokio::select! {
            ending = self.up(start, &mut from_client, &mut to_server) => ending,
            () = self.down(&mut from_server, &mut to_client) => Ending::Broken,
            _ = network.wait_for(|network| network.cuts(self.id)) => Ending::Broken,
        };
        match ending {
            Ending::Broken => {}
            Ending::Unanswered { is_batch } => self.let_finish(is_batch, &mut from_server, &mut to_server).await,
            Ending::Late(after, frames) => {
                drop((from_client, to_client));
                SystemClock.sleep(after).await;
                for frame in frames {
                    self.pass(&frame, &mut to_server).await;
                }
                self.let_finish(true, &mut from_server, &mut to_server).await;
            }
            Ending::Refused(sqlstate) => {
                // Whoever has gone meanwhile need not hear it.
                let _ = to_client.write_all(&Frame::refusal("FATAL", sqlstate).bytes).await;
            }
        }
    }

    /// Answers what comes before the start: nothing is encrypted here.
    async fn greet(
        &self,
        from_client: &mut Frames<ReadHalf<TcpStream>>,
        to_client: &mut WriteHalf<TcpStream>,
    ) -> Option<Frame> {
        loop {
            let frame = from_client.next_before_start().await?;
            self.carried().await?;
            if !frame.asks_for_encryption() {
                return Some(frame);
            }
            to_client.write_all(b"N").await.ok()?;
        }
    }

    /// Waits until the network carries what is sent.
    async fn carried(&self) -> Option<()> {
        let mut network = self.network.clone();
        network.wait_for(|network| network.carries(self.id)).await.is_ok().then_some(())
    }

    /// Passes on what the server sends, to the message at which something happens.
    async fn up(
        &self,
        start: Frame,
        from_client: &mut Frames<ReadHalf<TcpStream>>,
        to_server: &mut WriteHalf<TcpStream>,
    ) -> Ending {
        let (mut statements, mut next, mut is_skipping) = (Statements::default(), Some(start), false);
        loop {
            let Some(frame) = next else {
                // What was sent before has arrived.
                let _ = to_server.shutdown().await;
                return std::future::pending().await;
            };
            if std::mem::take(&mut is_skipping) {
                is_skipping = !frame.ends_batch();
            } else {
                match self.meet(&mut statements, &frame) {
                    None => self.pass(&frame, to_server).await,
                    Some(Fault::Cut) => return Ending::Broken,
                    Some(Fault::Swallow) => {
                        self.pass(&frame, to_server).await;
                        return Ending::Unanswered { is_batch: frame.ends_batch() };
                    }
                    Some(Fault::Late(after)) => return Ending::Late(after, rest_of_batch(frame, from_client).await),
                    Some(Fault::Fail(sqlstate)) if frame.is_start() || FATAL.contains(&sqlstate) => {
                        return Ending::Refused(sqlstate);
                    }
                    Some(Fault::Fail(sqlstate)) => {
                        self.fail(&frame, sqlstate, to_server).await;
                        is_skipping = !frame.ends_batch();
                    }
                }
            }
            let is_between = frame.ends_batch();
            next = from_client.next().await;
            // What the server sends in one piece arrives, or does not, in one piece.
            if is_between && self.carried().await.is_none() {
                return Ending::Broken;
            }
        }
    }

    fn meet(&self, statements: &mut Statements, frame: &Frame) -> Option<Fault> {
        let counts = (self.shared.counts)(statements.about(frame));
        if frame.is_end() || !counts {
            return None;
        }
        self.shared.meet(self.id, frame.is_commit(), || statements.label(frame))
    }

    async fn pass(&self, frame: &Frame, to_server: &mut WriteHalf<TcpStream>) {
        if frame.ends_batch() {
            self.unanswered.fetch_add(1, Ordering::SeqCst);
        }
        // That the database has gone is heard from the other half.
        let _ = to_server.write_all(&frame.bytes).await;
    }

    /// Has the database fail in the place of a message, so that it is in the state that follows from it. A COMMIT that
    /// fails has rolled back.
    async fn fail(&self, frame: &Frame, sqlstate: &'static str, to_server: &mut WriteHalf<TcpStream>) {
        if frame.is_commit() {
            *self.failing_commit.lock() = Some(sqlstate);
            self.pass(&Frame::query("ROLLBACK"), to_server).await;
        } else {
            self.pass(&Frame::failing(sqlstate), to_server).await;
        }
    }

    /// Passes on what the database answers.
    async fn down(&self, from_server: &mut Frames<ReadHalf<TcpStream>>, to_client: &mut WriteHalf<TcpStream>) {
        loop {
            let next = from_server.next().await;
            let (Some(frame), Some(())) = (next, self.carried().await) else { return };
            let failing = if frame.is_complete() { self.failing_commit.lock().take() } else { None };
            let frame = failing.map_or(frame.clone(), |sqlstate| Frame::refusal("ERROR", sqlstate));
            if frame.is_ready() {
                self.unanswered.fetch_sub(1, Ordering::SeqCst);
            }
            if to_client.write_all(&frame.bytes).await.is_err() {
                // The other half hears of it, and says good-bye.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Lets the database do what has arrived, and hears its answers to the end. What is no whole batch is undone by it.
    async fn let_finish(
        &self,
        is_batch: bool,
        from_server: &mut Frames<ReadHalf<TcpStream>>,
        to_server: &mut WriteHalf<TcpStream>,
    ) {
        if !is_batch {
            let _ = to_server.shutdown().await;
            while from_server.next().await.is_some() {}
            return;
        }
        while self.unanswered.load(Ordering::SeqCst) > 0 {
            let Some(frame) = from_server.next().await else { return };
            if frame.is_ready() {
                self.unanswered.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// Returns a message with those behind it, to the end of their batch.
async fn rest_of_batch(first: Frame, from_client: &mut Frames<ReadHalf<TcpStream>>) -> Vec<Frame> {
    let mut frames = vec![first];
    while !frames.last().is_some_and(Frame::ends_batch) {
        let Some(frame) = from_client.next().await else { break };
        frames.push(frame);
    }
    frames
}
