//! Service accounts and their keys.

use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{
    create_api_key, create_service_account, delete_account, disable_account, enable_account, get_account,
    list_accounts, list_keys, revoke_key, rotate_key,
};
use crate::permissions::targets::Ask;

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let (id, (account, _)) = (ask.id(), ask.account());
    match ask.row.rpc {
        Rpc::CreateServiceAccount => call!(ask, create_service_account(create_service_account(id, &ask.fresh()))),
        Rpc::GetServiceAccount => call!(ask, get_service_account(get_account(id, &account))),
        Rpc::ListServiceAccounts => call!(ask, list_service_accounts(list_accounts(id))),
        Rpc::CreateApiKey => call!(ask, create_api_key(create_api_key(id, &account))),
        Rpc::ListApiKeys => call!(ask, list_api_keys(list_keys(id, &account))),
        _ => spend(ask).await,
    }
}

/// Returns a call after which an account, or its key, is not as it was.
async fn spend(ask: &Ask<'_>) -> Call {
    let (id, (account, key)) = (ask.id(), ask.account_to_spend().await);
    match ask.row.rpc {
        Rpc::DisableServiceAccount => call!(ask, disable_service_account(disable_account(id, &account))),
        Rpc::EnableServiceAccount => {
            if ask.is_done {
                let disabled = ask.operator().disable_service_account(disable_account(id, &account)).await;
                disabled.expect("an account to shut out");
            }
            call!(ask, enable_service_account(enable_account(id, &account)))
        }
        Rpc::DeleteServiceAccount => call!(ask, delete_service_account(delete_account(id, &account))),
        Rpc::RevokeApiKey => call!(ask, revoke_api_key(revoke_key(id, &account, &key))),
        Rpc::RotateApiKey => call!(ask, rotate_api_key(rotate_key(id, &account, &key))),
        _ => unknown(ask),
    }
}
