//! An address behind which servers are exchanged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use guildhall::changelog::{Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::domain::error::Error;
use guildhall::domain::fact::{Commit, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::Subject;
use guildhall::domain::revision::{Position, Revision, Tag};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to a server, which can be exchanged.
pub struct Proxy {
    pub address: SocketAddr,
    target: watch::Sender<u16>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Begins to pass on to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let target = watch::Sender::new(port);
        let targets = target.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, targets.clone()));
            }
        });
        Self { address, target, accepting }
    }

    /// Passes on to another port from now on. Connections that are open are cut.
    pub fn switch(&self, port: u16) {
        self.target.send_replace(port);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, mut target: watch::Receiver<u16>) {
    let port = *target.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        // However it ends, both ends are closed.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = target.changed() => {}
    }
}

/// A source that hides from the poller that connections are cut, as a pool does that tests them before it gives them out:
/// what fails is asked again at once.
pub struct Patient {
    pub source: Arc<dyn Source>,
    pub hidden: Arc<AtomicUsize>,
}

impl Patient {
    async fn ask<'a, T>(&'a self, ask: impl Fn() -> Reading<'a, T> + Send) -> Result<T, Error> {
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(_) => self.hidden.fetch_add(1, Ordering::Relaxed),
            };
        }
    }
}

impl Source for Patient {
    fn relation(&self, organization: OrganizationId, subject: Subject) -> Reading<'_, Relation> {
        Box::pin(self.ask(move || self.source.relation(organization, subject)))
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        Box::pin(self.ask(move || self.source.organization(id)))
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        Box::pin(self.ask(move || self.source.installation()))
    }

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        Box::pin(self.ask(move || self.source.organization_commits(id, from)))
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        Box::pin(self.ask(move || self.source.installation_commits(from)))
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], of: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(self.ask(move || self.source.positions(scopes, of)))
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        Box::pin(self.ask(move || self.source.tag(scope, revision)))
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        Box::pin(self.ask(move || self.source.cursor()))
    }

    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved> {
        Box::pin(self.ask(move || self.source.moved_since(cursor)))
    }
}
