use proptest::prelude::*;

use super::*;

const UNRECORDED: Duration = Duration::from_secs(20);

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// An anchor's time when the simulated machine was started.
const EPOCH: i64 = 1_800_000_000 * SECOND;

/// A machine and the clock that anchors it, both as a test would have them.
struct Simulation {
    moment: i64,
    /// By how much the anchor is ahead of where it was at first.
    set_by: i64,
    anchor: Anchor,
}

impl Simulation {
    fn new() -> Self {
        let at = Monotonic(Duration::from_secs(1_000));
        let reading = Reading { time: Timestamp::from_micros(EPOCH), asked_at: at, answered_at: at };
        Self { moment: micros(at.0), set_by: 0, anchor: Anchor::new(reading) }
    }

    fn restarted(&self, recorded: Timestamp) -> Self {
        Self { anchor: Anchor::not_before(self.reading(0, 0), recorded, UNRECORDED), ..*self }
    }

    fn monotonic(&self) -> Monotonic {
        at(self.moment)
    }

    fn now(&self) -> i64 {
        self.anchor.course().at(self.monotonic()).as_micros()
    }

    fn anchor_says(&self, moment: i64) -> i64 {
        EPOCH + moment - 1_000 * SECOND + self.set_by
    }

    /// Returns by how much the anchor is ahead of the time.
    fn ahead(&self) -> i64 {
        self.anchor_says(self.moment) - self.now()
    }

    /// Reads the anchor as it was `after` ago, by a question that was asked so much `before` that.
    fn reading(&self, before: i64, after: i64) -> Reading {
        Reading {
            time: Timestamp::from_micros(self.anchor_says(self.moment - after)),
            asked_at: at(self.moment - after - before),
            answered_at: self.monotonic(),
        }
    }

    fn poll(&mut self, before: i64, after: i64) -> Option<Step> {
        self.moment += before + after;
        self.anchor.observe(self.reading(before, after), self.monotonic())
    }

    /// Lets time pass with a poll a second, and returns all that was noticed.
    fn pass(&mut self, micros: i64) -> Vec<Step> {
        let polls = (0..micros / SECOND).filter_map(|_| {
            self.moment += SECOND;
            self.poll(0, 0)
        });
        polls.collect()
    }
}

