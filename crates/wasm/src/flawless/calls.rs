//! What a module asks for, on the run's ledger.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use wasmtime::{Error, Result};

use super::abi::{Input, Level, Output, Request};
use super::guest::State;
use super::{answers, parameters};
use crate::fault::Fault;
use crate::http::HttpEnd;
use crate::types::{Failure, FailureKind, LogLevel, TaskId};

/// Longest HTTP request. Changing it is not safe for open runs that have met it.
const MAX_REQUEST: usize = 256 << 10;

/// The module does not go on: somebody cancelled the run, or something cannot be had for which the module has no error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(super) struct Stopped(pub(super) Failure);

pub(super) async fn answer(state: &mut State, input: Input) -> Result<Output> {
    match input {
        Input::Log(level) => {
            write_log(state, level);
            return Ok(Output::Unit);
        }
        Input::ReplayDebug(text) => {
            // To be seen in replays too: that is what it is for.
            state.base.write_log(LogLevel::Debug, &text);
            return Ok(Output::Unit);
        }
        _ if state.base.ledger().cancelled => return Err(cancelled()),
        _ => {}
    }
    Ok(match input {
        Input::Log(_) | Input::ReplayDebug(_) => Output::Unit,
        Input::GetInput => Output::String(state.input.clone()),
        Input::SendResponse(text) => {
            state.response = Some(state.base.json("the response", &text)?);
            Output::ResponseSent(true)
        }
        Input::Random(kind) => Output::Value(answers::number(kind, state.base.ledger().random())),
        Input::TimeNow => {
            let now = state.base.ledger().moment.now;
            Output::Time(SystemTime::UNIX_EPOCH + Duration::from_millis(now))
        }
        Input::Sleep(duration) => {
            let timer = state.base.ledger().timer(duration)?;
            end_of(state, timer).await?;
            Output::Unit
        }
        Input::HttpRequest(request) => http(state, request).await?,
        Input::GetSecret(name) => Output::Secret(secret(state, name).await?),
        Input::RecvMessage(patience, names) => message(state, patience, names).await?,
        Input::StartWorkflow(name, input) => start(state, name, &input).await?,
    })
}

async fn end_of(state: &mut State, task: TaskId) -> Result<Value> {
    let end = state.base.end_of_own(task).await;
    end.map_err(|failure| Stopped(failure).into())
}

async fn http(state: &mut State, request: Request) -> Result<Output> {
    let call = answers::http_call(request, &state.secrets);
    let headers = call.headers.iter().map(|(name, value)| name.len() + value.len());
    let size = call.body.len() + call.url.len() + headers.sum::<usize>();
    if size > MAX_REQUEST {
        let (size, limit) = (size >> 10, MAX_REQUEST >> 10);
        return Err(failed(format!(
            "its HTTP request is {size} KiB long, and may be {limit}: the history holds it"
        )));
    }
    let task = state.base.ledger().http(call)?;
    let value = end_of(state, task).await?;
    let end: HttpEnd = serde_json::from_value(value)
        .map_err(|error| failed(format!("the answer of an HTTP request is not understood: {error}")))?;
    Ok(answers::http_response(end))
}

/// Whether there is such a secret is in the history; the secret is not, and the module does not see it.
async fn secret(state: &mut State, name: String) -> Result<Option<String>> {
    if let Some(known) = state.secrets.get(&name) {
        return Ok(known.clone());
    }
    let task = state.base.ledger().secret(name.clone())?;
    if end_of(state, task).await? != Value::Bool(true) {
        state.secrets.add_missing(name);
        return Ok(None);
    }
    let drawn = {
        let mut ledger = state.base.ledger();
        [ledger.random(), ledger.random()]
    };
    Ok(Some(state.secrets.add(name, drawn)))
}

/// Waits for the first message of any of the types.
async fn message(state: &mut State, patience: Option<Duration>, names: Vec<String>) -> Result<Output> {
    if names.is_empty() && patience.is_none() {
        return Err(Fault::Misuse("it waits for a message of no type, which would take for ever".to_owned()).into());
    }
    let (signals, timer) = {
        let mut ledger = state.base.ledger();
        let signals: Result<Vec<TaskId>, Fault> = ledger.signals(&names);
        let timer = patience.map(|patience| ledger.timer(patience)).transpose()?;
        (signals?, timer)
    };
    let first = state
        .base
        .until(|ledger| {
            let mut all = signals.iter().chain(&timer).enumerate();
            all.find_map(|(place, task)| Some((place, ledger.ended(*task)?.clone())))
        })
        .await;
    {
        let mut ledger = state.base.ledger();
        signals.iter().for_each(|signal| ledger.release(*signal));
        if let Some(timer) = timer {
            ledger.cancel(timer);
            ledger.release(timer);
        }
    }
    let (place, end) = first;
    let argument = end.map_err(Stopped)?;
    Ok(match names.into_iter().nth(place) {
        Some(name) => Output::Message(name, argument.to_string()),
        None => Output::Timeout,
    })
}

/// Starts a run that goes on by itself, and waits until it has started.
async fn start(state: &mut State, workflow: String, input: &str) -> Result<Output> {
    let input = state
        .base
        .json(&format!("the input of the workflow `{workflow}`"), input)?;
    let same_code = state.workflows.contains(&workflow);
    let task = state.base.ledger().launch(workflow, parameters(input), same_code)?;
    let id = end_of(state, task).await?;
    Ok(Output::Value(answers::run_number(id.as_str().unwrap_or_default())))
}

fn write_log(state: &mut State, level: Level) {
    let (level, text) = match level {
        Level::Error(text) => (LogLevel::Error, text),
        Level::Warn(text) => (LogLevel::Warn, text),
        Level::Info(text) => (LogLevel::Info, text),
        Level::Debug(text) | Level::Trace(text) => (LogLevel::Debug, text),
    };
    let mut ledger = state.base.ledger();
    if level == LogLevel::Error {
        // The message of a panic comes this way.
        ledger.say(text.as_bytes());
        ledger.say(b"\n");
    }
    let muted = ledger.moment.replaying || state.trying;
    drop(ledger);
    if !muted {
        state.base.write_log(level, &text);
    }
}

fn cancelled() -> Error {
    Stopped(Failure::new(FailureKind::Cancelled, "the run was cancelled")).into()
}

fn failed(message: String) -> Error {
    Stopped(Failure::new(FailureKind::Failed, message)).into()
}
