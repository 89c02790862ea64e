//! The one error type. It knows no transport; `transport::status` turns it into a gRPC status.
//!
//! What the caller may read (`message`, violations, subject) and what the log keeps (`source`) are apart.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The class of an error; each has one gRPC status code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// The request cannot be right, whatever the state.
    InvalidArgument,
    /// The caller did not prove who they are.
    Unauthenticated,
    /// The caller sees the thing and may not do this to it.
    PermissionDenied,
    /// It does not exist, or not for this caller.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The state forbids it.
    FailedPrecondition,
    /// Something changed in between; reading anew and trying again can help.
    Aborted,
    /// A limit is reached.
    ResourceExhausted,
    /// Waiting and trying again helps.
    Unavailable,
    /// The caller's deadline has passed.
    DeadlineExceeded,
    /// A bug.
    Internal,
}

/// Declares [`Reason`]: variant, wire name and class, one line each.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $kind:ident;)+) => {
        /// Why, for machines. The names are those of `guildhall.v1.ErrorReason`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            /// All reasons, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name that stands in `ErrorInfo.reason`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the class the reason belongs to.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }
        }
    };
}

reasons! {
    /// Several fields are wrong, each violation with its own reason; or the message as a whole cannot be read.
    RequestInvalid = "REQUEST_INVALID" => InvalidArgument;
    /// A field that must be set is not.
    FieldRequired = "FIELD_REQUIRED" => InvalidArgument;
    /// A text is longer than its field allows, or holds control characters.
    TextMalformed = "TEXT_MALFORMED" => InvalidArgument;
    /// A number, duration or list is outside its documented range.
    OutOfRange = "OUT_OF_RANGE" => InvalidArgument;
    /// Not a hyphenated UUID.
    IdMalformed = "ID_MALFORMED" => InvalidArgument;
    /// A resource type is empty, too long or has control characters.
    ResourceTypeMalformed = "RESOURCE_TYPE_MALFORMED" => InvalidArgument;
    /// A resource id is empty, too long or has control characters.
    ResourceIdMalformed = "RESOURCE_ID_MALFORMED" => InvalidArgument;
    /// The catalog declares no such resource type.
    ResourceTypeUnknown = "RESOURCE_TYPE_UNKNOWN" => InvalidArgument;
    /// The catalog declares no such permission.
    PermissionUnknown = "PERMISSION_UNKNOWN" => InvalidArgument;
    /// The catalog declares no such role.
    RoleUnknown = "ROLE_UNKNOWN" => InvalidArgument;
    /// The role cannot be held at such a place, by such a principal, or with an expiry.
    RoleNotAssignable = "ROLE_NOT_ASSIGNABLE" => InvalidArgument;
    /// There is no such catalog, or no such version of it.
    CatalogUnknown = "CATALOG_UNKNOWN" => InvalidArgument;
    /// A catalog cannot be read; each violation names line, column and field.
    CatalogInvalid = "CATALOG_INVALID" => InvalidArgument;
    /// The type of the resource does not list the role under `shares`.
    RoleNotShareable = "ROLE_NOT_SHAREABLE" => InvalidArgument;
    /// Only memberships and service accounts own something.
    OwnerUnfit = "OWNER_UNFIT" => InvalidArgument;
    /// The organization's policy does not open this kind of invitation (X2).
    InvitationKindUnavailable = "INVITATION_KIND_UNAVAILABLE" => InvalidArgument;
    /// Not an e-mail address, or one with a character that only stands for another.
    EmailMalformed = "EMAIL_MALFORMED" => InvalidArgument;
    /// Shorter than the policy asks.
    PasswordTooShort = "PASSWORD_TOO_SHORT" => InvalidArgument;
    /// Longer than 256 bytes.
    PasswordTooLong = "PASSWORD_TOO_LONG" => InvalidArgument;
    /// Lacks a class of characters that the policy asks for (CE-13).
    PasswordTooSimple = "PASSWORD_TOO_SIMPLE" => InvalidArgument;
    /// The page token was not made by this installation, or is older than 24 hours.
    PageTokenInvalid = "PAGE_TOKEN_INVALID" => InvalidArgument;
    /// The page token belongs to another query.
    PageTokenMismatch = "PAGE_TOKEN_MISMATCH" => InvalidArgument;
    /// An update mask names a field that cannot be written.
    UpdateMaskInvalid = "UPDATE_MASK_INVALID" => InvalidArgument;
    /// A selection for an act on many selects by nothing: a query without a letter or digit, or neither query nor
    /// filter.
    QueryEmpty = "QUERY_EMPTY" => InvalidArgument;
    /// A filter cannot be read, or names what cannot be filtered by.
    FilterInvalid = "FILTER_INVALID" => InvalidArgument;
    /// An order names what cannot be ordered by.
    OrderInvalid = "ORDER_INVALID" => InvalidArgument;
    /// Metadata is too large, nested too deep, or holds what cannot be kept as it is.
    MetadataMalformed = "METADATA_MALFORMED" => InvalidArgument;
    /// The revision token cannot be read, or belongs to another organization.
    RevisionInvalid = "REVISION_INVALID" => InvalidArgument;
    /// This `request_id` was used for another request.
    RequestIdReused = "REQUEST_ID_REUSED" => InvalidArgument;
    /// The `grpc-timeout` header cannot be read.
    HeaderMalformed = "HEADER_MALFORMED" => InvalidArgument;

    /// No credential was sent.
    CredentialMissing = "CREDENTIAL_MISSING" => Unauthenticated;
    /// The credential cannot be read, or nobody made it.
    CredentialInvalid = "CREDENTIAL_INVALID" => Unauthenticated;
    /// The access token or API key has expired.
    TokenExpired = "TOKEN_EXPIRED" => Unauthenticated;
    /// The session was ended.
    SessionEnded = "SESSION_ENDED" => Unauthenticated;
    /// The API key was revoked.
    KeyRevoked = "KEY_REVOKED" => Unauthenticated;
    /// The service account that the API key belongs to is disabled.
    ServiceAccountDisabled = "SERVICE_ACCOUNT_DISABLED" => Unauthenticated;
    /// The user is disabled.
    UserDisabled = "USER_DISABLED" => Unauthenticated;
    /// Address and password do not fit, or no password is set; which one is not told.
    SignInRefused = "SIGN_IN_REFUSED" => Unauthenticated;
    /// The invitation's address has an account already: sign in, and accept with that token (CM-22).
    SignInRequired = "SIGN_IN_REQUIRED" => Unauthenticated;

    /// The caller lacks the permission that the RPC names.
    PermissionMissing = "PERMISSION_MISSING" => PermissionDenied;
    /// The caller is no operator.
    OperatorRequired = "OPERATOR_REQUIRED" => PermissionDenied;
    /// The caller may not give this role there.
    RoleNotGrantable = "ROLE_NOT_GRANTABLE" => PermissionDenied;
    /// The caller may not take this role away there.
    RoleNotTakeable = "ROLE_NOT_TAKEABLE" => PermissionDenied;
    /// The caller may not choose the id of such a resource.
    ResourceIdReserved = "RESOURCE_ID_RESERVED" => PermissionDenied;
    /// The caller may change the noun, and not this field of it.
    FieldReserved = "FIELD_RESERVED" => PermissionDenied;
    /// The invitation was sent to an address that the caller has not proven.
    EmailMismatch = "EMAIL_MISMATCH" => PermissionDenied;

    /// It does not exist, or the caller may not see that it does.
    NotFound = "NOT_FOUND" => NotFound;

    /// The address is a member already.
    MemberExists = "MEMBER_EXISTS" => AlreadyExists;
    /// The address has an open invitation already.
    InvitationPending = "INVITATION_PENDING" => AlreadyExists;
    /// Another of its kind has this name.
    NameTaken = "NAME_TAKEN" => AlreadyExists;
    /// The resource is registered already, elsewhere in the tree.
    ResourceExists = "RESOURCE_EXISTS" => AlreadyExists;

    /// A role would have more or fewer holders than it allows (X6).
    RoleCardinality = "ROLE_CARDINALITY" => FailedPrecondition;
    /// The role changes hands by a transfer only (CE-19).
    RoleTransferOnly = "ROLE_TRANSFER_ONLY" => FailedPrecondition;
    /// The role needs another role beside it, or the catalog asks for one of a set and none would be held.
    RoleRequired = "ROLE_REQUIRED" => FailedPrecondition;
    /// Nobody does this to themselves.
    SelfRemoval = "SELF_REMOVAL" => FailedPrecondition;
    /// Whoever holds this role does not leave (AX-32).
    LeavingBarred = "LEAVING_BARRED" => FailedPrecondition;
    /// It is not decided what becomes of what the member owns (X9).
    AssetsUndecided = "ASSETS_UNDECIDED" => FailedPrecondition;
    /// Something below what is to be deleted is owned by others.
    AssetsOfOthers = "ASSETS_OF_OTHERS" => FailedPrecondition;
    /// The membership is not in a state that allows this.
    MemberState = "MEMBER_STATE" => FailedPrecondition;
    /// The person's identity is their own: the organization does not edit it.
    IdentityNotManaged = "IDENTITY_NOT_MANAGED" => FailedPrecondition;
    /// The service account is disabled.
    ServiceAccountState = "SERVICE_ACCOUNT_STATE" => FailedPrecondition;
    /// The service account is bound to a resource: it has no keys, and ends with it.
    ServiceAccountBound = "SERVICE_ACCOUNT_BOUND" => FailedPrecondition;
    /// The service account owns something still.
    ServiceAccountOwns = "SERVICE_ACCOUNT_OWNS" => FailedPrecondition;
    /// The API key was revoked or has expired.
    ApiKeyState = "API_KEY_STATE" => FailedPrecondition;
    /// The organization is not ACTIVE.
    OrganizationState = "ORGANIZATION_STATE" => FailedPrecondition;
    /// The invitation has lapsed (CE-10).
    InvitationExpired = "INVITATION_EXPIRED" => FailedPrecondition;
    /// The invitation was withdrawn.
    InvitationRevoked = "INVITATION_REVOKED" => FailedPrecondition;
    /// The invitation was used (CE-10).
    InvitationAccepted = "INVITATION_ACCEPTED" => FailedPrecondition;
    /// Who invited may no longer give what the invitation brings.
    InvitationUnsponsored = "INVITATION_UNSPONSORED" => FailedPrecondition;
    /// The person was removed from the organization after the link was made.
    MemberRemoved = "MEMBER_REMOVED" => FailedPrecondition;
    /// The address wants no mails about the resource.
    ContactUnsubscribed = "CONTACT_UNSUBSCRIBED" => FailedPrecondition;
    /// The resource would stand below itself.
    TreeCycle = "TREE_CYCLE" => FailedPrecondition;
    /// The resource would stand more than 8 deep.
    TreeTooDeep = "TREE_TOO_DEEP" => FailedPrecondition;
    /// The catalog does not let a resource of the type stand under one of that type, or under the organization.
    ParentTypeNotAllowed = "PARENT_TYPE_NOT_ALLOWED" => FailedPrecondition;
    /// The organization holds what another catalog has no place for.
    CatalogIncompatible = "CATALOG_INCOMPATIBLE" => FailedPrecondition;
    /// The role is held or offered, and nobody said what is to be held instead.
    RoleInUse = "ROLE_IN_USE" => FailedPrecondition;
    /// The organization's catalog leaves this part of Guildhall out.
    FeatureOff = "FEATURE_OFF" => FailedPrecondition;
    /// One call would change more than a commit holds.
    ChangeTooLarge = "CHANGE_TOO_LARGE" => FailedPrecondition;
    /// The token names a revision of a history that is no more.
    RevisionVanished = "REVISION_VANISHED" => FailedPrecondition;

    /// It has changed since the etag was told.
    EtagMismatch = "ETAG_MISMATCH" => Aborted;
    /// Another call changed the same thing at the same time.
    ConcurrentUpdate = "CONCURRENT_UPDATE" => Aborted;

    /// As many sit as may (AX-25).
    SeatsExhausted = "SEATS_EXHAUSTED" => ResourceExhausted;
    /// A group has as many members, or holds as many grants, as it may.
    GroupFull = "GROUP_FULL" => ResourceExhausted;
    /// A resource has as many contacts as it may.
    ContactsExhausted = "CONTACTS_EXHAUSTED" => ResourceExhausted;
    /// Too many refused tries, too many mails, or too many calls or streams of one credential at once.
    RateLimited = "RATE_LIMITED" => ResourceExhausted;
    /// A frame holds more checks than a stream takes at once.
    FrameTooLarge = "FRAME_TOO_LARGE" => ResourceExhausted;
    /// A stream holds as many subscriptions as it may.
    SubscriptionsExhausted = "SUBSCRIPTIONS_EXHAUSTED" => ResourceExhausted;
    /// Subscriptions keep as much in memory as they may, four fifths of the budget.
    IndexFull = "INDEX_FULL" => ResourceExhausted;

    /// The database does not answer.
    DatabaseUnavailable = "DATABASE_UNAVAILABLE" => Unavailable;
    /// The database did not answer whether it committed.
    CommitUnknown = "COMMIT_UNKNOWN" => Unavailable;
    /// The index is not provably fresh enough to allow.
    IndexStale = "INDEX_STALE" => Unavailable;
    /// The organization is being loaded, and too many calls wait for loads.
    IndexLoading = "INDEX_LOADING" => Unavailable;
    /// Too many passwords wait to be hashed.
    PasswordsBusy = "PASSWORDS_BUSY" => Unavailable;
    /// Too many writes wait for this organization.
    OrganizationBusy = "ORGANIZATION_BUSY" => Unavailable;
    /// The server is shutting down, or the stream has grown old: open another.
    Draining = "DRAINING" => Unavailable;

    /// The deadline passed before the answer was there.
    DeadlineExceeded = "DEADLINE_EXCEEDED" => DeadlineExceeded;

    /// A bug; the log knows more under the call's id.
    Internal = "INTERNAL" => Internal;
}

