use std::future::pending;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::clock::SystemClock;
use crate::clock::testing::ManualClock;

const NOON: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

/// Makes a machine whose two clocks stand until they are moved.
fn machine() -> Arc<ManualClock> {
    ManualClock::still_at(NOON)
}

fn noon_and(duration: Duration) -> Timestamp {
    NOON.plus(duration)
}

/// Lets a minute and a second pass, with a poll each second.
fn confirm(clock: &AnchoredClock, machine: &ManualClock) {
    for _ in 0..=61 {
        machine.advance(Duration::from_secs(1));
        clock.observe(None);
    }
}

#[test]
fn without_a_database_of_its_own_clock_the_machines_counts() {
    let machine = machine();
    let clock = AnchoredClock::new(machine.clone());
    clock.begin(&Beginning::default());
    machine.set(machine.now().minus(HOUR));
    clock.observe(None);
    assert_eq!(clock.now(), noon_and(Duration::ZERO));
    machine.advance(Duration::from_mins(10));
    assert_eq!(clock.now(), noon_and(Duration::from_mins(5)));

    machine.set(machine.now().plus(HOUR * 3));
    confirm(&clock, &machine);
    assert_eq!(clock.now(), machine.now());
    let health = clock.health();
    assert_eq!((health.deviation_micros, health.steps_back, health.steps_forward), (0, 1, 1));
    assert_eq!(health.warning(), None);
}

#[test]
fn a_databases_clock_counts_and_the_machines_does_not() {
    let machine = machine();
    let clock = AnchoredClock::new(machine.clone());
    let reading = |time| {
        let at = machine.monotonic();
        Some(Reading { time, asked_at: at, answered_at: at })
    };
    let database = noon_and(HOUR * 24 * 365);
    clock.begin(&Beginning { database: reading(database), ..Beginning::default() });
    assert_eq!(clock.now(), database);
    machine.set(machine.now().minus(HOUR));
    confirm(&clock, &machine);
    assert_eq!(clock.now(), database.plus(Duration::from_secs(62)));
    assert_eq!(clock.health(), ClockHealth::default());

    clock.observe(reading(database));
    assert_eq!(clock.health().steps_back, 1);
    assert_eq!(clock.health().warning().as_deref(), Some("the clock was set back by 62 s"));
}

#[test]
fn what_is_on_record_is_past_unless_it_was_asked_for() {
    let machine = machine();
    let clock = AnchoredClock::new(machine.clone());
    let recorded = Some(noon_and(HOUR));
    clock.begin(&Beginning { recorded, ..Beginning::default() });
    assert!(clock.now() >= noon_and(HOUR));
    assert_eq!(clock.health().warning().as_deref(), Some("the clock is 3600 s before the newest commit"));

    clock.begin(&Beginning { recorded, may_go_back: true, ..Beginning::default() });
    assert_eq!(clock.now(), noon_and(Duration::ZERO));
    assert_eq!(clock.health().warning().as_deref(), Some("the clock is 3600 s before the newest commit"));
    machine.advance(HOUR);
    assert_eq!(clock.health().warning(), None);
}

#[tokio::test]
async fn whoever_waits_for_an_instant_is_woken_when_time_jumps_there() {
    let machine = machine();
    let clock = AnchoredClock::new(machine.clone());
    let waiting = tokio::spawn(clock.sleep_until(noon_and(HOUR)));
    tokio::task::yield_now().await;
    machine.set(machine.now().plus(HOUR));
    clock.observe(None);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "not confirmed yet");
    confirm(&clock, &machine);
    waiting.await.expect("woken");
}

#[test]
fn nobody_sees_time_go_back_on_any_thread_while_the_clock_is_set() {
    /// The machine's monotonic clock, and a wall clock that is set again and again.
    struct Restless(AtomicU32);

    impl Clock for Restless {
        fn now(&self) -> Timestamp {
            let hop = Duration::from_millis(900) * (self.0.fetch_add(1, Ordering::Relaxed) % 7);
            NOON.minus(hop).plus(self.monotonic().0)
        }

        fn monotonic(&self) -> Monotonic {
            SystemClock.monotonic()
        }

        fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(pending())
        }

        fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(pending())
        }
    }

    let clock = AnchoredClock::new(Arc::new(Restless(AtomicU32::new(0))));
    let latest = AtomicI64::new(i64::MIN);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (clock, latest) = (&clock, &latest);
            scope.spawn(move || {
                for _ in 0..20_000 {
                    if thread == 0 {
                        clock.observe(None);
                    }
                    let before = latest.load(Ordering::SeqCst);
                    let now = clock.now().as_micros();
                    assert!(now >= before, "back by {}", before - now);
                    latest.fetch_max(now, Ordering::SeqCst);
                }
            });
        }
    });
}
