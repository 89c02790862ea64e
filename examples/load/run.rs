//! One run: the servers are started, the loads put on them one after the other, and what came of it is told.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use crate::Failure;
use crate::account::Accounts;
use crate::closed;
use crate::frame::{Frame, Pool, Rpc, Spread};
use crate::measure::{Measured, Window};
use crate::open;
use crate::options::{Load, Options};
use crate::plot;
use crate::process::{Process, resident};
use crate::push::{self, Plan};
use crate::report::{Closed, Figures, Loading, Open, Pushes, Report};
use crate::shape::Shape;
use crate::sink::Sink;
use crate::target::{Address, Target};
use crate::tls::Certificates;

/// The shares of what the Guildhall reaches in a closed loop at which it is called in open loops.
const SWEEP_SHARES: [f64; 6] = [0.1, 0.25, 0.4, 0.55, 0.7, 0.85];
/// How many organizations are asked for at once while all are loaded.
const LOADS_IN_FLIGHT: u32 = 16;

/// Does what the options ask for.
///
/// # Errors
/// What keeps a load from running, and, after everything was told, that an answer was wrong or none.
pub async fn run(options: &Options) -> Result<(), Failure> {
    options.must_fit()?;
    let site = Site::start(options).await?;
    let mut run = Run { options, report: report(options, site.shape), bar: bar(options), site };
    run.load_all().await?;
    for load in &options.loads {
        match load {
            Load::Unary => run.closed(Rpc::Check).await?,
            Load::Batch => run.closed(Rpc::BatchCheck).await?,
            Load::Stream => run.closed(Rpc::StreamChecks).await?,
            Load::Sweep => run.sweep().await?,
            Load::Subscription => run.subscriptions().await?,
        }
    }
    run.bar.finish_and_clear();
    let Run { mut report, site, .. } = run;
    // A server sends its last spans when it ends.
    let Site { processes, sink, data_dir, .. } = site;
    tokio::task::spawn_blocking(move || drop(processes)).await?;
    drop(data_dir);
    report.spans = sink.spans();
    if report.spans == 0 && report.data.is_some() && options.sample >= 0.01 {
        report.errors.push("calls were to be sampled, and no span came in".to_owned());
    }

    report.print();
    report.write(&options.json)?;
    plot::draw(&options.plot, &report.open)?;
    println!("\nwritten: {}", options.json.display());
    if !report.open.is_empty() {
        println!("written: {}", options.plot.display());
    }
    match report.errors.len() {
        0 => Ok(()),
        errors => Err(format!("{errors} errors, see above").into()),
    }
}

fn report(options: &Options, data: Option<Shape>) -> Report {
    Report {
        version: env!("CARGO_PKG_VERSION"),
        command: std::env::args().skip(1).collect(),
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        threads: options.threads(),
        client: options.client,
        sample: options.sample,
        tls: options.tls,
        data,
        loading: None,
        closed: Vec::new(),
        open: Vec::new(),
        pushes: Vec::new(),
        spans: 0,
        errors: Vec::new(),
    }
}

