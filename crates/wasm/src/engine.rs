//! Compiles code, keeps it, and makes room for guests.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, Module, PoolingAllocationConfig};

use crate::bindings::{self, WorkflowPre};
use crate::cache::Cache;
use crate::flawless;
use crate::imports::Guest;
use crate::limits::Limits;
use crate::wasi;

/// How often guests are asked how long they have been computing.
const TICK: Duration = Duration::from_millis(50);
/// Stack of a guest, and of what the host does on it.
const GUEST_STACK: usize = 512 << 10;
const FIBER_STACK: usize = GUEST_STACK + (256 << 10);
/// Parts that one component may have. Those of Python have some twenty.
const MAX_PARTS: u32 = 64;
const MAX_TABLES: u32 = 16;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLE_ELEMENTS: usize = 50_000;
/// Guests that are given an answer at the same moment: no more than threads that let guests compute.
const MAX_ANSWERING: u32 = 64;
/// Code that is kept ready. More than this means that somebody is editing: what is not in use goes.
const MAX_LOADED: usize = 64;

/// Compiles workflow code and runs it. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    engine: wasmtime::Engine,
    limits: Limits,
    cache: Option<Cache>,
    loaded: Mutex<HashMap<blake3::Hash, Arc<Slot>>>,
}

/// Locked while its code is compiled: two runs that need it compile it once, and others do not wait.
type Slot = Mutex<Option<Code>>;

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

/// Why something is not a workflow's code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CodeError {
    /// It is neither a component nor a module.
    #[error("it is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It is one, and asks for other things than a workflow has, or offers others.
    #[error("it is not a workflow: {0}")]
    NotAWorkflow(String),
}

/// Code that is ready to run.
#[derive(Clone)]
pub struct Code {
    digest: blake3::Hash,
    pub(crate) engine: Engine,
    pub(crate) program: Program,
}

/// The kinds of guests.
#[derive(Clone)]
pub(crate) enum Program {
    Component(WorkflowPre<Guest>),
    Flawless(flawless::Module),
}

impl Code {
    /// BLAKE3 of its source: the version that runs pin.
    pub fn digest(&self) -> String {
        self.digest.to_hex().to_string()
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Code").field(&self.digest()).finish()
    }
}

