//! The listener: TLS and who is let in by it, starts that are refused, and how long a connection lasts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use guildhall::app::{App, AppError};
use guildhall::clock::Env;
use guildhall::config::Config;
use guildhall::proto::session_service_client::SessionServiceClient;
use guildhall::rpc::Rpc;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use crate::harness::messages::{get_organization, sign_in};
use crate::harness::{Database, ManualClock, PATIENCE, TestApp, raw, reason};

/// A CA, and what it has signed.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate for a name; gives it with its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// The files of a server.
struct Files {
    directory: Arc<TempDir>,
    config: Config,
}

impl Files {
    async fn new(authority: &Authority) -> Self {
        let directory = Arc::new(TempDir::new().unwrap());
        let mut files = Self { config: Database::Sqlite.config(directory.path()).await, directory };
        let (certificate, key) = authority.sign("localhost");
        files.config.tls_cert = Some(files.write("server.pem", &certificate));
        files.config.tls_key = Some(files.write("server.key", &key));
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn start(&self) -> Result<App, AppError> {
        App::start(&self.config, Env::system()).await
    }
}

/// Makes one call; whoever gets through is refused by the service, for a password that is wrong.
async fn call(app: &App, tls: Option<ClientTlsConfig>) -> Result<Status, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://localhost:{}", app.grpc_address.port())).unwrap();
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).unwrap();
    }
    let channel: Channel = endpoint.connect().await?;
    let request = sign_in("ada@example.test", "Wrong4Horse!");
    Ok(SessionServiceClient::new(channel).sign_in(request).await.unwrap_err())
}

/// Returns whether a call got through to the service.
fn is_through(answer: &Result<Status, tonic::transport::Error>) -> bool {
    answer.as_ref().is_ok_and(|status| status.code() == Code::Unauthenticated && reason(status) == "SIGN_IN_REFUSED")
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_there_is_no_plaintext() {
    let authority = Authority::new();
    let files = Files::new(&authority).await;
    let app = files.start().await.unwrap();

    assert!(is_through(&call(&app, Some(trusting(&authority))).await));
    assert!(!is_through(&call(&app, None).await), "plaintext");
    assert!(!is_through(&call(&app, Some(trusting(&Authority::new()))).await), "who trusts another CA");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_shake_hands_is_let_go() {
    let authority = Authority::new();
    let mut files = Files::new(&authority).await;
    files.config.listener.handshake_timeout = Duration::from_secs(1);
    let app = files.start().await.unwrap();
    // Nothing, and the beginning of a greeting.
    for said in [&b""[..], b"\x16\x03\x01\x02\0\x01"] {
        let mut stream = TcpStream::connect(app.grpc_address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        drop(ended.expect("an end in time"));
    }
    assert!(is_through(&call(&app, Some(trusting(&authority))).await));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_mutual_tls_a_client_needs_a_certificate_of_the_ca() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let mut files = Files::new(&authority).await;
    files.config.tls_client_ca = Some(files.write("clients.pem", &clients.pem()));
    let app = files.start().await.unwrap();
    let with =
        |(certificate, key): (String, String)| trusting(&authority).identity(Identity::from_pem(certificate, key));

    assert!(is_through(&call(&app, Some(with(clients.sign("backend")))).await));
    assert!(!is_through(&call(&app, Some(trusting(&authority))).await), "no certificate");
    assert!(!is_through(&call(&app, Some(with(others.sign("backend")))).await), "another CA's");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_said_at_the_start_and_nothing_of_a_key_is_told() {
    let authority = Authority::new();
    let mut files = Files::new(&authority).await;
    let (_, another) = authority.sign("localhost");
    let secret = another.lines().nth(1).unwrap().to_owned();
    for (what, key) in [
        ("another's key", files.write("other.key", &another)),
        ("no PEM", files.write("not.key", &secret)),
        ("no file", files.directory.path().join("absent.key")),
    ] {
        files.config.tls_key = Some(key);
        let refused = files.start().await.expect_err(what);
        assert!(matches!(refused, AppError::Tls(_)), "{what}: {refused:?}");
        let told = format!("{refused} {refused:?}");
        assert!(told.starts_with("TLS: ") && !told.contains(&secret), "{what}: {told}");
    }
    assert!(!files.directory.path().join("guildhall.sqlite").exists(), "nothing was begun");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_loopback_tls_stands_in_for_the_word_that_plaintext_is_meant() {
    let authority = Authority::new();
    let mut files = Files::new(&authority).await;
    files.config.listen = "0.0.0.0:0".parse().unwrap();
    let app = files.start().await.unwrap();
    assert!(is_through(&call(&app, Some(trusting(&authority))).await));
    app.stop().await;

    (files.config.tls_cert, files.config.tls_key) = (None, None);
    assert!(matches!(files.start().await, Err(AppError::Plaintext(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_is_let_go_once_its_calls_are_answered() {
    let directory = Arc::new(TempDir::new().unwrap());
    let mut config = Database::Sqlite.config(directory.path()).await;
    config.connection_age = Duration::from_secs(2);
    let app = TestApp::start_with(config, directory, ManualClock::new()).await.unwrap();
    let message = get_organization(&app.found().await.id);
    let bearer = format!("Bearer {}", app.operator_key());
    let headers: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];

    let under_way = raw::begin(app.app.grpc_address, Rpc::GetOrganization.path(), &headers).await;
    // Opened later, and on the same terms.
    raw::closed(app.app.grpc_address).await;
    assert_eq!(under_way.finish(raw::framed(&message.encode_to_vec())).await.code(), Code::Ok);
    app.operator().get_organization(message).await.expect("a client that opens another connection");
}
