//! The toolbox as a whole: layers of folders become workflows, modules and verticals by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::layer::Layer;
use crate::manifest;
use crate::metadata::{Metadata, ModuleKind, ModuleManifest};
use crate::parameters::ParameterError;
use crate::plan::Plan;
use crate::plan_file::{self, Surroundings};
use crate::problem::{Problem, closest};
use crate::read::Reader;
use crate::run::{PinnedPlan, PlanInput, PlanOutput};
use crate::vertical::Vertical;
use crate::vertical_file;
use crate::yaml;

/// A workflow that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// What `metadata.yaml` says.
    pub metadata: Metadata,
    /// What `workflow.yaml` says; without steps if the workflow is code.
    pub plan: Plan,
    /// What `workflow.wasm` holds, if the workflow is code.
    pub code: Option<Arc<[u8]>>,
    /// BLAKE3 of the plan's canonical JSON, or of the code.
    pub digest: String,
    /// The layer it comes from, for people.
    pub origin: String,
}

impl Workflow {
    /// The plan with where it came from, for a run's input; without versions of modules, which [`Toolbox::pin`] adds.
    pub fn pinned(&self) -> PinnedPlan {
        PinnedPlan {
            workflow: self.metadata.name.clone(),
            version: self.metadata.version.clone(),
            digest: self.digest.clone(),
            vertical: self.metadata.vertical.clone(),
            isolation: self.metadata.workspace_isolation,
            plan: self.plan.clone(),
            code: self.code.as_ref().map(|_| self.digest.clone()),
            modules: BTreeMap::new(),
        }
    }

    /// The verticals whose workers run its steps.
    pub fn verticals(&self) -> impl Iterator<Item = &str> {
        let steps = self.plan.steps.iter().filter_map(|step| step.vertical.as_deref());
        std::iter::once(self.metadata.vertical.as_str()).chain(steps)
    }
}

/// A module that a plan can use.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// What `module.yaml` says.
    pub manifest: ModuleManifest,
    /// Everything in its folder.
    pub bundle: Bundle,
    /// [`Bundle::digest`]: the version that runs pin.
    pub digest: String,
    /// The layer it comes from, for people.
    pub origin: String,
}

/// What a folder holds, or what is wrong with it.
type Items<T> = BTreeMap<String, Result<T, Vec<Problem>>>;

/// Workflows, modules and verticals by name.
#[derive(Debug, Clone, Default)]
pub struct Toolbox {
    workflows: Items<Workflow>,
    modules: Items<Module>,
    verticals: Items<Vertical>,
}

/// What loading found.
#[derive(Debug)]
pub struct Loaded {
    /// Everything that is whole.
    pub toolbox: Toolbox,
    /// Everything that is wrong, by file and line. A workflow or module with a problem is not in the toolbox.
    pub problems: Vec<Problem>,
}

/// There is no such workflow, module or vertical, or it is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// `workflow`, `module` or `vertical`.
    pub what: &'static str,
    /// The name that was asked for.
    pub name: String,
    /// The name that was meant, most likely first; all names if none is close.
    pub suggestions: Vec<String>,
    /// It is there, but this is wrong with it.
    pub problems: Vec<Problem>,
}

impl std::error::Error for NotFound {}

impl std::fmt::Display for NotFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            what,
            name,
            suggestions,
            problems,
        } = self;
        if !problems.is_empty() {
            write!(f, "the {what} `{name}` cannot be used:")?;
            return problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"));
        }
        write!(f, "there is no {what} `{name}`")?;
        match suggestions.as_slice() {
            [] => Ok(()),
            [one] => write!(f, "; did you mean `{one}`?"),
            many => write!(f, "; there are: {}", many.join(", ")),
        }
    }
}

/// Why a workflow cannot be pinned for a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is not there.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// The parameters do not fit it.
    #[error("the parameters do not fit the workflow `{workflow}`: {}", join(.errors))]
    Parameters {
        /// The workflow.
        workflow: String,
        /// What is wrong with which parameter.
        errors: Vec<ParameterError>,
    },
}

