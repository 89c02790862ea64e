//! Resources that move: who gains, who loses, and what shape the tree keeps however many move at once.

use std::collections::{BTreeMap, BTreeSet};

use guildhall::proto;
use guildhall::proto::inherited::By;
use tonic::Code;
use tonic_types::StatusExt;

use super::{asset, get, person, put};
use crate::harness::messages::{
    change, grant, item, membership, move_under, principal, put_catalog, register, set_owner, share,
};
use crate::harness::{Caller, assert_refused, at, project, reason};
use crate::on_both;
use crate::refusals::revision_of;

/// Halls in halls, which whoever moves one sees from some hall on.
const HALLS: &str = "
name: halls
version: 1
description: Halls in halls.
features: {groups: false, custom_roles: false, assets: false}
types:
  hall: {}
roles:
  keeper:
    at: [organization]
    permissions: {hall.create: ANY, hall.view: ANY, hall.update: ANY, hall.share: ANY, hall.delete: ANY,
                  member.list: ANY, member.invite: ANY, member.assign: ANY}
    may_grant: ANY
    may_take: ANY
  mover:
    at: [hall]
    permissions: {hall.create: ANY, hall.view: ANY, hall.update: ANY, hall.share: ANY, member.assign: ANY}
  auditor:
    at: [hall]
    permissions: {hall.view: ANY, hall.delete: ANY}
founder_roles: [keeper]
";

/// Returns who stands in such a list, each with by what.
fn told(list: &[proto::Inherited]) -> BTreeSet<(String, String)> {
    let name = |it: &proto::Inherited| (format!("{:?}", it.principal.clone().unwrap()), format!("{:?}", it.by));
    list.iter().map(name).collect()
}

fn inherited(membership_id: &str, by: By) -> proto::Inherited {
    proto::Inherited { principal: Some(principal(membership(membership_id))), by: Some(by) }
}

