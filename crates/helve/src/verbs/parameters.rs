//! Parameters of a run: from a file, from `KEY=VALUE`, checked against the workflow's schema.

use std::path::Path;

use helve_client::Client;
use helve_toolbox::run::{PlanInput, PlanOutput};
use helve_toolbox::{Metadata, ParameterError, PinError};
use serde_json::{Map, Value};

use super::catalog::not_found;
use crate::app::App;
use crate::cli::{KeyValue, RunArgs};
use crate::errors::{Problem, Result};

/// Looks the workflow up, collects and checks the parameters, and pins the plan.
pub(crate) fn pin(app: &App, workflow: &str, args: &RunArgs) -> Result<PlanOutput> {
    let metadata = &app.toolbox.workflow(workflow).map_err(not_found)?.metadata;
    let parameters = given(workflow, metadata, args.params_file.as_deref(), &args.params)?;
    app.toolbox
        .pin(&PlanInput {
            workflow: workflow.to_owned(),
            parameters,
        })
        .map_err(|error| match error {
            PinError::NotFound(error) => not_found(error),
            PinError::Parameters { errors, .. } => do_not_fit(workflow, &errors),
        })
}

/// The parameters of a workflow that a server has, collected and checked before anything is sent.
pub(crate) async fn there(
    client: &Client,
    workflow: &str,
    file: Option<&Path>,
    pairs: &[KeyValue],
) -> Result<Map<String, Value>> {
    let known = client.one("workflows", workflow).await?;
    let metadata = Metadata {
        parameters: known["parameters"].clone(),
        default_parameters: known["default_parameters"].as_object().cloned().unwrap_or_default(),
        ..Metadata::default()
    };
    let parameters = given(workflow, &metadata, file, pairs)?;
    match metadata.resolve_parameters(parameters.clone()) {
        Ok(_) => Ok(parameters),
        Err(errors) => Err(do_not_fit(workflow, &errors)),
    }
}

/// Those of the file, and over them those of the command line.
fn given(workflow: &str, metadata: &Metadata, file: Option<&Path>, pairs: &[KeyValue]) -> Result<Map<String, Value>> {
    let mut parameters = match file {
        Some(path) => read_file(path)?,
        None => Map::new(),
    };
    let mut wrong = Vec::new();
    for pair in pairs {
        match metadata.coerce_parameter(&pair.key, &pair.value) {
            Ok(value) => {
                parameters.insert(pair.key.clone(), value);
            }
            Err(error) => wrong.push(error),
        }
    }
    match wrong.is_empty() {
        true => Ok(parameters),
        false => Err(do_not_fit(workflow, &wrong)),
    }
}

fn do_not_fit(workflow: &str, errors: &[ParameterError]) -> Problem {
    Problem::new(format!("the parameters do not fit workflow `{workflow}`"))
        .details(errors.iter().map(ToString::to_string))
        .help(format!("`helve workflows {workflow}` shows its parameters"))
}

/// YAML, of which JSON is a part.
fn read_file(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::io("read the parameters in", path, &error))?;
    let value: Value = serde_saphyr::from_str(&text).map_err(|error| {
        Problem::new(format!(
            "the parameters in {} are not valid YAML or JSON",
            path.display()
        ))
        .detail(error.to_string())
    })?;
    match value {
        Value::Object(parameters) => Ok(parameters),
        Value::Null => Ok(Map::new()),
        _ => Err(
            Problem::new(format!("the parameters in {} are not a mapping", path.display()))
                .help("write one `name: value` per line"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_file_may_be_yaml_or_json_but_must_be_a_mapping() {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = dir.path().join("p");
            std::fs::write(&path, text).unwrap();
            read_file(&path)
        };
        assert_eq!(read("a: 1\nb: [x]\n").unwrap()["a"], 1);
        assert_eq!(read("{\"a\": true}").unwrap()["a"], true);
        assert!(read("").unwrap().is_empty());
        assert!(read("- 1\n").unwrap_err().to_string().contains("are not a mapping"));
        assert!(
            read("a: [1\n")
                .unwrap_err()
                .to_string()
                .contains("are not valid YAML or JSON")
        );
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let errors = [
            ParameterError {
                field: "threads".into(),
                message: "must be an integer, not `x`".into(),
            },
            ParameterError {
                field: "level".into(),
                message: "is required".into(),
            },
        ];
        assert_eq!(
            do_not_fit("assessment", &errors).to_string(),
            "error: the parameters do not fit workflow `assessment`\n  parameter `threads` must be an integer, not `x`\n  \
             parameter `level` is required\n help: `helve workflows assessment` shows its parameters"
        );
    }
}
