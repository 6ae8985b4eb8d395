//! Nodes die while they are used.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use helve_db::CommitError;
use tokio::sync::watch;

use crate::world::{Dice, ENGINE, World, breathe, job};

/// What callers were told.
#[derive(Default)]
struct Told {
    acknowledged: BTreeSet<i64>,
    unknown: BTreeSet<i64>,
    refused: BTreeSet<i64>,
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_batches_survive_the_death_of_the_leader_and_refused_ones_never_appear() {
    let mut dice = Dice::new("acknowledged_batches_survive");
    let mut world = World::of(3).await;
    let told = Arc::new(Mutex::new(Told::default()));
    let mut next = 0;
    for round in 0..6 {
        let leader = world.leader().await;
        let store = world.nodes[&leader].store(ENGINE).unwrap();
        let mut writers = tokio::task::JoinSet::new();
        let count = watch::Sender::new(0u64);
        for _ in 0..16 {
            let (store, told, count) = (store.clone(), told.clone(), count.clone());
            let first = next;
            next += 100_000;
            writers.spawn(async move {
                for id in first.. {
                    let result = store.commit(job(id)).await;
                    let mut told = told.lock().unwrap();
                    match result {
                        Ok(()) => {
                            told.acknowledged.insert(id);
                            count.send_modify(|count| *count += 1);
                        }
                        Err(CommitError::Unknown) => {
                            told.unknown.insert(id);
                            return;
                        }
                        Err(CommitError::LeadershipLost | CommitError::Closed) => {
                            told.refused.insert(id);
                            return;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let enough = 50 + dice.below(200);
        count.subscribe().wait_for(|count| *count >= enough).await.unwrap();
        if round % 3 == 2 {
            // All at once.
            for id in 1..=3 {
                world.kill(id).await;
            }
            writers.join_all().await;
            for id in 1..=3 {
                world.start(id).await;
            }
        } else {
            world.kill(leader).await;
            writers.join_all().await;
            world.leader().await;
            world.start(leader).await;
        }
    }
    let jobs: BTreeSet<i64> = world.settled().await.into_iter().collect();
    let told = told.lock().unwrap();
    println!(
        "{} acknowledged, {} unknown, {} refused",
        told.acknowledged.len(),
        told.unknown.len(),
        told.refused.len()
    );
    let lost: Vec<_> = told.acknowledged.difference(&jobs).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let undead: Vec<_> = told.refused.intersection(&jobs).collect();
    assert!(undead.is_empty(), "refused and there: {undead:?}");
    let nobodys: Vec<_> = jobs
        .iter()
        .filter(|id| !told.acknowledged.contains(id) && !told.unknown.contains(id))
        .collect();
    assert!(nobodys.is_empty(), "nobody was told of {nobodys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_unknown_outcome_is_repeated_at_the_new_leader_by_its_key() {
    let mut world = World::of(3).await;
    let leader = world.leader().await;
    let store = world.nodes[&leader].store(ENGINE).unwrap();
    store.commit(job(1)).await.unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for id in 2..100 {
        let store = store.clone();
        writes.spawn(async move {
            store
                .commit(job(id).with_key(crate::world::key(id)))
                .await
                .map_err(|_| id)
        });
    }
    world.kill(leader).await;
    let ended = writes.join_all().await;
    for id in ended.into_iter().filter_map(Result::err) {
        world.write(id).await;
    }
    world.start(leader).await;
    assert_eq!(world.settled().await, (1..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_catches_up_by_the_log() {
    let mut world = World::of(3).await;
    let leader = world.leader().await;
    let away = if leader == 3 { 2 } else { 3 };
    world.kill(away).await;
    for id in 0..200 {
        world.write(id).await;
    }
    world.start(away).await;
    assert_eq!(world.settled().await, (0..200).collect::<Vec<_>>());
    assert_eq!(world.nodes[&away].status().purged, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_longer_than_the_log_is_kept_gets_a_copy_while_others_write() {
    let mut world = World::with(3, |options| {
        options.purge_every = 40;
        options.keep_entries = 5;
    })
    .await;
    let leader = world.leader().await;
    let away = if leader == 3 { 2 } else { 3 };
    let before = world.nodes[&away].status().last.unwrap();
    world.kill(away).await;
    for id in 0..150 {
        world.write(id).await;
    }
    let leader = world.leader().await;
    world
        .until(leader, "its log is shortened", |node| {
            node.status().purged.is_some_and(|purged| purged > before)
        })
        .await;
    world.start(away).await;
    for id in 150..200 {
        world.write(id).await;
    }
    assert_eq!(world.settled().await, (0..200).collect::<Vec<_>>());
    // And it is whole after a crash of its own.
    world.kill(away).await;
    world.start(away).await;
    world.write(200).await;
    assert_eq!(world.settled().await.len(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_killed_as_a_whole_has_everything_when_it_starts_again() {
    let mut world = World::of(3).await;
    for round in 0..3 {
        for id in 0..20 {
            world.write(round * 20 + id).await;
        }
        for id in 1..=3 {
            world.kill(id).await;
        }
        for id in 1..=3 {
            world.start(id).await;
        }
    }
    assert_eq!(world.settled().await, (0..60).collect::<Vec<_>>());
    breathe().await;
}
