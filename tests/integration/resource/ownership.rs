//! Resources that change hands.

use tonic::Code;

use super::{asset, get, person, put, schedule};
use crate::harness::assert_refused;
use crate::harness::messages::{disable, invite, membership, principal, register, service_account, set_owner, share};
use crate::on_both;
use crate::refusals::{NOBODY, revision_of};
use guildhall::proto;

on_both! {
    async fn ownership_moves_with_what_it_allows(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        let vic = person(&app, &organization, "vic", &["default"]).await;
        let key = put(&una.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let to = |who: &crate::harness::Person| Some(membership(&who.membership_id));

        assert_refused(
            una.call.set_resource_owner(set_owner(id, key.clone(), to(&vic))).await,
            Code::PermissionDenied,
            "PERMISSION_MISSING",
        );
        let before = revision_of(&admin.call, id).await;
        let answer = admin.call.set_resource_owner(set_owner(id, key.clone(), Some(membership(NOBODY)))).await;
        assert_refused(answer, Code::NotFound, "NOT_FOUND");
        assert_eq!(revision_of(&admin.call, id).await, before);

        let given = admin.call.set_resource_owner(set_owner(id, key.clone(), to(&vic))).await.unwrap();
        assert_eq!(given.resource.unwrap().owner, to(&vic).map(principal));
        assert_refused(get(&una.call, id, key.clone()).await, Code::NotFound, "NOT_FOUND");
        assert!(vic.call.allows(id, &vic.user_id, "asset.delete", Some(key.clone())).await);
        // A person who is shut out can own something; so can one who has not come yet.
        admin.call.disable_member(disable(id, &una.membership_id)).await.unwrap();
        admin.call.set_resource_owner(set_owner(id, key.clone(), to(&una))).await.unwrap();
        let pending = admin.call.create_invitation(invite(id, "pat@example.test", vec![])).await.unwrap().member.unwrap();
        admin.call.set_resource_owner(set_owner(id, key.clone(), Some(membership(&pending.id)))).await.unwrap();
        let nobody = admin.call.set_resource_owner(set_owner(id, key, None)).await.unwrap();
        assert_eq!(nobody.resource.unwrap().owner, None);
    }

    async fn nobody_makes_themselves_the_owner_of_what_they_could_not_do(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let handing = proto::RegisterResourceRequest {
            owner: Some(principal(membership(&admin.membership_id))),
            ..register(id, asset("theirs"))
        };
        admin.call.register_resource(handing).await.unwrap();
        // An admin holds already what an owner may do.
        admin.call.set_resource_owner(set_owner(id, asset("theirs"), None)).await.unwrap();
        let back = set_owner(id, asset("theirs"), Some(membership(&admin.membership_id)));
        admin.call.set_resource_owner(back).await.unwrap();
    }

    async fn what_a_schedule_holds_is_judged_anew_when_it_changes_hands(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        let vic = person(&app, &organization, "vic", &["default"]).await;
        let of_una = put(&una.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let of_vic = put(&vic.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let made = put(&una.call, id, schedule(""), None).await.unwrap();
        let (key, runner) = (made.resource.unwrap(), made.service_account_id);

        // Each lets the schedule see what is theirs.
        let read = |key: &proto::ResourceRef| proto::ShareResourceRequest {
            role: "asset-reader".into(),
            ..share(id, key.clone(), vec![service_account(&runner)])
        };
        una.call.share_resource(read(&of_una)).await.unwrap();
        vic.call.share_resource(read(&of_vic)).await.unwrap();

        // Its owner's state does not touch it (AX-27).
        let sees = async |target: &proto::ResourceRef| {
            let item = crate::harness::messages::item_about(
                crate::harness::messages::account(&runner), "asset.view", Some(target.clone()));
            admin.call.check(crate::harness::messages::check(id, item)).await.unwrap().decision.unwrap().allowed
        };
        admin.call.disable_member(disable(id, &una.membership_id)).await.unwrap();
        assert!(sees(&of_una).await && sees(&of_vic).await);

        let given = set_owner(id, key.clone(), Some(membership(&vic.membership_id)));
        let changed = admin.call.set_resource_owner(given).await.unwrap();
        let gone: Vec<_> = changed.revoked.into_iter().map(|grant| grant.assignment.unwrap()).collect();
        assert_eq!(gone, [crate::harness::at(of_una.clone(), "asset-reader")]);
        assert!(!sees(&of_una).await && sees(&of_vic).await);
    }
}
