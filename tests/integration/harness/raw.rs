//! A client that sends whatever it is told: what no generated client would send.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;

use super::PATIENCE;

/// Puts a message's bytes into the frame of the wire: not compressed, its length, itself.
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a message of this length"));
    frame.put_slice(message);
    frame.freeze()
}

/// Sends one request over a connection of its own, and gives the status it ends with.
pub async fn post(address: SocketAddr, path: &str, headers: &[(&str, &[u8])], body: Bytes) -> Status {
    tokio::time::timeout(PATIENCE, exchange(address, path, headers, body)).await.expect("an answer in time")
}

/// The same, of a message that is in order.
pub async fn post_message(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &[u8])],
    message: &impl Message,
) -> Status {
    post(address, path, headers, framed(&message.encode_to_vec())).await
}

async fn exchange(address: SocketAddr, path: &str, headers: &[(&str, &[u8])], body: Bytes) -> Status {
    open(address, path, headers).await.exchange(body).await
}

/// Sends the headers of a request over a connection of its own, and not yet its message.
pub async fn begin(address: SocketAddr, path: &str, headers: &[(&str, &[u8])]) -> Unfinished {
    tokio::time::timeout(PATIENCE, open(address, path, headers)).await.expect("a connection in time")
}

/// Opens a connection, asks nothing, and waits until the server lets it go in good order.
pub async fn closed(address: SocketAddr) {
    let connection = TcpStream::connect(address).await.expect("a server that listens");
    let (_client, connection) = h2::client::handshake(connection).await.expect("HTTP/2");
    tokio::time::timeout(PATIENCE, connection).await.expect("an end in time").expect("a good end");
}

/// A request whose message is still to come. Dropped, it hangs up.
pub struct Unfinished {
    connection: tokio::task::JoinHandle<()>,
    response: h2::client::ResponseFuture,
    outgoing: h2::SendStream<Bytes>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Gets a page over plain HTTP: its status and its body.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).await.expect("a server that listens");
    connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("a request");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answer));
    read.await.expect("an answer in time").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.split(' ').nth(1).expect("a status").parse().expect("a number"), body.to_owned())
}

impl Unfinished {
    /// Sends the message, and gives the status that the call ends with.
    pub async fn finish(self, body: Bytes) -> Status {
        tokio::time::timeout(PATIENCE, self.exchange(body)).await.expect("an answer in time")
    }

    async fn exchange(mut self, body: Bytes) -> Status {
        // A server that has answered already may refuse the rest.
        let _ = self.outgoing.send_data(body, true);
        let (head, mut incoming) = (&mut self.response).await.expect("an answer").into_parts();
        while let Some(chunk) = incoming.data().await {
            let length = chunk.expect("a body").len();
            incoming.flow_control().release_capacity(length).expect("what was received");
        }
        let trailers = incoming.trailers().await.expect("an end").unwrap_or_default();
        Status::from_header_map(&trailers)
            .or_else(|| Status::from_header_map(&head.headers))
            .unwrap_or_else(|| panic!("no grpc-status after {}", head.status))
    }
}

async fn open(address: SocketAddr, path: &str, headers: &[(&str, &[u8])]) -> Unfinished {
    let connection = TcpStream::connect(address).await.expect("a server that listens");
    let (client, connection) = h2::client::handshake(connection).await.expect("HTTP/2");
    let connection = tokio::spawn(async move {
        // How it ends is seen by whoever waits for the answer.
        let _ = connection.await;
    });
    let mut request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    let mut client = client.ready().await.expect("room for a request");
    let (response, outgoing) = client.send_request(request, false).expect("a request that can be sent");
    Unfinished { connection, response, outgoing }
}
