//! The list of people with their projects, and many people assigned to many projects at once.

use guildhall::proto::MemberState::{Active, Disabled, Pending};
use guildhall::proto::grant_matrix::Act::{self, Grant, Revoke};
use guildhall::proto::{self, HolderShare, MemberState};
use tonic::Code;

use super::account::{Account, Changed};
use super::projects::{ALL, changed};
use crate::harness::messages::{
    browse, change_by_matrix, disable, invite, list_members, matrix, membership, register, summarize,
};
use crate::harness::{Caller, Person, TestApp, as_member, assert_refused, project, role};
use crate::on_both;

/// Being assigned to whichever project.
fn assigned() -> proto::Assignment {
    proto::Assignment { resource: None, ..as_member(project("")) }
}

fn each(people: &[&Person]) -> Vec<proto::principal::Kind> {
    people.iter().map(|person| membership(&person.membership_id)).collect()
}

/// All of these people in all of these projects.
fn cells(people: &[&Person], projects: &[&str], act: Act) -> proto::GrantMatrix {
    matrix(each(people), projects.iter().map(|name| project(name)).collect(), act)
}

/// A row of the list: address, roles, status and projects.
type Row = (String, String, MemberState, String);

fn row(email: &str, roles: &str, state: MemberState, projects: &str) -> Row {
    (format!("{email}@example.test"), roles.into(), state, projects.into())
}

async fn rows(by: &Caller, id: &str) -> Vec<Row> {
    let row = |member: proto::Member| {
        let projects = if member.all_of_types == ["project"] {
            "all".to_owned()
        } else {
            let names: Vec<String> = member.places.iter().map(|place| place.id.clone()).collect();
            names.join(" ")
        };
        (member.email.clone(), member.roles.join(" "), member.state(), projects)
    };
    by.members(id).await.into_iter().map(row).collect()
}

async fn users(app: &TestApp, account: &Account) -> [Person; 2] {
    let join = async |email| app.invite_and_join(&account.id, &account.owner.call, email, vec![role("user")]).await;
    [join("bob@example.test").await, join("eve@example.test").await]
}

