//! What a type is visible by decides alone who sees a resource of it, in every RPC.

use guildhall::proto;
use tonic::Code;

use super::{get, put};
use crate::harness::messages::{
    browse, explain, fresh, get_member, item, list_grants, membership, put_catalog, rename, share, user,
};
use crate::harness::{Caller, TestApp, assert_refused, role};
use crate::on_both;

/// Pictures are seen by whoever may glance at them; viewing is something else.
const GALLERY: &str = "
name: gallery
version: 1
permissions: [picture.glance]
types:
  picture: {list: true, visible_by: picture.glance}
roles:
  keeper:
    at: [organization]
    permissions:
      member.list: ANY
      member.invite: ANY
      member.assign: ANY
      picture.create: ANY
      picture.glance: ANY
      picture.update: ANY
      picture.share: ANY
    may_grant: ANY
    may_take: ANY
    holders: {least: 1}
  glancer: {at: [organization], permissions: {picture.glance: SHARED}}
  viewer: {at: [organization], permissions: {picture.view: ANY, picture.update: ANY}}
founder_roles: [keeper]
";

fn picture(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "picture".into(), id: id.into() }
}

async fn browsed(call: &Caller, organization: &str) -> Vec<String> {
    let page = call.browse_resources(browse(organization)).await.expect("a page").resources;
    page.into_iter().map(|resource| resource.resource.expect("it is in the answer").id).collect()
}

/// Lists on which pictures somebody has a permission, as they ask themselves.
async fn listed(call: &Caller, organization: &str, who: &str, permission: &str) -> Vec<String> {
    let request = proto::ListResourcesRequest {
        organization_id: organization.into(),
        subject: Some(user(who)),
        permission: permission.into(),
        resource_type: "picture".into(),
        consistency: Some(fresh()),
        ..Default::default()
    };
    call.list_resources(request).await.expect("a page").resource_ids
}

async fn open(app: &TestApp) -> crate::harness::Organization {
    app.operator().put_catalog(put_catalog(GALLERY)).await.expect("a catalog");
    app.found_under("gallery").await
}

on_both! {
    async fn what_a_type_is_visible_by_is_the_visibility_alone_in_every_rpc(app) {
        let gallery = open(&app).await;
        let (keeper, id) = (&gallery.owner.call, gallery.id.as_str());
        for name in ["a", "b"] {
            put(keeper, id, picture(name), None).await.unwrap();
        }
        let gus = app.invite_and_join(id, keeper, "gus@example.test", vec![role("glancer")]).await;
        let vic = app.invite_and_join(id, keeper, "vic@example.test", vec![role("viewer")]).await;
        keeper.share_resource(share(id, picture("a"), vec![membership(&gus.membership_id)])).await.unwrap();

        // Who may glance sees, without viewing.
        get(&gus.call, id, picture("a")).await.expect("it is visible");
        get(keeper, id, picture("b")).await.expect("it is visible");
        assert_refused(get(&gus.call, id, picture("b")).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(browsed(&gus.call, id).await, ["a"]);
        assert_eq!(browsed(keeper, id).await, ["a", "b"]);
        assert_eq!(listed(&gus.call, id, &gus.user_id, "picture.glance").await, ["a"]);
        assert_eq!(listed(&gus.call, id, &gus.user_id, "picture.view").await, [""; 0]);

        // Who may view and not glance sees nothing of it.
        assert!(vic.call.allows(id, &vic.user_id, "picture.view", Some(picture("a"))).await);
        assert_eq!(browsed(&vic.call, id).await, [""; 0]);
        assert_eq!(listed(&vic.call, id, &vic.user_id, "picture.view").await, [""; 0]);
        let absent = get(&vic.call, id, picture("x")).await.unwrap_err();
        let hidden = get(&vic.call, id, picture("a")).await.unwrap_err();
        assert_eq!((hidden.code(), hidden.message()), (absent.code(), absent.message()));
        assert_refused(vic.call.update_resource(rename(id, picture("a"), "Mine")).await, Code::NotFound, "NOT_FOUND");
        let grants = proto::ListGrantsRequest { resource: Some(picture("a")), ..list_grants(id, None) };
        assert_refused(vic.call.list_grants(grants).await, Code::NotFound, "NOT_FOUND");
        let about = item(&vic.user_id, "picture.view", Some(picture("a")));
        vic.call.explain_check(explain(id, about)).await.expect("about oneself everyone may ask");

        // Who sees all of them, by the list of members.
        let all_of = async |who: &str| {
            keeper.get_member(get_member(id, who)).await.unwrap().member.unwrap().all_of_types
        };
        assert_eq!(all_of(&gallery.owner.membership_id).await, ["picture"]);
        assert_eq!(all_of(&vic.membership_id).await, [""; 0]);
    }
}
