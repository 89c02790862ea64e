//! What is answered about a role that was written: all of it is known with the commit, and nothing is read after it.

use guildhall::proto;
use tonic::Code;

use super::{any, shown, workspace};
use crate::harness::assert_refused;
use crate::harness::messages::{create_role, custom_role, update_role};
use crate::on_both;
use crate::refusals::NOBODY;

const ANOTHER: &str = "018f4e9a-7b3c-7def-8a12-0123456789ac";

on_both! {
    async fn whoever_loses_all_with_the_commit_is_answered_what_was_written(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let past = app.past().await;
        let state = |state| {
            format!("update memberships set state = '{state}' where id = {}", past.known(&workspace.owner.membership_id))
        };
        let wanted = proto::Role {
            at: vec!["asset".into(), "organization".into()],
            includes: vec!["shared-viewer".into()],
            may_take: Some(any()),
            ..custom_role("reader", &["asset.view"])
        };
        let create = proto::CreateRoleRequest { request_id: NOBODY.into(), ..create_role(id, wanted.clone()) };
        let update = proto::Role { description: "Reads, and shares.".into(), ..custom_role("reader", &["asset.share"]) };
        let update = proto::UpdateRoleRequest { request_id: ANOTHER.into(), ..update_role(id, update) };

        past.with_every_commit(&state("disabled")).await;
        let made = owner.create_role(create.clone()).await.expect("it is committed").role.unwrap();
        assert_refused(shown(owner, id, "reader").await, Code::NotFound, "NOT_FOUND");
        past.run(&state("active")).await;
        assert_eq!(shown(owner, id, "reader").await.unwrap(), made);
        let changed = owner.update_role(update.clone()).await.expect("it is committed").role.unwrap();
        assert_refused(shown(owner, id, "reader").await, Code::NotFound, "NOT_FOUND");
        past.without_more().await;
        past.run(&state("active")).await;
        assert_eq!(shown(owner, id, "reader").await.unwrap(), changed);
        assert_ne!(made, changed);

        // What was answered is answered again, also by a server that was started since.
        let app = app.restart().await;
        let owner = app.sign_in(&workspace.owner.email, "").await.call;
        assert_eq!(owner.create_role(create).await.unwrap().role, Some(made));
        assert_eq!(owner.update_role(update).await.unwrap().role, Some(changed));
    }
}