impl Engine {
    /// An engine. With a folder, compiled code outlives the process; the folder must be nobody else's, because
    /// compiled code is trusted.
    pub fn new(limits: Limits, cache: Option<&Path>) -> Result<Self, EngineError> {
        let unsupported = |error: wasmtime::Error| EngineError::Unsupported(format!("{error:#}"));
        let engine = wasmtime::Engine::new(&config(&limits)).map_err(unsupported)?;
        let cache = cache.map(|folder| {
            let mut fingerprint = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut fingerprint);
            Cache::open(folder, fingerprint.finish())
        });
        let cache = cache.transpose()?;
        keep_time(&engine).map_err(|error| EngineError::Unsupported(error.to_string()))?;
        Ok(Self(Arc::new(Shared {
            engine,
            limits,
            cache,
            loaded: Mutex::default(),
        })))
    }

    /// What its guests may take.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Code that was loaded before and is still at hand, by the digest of its source.
    pub fn loaded(&self, digest: &str) -> Option<Code> {
        let digest = blake3::Hash::from_hex(digest).ok()?;
        let slot = Arc::clone(lock(&self.0.loaded).get(&digest)?);
        lock(&slot).clone()
    }

    /// Makes code ready to run: from memory, from the folder of compiled code, or by compiling it, which takes a second
    /// for most languages and a minute for those that bring their interpreter. Blocking.
    pub fn load(&self, source: &[u8]) -> Result<Code, CodeError> {
        let digest = blake3::hash(source);
        let slot = self.slot(digest);
        let mut loaded = lock(&slot);
        if let Some(code) = &*loaded {
            return Ok(code.clone());
        }
        let program = match flawless::is_core_module(source) {
            true => self.module(source, &digest)?,
            false => self.component(source, &digest)?,
        };
        let code = Code {
            digest,
            engine: self.clone(),
            program,
        };
        *loaded = Some(code.clone());
        Ok(code)
    }

    fn slot(&self, digest: blake3::Hash) -> Arc<Slot> {
        let mut loaded = lock(&self.0.loaded);
        if loaded.len() >= MAX_LOADED && !loaded.contains_key(&digest) {
            // What is in use lives on with its runs.
            loaded.clear();
        }
        Arc::clone(loaded.entry(digest).or_default())
    }

    fn component(&self, source: &[u8], digest: &blake3::Hash) -> Result<Program, CodeError> {
        let engine = &self.0.engine;
        let component = self.compiled(
            digest,
            |code| read_component(engine, code),
            || Component::from_binary(engine, source),
            Component::serialize,
        )?;
        let not_a_workflow = |error: wasmtime::Error| CodeError::NotAWorkflow(format!("{error:#}"));
        let mut linker = Linker::new(engine);
        bindings::Workflow::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest).map_err(not_a_workflow)?;
        wasi::define(&mut linker, engine, &component).map_err(not_a_workflow)?;
        let pre = linker.instantiate_pre(&component).and_then(WorkflowPre::new);
        Ok(Program::Component(pre.map_err(not_a_workflow)?))
    }

    fn module(&self, source: &[u8], digest: &blake3::Hash) -> Result<Program, CodeError> {
        let engine = &self.0.engine;
        let module = self.compiled(
            digest,
            |code| read_module(engine, code),
            || Module::from_binary(engine, source),
            Module::serialize,
        )?;
        let module = flawless::Module::new(engine, &module).map_err(CodeError::NotAWorkflow)?;
        Ok(Program::Flawless(module))
    }

    /// What was compiled before, or is compiled now and kept.
    fn compiled<T>(
        &self,
        digest: &blake3::Hash,
        load: impl Fn(&[u8]) -> wasmtime::Result<T>,
        compile: impl Fn() -> wasmtime::Result<T>,
        serialize: impl Fn(&T) -> wasmtime::Result<Vec<u8>>,
    ) -> Result<T, CodeError> {
        if let Some(code) = self.0.cache.as_ref().and_then(|cache| cache.get(digest)) {
            match load(&code) {
                Ok(compiled) => return Ok(compiled),
                Err(error) => tracing::debug!(%error, "compiled code is of no use and is made anew"),
            }
        }
        let compiled = compile().map_err(|error| CodeError::NotAComponent(format!("{error:#}")))?;
        if let Some(cache) = &self.0.cache {
            // The next process compiles it again: slower, not wrong.
            let kept = serialize(&compiled).map_err(|error| format!("{error:#}"));
            let kept = kept.and_then(|code| cache.put(digest, &code).map_err(|error| error.to_string()));
            if let Err(error) = kept {
                tracing::warn!(%error, "compiled workflow code cannot be kept");
            }
        }
        Ok(compiled)
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }
}

// Both read what `serialize` of an engine with the same fingerprint gave: it comes from a folder that only this user can
// write to, under the name of its source, and its checksum is right.

#[allow(unsafe_code, reason = "compiled code of our own folder is trusted; see `cache`")]
fn read_component(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: see above.
    unsafe { Component::deserialize(engine, code) }
}

#[allow(unsafe_code, reason = "compiled code of our own folder is trusted; see `cache`")]
fn read_module(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: see above.
    unsafe { Module::deserialize(engine, code) }
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    // What a program computes must not depend on the machine that it runs on, nor on when.
    config
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .concurrency_support(false);
    // It ends.
    config.consume_fuel(true).epoch_interruption(true);
    config.max_wasm_stack(GUEST_STACK).async_stack_size(FIBER_STACK);
    // It starts quickly, and takes no more address space than it may have memory: thousands may sleep.
    let mut pool = PoolingAllocationConfig::new();
    let runs = limits.max_runs;
    pool.total_component_instances(runs)
        // An answer to a core module is put where the module says: a call within a call, on a stack of its own.
        .total_stacks(runs.saturating_add(MAX_ANSWERING))
        .total_core_instances(runs.saturating_mul(8))
        .total_memories(runs.saturating_add(runs / 4))
        .total_tables(runs.saturating_mul(4))
        .max_core_instances_per_component(MAX_PARTS)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(limits.memory)
        .max_unused_warm_slots(16);
    config
        .memory_reservation(limits.memory as u64)
        .memory_guard_size(64 << 10)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Lets time pass for guests that compute. The thread ends with the engine.
fn keep_time(engine: &wasmtime::Engine) -> io::Result<()> {
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
