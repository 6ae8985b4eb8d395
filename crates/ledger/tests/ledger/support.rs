//! A ledger in a folder of its own, with a clock that the test moves.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use helve_ledger::{Actor, Ledger, Options, Principal, Time};
use tempfile::TempDir;

pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    clock: Arc<AtomicI64>,
    dir: TempDir,
}

/// 2026-11-22T12:00:00Z.
pub(crate) const NOON: i64 = 1_795_348_800_000;

impl Desk {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(NOON));
        let ledger = open(dir.path().join("ledger.db"), clock.clone()).await;
        Desk { ledger, clock, dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    pub(crate) fn wait(&self, duration: Duration) {
        self.clock.fetch_add(duration.as_millis() as i64, Ordering::Relaxed);
    }

    /// Closes the file and opens it again, as a restart does.
    pub(crate) async fn reopen(&mut self) {
        self.ledger.close().await.unwrap();
        self.reopen_closed().await;
    }

    /// Opens what is there now.
    pub(crate) async fn reopen_closed(&mut self) {
        self.ledger = open(self.path(), self.clock.clone()).await;
    }

    /// Everything that is on disk, as bytes.
    pub(crate) async fn bytes(&self) -> Vec<u8> {
        self.ledger.close().await.unwrap();
        std::fs::read(self.path()).unwrap()
    }
}

async fn open(path: PathBuf, clock: Arc<AtomicI64>) -> Ledger {
    let options = Options {
        clock: Arc::new(move || Time::from_millis(clock.load(Ordering::Relaxed))),
        ..Options::default()
    };
    Ledger::open(&path, options).await.unwrap()
}

pub(crate) fn alice() -> Actor {
    Actor::system("alice").from_address("192.0.2.7")
}

/// Who may everything.
pub(crate) fn root() -> Principal {
    Principal {
        actor: alice(),
        ..Principal::system("root")
    }
}

pub(crate) fn at(millis_after_noon: i64) -> Time {
    Time::from_millis(NOON + millis_after_noon)
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}
