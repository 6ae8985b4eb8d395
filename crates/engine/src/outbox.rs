//! Messages from run to run: delivered at least once, without ever holding two runs' locks.
//!
//! A message is owed until the run that owes it is told of its delivery. Delivering it twice is harmless: starts and
//! signals carry request ids made from the sender's event, and everything else is refused the second time.

use std::{sync::Arc, time::Duration};

use helve_history::{ChildClosed, Input, Message, MessageBody, MessageId, ParentRef, Rejection, Reply};
use temporalio_protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedCause,
        StartChildWorkflowExecutionFailedCause,
    },
};

use crate::{
    error::{Failed, Fault},
    find::Target,
    run::Slot,
    shell::Shell,
};

/// The first pause after a delivery that the engine could not make (a full disk, say); doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Delivers a message and tells its sender. Gives up only when the engine stops: the next start begins again.
pub(crate) async fn deliver(shell: Arc<Shell>, sender: Arc<Slot>, message: Message) {
    let mut pause = FIRST_PAUSE;
    loop {
        let result = match shell.deliver(&sender, &message).await {
            Ok(answer) => shell.apply(&sender, answer, |_, _| ()).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => return,
            // The sender does not care any more.
            Err(Failed::Rejected(rejection)) if !is_temporary(&rejection) => {
                tracing::debug!(run = %sender.key, id = ?message.id, %rejection, "a delivery was not acknowledged");
                return;
            }
            Err(Failed::Fault(Fault::ShuttingDown)) => return,
            // A store that cannot write says so itself, once and not for every message.
            Err(Failed::Fault(Fault::Unavailable(_))) => {}
            Err(error) => tracing::warn!(run = %sender.key, id = ?message.id, %error, "a delivery is tried again"),
        }
        if !shell.sleep(pause).await {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_temporary(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::Busy { .. })
}

impl Shell {
    /// Delivers; answers what the sender is to be told. An error means: try again.
    async fn deliver(self: &Arc<Self>, sender: &Arc<Slot>, message: &Message) -> Result<Input, Failed> {
        match (&message.body, message.id) {
            (MessageBody::StartChild(child), MessageId::StartChild(initiated_event_id)) => {
                Ok(match self.start_child(sender, child).await {
                    Ok(run_id) => Input::ChildStarted {
                        initiated_event_id,
                        run_id,
                    },
                    Err(Failed::Rejected(rejection)) if !is_temporary(&rejection) => {
                        let cause = match rejection {
                            Rejection::AlreadyStarted { .. } => {
                                StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists
                            }
                            _ => StartChildWorkflowExecutionFailedCause::Unspecified,
                        };
                        Input::ChildStartFailed {
                            initiated_event_id,
                            cause,
                        }
                    }
                    Err(error) => return Err(error),
                })
            }
            (MessageBody::SignalExternal { target, signal }, MessageId::SignalExternal(initiated_event_id)) => Ok(
                match self.tell(sender, target, Input::Signal((**signal).clone())).await? {
                    None => Input::ExternalSignalDelivered { initiated_event_id },
                    Some(rejection) => Input::ExternalSignalFailed {
                        initiated_event_id,
                        cause: signal_cause(&rejection),
                    },
                },
            ),
            (MessageBody::CancelExternal { target, request }, MessageId::CancelExternal(initiated_event_id)) => Ok(
                match self
                    .tell(sender, target, Input::RequestCancel((**request).clone()))
                    .await?
                {
                    None => Input::ExternalCancelDelivered { initiated_event_id },
                    Some(_) => Input::ExternalCancelFailed {
                        initiated_event_id,
                        cause: CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
                    },
                },
            ),
            (
                MessageBody::TerminateChild {
                    workflow_id,
                    termination,
                },
                id,
            ) => {
                let input = Input::Terminate((**termination).clone());
                self.tell(sender, &current(workflow_id), input).await?;
                Ok(Input::MessageDelivered { id })
            }
            (MessageBody::CancelChild { workflow_id, request }, id) => {
                let input = Input::RequestCancel((**request).clone());
                self.tell(sender, &current(workflow_id), input).await?;
                Ok(Input::MessageDelivered { id })
            }
            (MessageBody::ChildClosed { parent, closed }, id) => {
                self.tell_parent(sender, parent, closed).await?;
                Ok(Input::MessageDelivered { id })
            }
            (MessageBody::WasReset { base_run_id }, id) => {
                let target = WorkflowExecution {
                    workflow_id: sender.key.workflow_id.clone(),
                    run_id: base_run_id.clone(),
                };
                let run_id = sender.key.run_id.clone();
                self.tell(sender, &target, Input::WasReset { run_id }).await?;
                Ok(Input::MessageDelivered { id })
            }
            (body, id) => Err(Fault::Bug(format!("message {id:?} has the body of another: {body:?}")).into()),
        }
    }

    /// Tells a child's parent, or whatever run resets made of it, that the child closed.
    async fn tell_parent(
        self: &Arc<Self>,
        sender: &Slot,
        parent: &ParentRef,
        closed: &ChildClosed,
    ) -> Result<(), Failed> {
        let mut run_id = parent.run_id.clone();
        loop {
            let target = Target::workflow(parent.workflow_id.clone(), run_id);
            let input = Input::ChildClosed(Box::new(closed.clone()));
            match self.apply_to(&sender.namespace, &target, input, |_, reply| reply).await {
                Ok(Reply::WasReset { run_id: next }) => run_id = next,
                Ok(_) => return Ok(()),
                Err(Failed::Rejected(rejection)) if !is_temporary(&rejection) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives an input to another run of the sender's namespace; `Some` if that run refuses it for good.
    async fn tell(
        self: &Arc<Self>,
        sender: &Slot,
        target: &WorkflowExecution,
        input: Input,
    ) -> Result<Option<Rejection>, Failed> {
        let target = Target::workflow(target.workflow_id.clone(), target.run_id.clone());
        match self.apply_to(&sender.namespace, &target, input, |_, _| ()).await {
            Ok(()) => Ok(None),
            Err(Failed::Rejected(rejection)) if !is_temporary(&rejection) => Ok(Some(rejection)),
            Err(error) => Err(error),
        }
    }
}

fn current(workflow_id: &str) -> WorkflowExecution {
    WorkflowExecution {
        workflow_id: workflow_id.to_owned(),
        run_id: String::new(),
    }
}

fn signal_cause(rejection: &Rejection) -> SignalExternalWorkflowExecutionFailedCause {
    match rejection {
        Rejection::InvalidArgument(_) => SignalExternalWorkflowExecutionFailedCause::SignalCountLimitExceeded,
        _ => SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
    }
}
