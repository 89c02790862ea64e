//! A network that drops all packets without a word: nobody waits longer than is promised, and nobody has to help the
//! server afterwards.

use std::sync::Arc;
use std::time::Duration;

use guildhall::clock::{Clock, SystemClock};
use tonic::Code;

use super::load::{Load, Made, Way, now};
use crate::harness::messages::{change, get_resource, grant, item, membership, register};
use crate::harness::proxy::{Afterwards, Proxy};
use crate::harness::{Database, Organization, TestApp, as_member, assert_refused, project, reason};

/// How long the network is silent.
const SILENCE: Duration = Duration::from_secs(3);
/// Within what time a server serves again, once the network is back.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Longest that a call takes whose caller has set no deadline.
const LONGEST: Duration = Duration::from_secs(12);
/// How long a write waits for others.
const WRITE_WAIT: Duration = Duration::from_secs(1);
/// What is added to a promise for a machine that does other things besides.
const SLACK: Duration = Duration::from_secs(2);

/// A server whose network can fall silent, with organizations in it.
struct Behind {
    app: Arc<TestApp>,
    proxy: Proxy,
    organizations: Arc<[Organization; 2]>,
    /// Has a network of its own.
    steady: TestApp,
}

impl Behind {
    async fn start() -> Self {
        let steady = TestApp::start(Database::Postgres).await;
        let organizations = [steady.found().await, steady.found_by("bea@example.test").await];
        for organization in &organizations {
            steady.operator().register_resource(register(&organization.id, project("first"))).await.unwrap();
        }
        let url = steady.config.database_url();
        let proxy = Proxy::before(&url, |_| false);
        let mut config = steady.config.clone();
        config.database_url = Some(proxy.url(&url).into());
        config.write_wait = WRITE_WAIT;
        let app = Arc::new(steady.replica_with(config).await);
        Self { app, proxy, organizations: Arc::new(organizations), steady }
    }
}

/// Returns what calls came to, for whoever reads of a failure.
fn told(made: &[Made]) -> String {
    let mut slowest: Vec<&Made> = made.iter().collect();
    slowest.sort_by_key(|made| std::cmp::Reverse(made.took));
    let slowest = slowest.iter().take(12).map(|made| format!("{made:?}")).collect::<Vec<_>>().join("\n");
    format!("{} calls, the slowest:\n{slowest}", made.len())
}

/// Holds what calls came to, around a silence, against what is promised.
fn hold(made: &[Made], served_after: Duration) {
    println!("served again after {served_after:?}; {}", told(made));
    assert!(served_after <= BACK_WITHIN, "served again only after {served_after:?}; {}", told(made));
    let longest = made.iter().map(|made| made.took).max().expect("calls");
    assert!(longest <= LONGEST, "{}", told(made));
    let expected = ["DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN", "ORGANIZATION_BUSY"];
    for made in made.iter().filter(|made| made.refused.is_some()) {
        let reason = made.refused.as_deref().unwrap_or_default();
        assert!(expected.contains(&reason) && made.way != Way::Check, "{made:?}");
    }
}

