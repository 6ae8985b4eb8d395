//! The modules of this worker, each in the versions that runs have pinned, loaded on first use: compiling hundreds of
//! rules takes a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use helve_blobs::BlobStore;
use helve_modules::command::{self, Defaults, Host};
use helve_modules::secrets::Masker;
use helve_modules::{LoadError, Module, RuleFile, builtin};
use helve_toolbox::command::CommandSpec;
use helve_toolbox::{Bundle, Layer, ModuleKind, ModuleManifest, Problem, Shelf, Toolbox};

use crate::StepError;
use crate::code::vouched;

/// Loaded versions that are kept. More than this means that somebody is editing: the oldest go.
const MAX_LOADED: usize = 64;

/// The module whose rules say what is a secret.
const SECRETS: &str = "secrets";

/// Loads modules by name and version.
pub(crate) struct Modules {
    shelf: Shelf,
    blobs: BlobStore,
    host: Arc<Host>,
    loaded: Mutex<HashMap<Key, Arc<Slot>>>,
    /// With the digest of the module whose rules it goes by.
    masker: Mutex<Option<(String, Arc<Masker>)>>,
}

/// Name and digest.
type Key = (String, String);

/// Locked while its module is loaded: two steps that need it compile its rules once, and others do not wait.
type Slot = Mutex<Option<Arc<dyn Module>>>;

impl Modules {
    pub(crate) fn new(shelf: Shelf, blobs: BlobStore, host: Arc<Host>) -> Self {
        Self {
            shelf,
            blobs,
            host,
            loaded: Mutex::new(HashMap::new()),
            masker: Mutex::new(None),
        }
    }

    /// What masks the secrets in reports: by the rules of the toolbox's own module [`SECRETS`], by those that Helve comes with
    /// if it has none that can be read. Blocking when the rules are not loaded yet.
    pub(crate) fn masker(&self) -> Result<Arc<Masker>, StepError> {
        let toolbox = self.shelf.current();
        let own = toolbox.module(SECRETS).ok();
        let digest = own.map(|module| module.digest.clone()).unwrap_or_default();
        let mut loaded = lock(&self.masker);
        if let Some((known, masker)) = &*loaded
            && *known == digest
        {
            return Ok(Arc::clone(masker));
        }
        let masker = match own.and_then(|module| Masker::load(&rule_files(&module.bundle)).ok()) {
            Some(masker) => masker,
            None => shipped_masker()?,
        };
        let masker = Arc::new(masker);
        *loaded = Some((digest, Arc::clone(&masker)));
        Ok(masker)
    }

    /// The module of that name, in the version that the run pinned, or in the current one. Blocking when it is not
    /// loaded yet.
    pub(crate) fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<dyn Module>, StepError> {
        let version = match version {
            Some(version) => version.to_owned(),
            None => self.current(name).unwrap_or_default(),
        };
        let slot = self.slot((name.to_owned(), version.clone()));
        let mut loaded = lock(&slot);
        if let Some(module) = &*loaded {
            return Ok(Arc::clone(module));
        }
        let module = self.load(name, &version)?;
        *loaded = Some(Arc::clone(&module));
        Ok(module)
    }

    fn current(&self, name: &str) -> Option<String> {
        self.shelf
            .current()
            .module(name)
            .ok()
            .map(|module| module.digest.clone())
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut loaded = lock(&self.loaded);
        if loaded.len() >= MAX_LOADED && !loaded.contains_key(&key) {
            // Those in use live on with their users.
            loaded.clear();
        }
        Arc::clone(loaded.entry(key).or_default())
    }

    fn load(&self, name: &str, version: &str) -> Result<Arc<dyn Module>, StepError> {
        let toolbox = self.shelf.current();
        let (manifest, bundle) = match toolbox.module(name) {
            Ok(module) if module.digest == version => (module.manifest.clone(), module.bundle.clone()),
            _ if version.is_empty() => return Err(unknown(&toolbox, name)),
            _ => self.pinned(name, version)?,
        };
        load(&toolbox, manifest, bundle, &self.host).map_err(|source| StepError::Load {
            module: name.to_owned(),
            source,
        })
    }

