//! Ends: asked for, with calls under way.

use std::time::Duration;

use guildhall::proto::stream_checks_response::Frame as Told;
use tonic::Code;

use super::program::Site;
use crate::harness::messages::{item, register};
use crate::harness::{assert_refused, project};
use crate::on_both;

on_both! {
    async fn a_signal_ends_open_streams_with_a_word_and_the_process_well(database: Database) {
        for (signal, goes_by_itself) in [("TERM", true), ("INT", false)] {
            let mut site = Site::new(database).await;
            site.config.shutdown_grace = Duration::from_secs(2);
            let server = site.serve().await;
            let key = server.operator_key.clone().unwrap();
            let organization = server.found(&key, "ada@example.test").await;
            let owner = &organization.owner;
            let mut stream = owner.call.stream().await.unwrap();
            stream.subscribe(&organization.id, vec![item(&owner.user_id, "project.view", None)]).await;
            assert_eq!(stream.changes().await, [(1, true)].into());
            let revision =
                owner.call.register_resource(register(&organization.id, project("alpha"))).await.unwrap().revision;

            server.process.signal(signal);
            match stream.receive().await {
                Ok(Some(Told::Draining(draining))) => assert_eq!(draining.grace_ms, 1_000),
                other => panic!("expected to be told, got {other:?}"),
            }
            if goes_by_itself {
                stream.half_close();
                assert_eq!(stream.receive().await.unwrap(), None);
            } else {
                assert_refused(stream.receive().await, Code::Unavailable, "DRAINING");
            }
            let ended = server.process.ended().await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert!(!ended.errors.contains("panicked") && !ended.errors.contains("cut off"), "{}", ended.errors);

            let again = site.serve().await;
            let owner = again.sign_in("ada@example.test", "").await;
            let answer = owner.call.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
            assert_eq!(answer.revision, revision, "what was answered is there");
        }
    }

    async fn what_is_no_wish_that_it_ends_ends_no_server(database: Database) {
        let site = Site::new(database).await;
        let server = site.serve().await;
        for signal in ["HUP", "USR1", "USR2", "HUP", "PIPE"] {
            server.process.signal(signal);
        }
        server.found(server.operator_key.as_ref().unwrap(), "ada@example.test").await;
        assert_eq!(server.stop().await.code, Some(0));
    }

    async fn a_second_signal_does_not_wait_for_calls_under_way(database: Database) {
        let site = Site::new(database).await;
        let server = site.serve().await;
        let key = server.operator_key.clone().unwrap();
        let organization = server.found(&key, "ada@example.test").await;
        let _stream = organization.owner.call.stream().await.unwrap();
        server.process.signal("TERM");
        server.process.signal("TERM");
        assert_eq!(server.process.ended().await.code, Some(0));
        site.serve().await;
    }
}
