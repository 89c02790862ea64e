//! Callers who call on and on without a deadline, and what each call has come to.

use std::sync::Arc;
use std::time::Duration;

use guildhall::clock::{Clock, Monotonic, SystemClock};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::harness::messages::{check, get_resource, item, register, sign_in};
use crate::harness::{Organization, PASSWORD, TestApp, eventually, project, reason};

/// How long callers wait between two calls.
const PAUSE: Duration = Duration::from_millis(10);
/// How many call in each way, by the names of the ways.
const CALLERS: [(Way, usize); 6] = [
    (Way::Write, 6),
    (Way::WriteElsewhere, 2),
    (Way::Read, 2),
    (Way::FreshCheck, 2),
    (Way::Check, 1),
    (Way::SignIn, 1),
];

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    Write,
    WriteElsewhere,
    Read,
    FreshCheck,
    /// From memory: it hangs on no database.
    Check,
    SignIn,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Made {
    pub way: Way,
    pub began_at: Monotonic,
    pub took: Duration,
    /// The reason of a refusal.
    pub refused: Option<String>,
}

/// Callers at work.
pub struct Load {
    made: Arc<Mutex<Vec<Made>>>,
    stop: CancellationToken,
    callers: JoinSet<()>,
}

impl Load {
    /// Sets callers to work, and waits until each way has been gone once.
    pub async fn begin(app: &Arc<TestApp>, organizations: &Arc<[Organization; 2]>) -> Self {
        let mut load = Self { made: Arc::default(), stop: CancellationToken::new(), callers: JoinSet::new() };
        for (way, count) in CALLERS {
            for number in 0..count {
                let (made, stop) = (Arc::clone(&load.made), load.stop.clone());
                let (app, organizations) = (Arc::clone(app), Arc::clone(organizations));
                load.callers.spawn(async move {
                    for turn in 0.. {
                        let began_at = now();
                        let result = call(&app, &organizations, way, &format!("{way:?}-{number}-{turn}")).await;
                        let (took, refused) = (now().since(began_at), result.err().map(|status| reason(&status)));
                        made.lock().push(Made { way, began_at, took, refused });
                        if stop.is_cancelled() {
                            return;
                        }
                        SystemClock.sleep(PAUSE).await;
                    }
                });
            }
        }
        load.served_since(now()).await;
        load
    }

    /// Waits until each way has led to an answer, begun after `since`; says how long after that the last of the first came.
    pub async fn served_since(&self, since: Monotonic) -> Duration {
        let mut last = Duration::ZERO;
        for (way, _) in CALLERS {
            let served = eventually(&format!("{way:?} that is served"), || {
                let made = self.made.lock();
                let mut served = made.iter().filter(|made| made.way == way && made.refused.is_none());
                let first = served.find(|made| made.began_at >= since)?;
                Some(Monotonic(first.began_at.0 + first.took))
            })
            .await;
            last = last.max(served.since(since));
        }
        last
    }

    /// Lets all calls end, and gives what they came to.
    pub async fn end(mut self) -> Vec<Made> {
        self.stop.cancel();
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("a caller that does not panic");
        }
        std::mem::take(&mut *self.made.lock())
    }
}

pub fn now() -> Monotonic {
    SystemClock.monotonic()
}

async fn call(app: &TestApp, organizations: &[Organization; 2], way: Way, name: &str) -> Result<(), Status> {
    let [organization, elsewhere] = organizations;
    let (operator, id) = (app.operator(), organization.id.as_str());
    let first = || project("first");
    match way {
        Way::Write => operator.register_resource(register(id, project(name))).await.map(drop),
        Way::WriteElsewhere => operator.register_resource(register(&elsewhere.id, project(name))).await.map(drop),
        Way::Read => operator.get_resource(get_resource(id, first())).await.map(drop),
        Way::FreshCheck | Way::Check => {
            let mut request = check(id, item(&organization.owner.user_id, "project.view", Some(first())));
            if way == Way::Check {
                request.consistency = None;
            }
            operator.check(request).await.map(drop)
        }
        Way::SignIn => app.anyone().sign_in(sign_in(&organization.owner.email, PASSWORD)).await.map(drop),
    }
}