on_both! {
    async fn ce_02_the_list_shows_username_roles_status_and_projects(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (id, owner, uma) = (&account.id, &account.owner, &account.user);
        let [bob, _] = users(&app, &account).await;
        account.give(owner, &uma.membership_id, as_member(project("alpha"))).await.unwrap();
        account.give(owner, &bob.membership_id, as_member(project("gamma"))).await.unwrap();
        owner.call.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        let assignments = vec![role("user"), as_member(project("alpha")), as_member(project("beta"))];
        owner.call.create_invitation(invite(id, "tom@example.test", assignments)).await.unwrap();

        let mut expected = vec![
            row("ada", "admin owner", Active, "all"),
            row("bob", "user", Disabled, "gamma"),
            row("eve", "user", Active, ""),
            row("max", "admin", Active, "all"),
            row("tom", "user", Pending, "alpha beta"),
            row("uma", "user", Active, "alpha"),
        ];
        for by in [owner, &account.admin] {
            assert_eq!(rows(&by.call, id).await, expected);
        }
        let untouched = app.traces().await;
        assert_refused(uma.call.list_members(list_members(id)).await, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);

        // The list follows what is done.
        account.give(owner, &uma.membership_id, role("admin")).await.unwrap();
        expected[5] = row("uma", "admin", Active, "all");
        assert_eq!(rows(&uma.call, id).await, expected);
    }

    async fn ce_24_several_people_are_assigned_to_and_removed_from_several_projects_at_once(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (id, uma) = (&account.id, &account.user);
        let [bob, eve] = users(&app, &account).await;
        let people = [&bob, &eve, uma];
        let assignments = async || rows(&account.owner.call, id).await.into_iter().map(|row| row.3).collect::<Vec<_>>();
        assert_eq!(assignments().await, ["all", "", "", "all", ""]);

        // What would change is told first; with a project or a person that is not there, nothing changes.
        let assign = change_by_matrix(id, vec![cells(&people, &["alpha", "beta"], Grant(assigned()))]);
        let untouched = app.traces().await;
        let dry = proto::ChangeGrantsRequest { validate_only: true, ..assign.clone() };
        let would = account.admin.call.change_grants(dry).await.unwrap();
        let absent = change_by_matrix(id, vec![cells(&people, &["alpha", "delta"], Grant(assigned()))]);
        assert_refused(account.owner.call.change_grants(absent).await, Code::NotFound, "NOT_FOUND");
        let stranger = Person { membership_id: "018f4e9a-7b3c-7def-8a12-0123456789ab".into(), ..eve.clone() };
        let absent = change_by_matrix(id, vec![cells(&[&bob, &stranger], &["alpha"], Grant(assigned()))]);
        assert_refused(account.owner.call.change_grants(absent).await, Code::NotFound, "NOT_FOUND");
        assert_refused(eve.call.change_grants(assign.clone()).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);

        let did = account.admin.call.change_grants(assign).await.unwrap();
        assert_eq!(Changed::from(&did), Changed::from(&would));
        assert_eq!(Changed::from(&did), changed(&["alpha", "alpha", "alpha", "beta", "beta", "beta"], &[]));
        assert_eq!(app.traces().await.rows["commits"], untouched.rows["commits"] + 1, "at once");
        assert_eq!(assignments().await, ["all", "alpha beta", "alpha beta", "all", "alpha beta"]);
        for person in people {
            assert_eq!(account.works_in(&person.user_id, &ALL).await, ["alpha", "beta"]);
        }

        // Out of some and into others, in one act; whoever works there does not assign others.
        let out = cells(&[&bob, &eve], &["alpha"], Revoke(assigned()));
        let into = cells(&[&eve, uma], &["beta", "gamma"], Grant(assigned()));
        let untouched = app.traces().await;
        let refused = uma.call.change_grants(change_by_matrix(id, vec![out.clone()])).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        let moved = account.owner.call.change_grants(change_by_matrix(id, vec![out, into])).await.unwrap();
        assert_eq!(Changed::from(&moved), changed(&["gamma", "gamma"], &["alpha", "alpha"]));
        assert_eq!(assignments().await, ["all", "beta", "beta gamma", "all", "alpha beta gamma"]);
    }

    async fn ce_25_projects_are_searched_and_all_or_none_of_them_selected(app) {
        let account = Account::open(&app).await;
        let (id, owner, uma) = (&account.id, &account.owner.call, &account.user);
        for (name, display_name) in [("alpha", "Berlin mail"), ("beta", "Paris mail"), ("gamma", "Paris files")] {
            let request = register(id, project(name));
            let request = proto::RegisterResourceRequest { display_name: display_name.into(), ..request };
            owner.register_resource(request).await.unwrap();
        }
        let found = async |by: &Caller, query: &str| {
            let request = proto::BrowseResourcesRequest { query: query.into(), resource_type: "project".into(), ..browse(id) };
            let found = by.browse_resources(request).await.unwrap().resources.into_iter();
            let mut names: Vec<String> = found.map(|it| it.resource.unwrap().id).collect();
            names.sort();
            names
        };
        for (query, names) in [("", &ALL[..]), ("mail", &["alpha", "beta"]), ("PAR", &["beta", "gamma"]), ("fi paris", &["gamma"]), ("ail", &[])] {
            assert_eq!(found(owner, query).await, names, "{query}");
            assert_eq!(found(&uma.call, query).await, [""; 0], "what is hidden is not found: {query}");
        }

        // All that were found, and then none.
        let select = async |query: &str, act: Act| {
            let names = found(owner, query).await;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            change_by_matrix(id, vec![cells(&[uma], &names, act)])
        };
        let all = select("mail", Grant(assigned())).await;
        let untouched = app.traces().await;
        assert_refused(uma.call.change_grants(all.clone()).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
        owner.change_grants(all).await.unwrap();
        assert_eq!(account.works_in(&uma.user_id, &ALL).await, ["alpha", "beta"]);
        assert_eq!(found(&uma.call, "").await, ["alpha", "beta"]);
        owner.change_grants(select("", Grant(assigned())).await).await.unwrap();
        assert_eq!(account.works_in(&uma.user_id, &ALL).await, ALL);
        owner.change_grants(select("", Revoke(assigned())).await).await.unwrap();
        assert!(account.works_in(&uma.user_id, &ALL).await.is_empty());
    }

    async fn ce_26_where_only_some_are_assigned_setting_assigns_all_clearing_removes_all_and_leaving_changes_nothing(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (id, owner, uma) = (&account.id, &account.owner.call, &account.user);
        let [bob, eve] = users(&app, &account).await;
        let people = [&bob, &eve, uma];
        let selected = || summarize(id, each(&people), ALL.map(project).to_vec());
        let shares = async |by: &Caller| {
            let summaries = by.summarize_grants(selected()).await.unwrap().summaries;
            summaries.into_iter().map(|it| (it.share(), it.holders.len())).collect::<Vec<_>>()
        };
        owner.change_grants(change_by_matrix(id, vec![cells(&[&eve], &ALL, Grant(assigned()))])).await.unwrap();
        let mixed = (HolderShare::Some, 1);
        for by in [owner, &account.admin.call] {
            assert_eq!(shares(by).await, [mixed; 3]);
        }
        let refused = eve.call.summarize_grants(selected()).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");

        // The first is set, the second cleared, the third left.
        let set = cells(&people, &["alpha"], Grant(assigned()));
        let clear = cells(&people, &["beta"], Revoke(assigned()));
        let untouched = app.traces().await;
        let refused = eve.call.change_grants(change_by_matrix(id, vec![set.clone(), clear.clone()])).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        let did = owner.change_grants(change_by_matrix(id, vec![set, clear])).await.unwrap();
        assert_eq!(Changed::from(&did), changed(&["alpha", "alpha"], &["beta"]));
        assert_eq!(shares(owner).await, [(HolderShare::All, 3), (HolderShare::None, 0), mixed]);
        assert_eq!(account.works_in(&eve.user_id, &ALL).await, ["alpha", "gamma"]);
        for person in [&bob, uma] {
            assert_eq!(account.works_in(&person.user_id, &ALL).await, ["alpha"]);
        }
    }
}