fn join(errors: &[ParameterError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Toolbox {
    /// Loads layers; of two folders with the same name the later layer's counts, even when it is broken: falling
    /// back to the older one without a word would run something else than what the user sees in the folder.
    pub fn load(layers: &[Layer]) -> Loaded {
        let mut toolbox = Self::default();
        for (folder, layer) in folders(layers, "modules") {
            let module = load_module(layer, &folder);
            toolbox.modules.insert(folder, module);
        }
        for (folder, layer) in folders(layers, "workflows") {
            let workflow = toolbox.load_workflow(layer, &folder);
            toolbox.workflows.insert(folder, workflow);
        }
        for (folder, layer) in folders(layers, "verticals") {
            let (vertical, problems) = load_file(layer, "verticals", &folder, "vertical.yaml", |reader, node| {
                vertical_file::vertical(reader, node, &folder, layer.origin())
            });
            let vertical = vertical.filter(|_| problems.is_empty()).ok_or(problems);
            toolbox.verticals.insert(folder, vertical);
        }
        let mut problems: Vec<Problem> = broken(&toolbox.modules)
            .chain(broken(&toolbox.workflows))
            .chain(broken(&toolbox.verticals))
            .cloned()
            .collect();
        problems.sort();
        Loaded { toolbox, problems }
    }

    /// Puts what was whole before in the place of what is broken now, and names it. What is gone stays gone.
    pub fn keep_last_good(&mut self, before: &Self) -> Vec<String> {
        let mut kept = keep("module", &mut self.modules, &before.modules);
        kept.extend(keep("workflow", &mut self.workflows, &before.workflows));
        kept.extend(keep("vertical", &mut self.verticals, &before.verticals));
        kept
    }

    /// What is new, different or gone, such as `workflow nightly`.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let mut names = differences("module", &self.modules, &before.modules);
        names.extend(differences("workflow", &self.workflows, &before.workflows));
        names.extend(differences("vertical", &self.verticals, &before.verticals));
        names
    }

    /// The workflows that can be run, by name.
    pub fn workflows(&self) -> impl Iterator<Item = &Workflow> {
        self.workflows.values().filter_map(|w| w.as_ref().ok())
    }

    /// The modules that can be used, by name.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values().filter_map(|m| m.as_ref().ok())
    }

    /// The verticals, by name.
    pub fn verticals(&self) -> impl Iterator<Item = &Vertical> {
        self.verticals.values().filter_map(|v| v.as_ref().ok())
    }

    /// A workflow by name.
    pub fn workflow(&self, name: &str) -> Result<&Workflow, NotFound> {
        find("workflow", &self.workflows, name)
    }

    /// A module by name.
    pub fn module(&self, name: &str) -> Result<&Module, NotFound> {
        find("module", &self.modules, name)
    }

    /// A vertical by name.
    pub fn vertical(&self, name: &str) -> Result<&Vertical, NotFound> {
        find("vertical", &self.verticals, name)
    }

    /// What the activity `helve.plan` answers: the plan to pin, and the parameters resolved.
    pub fn pin(&self, input: &PlanInput) -> Result<PlanOutput, PinError> {
        let workflow = self.workflow(&input.workflow)?;
        let given: Map<String, Value> = input.parameters.clone();
        let parameters = workflow
            .metadata
            .resolve_parameters(given)
            .map_err(|errors| PinError::Parameters {
                workflow: input.workflow.clone(),
                errors,
            })?;
        let mut plan = workflow.pinned();
        plan.modules = self
            .used_by(&plan)
            .into_iter()
            .map(|m| (m.manifest.name.clone(), m.digest.clone()))
            .collect();
        Ok(PlanOutput { plan, parameters })
    }

    /// The modules that a plan uses; code may use any. Whoever pins a plan stores their bundles, so that every worker
    /// can have them.
    pub fn used_by(&self, plan: &PinnedPlan) -> Vec<&Module> {
        let names: BTreeSet<&str> = plan.plan.steps.iter().map(|step| step.uses.as_str()).collect();
        self.modules()
            .filter(|module| plan.code.is_some() || names.contains(module.manifest.name.as_str()))
            .collect()
    }

    /// The code of a workflow that is code, by its digest, if some workflow has it now.
    pub fn code(&self, digest: &str) -> Option<Arc<[u8]>> {
        let workflow = self.workflows().find(|w| w.code.is_some() && w.digest == digest)?;
        workflow.code.clone()
    }

    fn load_workflow(&self, layer: &Layer, folder: &str) -> Result<Workflow, Vec<Problem>> {
        let names: Vec<String> = self.modules.keys().cloned().collect();
        let module = |name: &str| self.modules.get(name).map(|m| m.as_ref().ok().map(|m| &m.manifest));
        let (metadata, mut problems) = load_file(layer, "workflows", folder, "metadata.yaml", |reader, node| {
            manifest::metadata(reader, node, folder)
        });
        // Broken metadata still tells its parameters, if it is read at all.
        let around = Surroundings {
            metadata: metadata.as_ref(),
            module: &module,
            modules: &names,
        };
        let (plan, more) = match layer.code(folder) {
            Some(_) => (Some(Plan::default()), layer.problems_of_code(folder)),
            None => load_file(layer, "workflows", folder, "workflow.yaml", |reader, node| {
                plan_file::plan(reader, node, around)
            }),
        };
        problems.extend(more);
        match (metadata, plan) {
            (Some(metadata), Some(plan)) if problems.is_empty() => {
                let code = layer.code(folder).cloned();
                let digest = match &code {
                    Some(code) => blake3::hash(code).to_hex().to_string(),
                    None => plan.digest(),
                };
                Ok(Workflow {
                    metadata,
                    plan,
                    code,
                    digest,
                    origin: layer.origin().to_owned(),
                })
            }
            _ => Err(problems),
        }
    }
}

