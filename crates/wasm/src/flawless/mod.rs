//! Guests of the second kind: core modules built with the crate `flawless` 1.0.0-beta.3, unchanged.
//!
//! Such a module has one or more workflows, each a pair of exports, and imports one function: `wasabi.submit`, which takes
//! a request as JSON and gives an answer as JSON. It is a direct-style guest like the others: the fiber sleeps within
//! `submit`. Sleeping becomes a timer, an HTTP request an activity, a message a signal, a started workflow a run of its
//! own; time and random numbers are the history's.

mod abi;
mod answers;
mod calls;
mod guest;
mod submit;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use wasmtime::{Engine, InstancePre, Linker, Store, Trap};

use crate::bindings::types as wit;
use crate::fault::Fault;
use crate::imports::Guest;
use crate::types::{Failure, FailureKind};
use guest::Secrets;
pub(crate) use guest::State;

const INIT: &str = "#flawless#workflow#init#";
const RUN: &str = "#flawless#workflow#run#";
/// The parameter that stands for the whole input of a workflow whose input is no object.
const WHOLE_INPUT: &str = "input";

/// A module that is ready to run.
#[derive(Clone)]
pub(crate) struct Module {
    pre: InstancePre<State>,
    workflows: Arc<BTreeSet<String>>,
}

/// Whether the bytes are a core module, and no component.
pub(crate) fn is_core_module(source: &[u8]) -> bool {
    source.starts_with(b"\0asm\x01\0\0\0")
}

impl Module {
    /// An error says for people why it is not a module of workflows.
    pub(crate) fn new(engine: &Engine, module: &wasmtime::Module) -> Result<Self, String> {
        let names = module.exports().filter_map(|export| export.name().strip_prefix(RUN));
        let workflows: BTreeSet<String> = names.map(str::to_owned).collect();
        if workflows.is_empty() {
            return Err(
                "a core module is a workflow if it was built with the crate `flawless` and has a function that is \
                 `#[flawless::workflow]`; any other workflow is a component (`wasm32-wasip2`)"
                    .to_owned(),
            );
        }
        let mut linker = Linker::new(engine);
        let pre = submit::define(&mut linker).and_then(|()| linker.instantiate_pre(module));
        Ok(Self {
            pre: pre.map_err(|error| format!("{error:#}"))?,
            workflows: Arc::new(workflows),
        })
    }

    /// The workflow of that name; the only one of a module that has no other may be called as one likes.
    fn select(&self, name: &str) -> Result<&str, Fault> {
        let mut names = self.workflows.iter().map(String::as_str);
        match (self.workflows.get(name), names.next(), self.workflows.len()) {
            (Some(found), ..) => Ok(found),
            (None, Some(only), 1) => Ok(only),
            _ => {
                let names: Vec<String> = self.workflows.iter().map(|name| format!("`{name}`")).collect();
                let names = names.join(", ");
                Err(Fault::Misuse(format!(
                    "its module has the workflows {names}, and none that is called `{name}`"
                )))
            }
        }
    }
}

/// The whole life of a module. `store` makes a store with the bounds of guests.
pub(crate) async fn live(
    module: &Module,
    base: Guest,
    store: impl Fn(State) -> wasmtime::Result<Store<State>>,
    workflow: &str,
    parameters: &Value,
) -> wasmtime::Result<Result<String, wit::Failure>> {
    let workflow = module.select(workflow)?;
    let mut complaint = None;
    for input in inputs(parameters) {
        let mut store = store(State {
            base: base.clone(),
            input: input.to_string(),
            response: None,
            secrets: Secrets::default(),
            workflows: Arc::clone(&module.workflows),
            trying: true,
        })?;
        let instance = module.pre.instantiate_async(&mut store).await?;
        let init = instance.get_typed_func::<(), i32>(&mut store, &format!("{INIT}{workflow}"))?;
        let run = instance.get_typed_func::<(), ()>(&mut store, &format!("{RUN}{workflow}"))?;
        match init.call_async(&mut store, ()).await {
            Ok(_sent) => {
                store.data_mut().trying = false;
                return ended(run.call_async(&mut store, ()).await, &store);
            }
            // It panicked over its input, which is all that it can do before it runs.
            Err(error) if error.is::<Trap>() && !base.ledger().said().is_empty() => {
                let said = base.ledger().take_said();
                complaint.get_or_insert(said);
            }
            Err(error) => return stopped(error),
        }
    }
    let message = complaint.unwrap_or_default();
    Ok(Err(wit::Failure::from(Failure::new(
        FailureKind::Failed,
        format!("the workflow does not understand its parameters: {}", message.trim()),
    ))))
}

fn ended(result: wasmtime::Result<()>, store: &Store<State>) -> wasmtime::Result<Result<String, wit::Failure>> {
    match result {
        Ok(()) => Ok(Ok(store.data().response.clone().unwrap_or_default().to_string())),
        Err(error) => stopped(error),
    }
}

/// Not every error is a fault of the module.
fn stopped(error: wasmtime::Error) -> wasmtime::Result<Result<String, wit::Failure>> {
    match error.downcast_ref::<calls::Stopped>() {
        Some(calls::Stopped(failure)) => Ok(Err(failure.clone().into())),
        None => Err(error),
    }
}

/// What a run's parameters may mean to a module, the likeliest first. The input of a workflow there is any value, and
/// parameters are an object: one that is called `input` may be all of it, and no parameters may be no input.
fn inputs(parameters: &Value) -> Vec<Value> {
    let mut inputs = vec![parameters.clone()];
    match parameters.as_object() {
        Some(none) if none.is_empty() => inputs.push(Value::Null),
        Some(one) if one.len() == 1 => inputs.extend(one.get(WHOLE_INPUT).cloned()),
        _ => {}
    }
    inputs
}

/// The parameters that mean that input.
fn parameters(input: Value) -> Value {
    match input {
        Value::Object(_) => input,
        Value::Null => Value::Object(Map::new()),
        other => Value::Object(Map::from_iter([(WHOLE_INPUT.to_owned(), other)])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_input_comes_back_from_the_parameters_that_mean_it() {
        for input in [
            json!(null),
            json!("x"),
            json!([1, 2]),
            json!({"a": 1}),
            json!({"input": 1}),
            json!(7),
        ] {
            assert!(inputs(&parameters(input.clone())).contains(&input), "{input}");
        }
        assert_eq!(inputs(&json!({"a": 1, "input": 2})).len(), 1);
    }
}
