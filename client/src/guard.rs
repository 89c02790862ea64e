//! A layer that guards another tonic service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use http::{Extensions, HeaderMap, Request, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Layer, Service};

use crate::answer::{Answer, DenialReason};
use crate::client::Guildhall;
use crate::error::Error;
use crate::question::Question;

/// In which reasons are told, as the server tells them.
const DOMAIN: &str = "guildhall";
/// When to ask again if there was no answer.
const RETRY: Duration = Duration::from_secs(1);

/// A call that is guarded, as far as it is known before its message is read.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    path: &'a str,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> Call<'a> {
    /// Returns the path, as in `/package.Service/Method`.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Returns the name of the method, as in `Method`.
    pub fn method(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns a metadata value that is text.
    pub fn metadata(&self, key: &str) -> Option<&'a str> {
        self.headers.get(key)?.to_str().ok()
    }

    /// Returns a metadata value that the call must have.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` without it.
    pub fn required(&self, key: &str) -> Result<&'a str, Status> {
        self.metadata(key).ok_or_else(|| Status::invalid_argument(format!("the metadata lacks {key}")))
    }

    /// Returns what a layer before this one has found out.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        self.extensions.get()
    }

    /// Returns the end user's access token: the bearer of `authorization`.
    ///
    /// # Errors
    /// UNAUTHENTICATED (`CREDENTIAL_MISSING`) without one.
    pub fn access_token(&self) -> Result<&'a str, Status> {
        let bearer = self.metadata("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        bearer
            .filter(|token| !token.is_empty())
            .ok_or_else(|| refusal(Code::Unauthenticated, "CREDENTIAL_MISSING", "a bearer token is needed"))
    }
}

/// Guards a tonic service; from [`Guildhall::guard`].
///
/// What is not allowed is answered here: `PERMISSION_DENIED` (`PERMISSION_MISSING`); UNAUTHENTICATED (`TOKEN_EXPIRED`,
/// `SESSION_ENDED`,
/// `CREDENTIAL_INVALID`) if the access token that is the subject is the reason; UNAVAILABLE, with `RetryInfo`, if there
/// is no answer;
/// `INVALID_ARGUMENT` if the question is malformed; or with what the closure refuses with. Reasons stand in
/// `ErrorInfo`, domain
/// `guildhall`.
///
/// ```
/// # use guildhall_client::{Guildhall, Question, Subject};
/// # fn example(guildhall: &Guildhall) {
/// tonic::transport::Server::builder().layer(guildhall.guard(|call| {
///     let subject = Subject::access_token(call.access_token()?);
///     Ok(Some(Question::new(call.required("x-organization")?, subject, "project.view")))
/// }));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GuardLayer<F> {
    guildhall: Guildhall,
    ask: F,
}

impl<F> GuardLayer<F> {
    pub(crate) fn new(guildhall: Guildhall, ask: F) -> Self {
        Self { guildhall, ask }
    }
}

impl<S, F: Clone> Layer<S> for GuardLayer<F> {
    type Service = Guard<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        Guard { guildhall: self.guildhall.clone(), ask: self.ask.clone(), inner }
    }
}

/// A service that only calls reach that are allowed; from [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S, F> {
    guildhall: Guildhall,
    ask: F,
    inner: S,
}

impl<S: tonic::server::NamedService, F> tonic::server::NamedService for Guard<S, F> {
    const NAME: &'static str = S::NAME;
}

impl<S, F, B, R> Service<Request<B>> for Guard<S, F>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    F: Fn(&Call<'_>) -> Result<Option<Question>, Status>,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready serves this call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let call = Call { path: request.uri().path(), headers: request.headers(), extensions: request.extensions() };
        let question = match (self.ask)(&call) {
            Ok(Some(question)) => question,
            Ok(None) => return Box::pin(inner.call(request)),
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        if self.guildhall.held_answer(&question) == Some(true) {
            return Box::pin(inner.call(request));
        }
        let guildhall = self.guildhall.clone();
        Box::pin(async move {
            let answer = match question.must_fit_a_frame() {
                Ok(()) => guildhall.ask(&question).await,
                Err(error) => Err(error),
            };
            match judge(&question, answer) {
                Ok(()) => inner.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

/// Makes of an answer what the guarded call is answered with, if it may not.
fn judge(question: &Question, answer: Result<Answer, Error>) -> Result<(), Status> {
    let lacks = || {
        let about = [("permission".to_owned(), question.permission().to_owned())];
        let details = ErrorDetails::with_error_info("PERMISSION_MISSING", DOMAIN, about);
        let message = format!("lacks {}", question.permission());
        Status::with_error_details(Code::PermissionDenied, message, details)
    };
    let no_answer = || {
        let mut details = ErrorDetails::with_retry_info(Some(RETRY));
        details.set_error_info("AUTHORIZATION_UNAVAILABLE", DOMAIN, []);
        Status::with_error_details(Code::Unavailable, "it is not known whether this is allowed", details)
    };
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(match reason {
            DenialReason::TokenInvalid => refusal(Code::Unauthenticated, "CREDENTIAL_INVALID", &reason.to_string()),
            DenialReason::TokenExpired => refusal(Code::Unauthenticated, "TOKEN_EXPIRED", &reason.to_string()),
            DenialReason::SessionEnded => refusal(Code::Unauthenticated, "SESSION_ENDED", &reason.to_string()),
            // About the service that guards, and none of the caller's business.
            DenialReason::Refused => no_answer(),
            DenialReason::NotGranted
            | DenialReason::PermissionUnknown
            | DenialReason::ResourceTypeUnknown
            | DenialReason::PermissionNotAskedHere
            | DenialReason::ItemMalformed => lacks(),
        }),
        Err(Error::QuestionMalformed(why)) => Err(refusal(Code::InvalidArgument, "REQUEST_INVALID", why)),
        // An organization that there is not, or that this service may not see.
        Err(Error::Call(status)) if status.code() == Code::NotFound => Err(lacks()),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a guarded call was not decided");
            Err(no_answer())
        }
    }
}

fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, []))
}
