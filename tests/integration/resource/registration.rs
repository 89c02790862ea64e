//! Whose a new resource is, who holds what on it, and what a taken id tells.

use guildhall::proto;
use tonic::{Code, Status};

use super::{asset, get, person, put, schedule};
use crate::harness::messages::{get_resource, membership, principal, register, service_account};
use crate::harness::{Caller, assert_refused, project};
use crate::on_both;

fn account(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "account".into(), id: id.into() }
}

async fn owned(
    call: &Caller,
    organization: &str,
    resource: proto::ResourceRef,
    owner: proto::principal::Kind,
) -> Result<proto::Resource, Status> {
    let request = proto::RegisterResourceRequest { owner: Some(principal(owner)), ..register(organization, resource) };
    Ok(call.register_resource(request).await?.resource.expect("it is in the answer"))
}

on_both! {
    async fn who_registers_owns_it_and_a_machine_registers_for_whom_it_names(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        let of = |person: &crate::harness::Person| Some(principal(membership(&person.membership_id)));

        let made = put(&una.call, id, asset(""), None).await.unwrap();
        assert_eq!(made.owner, of(&una));
        let key = made.resource.unwrap();
        assert_eq!(key.id.len(), 36, "a UUID of the server's");
        assert!(una.call.allows(id, &una.user_id, "asset.update", Some(key.clone())).await);
        assert_eq!(get(&una.call, id, key).await.unwrap().owner, of(&una));

        // A person names another with set_owner at the parent alone; oneself without.
        assert!(owned(&una.call, id, asset(""), membership(&una.membership_id)).await.is_ok());
        let to_admin = membership(&admin.membership_id);
        assert_refused(owned(&una.call, id, asset(""), to_admin).await, Code::PermissionDenied, "PERMISSION_MISSING");
        let given = owned(&admin.call, id, asset("a"), membership(&una.membership_id)).await.unwrap();
        assert_eq!(given.owner, of(&una));

        // A machine has no membership: what it registers is whose it says, or nobody's.
        let machine = app.operator();
        assert_eq!(put(&machine, id, asset("b"), None).await.unwrap().owner, None);
        assert_eq!(owned(&machine, id, asset("c"), membership(&una.membership_id)).await.unwrap().owner, of(&una));
        for nobody in [membership(crate::refusals::NOBODY), service_account(crate::refusals::NOBODY)] {
            assert_refused(owned(&machine, id, asset("d"), nobody).await, Code::NotFound, "NOT_FOUND");
        }
        let everyone = proto::principal::Kind::Everyone(proto::Everyone {});
        assert_refused(owned(&machine, id, asset("d"), everyone).await, Code::InvalidArgument, "OWNER_UNFIT");
        assert_refused(get(&machine, id, asset("d")).await, Code::NotFound, "NOT_FOUND");
    }

    async fn a_taken_id_tells_nothing_of_what_is_hidden(app) {
        let organization = app.found_under("msp-monitoring").await;
        let (founder, id) = (&organization.owner.call, organization.id.as_str());
        put(&app.operator(), id, account("hidden"), None).await.unwrap();

        let told = |name: &str| {
            let call = founder.clone();
            let request = register(id, account(name));
            async move { call.register_resource(request).await.unwrap_err() }
        };
        let (hidden, free) = (told("hidden").await, told("unused").await);
        assert_refused::<()>(Err(hidden.clone()), Code::PermissionDenied, "RESOURCE_ID_RESERVED");
        assert_eq!(
            crate::refusals::blotted(&hidden, "hidden"),
            crate::refusals::blotted(&free, "unused"),
        );
        for name in ["hidden", "unused"] {
            assert_refused(founder.get_resource(get_resource(id, account(name))).await, Code::NotFound, "NOT_FOUND");
        }
        // The server's own id is no risk, and brings the creator full control (X17).
        let made = put(founder, id, account(""), None).await.unwrap().resource.unwrap();
        for permission in ["account.view", "config.update"] {
            assert!(founder.allows(id, &organization.owner.user_id, permission, Some(made.clone())).await);
        }
        // What one sees one may name again: nothing changes.
        let request = register(id, made.clone());
        let again = founder.register_resource(request).await.unwrap();
        assert_eq!(again.resource.unwrap().resource.unwrap(), made);
    }

    async fn who_sees_all_of_a_type_chooses_ids_and_learns_that_one_is_taken(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        put(owner, id, project("a"), None).await.unwrap();
        put(owner, id, project("b"), None).await.unwrap();
        let taken = put(owner, id, project("b"), Some(project("a"))).await;
        assert_refused(taken, Code::AlreadyExists, "RESOURCE_EXISTS");
    }

    async fn a_type_with_service_accounts_has_one_made_with_each_resource(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        let made = put(&una.call, id, schedule(""), None).await.unwrap();
        let other = put(&una.call, id, schedule(""), None).await.unwrap();
        assert!(!made.service_account_id.is_empty() && made.service_account_id != other.service_account_id);
        assert_eq!(put(admin, id, asset("a"), None).await.unwrap().service_account_id, "");
        let name = proto::RegisterResourceRequest { display_name: "x".repeat(201), ..register(id, asset("")) };
        assert_refused(una.call.register_resource(name).await, Code::InvalidArgument, "TEXT_MALFORMED");
    }

    async fn a_dry_run_and_a_replay_register_once(app) {
        let organization = app.found_under("analytics-workspace").await;
        let id = organization.id.as_str();
        let una = person(&app, &organization, "una", &["default"]).await;
        let dry = proto::RegisterResourceRequest { validate_only: true, ..register(id, schedule("")) };
        let key = una.call.register_resource(dry).await.unwrap().resource.unwrap().resource.unwrap();
        assert_refused(get(&una.call, id, key).await, Code::NotFound, "NOT_FOUND");

        let request_id = "018f4e9a-7b3c-7def-8a12-0123456789ab".to_owned();
        let request = proto::RegisterResourceRequest { request_id, ..register(id, schedule("")) };
        let first = una.call.register_resource(request.clone()).await.unwrap();
        let again = una.call.register_resource(request).await.unwrap();
        assert_eq!(first.resource, again.resource);
    }
}