/// Has the network fall silent under load, in a way of its own, and come back.
async fn through_silence(fall_silent: impl AsyncFnOnce(&mut Proxy), afterwards: Afterwards) {
    let mut behind = Behind::start().await;
    let [organization, _] = &*behind.organizations;
    let (id, owner) = (organization.id.as_str(), &organization.owner);
    // A stream waits for nothing and has no deadline.
    let mut stream = behind.app.operator().stream().await.unwrap();
    let steady = behind.steady.operator();
    let somebody = behind.steady.invite_and_join(id, &owner.call, "cy@example.test", vec![]).await;
    stream.subscribe(id, vec![item(&somebody.user_id, "project.view", Some(project("first")))]).await;
    stream.receive().await.unwrap();

    let load = Load::begin(&behind.app, &behind.organizations).await;
    fall_silent(&mut behind.proxy).await;
    SystemClock.sleep(SILENCE).await;
    behind.proxy.speak(afterwards);
    let served_after = load.served_since(now()).await;
    hold(&load.end().await, served_after);

    let given = grant(membership(&somebody.membership_id), as_member(project("first")));
    steady.change_grants(change(id, vec![given])).await.unwrap();
    stream.receive().await.expect("the stream goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_silence_of_all_connections_that_flow_again_all_is_served_within_5_s() {
    through_silence(async |proxy| proxy.silence(false), Afterwards::Flowing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_silence_of_all_connections_that_never_answer_again_all_is_served_within_5_s() {
    through_silence(async |proxy| proxy.silence(false), Afterwards::Dead).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_silence_in_which_nobody_is_connected_all_is_served_within_5_s() {
    through_silence(async |proxy| proxy.deafen().await, Afterwards::Dead).await;
}

/// As when a firewall forgets what it has let through, or the address leads to another host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_connections_are_all_dead_is_replaced_while_they_are() {
    let behind = Behind::start().await;
    let load = Load::begin(&behind.app, &behind.organizations).await;
    let fell_silent_at = now();
    behind.proxy.silence(true);
    SystemClock.sleep(SILENCE).await;
    let served_after = load.served_since(now()).await;
    println!("{:?} after it fell silent", now().since(fell_silent_at));
    hold(&load.end().await, served_after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_wait_for_one_that_is_stuck_are_refused_in_time() {
    let mut behind = Behind::start().await;
    let (operator, id) = (behind.app.operator(), behind.organizations[0].id.clone());
    operator.get_resource(get_resource(&id, project("first"))).await.expect("a server that serves");
    behind.proxy.silence(false);
    let writes = (0..20).map(|number| {
        let (operator, id) = (operator.clone(), id.clone());
        async move {
            let began_at = now();
            let result = operator.register_resource(register(&id, project(&format!("p-{number}")))).await;
            (now().since(began_at), reason(&result.expect_err("nothing is written")))
        }
    });
    let mut ended = futures_util::future::join_all(writes).await;
    ended.sort();
    println!("{ended:?}");
    let (longest, stuck) = ended.pop().expect("writes");
    assert!(longest <= LONGEST && ["DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"].contains(&stuck.as_str()), "{stuck}");
    for (took, refused) in &ended {
        let is_in_time = match refused.as_str() {
            "ORGANIZATION_BUSY" => *took <= WRITE_WAIT + SLACK,
            // Whoever asks who calls has not come to the queue.
            "DATABASE_UNAVAILABLE" => *took <= LONGEST,
            _ => false,
        };
        assert!(is_in_time, "{ended:?}");
    }
    behind.proxy.speak(Afterwards::Flowing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_wait_for_ever_for_its_first_connection() {
    let steady = TestApp::start(Database::Postgres).await;
    let url = steady.config.database_url();
    for is_deaf in [false, true] {
        let mut proxy = Proxy::before(&url, |_| false);
        if is_deaf {
            proxy.deafen().await;
        } else {
            proxy.silence(false);
        }
        let mut config = steady.config.clone();
        config.database_url = Some(proxy.url(&url).into());
        let data_dir = Arc::new(tempfile::tempdir().unwrap());
        let began_at = now();
        let started = TestApp::start_with(config.clone(), Arc::clone(&data_dir), Arc::clone(&steady.clock)).await;
        let (took, error) = (now().since(began_at), started.err().expect("no server").to_string());
        println!("deaf: {is_deaf}, {took:?}: {error}");
        assert!(took <= LONGEST && error.contains("database"), "{took:?}: {error}");

        proxy.speak(Afterwards::Dead);
        TestApp::start_with(config, data_dir, Arc::clone(&steady.clock)).await.expect("a server that starts");
    }
}

/// The connections of the pool are gone, and new ones do not come about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_needs_a_new_connection_in_a_silence_is_refused_in_time() {
    let mut behind = Behind::start().await;
    let (operator, id) = (behind.app.operator(), behind.organizations[0].id.clone());
    behind.proxy.away();
    behind.proxy.deafen().await;
    behind.proxy.back();
    let began_at = now();
    let refused = operator.register_resource(register(&id, project("new"))).await;
    let took = now().since(began_at);
    println!("refused after {took:?}");
    assert_refused(refused, Code::Unavailable, "DATABASE_UNAVAILABLE");
    assert!(took <= LONGEST, "{took:?}");
    behind.proxy.speak(Afterwards::Flowing);
    let spoke_at = now();
    while operator.register_resource(register(&id, project("new"))).await.is_err() {
        assert!(now().since(spoke_at) <= BACK_WITHIN, "not served");
    }
}
