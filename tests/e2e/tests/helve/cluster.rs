//! What a cluster promises when things go wrong: nodes on hosts of their own, clients at all of them, and a judge who decides from
//! all calls whether nothing acknowledged was lost or doubled, and nothing read was old.
//!
//! `HELVE_CLUSTER_ROUNDS` says how often each thing happens (3; 50 is the long way).

use std::time::{Duration, Instant};

use helve_e2e::cluster_lab::Host;
use helve_e2e::lab_nodes::LabNodes;

use crate::load::{Load, Nodes, rounds};

/// Calls that are acknowledged between one thing that happens and the next.
const SOME: usize = 150;

fn load(nodes: &LabNodes, hosts: usize) -> Load {
    nodes.settle();
    let load = Load::begin(Nodes {
        http: (0..hosts).map(|node| nodes.http(node)).collect(),
        grpc: (0..hosts).map(|node| nodes.grpc(node)).collect(),
        token: nodes.token(),
        inside: Some(nodes.lab.path(Host::Clients)),
    });
    load.goes_on(SOME);
    load
}

/// What people want to know of many times.
fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!("{what}: {} times, p50 {:?}, p99 {:?}", times.len(), at(50), at(99));
}

#[test]
fn a_leader_that_is_killed_under_load_takes_nothing_with_it() {
    let Some(mut nodes) = LabNodes::start(3, 3) else { return };
    let load = load(&nodes, 3);
    let mut times = Vec::new();
    for _ in 0..rounds() {
        let leader = nodes.leader();
        nodes.kill(leader);
        times.push(load.goes_on(1));
        load.goes_on(SOME);
        nodes.up(leader);
        nodes.settle();
    }
    show(
        "until a call is acknowledged that was made after the leader was killed",
        times,
    );
    load.end("leaders-killed");
}

#[test]
fn whatever_part_of_the_network_fails_nothing_read_is_old() {
    let Some(nodes) = LabNodes::start(3, 3) else { return };
    let load = load(&nodes, 3);
    let host = Host::Node;
    let others = |node: usize| [(node + 1) % 3, (node + 2) % 3];
    for _ in 0..rounds() {
        // The leader is alone, and clients still come to it.
        let leader = nodes.leader();
        nodes.lab.isolate(leader);
        let next = nodes.leader_seen_by(others(leader)[0], |next| next != leader);
        load.goes_on(SOME);
        nodes.lab.heal();
        nodes.settle();

        // A follower is.
        let follower = others(next)[0];
        nodes.lab.isolate(follower);
        load.goes_on(SOME);
        nodes.lab.heal();
        nodes.settle();

        // The leader hears of nobody, and everybody of the leader.
        let leader = nodes.leader();
        for other in others(leader) {
            nodes.lab.cut_one_way(host(other), host(leader));
        }
        load.goes_on(SOME);
        nodes.lab.heal();
        nodes.settle();

        // Nobody hears of the leader.
        let leader = nodes.leader();
        for other in others(leader) {
            nodes.lab.cut_one_way(host(leader), host(other));
        }
        load.goes_on(SOME);
        nodes.lab.heal();
        nodes.settle();

        // One follower does not hear of the leader, and the other one does.
        let leader = nodes.leader();
        nodes.lab.cut_one_way(host(leader), host(others(leader)[0]));
        load.goes_on(SOME);
        nodes.lab.heal();
        nodes.settle();

        // Leader and follower do not reach each other, and the third one reaches both.
        let leader = nodes.leader();
        nodes.lab.cut(host(leader), host(others(leader)[0]));
        load.goes_on(SOME);
        nodes.lab.heal();
        nodes.settle();
    }
    load.end("partitions");
}

#[test]
fn a_leader_that_sleeps_and_wakes_up_does_not_speak_for_the_others() {
    let Some(mut nodes) = LabNodes::start(3, 3) else { return };
    let load = load(&nodes, 3);
    for _ in 0..rounds() {
        let leader = nodes.leader();
        nodes.running(leader).signal("STOP");
        load.goes_on(SOME);
        nodes.running(leader).signal("CONT");
        load.goes_on(SOME);
        nodes.settle();
    }
    load.end("sleepers");
}

#[test]
fn all_nodes_may_die_at_once_and_one_may_lose_its_disk() {
    let Some(mut nodes) = LabNodes::start(3, 3) else { return };
    let load = load(&nodes, 3);
    for _ in 0..rounds() {
        for node in 0..3 {
            nodes.kill(node);
        }
        for node in 0..3 {
            nodes.begin(node);
        }
        for node in 0..3 {
            nodes.ready(node);
        }
        load.goes_on(SOME);

        // One was away for a while.
        nodes.settle();
        let away = nodes.follower();
        nodes.kill(away);
        load.goes_on(SOME * 3);
        nodes.up(away);
        nodes.settle();

        // One lost everything, and is made anew from the others.
        let lost = nodes.leader();
        nodes.kill(lost);
        nodes.lose_disk(lost);
        let left = nodes.leader();
        let name = format!("n{}", lost + 1);
        nodes.run(left, &["cluster", "remove", &name]).expect_code(0);
        nodes.join(lost);
        nodes.settle();
        load.goes_on(SOME);
    }
    load.end("disks");
}

