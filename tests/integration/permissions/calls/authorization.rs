//! What somebody may do.

use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, subject};
use guildhall::rpc::Rpc;
use tonic::Status;

use super::{Call, call, unknown};
use crate::harness::Caller;
use crate::harness::messages::{check, explain, item_about, list_permissions, list_resources, list_subjects};
use crate::permissions::targets::Ask;

pub fn prepare(ask: &Ask<'_>) -> Call {
    let (id, kind) = (ask.id(), ask.any_kind());
    let view = format!("{kind}.view");
    if ask.row.rpc == Rpc::ListSubjects {
        return call!(ask, list_subjects(list_subjects(id, &view, None)));
    }
    let subject = proto::Subject { kind: Some(meant(ask)) };
    let item = item_about(subject.clone(), &view, Some(ask.resource(&kind)));
    match ask.row.rpc {
        Rpc::Check => call!(ask, check(check(id, item))),
        Rpc::BatchCheck => {
            let (organization_id, items) = (id.into(), vec![item]);
            call!(ask, batch_check(proto::BatchCheckRequest { organization_id, items, consistency: None }))
        }
        Rpc::ExplainCheck => call!(ask, explain_check(explain(id, item))),
        Rpc::ListPermissions => call!(ask, list_permissions(list_permissions(id, subject, item.resource))),
        Rpc::ListResources => {
            let message = list_resources(id, subject, &view);
            call!(ask, list_resources(proto::ListResourcesRequest { resource_type: kind, ..message }))
        }
        Rpc::StreamChecks => {
            let (organization_id, items) = (id.into(), vec![item]);
            let frame = proto::CheckFrame { frame_id: 1, organization_id, items, consistency: None };
            Box::pin(check_by_stream(ask.who.call.clone(), frame))
        }
        _ => unknown(ask),
    }
}

fn meant(ask: &Ask<'_>) -> subject::Kind {
    match ask.row.case {
        "about oneself" => ask.own_subject(),
        "about another" => ask.another_subject(),
        _ => unknown(ask),
    }
}

/// Asks one frame of checks; a frame that is refused gives the code that its reason has elsewhere.
async fn check_by_stream(by: Caller, frame: proto::CheckFrame) -> Result<(), Status> {
    let mut stream = by.stream().await?;
    stream.send(Asked::Check(frame)).await;
    match stream.receive().await? {
        Some(Told::Decisions(frame)) => match frame.error.as_str() {
            "" => Ok(()),
            "NOT_FOUND" => Err(Status::not_found(frame.error)),
            "PERMISSION_MISSING" => Err(Status::permission_denied(frame.error)),
            _ => Err(Status::unknown(frame.error)),
        },
        other => panic!("expected decisions, got {other:?}"),
    }
}
