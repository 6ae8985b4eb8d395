//! Whether the WebAssembly of a toolbox is what it is there for.

use std::path::Path;

use helve_runtime::code::GuestLimits;
use helve_toolbox::{Problem, Toolbox};
use helve_wasm::{CodeError, Engine, Programs};

/// Loads all WebAssembly of a toolbox as a run would: what is not valid, what is neither a workflow nor a command of WASI,
/// what asks for more than there is. `about_to` is told of each file and its length in bytes before it is loaded, which may
/// take a minute when it is compiled for the first time. What is compiled is kept in `compiled`, so that the first run does
/// not wait for it. Blocking.
pub fn check_components(toolbox: &Toolbox, compiled: Option<&Path>, about_to: impl Fn(&str, usize)) -> Vec<Problem> {
    let workflows = toolbox.workflows().filter_map(|workflow| {
        let file = format!("{}/workflows/{}/workflow.wasm", workflow.origin, workflow.metadata.name);
        Some((file, workflow.code.as_ref()?))
    });
    let modules = toolbox.modules().filter_map(|module| {
        let file = format!("{}/modules/{}/module.wasm", module.origin, module.manifest.name);
        Some((file, module.bundle.component.as_ref()?))
    });
    let (workflows, modules): (Vec<_>, Vec<_>) = (workflows.collect(), modules.collect());
    let mut problems = Vec::new();
    let mut check = |file: &str, code: &[u8], load: &dyn Fn(&[u8]) -> Result<(), Flaw>| {
        about_to(file, code.len());
        if let Err((message, hint)) = load(code) {
            problems.push(Problem {
                file: file.to_owned(),
                line: 1,
                column: 1,
                message,
                hint: Some(hint),
            });
        }
    };
    // Made only where there is something to check: an engine reserves address space for all its guests.
    let impossible = |error: &dyn std::fmt::Display| (error.to_string(), "check it on another machine".to_owned());
    if !workflows.is_empty() {
        let engine = Engine::new(GuestLimits::default(), compiled);
        for (file, code) in workflows {
            check(&file, code, &|code| match &engine {
                Ok(engine) => engine.load(code).map(drop).map_err(|error| explain(&error)),
                Err(error) => Err(impossible(error)),
            });
        }
    }
    if !modules.is_empty() {
        let programs = Programs::new(compiled);
        for (file, code) in modules {
            check(&file, code, &|code| match &programs {
                Ok(programs) => programs.load(code).map(drop).map_err(|error| explain(&error)),
                Err(error) => Err(impossible(error)),
            });
        }
    }
    problems
}

/// What is wrong, and what to do about it.
type Flaw = (String, String);

fn explain(error: &CodeError) -> Flaw {
    let hint = match error {
        CodeError::NotAComponent(_) => "build it anew for the target wasm32-wasip2, or with `helve workflows build`",
        CodeError::NotAWorkflow(_) => {
            "a workflow exports `run` of the world in docs/wasm-workflows.md, and imports only that world and WASI 0.2"
        }
        CodeError::NotACommand(_) => {
            "a module exports `wasi:cli/run`, as a program built for wasm32-wasip2 does, and imports only WASI 0.2"
        }
    };
    (error.to_string(), hint.to_owned())
}

#[cfg(test)]
mod tests {
    use helve_toolbox::Layer;

    use super::*;
    use crate::components::guests;

    const WORKFLOW: &str = "name: w\nversion: '1'\ndescription: d\n";
    const MODULE: &str =
        "name: m\nversion: '1'\ndescription: d\nkind: wasm\nargs: []\noutput: {format: sarif, from: stdout}\n";

    fn problems(code: &[u8], component: &[u8]) -> Vec<String> {
        let files = [
            ("workflows/w/metadata.yaml", WORKFLOW),
            ("modules/m/module.yaml", MODULE),
        ];
        let layer = Layer::memory("box", files.map(|(path, text)| (path.to_owned(), text.to_owned())));
        let loaded = Toolbox::load(&[layer.with_code("w", code).with_component("m", component)]);
        assert_eq!(loaded.problems, []);
        let problems = check_components(&loaded.toolbox, Some(&guests::folder().join("compiled")), |_, _| {});
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_workflow_and_a_module_are_fine_and_neither_is_the_other() {
        let (workflow, module) = (guests::component("assessment"), guests::component("marks"));
        assert_eq!(problems(&workflow, &module), [""; 0]);
        let swapped = problems(&module, &workflow);
        assert_eq!(swapped.len(), 2, "{swapped:?}");
        assert!(
            swapped[0].starts_with("box/workflows/w/workflow.wasm:1:1: it is not a workflow"),
            "{swapped:?}"
        );
        assert!(
            swapped[1].starts_with("box/modules/m/module.wasm:1:1: it is not a command of WASI"),
            "{swapped:?}"
        );
    }

    #[test]
    fn what_only_begins_like_webassembly_is_not_fine() {
        let workflow = guests::component("assessment");
        let (half, begin) = (&workflow[..workflow.len() / 2], b"\0asm");
        for problem in problems(half, begin) {
            assert!(problem.contains("it is not a WebAssembly component"), "{problem}");
            assert!(problem.contains("(build it anew for"), "{problem}");
        }
        assert_eq!(problems(half, begin).len(), 2);
    }

    #[test]
    fn what_asks_for_more_than_there_is_is_not_fine() {
        // The version that a newer Helve may have.
        let newer = rename(
            &guests::component("assessment"),
            b"helve:workflow/durable@0.1.0",
            b"helve:workflow/durable@0.9.0",
        );
        let said = problems(&newer, &guests::component("marks"));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("helve:workflow/durable@0.9.0"), "{said:?}");
    }

    fn rename(code: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len(), "lengths are written before the texts");
        let mut code = code.to_vec();
        for at in 0..code.len() - from.len() {
            if code[at..].starts_with(from) {
                code[at..at + to.len()].copy_from_slice(to);
            }
        }
        code
    }
}
