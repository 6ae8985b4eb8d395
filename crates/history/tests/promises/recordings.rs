//! Histories that the real Temporal server wrote fold into states without a contradiction. They lie with the conformance
//! tests, which record them and replay them in the SDK.

use std::{fs, path::Path};

use helve_history::{RunKey, RunKind, RunState};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::{EventType, WorkflowExecutionStatus},
    history::v1::{History, HistoryEvent, history_event::Attributes},
};

use crate::invariants::check_prefixes;

struct Recording {
    name: String,
    key: RunKey,
    events: Vec<HistoryEvent>,
}

impl Recording {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let History { events } = History::decode(bytes.as_slice()).unwrap();
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events[0].attributes else {
            panic!("{} does not begin with a start", path.display());
        };
        let key = RunKey {
            namespace: "default".to_owned(),
            kind: RunKind::Workflow,
            workflow_id: started.workflow_id.clone(),
            run_id: started.original_execution_run_id.clone(),
        };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, key, events }
    }

    fn fold(&self, length: usize) -> RunState {
        RunState::rebuild(self.key.clone(), self.events[..length].to_vec(), &[], &[], &[])
            .unwrap_or_else(|error| panic!("{}, first {length} events: {error}", self.name))
    }
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/histories");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 16, "only {} recordings", paths.len());
    paths.iter().map(|path| Recording::read(path)).collect()
}

fn status_after(event: &HistoryEvent) -> WorkflowExecutionStatus {
    match event.event_type() {
        EventType::WorkflowExecutionCompleted => WorkflowExecutionStatus::Completed,
        EventType::WorkflowExecutionFailed => WorkflowExecutionStatus::Failed,
        EventType::WorkflowExecutionTimedOut => WorkflowExecutionStatus::TimedOut,
        EventType::WorkflowExecutionCanceled => WorkflowExecutionStatus::Canceled,
        EventType::WorkflowExecutionTerminated => WorkflowExecutionStatus::Terminated,
        EventType::WorkflowExecutionContinuedAsNew => WorkflowExecutionStatus::ContinuedAsNew,
        _ => WorkflowExecutionStatus::Running,
    }
}

#[test]
fn every_prefix_of_a_recorded_history_is_a_state() {
    for recording in recordings() {
        for length in 1..=recording.events.len() {
            let state = recording.fold(length);
            let last = &recording.events[length - 1];
            let place = format!(
                "{}, event {length} ({})",
                recording.name,
                last.event_type().as_str_name()
            );
            assert_eq!(state.status(), status_after(last), "{place}");
            let is_open = state.describe_execution().close_time.is_none();
            assert_eq!(is_open, state.is_running(), "{place}");
        }
    }
}

#[test]
fn what_a_recorded_history_waits_for_is_what_it_began_and_did_not_end() {
    for recording in recordings() {
        check_prefixes(&recording.key, &recording.events, 1);
    }
}
