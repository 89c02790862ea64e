//! Known and unknown addresses take the same way: the same statements, in the same order.

use std::sync::Arc;

use tempfile::TempDir;

use super::recorder::Recorder;
use super::{WRONG, attempt, attempt_on, get_in, limited};
use crate::harness::messages::invite;
use crate::harness::{Database, ManualClock, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_sign_in_sends_the_same_two_reads_whoever_it_is() {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let mut config = Database::Postgres.config(data_dir.path()).await;
    let (recorder, url) = Recorder::before(&config.database_url()).await;
    config.database_url = Some(url.into());
    // Nothing goes on by itself.
    let app = TestApp::start_with(config, data_dir, ManualClock::still()).await.unwrap();
    let organization = app.found_by("ada@example.test").await;
    let request = invite(&organization.id, "bob@example.test", vec![]);
    organization.owner.call.create_invitation(request).await.unwrap();
    let device = get_in(&app.anyone(), "ada@example.test").await.device_token;
    app.traces().await;

    let mut all = Vec::new();
    recorder.take();
    for email in ["ada@example.test", "bob@example.test", "nobody@example.test"] {
        for shown in ["", &device, &format!("ghd_{}", "A".repeat(43))] {
            attempt_on(&app.anyone(), shown, email, WRONG).await.unwrap_err();
            all.push(recorder.take());
        }
    }
    let is_read = |sql: &String| sql.trim_start().to_lowercase().starts_with("select");
    assert_eq!(all[0].len(), 2, "{:#?}", all[0]);
    assert!(all[0].iter().all(is_read), "{:#?}", all[0]);
    for (number, statements) in all.iter().enumerate() {
        assert_eq!(statements, &all[0], "try {number}");
    }

    // What is known to be over a limit sends none at all.
    for email in ["ada@example.test", "nobody@example.test"] {
        while attempt(&app.anyone(), email, WRONG).await.unwrap_err().code() == tonic::Code::Unauthenticated {}
        recorder.take();
        assert_eq!(limited(attempt(&app.anyone(), email, WRONG).await).0, "address");
        assert_eq!(recorder.take(), Vec::<String>::new(), "{email}");
    }
}
