//! Any RPC, sent and received as the bytes of its messages: for tests that go through all of them.

use std::sync::LazyLock;

use bytes::{Buf, BufMut};
use guildhall::proto;
use guildhall::rpc::Rpc;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

use super::{Caller, PATIENCE};

static MESSAGES: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors of the protos"));

/// Returns the messages that an RPC takes and gives.
pub fn messages_of(rpc: Rpc) -> (MessageDescriptor, MessageDescriptor) {
    let (service, method) = rpc.path()[1..].split_once('/').expect("a path of two parts");
    let service = MESSAGES.get_service_by_name(service).expect("a service of the contract");
    let method = service.methods().find(|it| it.name() == method).expect("an RPC of the contract");
    (method.input(), method.output())
}

/// What a call has brought.
#[derive(Debug)]
pub struct Brought {
    /// Every message of the answer.
    pub messages: Vec<Vec<u8>>,
    /// How it ended.
    pub end: Result<(), Status>,
}

impl Caller {
    /// Sends the messages of a call, and gives all that comes back. A stream without an end is left after a while.
    pub async fn send(&self, rpc: Rpc, messages: Vec<Vec<u8>>) -> Brought {
        let mut brought = Brought { messages: Vec::new(), end: Ok(()) };
        brought.end = self.exchange(rpc, messages, &mut brought.messages).await;
        brought
    }

    async fn exchange(&self, rpc: Rpc, messages: Vec<Vec<u8>>, taken: &mut Vec<Vec<u8>>) -> Result<(), Status> {
        let mut client = Grpc::new(self.channel());
        client.ready().await.expect("a server that listens");
        let mut request: Request<_> = self.request(tokio_stream::iter(messages));
        request.set_timeout(PATIENCE);
        let answers = client.streaming(request, PathAndQuery::from_static(rpc.path()), Bytes).await?;
        let mut answers = answers.into_inner();
        while let Some(message) = answers.message().await? {
            taken.push(message);
        }
        Ok(())
    }
}

/// Messages as they are on the wire.
#[derive(Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}
