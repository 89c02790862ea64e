//! Health and reflection: nobody needs a credential for them, and nobody gets much.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use h2::RecvStream;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

use super::message::Messages;
use super::{Answer, Kind, Share, Shared};
use crate::domain::error::Error;
use crate::transport::dispatch::Dispatch;
use crate::transport::listener::Connected;
use crate::transport::status::status;

/// Largest message: the name of a service, of a symbol, of a file.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// How long reflection waits for the next question.
const QUESTION_MAX: Duration = Duration::from_mins(1);

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

impl Shared {
    /// Answers a request for anything but the services of the contract.
    pub(super) async fn beside(
        &self,
        dispatch: &Dispatch,
        connected: &Connected,
        request: Request<RecvStream>,
    ) -> Answer {
        let id = self.call_ids.next();
        let path = request.uri().path();
        let reflection = REFLECTION.iter().find(|known| **known == path);
        let rpc = [CHECK, WATCH].iter().find(|known| **known == path).or(reflection).copied().unwrap_or("unknown");
        let of = if rpc == WATCH || reflection.is_some() { Kind::Stream } else { Kind::Read };
        let answer = |response, share| Answer { response, share, of, rpc, id };
        let refuse = move |error: &Error| status(error, rpc, id);

        let place = if of == Kind::Stream { connected.anonymous_stream() } else { connected.anonymous_call() };
        let mut share = match place {
            Ok(place) => Share::of_source(place),
            Err(error) => return answer(refuse(&error).into_http(), None),
        };
        let (parts, body) = request.into_parts();
        let refused = Arc::new(OnceLock::new());
        let message = if reflection.is_some() {
            let (clock, refused) = (Arc::clone(&self.authenticator.services.env.clock), Arc::clone(&refused));
            let refuse = move |error: &Error| refused.get_or_init(|| refuse(error)).clone();
            let messages = Messages::new(body, self.bounds(MESSAGE_BYTES_MAX), clock, refuse);
            Ok(Body::new(messages.with_idle(QUESTION_MAX)))
        } else if rpc == CHECK || rpc == WATCH {
            self.message(body, MESSAGE_BYTES_MAX, &mut share).await
        } else {
            // Whatever it says, there is no such method.
            Ok(Body::empty())
        };
        match message {
            Ok(message) => {
                let response = dispatch.answer(Request::from_parts(parts, message)).await;
                answer(response.map(|body| ended_by(body, refused)), Some(share))
            }
            Err(error) => answer(refuse(&error).into_http(), None),
        }
    }
}

/// Ends an answer with what its questions were refused with, if they were: reflection itself would end in silence.
fn ended_by(body: Body, refused: Arc<OnceLock<Status>>) -> Body {
    Body::new(body.map_frame(move |frame| match (frame.into_trailers(), refused.get()) {
        (Ok(trailers), Some(status)) => {
            let mut said = HeaderMap::new();
            Frame::trailers(if status.add_header(&mut said).is_ok() { said } else { trailers })
        }
        (Ok(trailers), None) => Frame::trailers(trailers),
        (Err(frame), _) => frame,
    }))
}
