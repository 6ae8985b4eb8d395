//! The network fails while nodes live.

use std::time::{Duration, Instant};

use helve_cluster::{NodeId, Role};
use helve_db::{CommitError, ReadError};

use crate::world::{ENGINE, World, job, job_ids};

/// Cuts the leader off in some way; what it promised must hold, and what it says afterwards must be true.
async fn a_leader_is_cut_off(cut: impl Fn(&World, NodeId)) {
    let world = World::of(3).await;
    let old = world.leader().await;
    let store = world.nodes[&old].store(ENGINE).unwrap();
    for id in 0..10 {
        store.commit(job(id)).await.unwrap();
    }
    let mut roles = world.nodes[&old].roles();
    cut(&world, old);
    let began = Instant::now();
    // One is on its way when the network goes.
    let caught = tokio::spawn({
        let store = store.clone();
        async move { store.commit(job(10)).await }
    });
    roles
        .wait_for(|role| !matches!(role, Role::Leader { .. }))
        .await
        .unwrap();
    let took = began.elapsed();
    println!("the old leader found out after {took:?}");
    let caught = caught.await.unwrap();
    assert!(
        matches!(caught, Err(CommitError::Unknown | CommitError::LeadershipLost)),
        "{caught:?}"
    );
    // It is certain before anybody else can lead, give or take this machine's mood.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(matches!(store.commit(job(11)).await, Err(CommitError::LeadershipLost)));
    assert!(matches!(store.read(job_ids).await, Err(ReadError::NotLeader)));

    let new = world.leader_but(&[old]).await;
    let new_store = world.nodes[&new].store(ENGINE).unwrap();
    for id in 20..30 {
        new_store.commit(job(id)).await.unwrap();
    }
    world.links.mend();
    world.write(30).await;
    // Whoever leads now: the old epoch is over.
    assert!(matches!(store.commit(job(12)).await, Err(CommitError::LeadershipLost)));
    let jobs = world.settled().await;
    let expected: Vec<i64> = (0..10).chain(20..31).collect();
    let without_unknown: Vec<i64> = jobs.iter().copied().filter(|id| *id != 10).collect();
    assert_eq!(without_unknown, expected);
    assert!(!jobs.contains(&10) || matches!(caught, Err(CommitError::Unknown)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_alone_stops_answering_and_its_writes_are_unknown() {
    a_leader_is_cut_off(World::isolate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whom_nobody_hears_stops_answering() {
    a_leader_is_cut_off(|world, old| {
        for other in world.nodes.keys().filter(|other| **other != old) {
            world.links.cut(old, *other);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_who_hears_nobody_stops_answering_and_leads_again_in_another_epoch() {
    let world = World::of(3).await;
    let old = world.leader().await;
    let store = world.nodes[&old].store(ENGINE).unwrap();
    store.commit(job(1)).await.unwrap();
    let mut roles = world.nodes[&old].roles();
    let Role::Leader { epoch } = *roles.borrow() else {
        panic!("it leads");
    };
    for other in world.nodes.keys().filter(|other| **other != old) {
        world.links.cut(*other, old);
    }
    // The others hear it, so they have no reason to elect anybody; it cannot know that.
    roles
        .wait_for(|role| !matches!(role, Role::Leader { .. }))
        .await
        .unwrap();
    assert!(matches!(store.commit(job(2)).await, Err(CommitError::LeadershipLost)));
    world.links.mend();
    let next = world.leader().await;
    let Role::Leader { epoch: later } = *world.nodes[&next].roles().borrow() else {
        panic!("it leads");
    };
    assert!(later > epoch, "{later:?} {epoch:?}");
    assert!(matches!(store.commit(job(3)).await, Err(CommitError::LeadershipLost)));
    world.write(4).await;
    assert_eq!(world.settled().await, [1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_alone_keeps_nobody_from_writing_and_catches_up() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    let alone = if leader == 1 { 2 } else { 1 };
    world.isolate(alone);
    let store = world.nodes[&leader].store(ENGINE).unwrap();
    for id in 0..100 {
        store.commit(job(id)).await.unwrap();
    }
    world
        .until(alone, "it finds itself alone", |node| {
            *node.roles().borrow() == Role::NoLeader
        })
        .await;
    world.links.mend();
    world.write(100).await;
    assert_eq!(world.settled().await, (0..101).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_heard_by_nobody_catches_up() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    let mute = if leader == 1 { 2 } else { 1 };
    world.links.cut(mute, leader);
    world.links.cut(mute, 6 - leader - mute);
    for id in 0..50 {
        world.write(id).await;
    }
    world.links.mend();
    world.write(50).await;
    assert_eq!(world.settled().await, (0..51).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_at_an_old_leader_what_a_new_one_has_changed() {
    let world = World::of(3).await;
    let old = world.leader().await;
    let store = world.nodes[&old].store(ENGINE).unwrap();
    store.commit(job(0)).await.unwrap();
    world.isolate(old);
    // It reads for as long as it may, and notes when the last read began that was answered.
    let reader = tokio::spawn(async move {
        let mut last = Instant::now();
        loop {
            let began = Instant::now();
            match store.read(job_ids).await {
                Ok(_) => last = began,
                Err(ReadError::NotLeader) => return last,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let new = world.leader_but(&[old]).await;
    world.nodes[&new].store(ENGINE).unwrap().commit(job(1)).await.unwrap();
    let acknowledged = Instant::now();
    let last = reader.await.unwrap();
    assert!(last < acknowledged, "{:?} too late", last.duration_since(acknowledged));
    println!("the old leader was silent for {:?} by then", acknowledged - last);
}
