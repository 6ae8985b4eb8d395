//! Workers behind a router that hides them, on a network that does not always work. Hosts are network namespaces.

use std::time::{Duration, Instant};

use helve_e2e::far::{Far, fingerprints, whole};
use helve_e2e::lab::{Lab, SERVER};

fn far(prepare: impl FnOnce(&Lab)) -> Option<Far> {
    let lab = Lab::build()?;
    prepare(&lab);
    Some(Far::join(lab, SERVER, &[]))
}

#[test]
fn a_worker_behind_a_router_works_as_one_beside_the_server() {
    let Some(far) = far(|_| {}) else { return };
    fingerprints(&far.scan(&far.target(50)));
    let Far { worker, .. } = far;
    worker.signal("INT");
    worker.wait().expect_code(0);
}

#[test]
fn a_worker_whose_address_changes_all_the_time_loses_nothing() {
    let Some(far) = far(Lab::forget_addresses) else {
        return;
    };
    let target = far.target(50);
    let first = far.scan(&target);
    // Long enough that every mapping was forgotten, and the worker comes from another port.
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    let second = far.scan(&target);
    assert_eq!(first["summary"]["total"], second["summary"]["total"]);
}

#[test]
fn every_twentieth_packet_may_be_lost() {
    let Some(far) = far(|lab| lab.lose_one_of(20)) else {
        return;
    };
    far.scan(&far.target(50));
}

#[test]
fn half_a_minute_without_a_network_costs_a_run_nothing_but_time() {
    let Some(far) = far(|_| {}) else { return };
    let target = far.target(400);
    let mut run = far.server.start(&["run", "assessment", &target, "--json"]);
    run.wait_for_line("run assessment-");
    far.lab.cut();
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    far.lab.mend();
    fingerprints(&whole(run));
}
