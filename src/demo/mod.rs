//! The main job, walked through a real server over real gRPC: what a new user runs first.
//!
//! A client like any other: it knows the server by its address alone, and the mails by their directory.

mod client;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use self::client::{Client, Session, User, list_entry, project, role};
use self::report::Report;
use crate::app::App;
use crate::auth::InstallationKey;
use crate::clock::Env;
use crate::config::Config;
use crate::private;

/// What a failed step says.
pub type Failure = Box<dyn std::error::Error>;

/// The password that everybody in the demo chooses.
const PASSWORD: &str = "Correct4Horse!";

/// Settings of the demo.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Keep the data here. Without it: with SQLite a directory that goes with the demo, with PostgreSQL `data`.
    #[arg(long)]
    data_dir: Option<PathBuf>,

    /// `postgres://user@host/database`, an empty one. Without it: SQLite, whatever the environment says.
    #[arg(long)]
    database_url: Option<SecretString>,

    /// The operator's API key, for a database that has an installation already.
    #[arg(long)]
    operator_key: Option<SecretString>,
}

/// Starts a server, walks the main job through it, and stops it.
///
/// # Errors
/// The first step that did not do what it promises.
pub async fn run(options: &Options) -> Result<(), Failure> {
    let env = Env::system();
    let scratch = std::env::temp_dir().join(format!("guildhall-demo-{}", env.id::<Uuid>()));
    // What seals a database that stays must stay too.
    let kept = options.data_dir.clone().or_else(|| options.database_url.as_ref().map(|_| PathBuf::from("data")));
    let data_dir = kept.clone().unwrap_or_else(|| scratch.clone());
    let mut config = Config::local(data_dir.clone());
    config.database_url.clone_from(&options.database_url);
    let key_file = data_dir.join("installation.key");
    private::make_directory(&data_dir)?;
    InstallationKey::load_or_create(&key_file, &env)?;
    config.installation_key_file = Some(key_file);

    let mut report = Report::new(env.clone());
    let app = App::start(&config, env.clone()).await?;
    let database = if options.database_url.is_some() { "PostgreSQL" } else { "SQLite" };
    report.step(&format!("a server on {database} listens on {}", app.grpc_address));
    if let Some(key) = app.operator_key.as_ref().filter(|_| kept.is_some()) {
        report.found(&format!("the operator's API key, shown this once: {}", key.text()));
    }
    let operator_key = app.operator_key_text();
    let walked = match operator_key.or_else(|| options.operator_key.as_ref().map(ExposeSecret::expose_secret)) {
        Some(key) => walk(&mut report, &config, &app, key).await,
        None => Err("this database has an installation already: pass its --operator-key".into()),
    };

    app.stop().await;
    if kept.is_none() {
        std::fs::remove_dir_all(&scratch)?;
    }
    walked
}

async fn walk(report: &mut Report, config: &Config, app: &App, operator_key: &str) -> Result<(), Failure> {
    let client = Client::connect(app.grpc_address, config.mail_dir(), Env::system()).await?;
    // A name of its own on every run, so that a database can be walked twice.
    let run = &Env::system().id::<Uuid>().simple().to_string()[20..];
    let (owner_email, guest_email) = (format!("ada-{run}@example.test"), format!("bob-{run}@example.test"));

    let operator = client.with(operator_key);
    let organization = operator.create_organization("Example", "disaster-recovery", &owner_email).await?;
    report.step(&format!("the operator makes an organization and names its owner, {owner_email}"));
    let owner = join(report, &client, &owner_email, "the owner").await?;

    for name in ["alpha", "beta"] {
        owner.call.register(&organization, &project(name)).await?;
        report.step(&format!("the owner registers project {name}"));
    }
    let assignments = vec![role("user"), list_entry(&project("alpha"))];
    owner.call.invite(&organization, &guest_email, assignments).await?;
    report.step(&format!("the owner invites {guest_email} to project alpha"));
    let guest = join(report, &client, &guest_email, "the invitee").await?;

    let backend_key = owner.call.create_backend(&organization).await?;
    report.step("the owner makes a service account that may check, with an API key");
    let mut stream = client.with(&backend_key).open_checks(&organization).await?;
    let view = |name: &str| (guest.id.clone(), "project.view", project(name));
    let answers = stream.check(&[view("alpha"), view("beta")]).await?;
    report.step("the backend asks on a stream: alpha and beta");
    expect(answers == [true, false], "allowed on alpha and denied on beta")?;
    report.found("alpha allowed, beta denied");
    let held = stream.subscribe(&[(1, view("alpha")), (2, view("beta"))]).await?;
    report.step("the backend subscribes to both decisions");
    expect(held == [(1, true), (2, false)], "the first answers")?;

    report.begin();
    let (pushed, _) = tokio::join!(stream.changes(), owner.call.swap(&organization, &guest, "alpha", "beta"));
    let pushed = pushed?;
    report.step("the owner swaps the assignment in one call; both flips are pushed");
    expect(pushed.answers == [(1, false), (2, true)], "both flips in one frame, at one revision")?;
    report.found("alpha denied, beta allowed, in one frame at one revision");

    expect(guest.call.sees(&organization, &project("beta")).await?, "the invitee sees beta")?;
    expect(!guest.call.sees(&organization, &project("alpha")).await?, "alpha is NOT_FOUND for the invitee")?;
    report.step("the invitee asks for alpha with their own token");
    report.found("NOT_FOUND, as if it did not exist");

    report.begin();
    let (pushed, disabled) = tokio::join!(stream.changes(), owner.call.disable(&organization, &guest));
    disabled?;
    report.step("the owner disables the member; the flip is pushed");
    expect(pushed?.answers == [(2, false)], "the flip of beta")?;
    let slowest = slowest_push(&mut stream, &owner, &organization, &guest).await?;
    report.found(&format!("beta denied; of 20 more flips the slowest took {slowest:.1?} from the call to the push"));
    report.done();
    Ok(())
}

/// Takes a person from the mail to a signed-in session.
async fn join(report: &mut Report, client: &Client, email: &str, who: &str) -> Result<User, Failure> {
    let token = client.token_mailed_to(email).await?;
    report.step("the mail went out through the outbox");
    client.look_up(&token).await?;
    report.step(&format!("{who} looks the link up; that consumes nothing"));
    let member = client.accept(&token, PASSWORD).await?;
    report.step(&format!("{who} accepts and sets a password"));
    let user = client.sign_in(email, PASSWORD, member).await?;
    report.step(&format!("{who} signs in"));
    Ok(user)
}

/// Turns the member on and off, and gives the longest time from a call's begin to its push, the commit included.
async fn slowest_push(
    stream: &mut Session,
    owner: &User,
    organization: &str,
    guest: &User,
) -> Result<Duration, Failure> {
    let mut slowest = Duration::ZERO;
    for turn in 0..20 {
        let began_at = Env::system().clock.monotonic();
        let call = async {
            match turn % 2 {
                0 => owner.call.enable(organization, guest).await,
                _ => owner.call.disable(organization, guest).await,
            }
        };
        let (pushed, answered) = tokio::join!(stream.changes(), call);
        answered?;
        slowest = slowest.max(pushed?.arrived_at.since(began_at));
    }
    Ok(slowest)
}

fn expect(is_so: bool, promise: &str) -> Result<(), Failure> {
    if is_so { Ok(()) } else { Err(format!("this was promised and is not so: {promise}").into()) }
}
