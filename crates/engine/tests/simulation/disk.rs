//! The disk: decides when a commit happens and how it ends. Below it is the real writer with real SQLite.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use helve_db::{
    CommitError, Driver, QueuedClose, QueuedCommit, QueuedRead, ReadError, Request, Requests,
    rusqlite::{Connection, OptionalExtension},
};
use helve_engine::Timestamp;
use tokio::sync::Notify;

use crate::{bugs::Bug, world::World};

pub(crate) struct Disk {
    /// `None` when the computer is off.
    driver: RefCell<Option<Driver>>,
    queue: RefCell<VecDeque<QueuedCommit>>,
    arrived: Notify,
    /// Commits that were answered with an error, but reached the disk: seen only if the computer crashes before the next
    /// one.
    limbo: RefCell<Vec<QueuedCommit>>,
    full_until: Cell<Timestamp>,
    /// Sees what is on disk.
    inspector: Connection,
    limbo_survives: Cell<bool>,
}

/// How a commit ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Ok,
    Full,
    /// Nothing was written.
    Io,
    /// Nobody knows what was written.
    IoUnknown,
    CrashBefore,
    /// It is on disk, but nobody is told.
    CrashAfter,
}

impl Disk {
    /// Connects a computer that was just switched on.
    pub(crate) fn attach(world: &Rc<World>, requests: Requests, driver: Driver) -> Rc<Disk> {
        let disk = Rc::new(Disk {
            driver: RefCell::new(Some(driver)),
            queue: RefCell::default(),
            arrived: Notify::new(),
            limbo: RefCell::default(),
            full_until: Cell::new(world.now()),
            inspector: Connection::open(world.database()).unwrap(),
            limbo_survives: Cell::new(world.rng().percent(50)),
        });
        world.actors.spawn(disk.clone().listen(world.clone(), requests));
        world.actors.spawn(disk.clone().write(world.clone()));
        disk
    }

    /// Nothing is written after this.
    pub(crate) fn switch_off(&self) {
        if let Some(mut driver) = self.driver.borrow_mut().take()
            && self.limbo_survives.get()
        {
            driver.write(&self.limbo.borrow());
        }
    }

    async fn listen(self: Rc<Self>, world: Rc<World>, mut requests: Requests) {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Commit(commit) => {
                    self.queue.borrow_mut().push_back(commit);
                    self.arrived.notify_one();
                }
                Request::Read(read) => world.actors.spawn(self.clone().read(world.clone(), read)),
                Request::Close(close) => world.actors.spawn(self.clone().close(world.clone(), close)),
            }
        }
    }

    async fn read(self: Rc<Self>, world: Rc<World>, read: QueuedRead) {
        if world.rng().percent(30) {
            world.nap(0, slowness(&world)).await;
        }
        if world.mishap(world.plan.disk.io / 2) {
            world.note("disk", format_args!("read fails"));
            let code = helve_db::rusqlite::ffi::Error::new(helve_db::rusqlite::ffi::SQLITE_IOERR);
            return read.fail(ReadError::Sqlite(helve_db::rusqlite::Error::SqliteFailure(code, None)));
        }
        if let Some(driver) = &*self.driver.borrow() {
            driver.read(read);
        }
    }

    async fn close(self: Rc<Self>, world: Rc<World>, close: QueuedClose) {
        while !self.queue.borrow().is_empty() {
            world.nap(1, 1).await;
        }
        if let Some(driver) = self.driver.borrow_mut().take() {
            driver.close(close);
        }
    }

    /// The writer: groups of what waits, one after the other.
    async fn write(self: Rc<Self>, world: Rc<World>) {
        loop {
            while self.queue.borrow().is_empty() {
                self.arrived.notified().await;
            }
            world.nap(0, slowness(&world)).await;
            let size = world.rng().within(1, self.queue.borrow().len() as u64) as usize;
            let end = self.end(&world);
            // It stays in the queue until it is answered: whoever closes the store waits for it.
            let group: Vec<_> = self.queue.borrow_mut().drain(..size).collect();
            world.note("disk", format_args!("commit of {size}: {end:?}"));
            match end {
                End::Ok => self.commit(&world, group).await,
                End::Full => {
                    let error = CommitError::Full {
                        reason: "simulated".to_owned(),
                    };
                    answer(group, &Err(error));
                }
                End::Io => answer(group, &Err(io_error())),
                End::IoUnknown => {
                    let group = group.into_iter().map(|commit| commit.answer_early(Err(io_error())));
                    *self.limbo.borrow_mut() = group.collect();
                }
                End::CrashBefore => return world.crash("before a commit"),
                End::CrashAfter => {
                    if let Some(driver) = &mut *self.driver.borrow_mut() {
                        driver.write(&group);
                    }
                    self.limbo.borrow_mut().clear();
                    return world.crash("after a commit");
                }
            }
            if self.driver.borrow().is_none() {
                return;
            }
        }
    }

    fn end(&self, world: &World) -> End {
        let faults = &world.plan.disk;
        let number = world.count_commit();
        if world.is_calm() {
            return End::Ok;
        }
        if let Some((_, is_on_disk)) = world.fate.crash_at.filter(|(at, _)| *at == number) {
            return if is_on_disk { End::CrashAfter } else { End::CrashBefore };
        }
        if world.now() < self.full_until.get() {
            return End::Full;
        }
        if world.mishap(faults.full) {
            self.full_until.set(world.now() + world.rng().millis(0, 20_000));
            return End::Full;
        }
        for (chance, end) in [
            (faults.io, End::Io),
            (faults.io_unknown, End::IoUnknown),
            (faults.crash_before, End::CrashBefore),
            (faults.crash_after, End::CrashAfter),
        ] {
            if world.mishap(chance) {
                return end;
            }
        }
        End::Ok
    }

    async fn commit(&self, world: &World, mut group: Vec<QueuedCommit>) {
        if world.fate.bug == Some(Bug::AnswersBeforeCommit) {
            group = group.into_iter().map(|commit| commit.answer_early(Ok(()))).collect();
            world.nap(0, 20).await;
        }
        let results = match &mut *self.driver.borrow_mut() {
            Some(driver) => driver.write(&group),
            None => return,
        };
        self.limbo.borrow_mut().clear();
        if let Some(workflow_id) = self.twice_open() {
            world.violated(format!("{workflow_id} has two open runs"));
        }
        if world.rng().percent(20) {
            world.nap(0, 5).await;
        }
        for (commit, result) in group.into_iter().zip(results) {
            if let Err(CommitError::Statement { reason, .. }) = &result {
                world.violated(format!("a statement failed: {reason}"));
            }
            commit.answer(result);
        }
    }
}

impl Disk {
    /// A workflow id that has more than one open run.
    fn twice_open(&self) -> Option<String> {
        let query =
            "SELECT workflow_id FROM runs WHERE status = 1 GROUP BY namespace, kind, workflow_id HAVING count(*) > 1";
        let mut statement = self.inspector.prepare_cached(query).unwrap();
        statement.query_row([], |row| row.get(0)).optional().unwrap()
    }
}

/// The longest that the disk takes now, in milliseconds.
fn slowness(world: &World) -> u64 {
    if world.is_calm() { 1 } else { world.plan.disk.slowness }
}

fn answer(group: Vec<QueuedCommit>, result: &Result<(), CommitError>) {
    for commit in group {
        commit.answer(result.clone());
    }
}

fn io_error() -> CommitError {
    CommitError::Io {
        reason: "simulated".to_owned(),
    }
}
