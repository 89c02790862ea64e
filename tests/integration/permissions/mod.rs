//! The permission matrix: every RPC, called as every kind of caller, against the tables in `docs/permissions/`, one for
//! each preset.
//!
//! [`table`] reads the documents; [`scene`] holds an organization with all its callers, and another one beside it;
//! [`targets`] what calls act on; [`calls`] the requests, by service. The next RPC needs a row in each table, and its
//! request in the module of its service.

mod calls;
mod scene;
mod table;
mod targets;

use std::fmt::Write as _;

use crate::harness::TestApp;
use crate::on_both;
use calls::prepare;
use scene::Scene;
use table::{Table, Word, word};
use targets::Ask;

/// Makes every call of a preset's table. Those that are refused come first, and leave nothing.
async fn compare(app: &TestApp, preset: &str) {
    let table = Table::of(preset);
    let scene = Scene::of(app, &table).await;
    let (done, refused): (Vec<_>, Vec<_>) = scene.cells(&table).into_iter().partition(|(ask, _)| ask.is_done);

    let mut wrong = String::new();
    let untouched = app.traces().await;
    make(refused, &mut wrong).await;
    assert_eq!(app.traces().await, untouched, "{wrong}");
    make(done, &mut wrong).await;
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Makes calls, and notes those that do not come to what the table says.
async fn make(cells: Vec<(Ask<'_>, Word)>, wrong: &mut String) {
    for (ask, expected) in cells {
        let result = prepare(&ask).await.await;
        let found = word(&result, expected);
        if found != expected {
            let (path, case, name) = (ask.row.rpc.path(), ask.row.case, &ask.who.name);
            writeln!(wrong, "{path} ({case}) as {name}: expected {expected:?}, got {found:?}: {result:?}").unwrap();
        }
    }
}

on_both! {
    async fn analytics_workspace_keeps_its_table_and_a_refused_call_leaves_nothing(app) {
        compare(&app, "analytics-workspace").await;
    }

    async fn bi_dashboards_keeps_its_table_and_a_refused_call_leaves_nothing(app) {
        compare(&app, "bi-dashboards").await;
    }

    async fn disaster_recovery_keeps_its_table_and_a_refused_call_leaves_nothing(app) {
        compare(&app, "disaster-recovery").await;
    }

    async fn msp_monitoring_keeps_its_table_and_a_refused_call_leaves_nothing(app) {
        compare(&app, "msp-monitoring").await;
    }

    async fn task_automation_keeps_its_table_and_a_refused_call_leaves_nothing(app) {
        compare(&app, "task-automation").await;
    }
}