fn at(moment: i64) -> Monotonic {
    Monotonic(Duration::from_micros(moment.cast_unsigned()))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn time_goes_on_by_itself_while_nobody_answers() {
    let mut sim = Simulation::new();
    sim.moment += 100 * HOUR;
    assert_eq!(sim.now(), EPOCH + 100 * HOUR);
}

#[test]
fn a_step_back_is_not_followed_but_waited_for_at_half_speed() {
    let mut sim = Simulation::new();
    sim.pass(HOUR);
    let before = sim.now();
    sim.set_by -= HOUR;
    assert_eq!(sim.pass(HOUR), [Step::Back(seconds(3_600))], "told once");
    assert!((before + HOUR / 2 - SECOND..=before + HOUR / 2 + SECOND).contains(&sim.now()));
    assert_eq!(sim.pass(HOUR + 2 * SECOND), []);
    assert_eq!(sim.ahead(), 0, "caught up after twice the step");
}

#[test]
fn a_second_step_back_while_the_first_is_waited_for_is_told_as_well() {
    let mut sim = Simulation::new();
    sim.set_by -= HOUR;
    assert_eq!(sim.pass(10 * SECOND), [Step::Back(seconds(3_600))]);
    sim.set_by -= HOUR;
    assert!(matches!(sim.pass(10 * SECOND)[..], [Step::Back(_)]));
    sim.set_by += HOUR;
    assert_eq!(sim.pass(10 * SECOND), [], "half of it taken back is no step back");
}

#[test]
fn a_step_forward_is_followed_once_it_has_been_confirmed_for_a_minute() {
    let mut sim = Simulation::new();
    let began_at = sim.now();
    sim.set_by += HOUR;
    assert_eq!(sim.pass(60 * SECOND), [Step::Forward(seconds(3_600))]);
    assert_eq!(sim.now(), began_at + 60 * SECOND, "not before");
    assert_eq!(sim.pass(SECOND), [Step::Followed(seconds(3_600))]);
    assert_eq!(sim.now(), began_at + 61 * SECOND + HOUR);
    assert_eq!(sim.pass(HOUR), []);
}

#[test]
fn a_step_forward_that_is_taken_back_within_a_minute_has_never_happened() {
    let mut sim = Simulation::new();
    let began_at = sim.now();
    sim.set_by += 400 * 24 * HOUR;
    assert_eq!(sim.pass(59 * SECOND).len(), 1);
    sim.set_by = 0;
    assert_eq!(sim.pass(HOUR), [Step::Withdrawn]);
    assert_eq!(sim.now(), began_at + 59 * SECOND + HOUR);
}

#[test]
fn another_step_or_silence_begins_the_minute_anew() {
    let mut sim = Simulation::new();
    sim.set_by += HOUR;
    sim.pass(50 * SECOND);
    sim.set_by += HOUR;
    assert_eq!(sim.pass(60 * SECOND), [Step::Forward(seconds(7_200))]);
    sim.moment += 11 * SECOND;
    assert_eq!(sim.pass(60 * SECOND), [], "nobody has confirmed what was between");
    assert_eq!(sim.pass(2 * SECOND).len(), 1);
    assert_eq!(sim.ahead(), 0);
}

#[test]
fn a_drift_is_made_up_for_without_a_step() {
    for drift in [5 * SECOND, -5 * SECOND, 1, -1] {
        let mut sim = Simulation::new();
        sim.set_by += drift;
        assert_eq!(sim.pass(12 * SECOND), []);
        assert_eq!(sim.ahead(), 0, "{drift}");
    }
}

#[test]
fn an_answer_that_was_long_in_coming_says_no_more_than_it_can() {
    let mut sim = Simulation::new();
    assert_eq!(sim.poll(20 * SECOND, 0), None);
    assert_eq!(sim.poll(0, 20 * SECOND), None);
    assert_eq!(sim.ahead(), 0);
}

#[test]
fn time_begins_after_what_is_on_record_whatever_the_clock_says() {
    let mut sim = Simulation::new();
    sim.pass(10 * SECOND);
    let recorded = Timestamp::from_micros(sim.now());

    let again = sim.restarted(recorded);
    assert_eq!((again.now(), again.anchor.behind_record(again.monotonic())), (sim.now(), None));

    sim.set_by -= 5 * SECOND;
    let mut again = sim.restarted(recorded);
    assert_eq!(
        (again.now(), again.anchor.behind_record(again.monotonic())),
        (sim.now(), None),
        "another server's time"
    );
    assert_eq!(again.pass(12 * SECOND), []);
    assert_eq!(again.ahead(), 0);

    sim.set_by += 5 * SECOND - HOUR;
    let mut again = sim.restarted(recorded);
    let past_the_record = recorded.plus(UNRECORDED).as_micros();
    assert_eq!(again.now(), past_the_record);
    assert_eq!(again.anchor.behind_record(again.monotonic()), Some(seconds(3_600)));
    assert_eq!(again.pass(HOUR), [], "that is told when it begins");
    assert!(again.anchor.behind_record(again.monotonic()).is_none());
    again.pass(HOUR + 2 * micros(UNRECORDED));
    assert_eq!(again.ahead(), 0);

    let by_the_clock = Anchor::by_the_anchor(sim.reading(0, 0), recorded);
    assert_eq!(by_the_clock.course().at(sim.monotonic()).as_micros(), sim.anchor_says(sim.moment));
    assert_eq!(by_the_clock.behind_record(sim.monotonic()), Some(seconds(3_600)));
}

#[test]
fn the_farthest_instants_do_no_harm() {
    let mut sim = Simulation::new();
    for time in [i64::MAX, i64::MIN, 0, i64::MAX] {
        let reading = Reading { time: Timestamp::from_micros(time), ..sim.reading(0, 0) };
        for _ in 0..100 {
            sim.moment += SECOND;
            let moment = sim.monotonic();
            sim.anchor.observe(Reading { asked_at: moment, answered_at: moment, ..reading }, moment);
            let _ = sim.anchor.course().until(Timestamp::from_micros(i64::MIN), moment);
            let _ = sim.anchor.behind_record(moment);
        }
    }
}

/// What happens in a simulated while.
#[derive(Clone, Debug)]
enum Event {
    /// So long nothing; then a poll with such a way there and back.
    Poll(i64, i64, i64),
    /// So long nobody answers.
    Silence(i64),
    /// The anchor is set by so much.
    Set(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let small = || prop_oneof![3 => Just(0_i64), 3 => 0..20_000_i64, 1 => 0..2 * SECOND];
    let event = prop_oneof![
        20 => (1..2 * SECOND, small(), small()).prop_map(|(pause, there, back)| Event::Poll(pause, there, back)),
        1 => (0..100 * SECOND).prop_map(Event::Silence),
        2 => (-HOUR..HOUR).prop_map(Event::Set),
        1 => (-10 * SECOND..10 * SECOND).prop_map(Event::Set),
    ];
    prop::collection::vec(event, 1..300)
}

proptest! {
    #[test]
    fn time_never_goes_back_keeps_its_pace_and_in_the_end_follows(events in events()) {
        let mut sim = Simulation::new();
        // Since when the anchor has been ahead by more than a step.
        let mut ahead_since = None;
        for event in events {
            let (before, moment) = (sim.now(), sim.moment);
            let step = match event {
                Event::Poll(pause, there, back) => {
                    sim.moment += pause;
                    sim.poll(there, back)
                }
                Event::Silence(pause) => {
                    sim.moment += pause;
                    None
                }
                Event::Set(by) => {
                    sim.set_by += by;
                    None
                }
            };
            let (passed, took) = (sim.now() - before, sim.moment - moment);
            match step {
                Some(Step::Followed(by)) => {
                    let since = ahead_since.expect("it was ahead");
                    prop_assert!(sim.moment - since >= micros(CONFIRMED), "confirmed for {}", sim.moment - since);
                    prop_assert!(passed >= took / 2 && passed <= took * 3 / 2 + micros(by) + 1);
                }
                // A microsecond of rounding.
                _ => prop_assert!(passed >= took / 2 - 1 && passed <= took * 3 / 2 + 1, "{passed} in {took}"),
            }
            prop_assert!(passed >= 0, "back by {passed}");
            if sim.ahead() <= micros(STEP) {
                ahead_since = None;
            } else {
                ahead_since.get_or_insert(moment);
            }
        }
        let off = sim.ahead();
        sim.pass(2 * off.min(0).abs() + 90 * SECOND);
        prop_assert_eq!(sim.ahead(), 0, "it was off by {}", off);
    }

    #[test]
    fn an_instant_comes_when_it_was_said_to(
        slew in -HOUR..HOUR, passed in 0..3 * HOUR, left in -HOUR..3 * HOUR,
    ) {
        let course = Course { from: at(0), time: Timestamp::from_micros(EPOCH), slew };
        let moment = at(passed);
        let instant = plus(course.at(moment), left);
        let wait = course.until(instant, moment);
        let reached = difference(course.at(Monotonic(moment.0 + wait)), instant);
        if left <= 0 {
            prop_assert_eq!(wait, Duration::ZERO);
        } else {
            prop_assert!((-2..=2).contains(&reached), "off by {reached}");
        }
    }
}
