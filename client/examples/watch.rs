//! Prints decisions as they turn, until it is interrupted.

use std::sync::Arc;

use clap::Parser;
use guildhall_client::{Answer, Guildhall, Question, Subject};
use tokio::task::JoinSet;

/// Prints decisions as they turn.
#[derive(Parser)]
struct Arguments {
    /// Where Guildhall is.
    #[arg(long, default_value = "http://127.0.0.1:50051")]
    server: String,
    /// An API key that may check.
    #[arg(long, env = "GUILDHALL_KEY", hide_env_values = true)]
    key: String,
    /// The organization's id.
    #[arg(long)]
    organization: Arc<str>,
    /// As the organization's catalog declares it.
    #[arg(long)]
    permission: Arc<str>,
    /// On what, as in `project:alpha`; the organization itself if not given.
    #[arg(long)]
    resource: Option<String>,
    /// Whom to watch, by id; may be given several times.
    #[arg(long = "user", required = true)]
    users: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let guildhall = Guildhall::builder(arguments.server).credential(arguments.key).connect().await?;

    let mut watching = JoinSet::new();
    for user in arguments.users {
        let subject = Subject::user(user.as_str());
        let mut question =
            Question::new(Arc::clone(&arguments.organization), subject, Arc::clone(&arguments.permission));
        if let Some((kind, id)) = arguments.resource.as_deref().and_then(|resource| resource.split_once(':')) {
            question = question.on(kind, id);
        }
        let mut held = guildhall.hold(&question)?;
        watching.spawn(async move {
            loop {
                let answer = held.changed().await;
                println!("{user}: {}", words(answer));
            }
        });
    }
    tokio::signal::ctrl_c().await?;
    watching.shutdown().await;
    guildhall.close().await;
    Ok(())
}

fn words(answer: Option<Answer>) -> String {
    match answer {
        Some(Ok(())) => "allowed".to_owned(),
        Some(Err(reason)) => format!("denied: {reason}"),
        None => "not known: the server was not heard for the time of the lease".to_owned(),
    }
}
