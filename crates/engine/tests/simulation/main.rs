//! The whole engine in a simulated world, from a seed: see README.md beside this file.

mod actors;
mod client;
mod clock;
mod disk;
mod ledger;
mod network;
mod oracle;
mod plan;
mod program;
mod proto;
mod rng;
mod seeds;
mod worker;
mod world;

use std::{cell::Cell, path::Path, rc::Rc, time::Duration};

use client::{Client, bring_to_an_end};
use oracle::{audit_often, judge};
use world::World;

/// How long a world may take to come to its end once nothing goes wrong any more.
const LONGEST_END: Duration = Duration::from_secs(3600);

/// A mistake that is made on purpose, to see whether it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// What was promised, and published, is not on disk yet.
    AnswersBeforeCommit,
    /// A restart forgets what runs owe.
    ForgetsMessages,
    /// A restart forgets events that wait for the end of a workflow task.
    ForgetsBufferedEvents,
    /// A restart forgets how often activities were tried.
    ForgetsAttempts,
}

impl Bug {
    fn before_opening(self, database: &Path) {
        let forget = match self {
            Bug::AnswersBeforeCommit => return,
            Bug::ForgetsMessages => "UPDATE runs SET owes = 0, settled = (status <> 1)",
            Bug::ForgetsBufferedEvents => "DELETE FROM buffered",
            Bug::ForgetsAttempts => "DELETE FROM activities",
        };
        if database.exists() {
            let database = helve_db::rusqlite::Connection::open(database).unwrap();
            database.execute(forget, []).unwrap();
        }
    }
}

/// How a world ended.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// Of all that happened.
    hash: u64,
    /// What must not be, if anything.
    violation: Option<String>,
    /// The last that happened.
    trace: String,
}

/// Lets the world of a seed happen.
fn simulate(seed: u64, bug: Option<Bug>, is_printed: bool) -> End {
    let world = World::new(seed, bug, is_printed);
    world.note("world", format_args!("{:?}", world.plan));
    world.actors.spawn(world.clone().boot());
    for number in 0..world.plan.workers {
        worker::employ(&world, number);
    }
    let ids: Vec<_> = (0..world.plan.workflows).map(|n| format!("w{n}")).collect();
    let living = Rc::new(Cell::new(ids.len()));
    for id in &ids {
        let (client, living) = (Client::new(&world, id, &ids), living.clone());
        world.actors.spawn(async move {
            client.live().await;
            living.set(living.get() - 1);
        });
    }
    world.actors.spawn(audit_often(world.clone()));
    world.actors.spawn(crash_often(world.clone()));

    let is_over = Rc::new(Cell::new(false));
    let calm_at = world.now() + world.plan.chaos;
    world.run(calm_at, || false);
    world.calm_down();
    world.actors.spawn({
        let (world, is_over) = (world.clone(), is_over.clone());
        async move {
            while living.get() > 0 {
                world.nap(1000, 1000).await;
            }
            bring_to_an_end(world.clone()).await;
            judge(world).await;
            is_over.set(true);
        }
    });
    if !world.run(calm_at + LONGEST_END, || is_over.get()) {
        world.violated("the world does not come to its end: some run is stuck, or somebody waits for ever");
    }
    let end = End {
        hash: world.hash(),
        violation: world.violation(),
        trace: world.last_lines(),
    };
    world.end();
    end
}

/// Crashes and restarts that have nothing to do with a commit.
async fn crash_often(world: Rc<World>) {
    if world.plan.crashes == 0 {
        return;
    }
    loop {
        world.nap(0, world.plan.crashes * 1000).await;
        if world.is_calm() {
            return;
        }
        if world.rng().percent(30) {
            world.restart().await;
        } else {
            world.crash("for no reason");
        }
    }
}
