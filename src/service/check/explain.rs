//! Why they may, or may not: answered from the tables, at one revision.

use std::collections::HashSet;
use std::sync::Arc;

use tracing::Instrument;

use crate::auth::Presented;
use crate::authz::ItemFault;
use crate::domain::access::{Actor, Explanation, Missing, Standing, explain, is_visible};
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::revision::Token;
use crate::domain::time::Timestamp;
use crate::service::{Authorize, Call, Caller, Context, Query, Read, Services};

/// Explains a check. About oneself everyone may ask, about others access.check is needed; a token that stands for nobody is
/// about nobody.
///
/// # Errors
/// - [`Reason::NotFound`] for an organization that the caller does not see, [`Reason::PermissionMissing`].
#[derive(Clone, Debug)]
pub struct ExplainCheck {
    /// What is asked, or what of it is missing or malformed.
    pub item: Result<ExplainItem, ItemFault>,
}

/// One question.
#[derive(Clone, Debug)]
pub struct ExplainItem {
    /// About whom.
    pub whom: ExplainSubject,
    /// What, by name.
    pub permission: Arc<str>,
    /// On what; the organization itself if nothing.
    pub target: Option<ResourceKey>,
}

/// Whom a question is about.
#[derive(Clone, Debug)]
pub enum ExplainSubject {
    /// A user or a service account.
    Subject(Subject),
    /// The bearer of this access token.
    Bearer(Presented),
}

/// What the caller is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The answer and its grounds.
    pub verdict: Verdict,
    /// The resources that the explanation names and the caller does not see; they are not to be told.
    pub hidden: HashSet<ResourceKey>,
    /// When it was decided.
    pub now: Timestamp,
}

/// The answer to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The item lacks this, or it is malformed.
    Malformed(ItemFault),
    /// The access token stands for nobody.
    Token(TokenTrouble),
    /// The rule decided.
    Judged {
        explanation: Explanation,
        /// From when on the token that was asked about is refused.
        token_expires_at: Option<Timestamp>,
    },
}

/// Why an access token stands for nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenTrouble {
    /// It is none of this installation.
    Invalid,
    /// It has expired.
    Expired,
    /// Its session was ended.
    SessionEnded,
}

/// A question, with what became of the token that it is about.
struct Explaining {
    request: ExplainCheck,
    bearer: Option<Result<Caller, TokenTrouble>>,
}

impl Services {
    /// Explains a check, at one revision.
    ///
    /// # Errors
    /// As [`ExplainCheck`].
    pub async fn explain_check(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: ExplainCheck,
    ) -> Result<Read<Explained>, Error> {
        context.subject()?;
        let bearer = match request.item.as_ref().ok().map(|item| &item.whom) {
            Some(ExplainSubject::Bearer(token)) => Some(self.bearer_of(token.text())?),
            Some(ExplainSubject::Subject(_)) | None => None,
        };
        let (services, context) = (Arc::clone(self), context.clone());
        let explaining = async move {
            let snapshot = services.store.snapshot(organization).await?;
            let token = Token {
                epoch: services.engine.epoch(),
                organization,
                position: snapshot.organization,
                installation: snapshot.installation,
            };
            let (reads, now) = (snapshot.reads().of(organization), services.env.now());
            let explained = Explaining { request, bearer }.answer(&Call { context: &context, reads, now }).await;
            snapshot.end().await?;
            Ok::<_, Error>(Read { value: explained?, token })
        };
        // The task, not the caller, owns the transaction: it must not be dropped while it is being read.
        self.writes.spawn(explaining.in_current_span()).await.map_err(Error::internal)?
    }

    /// Verifies an access token, and asks nothing of whom it is about: that is to be explained.
    fn bearer_of(&self, token: &str) -> Result<Result<Caller, TokenTrouble>, Error> {
        match self.tokens.verify(token) {
            Ok(claims) => Ok(Ok(Caller {
                subject: Subject::User(claims.user),
                session: Some(claims.session),
                key: None,
                expires_at: Some(claims.expires_at),
            })),
            Err(error) if error.reason == Reason::TokenExpired => Ok(Err(TokenTrouble::Expired)),
            Err(error) if error.reason == Reason::CredentialInvalid => Ok(Err(TokenTrouble::Invalid)),
            Err(error) => Err(error),
        }
    }
}

impl ExplainCheck {
    fn target(&self) -> Option<&ResourceKey> {
        self.item.as_ref().ok().and_then(|item| item.target.as_ref())
    }
}

