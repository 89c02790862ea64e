//! The binary: `serve`, `migrate` and `demo`. Each is a few lines; what they do lives in the library.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use guildhall::app::{self, App, Parts, store_settings};
use guildhall::auth::install_jwt_crypto;
use guildhall::clock::Env;
use guildhall::config::{self, Config};
use guildhall::service::HandOver;
use guildhall::store::Location;
use guildhall::telemetry::Telemetry;
use guildhall::{console, demo};
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// How long the first start waits for its operator's key to be taken. Less than the database lets a transaction idle,
/// and than other replicas wait for it ([`DATABASE_PATIENCE`](guildhall::config::DATABASE_PATIENCE)).
const PRINTING: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    // Before anything asks for TLS or signs a token. Only a second call fails, and there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    install_jwt_crypto();
    let outcome = match arguments().command {
        Command::Serve(config) => serve(&config).await,
        Command::Migrate(config) => migrate(&config).await,
        Command::Demo(options) => demonstrate(&options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be written there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "guildhall: {}", in_full(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line. Neither a mistake nor the help shows what anything is set to: it may be a secret.
fn arguments() -> Arguments {
    let hide = |command: clap::Command| command.mut_args(|argument| argument.hide_env_values(true));
    let mut command = Arguments::command().mut_subcommands(hide);
    let read = command.try_get_matches_from_mut(std::env::args_os());
    let read = read.and_then(|read| Arguments::from_arg_matches(&read).map_err(|error| error.format(&mut command)));
    read.unwrap_or_else(|error| config::without_values(error).exit())
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
    outlive_hangups()?;
    config::must_be_known(std::env::vars_os().map(|(name, _)| name))?;
    let telemetry = Telemetry::start(config.otlp_endpoint.as_deref())?;
    let database = store_settings(config).location()?;
    // Asked for before the start, so that whoever sees the server ready can have it stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let hand_over = print_key(database.clone());
    let parts = Parts { hand_over, ..Parts::of(config, Env::system()) };
    let app = tokio::select! {
        app = App::start_of(config, parts) => app?,
        _ = terminate.recv() => {
            tracing::info!("stopped before it had started");
            return Ok(());
        }
    };
    if let Err(error) = console::print(&greeting(config, &app, &database)) {
        tracing::warn!(%error, grpc = %app.grpc_address, http = %app.http_address, "where this listens cannot be printed");
    }

    stop_signal(&mut terminate).await?;
    tracing::info!("stopping; a second signal does not wait for calls under way");
    tokio::select! {
        () = app.stop() => {}
        again = stop_signal(&mut terminate) => again?,
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
    config::must_be_known(std::env::vars_os().map(|(name, _)| name))?;
    let database = store_settings(config).location()?;
    app::migrate(config).await?;
    Ok(console::print(&format!("This is {database}.\nThe schema is up to date.\n"))?)
}

/// Prints the operator's key on the first start. What is printed counts once the installation is made.
fn print_key(database: Location) -> HandOver {
    Box::new(move |key| {
        let text = format!(
            "This is the first start. It makes a new installation, in {database}.\n\
             The operator's API key, shown this once:\n\
             \n    export GUILDHALL_KEY={}\n\n\
             It counts once the line below says that guildhall listens.\n",
            key.text(),
        );
        Box::pin(console::print_surely(text, PRINTING))
    })
}

/// Returns where the server listens, and what to type next.
fn greeting(config: &Config, app: &App, database: &Location) -> String {
    let (grpc, http) = (app.grpc_address, app.http_address);
    let listens = format!(
        "guildhall listens on {grpc} (gRPC) and http://{http} (/healthz /readyz /metrics /.well-known/jwks.json)\n\
         It uses {database}.\n"
    );
    if app.operator_key.is_none() {
        return format!("{listens}Try: grpcurl -plaintext {grpc} list\n");
    }
    format!(
        r#"{listens}
Paste the line with the key into another terminal, and then:

    grpcurl -plaintext {grpc} list
    grpcurl -plaintext -H "authorization: Bearer $GUILDHALL_KEY" \
        -d '{{"display_name": "Example", "catalog": "disaster-recovery", "founder_email": "ada@example.test"}}' \
        {grpc} guildhall.v1.OrganizationService/CreateOrganization
    grpcurl -plaintext -d "{{\"token\": \"$(grep -oh 'ghi_[A-Za-z0-9_-]*' {mail}/*.eml | tail -n 1)\", \"password\": \"Correct4Horse!\"}}" \
        {grpc} guildhall.v1.InvitationService/AcceptInvitation

The last line accepts the invitation that the one before sent: mails are files in {mail}.
"#,
        mail = config.mail_dir().display(),
    )
}

/// Has the signals pass that end a process by default and are no wish that it end: a terminal that is closed, a log
/// that is rotated. Once they are asked for they do nothing more.
fn outlive_hangups() -> std::io::Result<()> {
    for kind in [SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::user_defined2()] {
        let _heeded_by_nobody = signal(kind)?;
    }
    Ok(())
}

async fn stop_signal(terminate: &mut Signal) -> std::io::Result<()> {
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
