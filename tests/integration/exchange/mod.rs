//! A database is exchanged under a server that runs: for one that lacks the last commits, and in which others were made
//! since, so that its counter has overtaken what the server knows. No poll fails. What was given in the lost part is
//! not allowed, and credentials of the lost part are refused.
//!
//! `contents` exchanges what is in the tables; `clusters` exchanges PostgreSQL clusters behind an address, with
//! `cluster` and `proxy`; `withheld` follows a PostgreSQL that does not tell which one it is. The engine's own part is
//! in
//! `engine/exchange`.

mod cluster;
mod clusters;
mod contents;
mod proxy;
mod withheld;

use guildhall::proto;
use guildhall::proto::stream_checks_response::Frame as Told;
use tonic::{Code, Status};

use crate::harness::messages::{change, create_api_key, get_organization, grant, item, membership, register};
use crate::harness::{
    Caller, Checks, Organization, Person, TestApp, as_member, eventually_finds, project, reason, role,
};

/// An organization before anything is lost.
struct Scene {
    organization: Organization,
    /// Holds no role but the default, and is on no list.
    bob: Person,
    account: String,
    /// A key of the account, made before.
    backend: Caller,
}

/// What is made in the part that will be lost.
struct Lost {
    /// A key of the account, by which a stream is open.
    key: Caller,
    stream: Checks,
    /// An organization that is asked about.
    organization: String,
    /// An organization that is asked about in the tables alone, and a key of it.
    unseen: (String, Caller),
}

impl Scene {
    async fn new(app: &TestApp) -> Self {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
        let bob = app.invite_and_join(&organization.id, owner, "bob@example.test", vec![role("user")]).await;
        let (account, backend) = app.backend_account(&organization).await;
        let this = Self { organization, bob, account, backend };
        assert!(!this.allows(&this.backend).await.unwrap());
        this
    }

    /// Makes what will be lost, and sees that all of it counts.
    async fn lose(&self, app: &TestApp) -> Lost {
        let (owner, id) = (&self.organization.owner.call, &self.organization.id);
        let listed = grant(membership(&self.bob.membership_id), as_member(project("alpha")));
        owner.change_grants(change(id, vec![listed])).await.unwrap();
        let key = owner.create_api_key(create_api_key(id, &self.account)).await.unwrap();
        let key = app.with(&key.secret);
        assert!(self.allows(&key).await.unwrap());
        let mut stream = key.stream().await.unwrap();
        stream.subscribe(id, vec![self.asked()]).await;
        assert_eq!(stream.changes().await, [(1, true)].into());

        let organization = app.found_by("eve@example.test").await;
        assert!(
            organization.owner.call.allows(&organization.id, &organization.owner.user_id, "member.list", None).await
        );
        let unseen = app.found_by("mallory@example.test").await;
        let (_, machine) = app.backend_account(&unseen).await;
        assert!(is_known(&machine, &unseen.id).await);
        Lost { key, stream, organization: organization.id, unseen: (unseen.id, machine) }
    }

    fn asked(&self) -> proto::CheckItem {
        item(&self.bob.user_id, "project.view", Some(project("alpha")))
    }

    /// Returns whether Bob may, as far as memory knows.
    async fn allows(&self, by: &Caller) -> Result<bool, Status> {
        let request = proto::CheckRequest {
            organization_id: self.organization.id.clone(),
            item: Some(self.asked()),
            consistency: None,
        };
        Ok(by.check(request).await?.decision.expect("it is in the answer").allowed)
    }

    /// Asserts that nothing of the lost part counts, once the poller has noticed, and all that was before does.
    async fn must_have_lost(&self, app: &TestApp, mut lost: Lost) {
        eventually_finds("a denial", async || (!self.allows(&self.backend).await.unwrap()).then_some(())).await;
        assert!(app.app.services().engine.histories_replaced() > 0);

        // Remembered credentials were forgotten before that.
        let refused = self.allows(&lost.key).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIAL_INVALID"));
        let end = loop {
            match lost.stream.receive().await {
                Ok(Some(Told::Reset(_) | Told::Changes(_))) => {}
                Ok(other) => panic!("{other:?}"),
                Err(status) => break status,
            }
        };
        assert_eq!((end.code(), reason(&end).as_str()), (Code::Unauthenticated, "CREDENTIAL_INVALID"));
        let request =
            proto::CheckRequest { organization_id: lost.organization, item: Some(self.asked()), consistency: None };
        eventually_finds("that there is no such organization", async || {
            let answer = app.operator().check(request.clone()).await;
            answer.is_err_and(|status| status.code() == Code::NotFound).then_some(())
        })
        .await;

        app.app.services().look_for_keys().await.expect("a database");
        let (id, machine) = &lost.unseen;
        assert!(!is_known(machine, id).await);

        let id = &self.organization.id;
        for by in [&self.organization.owner.call, &self.backend, &app.operator()] {
            assert!(is_known(by, id).await, "what was there before");
        }
        // And life goes on.
        let listed = grant(membership(&self.bob.membership_id), as_member(project("alpha")));
        self.organization.owner.call.change_grants(change(id, vec![listed])).await.unwrap();
        assert!(self.allows(&self.backend).await.unwrap());
    }
}

/// Returns whether a credential is known, whatever its bearer may.
async fn is_known(call: &Caller, organization: &str) -> bool {
    match call.get_organization(get_organization(organization)).await {
        Err(status) if status.code() == Code::Unauthenticated => {
            assert_eq!(reason(&status), "CREDENTIAL_INVALID");
            false
        }
        _ => true,
    }
}