fn find<'a, T>(what: &'static str, all: &'a Items<T>, name: &str) -> Result<&'a T, NotFound> {
    let not_found = |suggestions, problems| NotFound {
        what,
        name: name.to_owned(),
        suggestions,
        problems,
    };
    match all.get(name) {
        Some(Ok(found)) => Ok(found),
        Some(Err(problems)) => Err(not_found(Vec::new(), problems.clone())),
        None => {
            let whole = || {
                all.iter()
                    .filter(|(_, item)| item.is_ok())
                    .map(|(name, _)| name.as_str())
            };
            let suggestions = match closest(name, whole()) {
                Some(close) => vec![close.to_owned()],
                None => whole().map(str::to_owned).collect(),
            };
            Err(not_found(suggestions, Vec::new()))
        }
    }
}

/// Each folder with the last layer that has it.
fn folders<'a>(layers: &'a [Layer], part: &str) -> BTreeMap<String, &'a Layer> {
    layers
        .iter()
        .flat_map(|layer| layer.folders(part).into_iter().map(move |folder| (folder, layer)))
        .collect()
}

fn load_module(layer: &Layer, folder: &str) -> Result<Module, Vec<Problem>> {
    let (manifest, mut problems) = load_file(layer, "modules", folder, "module.yaml", |reader, node| {
        manifest::module(reader, node, folder)
    });
    let prefix = format!("modules/{folder}/");
    let others = layer
        .unreadable()
        .iter()
        .filter(|(path, _)| path.starts_with(&prefix) && !path.ends_with("/module.yaml"));
    problems.extend(others.map(|(_, problem)| problem.clone()));
    let files = layer.files().iter();
    let files = files
        .filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?.to_owned(), text.clone())))
        .collect();
    if let Some(manifest) = &manifest {
        let wants = matches!(manifest.kind, ModuleKind::Wasm(_));
        problems.extend(layer.problem_of_component(folder, wants));
    }
    match manifest {
        Some(manifest) if problems.is_empty() => {
            let component = layer.component(folder).cloned();
            let bundle = Bundle { files, component };
            Ok(Module {
                manifest,
                digest: bundle.digest(),
                bundle,
                origin: layer.origin().to_owned(),
            })
        }
        _ => Err(problems),
    }
}

/// The manifest in a bundle.
pub(crate) fn manifest_of(name: &str, bundle: &Bundle) -> Result<ModuleManifest, Vec<Problem>> {
    let files = bundle.files.iter();
    let files = files.map(|(path, text)| (format!("modules/{name}/{path}"), text.clone()));
    let mut layer = Layer::memory("pinned", files);
    if let Some(component) = &bundle.component {
        layer = layer.with_component(name, Arc::clone(component));
    }
    load_module(&layer, name).map(|module| module.manifest)
}

fn broken<T>(items: &Items<T>) -> impl Iterator<Item = &Problem> {
    items.values().filter_map(|item| item.as_ref().err()).flatten()
}

fn keep<T: Clone>(what: &str, now: &mut Items<T>, before: &Items<T>) -> Vec<String> {
    let mut kept = Vec::new();
    for (name, item) in now.iter_mut().filter(|(_, item)| item.is_err()) {
        if let Some(Ok(good)) = before.get(name) {
            *item = Ok(good.clone());
            kept.push(format!("{what} {name}"));
        }
    }
    kept
}

fn differences<T: PartialEq>(what: &str, now: &Items<T>, before: &Items<T>) -> Vec<String> {
    let names: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    let whole = |items: &Items<T>, name: &String| items.get(name).is_some_and(Result::is_ok);
    names
        .into_iter()
        .filter(|name| match (now.get(*name), before.get(*name)) {
            (Some(Ok(now)), Some(Ok(before))) => now != before,
            _ => whole(now, name) != whole(before, name),
        })
        .map(|name| format!("{what} {name}"))
        .collect()
}

fn load_file<T>(
    layer: &Layer,
    part: &str,
    folder: &str,
    name: &str,
    read: impl FnOnce(&mut Reader<'_>, &yaml::Node) -> Option<T>,
) -> (Option<T>, Vec<Problem>) {
    let path = format!("{part}/{folder}/{name}");
    let file = layer.display(&path);
    let Some(text) = layer.files().get(&path) else {
        let missing = || Problem {
            file: file.clone(),
            line: 1,
            column: 1,
            message: format!("the folder `{folder}` has no {name}"),
            hint: (name == "workflow.yaml")
                .then(|| "a workflow that is code has a workflow.wasm instead: build it".to_owned()),
        };
        let problem = layer.unreadable().get(&path).cloned().unwrap_or_else(missing);
        return (None, vec![problem]);
    };
    match yaml::parse(&file, text) {
        Ok(node) => {
            let mut reader = Reader::new(&file);
            let value = read(&mut reader, &node);
            (value, reader.problems)
        }
        Err(problem) => (None, vec![problem]),
    }
}
