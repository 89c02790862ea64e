//! Grants above organizations: operators, and roles at a product, which count in every organization of its catalog.

use guildhall::proto;
use guildhall::proto::installation_grant_delta::Subject;
use guildhall::proto::stream_checks_response::Frame as Told;
use tonic::Code;

use crate::harness::messages::{above, change_above, check, create_organization_under, get_organization, item, remove};
use crate::harness::{Database, Person, TestApp, assert_refused, eventually_finds, violations};
use crate::on_both;

/// People who hold a role over every organization of the product.
const TASKS: &str = "task-automation";

fn taken(delta: proto::InstallationGrantDelta) -> proto::InstallationGrantDelta {
    proto::InstallationGrantDelta { revoke: true, ..delta }
}

on_both! {
    async fn an_operator_is_made_and_unmade_by_another_and_the_last_one_stays(app) {
        let person = app.somebody("ops@example.test").await;
        let elsewhere = app.found_by("eva@example.test").await;
        let (operator, delta) = (app.operator(), || above(&person.user_id, "", "operator"));
        let hidden = person.call.get_organization(get_organization(&elsewhere.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        let by_others = person.call.change_installation_grants(change_above(vec![delta()])).await;
        assert_refused(by_others, Code::PermissionDenied, "OPERATOR_REQUIRED");

        let dry = proto::ChangeInstallationGrantsRequest { validate_only: true, ..change_above(vec![delta()]) };
        assert_eq!(operator.change_installation_grants(dry).await.unwrap().granted.len(), 1);
        assert!(person.call.get_organization(get_organization(&elsewhere.id)).await.is_err());
        let made = operator.change_installation_grants(change_above(vec![delta()])).await.unwrap();
        assert_eq!((made.granted.len(), made.revoked.len()), (1, 0));
        person.call.get_organization(get_organization(&elsewhere.id)).await.expect("an operator sees everything");
        let again = operator.change_installation_grants(change_above(vec![delta()])).await.unwrap();
        assert_eq!((again.granted.len(), again.revoked.len()), (0, 0));

        let oneself = person.call.change_installation_grants(change_above(vec![taken(delta())])).await;
        assert_refused(oneself, Code::FailedPrecondition, "SELF_REMOVAL");
        let unmade = operator.change_installation_grants(change_above(vec![taken(delta())])).await.unwrap();
        assert_eq!(unmade.revoked, made.granted);
        let hidden = person.call.get_organization(get_organization(&elsewhere.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
    }

    async fn who_is_given_something_above_is_answered_by_the_next_check(app) {
        let person = app.somebody("ops@example.test").await;
        let elsewhere = app.found_by("eva@example.test").await;
        let question = || {
            let item = item(&person.user_id, "project.view", None);
            proto::CheckRequest { consistency: None, ..check(&elsewhere.id, item) }
        };
        assert_refused(person.call.check(question()).await, Code::NotFound, "NOT_FOUND");
        let given = change_above(vec![above(&person.user_id, "", "operator")]);
        app.operator().change_installation_grants(given).await.unwrap();
        person.call.check(question()).await.expect("that it did not exist for them is remembered no more");
    }

    async fn of_operators_who_unmake_each_other_at_once_one_is_left(app) {
        let operator = app.operator();
        let mut people = Vec::new();
        for number in 0..6 {
            let person = app.somebody(&format!("ops-{number}@example.test")).await;
            let delta = above(&person.user_id, "", "operator");
            operator.change_installation_grants(change_above(vec![delta])).await.unwrap();
            people.push(person);
        }
        let mut calls = tokio::task::JoinSet::new();
        for by in &people {
            for to in people.iter().filter(|to| to.user_id != by.user_id) {
                let (by, delta) = (by.call.clone(), taken(above(&to.user_id, "", "operator")));
                calls.spawn(async move { by.change_installation_grants(change_above(vec![delta])).await });
            }
        }
        while let Some(answer) = calls.join_next().await {
            if let Err(status) = answer.unwrap() {
                assert_eq!(crate::harness::reason(&status), "OPERATOR_REQUIRED", "{status:?}");
            }
        }
        let mut left = 0;
        for person in &people {
            let request = proto::ListCatalogsRequest::default();
            left += usize::from(person.call.list_catalogs(request).await.is_ok());
        }
        assert_eq!(left, 1, "who unmakes the last other is not unmade");
        operator.list_catalogs(proto::ListCatalogsRequest::default()).await.expect("the first one still is");
    }

    async fn a_role_at_a_product_counts_in_every_organization_of_its_catalog_and_in_no_other(app) {
        let tasks = app.found_under(TASKS).await;
        let other = app.found_by("eva@example.test").await;
        let root = app.somebody("root@example.test").await;
        let (operator, delta) = (app.operator(), || above(&root.user_id, TASKS, "root"));
        let mut stream = root.call.stream().await.unwrap();
        operator.change_installation_grants(change_above(vec![delta()])).await.unwrap();
        root.call.get_organization(get_organization(&tasks.id)).await.expect("seen");
        stream.subscribe(&tasks.id, vec![item(&root.user_id, "organization.update", None)]).await;
        assert!(stream.changes().await[&1]);

        let request = create_organization_under(TASKS, "Later", "lea@example.test");
        let later = operator.create_organization(request).await.unwrap().organization.unwrap().id;
        assert!(operator.allows(&later, &root.user_id, "organization.update", None).await, "founded later");
        let hidden = root.call.get_organization(get_organization(&other.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");

        operator.change_installation_grants(change_above(vec![taken(delta())])).await.unwrap();
        match stream.receive().await.unwrap() {
            Some(Told::Reset(reset)) => assert_eq!((reset.organization_id, &*reset.reason), (tasks.id, "NOT_FOUND")),
            other => panic!("the subscription goes on: {other:?}"),
        }
        assert!(!operator.allows(&later, &root.user_id, "organization.update", None).await);
    }

    async fn what_cannot_be_held_there_is_refused_and_named(app) {
        let person = app.somebody("ops@example.test").await;
        let before = app.traces().await;
        let deltas = vec![
            above(&person.user_id, "", "root"),
            above(&person.user_id, "nowhere", "root"),
            above(&person.user_id, TASKS, "nothing"),
            above(&person.user_id, TASKS, "admin"),
        ];
        let refused = app.operator().change_installation_grants(change_above(deltas)).await.unwrap_err();
        let named: Vec<(String, String)> = [
            ("deltas[0].role", "ROLE_UNKNOWN"),
            ("deltas[1].product", "CATALOG_UNKNOWN"),
            ("deltas[2].role", "ROLE_UNKNOWN"),
            ("deltas[3].role", "ROLE_NOT_ASSIGNABLE"),
        ]
        .map(|(field, reason)| (field.to_owned(), reason.to_owned()))
        .into();
        assert_eq!(violations(&refused), named);
        let nobody = change_above(vec![above(&person.membership_id, "", "operator")]);
        assert_refused(app.operator().change_installation_grants(nobody).await, Code::NotFound, "NOT_FOUND");
        let organization = app.found().await;
        let machine = app.backend_account(&organization).await.0;
        let of_another = proto::InstallationGrantDelta {
            subject: Some(Subject::ServiceAccountId(machine)),
            ..above("", "", "operator")
        };
        let answer = app.operator().change_installation_grants(change_above(vec![of_another])).await;
        assert_refused(answer, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await.rows["grants"], before.rows["grants"] + 3, "the owner's two and the machine's");
    }

    async fn an_account_that_is_no_more_holds_nothing_above_and_who_holds_something_keeps_theirs(app) {
        let organization = app.found().await;
        let (id, owner, operator) = (&organization.id, &organization.owner.call, app.operator());
        let kept = app.invite_and_join(id, owner, "kept@example.test", vec![]).await;
        let gone = app.invite_and_join(id, owner, "gone@example.test", vec![]).await;
        let delta = |user: &str| change_above(vec![above(user, "", "operator")]);
        operator.change_installation_grants(delta(&kept.user_id)).await.unwrap();
        assert!(owner.remove_member(remove(id, &gone.membership_id)).await.unwrap().user_deleted);
        assert_refused(operator.change_installation_grants(delta(&gone.user_id)).await, Code::NotFound, "NOT_FOUND");
        assert!(!operator.remove_member(remove(id, &kept.membership_id)).await.unwrap().user_deleted);
        kept.call.get_organization(get_organization(id)).await.expect("an operator still");
    }
}

/// Each server reads before its lock that both are operators: only what is asked under the lock keeps one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_operators_who_revoke_each_other_on_two_servers_one_stays() {
    let app = TestApp::start(Database::Postgres).await;
    let other = app.replica().await;
    let (ada, eve) = (app.somebody("ada@example.test").await, app.somebody("eve@example.test").await);
    let eve_elsewhere = other.with(eve.call.credential.as_deref().unwrap());
    for round in 0..10 {
        let both = [&ada, &eve].map(|person| above(&person.user_id, "", "operator")).to_vec();
        app.operator().change_installation_grants(change_above(both)).await.unwrap();
        eventually_finds("an operator on the other server", async || {
            eve_elsewhere.list_catalogs(proto::ListCatalogsRequest::default()).await.ok()
        })
        .await;

        let revoke = |person: &Person| change_above(vec![taken(above(&person.user_id, "", "operator"))]);
        let (by_ada, by_eve) = tokio::join!(
            ada.call.change_installation_grants(revoke(&eve)),
            eve_elsewhere.change_installation_grants(revoke(&ada)),
        );
        assert!(by_ada.is_ok() != by_eve.is_ok(), "round {round}: {by_ada:?}, {by_eve:?}");
        let refused = by_ada.err().or(by_eve.err()).unwrap();
        assert_eq!(crate::harness::reason(&refused), "OPERATOR_REQUIRED", "{refused:?}");
    }
}
