//! What [`crate::workflow!`] needs.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::helve::workflow::types as wit;
use crate::{Failure, Input, Result};

/// Calls a workflow with its input read and its output written.
pub fn run<P, R>(workflow: impl FnOnce(Input<P>) -> Result<R>, input: wit::Input) -> Result<String, wit::Failure>
where
    P: DeserializeOwned,
    R: Serialize,
{
    let parameters = serde_json::from_str(&input.parameters)
        .map_err(|error| Failure::new(format!("the workflow does not understand its parameters: {error}")));
    let result = parameters.and_then(|parameters| {
        workflow(Input {
            workflow: input.workflow,
            parameters,
            target: input.target,
        })
    });
    result
        .and_then(|output| Ok(serde_json::to_string(&output)?))
        .map_err(|failure| wit::Failure {
            kind: failure.kind,
            message: failure.message,
        })
}

/// Makes a function the workflow of this component. It takes an [`Input`](crate::Input) of parameters that serde can
/// read, and returns a [`Result`](crate::Result) of something that serde can write.
#[macro_export]
macro_rules! workflow {
    ($function:path) => {
        const _: () = {
            struct Component;

            impl $crate::bindings::Guest for Component {
                fn run(
                    input: $crate::bindings::Input,
                ) -> ::std::result::Result<$crate::bindings::Json, $crate::bindings::Failure> {
                    $crate::entry::run($function, input)
                }
            }

    $crate::bindings::export_workflow!(Component with_types_in $crate::bindings);
        };
    };
}
