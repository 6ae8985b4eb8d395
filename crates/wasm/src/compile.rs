//! Compiles components and modules, once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Config, Engine, Module};

use crate::cache::Cache;

/// How often code that computes gives its host a chance to look at it.
const TICK: Duration = Duration::from_millis(50);

/// Why there can be no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The machine or the operating system does not do.
    #[error("WebAssembly cannot be run here: {0}")]
    Unsupported(String),
    /// Compiled code cannot be kept.
    #[error("cannot keep compiled code: {0}")]
    Cache(#[from] io::Error),
}

/// Why something is not the code that it should be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CodeError {
    /// It is neither a component nor a module.
    #[error("it is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It is one, and asks for other things than a workflow has, or offers others.
    #[error("it is not a workflow: {0}")]
    NotAWorkflow(String),
    /// It is one, and not a command of WASI.
    #[error("it is not a command of WASI 0.2: {0}")]
    NotACommand(String),
}

/// An engine of one configuration, and what it has compiled.
pub(crate) struct Compiler {
    engine: Engine,
    cache: Option<Cache>,
}

impl Compiler {
    /// The configuration must have epochs: they pass here.
    pub(crate) fn new(config: &Config, cache: Option<&Path>) -> Result<Self, EngineError> {
        let engine = Engine::new(config).map_err(|error| EngineError::Unsupported(format!("{error:#}")))?;
        let cache = cache.map(|folder| {
            let mut fingerprint = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut fingerprint);
            Cache::open(folder, fingerprint.finish())
        });
        let cache = cache.transpose()?;
        keep_time(&engine).map_err(|error| EngineError::Unsupported(error.to_string()))?;
        Ok(Self { engine, cache })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The component of that source and digest: from the folder of compiled code, or compiled.
    pub(crate) fn component(&self, source: &[u8], digest: &blake3::Hash) -> Result<Component, CodeError> {
        self.compiled(
            digest,
            |code| read_component(&self.engine, code),
            || Component::from_binary(&self.engine, source),
            Component::serialize,
        )
    }

    /// The same of a core module.
    pub(crate) fn module(&self, source: &[u8], digest: &blake3::Hash) -> Result<Module, CodeError> {
        self.compiled(
            digest,
            |code| read_module(&self.engine, code),
            || Module::from_binary(&self.engine, source),
            Module::serialize,
        )
    }

    fn compiled<T>(
        &self,
        digest: &blake3::Hash,
        load: impl Fn(&[u8]) -> wasmtime::Result<T>,
        compile: impl Fn() -> wasmtime::Result<T>,
        serialize: impl Fn(&T) -> wasmtime::Result<Vec<u8>>,
    ) -> Result<T, CodeError> {
        if let Some(code) = self.cache.as_ref().and_then(|cache| cache.get(digest)) {
            match load(&code) {
                Ok(compiled) => return Ok(compiled),
                Err(error) => tracing::debug!(%error, "compiled code is of no use and is made anew"),
            }
        }
        let compiled = compile().map_err(|error| CodeError::NotAComponent(format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            // The next process compiles it again: slower, not wrong.
            let kept = serialize(&compiled).map_err(|error| format!("{error:#}"));
            let kept = kept.and_then(|code| cache.put(digest, &code).map_err(|error| error.to_string()));
            if let Err(error) = kept {
                tracing::warn!(%error, "compiled code cannot be kept");
            }
        }
        Ok(compiled)
    }
}

// Both read what `serialize` of an engine with the same fingerprint gave: it comes from a folder that only this user can
// write to, under the name of its source, and its checksum is right.

#[allow(unsafe_code, reason = "compiled code of our own folder is trusted; see `cache`")]
fn read_component(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: see above.
    unsafe { Component::deserialize(engine, code) }
}

#[allow(unsafe_code, reason = "compiled code of our own folder is trusted; see `cache`")]
fn read_module(engine: &Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: see above.
    unsafe { Module::deserialize(engine, code) }
}

/// Lets time pass for code that computes. The thread ends with the engine.
fn keep_time(engine: &Engine) -> io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name("wasm-ticks".to_owned())
        .spawn(tick)
        .map(drop)
}
