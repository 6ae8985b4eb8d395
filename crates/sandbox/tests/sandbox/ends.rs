//! Ends: how a tool ended is told exactly, and nothing outlives it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use helve_sandbox::{End, Error, Level, Options, Sandbox, Spec};
use tokio::io::AsyncReadExt;

use crate::support::{eventually, hostile, mark, marked, said, sandboxes};

#[tokio::test]
async fn exit_codes_signals_and_output_arrive_as_they_were() {
    for sandbox in sandboxes(Level::Limits).await {
        let output = sandbox
            .run(&Spec::new(["sh", "-c", "echo out; echo err >&2; exit 7"]))
            .await
            .unwrap();
        assert_eq!(output.outcome.end, End::Exited(7));
        assert_eq!(
            (output.stdout.as_slice(), output.stderr.as_slice()),
            (&b"out\n"[..], &b"err\n"[..])
        );
        assert_eq!(output.outcome.level, sandbox.level());

        // As process 1 of its namespace a tool could not even abort; it is not.
        let output = sandbox.run(&Spec::new(["sh", "-c", "kill -ABRT $$"])).await.unwrap();
        assert_eq!(output.outcome.end, End::Signaled(6), "{}", sandbox.level());
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_and_not_an_exit_code() {
    for sandbox in sandboxes(Level::Limits).await {
        for program in ["no-such-program", "/no/such/program"] {
            let error = sandbox.run(&Spec::new([program])).await.unwrap_err();
            assert!(
                matches!(&error, Error::Exec { source, .. } if source.kind() == std::io::ErrorKind::NotFound),
                "{error}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "no program").unwrap();
        let error = sandbox
            .run(&Spec::new([&plain]).read_only(dir.path()))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Exec { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_daemon_does_not_outlive_its_tool() {
    for sandbox in sandboxes(Level::Limits).await {
        let text = said(&sandbox.run(&hostile("daemon")).await.unwrap());
        assert!(text.contains("left a daemon"));
        assert_eq!(marked(&mark()), [] as [u32; 0], "{}", sandbox.level());
    }
}

#[tokio::test]
async fn cancelling_kills_the_tool_and_all_that_it_started() {
    for sandbox in sandboxes(Level::Limits).await {
        let mut running = sandbox.spawn(&hostile("daemon").env("STAY", "1")).await.unwrap();
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains("left a daemon") {
            assert!(running.stdout.read_buf(&mut text).await.unwrap() > 0);
        }
        running.canceller().cancel();
        let outcome = running.wait().await.unwrap();
        assert_eq!(outcome.end, End::Cancelled, "{}", sandbox.level());
        assert_eq!(marked(&mark()), [] as [u32; 0], "{}", sandbox.level());
    }
}

#[tokio::test]
async fn dropping_kills_the_tool_and_all_that_it_started() {
    for sandbox in sandboxes(Level::Limits).await {
        let running = sandbox.spawn(&hostile("daemon").env("STAY", "1")).await.unwrap();
        // A canceller that lives on must not keep the tool alive.
        let canceller = running.canceller();
        assert_ne!(marked(&mark()), [] as [u32; 0]);
        drop(running);
        eventually("the end of the tool", || marked(&mark()).is_empty());
        canceller.cancel();
    }
}

#[tokio::test]
async fn a_caller_that_is_killed_takes_its_tools_with_it() {
    for sandbox in sandboxes(Level::Limits).await {
        let mark = mark();
        let mut caller = Command::new(std::env::current_exe().unwrap())
            .args(["hostile::caller", "--exact", "--ignored", "--nocapture"])
            .env("CALLER", sandbox.level().name())
            .env("MARK", &mark)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(caller.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("started")));
        eventually("the daemon", || marked(&mark).len() >= 2);
        // The supervisor of the tool, and the one that is kept ready, which comes beside it.
        let inits_of = |supervisors: &[u32]| supervisors.iter().flat_map(|pid| children(*pid)).collect::<Vec<u32>>();
        eventually("both supervisors with their first processes", || {
            let supervisors = children(caller.id());
            supervisors.len() == 2 && inits_of(&supervisors).len() == 2
        });
        let supervisors = children(caller.id());
        let inits = inits_of(&supervisors);
        caller.kill().unwrap();
        caller.wait().unwrap();
        eventually("the end of the tool", || marked(&mark).is_empty());
        eventually("the end of the supervisors", || {
            !supervisors.iter().chain(&inits).any(|pid| lives(*pid))
        });
    }
}

/// Whether there is such a process, and it is not only waiting to be collected.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()),
        None | Some('Z')
    )
}

fn children(parent: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        fields.split(' ').nth(1) == Some(&parent.to_string())
    })
    .collect()
}

#[tokio::test]
async fn a_supervisor_that_was_kept_ready_puts_up_the_same_walls() {
    for sandbox in sandboxes(Level::Limits).await {
        let cold = Sandbox::open(Options {
            at_most: Some(sandbox.level()),
            ..Options::default()
        });
        let cold = cold.await.unwrap().run(&Spec::new(["true"])).await.unwrap().outcome;
        for _ in 0..3 {
            while !sandbox.is_ready() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // What it sees is what is there now, not what was there when the supervisor was started.
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), "now").unwrap();
            let spec = Spec::new(["cat", file.path().to_str().unwrap()]).read_only(file.path());
            let output = sandbox.run(&spec).await.unwrap();
            assert_eq!(output.stdout, b"now");
            assert_eq!(output.outcome.protections, cold.protections);
        }
    }
}

