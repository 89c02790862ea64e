//! The load generator: `make load`, or `cargo run --release --example load -- --help`.
//!
//! `options` is what can be asked of it; `run` does it, load by load. `serve`, `echo` and `synthetic` are the measured
//! processes, `process` and `sink` what is seen of them from outside. `shape`, `frame` and `account` are what is asked about;
//! `target` and `raw` are the clients, `tls` what they trust; `closed`, `open` and `push` the loads; `measure`, `report` and
//! `plot` what is told. `mutation` is a run of its own, against pgbench instead of an echo: `benches/mutations`.

#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a load generator reads the time, waits, and prints rates"
)]

mod account;
mod closed;
mod echo;
mod frame;
mod measure;
mod mutation;
mod open;
mod options;
mod plot;
mod process;
mod push;
mod raw;
mod report;
mod run;
mod serve;
mod shape;
mod sink;
mod synthetic;
mod target;
mod tls;

use std::process::ExitCode;

use clap::Parser;

use crate::options::Command;

/// As the server has it: both servers and the load generator are this program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What keeps the program from its work.
pub type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = options::Arguments::parse();
    // A process that is measured is told by TOKIO_WORKER_THREADS, as Guildhall's own binary is.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if arguments.command.is_none() {
        runtime.worker_threads(arguments.options.threads());
    }
    let outcome = match runtime.enable_all().build() {
        Err(error) => Err(error.into()),
        Ok(runtime) => runtime.block_on(async {
            match arguments.command {
                Some(Command::Measured(role)) => serve::run(role).await,
                Some(Command::Mutations(options)) => mutation::run(&options).await,
                None => run::run(&arguments.options).await,
            }
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
