//! What is in the tables is exchanged in one transaction, as a restore of a logical backup does it.
//!
//! On PostgreSQL nothing tells of that: cluster, database, timeline and counter stay. On SQLite the numbers of the lost
//! commits are used again.

use guildhall::changelog::Source;
use guildhall::proto::{self, consistency};
use sea_orm::{ConnectionTrait, Database as Connection, DatabaseConnection, DbBackend, Statement, TransactionTrait};

use tonic::Code;

use super::Scene;
use crate::harness::messages::{check, register};
use crate::harness::{TestApp, assert_refused, eventually, project};
use crate::on_both;
use crate::refusals::revision_of;

/// A copy of the tables, in the same database.
struct Copy {
    db: DatabaseConnection,
    tables: Vec<String>,
}

impl Copy {
    async fn take(app: &TestApp) -> Self {
        let db = Connection::connect(app.config.database_url()).await.unwrap();
        let backend = db.get_database_backend();
        let list = match backend {
            DbBackend::Postgres => "select tablename as name from pg_tables where schemaname = 'public'",
            _ => "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'",
        };
        let rows = db.query_all_raw(Statement::from_string(backend, list)).await.unwrap();
        let tables: Vec<String> = rows.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        for table in &tables {
            db.execute_unprepared(&format!("create table copy_of_{table} as select * from {table}")).await.unwrap();
        }
        Self { db, tables }
    }

    /// Puts it in the place of what is there.
    async fn restore(self) {
        let tx = self.db.begin().await.unwrap();
        match tx.get_database_backend() {
            DbBackend::Postgres => tx.execute_unprepared("set local session_replication_role = replica").await.unwrap(),
            _ => tx.execute_unprepared("pragma defer_foreign_keys = on").await.unwrap(),
        };
        for table in &self.tables {
            tx.execute_unprepared(&format!("delete from {table}")).await.unwrap();
            tx.execute_unprepared(&format!("insert into {table} select * from copy_of_{table}")).await.unwrap();
        }
        if tx.get_database_backend() == DbBackend::Sqlite {
            let sql = "update sqlite_sequence set seq = (select max(sequence) from commits) where name = 'commits'";
            tx.execute_unprepared(sql).await.unwrap();
        }
        tx.commit().await.unwrap();
        self.db.close().await.unwrap();
    }
}

on_both! {
    async fn contents_that_are_set_back_are_noticed_though_no_poll_fails(app) {
        let scene = Scene::new(&app).await;
        let elsewhere = app.found_by("grace@example.test").await;
        let copy = Copy::take(&app).await;
        let lost = scene.lose(&app).await;
        let store = app.app.services().store.clone();
        let before = store.cursor().await.unwrap();
        copy.restore().await;
        // Until the counter has overtaken the poller's.
        for number in 0.. {
            let resource = register(&elsewhere.id, project(&format!("p-{number}")));
            elsewhere.owner.call.register_resource(resource).await.unwrap();
            if store.cursor().await.unwrap().position > before.position {
                break;
            }
        }
        scene.must_have_lost(&app, lost).await;
    }

    async fn an_epoch_that_is_raised_ends_all_revisions_on_a_server_that_runs(app) {
        let scene = Scene::new(&app).await;
        let (owner, id) = (&scene.organization.owner.call, &scene.organization.id);
        let revision = revision_of(owner, id).await;
        let db = Connection::connect(app.config.database_url()).await.unwrap();
        db.execute_unprepared("update installation set epoch = epoch + 1").await.unwrap();
        db.close().await.unwrap();
        let engine = &app.app.services().engine;
        eventually("the epoch", || (engine.epoch() == 2).then_some(())).await;
        let ask = async |revision: String| {
            let consistency = proto::Consistency { requirement: Some(consistency::Requirement::AtLeast(revision)) };
            let asked = check(id, scene.asked());
            scene.backend.check(proto::CheckRequest { consistency: Some(consistency), ..asked }).await
        };
        assert_refused(ask(revision).await, Code::FailedPrecondition, "REVISION_VANISHED");
        ask(revision_of(owner, id).await).await.expect("a revision of this epoch");
    }
}