#[tokio::test]
async fn what_a_tool_needed_is_gone_when_it_is() {
    for sandbox in sandboxes(Level::Limits).await {
        let base = tempfile::tempdir().unwrap();
        let options = Options {
            at_most: Some(sandbox.level()),
            scratch: Some(base.path().to_owned()),
            ..Options::default()
        };
        let sandbox = Sandbox::open(options).await.unwrap();
        let spec = Spec::new(["sh", "-c", "mkdir -p $TMPDIR/a/b && echo x > $TMPDIR/a/b/c"]);
        assert!(sandbox.run(&spec).await.unwrap().outcome.is_clean_exit());
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn less_than_required_is_refused_and_says_why() {
    let options = Options {
        at_most: Some(Level::Limits),
        ..Options::default()
    };
    let sandbox = Sandbox::open(options.clone()).await.unwrap();
    let error = sandbox
        .run(&Spec::new(["true"]).require(Level::Isolated))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooWeak {
                required: Level::Isolated,
                reached: Level::Limits,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("namespaces"), "{error}");
    let error = Sandbox::open(Options {
        require: Some(Level::Filtered),
        ..options
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::TooWeak { .. }), "{error}");
}

#[tokio::test]
async fn fifty_tools_at_once_do_not_mix() {
    let sandbox = Sandbox::open(Options::default()).await.unwrap();
    let mut tools = tokio::task::JoinSet::new();
    for number in 0..50 {
        let sandbox = sandbox.clone();
        tools.spawn(async move {
            let script = format!("echo {number} > $TMPDIR/mine; sleep 0.05; cat $TMPDIR/mine; ls $TMPDIR | wc -l");
            let output = sandbox.run(&Spec::new(["sh", "-c", &script])).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{number}\n1\n"));
        });
    }
    while let Some(tool) = tools.join_next().await {
        tool.unwrap();
    }
}

#[tokio::test]
async fn what_a_tool_used_is_measured() {
    for sandbox in sandboxes(Level::Limits).await {
        let spec = Spec::new(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
        let outcome = sandbox.run(&spec).await.unwrap().outcome;
        assert!(
            outcome.cpu_time > Duration::from_millis(5) && outcome.peak_memory > 100_000,
            "{outcome:?}"
        );
        assert!(outcome.wall_time >= Duration::from_millis(5), "{outcome:?}");
    }
}