fn bar(options: &Options) -> ProgressBar {
    let spreads = if options.target.is_some() { 1 } else { options.spreads().len() };
    let steps: usize = options
        .loads
        .iter()
        .map(|load| match load {
            Load::Unary | Load::Batch | Load::Stream => 2 * options.rounds * spreads,
            Load::Sweep if options.sweep.is_empty() => 2 * SWEEP_SHARES.len() + 1,
            Load::Sweep => 2 * options.sweep.len(),
            Load::Subscription => 2,
        })
        .sum();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed_precise} {msg}");
    ProgressBar::new(steps as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The servers of one run.
struct Site {
    echo: Arc<Target>,
    guildhall: Arc<Target>,
    /// Another Guildhall on the same database, if there is one.
    replica: Option<Arc<Target>>,
    shape: Option<Shape>,
    sink: Sink,
    processes: Vec<Process>,
    data_dir: tempfile::TempDir,
}

impl Site {
    async fn start(options: &Options) -> Result<Self, Failure> {
        let (sink, threads) = (Sink::default(), options.threads());
        let data_dir = tempfile::tempdir()?;
        let mut processes = Vec::new();
        let connect = async |name, url, key: &str, process, authority| {
            let address = Address { url, key: key.to_owned(), connections: options.connections, authority };
            Target::connect(name, &address, options.client, process).await.map(Arc::new)
        };

        let tls = if options.tls { Some(Certificates::make(data_dir.path())?) } else { None };
        let scheme = if options.tls { "https" } else { "http" };
        let authority = tls.as_ref().map(|tls| tls.authority.clone());
        let url = |process: &Process| format!("{scheme}://{}", process.hello.grpc);

        let (mut shape, mut guildhalls, mut key) = (None, Vec::new(), options.key.clone());
        if let Some(url) = &options.target {
            let authority = options.ca.as_ref().map(std::fs::read).transpose()?;
            let key = key.as_deref().ok_or("a --target needs a --key")?;
            guildhalls.push(connect("guildhall", url.clone(), key, options.pid, authority).await?);
        } else {
            let data = *shape.insert(options.data.shape()?);
            let endpoint = if options.sample > 0.0 { Some(sink.listen()?) } else { None };
            let key_file = options.installation_key_file.clone();
            let key_file = key_file.unwrap_or_else(|| data_dir.path().join("installation.key"));
            for replica in 0..options.replicas {
                let directory = data_dir.path().join(format!("replica-{replica}"));
                std::fs::create_dir_all(&directory)?;
                let mut arguments = arguments(options, data, &directory, &key_file, endpoint.as_deref());
                arguments.extend(tls.iter().flat_map(Certificates::arguments));
                let process = Process::start(&arguments, threads)?;
                key = process.hello.key.clone().or(key);
                let known = key.as_deref().ok_or("this database has an installation already: pass its --key")?;
                let (url, id) = (url(&process), process.id());
                guildhalls.push(connect("guildhall", url, known, Some(id), authority.clone()).await?);
                processes.push(process);
            }
        }
        let mut arguments = vec!["echo".to_owned()];
        arguments.extend(tls.iter().flat_map(Certificates::arguments));
        let process = Process::start(&arguments, threads)?;
        let (url, id) = (url(&process), process.id());
        let key = key.as_deref().unwrap_or_default();
        let echo = connect("echo", url, key, Some(id), authority).await?;
        processes.push(process);

        let mut guildhalls = guildhalls.into_iter();
        let guildhall = guildhalls.next().ok_or("there is no server")?;
        Ok(Self { echo, guildhall, replica: guildhalls.next(), shape, sink, processes, data_dir })
    }

    /// Returns the frames that an RPC asks.
    async fn pool(&self, rpc: Rpc, items: usize, spread: Spread) -> Result<Pool, Failure> {
        match &self.shape {
            Some(shape) => Ok(Pool::synthetic(shape, spread, rpc, items)),
            None => Accounts::pools(&self.guildhall, [(rpc, items)]).await.map(|[pool]| pool),
        }
    }

    fn spreads(&self, options: &Options) -> Vec<Spread> {
        if self.shape.is_some() { options.spreads() } else { vec![Spread::One] }
    }
}

/// Writes the arguments of a Guildhall that is measured.
fn arguments(
    options: &Options,
    shape: Shape,
    data_dir: &Path,
    key_file: &Path,
    otlp_endpoint: Option<&str>,
) -> Vec<String> {
    let mut arguments = vec!["serve".to_owned()];
    arguments.extend(shape.arguments());
    arguments.extend(["--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"].map(str::to_owned));
    arguments.push(format!("--data-dir={}", data_dir.display()));
    arguments.push(format!("--installation-key-file={}", key_file.display()));
    arguments.extend(options.database_url.as_ref().map(|url| format!("--database-url={url}")));
    arguments.push(format!("--trace-ratio={}", options.sample));
    arguments.extend(otlp_endpoint.map(|endpoint| format!("--otlp-endpoint={endpoint}")));
    arguments
}

/// A run under way.
struct Run<'a> {
    options: &'a Options,
    site: Site,
    report: Report,
    bar: ProgressBar,
}

