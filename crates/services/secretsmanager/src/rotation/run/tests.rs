//! What comes next, and when, without a store.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_iso(text).unwrap()
}

fn noon() -> Timestamp {
    at("2026-01-01T12:00:00.000Z")
}

fn window(opens_at: &str, closes_at: &str) -> WindowRecord {
    WindowRecord { opens_at: at(opens_at), closes_at: at(closes_at) }
}

fn rotation(window: Option<WindowRecord>) -> RotationRecord {
    RotationRecord { enabled: true, window, ..RotationRecord::default() }
}

fn run() -> RunRecord {
    let mut run = RunRecord { secret_arn: String::from("arn"), ..RunRecord::default() };
    run.begin(ActionRecord::new("v2", String::from("token"), None), noon());
    run
}

fn failure() -> FailureRecord {
    FailureRecord { message: String::from("no"), ..FailureRecord::default() }
}

/// The instant, the step and the attempt that come next.
fn next(run: &RunRecord) -> (Option<String>, String, i64) {
    let action = run.action.clone().unwrap_or_default();
    (run.due_at.map(Timestamp::to_iso_seconds), action.step, action.attempt)
}

#[test]
fn four_steps_in_order_and_then_it_is_over() {
    let mut run = run();
    let mut steps = Vec::new();
    loop {
        steps.push(run.action.as_ref().unwrap().step.clone());
        if run.advance(noon()) {
            break;
        }
    }
    assert_eq!(steps, ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    let mut test = RunRecord::default();
    test.begin(ActionRecord::test("v3", String::from("token")), noon());
    assert_eq!(test.action.as_ref().unwrap().step, "testSecret");
    assert!(test.advance(noon()), "a test is one step");
}

#[test]
fn a_failure_starts_again_from_the_first_step_five_times_each_wait_twice_the_last() {
    let mut run = run();
    run.advance(noon());
    let mut seen = Vec::new();
    for _ in 0..5 {
        run.fail(failure(), &rotation(None), noon());
        seen.push(next(&run));
    }
    let create = String::from("createSecret");
    let after = |minutes: u32| Some(noon().plus(Duration::from_secs(60) * minutes).to_iso_seconds());
    assert_eq!(
        seen,
        [
            (after(1), create.clone(), 2),
            (after(2), create.clone(), 3),
            (after(4), create.clone(), 4),
            (after(8), create.clone(), 5),
            // Without a schedule there is no next window: it rests for a day.
            (after(24 * 60), create.clone(), 1),
        ]
    );
    run.retry(noon());
    assert_eq!(next(&run), (Some(noon().to_iso_seconds()), create, 1));
}

#[test]
fn what_would_be_tried_after_the_window_waits_for_the_next_one() {
    let next_window = rotation(Some(window("2026-01-02T00:00:00.000Z", "2026-01-02T01:00:00.000Z")));
    let mut run = run();
    run.action.as_mut().unwrap().closes_at = Some(noon().plus(Duration::from_secs(90)));
    run.fail(failure(), &next_window, noon());
    assert_eq!(next(&run).2, 2);
    run.fail(failure(), &next_window, noon().plus(Duration::from_secs(61)));
    let (due, step, attempt) = next(&run);
    assert!(due.unwrap().starts_with("2026-01-02T00:0"));
    assert_eq!((step.as_str(), attempt), ("createSecret", 1));
}

#[test]
fn a_window_that_has_opened_meanwhile_is_the_next_one() {
    let open = rotation(Some(window("2026-01-01T11:00:00.000Z", "2026-01-01T23:00:00.000Z")));
    let mut run = run();
    run.action.as_mut().unwrap().attempt = ATTEMPTS_MAX;
    run.fail(failure(), &open, noon());
    assert_eq!(next(&run).0, Some(noon().plus(back_off(ATTEMPTS_MAX)).to_iso_seconds()));
    let action = run.action.unwrap();
    assert!(action.begins_in(open.window.as_ref(), noon()));
    assert!(!action.begins_in(open.window.as_ref(), noon().plus_days(-1)), "it is not open yet");
    let under_way = ActionRecord { begun_at: Some(noon()), ..action };
    assert!(!under_way.begins_in(open.window.as_ref(), noon()));
}

#[test]
fn secrets_whose_windows_open_at_once_begin_one_after_the_other() {
    let hour = window("2026-01-02T00:00:00.000Z", "2026-01-02T01:00:00.000Z");
    let turns: std::collections::BTreeSet<_> =
        (0..100).map(|number| turn(&format!("arn-{number}"), &hour).millis()).collect();
    assert!(turns.len() > 90);
    let (first, last) = (turns.first().unwrap(), turns.last().unwrap());
    assert!(*first >= hour.opens_at.millis());
    assert!(*last <= hour.opens_at.plus(SPREAD_MAX).millis());
    assert!(last - first > 200_000, "over most of five minutes");
}
