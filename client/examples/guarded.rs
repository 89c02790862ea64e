//! A tonic service that only those reach whom Guildhall allows: a health service, so that any client can call it.
//!
//! It answers no reflection, so grpcurl needs the health service's proto (`-proto health.proto`). Without a token
//! `grpc.health.v1.Health/Check` answers UNAUTHENTICATED. With one:
//! `-H "authorization: Bearer $TOKEN" -H "x-organization: $ORGANIZATION"`.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use guildhall_client::{Guildhall, Question, Subject};
use tonic::transport::Server;

/// Serves a health service that is guarded.
#[derive(Parser)]
struct Arguments {
    /// Where Guildhall is.
    #[arg(long, default_value = "http://127.0.0.1:50051")]
    server: String,
    /// An API key that may check.
    #[arg(long, env = "GUILDHALL_KEY", hide_env_values = true)]
    key: String,
    /// What a caller must have at the organization that they name.
    #[arg(long)]
    permission: Arc<str>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:50061")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let guildhall =
        Guildhall::builder(arguments.server).credential(arguments.key).hold_on_use(10_000).connect().await?;

    let permission = arguments.permission;
    let guard = guildhall.guard(move |call| {
        let subject = Subject::access_token(call.access_token()?);
        Ok(Some(Question::new(call.required("x-organization")?, subject, Arc::clone(&permission))))
    });

    let (_, health) = tonic_health::server::health_reporter();
    println!("serving on {}", arguments.listen);
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    Server::builder().layer(guard).add_service(health).serve_with_shutdown(arguments.listen, interrupted).await?;
    guildhall.close().await;
    Ok(())
}
