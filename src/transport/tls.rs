//! TLS on the listener: PEM files in, what accepts connections out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
pub use tokio_rustls::TlsAcceptor;

/// What HTTP/2 is called where a client says which protocols it speaks.
const HTTP_2: &[u8] = b"h2";

/// Why the listener has no TLS. Nothing of a key is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// The files do not hold what they should, or do not belong together.
    #[error("the certificate, the key or the client CA cannot be used: {0}")]
    Unusable(String),
}

/// Reads a certificate chain, its key, and the CA that signs the certificates of clients; with the last, clients without
/// such a certificate are refused.
///
/// # Errors
/// - [`TlsError::File`], [`TlsError::Unusable`].
pub fn tls(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<TlsAcceptor, TlsError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let builder = match client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(&read(path)?)? {
                roots.add(authority).map_err(unusable)?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(unusable)?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
        None => ServerConfig::builder().with_no_client_auth(),
    };
    let chain = certificates(&read(certificate)?)?;
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| unusable("the key is no private key in PEM"))?;
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    if found.is_empty() { Err(unusable("no certificate in PEM")) } else { Ok(found) }
}

fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}