    /// A version that the toolbox does not have, or not any more.
    fn pinned(&self, name: &str, version: &str) -> Result<(ModuleManifest, Bundle), StepError> {
        let id = version.parse()?;
        vouched(&self.blobs, &id, &format!("the module `{name}`"))?;
        let bytes = self.blobs.get(&id)?;
        let bundle = Bundle::from_bytes(&bytes).map_err(|source| StepError::Json {
            what: format!("the module `{name}` ({version}) cannot be read"),
            source,
        })?;
        let manifest = ModuleManifest::of_bundle(name, &bundle).map_err(|problems| StepError::Load {
            module: name.to_owned(),
            source: load_error(name, &problems),
        })?;
        Ok((manifest, bundle))
    }
}

fn load(
    toolbox: &Toolbox,
    manifest: ModuleManifest,
    bundle: Bundle,
    host: &Arc<Host>,
) -> Result<Arc<dyn Module>, LoadError> {
    match &manifest.kind {
        ModuleKind::Builtin => builtin(&manifest.name, &rule_files(&bundle)).unwrap_or_else(|| {
            Err(LoadError {
                file: "module.yaml".to_owned(),
                line: None,
                reason: format!(
                    "Helve has no built-in module `{}`; it has {}",
                    manifest.name,
                    helve_modules::BUILTIN.join(", ")
                ),
            })
        }),
        ModuleKind::Command(spec) | ModuleKind::Wasm(spec) => {
            vet(toolbox, spec)?;
            let tool = spec.tool.as_ref();
            let defaults = tool.map(|tool| defaults(toolbox, tool.name())).unwrap_or_default();
            command::load(&manifest, bundle, defaults, Arc::clone(host))
        }
    }
}

fn rule_files(bundle: &Bundle) -> Vec<RuleFile> {
    let files = bundle.files.iter();
    files
        .map(|(path, text)| RuleFile {
            path: path.clone(),
            text: text.clone(),
        })
        .collect()
}

pub(crate) fn shipped_masker() -> Result<Masker, StepError> {
    let shipped = Toolbox::load(&[Layer::embedded()]).toolbox;
    let files = shipped.module(SECRETS).map(|module| rule_files(&module.bundle));
    Masker::load(&files.unwrap_or_default()).map_err(|source| StepError::Load {
        module: SECRETS.to_owned(),
        source,
    })
}

/// Whether a module asks of the worker's owner only what some module of the owner's own toolbox asks: runs pin modules that
/// come from elsewhere, and the home of the owner holds secrets.
fn vet(toolbox: &Toolbox, spec: &CommandSpec) -> Result<(), LoadError> {
    let asks = |spec: &CommandSpec, variable: &str, at: &str, part: &str| {
        let home = spec.tool.as_ref().and_then(|tool| tool.homes.get(variable));
        home.is_some_and(|home| home.at == at && home.read.iter().any(|known| known == part))
    };
    for (variable, home) in spec.tool.iter().flat_map(|tool| &tool.homes) {
        for part in &home.read {
            let mut own = toolbox.modules().filter_map(|module| module.manifest.kind.command());
            if !own.any(|own| asks(own, variable, &home.at, part)) {
                return Err(LoadError {
                    file: "module.yaml".to_owned(),
                    line: None,
                    reason: format!(
                        "it wants to read `{part}` in {variable} ({}) of the worker's owner, and no module of this worker's \
                         own toolbox does",
                        home.at
                    ),
                });
            }
        }
    }
    Ok(())
}

