//! An organization that comes to follow another catalog while links are open, and what has expired.

use std::time::Duration;

use guildhall::proto;
use tonic::Code;

use super::{ESTATE, Scene, come, for_an_hour, house, in_the_way};
use crate::check::streams::at as at_revision;
use crate::harness::messages::{
    change, create_organization_under, grant, invite, membership, put_catalog, set_catalog,
};
use crate::harness::{TestApp, as_member, assert_refused, at, role};
use crate::on_both;
use crate::refusals::revision_of;

/// Puts the estate with something of it changed, under a name of its own, and has the organization follow it.
async fn follow(app: &TestApp, id: &str, name: &str, changes: &[(&str, &str)]) -> Result<(), tonic::Status> {
    let text = changes.iter().fold(ESTATE.replace("name: estate", &format!("name: {name}")), |text, (from, to)| {
        assert!(text.contains(from), "the estate has no {from:?}");
        text.replace(from, to)
    });
    app.operator().put_catalog(put_catalog(&text)).await.expect("a catalog that is right");
    let dry = proto::SetOrganizationCatalogRequest { validate_only: true, ..set_catalog(id, name) };
    let told = app.operator().set_organization_catalog(dry).await.map(drop);
    let done = app.operator().set_organization_catalog(set_catalog(id, name)).await.map(drop);
    assert_eq!(told.map_err(|it| it.message().to_owned()), done.clone().map_err(|it| it.message().to_owned()));
    done
}

const HELPER: &str = "  helper:\n    at: [organization, house]\n    to: [membership, group, everyone, service_account]";
const RULER: &str = "  ruler:\n    at: [organization, house]\n    to: [membership, group, everyone, service_account]";
const KINDS: &str = "invitation: {kinds: [EMAIL, LINK]}";

/// A name, what is offered, and what another catalog has in the place of what.
type Case<'a> = (&'a str, proto::Assignment, Vec<(&'a str, &'a str)>);

on_both! {
    /// Each lacks what one link offers, and nothing that anybody holds.
    async fn a_catalog_without_a_place_for_what_a_link_offers_is_refused(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let helper = |text: &str| format!("  helper:\n    {text}");
        let (below, machines) = (helper("at: [house]"), helper("at: [organization]\n    to: [service_account]"));
        let (handed_on, few) =
            (helper("at: [organization]\n    transfer_only: true"), helper("at: [organization]\n    holders: {most: 9}"));
        let needy = HELPER.replace("helper:", "helper:\n    requires: [ruler]");
        let cases: Vec<Case> = vec![
            ("gone", role("helper"), vec![("  helper:", "  assistant:")]),
            ("moved", role("helper"), vec![(HELPER, &below)]),
            ("machines", role("helper"), vec![(HELPER, &machines)]),
            ("unlisted", as_member(house("red")), vec![("house: {list: true, ", "house: {")]),
            ("handed-on", role("helper"), vec![(HELPER, &handed_on)]),
            ("needy", role("helper"), vec![(HELPER, &needy)]),
            ("timeless", for_an_hour(&app, role("helper")), vec![(HELPER, &few)]),
            ("mails-only", role("helper"), vec![(KINDS, "invitation: {kinds: [EMAIL]}")]),
            (
                "with-a-role",
                at(house("red"), "helper"),
                vec![(KINDS, "invitation: {kinds: [LINK], role_required: true}")],
            ),
        ];
        for (name, offered, changes) in cases {
            let (link, _) = scene.link(vec![offered]).await;
            let before = at_revision(&revision_of(owner, id).await);
            let refused = follow(&app, id, name, &changes).await.expect_err(name);
            assert_eq!(in_the_way(&refused), format!("invitation/{link}"), "{name}: {}", refused.message());
            assert_refused::<()>(Err(refused), Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
            assert_eq!(at_revision(&revision_of(owner, id).await), before, "{name}");
            // No link is withdrawn yet: this one is over.
            crate::check::explanations::execute(&app, "update invitations set state = 'revoked' where kind = 'link'").await;
            follow(&app, id, name, &changes).await.unwrap_or_else(|it| panic!("{name}: nothing else is in the way: {it}"));
            app.operator().set_organization_catalog(set_catalog(id, "estate")).await.unwrap();
        }
    }

    async fn a_catalog_that_closes_what_is_open_to_a_mailbox_is_refused_and_none_closes_a_founders(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let made = owner.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap();
        let invitation = made.invitation.unwrap().id;
        let closing = [
            ("links-only", "invitation: {kinds: [LINK]}"),
            ("with-a-role", "invitation: {kinds: [EMAIL], role_required: true}"),
        ];
        for (name, policy) in closing {
            let refused = follow(&app, id, name, &[(KINDS, policy)]).await.expect_err(name);
            assert_eq!(in_the_way(&refused), format!("invitation/{invitation}"), "{name}: {}", refused.message());
            assert_refused::<()>(Err(refused), Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
        }
        app.join("eve@example.test").await;
        follow(&app, id, "links-only", &[(KINDS, closing[0].1)]).await.expect("nothing is open any more");

        let new = create_organization_under("estate", "New", "ida@example.test");
        let new = app.operator().create_organization(new).await.unwrap().organization.unwrap().id;
        follow(&app, &new, "links-only", &[(KINDS, closing[0].1)]).await.expect("a founder comes by no policy");
        app.join("ida@example.test").await;
    }

    async fn a_link_that_fits_brings_what_its_names_stand_for_now(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let (_, token) = scene.link(vec![role("helper")]).await;
        let (_, plain) = scene.link(vec![]).await;
        let wider = "permissions: {house.view: SHARED}\n\n  # More";
        let changes = [
            (wider, "permissions: {house.view: ANY}\n\n  # More"),
            ("founder_roles: [chief]", "founder_roles: [chief]\ndefault_role: helper"),
        ];
        follow(&app, id, "wider", &changes).await.unwrap();
        for (email, token) in [("bob@example.test", &token), ("eve@example.test", &plain)] {
            let person = app.somebody(email).await;
            assert_eq!(come(&person, token).await.unwrap().roles, ["helper"], "also by default");
            assert!(owner.allows(id, &person.user_id, "house.view", Some(house("red"))).await);
        }
    }

    async fn what_has_expired_stands_in_the_way_of_no_catalog(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        for held in [role("helper"), role("ruler"), as_member(house("red"))] {
            scene.give(&bob.membership_id, for_an_hour(&app, held)).await;
        }
        scene.link(vec![for_an_hour(&app, role("helper"))]).await;
        let gone = [
            ("  helper:", "  assistant:"),
            (RULER, "  ruler:\n    at: [organization]\n    holders: {most: 9}"),
            ("house: {list: true, ", "house: {"),
        ];
        assert_refused(follow(&app, id, "lesser", &gone).await, Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
        app.clock.advance(Duration::from_hours(1));
        follow(&app, id, "lesser", &gone).await.expect("nobody holds it");

        // Nor does it keep anybody from the default role, whatever they held once.
        let by_default = [("founder_roles: [chief]", "founder_roles: [chief]\ndefault_role: helper")];
        follow(&app, id, "by-default", &by_default).await.unwrap();
        let owner = app.sign_in("ada@example.test", "").await.call;
        assert_eq!(owner.member(id, &bob.email).await.roles, ["helper"]);
        assert!(!owner.allows(id, &bob.user_id, "house.view", Some(house("red"))).await);
        let again = change(id, vec![grant(membership(&bob.membership_id), as_member(house("red")))]);
        owner.change_grants(again).await.unwrap();
        assert!(owner.allows(id, &bob.user_id, "house.view", Some(house("red"))).await);
    }
}