on_both! {
    async fn a_move_tells_who_gains_and_who_loses_and_they_do(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let viewers = ["ann", "bea", "cy"];
        let mut people = Vec::new();
        for name in viewers {
            people.push(person(&app, &organization, name, &["shared-viewer"]).await);
        }
        let [ann, bea, cy] = people.as_slice() else { unreachable!() };
        for (name, who) in [("old", vec![ann, cy]), ("new", vec![bea, cy])] {
            put(&admin.call, id, project(name), None).await.unwrap();
            let who = who.into_iter().map(|person| membership(&person.membership_id)).collect();
            admin.call.share_resource(share(id, project(name), who)).await.unwrap();
        }
        // Owning the old project counts below it; the new one is nobody's.
        admin.call.set_resource_owner(set_owner(id, project("new"), None)).await.unwrap();
        put(&admin.call, id, asset("a"), Some(project("old"))).await.unwrap();
        put(&admin.call, id, asset("below"), Some(asset("a"))).await.unwrap();

        let listed = |person: &crate::harness::Person| inherited(&person.membership_id, By::AsMember(proto::AsMember {}));
        let owner = inherited(&admin.membership_id, By::Ownership(proto::Ownership {}));
        let request = move_under(id, asset("a"), Some(project("new")));
        let dry = proto::MoveResourceRequest { validate_only: true, ..request.clone() };
        for request in [dry, request] {
            let moved = admin.call.move_resource(request).await.unwrap();
            assert_eq!(told(&moved.gained), told(&[listed(bea)]));
            assert_eq!(told(&moved.lost), told(&[listed(ann), owner.clone()]));
            assert_eq!((moved.gained_count, moved.lost_count), (1, 2));
            assert_eq!(moved.resource.unwrap().parent, Some(project("new")));
        }
        for target in [asset("a"), asset("below")] {
            for (person, sees) in [(ann, false), (bea, true), (cy, true)] {
                let allowed = admin.call.allows(id, &person.user_id, "asset.view", Some(target.clone())).await;
                assert_eq!(allowed, sees, "{} on {target:?}", person.email);
            }
        }
        assert_eq!(get(&bea.call, id, asset("below")).await.unwrap().parent, Some(asset("a")));
        // Where it stands already nothing changes.
        let before = revision_of(&admin.call, id).await;
        admin.call.move_resource(move_under(id, asset("a"), Some(project("new")))).await.unwrap();
        assert_eq!(revision_of(&admin.call, id).await, before);
    }

    async fn nobody_moves_a_resource_to_where_they_may_do_more(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        put(&admin.call, id, project("p"), None).await.unwrap();
        let mine = put(&una.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let hidden = put(&admin.call, id, asset("hidden"), None).await.unwrap().resource.unwrap();

        // What one does not see, neither as the resource nor as the parent.
        assert_refused(una.call.move_resource(move_under(id, hidden.clone(), None)).await, Code::NotFound, "NOT_FOUND");
        for parent in [hidden, project("p"), asset("no-such")] {
            let answer = una.call.move_resource(move_under(id, mine.clone(), Some(parent))).await;
            assert_refused(answer, Code::NotFound, "NOT_FOUND");
        }
        // One's own under one's own: asset.share at the organization is not theirs.
        let other = put(&una.call, id, asset(""), None).await.unwrap().resource.unwrap();
        let answer = una.call.move_resource(move_under(id, mine.clone(), Some(other))).await;
        assert_refused(answer, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(get(&una.call, id, mine).await.unwrap().parent, None);
    }

    async fn what_is_held_at_a_place_that_the_mover_does_not_see_is_not_named(app) {
        app.operator().put_catalog(put_catalog(HALLS)).await.unwrap();
        let organization = app.found_under("halls").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let hall = |id: &str| proto::ResourceRef { r#type: "hall".into(), id: id.into() };
        for (name, parent) in [("hidden", None), ("from", Some("hidden")), ("moved", Some("from")), ("to", None)] {
            let request = proto::RegisterResourceRequest { parent: parent.map(hall), ..register(id, hall(name)) };
            owner.register_resource(request).await.unwrap();
        }
        let (mover, other) = (person(&app, &organization, "mo", &[]).await, person(&app, &organization, "ott", &[]).await);
        let held = [(&mover, "from", "mover"), (&mover, "to", "mover"), (&other, "hidden", "auditor")];
        let held = held.map(|(who, place, role)| grant(membership(&who.membership_id), at(hall(place), role)));
        owner.change_grants(change(id, held.to_vec())).await.unwrap();

        let refused = mover.call.move_resource(move_under(id, hall("moved"), Some(hall("to")))).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_NOT_TAKEABLE"));
        let info = refused.get_details_error_info().unwrap();
        assert!(info.metadata.is_empty(), "{:?}", info.metadata);
        assert!(!refused.message().contains("auditor") && !refused.message().contains("hidden"), "{refused:?}");
    }

    async fn nothing_moves_below_itself_or_deeper_than_eight(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let names: Vec<String> = (1..=7).map(|depth| format!("depth-{depth}")).collect();
        let mut parent = None;
        for name in &names {
            put(owner, id, project(name), parent).await.unwrap();
            parent = Some(project(name));
        }
        put(owner, id, project("top"), None).await.unwrap();
        put(owner, id, project("under-top"), Some(project("top"))).await.unwrap();
        let before = revision_of(owner, id).await;

        for (moved, to, why) in [
            ("depth-1", "depth-1", "TREE_CYCLE"),
            ("depth-1", "depth-7", "TREE_CYCLE"),
            ("depth-3", "depth-4", "TREE_CYCLE"),
            ("top", "depth-7", "TREE_TOO_DEEP"),
            ("depth-1", "under-top", "TREE_TOO_DEEP"),
        ] {
            let answer = owner.move_resource(move_under(id, project(moved), Some(project(to)))).await;
            assert_refused(answer, Code::FailedPrecondition, why);
        }
        assert_eq!(revision_of(owner, id).await, before);
        owner.move_resource(move_under(id, project("depth-1"), Some(project("top")))).await.unwrap();
        let answer = owner.move_resource(move_under(id, project("top"), Some(project("depth-7")))).await;
        assert_refused(answer, Code::FailedPrecondition, "TREE_CYCLE");
    }

    /// Hundreds of moves at once, each of which would close a cycle with others: the tree stays a tree all the while.
    async fn a_storm_of_moves_leaves_a_tree(app) {
        const NODES: usize = 12;
        const MOVES: usize = 240;
        let organization = app.found().await;
        let (owner, id) = (&organization.owner, organization.id.as_str());
        for node in 0..NODES {
            put(&owner.call, id, project(&node.to_string()), None).await.unwrap();
        }
        let moves = (0..MOVES).map(|at| {
            let (moved, to) = (at % NODES, (at * 7 + at / NODES + 1) % NODES);
            let (call, request) = (owner.call.clone(), move_under(id, project(&moved.to_string()), Some(project(&to.to_string()))));
            tokio::spawn(async move { call.move_resource(request).await })
        });
        let moves: Vec<_> = moves.collect();
        // Whoever reads meanwhile finds each resource at the end of a chain that ends.
        for _ in 0..5 {
            must_be_a_tree(&owner.call, id, NODES).await;
            owner.call.check(crate::harness::messages::check(id, item(&owner.user_id, "project.view", Some(project("0"))))).await.unwrap();
        }
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for done in moves {
            let outcome = done.await.unwrap().map_or_else(|status| reason(&status), |_| "moved".into());
            *outcomes.entry(outcome).or_default() += 1;
        }
        let known = ["moved", "TREE_CYCLE", "TREE_TOO_DEEP"];
        assert!(outcomes.keys().all(|outcome| known.contains(&outcome.as_str())), "{outcomes:?}");
        assert!(outcomes["moved"] > 0 && outcomes["TREE_CYCLE"] > 0, "{outcomes:?}");
        must_be_a_tree(&owner.call, id, NODES).await;
    }
}

/// Asserts that from every node a way leads up, of at most eight steps, in one look at each node.
async fn must_be_a_tree(call: &Caller, organization: &str, nodes: usize) {
    // Read until nothing moved in between: only such a look shows one tree.
    for _ in 0..50 {
        let before = revision_of(call, organization).await;
        let mut parents: BTreeMap<String, Option<String>> = BTreeMap::new();
        for node in 0..nodes {
            let found = get(call, organization, project(&node.to_string())).await.unwrap();
            parents.insert(node.to_string(), found.parent.map(|parent| parent.id));
        }
        if revision_of(call, organization).await != before {
            continue;
        }
        for start in parents.keys() {
            let (mut at, mut steps) = (start.clone(), 1);
            while let Some(parent) = &parents[&at] {
                at.clone_from(parent);
                steps += 1;
                assert!(steps <= 8, "from {start}: {parents:?}");
            }
        }
        return;
    }
}
