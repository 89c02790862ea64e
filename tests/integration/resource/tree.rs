//! Many resources: registered by a stream, and browsed.

use std::collections::BTreeSet;

use guildhall::proto;
use guildhall::proto::browse_resources_request::Under;
use tonic::{Code, Status};

use super::{asset, get, person, put};
use crate::harness::messages::{browse, delete, membership, register_all, rename, share};
use crate::harness::{Caller, assert_refused, project};
use crate::on_both;
use crate::refusals::{assert_violates, revision_of};

/// Goes through all pages; gives the ids in order.
async fn all(call: &Caller, request: proto::BrowseResourcesRequest) -> Result<Vec<String>, Status> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::BrowseResourcesRequest { page_token, ..request.clone() };
        let page = call.browse_resources(request).await?;
        found.extend(page.resources.into_iter().map(|resource| resource.resource.unwrap().id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

on_both! {
    async fn ten_thousand_are_registered_by_one_stream_and_again_for_nothing(app) {
        const CHUNKS: usize = 100;
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let name = |chunk: usize, at: usize| project(&format!("{chunk:02}-{at:02}"));
        let chunk = |chunk: usize| {
            let parent = |at: usize| (at > 0).then(|| name(chunk, 0));
            register_all(id, (0..100).map(|at| (name(chunk, at), parent(at))))
        };
        let everything: Vec<_> = (0..CHUNKS).map(chunk).collect();

        // Half of it got there before the connection broke.
        owner.register_resources(everything[..CHUNKS / 2].to_vec()).await.unwrap();
        let answer = owner.register_resources(everything.clone()).await.unwrap();
        assert_eq!((answer.registered_count, answer.unchanged_count, answer.refused_count), (5_000, 5_000, 0));
        let before = revision_of(owner, id).await;
        assert_eq!(answer.revision, before);
        let again = owner.register_resources(everything).await.unwrap();
        assert_eq!((again.registered_count, again.unchanged_count), (0, 10_000));
        assert_eq!(revision_of(owner, id).await, before);
        assert_eq!(get(owner, id, name(99, 99)).await.unwrap().parent, Some(name(99, 0)));

        // Read back by pages, and found below a parent.
        let request = proto::BrowseResourcesRequest { page_size: 1_000, ..browse(id) };
        let found = all(owner, request).await.unwrap();
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (10_000, 10_000));
        assert!(found.is_sorted());
        let under = proto::BrowseResourcesRequest { under: Some(Under::Parent(name(7, 0))), page_size: 30, ..browse(id) };
        assert_eq!(all(owner, under).await.unwrap().len(), 99);
        let top = proto::BrowseResourcesRequest { under: Some(Under::Top(proto::Top {})), ..browse(id) };
        assert_eq!(all(owner, top).await.unwrap().len(), CHUNKS);
        let deleted = owner.delete_resource(delete(id, name(7, 0))).await.unwrap();
        assert_eq!(deleted.deleted_count, 100);
    }

    async fn what_is_refused_is_told_and_the_rest_is_registered(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let good = register_all(id, [(project("a"), None), (project("b"), Some(project("a")))]);
        let mixed = register_all(id, [
            (project("c"), Some(project("b"))),
            (project("d"), Some(project("no-such"))),
            (asset("x"), None),
            (project(""), None),
            (project("b"), None),
            (project("e"), Some(project("d"))),
            (project("a"), Some(project("c"))),
        ]);
        let dry = proto::RegisterResourcesRequest { validate_only: true, ..good.clone() };
        assert_eq!(owner.register_resources(vec![dry]).await.unwrap().registered_count, 2);
        assert_refused(get(owner, id, project("a")).await, Code::NotFound, "NOT_FOUND");

        let answer = owner.register_resources(vec![good, mixed]).await.unwrap();
        assert_eq!((answer.registered_count, answer.unchanged_count, answer.refused_count), (3, 0, 6));
        let refused: Vec<_> = answer.refused.iter().map(|it| (it.index, it.reason.as_str())).collect();
        assert_eq!(
            refused,
            [
                (3, "NOT_FOUND"),
                (4, "RESOURCE_TYPE_UNKNOWN"),
                (5, "RESOURCE_ID_MALFORMED"),
                (6, "RESOURCE_EXISTS"),
                (7, "NOT_FOUND"),
                (8, "TREE_CYCLE"),
            ]
        );
        let too_many = register_all(id, (0..101).map(|at| (project(&at.to_string()), None)));
        for bad in [too_many, register_all(id, [])] {
            assert_violates(owner.register_resources(vec![bad]).await, &[("resources", "OUT_OF_RANGE")]);
        }
        assert_eq!(all(owner, browse(id)).await.unwrap(), ["a", "b", "c"]);
    }

    async fn one_browses_what_one_sees(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        put(admin, id, project("p"), None).await.unwrap();
        for (at, name) in ["Annual numbers", "Numbers of annuals", "Nothing"].iter().enumerate() {
            let key = asset(&format!("a{at}"));
            put(admin, id, key.clone(), Some(project("p"))).await.unwrap();
            admin.update_resource(rename(id, key, name)).await.unwrap();
        }
        admin.share_resource(share(id, asset("a1"), vec![membership(&una.membership_id)])).await.unwrap();
        let query = |text: &str| proto::BrowseResourcesRequest { query: text.into(), page_size: 1, ..browse(id) };

        assert_eq!(all(admin, browse(id)).await.unwrap(), ["a0", "a1", "a2", "p"]);
        let projects = proto::BrowseResourcesRequest { resource_type: "project".into(), ..browse(id) };
        assert_eq!(all(admin, projects).await.unwrap(), ["p"]);
        for (text, found) in [
            ("annual", vec!["a0", "a1"]),
            ("NUMB ann", vec!["a0", "a1"]),
            ("n", vec!["a2", "a0", "a1"]),
            ("annuals of", vec!["a1"]),
            ("umbers", vec![]),
            ("_", vec![]),
            (" ", vec![]),
            ("_ annuals", vec!["a1"]),
        ] {
            assert_eq!(all(admin, query(text)).await.unwrap(), found, "{text}");
        }
        // Una sees one, and neither what it stands under nor the others.
        let mine = una.call.browse_resources(browse(id)).await.unwrap().resources;
        assert_eq!(mine.len(), 1);
        assert_eq!((mine[0].display_name.as_str(), &mine[0].parent), ("Numbers of annuals", &None));
        assert_eq!(all(&una.call, query("n")).await.unwrap(), ["a1"]);
        let under = proto::BrowseResourcesRequest { under: Some(Under::Parent(project("p"))), ..browse(id) };
        assert_refused(all(&una.call, under.clone()).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(all(admin, under).await.unwrap(), ["a0", "a1", "a2"]);

        let unknown = proto::BrowseResourcesRequest { resource_type: "no-such".into(), ..browse(id) };
        assert_refused(all(admin, unknown).await, Code::InvalidArgument, "RESOURCE_TYPE_UNKNOWN");
        let long = query(&"x".repeat(201));
        assert_refused(all(admin, long).await, Code::InvalidArgument, "TEXT_MALFORMED");
    }
}
