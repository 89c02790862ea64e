//! The permission matrix: every RPC, called as every kind of caller, against the tables in `docs/permissions/`, one for
//! each preset.
//!
//! [`table`] reads the documents; [`scene`] holds an organization with all its callers, and another one beside it;
//! [`targets`] what calls act on; [`calls`] the requests, by service. The next RPC needs a row in each table, and its
//! request in the module of its service. [`replays`] has callers lose what allowed them, and call again.

pub mod calls;
mod replays;
pub mod scene;
mod strangers;
pub mod table;
pub mod targets;

use futures_util::{StreamExt, stream};

use crate::harness::TestApp;
use crate::on_both;
use calls::prepare;
use scene::Scene;
use table::{Table, Word, word};
use targets::Ask;

/// How many calls are under way at a time where none may change what another finds.
const AT_ONCE: usize = 16;

/// Makes every call of a preset's table. Those that are refused come first, and leave nothing.
async fn compare(app: &TestApp, preset: &str) {
    let table = Table::of(preset);
    let scene = Scene::of(app, &table).await;
    let (done, refused): (Vec<_>, Vec<_>) = scene.cells(&table).into_iter().partition(|(ask, _)| ask.is_done);

    let untouched = app.traces().await;
    let wrong = make(refused, AT_ONCE).await;
    assert_eq!(app.traces().await, untouched, "\n{wrong}");
    let wrong = wrong + &make(done, 1).await;
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Makes calls, so many at a time, and tells of those that do not come to what the table says.
async fn make(cells: Vec<(Ask<'_>, Word)>, at_once: usize) -> String {
    let made = cells.iter().map(|(ask, expected)| async move {
        let result = prepare(ask).await.await;
        let found = word(&result, *expected);
        if found == *expected {
            return String::new();
        }
        let (path, case, name) = (ask.row.rpc.path(), ask.row.case, &ask.who.name);
        format!("{path} ({case}) as {name}: expected {expected:?}, got {found:?}: {result:?}\n")
    });
    stream::iter(made).buffered(at_once).collect().await
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
