//! Who is told of a resource. The case of a row names its type.

use guildhall::proto;
use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{add_contact, list_contacts, list_recipients, notify, remove_contact, unsubscribe};
use crate::permissions::targets::Ask;

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let (id, kind) = (ask.id(), ask.row.case);
    match ask.row.rpc {
        Rpc::AddContact => call!(ask, add_contact(add_contact(id, ask.resource(kind), &ask.email()))),
        Rpc::RemoveContact => {
            let contact = ask.contact_to_spend(kind).await;
            call!(ask, remove_contact(remove_contact(id, ask.resource(kind), &contact)))
        }
        Rpc::ListContacts => call!(ask, list_contacts(list_contacts(id, ask.resource(kind)))),
        Rpc::LookUpUnsubscription => {
            let token = ask.standing().unsubscription.clone();
            call!(ask, look_up_unsubscription(proto::LookUpUnsubscriptionRequest { token }))
        }
        Rpc::Unsubscribe => call!(ask, unsubscribe(unsubscribe(&ask.standing().unsubscription))),
        Rpc::ListRecipients => call!(ask, list_recipients(list_recipients(id, ask.resource(kind)))),
        Rpc::NotifyResource => call!(ask, notify_resource(notify(id, ask.resource(kind), "News"))),
        _ => unknown(ask),
    }
}
