//! The codec for tonic: a received message stays the bytes that it is, and an answer is written where it is sent from.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// An answer that needs no generated code to be written.
pub trait Prepared {
    /// Returns how many bytes it takes.
    fn encoded_len(&self) -> usize;

    /// Writes exactly as many bytes.
    ///
    /// # Panics
    /// If there is not so much room.
    fn write(&self, to: &mut impl BufMut);
}

/// What goes out: a message of the contract, in either form.
#[derive(Clone, Debug)]
pub enum Outgoing<M, P> {
    /// For the generated code to write.
    Message(M),
    /// For its own code.
    Prepared(P),
}

/// The codec of a server that reads in place and answers with [`Outgoing`].
pub struct WireCodec<M, P> {
    settings: BufferSettings,
    item: PhantomData<fn() -> (M, P)>,
}

impl<M, P> WireCodec<M, P> {
    /// Makes a codec; `settings` say how large the buffers are and how much is gathered before it is sent.
    #[must_use]
    pub fn new(settings: BufferSettings) -> Self {
        Self { settings, item: PhantomData }
    }
}

impl<M, P> std::fmt::Debug for WireCodec<M, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WireCodec")
    }
}

impl<M, P> Codec for WireCodec<M, P>
where
    M: Message + 'static,
    P: Prepared + Send + 'static,
{
    type Encode = Outgoing<M, P>;
    type Decode = Bytes;
    type Encoder = Writer<M, P>;
    type Decoder = InPlaceDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        Writer { settings: self.settings, item: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        InPlaceDecoder { settings: self.settings }
    }
}

/// Gives each message as it came, without a copy: it is a part of what was read from the connection, and keeps that
/// alive.
#[derive(Debug)]
pub struct InPlaceDecoder {
    settings: BufferSettings,
}

impl Decoder for InPlaceDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.settings
    }
}

/// Writes what goes out.
pub struct Writer<M, P> {
    settings: BufferSettings,
    item: PhantomData<fn() -> (M, P)>,
}

impl<M, P> std::fmt::Debug for Writer<M, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl<M: Message, P: Prepared> Encoder for Writer<M, P> {
    type Item = Outgoing<M, P>;
    type Error = Status;

    fn encode(&mut self, item: Outgoing<M, P>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match item {
            Outgoing::Message(message) => {
                message.encode(to).map_err(|error| Status::internal(error.to_string()))?;
            }
            Outgoing::Prepared(prepared) => {
                to.reserve(prepared.encoded_len());
                prepared.write(to);
            }
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.settings
    }
}
