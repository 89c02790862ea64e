//! Why something is allowed or not, as people are told: through the wire, on both databases.

use std::time::Duration;

use guildhall::domain::time::Timestamp;
use guildhall::proto::explained_grant::Held;
use guildhall::proto::{
    self, AllowedBy, CheckItem, DecisionReason, ExplainCheckResponse, Explanation, HeldThrough, MissingKind,
    PlaceLevel, Reach, principal, subject,
};
use sea_orm::{ConnectionTrait, Database, Statement};
use tonic::Code;

use crate::harness::messages::{as_member, change, check, disable, explain, grant, item, membership, register};
use crate::harness::{Caller, Organization, Person, TestApp, assert_refused, project, role};
use crate::on_both;

/// Asks, and gives the decision with its grounds.
async fn asked(by: &Caller, organization: &Organization, item: CheckItem) -> (proto::Decision, Explanation) {
    let answer: ExplainCheckResponse = by.explain_check(explain(&organization.id, item)).await.expect("an explanation");
    let (decision, explanation) = (answer.decision.expect("a decision"), answer.explanation.expect("grounds"));
    assert_eq!(decision.allowed, explanation.allowed_by.is_some(), "{explanation:?}");
    assert!(!explanation.summary.is_empty());
    (decision, explanation)
}

/// Asks about something that is allowed.
async fn allowed(by: &Caller, organization: &Organization, item: CheckItem) -> AllowedBy {
    let (decision, explanation) = asked(by, organization, item).await;
    explanation.allowed_by.unwrap_or_else(|| panic!("{decision:?} for want of {:?}", explanation.missing))
}

/// Asks about something that is not allowed; gives what is missing.
async fn missing(by: &Caller, organization: &Organization, item: CheckItem) -> Vec<MissingKind> {
    let (decision, explanation) = asked(by, organization, item).await;
    assert!(!decision.allowed, "{explanation:?}");
    assert!(explanation.missing.iter().all(|piece| explanation.summary.contains(&piece.message)));
    explanation.missing.iter().map(proto::MissingPiece::kind).collect()
}

/// A question about the bearer of a token.
fn of_bearer(token: &str, permission: &str, resource: Option<proto::ResourceRef>) -> CheckItem {
    let kind = Some(subject::Kind::AccessToken(token.to_owned()));
    CheckItem { subject: Some(proto::Subject { kind }), ..item("", permission, resource) }
}

fn token_of(person: &Person) -> &str {
    person.call.credential.as_ref().unwrap()
}

/// Changes a row behind the server's back: what no RPC does yet.
pub async fn execute(app: &TestApp, sql: &str) {
    let connection = Database::connect(app.config.database_url()).await.expect("the server's database");
    connection.execute_unprepared(sql).await.expect("a statement");
    connection.close().await.expect("a connection that closes");
}

/// Finds the account of the installation's operator, whose id is told nowhere.
async fn operator_account(app: &TestApp) -> String {
    let connection = Database::connect(app.config.database_url()).await.expect("the server's database");
    let sql = "select id from service_accounts where organization_id is null";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.expect("an answer").expect("an account");
    connection.close().await.expect("a connection that closes");
    row.try_get::<uuid::Uuid>("", "id").expect("an id").to_string()
}

/// A project with another below it, and a user who is on the list of the upper one.
async fn listed_user(app: &TestApp, organization: &Organization) -> Person {
    let owner = &organization.owner.call;
    owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
    let below = register(&organization.id, project("beta"));
    let below = proto::RegisterResourceRequest { parent: Some(project("alpha")), ..below };
    owner.register_resource(below).await.unwrap();
    let user = app.invite_and_join(&organization.id, owner, "ash@example.test", vec![role("user")]).await;
    let entry = grant(membership(&user.membership_id), as_member(project("alpha")));
    owner.change_grants(change(&organization.id, vec![entry])).await.unwrap();
    user
}

/// In whole seconds, as far from now.
fn from_now(app: &TestApp, duration: Duration) -> prost_types::Timestamp {
    let at: Timestamp = app.app.services().env.now().plus(duration);
    prost_types::Timestamp { seconds: at.as_micros() / 1_000_000, nanos: 0 }
}

