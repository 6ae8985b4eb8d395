//! Resources: each limit holds at each level.

use std::time::Duration;

use helve_sandbox::{End, Level, Limit, Limits, Spec};

use crate::support::{bytes_below, hostile, mark, marked, said, sandboxes};

#[tokio::test]
async fn a_fork_bomb_is_held_or_stopped() {
    for sandbox in sandboxes(Level::Limits).await {
        let mut spec = hostile("fork_bomb");
        spec.limits.processes = 32;
        let output = sandbox.run(&spec).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("SURVIVED"), "{}: {text}", sandbox.level());
        if output.outcome.end != End::Limited(Limit::Processes) {
            // Not stopped, then the kernel refused in time.
            let made: u32 = text
                .split("made ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert!(made <= 32, "{}: {text}", sandbox.level());
        }
        if sandbox.level() == Level::Full {
            assert!(text.contains("refused true"), "{text} {:?}", output.outcome);
            assert_eq!(output.outcome.felt, [Limit::Processes]);
        }
        assert_eq!(marked(&mark()), [] as [u32; 0], "{}", sandbox.level());
    }
}

#[tokio::test]
async fn a_memory_bomb_is_stopped_and_named() {
    for sandbox in sandboxes(Level::Limits).await {
        for bomb in ["memory_bomb", "memory_bomb_of_children"] {
            let mut spec = hostile(bomb);
            spec.limits.memory = 96 << 20;
            let output = sandbox.run(&spec).await.unwrap();
            assert_eq!(
                output.outcome.end,
                End::Limited(Limit::Memory),
                "{bomb} {}: {:?}",
                sandbox.level(),
                output.outcome
            );
            if sandbox.level() == Level::Full {
                assert!(
                    output.outcome.peak_memory <= 96 << 20,
                    "the kernel holds it exactly: {:?}",
                    output.outcome
                );
            }
        }
    }
}

#[tokio::test]
async fn a_disk_filler_is_stopped_and_named() {
    for sandbox in sandboxes(Level::Limits).await {
        for filler in ["disk_filler", "hidden_disk_filler"] {
            let dir = tempfile::tempdir().unwrap();
            let mut spec = hostile(filler).read_write(dir.path()).env("FILL", dir.path());
            spec.limits.disk = 16 << 20;
            let output = sandbox.run(&spec).await.unwrap();
            assert_eq!(
                output.outcome.end,
                End::Limited(Limit::Disk),
                "{filler} {}",
                sandbox.level()
            );
            // Writable for its owner again, to be removed.
            let _ = std::fs::set_permissions(
                dir.path().join("hidden"),
                std::os::unix::fs::PermissionsExt::from_mode(0o700),
            );
        }
    }
}

#[tokio::test]
async fn temporary_files_in_memory_are_held_too() {
    for sandbox in sandboxes(Level::Isolated).await {
        let mut spec = Spec::new(["sh", "-c", "head -c 100000000 /dev/zero > /tmp/x; wc -c < /tmp/x"]);
        spec.limits.disk = 8 << 20;
        let output = sandbox.run(&spec).await.unwrap();
        let size: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        assert!(size <= 8 << 20, "{size}");
    }
}

#[tokio::test]
async fn one_file_never_exceeds_its_limit() {
    for sandbox in sandboxes(Level::Limits).await {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = hostile("one_large_file").read_write(dir.path()).env("FILL", dir.path());
        spec.limits.file_size = 4 << 20;
        let output = sandbox.run(&spec).await.unwrap();
        assert_eq!(output.outcome.end, End::Limited(Limit::FileSize), "{}", sandbox.level());
        assert!(bytes_below(dir.path()) <= 4 << 20);
    }
}

#[tokio::test]
async fn time_by_the_clock_and_by_the_processor_are_held() {
    for sandbox in sandboxes(Level::Limits).await {
        let mut spec = hostile("busy");
        spec.limits.cpu_time = Duration::from_millis(200);
        let outcome = sandbox.run(&spec).await.unwrap().outcome;
        assert_eq!(
            outcome.end,
            End::Limited(Limit::CpuTime),
            "{}: {outcome:?}",
            sandbox.level()
        );
        assert!(outcome.cpu_time >= Duration::from_millis(200), "{outcome:?}");

        let limits = Limits {
            wall_time: Duration::from_millis(100),
            ..Limits::default()
        };
        let outcome = sandbox
            .run(&Spec::new(["sleep", "60"]).limits(limits))
            .await
            .unwrap()
            .outcome;
        assert_eq!(outcome.end, End::Limited(Limit::WallTime), "{}", sandbox.level());
    }
}

#[tokio::test]
async fn open_files_are_held() {
    for sandbox in sandboxes(Level::Limits).await {
        let mut spec = hostile("open_files");
        spec.limits.open_files = 40;
        let text = said(&sandbox.run(&spec).await.unwrap());
        let opened: u32 = text
            .split("opened ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((20..40).contains(&opened), "{text}");
    }
}

#[tokio::test]
async fn endless_output_is_cut_off_at_its_limit() {
    for sandbox in sandboxes(Level::Limits).await {
        let limits = Limits {
            output: 100_000,
            ..Limits::default()
        };
        for command in ["yes", "yes >&2"] {
            let output = sandbox
                .run(&Spec::new(["sh", "-c", command]).limits(limits.clone()))
                .await
                .unwrap();
            assert_eq!(output.outcome.end, End::Limited(Limit::Output), "{}", sandbox.level());
            assert_eq!(output.stdout.len() + output.stderr.len(), 100_000);
        }
        // Exactly as much as allowed is allowed.
        let exact = Spec::new(["head", "-c", "100000", "/dev/zero"]).limits(limits.clone());
        let output = sandbox.run(&exact).await.unwrap();
        assert!(output.outcome.is_clean_exit(), "{:?}", output.outcome);
        assert_eq!(output.stdout.len(), 100_000);
    }
}
