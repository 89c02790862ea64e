//! TLS on the listener: PEM files in, what tonic takes out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// How long a client may take to shake hands.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why the listener has no TLS. Nothing of a key is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The files do not hold what they should, or do not belong together.
    #[error("the certificate, the key or the client CA cannot be used: {0}")]
    Unusable(String),
}

/// Reads a certificate chain, its key, and the CA that signs the certificates of clients; with the last, clients without
/// such a certificate are refused.
///
/// # Errors
/// - [`TlsError::File`]. What is in the files is looked at when the listener is made.
pub fn tls(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<ServerTlsConfig, TlsError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let identity = Identity::from_pem(read(certificate)?, read(key)?);
    let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_MAX);
    Ok(match client_ca {
        Some(path) => config.client_ca_root(Certificate::from_pem(read(path)?)),
        None => config,
    })
}
