//! Clients of one or more nodes, all of whose calls are written down for the judge.
//!
//! Each client does one sort of thing over and over at whichever node answers, while nodes die, come back and lose sight of each other.

mod door;
mod queue;
mod registers;
mod workflows;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use helve_e2e::process::LIMIT;
use helve_judge::{Call, Entry, Log, Outcome, judge};

use door::Door;

/// How often something happens to the nodes: `HELVE_CLUSTER_ROUNDS`, 3 if that says nothing.
pub(crate) fn rounds() -> u64 {
    match std::env::var("HELVE_CLUSTER_ROUNDS") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("HELVE_CLUSTER_ROUNDS takes a number, not `{text}`")),
        Err(_) => 3,
    }
}

/// Where nodes are.
pub(crate) struct Nodes {
    /// `host:port` of their API.
    pub(crate) http: Vec<String>,
    /// `host:port` of their gRPC.
    pub(crate) grpc: Vec<String>,
    /// What is presented to each.
    pub(crate) token: String,
    /// The network namespace that the clients are in, if it is not that of the test.
    pub(crate) inside: Option<PathBuf>,
}

/// Clients that call until they are told to end.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    workflows: Option<workflows::Workflows>,
}

struct Shared {
    nodes: Nodes,
    began: Instant,
    entries: Mutex<Vec<Entry>>,
    ends: AtomicBool,
    numbers: AtomicU64,
    /// Keys of jobs, and the job if somebody was told.
    jobs: Mutex<BTreeMap<String, Option<String>>>,
}

impl Shared {
    /// One that nobody had before.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// Microseconds of the log's clock.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("a test is shorter")
    }

    /// Writes down a call that ends now.
    fn note(&self, client: u32, began: u64, outcome: Outcome, call: Call) {
        let ended = self.now();
        locked(&self.entries).push(Entry {
            client,
            began,
            ended,
            outcome,
            call,
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Client = fn(&Shared, &mut Door);

const CLIENTS: [(Client, u32); 4] = [
    (registers::change, 3),
    (registers::look, 2),
    (queue::publish, 1),
    (queue::work, 3),
];

impl Load {
    /// Makes what clients need, and lets them begin. The nodes serve already.
    pub(crate) fn begin(nodes: Nodes) -> Self {
        let shared = Arc::new(Shared {
            nodes,
            began: Instant::now(),
            entries: Mutex::default(),
            ends: AtomicBool::new(false),
            numbers: AtomicU64::new(1),
            jobs: Mutex::default(),
        });
        shared.inside(0, registers::prepare);
        let mut clients = Vec::new();
        for (act, count) in CLIENTS {
            for _ in 0..count {
                let number = clients.len() as u32 + 1;
                let shared = Arc::clone(&shared);
                clients.push(thread::spawn(move || {
                    shared.enter();
                    let mut door = Door::new(&shared, number);
                    while !shared.ends() {
                        act(&shared, &mut door);
                    }
                }));
            }
        }
        let workflows = Some(workflows::Workflows::begin(&shared));
        Self {
            shared,
            clients,
            workflows,
        }
    }

    /// Waits until so many more calls are acknowledged that begin from now on; says how long the first one took.
    pub(crate) fn goes_on(&self, calls: usize) -> Duration {
        let from = self.shared.now();
        let deadline = Instant::now() + LIMIT;
        loop {
            {
                let entries = locked(&self.shared.entries);
                let new = entries
                    .iter()
                    .filter(|entry| entry.outcome == Outcome::Done && entry.began >= from);
                let mut ends: Vec<_> = new.map(|entry| entry.ended).collect();
                if ends.len() >= calls {
                    ends.sort_unstable();
                    return Duration::from_micros(ends[0] - from);
                }
            }
            assert!(Instant::now() < deadline, "nothing is acknowledged any more");
            let broken = self.clients.iter().any(JoinHandle::is_finished);
            assert!(!broken, "a client gave up");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets the clients end, does what is left, looks for everything, and says what the log shows.
    pub(crate) fn end(self, name: &str) {
        self.end_as(name, |_| {});
    }

    /// The same when clocks of nodes differ by as much: leases are by the clock of whoever leads, and may end so much too early.
    pub(crate) fn end_with_clocks_apart(self, name: &str, apart: Duration) {
        let apart = u64::try_from(apart.as_micros()).expect("less than an age");
        self.end_as(name, |call| {
            if let Call::Claim { lease, .. } | Call::Keep { lease, .. } = call {
                *lease = lease.saturating_sub(apart);
            }
        });
    }

    fn end_as(mut self, name: &str, change: impl Fn(&mut Call)) {
        self.shared.ends.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client found something that cannot be");
        }
        if let Some(workflows) = self.workflows.take() {
            workflows.end(&self.shared);
        }
        self.shared.inside(1_000, queue::finish);
        self.shared.inside(1_001, registers::finish);
        let mut log = Log {
            entries: std::mem::take(&mut *locked(&self.shared.entries)),
        };
        for entry in &mut log.entries {
            change(&mut entry.call);
        }
        let verdict = judge(&log);
        println!("{name}: {verdict}{}", counts(&log));
        if !verdict.is_good() {
            let file = std::env::temp_dir().join(format!("helve-judged-{name}-{}.jsonl", std::process::id()));
            let written = std::fs::File::create(&file).map_err(helve_judge::Broken::from);
            let written = written.and_then(|file| log.write(std::io::BufWriter::new(file)));
            panic!("{verdict}\nthe log: {} ({written:?})", file.display());
        }
        enough(&log);
    }
}

/// A test that fails leaves no clients.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Goes to where the clients are, with this thread.
    fn enter(&self) {
        #[cfg(target_os = "linux")]
        if let Some(namespace) = &self.nodes.inside {
            helve_e2e::cluster_lab::enter(namespace);
        }
    }

    /// The same with a thread of its own, to its end.
    fn inside(&self, client: u32, act: impl FnOnce(&Self, &mut Door) + Send) {
        thread::scope(|scope| {
            scope.spawn(|| {
                self.enter();
                act(self, &mut Door::new(self, client));
            });
        });
    }
}

fn name(call: &Call) -> &str {
    match call {
        Call::Read { .. } => "reads",
        Call::Write { .. } => "writes",
        Call::Swap { .. } => "swaps",
        Call::Publish { .. } => "publishes",
        Call::Claim { .. } => "claims",
        Call::Keep { .. } => "heartbeats",
        Call::Release { .. } => "releases",
        Call::Complete { .. } => "completions",
        Call::Look { .. } => "looks at jobs",
        Call::Ask { kind, .. } => kind,
        Call::Found { .. } | Call::Searched { .. } => "things found",
        Call::History { .. } => "histories",
    }
}

fn counted(log: &Log) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for entry in log.entries.iter().filter(|entry| entry.outcome == Outcome::Done) {
        *counts.entry(name(&entry.call)).or_default() += 1;
    }
    counts
}

fn counts(log: &Log) -> String {
    let counts = counted(log).into_iter();
    let parts: Vec<_> = counts.map(|(name, count)| format!("{count} {name}")).collect();
    parts.join(", ")
}

/// A test of nothing proves nothing.
fn enough(log: &Log) {
    let counts = counted(log);
    for name in [
        "reads",
        "swaps",
        "publishes",
        "claims",
        "completions",
        "start",
        "signal",
        "update",
        "histories",
    ] {
        assert!(counts.contains_key(name), "there were no {name}: {}", self::counts(log));
    }
}
