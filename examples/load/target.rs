//! A server under load, and the two clients of it: the generated one, and one that spends as little as it can.

use clap::ValueEnum;
use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{
    BatchCheckRequest, CheckFrame, CheckRequest, DecisionFrame, StreamChecksRequest, StreamChecksResponse,
};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::Failure;
use crate::frame::{Frame, Rpc};
use crate::raw::{self, Encoded, RawCodec};

/// The code that makes requests and reads answers, the same for every server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// Generated from the contract: what a service author would use.
    Generated,
    /// Sends what was encoded before and reads only what is compared: leaves the most of the machine to the server.
    Raw,
}

/// A server under load.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which.
    pub name: &'static str,
    /// Whether it allows everything.
    pub is_echo: bool,
    /// Its process, if it is on this machine.
    pub process: Option<u32>,
    client: ClientKind,
    authorization: AsciiMetadataValue,
    channels: Vec<Channel>,
}

/// Where a server is, and how it is reached.
#[derive(Clone, Debug)]
pub struct Address {
    /// `http://…`, or `https://…`.
    pub url: String,
    /// The credential.
    pub key: String,
    /// Connections that are opened.
    pub connections: usize,
    /// The certificate, in PEM, that an `https` server's must be signed with; without it those that clients trust.
    pub authority: Option<Vec<u8>>,
}

impl Target {
    /// Connects.
    ///
    /// # Errors
    /// If the address is none, or nobody serves there.
    pub async fn connect(
        name: &'static str,
        address: &Address,
        client: ClientKind,
        process: Option<u32>,
    ) -> Result<Self, Failure> {
        let mut channels = Vec::new();
        for _ in 0..address.connections {
            let mut endpoint = Endpoint::from_shared(address.url.clone())?.tcp_nodelay(true);
            if let Some(authority) = &address.authority {
                let authority = Certificate::from_pem(authority);
                endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority))?;
            }
            channels.push(endpoint.connect().await?);
        }
        let authorization = format!("Bearer {}", address.key).parse()?;
        Ok(Self { name, is_echo: name == "echo", process, client, authorization, channels })
    }

    /// Returns a connection, for any number.
    pub fn channel(&self, number: usize) -> Channel {
        self.channels[number % self.channels.len()].clone()
    }

    /// Returns how many connections there are.
    pub fn connections(&self) -> usize {
        self.channels.len()
    }

    /// Puts the credential to a message.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    /// Makes a client on one of the connections.
    pub fn client(&self, number: usize) -> Client {
        match self.client {
            ClientKind::Generated => Client::Generated(AuthorizationServiceClient::new(self.channel(number))),
            ClientKind::Raw => Client::Raw(Grpc::new(self.channel(number))),
        }
    }
}

/// A client on one connection.
#[derive(Clone, Debug)]
pub enum Client {
    /// See [`ClientKind::Generated`].
    Generated(AuthorizationServiceClient<Channel>),
    /// See [`ClientKind::Raw`].
    Raw(Grpc<Channel>),
}

impl Client {
    /// Asks a frame by a unary RPC and compares the answers.
    ///
    /// # Errors
    /// What the server says, or what is wrong with its answers.
    pub async fn ask(&mut self, target: &Target, rpc: Rpc, frame: &Frame) -> Result<(), String> {
        let told = |status: Status| status.to_string();
        let organization_id = || frame.organization.clone();
        match (self, rpc) {
            (Self::Generated(client), Rpc::Check) => {
                let item = frame.items.first().cloned();
                let message = CheckRequest { organization_id: organization_id(), item, consistency: None };
                let answer = client.check(target.request(message)).await.map_err(told)?.into_inner();
                frame.verify(target.is_echo, answer.decision.iter().map(|decision| decision.allowed))
            }
            (Self::Generated(client), Rpc::BatchCheck | Rpc::StreamChecks) => {
                let items = frame.items.clone();
                let message = BatchCheckRequest { organization_id: organization_id(), items, consistency: None };
                let answer = client.batch_check(target.request(message)).await.map_err(told)?.into_inner();
                frame.verify(target.is_echo, answer.decisions.iter().map(|decision| decision.allowed))
            }
            (Self::Raw(client), rpc) => {
                client.ready().await.map_err(|error| error.to_string())?;
                let message = Encoded { frame_id: None, body: frame.encoded.clone() };
                let answer = client.unary(target.request(message), path(rpc), RawCodec).await.map_err(told)?;
                let answer = raw::read(rpc, answer.get_ref())?;
                frame.verify(target.is_echo, answer.allowed.into_iter())
            }
        }
    }

