//! What one caller may take of the server at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tonic::body::Body;

use super::Shared;
use crate::domain::error::Error;
use crate::rpc::Rpc;
use crate::service::{Bearer, Permit};

impl Shared {
    /// Takes a place among the calls, or the streams, that the bearer has under way.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`](crate::domain::error::Reason::RateLimited).
    pub(super) fn share(&self, rpc: Rpc, bearer: Arc<Bearer>) -> Result<Permit, Error> {
        let settings = &self.authenticator.services.settings;
        if rpc.is_streaming() { bearer.stream(settings.streams_max) } else { bearer.call(settings.calls_max) }
    }
}

/// Keeps the place of a stream for as long as anything of it may still be sent.
pub(super) fn held(body: Body, permit: Option<Permit>) -> Body {
    match permit {
        Some(permit) => Body::new(Held { body, _permit: permit }),
        None => body,
    }
}

struct Held {
    body: Body,
    _permit: Permit,
}

impl http_body::Body for Held {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