/// One field that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Path of the field in the request, as in `deltas[3].role`.
    pub field: String,
    pub reason: Reason,
    /// For people, lower case, no full stop.
    pub message: String,
}

/// What a caller is told and what the log keeps of one failure.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people: no secret, no database text, nothing the caller may not see.
    pub message: String,
    /// All fields that are wrong, for [`Kind::InvalidArgument`].
    pub violations: Vec<Violation>,
    /// What the error is about: its kind and its name as the caller gave it.
    pub subject: Option<(&'static str, String)>,
    /// What else machines may read of it: `ErrorInfo.metadata`.
    pub metadata: BTreeMap<&'static str, String>,
    /// When trying again can help.
    pub retry_after: Option<Duration>,
    /// What happened below; for the log alone.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.message)
    }
}

impl Error {
    /// Makes an error of a reason and a sentence for people.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            violations: Vec::new(),
            subject: None,
            metadata: BTreeMap::new(),
            retry_after: None,
            source: None,
        }
    }

    /// Makes the error of one wrong field.
    pub fn invalid(field: impl Into<String>, reason: Reason, message: impl Into<String>) -> Self {
        let mut violations = Violations::default();
        violations.add(field, reason, message);
        violations.into_error()
    }

    /// Makes the one answer for what does not exist and for what the caller may not see.
    pub fn not_found(kind: &'static str, name: impl fmt::Display) -> Self {
        let mut error = Self::new(Reason::NotFound, format!("no such {kind}"));
        error.subject = Some((kind, name.to_string()));
        error
    }

    /// Makes an internal error: the caller gets a fixed text, the log gets `source`.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Reason::Internal, "internal error").with_source(source)
    }

    /// Keeps what happened below for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns when trying again can help.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Names what the error is about.
    #[must_use]
    pub fn about(mut self, kind: &'static str, name: impl fmt::Display) -> Self {
        self.subject = Some((kind, name.to_string()));
        self
    }

    /// Adds to what machines may read, unless the key is there already: who is nearer to the cause knows better.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.metadata.entry(key).or_insert_with(|| value.to_string());
        self
    }

    /// Returns the error without what machines may read of it, for a caller who may not know where it comes from.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        self.metadata.clear();
        self
    }

    /// Puts `prefix` before the path of every violation, as in `deltas[3].` before `role`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        for violation in &mut self.violations {
            violation.field.insert_str(0, prefix);
        }
        self
    }

    /// Returns what happened below, from the top down, for the log. What is told is told in words that were made to be
    /// read: the debugging form of a database error would quote the row, and with it an address.
    #[must_use]
    pub fn cause(&self) -> String {
        let mut causes = Vec::new();
        let mut next = self.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes.dedup();
        causes.join(": ")
    }

    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.reason.kind()
    }
}

