//! One world: an engine on a computer that may crash, and everybody who deals with it. All on one thread.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use helve_db::Store;
use helve_engine::{Clock, Engine, EngineOptions, InProcess, Timestamp};
use tokio::{runtime::Runtime, sync::oneshot};

use crate::{
    actors::Actors,
    bugs::Bug,
    clock::VirtualClock,
    disk::Disk,
    ledger::Ledger,
    plan::Plan,
    rng::{Rng, SeededIds},
};

/// Lines of the trace that are kept for whoever has to understand a failure.
const KEPT_LINES: usize = 400;

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) fate: Fate,
    pub(crate) clock: VirtualClock,
    pub(crate) actors: Actors,
    pub(crate) ledger: RefCell<Ledger>,
    rng: RefCell<Rng>,
    ids: Arc<SeededIds>,
    dir: tempfile::TempDir,
    computer: RefCell<Option<Computer>>,
    lives: Cell<u64>,
    commits: Cell<u64>,
    calm: Cell<bool>,
    /// Nobody works any more.
    over: Cell<bool>,
    /// Those who still want something from the engine.
    askers: Cell<usize>,
    trace: RefCell<Trace>,
    violation: RefCell<Option<String>>,
}

/// A machine that is switched on: dropping it is a crash, at whatever the engine was waiting for.
struct Computer {
    // Before the runtime: whoever drops an engine first stops it, and nothing of it runs after that.
    engine: Option<Arc<Engine>>,
    runtime: Runtime,
    disk: Rc<Disk>,
}

#[derive(Default)]
struct Trace {
    lines: VecDeque<String>,
    hash: u64,
    is_printed: bool,
}

/// What is done to a world besides what its seed says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fate {
    /// A mistake that is made on purpose.
    pub(crate) bug: Option<Bug>,
    /// The number of the one commit at which the power fails, and whether it is on disk then. Nothing else goes wrong.
    pub(crate) crash_at: Option<(u64, bool)>,
}

impl World {
    pub(crate) fn new(seed: u64, fate: Fate, is_printed: bool) -> Rc<World> {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        Rc::new(World {
            plan: match fate.crash_at {
                Some(_) => plan.without_faults(),
                None => plan,
            },
            fate,
            commits: Cell::new(0),
            clock: VirtualClock::new(Timestamp::from_seconds(1_800_000_000)),
            actors: Actors::default(),
            ledger: RefCell::default(),
            ids: Arc::new(SeededIds::new(rng.fork())),
            rng: RefCell::new(rng),
            dir: tempfile::tempdir().unwrap(),
            computer: RefCell::default(),
            lives: Cell::new(0),
            calm: Cell::new(false),
            over: Cell::new(false),
            askers: Cell::new(0),
            trace: RefCell::new(Trace {
                is_printed,
                ..Trace::default()
            }),
            violation: RefCell::default(),
        })
    }

    // Chance and time.

