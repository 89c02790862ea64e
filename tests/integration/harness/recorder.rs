//! A server that does nothing but take down what it is asked: for making a call that a test has prepared again,
//! elsewhere or under another request id.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use guildhall::rpc::Rpc;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::Caller;

/// A call as it was asked.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub rpc: Rpc,
    pub credential: Option<String>,
    /// As they are on the wire.
    pub messages: Vec<Vec<u8>>,
}

/// Takes down calls, and refuses them.
pub struct Recorder {
    channel: Channel,
    heard: Arc<Mutex<Vec<Recorded>>>,
    serving: JoinHandle<()>,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let serving = tokio::spawn(serve(listener, Arc::clone(&heard)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("a recorder that listens");
        Self { channel, heard, serving }
    }

    /// Gives somebody whose calls come here.
    pub fn instead_of(&self, caller: &Caller) -> Caller {
        Caller::new(self.channel.clone(), caller.credential.clone())
    }

    /// Returns the one call that has come.
    pub fn taken(&self) -> Recorded {
        let mut heard = std::mem::take(&mut *self.heard.lock());
        assert_eq!(heard.len(), 1, "one call was to come: {heard:?}");
        heard.remove(0)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, heard: Arc<Mutex<Vec<Recorded>>>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(take_down(connection, Arc::clone(&heard)));
    }
}

async fn take_down(connection: TcpStream, heard: Arc<Mutex<Vec<Recorded>>>) {
    let mut connection = h2::server::handshake(connection).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let heard = Arc::clone(&heard);
        // The connection has to be driven meanwhile.
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(chunk) = body.data().await {
                let chunk = chunk.expect("a body");
                body.flow_control().release_capacity(chunk.len()).expect("what was received");
                bytes.extend_from_slice(&chunk);
            }
            let credential = head.headers.get("authorization").and_then(|value| value.to_str().ok());
            let credential = credential.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
            let rpc = Rpc::from_path(head.uri.path()).expect("an RPC");
            heard.lock().push(Recorded { rpc, credential, messages: unframed(bytes.into()) });
            let answer = http::Response::builder().header("content-type", "application/grpc");
            let answer = answer.header("grpc-status", i32::from(Code::Cancelled)).body(()).expect("an answer");
            respond.send_response(answer, true).expect("a caller that waits");
        });
    }
}

/// Takes the messages of a body out of their frames.
fn unframed(mut body: Bytes) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        assert_eq!(body.get_u8(), 0, "a message that is not compressed");
        let length = body.get_u32() as usize;
        messages.push(body.split_to(length).to_vec());
    }
    messages
}
