//! From nothing to ready on a SQLite file that is there already (P10).

use std::time::Instant;

use guildhall::app::App;
use guildhall::clock::Env;
use guildhall::config::Config;

use crate::{Failure, heading, row, text};

/// Prints how long a start takes.
pub async fn report() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let config = Config::local(directory.path().to_owned());
    let began_at = Instant::now();
    App::start(&config, Env::system()).await?.stop().await;
    let first = began_at.elapsed();
    let began_at = Instant::now();
    let app = App::start(&config, Env::system()).await?;
    let again = began_at.elapsed();
    app.stop().await;
    heading("starting: a SQLite file with one operator");
    row("the first start, which makes the database, and its stop", &text(first), "", "");
    row("start to ready on the existing file", &text(again), "", "≤ 1 s");
    Ok(())
}
