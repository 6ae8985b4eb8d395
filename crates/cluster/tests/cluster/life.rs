//! Without anything going wrong: stores are used as ever, and nodes come and go.

use helve_cluster::{Node, Outside, Role, Secret};
use helve_db::{Batch, CommitError, ReadError};

use crate::world::{ENGINE, LEDGER, World, job, job_ids, key};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_read_at_the_leader_and_reaches_every_node() {
    let world = World::of(3).await;
    let store = world.store().await;
    for id in 0..20 {
        store.commit(job(id)).await.unwrap();
        assert_eq!(store.read(job_ids).await.unwrap().len(), id as usize + 1);
    }
    assert_eq!(world.settled().await, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_refuses_to_write_and_to_read_and_says_who_leads() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    for (id, node) in &world.nodes {
        if *id == leader {
            continue;
        }
        assert!(node.store(ENGINE).is_err());
        world
            .until(*id, "it knows who leads", |node| {
                matches!(&*node.roles().borrow(), Role::Follower { leader: known, address }
                    if *known == leader && address == world.nodes[&leader].address())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_have_one_answer_and_it_is_the_same_on_all_nodes() {
    let world = World::of(3).await;
    let store = world.store().await;
    for version in 0..10i64 {
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..16i64 {
            let store = store.clone();
            racers.spawn(async move {
                let mut batch = Batch::new();
                batch.run_one(
                    "UPDATE registers SET version = version + 1, value = ?1 WHERE name = 'r' AND version = ?2",
                    vec![racer.into(), version.into()],
                );
                // Written by the winner alone.
                batch.run(
                    "INSERT INTO jobs (id, payload) VALUES (?1, x'')",
                    vec![(version * 100 + racer).into()],
                );
                (racer, store.commit(batch).await)
            });
        }
        let ended = racers.join_all().await;
        let winners: Vec<_> = ended.iter().filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{ended:?}");
        for (_, result) in ended.iter().filter(|(_, result)| result.is_err()) {
            assert!(matches!(
                result,
                Err(CommitError::Conflict {
                    statement: 0,
                    expected: 1,
                    changed: 0
                })
            ));
        }
    }
    assert_eq!(world.settled().await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_key_is_done_once_however_often_it_is_committed() {
    let world = World::of(3).await;
    let store = world.store().await;
    for _ in 0..3 {
        store.commit(job(1).with_key(key(1))).await.unwrap();
    }
    assert_eq!(world.settled().await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_share_a_log_and_keep_their_rows_apart() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    let engine = world.nodes[&leader].store(ENGINE).unwrap();
    let ledger = world.nodes[&leader].store(LEDGER).unwrap();
    for id in 0..10 {
        let (one, other) = tokio::join!(engine.commit(job(id)), ledger.commit(job(100 + id)));
        one.unwrap();
        other.unwrap();
    }
    assert_eq!(world.settled().await, (0..10).collect::<Vec<_>>());
    assert_eq!(ledger.read(job_ids).await.unwrap(), (100..110).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_over_the_limit_is_refused_and_the_largest_one_reaches_every_node() {
    let world = World::of(3).await;
    let store = world.store().await;
    let large = |id: i64, bytes: usize| {
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO jobs (id, payload) VALUES (?1, ?2)",
            vec![id.into(), vec![7; bytes].into()],
        );
        batch
    };
    let refused = store.commit(large(1, (128 << 20) + 1)).await;
    assert!(matches!(refused, Err(CommitError::TooLarge { .. })), "{refused:?}");
    // It goes in parts. Work of this size may cost a slow machine its lead: its outcome is looked up then.
    let kept = store.commit(large(2, 40 << 20)).await;
    assert!(matches!(kept, Ok(()) | Err(CommitError::Unknown)), "{kept:?}");
    world.write(3).await;
    let jobs = world.settled().await;
    assert!(jobs == [2, 3] || (kept.is_err() && jobs == [3]), "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_secret() {
    let mut world = World::of(1).await;
    let leader = world.leader().await;
    let address = world.nodes[&leader].address().to_owned();
    let mut options = world.options(2);
    options.secret = Secret::generate().unwrap();
    let refused = Node::join(options, &address).await;
    assert!(refused.is_err());
    assert_eq!(world.nodes[&leader].status().members.len(), 1);
    std::fs::remove_dir_all(world.dir_of(2)).unwrap();
    world.join(2).await;
    assert_eq!(world.nodes[&leader].status().members.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_added_and_removed_under_load() {
    let mut world = World::of(3).await;
    world.leader().await;
    for id in 0..20 {
        world.write(id).await;
    }
    world.join(4).await;
    for id in 20..40 {
        world.write(id).await;
    }
    let leader = world.leader().await;
    let asked = world
        .nodes
        .keys()
        .copied()
        .find(|id| *id != leader && *id != 4)
        .unwrap();
    world.nodes[&asked].remove(leader).await.unwrap();
    let gone = world.nodes.remove(&leader).unwrap();
    gone.kill().await;
    for id in 40..60 {
        world.write(id).await;
    }
    assert_eq!(world.settled().await, (0..60).collect::<Vec<_>>());
    let next = world.leader().await;
    assert_eq!(world.nodes[&next].status().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_in_order_starts_again() {
    let mut world = World::of(3).await;
    world.write(1).await;
    for id in 1..=3 {
        world.nodes.remove(&id).unwrap().stop().await;
        world.start(id).await;
        world.write(10 + id as i64).await;
    }
    assert_eq!(world.settled().await, [1, 11, 12, 13]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_has_written_what_was_queued_and_answers_closed() {
    let world = World::of(3).await;
    let store = world.store().await;
    let queued = store.clone();
    let write = tokio::spawn(async move { queued.commit(job(1)).await });
    write.await.unwrap().unwrap();
    store.close().await;
    assert!(matches!(store.commit(job(2)).await, Err(CommitError::Closed)));
    assert!(matches!(store.read(job_ids).await, Err(ReadError::Closed)));
    // The node leads on: another store can be had.
    world.write(3).await;
    assert_eq!(world.settled().await, [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_an_older_version_follows_a_newer_one_and_gives_the_lead_away() {
    let mut world = World::with(3, |options| {
        if options.id == 2 {
            for database in &mut options.databases {
                database.options.migrations = &database.options.migrations[..1];
            }
            // It is always the first to stand.
            options.election /= 2;
        }
    })
    .await;
    for id in 0..10 {
        world.write(id).await;
    }
    for _ in 0..2 {
        let leader = world.leader().await;
        assert_ne!(leader, 2);
        world.kill(leader).await;
        let next = world.leader().await;
        assert_ne!(next, 2, "it does not know the schema");
        world.write(100 + leader as i64).await;
        world.start(leader).await;
    }
    let jobs = world.settled().await;
    assert_eq!(jobs[..10], (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_connection_is_carried_to_the_owner_of_another_node() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut world = World::of(1).await;
    let (taken, mut carried) = tokio::sync::mpsc::channel(1);
    let mut options = world.options(2);
    options.carried = Some(taken);
    let node = Node::join(options, world.nodes[&1].address()).await.unwrap();
    world.add(node, 2);
    let address = world.nodes[&2].address().to_owned();
    let mut here = world.nodes[&1]
        .carry(2, &address, 7, "192.0.2.1:5".to_owned())
        .await
        .unwrap();
    let mut there = carried.recv().await.unwrap();
    assert_eq!((there.kind, there.origin.as_str(), there.from), (7, "192.0.2.1:5", 1));
    here.write_all(b"how are you?").await.unwrap();
    here.shutdown().await.unwrap();
    let mut heard = Vec::new();
    there.stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"how are you?");
    there.stream.write_all(b"well").await.unwrap();
    there.stream.shutdown().await.unwrap();
    let mut answer = String::new();
    here.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "well");
    // Node 1 was given nobody who takes them.
    let address = world.nodes[&1].address().to_owned();
    assert!(world.nodes[&2].carry(1, &address, 7, String::new()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_secret_gets_a_copy_and_the_status_and_nobody_else() {
    let world = World::of(3).await;
    world.store().await.commit(job(1)).await.unwrap();
    world.settled().await;
    let address = world.nodes[&3].address();
    let outside = Outside::new(&world.secret).unwrap();
    assert_eq!(outside.status(address).await.unwrap().members.len(), 3);
    let into = tempfile::tempdir().unwrap();
    assert!(outside.copy(address, into.path()).await.unwrap() > 0);
    let copy = helve_db::open_reader(&into.path().join(ENGINE)).unwrap();
    assert_eq!(job_ids(&copy).unwrap(), [1]);
    let stranger = Outside::new(&Secret::generate().unwrap()).unwrap();
    assert!(stranger.status(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_tells_of_itself_reaches_the_others_after_it_changed() {
    let mut world = World::of(3).await;
    world.kill(3).await;
    let mut options = world.options(3);
    options.about = "another name".to_owned();
    let node = Node::start(options).await.unwrap();
    world.add(node, 3);
    while world.nodes[&3].introduce().await.is_err() {
        tokio::task::yield_now().await;
    }
    world
        .until(1, "it knows", |node| {
            node.status()
                .members
                .iter()
                .any(|member| member.about == "another name")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_is_not_run_a_second_time() {
    let world = World::of(1).await;
    let mut options = world.options(1);
    options.listen = "127.0.0.1:0".parse().unwrap();
    let error = Node::start(options).await.err().unwrap();
    assert!(error.to_string().contains("another process runs this node"), "{error}");
}
