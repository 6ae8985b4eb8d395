//! Logs of things and of histories, and logs in files.

use helve_judge::{Broken, Call, Entry, HistoryEvent, Log, Outcome, judge};

fn entry(outcome: Outcome, call: Call) -> Entry {
    Entry {
        client: 1,
        began: 1,
        ended: 2,
        outcome,
        call,
    }
}

fn ask(outcome: Outcome, name: &str) -> Entry {
    let (kind, name) = ("signal".to_owned(), name.to_owned());
    entry(outcome, Call::Ask { kind, name })
}

fn found(name: &str) -> Entry {
    let (kind, name) = ("signal".to_owned(), name.to_owned());
    entry(Outcome::Done, Call::Found { kind, name })
}

fn searched() -> Entry {
    let kind = "signal".to_owned();
    entry(Outcome::Done, Call::Searched { kind })
}

fn violations(entries: &[Entry]) -> Vec<String> {
    let log = Log {
        entries: entries.to_vec(),
    };
    judge(&log)
        .violations
        .into_iter()
        .map(|violation| violation.what)
        .collect()
}

const DONE: Outcome = Outcome::Done;

#[test]
fn what_was_acknowledged_is_there_once_and_what_was_not_may_be() {
    assert!(violations(&[ask(DONE, "a"), found("a"), searched()]).is_empty());
    assert!(violations(&[ask(Outcome::Unknown, "a"), found("a"), searched()]).is_empty());
    assert!(violations(&[ask(Outcome::Unknown, "a"), searched()]).is_empty());
    assert!(
        violations(&[ask(Outcome::Unknown, "a"), ask(DONE, "a"), found("a"), searched()]).is_empty(),
        "it was asked for again"
    );
    assert_eq!(
        violations(&[ask(DONE, "a"), searched()]),
        ["signal a was acknowledged, and is not there"]
    );
    assert_eq!(
        violations(&[ask(DONE, "a"), found("a"), found("a"), searched()]),
        ["signal a is there 2 times"]
    );
    assert_eq!(
        violations(&[found("a"), searched()]),
        ["signal a is there, and nobody asked for it"]
    );
    assert_eq!(
        violations(&[ask(Outcome::Failed, "a"), found("a"), searched()]),
        ["signal a was refused, and is there"]
    );
}

fn event(id: i64, kind: &str, of: Option<i64>) -> HistoryEvent {
    HistoryEvent {
        id,
        kind: kind.to_owned(),
        of,
        asked: None,
    }
}

fn good_history() -> Vec<HistoryEvent> {
    vec![
        event(1, "WorkflowExecutionStarted", None),
        event(2, "WorkflowTaskScheduled", None),
        event(3, "WorkflowTaskStarted", Some(2)),
        event(4, "WorkflowTaskCompleted", Some(2)),
        event(5, "ActivityTaskScheduled", Some(4)),
        event(6, "TimerStarted", Some(4)),
        event(7, "ActivityTaskStarted", Some(5)),
        event(8, "ActivityTaskCompleted", Some(5)),
        event(9, "TimerFired", Some(6)),
        event(10, "WorkflowExecutionCompleted", Some(4)),
    ]
}

fn of_history(events: Vec<HistoryEvent>) -> Vec<String> {
    let workflow = "w".to_owned();
    let call = Call::History {
        workflow,
        events,
        closed: true,
    };
    violations(&[entry(DONE, call)])
}

#[test]
fn a_history_is_contiguous_and_closed_and_ends_nothing_twice() {
    assert!(of_history(good_history()).is_empty());
    let changed = |change: fn(&mut Vec<HistoryEvent>)| {
        let mut events = good_history();
        change(&mut events);
        for (event, id) in events.iter_mut().zip(1..) {
            event.id = id;
        }
        of_history(events).join("; ")
    };
    let mut gap = good_history();
    gap.remove(4);
    assert_eq!(of_history(gap), ["history of w: event 6 is where 5 should be"]);
    assert!(changed(|events| events.truncate(9)).contains("not closed"));
    assert!(changed(|events| events.push(event(0, "TimerFired", Some(6)))).contains("follow its end"));
    assert!(changed(|events| events.insert(8, event(0, "ActivityTaskCompleted", Some(5)))).contains("ends twice"));
    assert!(changed(|events| events.insert(8, event(0, "TimerFired", Some(5)))).contains("no TimerStarted"));
    assert!(changed(|events| events.insert(8, event(0, "TimerFired", None))).contains("ends nothing"));
    assert!(changed(|events| events.insert(8, event(0, "WorkflowExecutionFailed", None))).contains("more than once"));
    assert!(changed(|events| events.swap(0, 1)).contains("begins with"));
    let twice = changed(|events| {
        for place in [8, 9] {
            let mut signal = event(0, "WorkflowExecutionSignaled", None);
            signal.asked = Some("s".to_owned());
            events.insert(place, signal);
        }
    });
    assert!(twice.contains("`s` is there twice"), "{twice}");
}

#[test]
fn a_log_comes_out_of_a_file_as_it_went_in() {
    let history = Call::History {
        workflow: "w".to_owned(),
        events: good_history(),
        closed: true,
    };
    let swap = Call::Swap {
        key: "k".to_owned(),
        expected: None,
        value: 7,
        swapped: false,
    };
    let log = Log {
        entries: vec![
            ask(Outcome::Unknown, "ä\n"),
            found("a"),
            entry(DONE, history),
            entry(Outcome::Failed, swap),
        ],
    };
    let mut bytes = Vec::new();
    log.write(&mut bytes).expect("memory takes everything");
    assert_eq!(Log::read(&bytes[..]).expect("it was written"), log);
    let damaged = [&bytes[..], b"{\"client\": 1}\n"].concat();
    let Err(Broken::Line { line: 5, .. }) = Log::read(&damaged[..]) else {
        panic!("a line that is no call is refused");
    };
}

#[test]
fn the_program_says_what_is_wrong_and_leaves_with_an_exit_code() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("log");
    let run = |entries: Vec<Entry>| {
        let log = Log { entries };
        log.write(std::fs::File::create(&file).expect("a file of the test's own"))
            .expect("it can be written");
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_helve-judge"))
            .arg(&file)
            .output()
            .expect("it was built");
        (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
    };
    let (code, said) = run(vec![ask(DONE, "a"), found("a"), searched()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("every promise was kept"));
    let (code, said) = run(vec![ask(DONE, "a"), searched()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("signal a was acknowledged, and is not there"), "{said}");
    assert!(said.contains("line 1: client 1"), "{said}");
}
