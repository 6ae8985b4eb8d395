//! Programs: components that are commands of WASI (`wasi:cli/run`), for modules that look at files.
//!
//! A program sees the folders that it is given and nothing else. Unlike a workflow it need not be repeatable: it has real
//! clocks and real randomness, and may have the network.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Config, ResourceLimiter, Result, Store};
use wasmtime_wasi::p2::bindings::{Command, CommandPre};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxView, WasiView};

use crate::compile::{CodeError, Compiler, EngineError};
use crate::fault::Fault;
use crate::run::describe;

/// Stack of a program, and of what the host does on it.
const STACK: usize = 1 << 20;
const FIBER_STACK: usize = STACK + (256 << 10);
/// Elements of a table: a program of hundreds of thousands of functions is no analysis.
const MAX_TABLE: usize = 1_000_000;
/// Programs that are kept ready. More than this means that somebody is editing: those not in use go.
const MAX_LOADED: usize = 32;

/// Compiles programs, and keeps them. Clones share everything.
#[derive(Clone)]
pub struct Programs(Arc<Shared>);

struct Shared {
    compiler: Compiler,
    loaded: Mutex<HashMap<blake3::Hash, Arc<Slot>>>,
}

/// Locked while its program is compiled, as for workflows.
type Slot = Mutex<Option<Program>>;

/// A program that is ready to run.
#[derive(Clone)]
pub struct Program {
    programs: Programs,
    pre: CommandPre<Inmate>,
}

/// A folder that a program sees.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where it is.
    pub host: PathBuf,
    /// What the program calls it.
    pub name: String,
    /// Whether the program may change what is in it.
    pub writable: bool,
}

/// How a program is called.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Its arguments; the first is its name.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// All that it sees of the file system.
    pub folders: Vec<Folder>,
    /// Whether it may use the network.
    pub network: bool,
    /// Bytes of memory that it may have.
    pub memory: usize,
    /// Bytes that it may print to standard output, and to standard error, each.
    pub output: usize,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramEnd {
    /// By itself, with this code.
    Exited(i32),
    /// It trapped: why, for people.
    Trapped(String),
    /// It wanted more memory than it may have.
    OutOfMemory,
}

/// A program that runs while [`Running::end`] is polled, and is gone when this is dropped.
pub struct Running {
    end: Pin<Box<dyn Future<Output = ProgramEnd> + Send>>,
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Programs {
    /// See [`crate::Engine::new`].
    pub fn new(cache: Option<&Path>) -> Result<Self, EngineError> {
        let mut config = Config::new();
        config.concurrency_support(false).epoch_interruption(true);
        config.max_wasm_stack(STACK).async_stack_size(FIBER_STACK);
        Ok(Self(Arc::new(Shared {
            compiler: Compiler::new(&config, cache)?,
            loaded: Mutex::default(),
        })))
    }

    /// Makes a program ready to run, as [`crate::Engine::load`] does for workflows. Blocking.
    pub fn load(&self, source: &[u8]) -> Result<Program, CodeError> {
        let digest = blake3::hash(source);
        let slot = {
            let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if loaded.len() >= MAX_LOADED && !loaded.contains_key(&digest) {
                loaded.clear();
            }
            Arc::clone(loaded.entry(digest).or_default())
        };
        let mut loaded = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = &*loaded {
            return Ok(program.clone());
        }
        let component = self.0.compiler.component(source, &digest)?;
        let not_a_command = |error: wasmtime::Error| CodeError::NotACommand(format!("{error:#}"));
        let mut linker = Linker::new(self.0.compiler.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(not_a_command)?;
        let pre = linker.instantiate_pre(&component).and_then(CommandPre::new);
        let program = Program {
            programs: self.clone(),
            pre: pre.map_err(not_a_command)?,
        };
        *loaded = Some(program.clone());
        Ok(program)
    }
}

impl Program {
    /// Starts it. The error names a folder that cannot be opened. Must be called within a tokio runtime.
    pub fn start(&self, call: Call) -> std::result::Result<Running, String> {
        let (stdout, stderr) = (MemoryOutputPipe::new(call.output), MemoryOutputPipe::new(call.output));
        let mut wasi = WasiCtx::builder();
        wasi.args(&call.args)
            .envs(&call.env)
            .stdout(stdout.clone())
            .stderr(stderr.clone());
        // Whoever polls a program may block.
        wasi.allow_blocking_current_thread(true);
        if call.network {
            wasi.inherit_network().allow_ip_name_lookup(true);
        }
        for folder in &call.folders {
            let may = match folder.writable {
                true => FsPerms::ReadWrite,
                false => FsPerms::ReadOnly,
            };
            wasi.preopened_dir(&folder.host, &folder.name, may)
                .map_err(|error| format!("{}: {error:#}", folder.host.display()))?;
        }
        let inmate = Inmate {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            memory: 0,
            limit: call.memory,
        };
        let (engine, pre) = (self.programs.0.compiler.engine().clone(), self.pre.clone());
        let end = Box::pin(async move {
            let mut store = Store::new(&engine, inmate);
            store.limiter(|inmate| inmate);
            // Gives way now and then, so that whoever polls it can stop.
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
            let result = match pre.instantiate_async(&mut store).await {
                Ok(command) => Command::wasi_cli_run(&command).call_run(&mut store).await,
                Err(error) => Err(error),
            };
            ended(result)
        });
        Ok(Running { end, stdout, stderr })
    }
}

fn ended(result: Result<std::result::Result<(), ()>>) -> ProgramEnd {
    match result {
        Ok(Ok(())) => ProgramEnd::Exited(0),
        Ok(Err(())) => ProgramEnd::Exited(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => ProgramEnd::Exited(exit.0),
            None if matches!(error.downcast_ref(), Some(Fault::OutOfMemory { .. })) => ProgramEnd::OutOfMemory,
            None => ProgramEnd::Trapped(describe(&error)),
        },
    }
}

impl Running {
    /// Runs it to its end. May block for as long as a system call takes.
    pub async fn end(&mut self) -> ProgramEnd {
        self.end.as_mut().await
    }

    /// What it has printed to standard output.
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.contents().to_vec()
    }

    /// What it has printed to standard error.
    pub fn stderr(&self) -> Vec<u8> {
        self.stderr.contents().to_vec()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// The store's data.
struct Inmate {
    wasi: WasiCtx,
    table: ResourceTable,
    /// Of all its memories together.
    memory: usize,
    limit: usize,
}

impl WasiView for Inmate {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl ResourceLimiter for Inmate {
    fn memory_growing(&mut self, current: usize, wanted: usize, _maximum: Option<usize>) -> Result<bool> {
        let wanted = self.memory.saturating_add(wanted.saturating_sub(current));
        if wanted > self.limit {
            let limit = self.limit;
            return Err(Fault::OutOfMemory { wanted, limit }.into());
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, wanted: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(wanted <= MAX_TABLE)
    }
}
