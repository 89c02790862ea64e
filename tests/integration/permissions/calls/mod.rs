//! The requests, each such that it succeeds for whoever may make it, by service.

mod account;
mod authorization;
mod catalog;
mod contact;
mod group;
mod invitation;
mod membership;
mod organization;
mod resource;
mod role;

use std::future::Future;
use std::pin::Pin;

use tonic::Status;

use super::targets::Ask;

/// A call that is ready to be made.
pub type Call = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// Has the caller of an [`Ask`] make one call: `call!(ask, get_role(message))`.
macro_rules! call {
    ($ask:ident, $rpc:ident($message:expr)) => {{
        let (by, message) = ($ask.who.call.clone(), $message);
        let call: $crate::permissions::calls::Call = Box::pin(async move { by.$rpc(message).await.map(drop) });
        call
    }};
}
use call;

/// Makes what a call acts on, and gives the call.
pub async fn prepare(ask: &Ask<'_>) -> Call {
    let path = ask.row.rpc.path();
    let service = path.trim_start_matches("/guildhall.v1.").split('/').next().expect("a service");
    match service {
        "AuthorizationService" => authorization::prepare(ask),
        "CatalogService" => catalog::prepare(ask).await,
        "GroupService" => group::prepare(ask).await,
        "InvitationService" | "SessionService" => invitation::prepare(ask).await,
        "MembershipService" => membership::prepare(ask).await,
        "OrganizationService" => organization::prepare(ask).await,
        "ResourceService" => resource::prepare(ask).await,
        "RoleService" => role::prepare(ask).await,
        "ServiceAccountService" => account::prepare(ask).await,
        other => panic!("no requests for {other}"),
    }
}

/// Says that a row asks for what no module knows.
fn unknown(ask: &Ask<'_>) -> ! {
    panic!("no request for {}, {:?}", ask.row.rpc.path(), ask.row.case)
}