on_both! {
    async fn an_allow_names_its_grant_and_the_revision_counts(app) {
        let organization = app.found().await;
        let owner = &organization.owner;
        let message = explain(&organization.id, item(&owner.user_id, "member.invite", None));
        let answer = owner.call.explain_check(message).await.unwrap();

        let explanation = answer.explanation.unwrap();
        let AllowedBy { grant, reach, listed_by, owned } = explanation.allowed_by.unwrap();
        let grant = grant.unwrap();
        assert_eq!((reach, listed_by, owned), (Reach::Any.into(), None, None));
        assert_eq!(grant.through(), HeldThrough::Itself);
        let kind = Some(principal::Kind::MembershipId(owner.membership_id.clone()));
        assert_eq!(grant.principal, Some(proto::Principal { kind }));
        assert_eq!(grant.place.as_ref().unwrap().level(), PlaceLevel::Organization);
        let Some(Held::Role(name)) = &grant.held else { panic!("{grant:?}") };
        assert_eq!(explanation.summary, format!("the role {name} at the organization reaches everything there"));

        let at_least = proto::consistency::Requirement::AtLeast(answer.revision);
        let consistency = Some(proto::Consistency { requirement: Some(at_least) });
        let message = check(&organization.id, item(&owner.user_id, "member.invite", None));
        let checked = owner.call.check(proto::CheckRequest { consistency, ..message }).await.unwrap();
        assert_eq!(checked.decision, answer.decision);
    }

    async fn a_list_entry_above_is_named_to_who_sees_it_and_hidden_from_who_does_not(app) {
        let organization = app.found().await;
        let user = listed_user(&app, &organization).await;
        let backend = app.backend(&organization).await;
        let below = || item(&user.user_id, "project.view", Some(project("beta")));

        for (who, by) in [("the owner", &organization.owner.call), ("the user", &user.call)] {
            let by = allowed(by, &organization, below()).await;
            let listed_by = by.listed_by.clone().unwrap();
            assert_eq!((by.reach(), listed_by.held), (Reach::Shared, Some(Held::AsMember(proto::AsMember {}))), "{who}");
            let place = listed_by.place.unwrap();
            assert_eq!((place.resource, place.hidden), (Some(project("alpha")), false), "{who}");
        }
        // It has access.check, and sees no project.
        let (_, explanation) = asked(&backend, &organization, below()).await;
        let listed_by = explanation.allowed_by.unwrap().listed_by.unwrap();
        assert!(!listed_by.id.is_empty());
        let place = listed_by.place.unwrap();
        assert_eq!((place.level(), place.resource, place.hidden), (PlaceLevel::Resource, None, true));
        assert!(!explanation.summary.contains("alpha"), "{}", explanation.summary);
        // What it names itself is no secret to it.
        let above = item(&user.user_id, "project.view", Some(project("alpha")));
        let place = allowed(&backend, &organization, above).await.listed_by.unwrap().place.unwrap();
        assert_eq!((place.resource, place.hidden), (Some(project("alpha")), false));
    }

    async fn what_is_missing_can_be_mended_one_by_one(app) {
        use MissingKind::{GrantExpired, MembershipNotActive, NoRole, NotOnList};
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
        let user = app.invite_and_join(&organization.id, owner, "uma@example.test", vec![role("user")]).await;
        let view = || item(&user.user_id, "project.view", Some(project("alpha")));
        let change_list = async |entry| {
            let deltas = vec![grant(membership(&user.membership_id), entry)];
            owner.change_grants(change(&organization.id, deltas)).await.unwrap();
        };

        let (decision, explanation) = asked(&user.call, &organization, view()).await;
        assert_eq!(decision.reason(), DecisionReason::NotGranted);
        let [piece] = &explanation.missing[..] else { panic!("{explanation:?}") };
        assert_eq!(piece.kind(), NotOnList);
        assert_eq!(piece.grant.as_ref().unwrap().held, Some(Held::Role("user".into())));

        let entry = as_member(project("alpha"));
        let expire_time = Some(from_now(&app, Duration::from_mins(1)));
        change_list(proto::Assignment { expire_time, ..entry.clone() }).await;
        let (decision, explanation) = asked(&user.call, &organization, view()).await;
        assert!(decision.allowed && decision.valid_for_ms.unwrap() <= 60_000, "{decision:?}");
        assert_eq!(explanation.allowed_by.unwrap().listed_by.unwrap().expire_time, expire_time);

        app.clock.advance(Duration::from_mins(1));
        assert_eq!(missing(&user.call, &organization, view()).await, [NotOnList, GrantExpired]);
        change_list(entry).await;
        allowed(&user.call, &organization, view()).await;

        owner.disable_member(disable(&organization.id, &user.membership_id)).await.unwrap();
        assert_eq!(missing(owner, &organization, view()).await, [MembershipNotActive]);
        let update = item(&user.user_id, "project.update", Some(project("alpha")));
        let (_, explanation) = asked(owner, &organization, update).await;
        let kinds: Vec<_> = explanation.missing.iter().map(proto::MissingPiece::kind).collect();
        assert_eq!(kinds, [MembershipNotActive, NoRole]);
        assert_eq!(explanation.missing[1].roles, ["admin", "owner"]);
    }

    async fn a_disabled_user_is_told_of_at_once_from_the_tables(app) {
        let organization = app.found().await;
        let user = listed_user(&app, &organization).await;
        let view = || item(&user.user_id, "project.view", Some(project("alpha")));
        allowed(&organization.owner.call, &organization, view()).await;

        execute(&app, &format!("update users set state = 'disabled' where id = {}", id_in(&app, &user.user_id))).await;
        let found = missing(&organization.owner.call, &organization, view()).await;
        assert_eq!(found, [MissingKind::UserDisabled]);
        // The token of a user who was shut out stands for them, and they may not.
        let found = missing(
            &organization.owner.call,
            &organization,
            of_bearer(token_of(&user), "project.view", Some(project("alpha"))),
        );
        assert_eq!(found.await, [MissingKind::UserDisabled]);
    }

    async fn of_those_outside_no_more_is_told_than_that(app) {
        let organization = app.found().await;
        let backend = app.backend(&organization).await;
        let elsewhere = app.found_as("Elsewhere", "eve@example.test").await;
        let (machine, _) = app.backend_account(&elsewhere).await;
        let nobody = uuid::Uuid::nil().to_string();

        let of_machine = |id: &str, permission: &str| {
            let kind = Some(subject::Kind::ServiceAccountId(id.to_owned()));
            CheckItem { subject: Some(proto::Subject { kind }), ..item("", permission, None) }
        };
        // Of these, a user could hold one by other roles than a machine.
        for permission in ["project.view", "access.check", "project.fly"] {
            let of_nobody = asked(&backend, &organization, item(&nobody, permission, None)).await;
            let of_eve = asked(&backend, &organization, item(&elsewhere.owner.user_id, permission, None)).await;
            assert_eq!(of_eve, of_nobody, "{permission}");
            let of_none = asked(&backend, &organization, of_machine(&nobody, permission)).await;
            let of_foreign = asked(&backend, &organization, of_machine(&machine, permission)).await;
            assert_eq!(of_foreign, of_none, "{permission}");
        }
        let project_view = |user: &str| item(user, "project.view", None);
        assert_eq!(missing(&backend, &organization, project_view(&nobody)).await, [MissingKind::NotAMember]);
        assert_eq!(
            missing(&backend, &organization, of_machine(&nobody, "project.view")).await,
            [MissingKind::SubjectUnknown]
        );
        // The operator's account is above every organization, and may not do what is the product's own.
        let operator = operator_account(&app).await;
        assert_eq!(
            asked(&backend, &organization, of_machine(&operator, "project.operate")).await,
            asked(&backend, &organization, of_machine(&nobody, "project.operate")).await
        );

        let eve = id_in(&app, &elsewhere.owner.user_id);
        execute(&app, &format!("update users set state = 'disabled' where id = {eve}")).await;
        assert_eq!(
            asked(&backend, &organization, project_view(&elsewhere.owner.user_id)).await,
            asked(&backend, &organization, project_view(&nobody)).await
        );
    }

    async fn whether_a_resource_is_registered_is_told_to_who_may_know(app) {
        use MissingKind::{NotOnList, ResourceNotRegistered};
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
        let user = app.invite_and_join(&organization.id, owner, "uma@example.test", vec![role("user")]).await;
        let backend = app.backend(&organization).await;
        let at = |id: &str| item(&user.user_id, "project.view", Some(project(id)));

        for by in [owner, &backend] {
            assert_eq!(missing(by, &organization, at("alpha")).await, [NotOnList]);
            assert_eq!(missing(by, &organization, at("nowhere")).await, [NotOnList, ResourceNotRegistered]);
        }
        let hidden = asked(&user.call, &organization, at("alpha")).await;
        assert_eq!(hidden, asked(&user.call, &organization, at("nowhere")).await);
    }

    async fn an_access_token_stands_for_its_bearer_as_long_as_it_stands(app) {
        let organization = app.found().await;
        let user = listed_user(&app, &organization).await;
        let backend = app.backend(&organization).await;
        let reason = async |token: &str| {
            let (decision, explanation) = asked(&backend, &organization, of_bearer(token, "project.view", None)).await;
            assert_eq!(explanation.missing, [], "{explanation:?}");
            decision.reason()
        };

        let view = of_bearer(token_of(&user), "project.view", Some(project("alpha")));
        let (decision, _) = asked(&backend, &organization, view.clone()).await;
        // The grant does not lapse; the token does.
        assert!(decision.allowed && decision.valid_for_ms.is_some_and(|ms| ms <= 600_000), "{decision:?}");
        allowed(&user.call, &organization, view.clone()).await;

        for bad in ["x", "a.b.c", backend.credential.as_ref().unwrap(), &format!("{}x", token_of(&user))] {
            assert_eq!(reason(bad).await, DecisionReason::TokenInvalid);
        }
        assert_eq!(reason(&"x".repeat(4_097)).await, DecisionReason::ItemMalformed);
        execute(&app, &format!("update sessions set ended_at = 1 where user_id = {}", id_in(&app, &user.user_id))).await;
        assert_eq!(reason(token_of(&user)).await, DecisionReason::SessionEnded);
        app.clock.advance(Duration::from_mins(10));
        assert_eq!(reason(token_of(&user)).await, DecisionReason::TokenExpired);
    }

    async fn names_and_items_that_make_no_sense_are_answered_by_themselves(app) {
        let organization = app.found().await;
        let owner = &organization.owner;
        let user = owner.user_id.as_str();
        let planet = proto::ResourceRef { r#type: "planet".into(), id: "mars".into() };
        let answered = async |item| asked(&owner.call, &organization, item).await;

        let (decision, explanation) = answered(item(user, "project.fly", None)).await;
        assert_eq!(decision.reason(), DecisionReason::PermissionUnknown);
        assert_eq!(explanation.missing[0].kind(), MissingKind::PermissionUnknown);
        let (decision, explanation) = answered(item(user, "project.view", Some(planet))).await;
        assert_eq!(decision.reason(), DecisionReason::ResourceTypeUnknown);
        assert_eq!(explanation.missing[0].kind(), MissingKind::ResourceTypeUnknown);
        for bad in [item("no-uuid", "project.view", None), item(user, "", None), CheckItem::default()] {
            assert_eq!(answered(bad).await.0.reason(), DecisionReason::ItemMalformed);
        }
        let nothing = proto::ExplainCheckRequest { organization_id: organization.id.clone(), item: None };
        assert_refused(owner.call.explain_check(nothing).await, Code::InvalidArgument, "FIELD_REQUIRED");
    }

    async fn about_others_it_takes_the_right_to_check(app) {
        let organization = app.found().await;
        let user = listed_user(&app, &organization).await;
        let (machine, _) = app.backend_account(&organization).await;
        let kind = Some(subject::Kind::ServiceAccountId(machine));
        let of_machine = CheckItem { subject: Some(proto::Subject { kind }), ..item("", "access.check", None) };
        for other in [
            item(&organization.owner.user_id, "project.view", None),
            of_bearer(token_of(&organization.owner), "project.view", None),
            of_machine,
        ] {
            let refused = user.call.explain_check(explain(&organization.id, other)).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
    }
}

/// Writes an id as the database takes it in a statement.
pub fn id_in(app: &TestApp, id: &str) -> String {
    if app.config.database_url().starts_with("sqlite") {
        format!("x'{}'", id.replace('-', ""))
    } else {
        format!("'{id}'")
    }
}
