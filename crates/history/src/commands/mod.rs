//! Commands: what workflow code wants done, one event each. A bad one fails the whole workflow task. [trap 6]

mod activity;
mod child;
mod close;
mod external;
mod properties;
mod timer;

use std::fmt;

use prost::Message;

use crate::{
    EventId, Rejection,
    draft::{Draft, Entry},
    problems::camel_case,
    proto::{Attributes, Command, CommandType, WorkflowTaskFailedCause, command::Attributes as C},
    update::Answers,
    validate,
};

/// Why a workflow task's commands cannot be carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommandFailure {
    pub(crate) cause: WorkflowTaskFailedCause,
    pub(crate) message: Option<String>,
    /// The code will do the same again: the run is ended, not only the task failed. [trap 16]
    pub(crate) terminates: bool,
}

impl CommandFailure {
    pub(crate) fn new(cause: WorkflowTaskFailedCause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: Some(message.into()),
            terminates: false,
        }
    }

    pub(crate) fn terminating(cause: WorkflowTaskFailedCause, message: impl Into<String>) -> Self {
        Self {
            terminates: true,
            ..Self::new(cause, message)
        }
    }

    pub(crate) fn unhandled() -> Self {
        Self {
            cause: WorkflowTaskFailedCause::UnhandledCommand,
            message: None,
            terminates: false,
        }
    }
}

