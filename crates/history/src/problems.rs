//! What the run shows of workflow tasks that do not succeed, however often they are tried: the search attribute
//! `TemporalReportedProblems`, by which operators find stuck workflows. No event says it.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    RunState,
    draft::Draft,
    proto::{Payload, TimeoutType, WorkflowTaskFailedCause},
};

/// The search attribute.
const ATTRIBUTE: &str = "TemporalReportedProblems";

/// What happened to workflow tasks since one succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Problems {
    /// Tasks that failed or timed out; not those that a sticky worker lost.
    pub(crate) failures: u32,
    /// What became of the last one that history tells of.
    pub(crate) last: Option<Problem>,
    /// The problem that the run shows.
    pub(crate) reported: Option<Problem>,
}

/// What became of a workflow task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Failed(WorkflowTaskFailedCause),
    TimedOut(TimeoutType),
}

impl Problem {
    fn payload(self) -> Payload {
        let (category, cause, prefix) = match self {
            Self::Failed(cause) => ("WorkflowTaskFailed", cause.as_str_name(), "WORKFLOW_TASK_FAILED_CAUSE_"),
            Self::TimedOut(kind) => ("WorkflowTaskTimedOut", kind.as_str_name(), "TIMEOUT_TYPE_"),
        };
        let cause = camel_case(cause.trim_start_matches(prefix));
        let encoding = ("encoding".to_owned(), b"json/plain".to_vec());
        Payload {
            metadata: HashMap::from([encoding]),
            data: format!(r#"["category={category}","cause={category}Cause{cause}"]"#).into_bytes(),
            ..Payload::default()
        }
    }
}

/// `SOME_NAME` as `SomeName`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_').filter(|word| !word.is_empty()) {
        camel.push_str(&word[..1]);
        camel.push_str(&word[1..].to_ascii_lowercase());
    }
    camel
}

impl RunState {
    /// Its search attributes: those of its history, and what the engine reports beside them.
    pub fn search_attributes(&self) -> Cow<'_, HashMap<String, Payload>> {
        let recorded = &*self.recorded.search_attributes;
        match self.facts.problems.reported {
            None => Cow::Borrowed(recorded),
            Some(problem) => {
                let mut all = recorded.clone();
                all.insert(ATTRIBUTE.to_owned(), problem.payload());
                Cow::Owned(all)
            }
        }
    }
}

impl Draft<'_> {
    /// History tells that a workflow task did not succeed.
    pub(crate) fn note_problem(&mut self, problem: Problem) {
        self.edit().facts.problems.last = Some(problem);
    }

    /// An attempt is over without success; `counts` unless it may be the worker's cache that is to blame.
    pub(crate) fn count_failed_task(&mut self, counts: bool) {
        let limit = self.env.limits.failed_tasks_reported;
        let problems = &mut self.edit().facts.problems;
        problems.failures = problems.failures.saturating_add(counts.into());
        if problems.failures >= limit {
            problems.reported = problems.last;
        }
    }

    /// A workflow task succeeded.
    pub(crate) fn clear_problems(&mut self) {
        if self.state().facts.problems != Problems::default() {
            self.edit().facts.problems = Problems::default();
        }
    }
}