    /// Opens a stream; `waiting_max` frames wait to be sent before a sender has to.
    ///
    /// # Errors
    /// What the server says.
    pub async fn open(self, target: &Target, waiting_max: usize) -> Result<(Asking, Answering), String> {
        match self {
            Self::Generated(mut client) => {
                let (frames, outgoing) = mpsc::channel(waiting_max);
                let request = target.request(ReceiverStream::new(outgoing));
                let answers = client.stream_checks(request).await.map_err(|status| status.to_string())?;
                Ok((Asking::Generated(frames), Answering::Generated(answers.into_inner())))
            }
            Self::Raw(mut client) => {
                client.ready().await.map_err(|error| error.to_string())?;
                let (frames, outgoing) = mpsc::channel(waiting_max);
                let request = target.request(ReceiverStream::new(outgoing));
                let answers = client.streaming(request, path(Rpc::StreamChecks), RawCodec).await;
                let answers = answers.map_err(|status| status.to_string())?;
                Ok((Asking::Raw(frames), Answering::Raw(answers.into_inner())))
            }
        }
    }
}

fn path(rpc: Rpc) -> PathAndQuery {
    PathAndQuery::from_static(match rpc {
        Rpc::Check => guildhall::rpc::Rpc::Check.path(),
        Rpc::BatchCheck => guildhall::rpc::Rpc::BatchCheck.path(),
        Rpc::StreamChecks => guildhall::rpc::Rpc::StreamChecks.path(),
    })
}

/// The client's half of a stream.
#[derive(Clone, Debug)]
pub enum Asking {
    /// Of messages.
    Generated(mpsc::Sender<StreamChecksRequest>),
    /// Of bytes.
    Raw(mpsc::Sender<Encoded>),
}

impl Asking {
    /// Asks a frame; waits while too many wait to be sent.
    ///
    /// # Errors
    /// If the stream has ended.
    pub async fn ask(&self, frame_id: u64, frame: &Frame) -> Result<(), String> {
        let is_sent = match self {
            Self::Generated(frames) => {
                let asked = Asked::Check(CheckFrame {
                    frame_id,
                    organization_id: frame.organization.clone(),
                    items: frame.items.clone(),
                    consistency: None,
                });
                frames.send(StreamChecksRequest { frame: Some(asked) }).await.is_ok()
            }
            Self::Raw(frames) => {
                frames.send(Encoded { frame_id: Some(frame_id), body: frame.encoded.clone() }).await.is_ok()
            }
        };
        if is_sent { Ok(()) } else { Err("the stream takes nothing more".to_owned()) }
    }
}

/// The server's half of a stream.
#[derive(Debug)]
pub enum Answering {
    /// Of messages.
    Generated(Streaming<StreamChecksResponse>),
    /// Of bytes.
    Raw(Streaming<bytes::Bytes>),
}

/// The answers to one frame, not compared yet.
#[derive(Debug)]
pub enum Answers {
    /// As a message.
    Generated(DecisionFrame),
    /// Read from bytes.
    Raw(raw::Answer),
}

impl Answering {
    /// Waits for the answers to a frame; `None` if the server has ended the stream.
    ///
    /// # Errors
    /// What the server says.
    pub async fn next(&mut self) -> Result<Option<Answers>, String> {
        match self {
            Self::Generated(answers) => match answers.message().await.map_err(|status| status.to_string())? {
                None => Ok(None),
                Some(StreamChecksResponse { frame: Some(Told::Decisions(frame)) }) if frame.error.is_empty() => {
                    Ok(Some(Answers::Generated(frame)))
                }
                Some(other) => Err(format!("not decisions: {other:?}")),
            },
            Self::Raw(answers) => match answers.message().await.map_err(|status| status.to_string())? {
                None => Ok(None),
                Some(answer) => Ok(Some(Answers::Raw(raw::read(Rpc::StreamChecks, &answer)?))),
            },
        }
    }
}

impl Answers {
    /// Returns which frame they answer.
    pub fn frame_id(&self) -> u64 {
        match self {
            Self::Generated(frame) => frame.frame_id,
            Self::Raw(answer) => answer.frame_id,
        }
    }

    /// Compares them with the right ones.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn verify(self, target: &Target, frame: &Frame) -> Result<(), String> {
        match self {
            Self::Generated(answer) => {
                frame.verify(target.is_echo, answer.decisions.iter().map(|decision| decision.allowed))
            }
            Self::Raw(answer) => frame.verify(target.is_echo, answer.allowed.into_iter()),
        }
    }
}
