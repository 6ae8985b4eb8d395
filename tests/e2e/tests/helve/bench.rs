//! `helve bench`: it measures, and leaves nothing behind.

use std::fs;

use helve_e2e::home::Home;

#[test]
fn a_measurement_does_every_job_and_leaves_nothing_behind() {
    let home = Home::new();
    let result = home
        .run(&["bench", "--jobs", "3,6", "--workers", "1,2", "--json"])
        .expect_code(0)
        .json();
    let rounds = result["rounds"].as_array().unwrap();
    let done: Vec<_> = rounds
        .iter()
        .map(|round| (round["workers"].as_u64().unwrap(), round["jobs"].as_u64().unwrap()))
        .collect();
    assert_eq!(done, [(1, 3), (1, 6), (2, 3), (2, 6)]);
    for round in rounds {
        assert!(round["jobs_per_second"].as_f64().unwrap() > 0.0, "{round}");
        let percentile = |name: &str| round[name].as_f64().unwrap();
        assert!(percentile("p50_ms") <= percentile("p99_ms"), "{round}");
        assert!(!round["bottleneck"].as_str().unwrap().is_empty(), "{round}");
    }
    assert!([1, 2].contains(&result["workers_fed"].as_u64().unwrap()), "{result}");
    let left: Vec<_> = fs::read_dir(home.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("bench-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(home.runs().is_empty(), "the jobs are not among the user's runs");
}

#[test]
fn a_server_that_others_use_is_not_loaded() {
    let other = Home::on("temporal://127.0.0.1:1");
    other.run(&["bench"]).expect_clear_error(&["embedded engine"]);
}
