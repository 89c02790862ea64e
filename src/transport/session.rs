//! `SessionService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::timestamp;
use crate::domain::error::Error;
use crate::proto::session_service_server::SessionService;
use crate::proto::sign_in_response::Outcome;
use crate::proto::{SignInRequest, SignInResponse, SignedIn};
use crate::service::SignIn;

/// Serves sessions.
pub(super) struct Sessions(pub Edge);

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.sign_in(&call, message).await)
    }
}

impl Sessions {
    async fn sign_in(&self, call: &Call, message: SignInRequest) -> Result<SignInResponse, Error> {
        let SignInRequest { email, password, device_token } = message;
        let signed_in = self.0.services.sign_in(SignIn { email, password, device_token, source: call.source }).await?;
        let signed_in = SignedIn {
            access_token: signed_in.access_token.text().to_owned(),
            expire_time: Some(timestamp(signed_in.access_token.expires_at())),
            user_id: signed_in.user.to_string(),
            session_id: signed_in.session.to_string(),
            device_token: signed_in.device_token,
        };
        Ok(SignInResponse { outcome: Some(Outcome::SignedIn(signed_in)) })
    }
}