/// What the verticals that carry a tool set for it.
fn defaults(toolbox: &Toolbox, tool: &str) -> Defaults {
    let mut defaults = Defaults::default();
    let carrying = toolbox
        .verticals()
        .filter(|vertical| vertical.tools.iter().any(|carried| carried.name() == tool));
    for vertical in carrying {
        for (name, value) in &vertical.environment {
            defaults.env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        defaults.limits = defaults.limits.or(&vertical.limits);
    }
    defaults
}

fn unknown(toolbox: &Toolbox, name: &str) -> StepError {
    let names: Vec<&str> = toolbox.modules().map(|module| module.manifest.name.as_str()).collect();
    StepError::UnknownModule {
        name: name.to_owned(),
        hint: format!("; it carries {}", names.join(", ")),
    }
}

fn load_error(name: &str, problems: &[Problem]) -> LoadError {
    match problems.first() {
        Some(problem) => LoadError {
            file: problem.file.clone(),
            line: Some(problem.line),
            reason: problem.message.clone(),
        },
        None => LoadError {
            file: name.to_owned(),
            line: None,
            reason: "it cannot be read".to_owned(),
        },
    }
}

/// Loads every module of a toolbox, as a step would: what is wrong with their rules and patterns. Blocking.
pub fn check_modules(toolbox: &Toolbox) -> Vec<Problem> {
    let host = Arc::new(Host::new(
        command::Search::default(),
        std::env::temp_dir(),
        Box::new(command::Unconfined),
    ));
    let mut problems = Vec::new();
    for module in toolbox.modules() {
        if let Err(error) = load(toolbox, module.manifest.clone(), module.bundle.clone(), &host) {
            problems.push(Problem {
                file: format!("{}/modules/{}/{}", module.origin, module.manifest.name, error.file),
                line: error.line.unwrap_or(1),
                column: 1,
                message: error.reason,
                hint: None,
            });
        }
    }
    problems
}

#[cfg(test)]
impl Modules {
    /// The built-in ones, and one more.
    pub(crate) fn with(name: &str, module: Arc<dyn Module>, blobs: BlobStore) -> Self {
        let toolbox = Arc::new(Toolbox::load(&[helve_toolbox::Layer::embedded()]).toolbox);
        let host = Host::new(
            command::Search::default(),
            std::env::temp_dir(),
            Box::new(command::Unconfined),
        );
        let modules = Self::new(Shelf::from(toolbox), blobs, Arc::new(host));
        let key = (name.to_owned(), String::new());
        lock(&modules.loaded).insert(key, Arc::new(Mutex::new(Some(module))));
        modules
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolbox(pattern: &str) -> Arc<Toolbox> {
        let module = format!(
            "name: marks\nversion: '1'\ndescription: d\nkind: command\ntool: {{program: grep}}\nargs: [-rn, {pattern}, .]\n\
             exit_codes: [0, 1]\noutput: {{format: lines, pattern: '(?P<path>[^:]+):(?P<line>\\d+):(?P<message>.*)'}}\n"
        );
        let files = [
            ("modules/marks/module.yaml", module.as_str()),
            ("workflows/w/metadata.yaml", "name: w\nversion: '1'\ndescription: d\n"),
            ("workflows/w/workflow.yaml", "steps: [{id: a, uses: marks}]\n"),
        ];
        let layer = Layer::memory("box", files.map(|(path, text)| (path.to_owned(), text.to_owned())));
        let loaded = Toolbox::load(&[Layer::embedded(), layer]);
        assert_eq!(loaded.problems, []);
        Arc::new(loaded.toolbox)
    }

    fn modules(toolbox: &Arc<Toolbox>, blobs: &BlobStore) -> Modules {
        let host = Host::new(
            command::Search::default(),
            std::env::temp_dir(),
            Box::new(command::Unconfined),
        );
        Modules::new(Shelf::from(Arc::clone(toolbox)), blobs.clone(), Arc::new(host))
    }

    fn blobs() -> (tempfile::TempDir, BlobStore) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        (dir, blobs)
    }

    #[test]
    fn a_module_is_loaded_once_for_each_version() {
        let (_dir, blobs) = blobs();
        let modules = modules(&toolbox("FIXME"), &blobs);
        let digest = modules.current("secrets").unwrap();
        assert!(Arc::ptr_eq(
            &modules.get("secrets", None).unwrap(),
            &modules.get("secrets", Some(&digest)).unwrap()
        ));
    }

    #[test]
    fn a_pinned_version_is_loaded_although_the_toolbox_has_another_one_by_now() {
        let (_dir, blobs) = blobs();
        let before = toolbox("FIXME");
        let plan = before.workflow("w").unwrap().pinned();
        crate::store_pinned(&before, &plan, &blobs).unwrap();
        let pinned = before.module("marks").unwrap().digest.clone();
        let after = toolbox("TODO");
        assert_ne!(after.module("marks").unwrap().digest, pinned);
        let modules = modules(&after, &blobs);
        modules.get("marks", Some(&pinned)).unwrap();
        let Err(error) = modules.get("marks", Some(&"0".repeat(64))) else {
            panic!("nobody stored that version")
        };
        assert!(error.is_retryable(), "another worker may have it: {error}");
    }

    #[test]
    fn what_somebody_uploaded_is_no_module_whatever_a_plan_says() {
        let (_dir, blobs) = blobs();
        let modules = modules(&toolbox("TODO"), &blobs);
        let made_up = toolbox("FIXME").module("marks").unwrap().bundle.to_bytes();
        let uploaded = blobs.put_bytes(&made_up).unwrap().id.to_hex();
        let Err(error) = modules.get("marks", Some(&uploaded)) else {
            panic!("it is run");
        };
        assert!(!error.is_retryable());
        assert!(error.to_string().contains("from no toolbox"), "{error}");
    }

    #[test]
    fn a_module_from_elsewhere_sees_of_the_owners_home_what_own_modules_see_and_no_more() {
        let toolbox = toolbox("FIXME");
        let vetted = |read: &str| {
            let text = format!(
                "name: m\nversion: '1'\ndescription: d\nkind: command\ntool: {{program: cargo, homes: {{CARGO_HOME: {{at: \
                 .cargo, read: [{read}]}}}}}}\nargs: []\noutput: {{from: stdout, format: sarif}}\n"
            );
            let files = [("module.yaml".to_owned(), text)].into();
            let manifest = ModuleManifest::of_bundle("m", &Bundle { files, component: None }).unwrap();
            vet(&toolbox, manifest.kind.command().unwrap())
        };
        assert_eq!(
            vetted("advisory-db"),
            Ok(()),
            "the shipped module `cargo-audit` sees it"
        );
        let refused = vetted("advisory-db, credentials.toml").unwrap_err().to_string();
        assert!(refused.contains("`credentials.toml` in CARGO_HOME"), "{refused}");
    }

    #[test]
    fn secrets_are_masked_by_the_toolboxs_rules_and_by_the_shipped_ones_if_it_has_none() {
        let (_dir, blobs) = blobs();
        let head = "name: secrets\nversion: '9'\ndescription: d\nkind: builtin\n";
        let rules = "rules:\n  - id: house\n    name: House key\n    severity: high\n    confidence: high\n    keywords: \
                     [hk_]\n    regex: 'hk_[0-9a-f]{8}'\n";
        let key = format!("AKIA{}", "QYLPMN5HFZ3XG6WJ");
        for (file, house, shipped) in [("rules/a.yaml", true, false), ("notes.txt", false, true)] {
            let files = [
                ("modules/secrets/module.yaml", head),
                (&*format!("modules/secrets/{file}"), rules),
            ];
            let layer = Layer::memory("box", files.map(|(path, text)| (path.to_owned(), text.to_owned())));
            let toolbox = Arc::new(Toolbox::load(&[Layer::embedded(), layer]).toolbox);
            let masker = modules(&toolbox, &blobs).masker().unwrap();
            assert_eq!(masker.text("hk_27df29e2") != "hk_27df29e2", house, "{file}");
            assert_eq!(masker.text(&key) != key, shipped, "{file}");
        }
    }

    #[test]
    fn an_unknown_module_is_refused_for_good_with_what_there_is() {
        let (_dir, blobs) = blobs();
        let Err(error) = modules(&toolbox("FIXME"), &blobs).get("fuzz", None) else {
            panic!("there is no such module")
        };
        let text = error.to_string();
        assert!(
            text.starts_with("no module `fuzz` on this worker; it carries "),
            "{text}"
        );
        assert!(text.contains("sast, secrets"), "{text}");
        assert!(!error.is_retryable());
    }

    #[test]
    fn every_shipped_module_loads() {
        let toolbox = Toolbox::load(&[Layer::embedded()]).toolbox;
        assert_eq!(check_modules(&toolbox), []);
    }
}
