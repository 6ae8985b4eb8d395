//! Requests that a run remembers by their ids, and the links that came with them.

use helve_history::{Attachment, Input, Limits, Rejection, check_links};
use temporalio_protos::temporal::api::{
    common::v1::{Link, link},
    enums::v1::EventType,
    workflow::v1::{OnConflictOptions, RequestIdInfo},
};

use crate::scenario::*;

fn link_to(workflow_id: &str) -> Link {
    let event = link::WorkflowEvent {
        namespace: "default".to_owned(),
        workflow_id: workflow_id.to_owned(),
        run_id: "its-run".to_owned(),
        reference: None,
    };
    Link {
        variant: Some(link::Variant::WorkflowEvent(event)),
    }
}

fn attach(request_id: &str) -> Input {
    Input::Attach(Attachment {
        request_id: request_id.to_owned(),
        links: vec![link_to("caller")],
    })
}

fn remembered(s: &Scenario, request_id: &str) -> Option<RequestIdInfo> {
    let extended = s.state.describe().workflow_extended_info.unwrap();
    extended.request_id_infos.get(request_id).copied()
}

#[test]
fn what_a_start_leaves_with_a_running_workflow_is_there_once_and_wakes_nobody() {
    let mut s = Scenario::start();
    s.run(vec![]);
    s.ok(attach("second"));
    let event = s.last(EventType::WorkflowExecutionOptionsUpdated).clone();
    let a = attributes!(event, WorkflowExecutionOptionsUpdatedEventAttributes);
    assert_eq!(a.attached_request_id, "second");
    assert_eq!(event.links, [link_to("caller")]);
    assert!(event.worker_may_ignore);
    assert!(s.ready_workflow_task().is_none());
    let length = s.state.history_length();
    s.ok(attach("second"));
    assert_eq!(s.state.history_length(), length);
    let info = remembered(&s, "second").unwrap();
    assert_eq!((info.event_id, info.buffered), (event.event_id, false));
    assert_eq!(info.event_type(), EventType::WorkflowExecutionOptionsUpdated);
    let start = remembered(&s, "start-request").unwrap();
    assert_eq!(
        (start.event_id, start.event_type()),
        (1, EventType::WorkflowExecutionStarted)
    );
}

/// [trap 1]
#[test]
fn what_is_left_during_a_workflow_task_is_remembered_before_it_has_its_place() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.ok(attach("second"));
    let waiting = remembered(&s, "second").unwrap();
    assert_eq!((waiting.event_id, waiting.buffered), (0, true));
    s.crash();
    assert!(s.state.knows_request("second"));
    s.complete(&task, vec![]);
    let info = remembered(&s, "second").unwrap();
    let event = s.last(EventType::WorkflowExecutionOptionsUpdated);
    assert_eq!((info.event_id, info.buffered), (event.event_id, false));
}

#[test]
fn nothing_is_left_with_a_closed_workflow_but_it_remembers_what_was() {
    let mut s = Scenario::start();
    s.ok(attach("second"));
    s.run(vec![complete_workflow()]);
    s.ok(attach("second"));
    assert!(matches!(s.send(attach("third")), Err(Rejection::NotFound(_))));
}

#[test]
fn an_update_is_remembered_by_its_request() {
    let mut s = Scenario::start();
    s.run(vec![]);
    let mut asked = update("u");
    asked.request.request_id = "asked".to_owned();
    s.ok(Input::Update(Box::new(asked)));
    assert!(!s.state.knows_request("asked"), "nothing is promised yet");
    let task = s.poll();
    s.answer(&task, vec![accepting(&task, "u")]);
    let info = remembered(&s, "asked").unwrap();
    let accepted = s.last(EventType::WorkflowExecutionUpdateAccepted);
    assert_eq!(
        (info.event_id, info.event_type()),
        (accepted.event_id, accepted.event_type())
    );
}

#[test]
fn a_start_says_what_it_leaves_with_a_run_that_is_there() {
    use helve_history::{Env, StartRun, Timestamp};
    let limits = Limits::default();
    let env = Env {
        now: Timestamp::EPOCH,
        limits: &limits,
        namespace_id: NAMESPACE_ID,
        fresh_run_id: "fresh",
        search_attributes: Default::default(),
    };
    let left = |attach_request_id, attach_links| {
        let mut request = request();
        request.links = vec![link_to("caller")];
        request.on_conflict_options = Some(OnConflictOptions {
            attach_request_id,
            attach_completion_callbacks: false,
            attach_links,
        });
        StartRun::from_request(request, "run", &env)
            .unwrap()
            .on_conflict
            .unwrap()
    };
    assert_eq!(left(false, false), Attachment::default());
    assert_eq!(left(true, false).request_id, "start-request");
    assert_eq!(left(false, true).links, [link_to("caller")]);
    assert_eq!(
        StartRun::from_request(request(), "run", &env).unwrap().on_conflict,
        None
    );
}

#[test]
fn links_are_few_small_and_complete() {
    let limits = Limits::default();
    let check = |links: &[Link]| match check_links(links, &limits) {
        Ok(()) => String::new(),
        Err(rejection) => rejection.to_string(),
    };
    assert_eq!(check(&vec![link_to("w"); 10]), "");
    assert!(check(&vec![link_to("w"); 11]).contains("more than 10 links"));
    assert!(check(&[link_to(&"w".repeat(4000))]).contains("link exceeds allowed size of 4000"));
    assert!(check(&[link_to("")]).contains("empty workflow ID field"));
    assert!(check(&[Link::default()]).contains("unsupported link variant"));
}

/// [trap 14]
#[test]
fn a_chain_of_runs_keeps_the_links_of_its_start() {
    let start = || {
        Scenario::start_with(|r| {
            r.links = vec![link_to("caller")];
            r.retry_policy = retry(3);
        })
    };
    for end in [continue_as_new(), fail_workflow(failure("no"))] {
        let mut s = start();
        s.run(vec![end]);
        let next = s.follow();
        assert_eq!(next.stored.events[0].links, [link_to("caller")]);
    }
}

/// [trap 15]
#[test]
fn what_was_left_after_the_point_of_a_reset_stays_with_the_new_run() {
    let mut old = Scenario::start();
    old.run(vec![]);
    let request = helve_history::ResetRequest {
        event_id: old.last(EventType::WorkflowTaskCompleted).event_id,
        reason: "bad code".to_owned(),
        request_id: "reset-request".to_owned(),
        ..Default::default()
    };
    old.ok(attach("second"));
    let new = old.reset(&request).unwrap();
    let event = new.last(EventType::WorkflowExecutionOptionsUpdated);
    assert_eq!(event.links, [link_to("caller")]);
    assert!(new.state.knows_request("second"));
}
