//! Answers that are asked for and not taken.

use std::time::Duration;

use guildhall::rpc::Rpc;
use prost::Message;
use tonic::Code;

use super::pages::{large_groups, workspace};
use super::{HERE, check_health, connect, start};
use crate::harness::messages::list_groups;
use crate::harness::{eventually_finds, raw, reason};

/// What a client says that takes one byte of an answer.
fn takes_nothing() -> h2::client::Builder {
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(1);
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_taken_is_given_up_and_what_waits_of_a_credential_is_bounded() {
    let app = start(|limits| {
        limits.call_memory_per_credential_mib = 4;
        limits.answer_timeout = Duration::from_secs(5);
    })
    .await;
    let organization = workspace(&app).await;
    // A page of them is about a mebibyte.
    large_groups(&organization, 30).await;
    let mut message = list_groups(&organization.id);
    message.page_size = 1_000;
    let owner = &organization.owner.call;
    let bearer = format!("Bearer {}", owner.credential.as_ref().unwrap());
    let headers: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];

    let mut client = raw::Client::connect_with(&takes_nothing(), app.app.grpc_address, HERE[0]).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut call = client.begin(Rpc::ListGroups.path(), &headers).await.unwrap();
        call.outgoing.send_data(raw::framed(&message.encode_to_vec()), true).unwrap();
        waiting.push(call.untaken().await);
    }
    let mut refused = None;
    for _ in 0..3 {
        let call = client.begin(Rpc::ListGroups.path(), &headers).await.unwrap();
        match call.finish_or_wait(raw::framed(&message.encode_to_vec())).await {
            Ok(status) => refused = Some(status),
            Err(untaken) => waiting.push(untaken),
        }
    }
    let refused = refused.expect("a refusal once there is no room");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    // Others do not feel it.
    assert_eq!(super::call_as_operator(&mut connect(&app, HERE[0]).await, &app).await.code(), Code::Ok);

    // The first byte came; the rest is given up.
    for mut answer in waiting {
        let broken = tokio::time::timeout(crate::harness::PATIENCE, async {
            loop {
                if let Some(Err(error)) = answer.data().await {
                    break error;
                }
            }
        });
        let broken = broken.await.expect("an end in time");
        assert_eq!(broken.reason(), Some(h2::Reason::CANCEL), "{broken:?}");
    }
    eventually_finds("the room", async || owner.list_groups(message.clone()).await.ok()).await;
    check_health(&mut connect(&app, HERE[0]).await).await;
}
