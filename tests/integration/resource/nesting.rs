//! What stands under what, and where a permission can be asked: as the catalog's `under` says.

use guildhall::proto::{self, DecisionReason, MissingKind, ResourceRef};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{asset, get, person, put, schedule};
use crate::harness::messages::{
    browse, check, explain, fresh, item, list_permissions, list_resources, list_subjects, move_under, register_all,
    user,
};
use crate::harness::{Organization, TestApp, assert_refused, project};
use crate::on_both;
use crate::refusals::revision_of;

/// A workspace with a project, and in it an asset and a schedule.
async fn scene(app: &TestApp) -> Organization {
    let organization = app.found_under("analytics-workspace").await;
    let (owner, id) = (&organization.owner.call, organization.id.as_str());
    put(owner, id, project("p"), None).await.unwrap();
    put(owner, id, asset("a"), Some(project("p"))).await.unwrap();
    put(owner, id, schedule("s"), Some(project("p"))).await.unwrap();
    organization
}

fn batch(organization: &str, items: Vec<proto::CheckItem>) -> proto::BatchCheckRequest {
    proto::BatchCheckRequest { organization_id: organization.into(), items, consistency: Some(fresh()) }
}

/// What the refusal of a parent says of the two types.
fn types_in(status: &Status) -> (String, String) {
    let metadata = status.get_details_error_info().expect("an ErrorInfo").metadata;
    (metadata["type"].clone(), metadata["parent"].clone())
}

