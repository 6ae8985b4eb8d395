//! The whole engine in a simulated world, from a seed: see README.md beside this file.

mod actors;
mod batches;
mod bugs;
mod client;
mod clock;
mod deletion;
mod disk;
mod ledger;
mod network;
mod oracle;
mod pauses;
mod plan;
mod program;
mod proto;
mod resets;
mod rng;
mod schedules;
mod seeds;
mod standalone;
mod updates;
mod worker;
mod world;

use std::{cell::Cell, rc::Rc, time::Duration};

use client::{Client, bring_to_an_end};
use deletion::grow_old;
use oracle::{audit_often, judge};
use schedules::Owner;
use standalone::ActivityClient;
use world::{Fate, World};

/// How long a world may take to come to its end once nothing goes wrong any more.
const LONGEST_END: Duration = Duration::from_secs(3600);
/// How long it may take to grow old after that.
const LONGEST_AGE: Duration = Duration::from_secs(2 * 3600);

/// How a world ended.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// Of all that happened.
    hash: u64,
    /// What must not be, if anything.
    violation: Option<String>,
    /// The last that happened.
    trace: String,
    /// How many commits there were before everything became calm.
    commits: u64,
}

/// Lets the world of a seed happen.
fn simulate(seed: u64, fate: Fate, is_printed: bool) -> End {
    let world = World::new(seed, fate, is_printed);
    world.note("world", format_args!("{:?}", world.plan));
    world.actors.spawn(world.clone().boot());
    for number in 0..world.plan.workers {
        worker::employ(&world, number);
    }
    let ids: Vec<_> = (0..world.plan.workflows).map(|n| format!("w{n}")).collect();
    for id in &ids {
        world.spawn_asker(Client::new(&world, id, &ids).live());
    }
    let features = &world.plan.features;
    for number in 0..features.activities {
        world.spawn_asker(ActivityClient::new(&world, number).live());
    }
    for number in 0..features.schedules {
        world.spawn_asker(Owner::new(&world, number, &ids).live());
    }
    for number in 0..features.batches {
        world.spawn_asker(batches::live(world.clone(), number));
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
            bring_to_an_end(world.clone()).await;
            judge(world).await;
            is_over.set(true);
        }
    });
    if !world.run(calm_at + LONGEST_END, || is_over.get()) {
        world.violated("the world does not come to its end: some run is stuck, or somebody waits for ever");
    }
    if world.plan.features.retention && world.violation().is_none() {
        world.end_work();
        is_over.set(false);
        world.actors.spawn({
            let (world, is_over) = (world.clone(), is_over.clone());
            async move {
                grow_old(world).await;
                is_over.set(true);
            }
        });
        if !world.run(world.now() + LONGEST_AGE, || is_over.get()) {
            world.violated("the world does not grow old");
        }
    }
    let end = End {
        hash: world.hash(),
        violation: world.violation(),
        trace: world.last_lines(),
        commits: world.commits(),
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
