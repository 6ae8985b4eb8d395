//! The modules that this worker carries, loaded once on first use: compiling hundreds of rules takes a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use helve_modules::{Module, RuleFile, builtin};
use helve_toolbox::Toolbox;

use crate::StepError;

/// Loads modules by name.
pub(crate) struct Modules {
    toolbox: Arc<Toolbox>,
    loaded: Mutex<HashMap<String, Arc<Slot>>>,
}

/// Locked while its module is loaded: two steps that need it compile its rules once, and others do not wait.
type Slot = Mutex<Option<Arc<dyn Module>>>;

impl Modules {
    pub(crate) fn new(toolbox: Arc<Toolbox>) -> Self {
        Self {
            toolbox,
            loaded: Mutex::new(HashMap::new()),
        }
    }

    /// The module of that name. Blocking when it is not loaded yet.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<dyn Module>, StepError> {
        let slot = Arc::clone(lock(&self.loaded).entry(name.to_owned()).or_default());
        let mut loaded = lock(&slot);
        if let Some(module) = &*loaded {
            return Ok(Arc::clone(module));
        }
        let module = self.load(name)?;
        *loaded = Some(Arc::clone(&module));
        Ok(module)
    }

    fn load(&self, name: &str) -> Result<Arc<dyn Module>, StepError> {
        let files = self.toolbox.module_files(name).into_iter();
        let files: Vec<RuleFile> = files.map(|(path, text)| RuleFile { path, text }).collect();
        builtin(name, &files)
            .ok_or_else(|| StepError::UnknownModule {
                name: name.to_owned(),
                hint: format!("; it carries {}", helve_modules::BUILTIN.join(", ")),
            })?
            .map_err(|source| StepError::Load {
                module: name.to_owned(),
                source,
            })
    }
}

#[cfg(test)]
impl Modules {
    /// The built-in ones, and one more.
    pub(crate) fn with(name: &str, module: Arc<dyn Module>) -> Self {
        let modules = Self::new(Arc::new(Toolbox::load(&[helve_toolbox::Layer::embedded()]).toolbox));
        lock(&modules.loaded).insert(name.to_owned(), Arc::new(Mutex::new(Some(module))));
        modules
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        Modules::new(Arc::new(Toolbox::load(&[helve_toolbox::Layer::embedded()]).toolbox))
    }

    #[test]
    fn a_module_is_loaded_once() {
        let modules = modules();
        assert!(Arc::ptr_eq(
            &modules.get("secrets").unwrap(),
            &modules.get("secrets").unwrap()
        ));
    }

    #[test]
    fn an_unknown_module_is_refused_for_good_with_what_there_is() {
        let Err(error) = modules().get("fuzz") else {
            panic!("there is no such module")
        };
        assert_eq!(
            error.to_string(),
            "no module `fuzz` on this worker; it carries sast, secrets"
        );
        assert!(!error.is_retryable());
    }
}
