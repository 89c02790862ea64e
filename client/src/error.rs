//! Why there is no answer.

use tonic::Status;

/// Why there is no answer. None of these is an "allow": whoever cannot wait denies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call was refused or not answered. The status is the server's, or tells that it was not reached.
    #[error("the check was not answered")]
    Call(#[source] Box<Status>),
    /// The question cannot be held; says why.
    #[error("the question is malformed: {0}")]
    QuestionMalformed(&'static str),
    /// As many questions are held as the client was built for.
    #[error("no more questions can be held, the bound of {0} is reached")]
    HeldExhausted(usize),
    /// The endpoint, the TLS settings or the connection.
    #[error("the server cannot be connected to")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The credential has characters that no header may have.
    #[error("the credential cannot be sent in a header")]
    CredentialMalformed,
    /// The client was built outside of a Tokio runtime.
    #[error("the client needs a Tokio runtime")]
    NoRuntime,
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}
