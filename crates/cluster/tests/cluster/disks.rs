//! Disks lose what they had, or give back something else.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use helve_cluster::{LogError, Node, Role, StartError};

use crate::world::{ENGINE, LEDGER, World, job};

fn segment(dir: &Path) -> PathBuf {
    dir.join("log").join("0000000000000001.log")
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_refused_untouched_and_the_node_is_rebuilt_from_the_others() {
    let mut world = World::of(3).await;
    for id in 0..50 {
        world.write(id).await;
    }
    world.kill(2).await;
    let path = segment(&world.dir_of(2));
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2000).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], 2000).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = Node::start(world.options(2)).await;
    let Err(StartError::Log(error @ LogError::Corrupt { .. })) = refused else {
        panic!("it was not refused");
    };
    assert!(error.to_string().contains("let it join again"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::rename(world.dir_of(2), world.dir.path().join("broken")).unwrap();
    let leader = world.leader().await;
    let early = Node::join(world.options(2), world.nodes[&leader].address()).await;
    assert!(
        early
            .err()
            .is_some_and(|error| error.to_string().contains("remove that one first")),
        "it would vote again on what it has forgotten"
    );
    std::fs::remove_dir_all(world.dir_of(2)).unwrap();
    world.nodes[&leader].remove(2).await.unwrap();
    world.join(2).await;
    world.write(50).await;
    assert_eq!(world.settled().await, (0..51).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_log_that_was_synced_and_is_gone_is_damage_and_not_a_crash() {
    let mut world = World::of(3).await;
    for id in 0..20 {
        world.write(id).await;
    }
    world.kill(2).await;
    let path = segment(&world.dir_of(2));
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 30..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let refused = Node::start(world.options(2)).await;
    assert!(matches!(refused, Err(StartError::Log(LogError::Corrupt { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_a_crash_cut_off_is_dropped_and_comes_again_from_the_leader() {
    let mut world = World::of(3).await;
    for id in 0..20 {
        world.write(id).await;
    }
    world.kill(2).await;
    let path = segment(&world.dir_of(2));
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The beginning of a block whose rest never came to the disk.
    let torn = bytes[..40].to_vec();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&torn[..30], end as u64 + 8).unwrap();
    for id in 20..40 {
        world.write(id).await;
    }
    world.start(2).await;
    assert_eq!(world.settled().await, (0..40).collect::<Vec<_>>());
    // What follows the cut is a log again.
    world.kill(2).await;
    world.start(2).await;
    assert_eq!(world.settled().await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_databases_had_not_synced_comes_back_from_the_log_in_each_of_them() {
    let mut world = World::of(3).await;
    world.write(0).await;
    world.settled().await;
    // The databases as they were, one of them a little later than the other.
    let saved = world.dir.path().join("saved");
    let copy = |world: &World, name: &str| {
        let file = world.dir_of(2).join("state/1").join(name);
        std::fs::create_dir_all(&saved).unwrap();
        helve_db::copy(&file, &saved.join(name)).unwrap();
    };
    copy(&world, LEDGER);
    for id in 1..30 {
        world.write(id).await;
    }
    world.settled().await;
    copy(&world, ENGINE);
    for id in 30..60 {
        world.write(id).await;
    }
    let leader = world.leader().await;
    let ledger = world.nodes[&leader].store(LEDGER).unwrap();
    for id in 0..10 {
        ledger.commit(job(id)).await.unwrap();
    }
    world.kill(2).await;
    let state = world.dir_of(2).join("state/1");
    std::fs::remove_dir_all(&state).unwrap();
    copy_dir(&saved, &state);
    world.start(2).await;
    assert_eq!(world.settled().await, (0..60).collect::<Vec<_>>());
    assert!(!world.is_failed(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_under_load_and_begins_a_new_cluster() {
    let world = World::of(3).await;
    for id in 0..30 {
        world.write(id).await;
    }
    let follower = *world
        .nodes
        .keys()
        .find(|id| world.nodes[*id].store(ENGINE).is_err())
        .unwrap();
    let backup = world.dir.path().join("backup");
    world.settled().await;
    let (made, ()) = tokio::join!(world.nodes[&follower].back_up(&backup), async {
        for id in 30..40 {
            world.write(id).await;
        }
    });
    assert_eq!(made.unwrap().files.len(), 2);

    let mut other = World::of(1).await;
    other.kill(1).await;
    std::fs::remove_dir_all(other.dir_of(1)).unwrap();
    let restored = Node::restore(other.options(1), &backup).await.unwrap();
    other.add(restored, 1);
    // Who joins gets what was in the backup, though no log has it.
    other.join(2).await;
    other.join(3).await;
    other.write(1000).await;
    let jobs = other.settled().await;
    assert_eq!(jobs[..30], (0..30).collect::<Vec<_>>());
    assert_eq!(jobs.last(), Some(&1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_database_cannot_be_written_stops_says_why_and_goes_on_when_it_is_started_again() {
    let mut world = World::of(3).await;
    world.write(0).await;
    let leader = world.leader().await;
    let node = if leader == 3 { 2 } else { 3 };
    let path = world.dir_of(node).join("state/1").join(ENGINE);
    let blocker = helve_db::rusqlite::Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    for id in 1..20 {
        world.write(id).await;
    }
    let failed =
        |node: &Node| matches!(&*node.roles().borrow(), Role::Failed { reason } if reason.contains("start it again"));
    world.until(node, "it says that it cannot go on", failed).await;
    blocker.execute_batch("ROLLBACK").unwrap();
    drop(blocker);
    world.write(20).await;
    world.kill(node).await;
    world.start(node).await;
    assert_eq!(world.settled().await, (0..21).collect::<Vec<_>>());
}
