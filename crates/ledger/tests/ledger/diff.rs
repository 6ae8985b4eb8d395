//! Runs beside each other, baselines, settings.

use helve_ledger::{Error, FindingSummary, NamespaceSettings};

use crate::{
    reports::{SPACE, look, numbers, run},
    support::{Desk, alice},
};

fn sorted(list: &[FindingSummary]) -> Vec<u32> {
    let mut numbers = numbers(list);
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn two_runs_are_compared_by_what_each_saw() {
    let desk = Desk::open().await;
    let mut newer = run("b", 2, &[2, 3, 4]);
    newer.looks[1] = look("m1", false, &[]);
    for run in [run("a", 1, &[0, 1, 2, 3]), newer] {
        desk.ledger.ingest(&alice(), run).await.unwrap();
    }
    let diff = desk.ledger.diff_runs(SPACE, "a", "b").await.unwrap();
    assert_eq!((sorted(&diff.new), sorted(&diff.gone)), (vec![4], vec![0, 1]));
    assert_eq!((diff.new_count, diff.gone_count, diff.unchanged_count), (1, 2, 2));
    assert_eq!(diff.not_looked, ["m1"]);
    let back = desk.ledger.diff_runs(SPACE, "b", "a").await.unwrap();
    assert_eq!((sorted(&back.new), sorted(&back.gone)), (vec![0, 1], vec![4]));
    assert!(back.not_looked.is_empty());
}

#[tokio::test]
async fn runs_of_two_targets_are_compared_by_fingerprint() {
    let desk = Desk::open().await;
    let mut branch = run("b", 2, &[1, 2]);
    "shop@branch".clone_into(&mut branch.target);
    for run in [run("a", 1, &[0, 1]), branch] {
        desk.ledger.ingest(&alice(), run).await.unwrap();
    }
    let diff = desk.ledger.diff_runs(SPACE, "a", "b").await.unwrap();
    assert_eq!(
        (sorted(&diff.new), sorted(&diff.gone), diff.unchanged_count),
        (vec![2], vec![0], 1)
    );
}

#[tokio::test]
async fn a_baseline_keeps_what_a_run_saw() {
    let desk = Desk::open().await;
    for run in [run("a", 1, &[0, 1]), run("b", 2, &[1, 2])] {
        desk.ledger.ingest(&alice(), run).await.unwrap();
    }
    let made = desk
        .ledger
        .create_baseline(&alice(), SPACE, "release-1", "a")
        .await
        .unwrap();
    assert_eq!((made.findings, made.target.as_str()), (2, "shop"));
    assert_eq!(desk.ledger.baselines(SPACE).await.unwrap(), [made]);
    let fingerprints = desk.ledger.baseline_fingerprints(SPACE, "release-1").await.unwrap();
    assert!(
        fingerprints
            .into_iter()
            .eq([format!("{:032x}", 0), format!("{:032x}", 1)])
    );
    let diff = desk.ledger.diff_with_baseline(SPACE, "release-1", "b").await.unwrap();
    assert_eq!((sorted(&diff.new), sorted(&diff.gone)), (vec![2], vec![0]));
    let twice = desk.ledger.create_baseline(&alice(), SPACE, "release-1", "b").await;
    assert!(matches!(twice, Err(Error::Exists { .. })));
    desk.ledger.delete_baseline(&alice(), SPACE, "release-1").await.unwrap();
    let gone = desk.ledger.delete_baseline(&alice(), SPACE, "release-1").await;
    assert!(matches!(gone, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn what_is_not_in_the_index_of_the_namespace_cannot_be_compared() {
    let desk = Desk::open().await;
    desk.ledger.ingest(&alice(), run("a", 1, &[0])).await.unwrap();
    for (namespace, old, new) in [(SPACE, "a", "none"), (SPACE, "none", "a"), ("other", "a", "a")] {
        let diff = desk.ledger.diff_runs(namespace, old, new).await;
        assert!(matches!(diff, Err(Error::NotFound { .. })), "{diff:?}");
    }
    let baseline = desk.ledger.create_baseline(&alice(), "other", "x", "a").await;
    assert!(matches!(baseline, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn settings_are_kept_and_changed_only_as_the_version_that_was_read() {
    let mut desk = Desk::open().await;
    assert_eq!(
        desk.ledger.namespace_settings(SPACE).await.unwrap(),
        (NamespaceSettings::default(), 0)
    );
    let settings = |runs| NamespaceSettings {
        max_concurrent_runs: Some(runs),
        ..NamespaceSettings::default()
    };
    let set = |version, runs| {
        let (ledger, settings) = (desk.ledger.clone(), settings(runs));
        async move { ledger.set_namespace_settings(&alice(), SPACE, version, settings).await }
    };
    assert_eq!(set(Some(0), 3).await.unwrap(), 1);
    assert!(matches!(set(Some(0), 4).await, Err(Error::Changed { .. })));
    assert_eq!(set(Some(1), 5).await.unwrap(), 2);
    assert_eq!(set(None, 6).await.unwrap(), 3);
    desk.reopen().await;
    assert_eq!(desk.ledger.namespace_settings(SPACE).await.unwrap(), (settings(6), 3));
}
