//! Where the code of workflows comes from.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use helve_wasm::{Code, Engine, Limits};

/// Has the sources of workflow code.
pub trait CodeSource: Send + Sync {
    /// The source whose BLAKE3 is `digest`, in hex; an error says for people why it cannot be had. Blocking.
    fn source(&self, digest: &str) -> Result<Vec<u8>, String>;
}

/// Code by its digest, ready to run. Clones share everything.
#[derive(Clone)]
pub struct Codes(Arc<Shared>);

struct Shared {
    limits: Limits,
    cache: Option<PathBuf>,
    source: Box<dyn CodeSource>,
    /// Made when the first run needs it: most processes never do.
    engine: Mutex<Option<Engine>>,
}

impl Codes {
    /// Code from `source`. Compiled code is kept in `cache`, which must be nobody else's.
    pub fn new(limits: Limits, cache: Option<PathBuf>, source: impl CodeSource + 'static) -> Self {
        Self(Arc::new(Shared {
            limits,
            cache,
            source: Box::new(source),
            engine: Mutex::new(None),
        }))
    }

    /// Code, ready to run. Blocking for as long as it takes to fetch and compile it.
    pub fn get(&self, digest: &str) -> Result<Code, String> {
        let engine = self.engine()?;
        if let Some(code) = engine.loaded(digest) {
            return Ok(code);
        }
        let source = self.0.source.source(digest)?;
        let found = blake3::hash(&source).to_hex();
        if found.as_str() != digest {
            return Err(format!("the code {digest} was changed: it is {found} now"));
        }
        engine.load(&source).map_err(|error| error.to_string())
    }

    fn engine(&self) -> Result<Engine, String> {
        let mut engine = self.0.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let made = Engine::new(self.0.limits.clone(), self.0.cache.as_deref()).map_err(|error| error.to_string())?;
        Ok(engine.insert(made).clone())
    }
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codes")
            .field("cache", &self.0.cache)
            .finish_non_exhaustive()
    }
}