#[test]
fn nodes_join_and_leave_and_are_started_again_one_after_the_other_under_load() {
    let Some(mut nodes) = LabNodes::start(3, 5) else { return };
    let load = load(&nodes, 5);
    for _ in 0..rounds() {
        nodes.join(3);
        nodes.join(4);
        nodes.settle();
        load.goes_on(SOME);
        // One after the other, the leader last.
        let leader = nodes.leader();
        let running = nodes.all_running();
        for node in running.into_iter().filter(|node| *node != leader).chain([leader]) {
            nodes.running(node).signal("INT");
            nodes.wait(node).expect_code(0);
            nodes.up(node);
            nodes.settle();
            load.goes_on(SOME / 3);
        }
        for node in [3, 4] {
            let name = format!("n{}", node + 1);
            let asked = nodes.leader_seen_by(0, |_| true);
            let asked = if asked == node { 0 } else { asked };
            nodes.run(asked, &["cluster", "remove", &name]).expect_code(0);
            nodes.kill(node);
            nodes.lose_disk(node);
            load.goes_on(SOME);
        }
        nodes.settle();
    }
    load.end("members");
}

#[test]
fn clocks_that_are_minutes_apart_lose_nothing() {
    const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !std::path::Path::new(FAKETIME).is_file() {
        eprintln!("SKIPPED: no clocks were set wrong, since libfaketime is not there (package `faketime`)");
        return;
    }
    let skewed = |nodes: &mut LabNodes| {
        for (node, skew) in [(1, "+5m"), (2, "-5m")] {
            let variables = [
                ("LD_PRELOAD", FAKETIME),
                ("FAKETIME", skew),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("FAKETIME_DONT_RESET", "1"),
            ];
            nodes.set_environment(node, &variables);
        }
    };
    let Some(mut nodes) = LabNodes::with(3, 3, skewed) else {
        return;
    };
    let load = load(&nodes, 3);
    let deadline = Instant::now() + Duration::from_secs(600);
    // Until each of them has led.
    let mut led = [false; 3];
    let mut round = 0;
    while round < rounds() || led.contains(&false) {
        assert!(Instant::now() < deadline, "one never leads: {led:?}");
        let leader = nodes.leader();
        led[leader] = true;
        load.goes_on(SOME);
        nodes.kill(leader);
        load.goes_on(SOME);
        nodes.up(leader);
        nodes.settle();
        round += 1;
    }
    load.end_with_clocks_apart("clocks", Duration::from_secs(600));
}

#[test]
fn a_slow_disk_makes_only_its_own_lead_slow() {
    const EACH_SYNC: Duration = Duration::from_millis(60);
    let mut can = true;
    let slow = |nodes: &mut LabNodes| can = nodes.make_disk_slow(0, EACH_SYNC);
    let Some(mut nodes) = LabNodes::with(3, 3, slow) else {
        return;
    };
    if !can {
        eprintln!("SKIPPED: no disk was slow, since `strace` is not there");
        return;
    }
    let load = load(&nodes, 3);
    // The first node of all leads first: clients wait for its disk, and get what they ask for.
    assert_eq!(nodes.leader(), 0);
    load.goes_on(SOME);
    nodes.kill(0);
    load.goes_on(SOME);
    // Then it follows, and the lead changes around it.
    nodes.up(0);
    nodes.settle();
    for _ in 0..rounds() {
        let leader = nodes.leader();
        load.goes_on(SOME);
        nodes.kill(leader);
        load.goes_on(SOME);
        nodes.up(leader);
        nodes.settle();
    }
    load.end("slow-disk");
}

#[test]
fn a_full_disk_stops_its_node_and_nobody_else() {
    let small = |nodes: &mut LabNodes| nodes.make_disk_small(2, 96);
    let Some(mut nodes) = LabNodes::with(3, 3, small) else {
        return;
    };
    let load = load(&nodes, 3);
    for _ in 0..rounds() {
        let filler = nodes.home(2).data().join("filler");
        fill(&filler);
        // It stops by itself, and says why.
        let ended = nodes.wait(2);
        assert_ne!(ended.code, Some(0));
        assert!(
            ended.stderr.to_lowercase().contains("full") || ended.stderr.contains("space"),
            "{}",
            ended.stderr
        );
        load.goes_on(SOME);
        std::fs::remove_file(&filler).expect("it was made");
        nodes.up(2);
        nodes.settle();
        load.goes_on(SOME);
    }
    load.end("full-disk");
}

/// Takes all the room that is left.
fn fill(path: &std::path::Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("a file of the test's own");
    let block = vec![0_u8; 64 << 10];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..512]).is_ok() {}
}
