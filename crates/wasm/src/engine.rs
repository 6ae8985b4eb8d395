//! Makes workflow code ready to run, and room for guests.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::{self, WorkflowPre};
use crate::compile::{CodeError, Compiler, EngineError};
use crate::flawless;
use crate::imports::Guest;
use crate::limits::Limits;
use crate::wasi;

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
    compiler: Compiler,
    limits: Limits,
    loaded: Mutex<HashMap<blake3::Hash, Arc<Slot>>>,
}

/// Locked while its code is compiled: two runs that need it compile it once, and others do not wait.
type Slot = Mutex<Option<Code>>;

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
        Ok(Self(Arc::new(Shared {
            compiler: Compiler::new(&config(&limits), cache)?,
            limits,
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
        let engine = self.wasmtime();
        let component = self.0.compiler.component(source, digest)?;
        let not_a_workflow = |error: wasmtime::Error| CodeError::NotAWorkflow(format!("{error:#}"));
        let mut linker = Linker::new(engine);
        bindings::Workflow::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest).map_err(not_a_workflow)?;
        wasi::define(&mut linker, engine, &component).map_err(not_a_workflow)?;
        let pre = linker.instantiate_pre(&component).and_then(WorkflowPre::new);
        Ok(Program::Component(pre.map_err(not_a_workflow)?))
    }

    fn module(&self, source: &[u8], digest: &blake3::Hash) -> Result<Program, CodeError> {
        let module = self.0.compiler.module(source, digest)?;
        let module = flawless::Module::new(self.wasmtime(), &module).map_err(CodeError::NotAWorkflow)?;
        Ok(Program::Flawless(module))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        self.0.compiler.engine()
    }
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