impl fmt::Display for CommandFailure {
    /// As Temporal writes it; SDKs compare the text of an unhandled command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.cause.as_str_name();
        f.write_str(&camel_case(cause.trim_start_matches("WORKFLOW_TASK_FAILED_CAUSE_")))?;
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

/// Checks what is wrong with the message and not with the workflow: each command is one that there is, and one that closes
/// the run comes last.
pub(crate) fn check_sequence(commands: &[Command]) -> Result<(), Rejection> {
    for (index, command) in commands.iter().enumerate() {
        match command.command_type() {
            CommandType::Unspecified => {
                let number = command.command_type;
                return Err(Rejection::invalid(format!("unknown command type: {number}")));
            }
            CommandType::CompleteWorkflowExecution
            | CommandType::FailWorkflowExecution
            | CommandType::CancelWorkflowExecution
            | CommandType::ContinueAsNewWorkflowExecution
                if index + 1 < commands.len() =>
            {
                let names: Vec<_> = commands.iter().map(|command| name(command.command_type())).collect();
                return Err(Rejection::invalid(format!(
                    "invalid command sequence: [{}], command {} must be the last command.",
                    names.join(", "),
                    names[index]
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn name(command: CommandType) -> String {
    camel_case(command.as_str_name().trim_start_matches("COMMAND_TYPE_"))
}

/// What a command asks for; it fails the task if it does not say that, or says something else.
fn attributes(command: &Command) -> Result<&C, CommandFailure> {
    let kind = command.command_type();
    let given = command.attributes.as_ref().filter(|given| type_of(given) == kind);
    given.ok_or_else(|| {
        let name = name(kind);
        CommandFailure::new(
            bad_attributes_of(kind),
            format!("{name}CommandAttributes is not set on {name}Command."),
        )
    })
}

fn bad_attributes_of(command: CommandType) -> WorkflowTaskFailedCause {
    use WorkflowTaskFailedCause as Cause;
    match command {
        CommandType::Unspecified => Cause::Unspecified,
        CommandType::ScheduleActivityTask => Cause::BadScheduleActivityAttributes,
        CommandType::RequestCancelActivityTask => Cause::BadRequestCancelActivityAttributes,
        CommandType::StartTimer => Cause::BadStartTimerAttributes,
        CommandType::CancelTimer => Cause::BadCancelTimerAttributes,
        CommandType::CompleteWorkflowExecution => Cause::BadCompleteWorkflowExecutionAttributes,
        CommandType::FailWorkflowExecution => Cause::BadFailWorkflowExecutionAttributes,
        CommandType::CancelWorkflowExecution => Cause::BadCancelWorkflowExecutionAttributes,
        CommandType::RequestCancelExternalWorkflowExecution => {
            Cause::BadRequestCancelExternalWorkflowExecutionAttributes
        }
        CommandType::RecordMarker => Cause::BadRecordMarkerAttributes,
        CommandType::ContinueAsNewWorkflowExecution => Cause::BadContinueAsNewAttributes,
        CommandType::StartChildWorkflowExecution => Cause::BadStartChildExecutionAttributes,
        CommandType::SignalExternalWorkflowExecution => Cause::BadSignalWorkflowExecutionAttributes,
        CommandType::UpsertWorkflowSearchAttributes => Cause::BadSearchAttributes,
        CommandType::ModifyWorkflowProperties => Cause::BadModifyWorkflowPropertiesAttributes,
        CommandType::ProtocolMessage => Cause::BadUpdateWorkflowExecutionMessage,
        CommandType::ScheduleNexusOperation => Cause::BadScheduleNexusOperationAttributes,
        CommandType::RequestCancelNexusOperation => Cause::BadRequestCancelNexusOperationAttributes,
    }
}

fn type_of(attributes: &C) -> CommandType {
    match attributes {
        C::ScheduleActivityTaskCommandAttributes(_) => CommandType::ScheduleActivityTask,
        C::StartTimerCommandAttributes(_) => CommandType::StartTimer,
        C::CompleteWorkflowExecutionCommandAttributes(_) => CommandType::CompleteWorkflowExecution,
        C::FailWorkflowExecutionCommandAttributes(_) => CommandType::FailWorkflowExecution,
        C::RequestCancelActivityTaskCommandAttributes(_) => CommandType::RequestCancelActivityTask,
        C::CancelTimerCommandAttributes(_) => CommandType::CancelTimer,
        C::CancelWorkflowExecutionCommandAttributes(_) => CommandType::CancelWorkflowExecution,
        C::RequestCancelExternalWorkflowExecutionCommandAttributes(_) => {
            CommandType::RequestCancelExternalWorkflowExecution
        }
        C::RecordMarkerCommandAttributes(_) => CommandType::RecordMarker,
        C::ContinueAsNewWorkflowExecutionCommandAttributes(_) => CommandType::ContinueAsNewWorkflowExecution,
        C::StartChildWorkflowExecutionCommandAttributes(_) => CommandType::StartChildWorkflowExecution,
        C::SignalExternalWorkflowExecutionCommandAttributes(_) => CommandType::SignalExternalWorkflowExecution,
        C::UpsertWorkflowSearchAttributesCommandAttributes(_) => CommandType::UpsertWorkflowSearchAttributes,
        C::ProtocolMessageCommandAttributes(_) => CommandType::ProtocolMessage,
        C::ModifyWorkflowPropertiesCommandAttributes(_) => CommandType::ModifyWorkflowProperties,
        C::ScheduleNexusOperationCommandAttributes(_) => CommandType::ScheduleNexusOperation,
        C::RequestCancelNexusOperationCommandAttributes(_) => CommandType::RequestCancelNexusOperation,
    }
}

/// Carries out the commands of one completion.
pub(crate) struct Commands<'d, 'e, 'm> {
    draft: &'d mut Draft<'e>,
    /// The WorkflowTaskCompleted event, to which all command events refer.
    completed_id: EventId,
    answers: Answers<'m>,
    outcome: Outcome,
}

/// What commands leave to be done when all are carried out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// A command had an immediate result, which the workflow has to see.
    pub(crate) must_wake: bool,
    /// Activities that the worker would like to start itself.
    pub(crate) eager: Vec<EventId>,
}

type CommandResult = Result<(), CommandFailure>;

impl<'d, 'e, 'm> Commands<'d, 'e, 'm> {
    pub(crate) fn new(draft: &'d mut Draft<'e>, completed_id: EventId, answers: Answers<'m>) -> Self {
        Self {
            draft,
            completed_id,
            answers,
            outcome: Outcome::default(),
        }
    }

    /// All commands are carried out; what the worker says besides comes last.
    pub(crate) fn finish(mut self) -> Result<(Outcome, Answers<'m>), CommandFailure> {
        self.answers.remaining(self.draft)?;
        Ok((self.outcome, self.answers))
    }

    pub(crate) fn run(&mut self, command: &Command) -> CommandResult {
        match attributes(command)? {
            C::ScheduleActivityTaskCommandAttributes(a) => self.schedule_activity(a, command),
            C::RequestCancelActivityTaskCommandAttributes(a) => self.request_cancel_activity(*a, command),
            C::StartTimerCommandAttributes(a) => self.start_timer(a, command),
            C::CancelTimerCommandAttributes(a) => self.cancel_timer(a, command),
            C::RecordMarkerCommandAttributes(a) => self.record_marker(a, command),
            C::UpsertWorkflowSearchAttributesCommandAttributes(a) => self.upsert_search_attributes(a, command),
            C::ModifyWorkflowPropertiesCommandAttributes(a) => self.modify_properties(a, command),
            C::StartChildWorkflowExecutionCommandAttributes(a) => self.start_child(a, command),
            C::SignalExternalWorkflowExecutionCommandAttributes(a) => self.signal_external(a, command),
            C::RequestCancelExternalWorkflowExecutionCommandAttributes(a) => self.cancel_external(a, command),
            C::CompleteWorkflowExecutionCommandAttributes(a) => self.complete_workflow(a, command),
            C::FailWorkflowExecutionCommandAttributes(a) => self.fail_workflow(a, command),
            C::CancelWorkflowExecutionCommandAttributes(a) => self.cancel_workflow(a, command),
            C::ContinueAsNewWorkflowExecutionCommandAttributes(a) => self.continue_as_new(a, command),
            C::ProtocolMessageCommandAttributes(a) => self.answers.named(&a.message_id, self.draft),
            C::ScheduleNexusOperationCommandAttributes(_) => Err(CommandFailure::new(
                WorkflowTaskFailedCause::BadScheduleNexusOperationAttributes,
                "this server does not support Nexus operations.",
            )),
            C::RequestCancelNexusOperationCommandAttributes(_) => Err(CommandFailure::new(
                WorkflowTaskFailedCause::BadRequestCancelNexusOperationAttributes,
                "this server does not support Nexus operations.",
            )),
        }
    }

    fn record(&mut self, attributes: Attributes, command: &Command) -> EventId {
        self.draft.record(Entry::from(attributes).by_command(command))
    }

    /// Too much data in a command ends the run: replaying the code would only make it again. [trap 16]
    fn check_size(&self, size: usize, cause: WorkflowTaskFailedCause, what: &str) -> CommandResult {
        if size <= self.draft.env.limits.blob_size_max {
            return Ok(());
        }
        Err(CommandFailure::terminating(
            cause,
            format!("{what} exceeds size limit."),
        ))
    }

    fn check_id(&self, cause: WorkflowTaskFailedCause, what: &str, id: &str) -> CommandResult {
        let max = self.draft.env.limits.id_length_max;
        if id.is_empty() {
            return Err(CommandFailure::new(cause, format!("{what} is not set on command.")));
        }
        if id.len() > max {
            let length = id.len();
            return Err(CommandFailure::new(
                cause,
                format!("{what} exceeds length limit: it has {length} bytes, {max} are allowed."),
            ));
        }
        Ok(())
    }

    fn check_queue(&self, cause: WorkflowTaskFailedCause, name: &str) -> CommandResult {
        self.check_id(cause, "TaskQueue", name)?;
        validate::task_queue(name).map_err(|message| CommandFailure::new(cause, message))
    }

    /// Commands reach other runs of the same namespace only.
    fn check_namespace(&self, cause: WorkflowTaskFailedCause, namespace: &str) -> CommandResult {
        let own = &self.draft.state().key.namespace;
        if namespace.is_empty() || namespace == own {
            return Ok(());
        }
        Err(CommandFailure::new(
            cause,
            format!("cross namespace call from {own} to {namespace} is not allowed."),
        ))
    }
}

/// A duration that must not be negative.
fn check_timeout(
    cause: WorkflowTaskFailedCause,
    what: &str,
    value: Option<&prost_types::Duration>,
) -> Result<std::time::Duration, CommandFailure> {
    if value.is_some_and(|d| d.seconds < 0 || d.nanos < 0) {
        return Err(CommandFailure::new(cause, format!("Invalid {what}: it is negative.")));
    }
    Ok(crate::timestamp::duration(value))
}

fn size<M: Message>(message: Option<&M>) -> usize {
    message.map_or(0, Message::encoded_len)
}
