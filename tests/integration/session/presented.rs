//! What a caller presents is written out nowhere, whatever is done with the use case that carries it.

use guildhall::auth::Presented;
use guildhall::service::{AcceptInvitation, ExplainItem, ExplainSubject, SignIn};

const SECRET: &str = "Correct4Horses!";

#[test]
fn no_use_case_shows_a_secret_that_a_caller_presents() {
    let secret = || Presented::from(SECRET.to_owned());
    let sign_in = SignIn { email: "ada@example.test".into(), password: secret(), device_token: secret(), source: None };
    let accept = AcceptInvitation { token: secret(), password: secret(), display_name: "Ada".into() };
    let explain =
        ExplainItem { whom: ExplainSubject::Bearer(secret()), permission: "project.view".into(), target: None };
    for text in [format!("{sign_in:?}"), format!("{accept:?}"), format!("{explain:?}")] {
        assert!(text.contains("Presented(…)") && !text.contains("Horses"), "{text}");
    }
}
