//! Certificates for one run: an authority, and what it signs for both servers.

use std::path::{Path, PathBuf};

use clap::Args;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::{Identity, ServerTlsConfig};

use crate::Failure;

/// The files of a server's certificate, under the names that Guildhall takes them by.
#[derive(Clone, Debug, Args)]
pub struct Files {
    /// The certificate, in PEM.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// What both servers and their clients are given.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate, in PEM.
    pub authority: Vec<u8>,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Reads what a server is set up with, if it has a certificate.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn server(&self) -> Result<Option<ServerTlsConfig>, Failure> {
        let Some((certificate, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) else { return Ok(None) };
        let identity = Identity::from_pem(std::fs::read(certificate)?, std::fs::read(key)?);
        Ok(Some(ServerTlsConfig::new().identity(identity)))
    }
}

impl Certificates {
    /// Makes an authority that nobody else trusts, and a certificate for loopback.
    ///
    /// # Errors
    /// If they cannot be made, or written into `directory`, which nobody else may read.
    pub fn make(directory: &Path) -> Result<Self, Failure> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem().into_bytes();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate()?;
        let signed = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
        let made =
            Self { authority, certificate: directory.join("certificate.pem"), key: directory.join("certificate.key") };
        std::fs::write(&made.certificate, signed.pem())?;
        std::fs::write(&made.key, key.serialize_pem())?;
        Ok(made)
    }

    /// Writes the files as arguments of a server.
    pub fn arguments(&self) -> [String; 2] {
        [format!("--tls-cert={}", self.certificate.display()), format!("--tls-key={}", self.key.display())]
    }
}
