//! Stands between a server and PostgreSQL and keeps what statements pass, in their order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The statements that were sent, as text.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    /// Records what goes to the database of `url`; gives the URL by which it is reached from now on.
    pub async fn before(url: &str) -> (Self, String) {
        let (rest, database) = url.rsplit_once('/').expect("a database");
        let (scheme, server) = rest.split_once("://").expect("a scheme");
        let (user, server) = server.rsplit_once('@').unwrap_or(("postgres", server));
        let (listener, server) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.to_owned());
        let here: SocketAddr = listener.local_addr().unwrap();
        let (this, url) = (Self::default(), format!("{scheme}://{user}@{here}/{database}?sslmode=disable"));
        let recorder = this.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from, to) = client.into_split();
                let (back_from, back_to) = TcpStream::connect(&server).await.expect("the cluster").into_split();
                tokio::spawn(recorder.clone().pass(from, back_to));
                tokio::spawn(pass_back(back_from, to));
            }
        });
        (this, url)
    }

    /// Returns what was sent since it was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }

    /// Passes on messages: a length first at the beginning, and from then on a type before it
    /// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
    async fn pass(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut names, mut has_begun) = (HashMap::new(), false);
        loop {
            let kind = if has_begun { from.read_u8().await.ok() } else { Some(b' ') };
            let (Some(kind), Ok(length)) = (kind, from.read_u32().await) else { return };
            let mut body = vec![0; length as usize - 4];
            if from.read_exact(&mut body).await.is_err() {
                return;
            }
            let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
            let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            match kind {
                // A statement gets its name; then the name is bound to values; or a text is sent without either.
                b'P' => drop(names.insert(first, second)),
                b'B' => self.0.lock().push(names.get(&second).cloned().unwrap_or(second)),
                b'Q' => self.0.lock().push(first),
                _ => {}
            }
            let head = if has_begun { vec![kind] } else { Vec::new() };
            let message = [head, length.to_be_bytes().to_vec(), body].concat();
            if to.write_all(&message).await.is_err() {
                return;
            }
            has_begun = true;
        }
    }
}

async fn pass_back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}
