//! What is asked.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::proto;

/// Longest text of a question, in bytes: that of an access token, the longest that the contract knows.
const TEXT_MAX: usize = 4_096;

/// May this subject do this there?
///
/// Texts are shared: cloning a question allocates nothing, and an `Arc<str>` may be handed in as it is.
///
/// ```
/// use guildhall_client::{Question, Subject};
///
/// let organization = "018f4e9a-7b3c-7def-8a12-0123456789ab";
/// let question = Question::new(organization, Subject::user("018f4e9a-7b3c-7def-8a12-0123456789ac"), "project.view")
///     .on("project", "alpha");
/// assert_eq!(question.permission(), "project.view");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Question {
    organization: Arc<str>,
    subject: Subject,
    permission: Arc<str>,
    resource: Option<(Arc<str>, Arc<str>)>,
}

/// Who is asked about.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A person, by id.
    User(Arc<str>),
    /// A machine, by id.
    ServiceAccount(Arc<str>),
    /// The bearer of an end user's access token. One question covers its signature, its expiry, that its session is
    /// still alive, and the permission. A secret: [`Debug`] does not show it.
    AccessToken(Arc<str>),
}

impl Subject {
    /// A person, by id.
    #[must_use]
    pub fn user(id: impl Into<Arc<str>>) -> Self {
        Self::User(id.into())
    }

    /// A machine, by id.
    #[must_use]
    pub fn service_account(id: impl Into<Arc<str>>) -> Self {
        Self::ServiceAccount(id.into())
    }

    /// The bearer of an end user's access token.
    #[must_use]
    pub fn access_token(token: impl Into<Arc<str>>) -> Self {
        Self::AccessToken(token.into())
    }

    fn text(&self) -> &str {
        match self {
            Self::User(text) | Self::ServiceAccount(text) | Self::AccessToken(text) => text,
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => f.debug_tuple("User").field(id).finish(),
            Self::ServiceAccount(id) => f.debug_tuple("ServiceAccount").field(id).finish(),
            Self::AccessToken(_) => f.write_str("AccessToken(..)"),
        }
    }
}

impl Question {
    /// Asks whether `subject` has `permission` at `organization` itself.
    #[must_use]
    pub fn new(organization: impl Into<Arc<str>>, subject: Subject, permission: impl Into<Arc<str>>) -> Self {
        Self { organization: organization.into(), subject, permission: permission.into(), resource: None }
    }

    /// Asks about a resource instead: its type as the catalog declares it, and the id that the product chose.
    #[must_use]
    pub fn on(mut self, resource_type: impl Into<Arc<str>>, resource_id: impl Into<Arc<str>>) -> Self {
        self.resource = Some((resource_type.into(), resource_id.into()));
        self
    }

    /// Returns the id of the organization.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// Returns who is asked about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the permission.
    pub fn permission(&self) -> &str {
        &self.permission
    }

    /// Returns type and id of the resource; `None` is the organization itself.
    pub fn resource(&self) -> Option<(&str, &str)> {
        self.resource.as_ref().map(|(kind, id)| (&**kind, &**id))
    }

    pub(crate) fn shared_organization(&self) -> Arc<str> {
        Arc::clone(&self.organization)
    }

    /// Ensures that the question may stand in a frame beside others. What else may be wrong with it is answered by
    /// itself; an organization that is no id, or a text without bound, would end the stream that all questions share.
    pub(crate) fn must_fit_a_frame(&self) -> Result<(), Error> {
        if !is_uuid(&self.organization) {
            return Err(Error::QuestionMalformed("the organization is not a hyphenated UUID"));
        }
        let resource = self.resource.iter().flat_map(|(kind, id)| [&**kind, &**id]);
        if resource.chain([self.subject.text(), &*self.permission]).any(|text| text.len() > TEXT_MAX) {
            return Err(Error::QuestionMalformed("a text is longer than 4096 bytes"));
        }
        Ok(())
    }

    /// Returns the question as it goes over the wire.
    pub(crate) fn item(&self) -> proto::CheckItem {
        use proto::subject::Kind;
        let kind = match &self.subject {
            Subject::User(id) => Kind::UserId(id.to_string()),
            Subject::ServiceAccount(id) => Kind::ServiceAccountId(id.to_string()),
            Subject::AccessToken(token) => Kind::AccessToken(token.to_string()),
        };
        proto::CheckItem {
            subject: Some(proto::Subject { kind: Some(kind) }),
            permission: self.permission.to_string(),
            resource: self
                .resource
                .as_ref()
                .map(|(kind, id)| proto::ResourceRef { r#type: kind.to_string(), id: id.to_string() }),
        }
    }
}

/// Returns whether `text` is the 36 characters of a hyphenated UUID.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORGANIZATION: &str = "018f4e9a-7b3c-7def-8a12-0123456789ab";

    #[test]
    fn what_would_end_the_stream_is_refused_here() {
        let subject = Subject::user("u");
        assert!(Question::new(ORGANIZATION, subject.clone(), "a.b").must_fit_a_frame().is_ok());
        for organization in ["", "018f4e9a7b3c7def8a120123456789ab", "018f4e9a-7b3c-7def-8a12-0123456789aé"] {
            assert!(Question::new(organization, subject.clone(), "a.b").must_fit_a_frame().is_err(), "{organization}");
        }
        let long = "x".repeat(TEXT_MAX + 1);
        assert!(Question::new(ORGANIZATION, subject, "a.b").on("t", long).must_fit_a_frame().is_err());
    }

    #[test]
    fn a_token_is_not_shown() {
        let question = Question::new(ORGANIZATION, Subject::access_token("very-secret"), "a.b");
        assert!(!format!("{question:?}").contains("very-secret"));
    }
}
