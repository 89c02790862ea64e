//! Roles, and who holds them.

use guildhall::proto::{self, assignment, summarize_grants_request};
use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{
    above, change, change_above, create_role, custom_role, delete_role, get_role, grant, list_grants, list_roles,
    membership, summarize, update_role,
};
use crate::permissions::targets::Ask;

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let id = ask.id();
    let view = format!("{}.view", ask.any_kind());
    match (ask.row.rpc, ask.row.case) {
        (Rpc::ListRoles, _) => call!(ask, list_roles(list_roles(id))),
        (Rpc::GetRole, _) => call!(ask, get_role(get_role(id, "backend"))),
        (Rpc::CreateRole, _) => call!(ask, create_role(create_role(id, custom_role(&ask.fresh(), &[&view])))),
        (Rpc::UpdateRole, _) => {
            let update = format!("{}.update", ask.any_kind());
            call!(ask, update_role(update_role(id, custom_role(&ask.custom_role(), &[&view, &update]))))
        }
        (Rpc::DeleteRole, _) => call!(ask, delete_role(delete_role(id, &ask.custom_role_to_spend().await))),
        (Rpc::ChangeGrants, _) => {
            let given = ask.given().expect("something that is given");
            call!(ask, change_grants(change(id, vec![grant(ask.recipient().await, given)])))
        }
        (Rpc::ListGrants, "about oneself") => {
            let oneself = ask.who.principal.clone();
            let oneself = oneself.unwrap_or_else(|| membership(&ask.own_membership()));
            call!(ask, list_grants(list_grants(id, Some(oneself))))
        }
        (Rpc::ListGrants, "about all") => call!(ask, list_grants(list_grants(id, None))),
        (Rpc::SummarizeGrants, _) => call!(ask, summarize_grants(summary(ask))),
        (Rpc::ChangeInstallationGrants, _) => {
            let user = if ask.is_done {
                ask.scene.app.somebody(&ask.email()).await.user_id
            } else {
                ask.standing().active.user_id.clone()
            };
            call!(ask, change_installation_grants(change_above(vec![above(&user, "", "operator")])))
        }
        _ => unknown(ask),
    }
}

/// Asks whether a member holds what the case says.
fn summary(ask: &Ask<'_>) -> proto::SummarizeGrantsRequest {
    let given = ask.given().expect("something that is held");
    let held = given.held.map(|held| match held {
        assignment::Held::Role(name) => summarize_grants_request::Held::Role(name),
        assignment::Held::AsMember(it) => summarize_grants_request::Held::AsMember(it),
    });
    let of = vec![membership(&ask.standing().active.membership_id)];
    proto::SummarizeGrantsRequest { held, ..summarize(ask.id(), of, given.resource.into_iter().collect()) }
}