on_both! {
    async fn a_resource_stands_only_where_its_type_may(app) {
        let organization = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let before = revision_of(owner, id).await;
        let refused: [(ResourceRef, ResourceRef); 5] = [
            (asset("new"), schedule("s")),
            (schedule("new"), asset("a")),
            (schedule("new"), schedule("s")),
            (project("new"), asset("a")),
            (project("new"), schedule("s")),
        ];
        for (resource, parent) in &refused {
            let status = put(owner, id, resource.clone(), Some(parent.clone())).await.unwrap_err();
            assert_eq!(types_in(&status), (resource.r#type.clone(), parent.r#type.clone()));
            assert_refused::<()>(Err(status), Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
            // Whatever is there: the types alone decide.
            let nowhere = ResourceRef { id: "no-such".into(), ..parent.clone() };
            let answer = put(owner, id, resource.clone(), Some(nowhere)).await;
            assert_refused(answer, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");

            let old = ResourceRef { id: resource.r#type[..1].to_owned(), ..resource.clone() };
            let request = move_under(id, old, Some(parent.clone()));
            let dry = proto::MoveResourceRequest { validate_only: true, ..request.clone() };
            for request in [dry, request] {
                let answer = owner.move_resource(request).await;
                assert_refused(answer, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
            }
        }
        let all = refused.iter().map(|(resource, parent)| (resource.clone(), Some(parent.clone())));
        let told = owner.register_resources(vec![register_all(id, all)]).await.unwrap();
        let reasons: Vec<&str> = told.refused.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(reasons, ["PARENT_TYPE_NOT_ALLOWED"; 5]);
        assert_eq!(revision_of(owner, id).await, before);

        // What may, does.
        for (resource, parent) in [
            (project("inner"), Some(project("p"))),
            (asset("b"), None),
            (asset("c"), Some(asset("a"))),
            (schedule("t"), None),
            (schedule("u"), Some(project("inner"))),
        ] {
            put(owner, id, resource, parent).await.unwrap();
        }
        owner.move_resource(move_under(id, asset("b"), Some(asset("c")))).await.unwrap();
        app.operator().move_resource(move_under(id, schedule("s"), None)).await.unwrap();
        assert_eq!(get(owner, id, asset("b")).await.unwrap().parent, Some(asset("c")));
    }

    async fn a_stranger_and_a_member_who_sees_nothing_learn_no_more_of_a_parent(app) {
        let organization = scene(&app).await;
        let id = organization.id.as_str();
        let una = person(&app, &organization, "una", &["default"]).await;
        let stranger = app.somebody("zoe@example.test").await;
        for parent in [schedule("s"), schedule("no-such")] {
            let answer = put(&una.call, id, asset(""), Some(parent.clone())).await;
            assert_refused(answer, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
            let answer = put(&stranger.call, id, asset(""), Some(parent)).await;
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
        }
        let mine = put(&una.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let hidden = una.call.move_resource(move_under(id, asset("a"), Some(schedule("s")))).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        let refused = una.call.move_resource(move_under(id, mine, Some(schedule("s")))).await;
        assert_refused(refused, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
    }

    async fn a_permission_is_asked_where_its_type_can_stand_and_denied_elsewhere_whoever_asks(app) {
        let organization = scene(&app).await;
        let (owner, id) = (&organization.owner, organization.id.as_str());
        let backend = app.backend(&organization).await;
        let places = [None, Some(project("p")), Some(asset("a")), Some(asset("no-such")), Some(schedule("s"))];
        let asked = [
            ("project.view", [true, true, false, false, false]),
            ("asset.view", [true, true, true, true, false]),
            ("schedule.disable", [true, true, false, false, true]),
            ("member.assign", [true; 5]),
        ];
        for who in [&owner.user_id, "018f4e9a-0000-7000-8000-00000000dead"] {
            for (permission, is_asked) in asked {
                let items: Vec<_> = places.iter().map(|place| item(who, permission, place.clone())).collect();
                let answers = backend.batch_check(batch(id, items.clone())).await.unwrap().decisions;
                for ((item, decision), is_asked) in items.into_iter().zip(answers).zip(is_asked) {
                    let what = format!("{permission} on {:?} by {who}", item.resource);
                    let alone = backend.check(check(id, item.clone())).await.unwrap().decision.unwrap();
                    assert_eq!(alone.reason(), decision.reason(), "{what}");
                    let expected = match (is_asked, *who == owner.user_id) {
                        (false, _) => DecisionReason::PermissionNotAskedHere,
                        (true, true) => DecisionReason::Unspecified,
                        (true, false) => DecisionReason::NotGranted,
                    };
                    assert_eq!(decision.reason(), expected, "{what}");
                    assert_eq!(decision.allowed, expected == DecisionReason::Unspecified, "{what}");
                    // Why, in words: and nothing else, for nothing would help.
                    let explained = backend.explain_check(explain(id, item)).await.unwrap();
                    assert_eq!(explained.decision.unwrap().reason(), expected, "{what}");
                    let missing: Vec<_> = explained.explanation.unwrap().missing.iter().map(proto::MissingPiece::kind).collect();
                    let is_told = missing.contains(&MissingKind::PermissionNotAskedHere);
                    assert_eq!((is_told, is_told && missing.len() > 1), (!is_asked, false), "{what}: {missing:?}");
                }
            }
        }

        // Lists leave it out.
        let may = async |place: Option<ResourceRef>| {
            let request = list_permissions(id, user(&owner.user_id), place);
            let held = backend.list_permissions(request).await.unwrap().permissions;
            let nouns = held.into_iter().map(|it| it.permission.split('.').next().unwrap().to_owned());
            let nouns = nouns.filter(|noun| ["project", "asset", "schedule"].contains(&noun.as_str()));
            nouns.collect::<std::collections::BTreeSet<String>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(may(None).await, ["asset", "project", "schedule"]);
        assert_eq!(may(Some(project("p"))).await, ["asset", "project", "schedule"]);
        assert_eq!(may(Some(asset("a"))).await, ["asset"]);
        assert_eq!(may(Some(schedule("s"))).await, ["schedule"]);
        for (kind, permission, expected) in [
            ("asset", "asset.view", vec!["a"]),
            ("asset", "schedule.view", vec![]),
            ("project", "schedule.view", vec!["p"]),
            ("schedule", "asset.view", vec![]),
        ] {
            let request = list_resources(id, user(&owner.user_id), permission);
            let request = proto::ListResourcesRequest { resource_type: kind.into(), ..request };
            let answer = backend.list_resources(request).await.unwrap();
            assert_eq!(answer.resource_ids, expected, "{permission} on {kind}");
        }
        // The owner, and the operator.
        for (place, permission, count) in [
            (asset("a"), "asset.view", 2),
            (asset("a"), "schedule.view", 0),
            (project("p"), "schedule.view", 2),
            (schedule("s"), "project.view", 0),
        ] {
            let answer = backend.list_subjects(list_subjects(id, permission, Some(place))).await.unwrap();
            assert_eq!(answer.subjects.len(), count, "{permission}");
        }
        // The tree shows each by what it is visible by, as before.
        let shown = owner.call.browse_resources(browse(id)).await.unwrap().resources;
        assert_eq!(shown.len(), 3);
    }

    async fn a_subscription_to_what_is_not_asked_there_is_denied_like_any_other(app) {
        let organization = scene(&app).await;
        let (owner, id) = (&organization.owner, organization.id.as_str());
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        let about = |permission, place| item(&owner.user_id, permission, Some(place));
        let items = vec![about("schedule.view", asset("a")), about("asset.view", asset("a")), about("schedule.view", schedule("s"))];
        assert_eq!(stream.check(id, items.clone()).await, [false, true, true]);
        stream.subscribe(id, items).await;
        assert_eq!(stream.changes().await, [(1, false), (2, true), (3, true)].into());
    }
}
