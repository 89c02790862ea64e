//! The binary: `serve`, `migrate` and `demo`. Each is a few lines; what they do lives in the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use guildhall::app::{App, AppError, store_settings};
use guildhall::clock::World;
use guildhall::config::Config;
use guildhall::demo;
use guildhall::store::Store;
use guildhall::telemetry::Telemetry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Identity, membership and authorization for the backends of multi-tenant products.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service until SIGTERM or Ctrl-C; a second one does not wait for calls under way.
    Serve(Config),
    /// Bring the database's schema up to date, and end.
    Migrate(Config),
    /// Walk the main job through a real server over real gRPC, and print each step with its latency.
    Demo(demo::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    // Before anything asks for TLS. Only a second call fails, and there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Arguments::parse().command {
        Command::Serve(config) => serve(&config).await,
        Command::Migrate(config) => migrate(&config).await,
        Command::Demo(options) => demonstrate(&options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guildhall: {}", in_full(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Tells an error with its causes, as far as it does not tell them itself.
fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !told.contains(&cause_text) {
            told.push_str(": ");
            told.push_str(&cause_text);
        }
        next = cause.source();
    }
    told
}

async fn serve(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::start(config.otlp_endpoint.as_deref())?;
    let app = App::start(config, World::system()).await?;
    greet(config, &app);

    stop_signal().await?;
    tracing::info!("stopping; a second signal does not wait for calls under way");
    tokio::select! {
        () = app.stop() => {}
        again = stop_signal() => again?,
    }
    // Blocks while the last spans are sent.
    tokio::task::spawn_blocking(|| telemetry.stop()).await?;
    Ok(())
}

async fn demonstrate(options: &demo::Options) -> Result<(), Box<dyn std::error::Error>> {
    Telemetry::start(None)?;
    demo::run(options).await
}

async fn migrate(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(&store_settings(config), World::system()).await.map_err(AppError::Open)?;
    store.close().await;
    println!("The schema is up to date.");
    Ok(())
}

/// Tells where the server listens; on the first start also the operator's key, this once, and what to type next.
fn greet(config: &Config, app: &App) {
    let (grpc, http) = (app.grpc_address, app.http_address);
    println!("guildhall listens on {grpc} (gRPC) and http://{http} (/healthz /readyz /metrics /.well-known/jwks.json)");
    let Some(key) = &app.operator_key else {
        println!("Try: grpcurl -plaintext {grpc} list");
        return;
    };
    println!(
        r#"
This is the first start of this installation. The operator's API key, shown this once:

    export GUILDHALL_KEY={key}

Paste that into another terminal, and then:

    grpcurl -plaintext {grpc} list
    grpcurl -plaintext -H "authorization: Bearer $GUILDHALL_KEY" \
        -d '{{"display_name": "Example", "catalog": "disaster-recovery", "founder_email": "ada@example.test"}}' \
        {grpc} guildhall.v1.OrganizationService/CreateOrganization
    grpcurl -plaintext -d "{{\"token\": \"$(grep -oh 'ghi_[A-Za-z0-9_-]*' {mail}/*.eml | tail -n 1)\", \"password\": \"Correct4Horse!\"}}" \
        {grpc} guildhall.v1.InvitationService/AcceptInvitation

The last line accepts the invitation that the one before sent: mails are files in {mail}.
"#,
        key = key.text(),
        mail = config.mail_dir().display(),
    );
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