impl Run<'_> {
    fn window(&self) -> Window {
        Window::after(self.options.warmup, self.options.seconds)
    }

    /// Notes what went wrong, once for each load.
    fn note(&mut self, what: &str, measured: &Measured) {
        if let Some(error) = &measured.tally.error {
            self.report.errors.push(format!("{what}: {} errors, the first: {error}", measured.tally.errors));
        }
    }

    /// Has every organization loaded, by one check of each.
    async fn load_all(&mut self) -> Result<(), Failure> {
        let Some(shape) = self.site.shape else { return Ok(()) };
        let process = self.site.guildhall.process;
        let (began_at, resident_before_bytes) = (Instant::now(), process.and_then(resident));
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed_precise} loading organizations");
        let bar = ProgressBar::new(u64::from(shape.organizations));
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut loads = JoinSet::new();
        for first in 0..LOADS_IN_FLIGHT.min(shape.organizations) {
            let (target, bar) = (Arc::clone(&self.site.guildhall), bar.clone());
            loads.spawn(async move {
                let mut client = target.client(first as usize);
                for organization in (first..shape.organizations).step_by(LOADS_IN_FLIGHT as usize) {
                    let frame = Frame::of_member(&shape, organization);
                    client.ask(&target, Rpc::Check, &frame).await?;
                    bar.inc(1);
                }
                Ok::<(), String>(())
            });
        }
        while let Some(joined) = loads.join_next().await {
            joined??;
        }
        bar.finish_and_clear();
        self.report.loading = Some(Loading {
            organizations: shape.organizations,
            seconds: began_at.elapsed().as_secs_f64(),
            resident_before_bytes,
            resident_after_bytes: process.and_then(resident),
        });
        Ok(())
    }

    /// Puts an RPC on both servers in turns.
    async fn closed(&mut self, rpc: Rpc) -> Result<(), Failure> {
        for spread in self.site.spreads(self.options) {
            let (items, pressure) = (self.options.items(rpc), self.options.pressure(rpc));
            let what = match rpc {
                Rpc::Check => format!("Check, {} in flight", pressure.calls),
                Rpc::BatchCheck => format!("BatchCheck of {items}, {} in flight", pressure.calls),
                Rpc::StreamChecks => {
                    format!(
                        "StreamChecks, frames of {items}, {} streams with {} in flight",
                        pressure.streams, pressure.frames
                    )
                }
            };
            let what = format!("{what}, {} connections, {}", self.options.connections, phrase(spread));
            let pool = Arc::new(self.site.pool(rpc, items, spread).await?);
            let mut rounds: Vec<(Measured, Measured)> = Vec::new();
            for round in 0..self.options.rounds {
                let echo = self.turn(&what, rpc, &pool, Arc::clone(&self.site.echo));
                let echo = if round.is_multiple_of(2) { Some(echo.await) } else { None };
                let guildhall = self.turn(&what, rpc, &pool, Arc::clone(&self.site.guildhall)).await;
                // In the other order every other time: who comes first finds a machine that was idle.
                let echo = match echo {
                    Some(echo) => echo,
                    None => self.turn(&what, rpc, &pool, Arc::clone(&self.site.echo)).await,
                };
                rounds.push((echo, guildhall));
            }
            let ratio =
                |(echo, guildhall): &(Measured, Measured)| guildhall.calls_per_second() / echo.calls_per_second();
            let mut ratios: Vec<f64> = rounds.iter().map(ratio).collect();
            ratios.sort_by(f64::total_cmp);
            let Some(all) = rounds.into_iter().reduce(|mut all, round| {
                all.0.add(&round.0);
                all.1.add(&round.1);
                all
            }) else {
                return Ok(());
            };
            self.note(&format!("{what}, echo"), &all.0);
            self.note(&format!("{what}, guildhall"), &all.1);
            self.report.closed.push(Closed {
                what,
                spread: self.site.shape.map(|_| spread),
                allowed_share: pool.allowed_share(),
                echo: Figures::from(&all.0),
                guildhall: Figures::from(&all.1),
                ratio: f64::midpoint(ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]),
                ratio_by_processor_time: by_processor_time(&all.0, &all.1),
                ratios,
            });
        }
        Ok(())
    }

    /// Puts an RPC on one server for one window.
    async fn turn(&self, what: &str, rpc: Rpc, pool: &Arc<Pool>, target: Arc<Target>) -> Measured {
        self.bar.set_message(format!("{what}: {}", target.name));
        let measured = closed::run(&target, rpc, pool, self.options.pressure(rpc), self.window()).await;
        self.bar.inc(1);
        measured
    }

    /// Calls both servers at several fixed rates.
    async fn sweep(&mut self) -> Result<(), Failure> {
        let rpc = self.options.sweep_rpc();
        let spread = self.site.spreads(self.options).last().copied().unwrap_or(Spread::One);
        let items = self.options.items(rpc);
        let pool = Arc::new(self.site.pool(rpc, items, spread).await?);
        let mut rates = self.options.sweep.clone();
        if rates.is_empty() {
            self.bar.set_message("what the guildhall reaches");
            let pressure = self.options.pressure(rpc);
            let reached = closed::run(&self.site.guildhall, rpc, &pool, pressure, self.window()).await;
            self.bar.inc(1);
            self.note("what the guildhall reaches", &reached);
            rates.extend(SWEEP_SHARES.map(|share| (reached.calls_per_second() * share).max(1.0).round()));
        }
        let name = match rpc {
            Rpc::Check => "Check".to_owned(),
            Rpc::BatchCheck => format!("BatchCheck of {items}"),
            Rpc::StreamChecks => format!("StreamChecks, frames of {items}"),
        };
        let what = format!("{name} at fixed rates, {}", phrase(spread));
        for rate in rates {
            for target in [Arc::clone(&self.site.echo), Arc::clone(&self.site.guildhall)] {
                let step = format!("{what}: {rate:.0}/s, {}", target.name);
                self.bar.set_message(step.clone());
                let measured = open::run(&target, rpc, &pool, rate, self.options.streams, self.window()).await;
                self.bar.inc(1);
                self.note(&step, &measured);
                let figures = Figures::from(&measured);
                self.report.open.push(Open { what: what.clone(), target: target.name, rate, figures });
            }
        }
        Ok(())
    }

    /// Mutates while decisions are subscribed to: with nothing beside it, and with checks beside it.
    async fn subscriptions(&mut self) -> Result<(), Failure> {
        let options = self.options;
        let plan = Plan {
            subscriptions: options.subscriptions,
            streams: options.subscription_streams,
            mutations: options.mutations,
            length: options.subscription_seconds,
        };
        let writer = Arc::clone(&self.site.guildhall);
        let reader = self.site.replica.clone().unwrap_or_else(|| Arc::clone(&writer));
        let on = if self.site.replica.is_some() { "another replica" } else { "the writer's replica" };
        let (rpc, items) = (Rpc::StreamChecks, options.frame.min(10));
        let pool = Arc::new(self.site.pool(rpc, items, Spread::One).await?);
        for is_busy in [false, true] {
            let beside = if is_busy { format!("{:.0} checks/s", options.background) } else { "nothing".to_owned() };
            let what = format!(
                "{} subscriptions on {} streams of {on}, {:.0} mutations/s, {beside} beside",
                plan.subscriptions, plan.streams, plan.mutations
            );
            self.bar.set_message(what.clone());
            let subscribed = push::subscribe(&writer, &reader, plan).await?;
            let pushed = if is_busy {
                let (rate, window) = (options.background / items as f64, Window::after(Duration::ZERO, plan.length));
                let checks = open::run(&reader, rpc, &pool, rate, options.streams, window);
                let (checks, pushed) = tokio::join!(checks, subscribed.turn());
                self.note(&format!("{what}, the checks"), &checks);
                pushed
            } else {
                subscribed.turn().await
            };
            self.bar.inc(1);
            if let Some(first) = pushed.errors.first() {
                self.report.errors.push(format!("{what}: {} errors, the first: {first}", pushed.errors.len()));
            }
            self.report.pushes.push(Pushes::new(what, &pushed));
        }
        Ok(())
    }
}

/// Returns the ratio of the rates that would be if nobody else were on the machine and none of it were ever idle.
fn by_processor_time(echo: &Measured, guildhall: &Measured) -> Option<f64> {
    let per_call = |measured: &Measured| {
        let spent = measured.server? + measured.client?;
        (measured.tally.calls > 0).then(|| spent.as_secs_f64() / measured.tally.calls as f64)
    };
    Some(per_call(echo)? / per_call(guildhall)?)
}

fn phrase(spread: Spread) -> &'static str {
    match spread {
        Spread::One => "one organization",
        Spread::Random => "a random organization each",
    }
}
