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

/// A connection on which a test makes as many calls as it likes, and takes of their answers what it likes.
pub struct Client {
    send: h2::client::SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
    address: SocketAddr,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(&h2::client::Builder::new(), address, "127.0.0.1").await
    }

    /// Connects with settings of the test's own, from one of the addresses of this machine.
    pub async fn connect_with(settings: &h2::client::Builder, address: SocketAddr, from: &str) -> Self {
        let connecting = Self::try_connect_with(settings, address, from);
        tokio::time::timeout(PATIENCE, connecting).await.expect("a connection in time").expect("HTTP/2")
    }

    /// As [`Client::connect_with`], where it may be refused.
    pub async fn try_connect_with(
        settings: &h2::client::Builder,
        address: SocketAddr,
        from: &str,
    ) -> Result<Self, h2::Error> {
        let stream = connect_from(address, from).await;
        let (send, connection) = settings.handshake(stream).await?;
        let connection = tokio::spawn(connection);
        // The server has let it in once it takes a request.
        let send = send.ready().await?;
        Ok(Self { send, connection, address })
    }

    /// Sends the headers of a request.
    pub async fn begin(&mut self, path: &str, headers: &[(&str, &[u8])]) -> Result<Begun, h2::Error> {
        let mut request = http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        self.send = self.send.clone().ready().await?;
        let (response, outgoing) = self.send.send_request(request, false)?;
        Ok(Begun { response, outgoing })
    }

    /// Makes one whole call, and gives the status it ends with.
    pub async fn call(&mut self, path: &str, headers: &[(&str, &[u8])], message: &impl Message) -> Status {
        let call = self.begin(path, headers).await.expect("a connection that is open");
        call.finish(framed(&message.encode_to_vec())).await
    }

    /// As [`Client::call`] without a credential; `None` where the connection is not open any more.
    pub async fn call_if_open(&mut self, path: &str, message: &impl Message) -> Option<Status> {
        let call = self.begin(path, &[]).await.ok()?;
        Some(call.finish(framed(&message.encode_to_vec())).await)
    }

    /// Waits until the server closes the connection, well or not.
    pub async fn closed(&mut self) {
        let ended = tokio::time::timeout(PATIENCE, &mut self.connection).await.expect("an end in time");
        drop(ended.expect("a task that was not stopped"));
    }
}

/// Connects from one of the addresses of this machine: each is a source of its own.
pub async fn connect_from(address: SocketAddr, from: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("an address of this machine");
    socket.connect(address).await.expect("a server that listens")
}

/// A call of a [`Client`], whose message is still to come.
pub struct Begun {
    response: h2::client::ResponseFuture,
    pub outgoing: h2::SendStream<Bytes>,
}

impl Begun {
    /// Sends a part of the message.
    pub fn send(&mut self, bytes: impl Into<Bytes>) {
        self.outgoing.send_data(bytes.into(), false).expect("a stream that is open");
    }

    /// Sends what is left of the message, and gives the status that the call ends with.
    pub async fn finish(mut self, body: Bytes) -> Status {
        // A server that has answered already may refuse the rest.
        let _ = self.outgoing.send_data(body, true);
        self.status().await
    }

    /// Waits for the status that the call ends with, whatever was sent.
    pub async fn status(self) -> Status {
        tokio::time::timeout(PATIENCE, status(self.response)).await.expect("an answer in time")
    }

    /// Ends the request, and gives the messages of the answer and its status.
    pub async fn finish_with_messages(mut self) -> (Vec<Bytes>, Status) {
        let _ = self.outgoing.send_data(Bytes::new(), true);
        let read = async {
            let (_, mut incoming) = self.response.await.expect("an answer").into_parts();
            let mut all = BytesMut::new();
            while let Some(chunk) = incoming.data().await {
                let chunk = chunk.expect("a body");
                incoming.flow_control().release_capacity(chunk.len()).expect("what was received");
                all.put_slice(&chunk);
            }
            let trailers = incoming.trailers().await.expect("an end").unwrap_or_default();
            (all.freeze(), Status::from_header_map(&trailers).expect("a status"))
        };
        let (mut all, status) = tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
        let mut messages = Vec::new();
        while !all.is_empty() {
            let length = u32::from_be_bytes(all[1..5].try_into().expect("four bytes")) as usize;
            messages.push(all.split_to(5 + length).slice(5..));
        }
        (messages, status)
    }

    /// Sends the message; gives the status if the call has ended with its headers, and else the answer, not taken.
    pub async fn finish_or_wait(mut self, body: Bytes) -> Result<Status, h2::RecvStream> {
        self.outgoing.send_data(body, true).expect("a stream that is open");
        let response = tokio::time::timeout(PATIENCE, self.response).await.expect("an answer in time");
        let (head, incoming) = response.expect("an answer").into_parts();
        Status::from_header_map(&head.headers).ok_or(incoming)
    }

    /// Waits for the beginning of the answer, and gives the rest of it, none of which is taken.
    pub async fn untaken(self) -> h2::RecvStream {
        let response = tokio::time::timeout(PATIENCE, self.response).await.expect("an answer in time");
        response.expect("an answer").into_body()
    }
}

async fn status(response: h2::client::ResponseFuture) -> Status {
    let (head, mut incoming) = match response.await {
        Ok(response) => response.into_parts(),
        Err(error) => return Status::unavailable(error.to_string()),
    };
    while let Some(chunk) = incoming.data().await {
        let Ok(chunk) = chunk else { return Status::unavailable("a body that broke off") };
        incoming.flow_control().release_capacity(chunk.len()).expect("what was received");
    }
    let trailers = incoming.trailers().await.ok().flatten().unwrap_or_default();
    Status::from_header_map(&trailers)
        .or_else(|| Status::from_header_map(&head.headers))
        // What every client makes of an answer that is not gRPC's.
        .unwrap_or_else(|| Status::unknown(format!("no grpc-status after {}", head.status)))
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
