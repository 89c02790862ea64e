//! `SessionService`.

use super::convert::timestamp;
use super::handle::handlers;
use super::incoming::{Incoming, ServerState};
use crate::domain::error::Error;
use crate::proto::session_service_server::SessionService;
use crate::proto::sign_in_response::Outcome;
use crate::proto::{SignInRequest, SignInResponse, SignedIn};
use crate::service::SignIn;

/// Serves sessions.
pub(super) struct Sessions(pub ServerState);

handlers! {
    SessionService for Sessions {
        sign_in(SignInRequest) -> SignInResponse: by signed_in;
    }
}

impl Sessions {
    async fn signed_in(&self, call: &Incoming, message: SignInRequest) -> Result<SignInResponse, Error> {
        let SignInRequest { email, password, device_token } = message;
        let (password, device_token) = (password.into(), device_token.into());
        let request = SignIn { email, password, device_token, source: call.source };
        let signed_in = self.0.services.sign_in(request).await?;
        let signed_in = SignedIn {
            access_token: signed_in.access_token.text().to_owned(),
            expire_time: Some(timestamp(signed_in.access_token.expires_at())),
            user_id: signed_in.user.to_string(),
            session_id: signed_in.session.to_string(),
            device_token: signed_in.device_token.text().to_owned(),
        };
        Ok(SignInResponse { outcome: Some(Outcome::SignedIn(signed_in)) })
    }
}