    pub(crate) fn rng(&self) -> std::cell::RefMut<'_, Rng> {
        self.rng.borrow_mut()
    }

    /// True in so many of a hundred cases, and never once the faults are over.
    pub(crate) fn mishap(&self, percent: u32) -> bool {
        !self.calm.get() && self.rng().percent(percent)
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.get()
    }

    /// From here on nothing goes wrong any more.
    pub(crate) fn calm_down(&self) {
        self.calm.set(true);
        self.note("world", format_args!("calm from here on"));
    }

    /// From here on workers ask for nothing.
    pub(crate) fn end_work(&self) {
        self.over.set(true);
    }

    pub(crate) fn is_work_over(&self) -> bool {
        self.over.get()
    }

    /// An actor who must come to its end before the world does.
    pub(crate) fn spawn_asker(self: &Rc<Self>, asker: impl Future<Output = ()> + 'static) {
        let world = self.clone();
        self.askers.set(self.askers.get() + 1);
        self.actors.spawn(async move {
            asker.await;
            world.askers.set(world.askers.get() - 1);
        });
    }

    pub(crate) fn has_askers(&self) -> bool {
        self.askers.get() > 0
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Sleeps for a random time.
    pub(crate) async fn nap(&self, from_millis: u64, to_millis: u64) {
        let duration = self.rng().millis(from_millis, to_millis);
        self.sleep(duration).await;
    }

    /// Lets everybody go on until `is_done`, something is wrong, or the given time has come: then `false`.
    pub(crate) fn run(&self, until: Timestamp, is_done: impl Fn() -> bool) -> bool {
        loop {
            let somebody_went_on = self.actors.step(&self.rng);
            if self.violation.borrow().is_some() || is_done() {
                return true;
            }
            // Mostly the engine goes on at once; sometimes several things happen to it before it can look.
            if !somebody_went_on || self.rng().percent(75) {
                self.let_engine_go_on();
            }
            if somebody_went_on || self.actors.is_ready() {
                continue;
            }
            match self.clock.next().filter(|next| *next <= until) {
                Some(next) => self.clock.jump(next),
                None => return false,
            }
        }
    }

    /// The number of the next commit, until everything is calm.
    pub(crate) fn count_commit(&self) -> u64 {
        let number = self.commits.get();
        self.commits.set(number + u64::from(!self.calm.get()));
        number
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.get()
    }

    // The computer.

    fn let_engine_go_on(&self) {
        if let Some(computer) = &*self.computer.borrow() {
            // The runtime's own clock is paused: it jumps over this only when no task of the engine can go on.
            computer
                .runtime
                .block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        }
    }

    pub(crate) fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            clock: Arc::new(self.clock.clone()),
            ids: self.ids.clone(),
            role: "a simulation".to_owned(),
            poll_timeout: Duration::from_secs(60),
            max_closed_runs: self.plan.closed_runs_in_memory,
            max_open_bytes: self.plan.open_bytes_in_memory,
            page_events: self.plan.page_events,
            ..EngineOptions::new(self.dir.path())
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("engine.db")
    }

    /// Switches the computer on and opens the engine. If that fails, it is tried again later.
    pub(crate) async fn boot(self: Rc<Self>) {
        let life = self.lives.get() + 1;
        self.lives.set(life);
        self.note("computer", format_args!("on, for the {life}. time"));
        if let Some(bug) = self.fate.bug {
            bug.before_opening(&self.database());
        }
        let options = self.engine_options();
        let opened = Store::driven(&self.database(), &Engine::store_options(&options));
        let (store, requests, driver) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.violated(format!("the database cannot be opened: {error}")),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (answer, opened) = oneshot::channel();
        runtime.spawn(async move {
            let _ = answer.send(Engine::open_on(options, store).await);
        });
        let disk = Disk::attach(&self, requests, driver);
        *self.computer.borrow_mut() = Some(Computer {
            engine: None,
            runtime,
            disk,
        });
        match opened.await {
            Ok(Ok(engine)) => {
                self.note("engine", format_args!("open, {} recovered", engine.recovered()));
                if let Some(computer) = &mut *self.computer.borrow_mut() {
                    computer.engine = Some(Arc::new(engine));
                }
            }
            Ok(Err(helve_engine::OpenError::Io { reason, .. })) => {
                self.note("engine", format_args!("not opened: {reason}"));
                self.crash("since it could not open");
            }
            Ok(Err(error)) => self.violated(format!("the engine cannot be opened: {error}")),
            // The computer crashed meanwhile.
            Err(_) => {}
        }
    }

    /// The computer goes off at once, and on again later.
    pub(crate) fn crash(self: &Rc<Self>, why: &str) {
        let Some(computer) = self.computer.borrow_mut().take() else {
            return;
        };
        self.note("computer", format_args!("off {why}"));
        computer.disk.switch_off();
        drop(computer);
        let world = self.clone();
        self.actors.spawn(async move {
            world.nap(10, 3000).await;
            world.boot().await;
        });
    }

    /// The engine is stopped as it should be, and started again.
    pub(crate) async fn restart(self: &Rc<Self>) {
        let Some(engine) = self.engine() else { return };
        self.note("computer", format_args!("stops the engine"));
        let (answer, stopped) = oneshot::channel::<()>();
        self.spawn_on_computer(async move {
            engine.shutdown().await;
            drop((engine, answer));
        });
        let _ = stopped.await;
        self.crash("after a clean stop");
    }

    /// The engine, if it is open.
    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        self.computer.borrow().as_ref()?.engine.clone()
    }

    pub(crate) fn in_process(&self) -> Option<InProcess> {
        self.engine().map(|engine| engine.in_process())
    }

    /// Runs a future where the engine runs. It ends with a crash, at the latest.
    pub(crate) fn spawn_on_computer(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Option<tokio::task::AbortHandle> {
        let computer = self.computer.borrow();
        Some(computer.as_ref()?.runtime.spawn(future).abort_handle())
    }

    // What happened.

    pub(crate) fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        let millis = self.now().since(Timestamp::from_seconds(1_800_000_000)).as_millis();
        let line = format!("{:>9}.{:03} {who:<12} {what}", millis / 1000, millis % 1000);
        let mut trace = self.trace.borrow_mut();
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if trace.is_printed {
            println!("{line}");
        }
        if trace.lines.len() == KEPT_LINES {
            trace.lines.pop_front();
        }
        trace.lines.push_back(line);
    }

    /// Something must not be as it is: the world ends. Only the first such thing counts.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        self.note("ORACLE", format_args!("{what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.trace.borrow().hash
    }

    /// The last lines of the trace.
    pub(crate) fn last_lines(&self) -> String {
        let trace = self.trace.borrow();
        trace.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Ends everything. Actors hold the world, so this must be said.
    pub(crate) fn end(&self) {
        drop(self.computer.borrow_mut().take());
        self.actors.clear();
    }
}
