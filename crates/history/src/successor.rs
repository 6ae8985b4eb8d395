//! The run that follows a closed one: by continue-as-new, retry, or cron schedule. [trap 14]

use std::time::Duration;

use helve_schedule::cron;

use crate::{
    Reply, StartRun, Transition,
    draft::Draft,
    proto::{
        ContinueAsNewInitiator, Failure, Memo, Payloads, SearchAttributes, WorkflowExecutionStartedEventAttributes,
    },
    start::begin,
    timestamp::proto_duration,
};

/// A run that was decided to follow.
pub(crate) struct Successor(pub(crate) Box<Transition>);

impl Successor {
    /// The id of the run that follows, as close events name it.
    pub(crate) fn run_id(successor: Option<&Self>) -> String {
        successor
            .map(|Self(transition)| transition.key().run_id.clone())
            .unwrap_or_default()
    }
}

impl Draft<'_> {
    /// The next attempt of a failed run.
    pub(crate) fn retry_successor(&self, backoff: Duration, failure: Failure) -> Successor {
        let attributes = WorkflowExecutionStartedEventAttributes {
            attempt: i32::try_from(self.run_attempt() + 1).unwrap_or(i32::MAX),
            initiator: ContinueAsNewInitiator::Retry.into(),
            continued_failure: Some(failure),
            ..self.inherited()
        };
        self.successor(attributes, backoff)
    }

    /// The next turn of a cron schedule, if the run has one.
    pub(crate) fn cron_successor(&self, result: Option<Payloads>, failure: Option<Failure>) -> Option<Successor> {
        let started = &self.state().recorded.started;
        let backoff = cron::backoff(
            &started.attributes.cron_schedule,
            self.state().execution_time().into(),
            self.now.into(),
        )?;
        let attributes = WorkflowExecutionStartedEventAttributes {
            initiator: ContinueAsNewInitiator::CronSchedule.into(),
            continued_failure: failure,
            // A turn that brings no result hands on the one before.
            last_completion_result: result.or_else(|| started.attributes.last_completion_result.clone()),
            ..self.inherited()
        };
        Some(self.successor(attributes, backoff))
    }

    /// The memo and the search attributes as the run has made them.
    pub(crate) fn properties(&self) -> (Option<Memo>, Option<SearchAttributes>) {
        let recorded = &self.state().recorded;
        let memo = Memo {
            fields: (*recorded.memo).clone(),
        };
        let search_attributes = SearchAttributes {
            indexed_fields: (*recorded.search_attributes).clone(),
        };
        (
            (!memo.fields.is_empty()).then_some(memo),
            (!search_attributes.indexed_fields.is_empty()).then_some(search_attributes),
        )
    }

    /// What every successor takes over from this run: all that its starter gave it, and its place in the chain.
    pub(crate) fn inherited(&self) -> WorkflowExecutionStartedEventAttributes {
        let state = self.state();
        WorkflowExecutionStartedEventAttributes {
            attempt: 1,
            continued_execution_run_id: state.key.run_id.clone(),
            first_execution_run_id: state.first_run_id().to_owned(),
            original_execution_run_id: self.env.fresh_run_id.to_owned(),
            continued_failure: None,
            identity: String::new(),
            workflow_execution_expiration_time: state.recorded.execution_expiration().map(Into::into),
            ..state.started_attributes().clone()
        }
    }

    pub(crate) fn successor(
        &self,
        mut attributes: WorkflowExecutionStartedEventAttributes,
        backoff: Duration,
    ) -> Successor {
        attributes.first_workflow_task_backoff = Some(proto_duration(self.paced(backoff)));
        let request = StartRun {
            key: self.state().key.with_run_id(self.env.fresh_run_id),
            attributes: Box::new(attributes),
            request_id: self.env.fresh_run_id.to_owned(),
            signal: None,
            update: None,
            user_metadata: self.state().user_metadata().cloned(),
            links: self.state().recorded.started.links.clone(),
            on_conflict: None,
            eager: false,
            activity: None,
        };
        let mut draft = begin(request, &self.env);
        draft.wake();
        Successor(Box::new(draft.finish(Reply::Started)))
    }

    /// Runs of a chain follow each other at a least distance, against workflows that do nothing but continue as new.
    fn paced(&self, backoff: Duration) -> Duration {
        let lifetime = self.now.since(self.state().execution_time());
        let least = self.env.limits.continue_as_new_min_interval;
        if lifetime + backoff < least {
            least - lifetime
        } else {
            backoff
        }
    }
}
