//! Schedules, which run by themselves, whatever becomes of their owner.

use guildhall::proto::remove_member_request::Assets;
use guildhall::proto::{self, ResourceRef};
use tonic::Code;

use super::workspace::open;
use crate::conformance::tenant::{Tenant, resource};
use crate::harness::messages::{
    account, check, create_organization_under, disable, disable_account, enable_account, get_account, item_about,
    put_catalog, register, service_account, set_owner, share,
};
use crate::harness::{Person, TestApp, assert_refused, role};
use crate::on_both;

/// A schedule of somebody's with the service account that runs it, and something of theirs that it works on.
struct Running {
    schedule: ResourceRef,
    runner: String,
    chart: ResourceRef,
}

impl Running {
    async fn of(workspace: &Tenant<'_>, person: &Person) -> Self {
        let chart = workspace.make(&person.call, "asset").await;
        let made = person.call.register_resource(register(&workspace.id, resource("schedule", ""))).await.unwrap();
        let made = made.resource.unwrap();
        let running = Self { schedule: made.resource.unwrap(), runner: made.service_account_id, chart };
        running.let_in(workspace, person, &running.chart).await;
        running
    }

    /// Lets the schedule see something, as somebody who may.
    async fn let_in(&self, workspace: &Tenant<'_>, by: &Person, chart: &ResourceRef) {
        let request = share(&workspace.id, chart.clone(), vec![service_account(&self.runner)]);
        let request = proto::ShareResourceRequest { role: "asset-reader".into(), ..request };
        by.call.share_resource(request).await.unwrap();
    }

    /// Returns whether the schedule works on something, as the product asks before each run.
    async fn reads(&self, workspace: &Tenant<'_>, chart: &ResourceRef) -> bool {
        let item = item_about(account(&self.runner), "asset.view", Some(chart.clone()));
        let answer = workspace.backend.check(check(&workspace.id, item)).await;
        answer.is_ok_and(|answer| answer.decision.unwrap().allowed)
    }

    async fn runs(&self, workspace: &Tenant<'_>) -> bool {
        self.reads(workspace, &self.chart).await
    }
}

async fn users(workspace: &Tenant<'_>) -> [Person; 2] {
    [workspace.person("bob", vec![role("default")]).await, workspace.person("eve", vec![role("default")]).await]
}

