//! Coming in, and signing in.

use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::conformance::tenant::Way;
use crate::harness::PASSWORD;
use crate::harness::messages::{accept, invite, invite_by_link, look_up, sign_in};
use crate::permissions::scene::ordinary;
use crate::permissions::targets::{Ask, THIRD};

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let id = ask.id();
    match (ask.row.rpc, ask.row.case) {
        (Rpc::CreateInvitation, _) => {
            let given = ask.given().into_iter().collect();
            let message = match ask.scene.tenant.way {
                Way::Mail => invite(id, &ask.email(), given),
                Way::Link => invite_by_link(id, given),
            };
            call!(ask, create_invitation(message))
        }
        (Rpc::LookUpInvitation, _) => call!(ask, look_up_invitation(look_up(&ask.standing().token))),
        (Rpc::AcceptInvitation, "to an address without an account") => {
            let token = if ask.is_done { invited(ask).await } else { ask.standing().token.clone() };
            call!(ask, accept_invitation(accept(&token, PASSWORD)))
        }
        (Rpc::AcceptInvitation, "to the caller's address, by a third organization") => {
            let token = if ask.is_done { invited_by_third(ask).await } else { ask.standing().token_to_third.clone() };
            call!(ask, accept_invitation(accept(&token, "")))
        }
        (Rpc::AcceptInvitation, "by a link, of a third organization") => {
            call!(ask, accept_invitation(accept(&ask.standing().token_to_third, "")))
        }
        (Rpc::SignIn, _) => call!(ask, sign_in(sign_in(&ask.scene.tenant.founder.email, PASSWORD))),
        _ => unknown(ask),
    }
}

/// Invites somebody new; gives the token.
async fn invited(ask: &Ask<'_>) -> String {
    let email = ask.email();
    let invited = ask.operator().create_invitation(invite(ask.id(), &email, ordinary(ask.catalog()))).await;
    invited.expect("an invitation");
    ask.scene.app.token_mailed_to(&email).await
}

/// Has the third organization invite the caller; gives the token.
async fn invited_by_third(ask: &Ask<'_>) -> String {
    let email = ask.who.email.as_deref().expect("a person has an address");
    let message = invite(&ask.standing().third, email, ordinary(ask.catalog()));
    ask.operator().create_invitation(message).await.expect("an invitation");
    ask.scene.app.token_mailed_by(THIRD, email).await
}