/// Most violations that the message of an error spells out.
const MESSAGES_MAX: usize = 5;

/// Gathers what is wrong with a request, so that the caller learns all of it at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes a wrong field.
    pub fn add(&mut self, field: impl Into<String>, reason: Reason, message: impl Into<String>) {
        self.0.push(Violation { field: field.into(), reason, message: message.into() });
    }

    /// Returns the value, or notes the violations of its error and gives nothing.
    ///
    /// # Errors
    /// Passes on an error that is not about wrong fields.
    pub fn take<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == Kind::InvalidArgument && !error.violations.is_empty() => {
                self.0.extend(error.violations);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the gathering.
    ///
    /// # Errors
    /// One error with every violation; its reason is theirs if they agree, else [`Reason::RequestInvalid`].
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    pub(super) fn into_error(self) -> Error {
        let mut reasons = self.0.iter().map(|violation| violation.reason);
        let first = reasons.next().unwrap_or(Reason::RequestInvalid);
        let reason = if reasons.all(|reason| reason == first) { first } else { Reason::RequestInvalid };
        // What goes over the wire stands in headers, which are small.
        let told = self.0.iter().take(MESSAGES_MAX);
        let mut message: Vec<String> = told.map(|it| format!("{} {}", it.field, it.message)).collect();
        if self.0.len() > MESSAGES_MAX {
            message.push(format!("and {} more", self.0.len() - MESSAGES_MAX));
        }
        let mut error = Error::new(reason, message.join("; "));
        error.violations = self.0;
        error
    }
}
