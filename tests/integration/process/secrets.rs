//! What must never be logged is not, however much is logged.

use guildhall::proto;

use super::program::Site;
use crate::harness::messages::{
    accept, change, create_api_key, create_service_account, get_organization, get_resource, grant, invite, look_up,
    register, service_account, sign_in,
};
use crate::harness::{PASSWORD, Person, project, role};
use crate::on_both;

const WRONG_PASSWORD: &str = "Wrong4Horse!";
const NAME: &str = "Augusta Ada King";
const SOURCE: &str = "203.0.113.77";

/// The signature of an access token; what stands before it is the same in many.
fn signature(person: &Person) -> String {
    person.call.credential.as_ref().unwrap().rsplit('.').next().unwrap().to_owned()
}

on_both! {
    async fn no_secret_name_or_address_is_ever_logged(database: Database) {
        let site = Site::new(database).await;
        let server = site.serve_logging("trace").await;
        let key = server.operator_key.clone().unwrap();
        let organization = server.found(&key, "ada@example.test").await;
        let (owner, id) = (&organization.owner, organization.id.as_str());
        let other = server.found(&key, "eve@example.test").await;
        let mut secrets = vec![key, server.token_mailed_to("ada@example.test").await, signature(owner)];

        // Two organizations make the same account at the same time: one of the two runs into the other.
        for number in 0..4 {
            let email = format!("twin-{number}@example.test");
            let mut tokens = Vec::new();
            for (in_organization, by) in [(id, owner), (&other.id, &other.owner)] {
                let offer = invite(in_organization, &email, vec![]);
                let offer = proto::CreateInvitationRequest { display_name: NAME.into(), ..offer };
                by.call.create_invitation(offer).await.unwrap();
                let mails = crate::harness::eventually("the mail", || {
                    let mails = crate::harness::mails_in(&site.config.mail_dir(), &email);
                    (mails.len() > tokens.len()).then_some(mails)
                });
                tokens.push(crate::harness::token_in(mails.await.last().unwrap()));
            }
            let anyone = server.anyone();
            let (one, two) = tokio::join!(
                anyone.accept_invitation(accept(&tokens[0], PASSWORD)),
                anyone.accept_invitation(accept(&tokens[1], PASSWORD)),
            );
            assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
            let _ = anyone.look_up_invitation(look_up(&tokens[0])).await;
            secrets.extend(tokens);
        }

        // What goes well, and what does not.
        let account = owner.call.create_service_account(create_service_account(id, NAME)).await.unwrap();
        let account = account.service_account.unwrap().id;
        owner.call.change_grants(change(id, vec![grant(service_account(&account), role("backend"))])).await.unwrap();
        let api_key = owner.call.create_api_key(create_api_key(id, &account)).await.unwrap().secret;
        server.with(&api_key).get_organization(get_organization(id)).await.unwrap();
        server.with(&format!("{api_key}x")).get_organization(get_organization(id)).await.unwrap_err();
        let forged = format!("{}x", owner.call.credential.as_ref().unwrap());
        server.with(&forged).get_organization(get_organization(id)).await.unwrap_err();
        server.anyone().sign_in(sign_in("ada@example.test", WRONG_PASSWORD)).await.unwrap_err();
        server.anyone().sign_in(sign_in("not an address@example.test", PASSWORD)).await.unwrap_err();
        owner.call.create_invitation(invite(id, "twin-0@example.test", vec![])).await.unwrap_err();
        owner.call.create_invitation(invite(id, "Bcc: x\r\n@example.test", vec![])).await.unwrap_err();
        owner.call.register_resource(register(id, project("alpha"))).await.unwrap();
        owner.call.get_resource(get_resource(id, project("beta"))).await.unwrap_err();
        let again = server.sign_in("ADA@example.test", "").await;
        let request = sign_in("ada@example.test", PASSWORD);
        let Some(proto::sign_in_response::Outcome::SignedIn(on_device)) =
            server.anyone().sign_in(request.clone()).await.unwrap().outcome
        else {
            panic!("the sign-in asks for more")
        };
        let known = proto::SignInRequest { device_token: on_device.device_token.clone(), ..request };
        server.with(&server.operator_key.clone().unwrap()).from(SOURCE).sign_in(known).await.unwrap();
        secrets.extend([api_key, signature(&again), on_device.device_token, SOURCE.to_owned()]);

        let ended = server.stop().await;
        let log = ended.errors;
        assert!(log.contains("a call was refused") && log.contains("TRACE"), "this much is logged: {}", log.len());
        let known = [PASSWORD, WRONG_PASSWORD, NAME, "example.test", "ada@", "ADA@", "twin-"].map(str::to_owned);
        for secret in secrets.iter().chain(&known) {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{secret} is logged");
        }
    }
}