on_both! {
    async fn ax_27_schedules_of_a_disabled_person_keep_running_and_an_admin_can_switch_one_off(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let [bob, eve] = users(&workspace).await;
        let (nightly, weekly) = (Running::of(&workspace, &eve).await, Running::of(&workspace, &eve).await);
        assert!(nightly.runs(&workspace).await && weekly.runs(&workspace).await);
        assert!(!nightly.reads(&workspace, &weekly.chart).await, "what it was let see, and no more");

        admin.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        assert!(nightly.runs(&workspace).await && weekly.runs(&workspace).await);
        assert!(!workspace.sees(&eve, &nightly.schedule).await);
        // To switch one off is an admin's: of the product's own switch, and of the account that it runs as.
        let may = async |who: &Person| workspace.may_on(who, &nightly.schedule, &["schedule"]).await;
        assert!(may(&workspace.founder).await.contains(&"schedule.disable".to_owned()));
        assert_eq!(may(&bob).await, ["schedule.create"]);
        let untouched = app.traces().await;
        let refused = bob.call.disable_service_account(disable_account(id, &nightly.runner)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = eve.call.disable_service_account(disable_account(id, &nightly.runner)).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
        assert!(nightly.runs(&workspace).await);

        admin.disable_service_account(disable_account(id, &nightly.runner)).await.unwrap();
        assert!(!nightly.runs(&workspace).await && weekly.runs(&workspace).await);
        assert!(workspace.sees(&workspace.founder, &nightly.schedule).await, "it is there still, and switched on again");
        admin.enable_service_account(enable_account(id, &nightly.runner)).await.unwrap();
        assert!(nightly.runs(&workspace).await);
    }

    async fn ax_27_the_owners_removal_deletes_a_schedule_or_judges_it_anew_against_the_new_owner(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let [bob, eve] = users(&workspace).await;
        let mia = workspace.person("mia", vec![role("default")]).await;
        let (deleted, handed_on) = (Running::of(&workspace, &bob).await, Running::of(&workspace, &eve).await);
        let (of_bob, of_admin) = (deleted.chart.clone(), workspace.make(admin, "asset").await);
        handed_on.let_in(&workspace, &bob, &of_bob).await;
        handed_on.let_in(&workspace, &workspace.founder, &of_admin).await;
        let untouched = app.traces().await;
        let undecided = workspace.remove(admin, &eve, None).await;
        assert_refused(undecided, Code::FailedPrecondition, "ASSETS_UNDECIDED");
        assert_eq!(app.traces().await, untouched);
        assert!(handed_on.runs(&workspace).await);

        // What Mia may give, now that all of Eve's is hers, it holds still; what she may not, is gone.
        workspace.remove(admin, &eve, Some(Assets::TransferTo(mia.membership_id.clone()))).await.unwrap();
        assert!(workspace.sees(&mia, &handed_on.schedule).await);
        assert!(handed_on.runs(&workspace).await);
        assert!(!handed_on.reads(&workspace, &of_bob).await && !handed_on.reads(&workspace, &of_admin).await);

        workspace.remove(admin, &bob, Some(Assets::DeleteAssets(true))).await.unwrap();
        assert!(!workspace.sees(&workspace.founder, &deleted.schedule).await);
        assert!(!deleted.runs(&workspace).await);
        assert_refused(admin.get_service_account(get_account(id, &deleted.runner)).await, Code::NotFound, "NOT_FOUND");
        assert!(handed_on.runs(&workspace).await);

        // By an act of its own, it is judged anew as well.
        let nobody = set_owner(id, handed_on.schedule.clone(), None);
        assert_eq!(admin.set_resource_owner(nobody).await.unwrap().revoked.len(), 1);
        assert!(!handed_on.runs(&workspace).await);
    }

    /// Types that sort the other way round than those of the preset.
    async fn ax_27_a_schedule_is_judged_by_all_that_its_new_owner_has_whatever_the_types_are_called(app) {
        let catalog = "
            name: rota
            version: 1
            features: {assets: true}
            types: {plan: {service_account: true}, sheet: {shares: [reader]}}
            roles:
              boss:
                at: [organization]
                permissions:
                  {member.remove: ANY, plan.view: ANY, plan.set_owner: ANY, sheet.view: ANY, sheet.set_owner: ANY, sheet.share: ANY}
                may_take: ANY
              hand:
                at: [organization]
                permissions: {plan.create: ANY, plan.view: OWN, sheet.create: ANY, sheet.view: OWN, sheet.share: OWN}
              reader: {at: [sheet], to: [service_account], permissions: {sheet.view: ANY}}
            founder_roles: [boss]
        ";
        let operator = app.operator();
        operator.put_catalog(put_catalog(&unindented(catalog))).await.unwrap();
        let founded = operator.create_organization(create_organization_under("rota", "Rota", "max@example.test")).await.unwrap();
        let (id, max) = (founded.organization.unwrap().id, app.join("max@example.test").await);
        let hand = async |app: &TestApp, email| app.invite_and_join(&id, &operator, email, vec![role("hand")]).await;
        let (bob, eve) = (hand(&app, "bob@example.test").await, hand(&app, "eve@example.test").await);
        let sheet = eve.call.register_resource(register(&id, resource("sheet", ""))).await.unwrap();
        let sheet = sheet.resource.unwrap().resource.unwrap();
        let plan = eve.call.register_resource(register(&id, resource("plan", ""))).await.unwrap().resource.unwrap();
        let read = share(&id, sheet.clone(), vec![service_account(&plan.service_account_id)]);
        let read = proto::ShareResourceRequest { role: "reader".into(), ..read };
        eve.call.share_resource(read).await.unwrap();

        let assets = Some(Assets::TransferTo(bob.membership_id.clone()));
        max.call.remove_member(crate::conformance::tenant::removal(&id, &eve.membership_id, assets)).await.unwrap();
        let item = item_about(account(&plan.service_account_id), "sheet.view", Some(sheet));
        let answer = operator.check(check(&id, item)).await.unwrap();
        assert!(answer.decision.unwrap().allowed);
    }
}

/// Takes from each line what the first one is indented by.
fn unindented(text: &str) -> String {
    let lines = text.trim_start_matches('\n').lines();
    let indent =
        text.lines().find(|line| !line.trim().is_empty()).map_or(0, |line| line.len() - line.trim_start().len());
    let lines: Vec<&str> = lines.map(|line| line.get(indent..).unwrap_or_default()).collect();
    lines.join("\n")
}