impl Explaining {
    /// Runs it as every query is, in a snapshot instead of on the pool.
    async fn answer(&self, call: &Call<'_>) -> Result<Explained, Error> {
        let viewer = self.authorize(call).await?;
        self.read(call, viewer).await
    }
}

impl Authorize for Explaining {
    /// Whether it is about others is known only when the token's session is.
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.visitor(self.request.target().map_or(&[], std::slice::from_ref)).await
    }
}

impl Query for Explaining {
    type Output = Explained;

    async fn read(&self, call: &Call<'_>, viewer: Actor) -> Result<Explained, Error> {
        let (target, now) = (self.request.target(), call.now);
        let settled = |verdict| Ok(Explained { verdict, hidden: HashSet::new(), now });
        let item = match &self.request.item {
            Ok(item) => item,
            Err(fault) => return settled(Verdict::Malformed(*fault)),
        };
        let mut token_expires_at = None;
        let subject = match (&item.whom, self.bearer) {
            (ExplainSubject::Subject(subject), _) => *subject,
            (ExplainSubject::Bearer(_), Some(Ok(bearer))) => {
                if let Some(session) = bearer.session
                    && call.reads.above().session_is_ended(session).await?
                {
                    return settled(Verdict::Token(TokenTrouble::SessionEnded));
                }
                token_expires_at = bearer.expires_at;
                bearer.subject
            }
            (ExplainSubject::Bearer(_), Some(Err(trouble))) => return settled(Verdict::Token(trouble)),
            (ExplainSubject::Bearer(_), None) => return Err(Error::internal("a token that nobody verified")),
        };

        let is_oneself = subject == viewer.subject;
        if !is_oneself {
            viewer.must_hold(PermissionId::ACCESS_CHECK, None)?;
        }
        let asked = if is_oneself {
            viewer.clone()
        } else {
            call.reads.anybody(subject, target.map_or(&[], std::slice::from_ref), now).await?
        };
        let explanation = match explain(&asked.at(target), &item.permission, target, now) {
            Explanation::Denied(missing) => {
                let may_check = viewer.holds(PermissionId::ACCESS_CHECK, None);
                let may_know_of_target = may_check || would_see(&viewer, target);
                let about = (subject, &asked.standing);
                Explanation::Denied(known(missing, about, is_oneself, may_know_of_target))
            }
            allowed @ Explanation::Allowed(_) => allowed,
        };
        let hidden = hidden_above(&viewer, target);
        Ok(Explained { verdict: Verdict::Judged { explanation, token_expires_at }, hidden, now })
    }
}

/// Leaves out what is not the caller's to know of others: of who is not in the organization, everything but that; and
/// whether a resource is registered that the caller would not see if it were.
fn known(
    missing: Vec<Missing>,
    about: (Subject, &Standing),
    is_oneself: bool,
    may_know_of_target: bool,
) -> Vec<Missing> {
    // What the catalog does not declare, or lets nobody ask, is the same for everyone.
    let is_about_names = matches!(
        missing[..],
        [Missing::PermissionUnknown | Missing::ResourceTypeUnknown | Missing::PermissionNotAskedHere]
    );
    let (subject, standing) = about;
    let is_outside = match standing {
        Standing::Stranger => true,
        Standing::Person { membership, .. } => membership.is_none(),
        Standing::Machine { is_at_home, .. } => !is_at_home,
    };
    if is_outside && !is_oneself && !is_about_names {
        return match subject {
            Subject::User(_) => vec![Missing::NotAMember],
            Subject::ServiceAccount(_) => vec![Missing::SubjectUnknown],
        };
    }
    let is_known = |piece: &Missing| may_know_of_target || *piece != Missing::ResourceNotRegistered;
    missing.into_iter().filter(is_known).collect()
}

/// Returns whether the caller would see a resource of this type wherever it stood, with no part in it.
fn would_see(viewer: &Actor, target: Option<&ResourceKey>) -> bool {
    let kind = target.and_then(|target| viewer.catalog.resource_type(&target.kind));
    kind.is_some_and(|(_, kind)| viewer.holds(kind.visible_by, None))
}

/// Returns what stands above the target and the caller does not see. The target itself the caller has named.
fn hidden_above(viewer: &Actor, target: Option<&ResourceKey>) -> HashSet<ResourceKey> {
    let facts = viewer.at(target);
    (1..facts.chain.len())
        .filter(|levels| !is_visible(&facts.above(*levels), viewer.now))
        .map(|from| facts.chain[from].key.clone())
        .collect()
}
