use helve_web::pages::{
    Artifact, FindingRow, Fuzzing, LogLevel, LogLine, Overview, Progress, QueueRow, Run, RunFilter, RunRow, Runs, Step,
    overview, run, runs,
};
use helve_web::{Frame, LinePoint, Millis, Notice, RunState, SeverityCounts, SeverityPoint, StepState};

use super::findings::row as finding_row;
use super::{Add, DAY, HOUR, MINUTE, Make, NOW, Text};

pub(crate) fn counts(critical: u64, high: u64, medium: u64, low: u64, note: u64) -> SeverityCounts {
    SeverityCounts {
        critical,
        high,
        medium,
        low,
        note,
    }
}

pub(crate) fn run_row(
    text: &Text,
    id: &str,
    workflow: &str,
    target: &str,
    state: RunState,
    ago: Millis,
    took: Option<Millis>,
) -> RunRow {
    RunRow {
        id: text.t(id),
        workflow: text.t(workflow),
        target: text.some(target),
        state,
        started: NOW - ago,
        ended: took.map(|took| NOW - ago + took),
        counts: SeverityCounts::default(),
        by: text.t("mira@acme.example"),
    }
}

pub(crate) fn recent(text: &Text) -> Vec<RunRow> {
    use RunState::{Cancelled, Completed, Failed, Inconclusive, Running, TimedOut};
    let row = |id, workflow, target, state, ago, took, counts| RunRow {
        counts,
        ..run_row(text, id, workflow, target, state, ago, took)
    };
    vec![
        row(
            "assessment-01jd9x",
            "assessment",
            "payments-api",
            Running,
            2 * MINUTE,
            None,
            counts(1, 2, 5, 0, 3),
        ),
        row(
            "python-assessment-01jd9v",
            "python-assessment",
            "ledger-batch",
            Completed,
            48 * MINUTE,
            Some(192_400),
            counts(0, 3, 11, 24, 2),
        ),
        row(
            "native-fuzz-01jd8z",
            "native-fuzz",
            "libparse",
            TimedOut,
            5 * HOUR,
            Some(4 * HOUR),
            counts(2, 0, 0, 0, 0),
        ),
        row(
            "android-assessment-01jd7m",
            "android-assessment",
            "com.acme.wallet-4.18.2-release-universal-signed-aligned.apk",
            Inconclusive,
            9 * HOUR,
            Some(412_000),
            counts(0, 1, 4, 9, 15),
        ),
        row(
            "assessment-01jd6q",
            "assessment",
            "storefront/checkout-service",
            Completed,
            DAY,
            Some(8_300),
            SeverityCounts::default(),
        ),
        row(
            "web-assessment-01jd5r",
            "web-assessment",
            "admin-console",
            Failed,
            2 * DAY,
            Some(31_000),
            SeverityCounts::default(),
        ),
        RunRow {
            target: None,
            by: text.t("schedule nightly-wasm"),
            ..row(
                "wasm-assessment-01jd4k",
                "wasm-assessment",
                "",
                Cancelled,
                3 * DAY,
                Some(900),
                SeverityCounts::default(),
            )
        },
    ]
}

fn days() -> Vec<SeverityPoint> {
    (0..30_u64)
        .map(|day| {
            let wave = (day * 7 % 11) + day / 3;
            let counts = counts(
                4_u64.saturating_sub(day / 9),
                9 + wave / 3 - day / 6,
                26 + wave,
                41 + day / 2,
                12,
            );
            SeverityPoint {
                at: NOW - (29 - Millis::try_from(day).unwrap_or(0)) * DAY,
                counts,
            }
        })
        .collect()
}

pub(crate) fn add(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    let busy = Overview {
        running: 3,
        ended_today: 41,
        failed_today: 2,
        recent: recent(text),
        open: counts(1, 12, 47, 55, 12),
        new_this_week: 9,
        days: days(),
        queues: vec![
            QueueRow {
                name: text.t("builtin"),
                depth: 0,
                oldest: None,
                workers: 3,
            },
            QueueRow {
                name: text.t("python"),
                depth: 14,
                oldest: Some(NOW - 3 * MINUTE),
                workers: 1,
            },
            QueueRow {
                name: text.t("android"),
                depth: 2,
                oldest: Some(NOW - 26 * MINUTE),
                workers: 0,
            },
        ],
        workers_ready: 3,
        workers: 4,
        slots_used: 11,
        slots: 24,
    };
    let done = Frame {
        notice: Some(Notice::Done(text.t("Signed in. The link cannot be used again."))),
        ..admin("/")
    };
    add("overview", overview(&done, &busy));
    let fresh = Overview {
        running: 0,
        ended_today: 0,
        failed_today: 0,
        recent: Vec::new(),
        open: SeverityCounts::default(),
        new_this_week: 0,
        days: Vec::new(),
        queues: Vec::new(),
        workers_ready: 1,
        workers: 1,
        slots_used: 0,
        slots: 4,
    };
    add("overview-fresh", overview(&admin("/"), &fresh));

    let list = Runs {
        filter: RunFilter::default(),
        workflows: text.list(&["assessment", "native-fuzz", "python-assessment"]),
        rows: recent(text),
        total: Some(1_204),
        further: false,
        next: text.some("eyJhZnRlciI6IjAxSkQ0SyJ9"),
    };
    add("runs", runs(&admin("/runs"), &list));
    let filter = RunFilter {
        state: Some(RunState::Failed),
        workflow: text.t("native-fuzz"),
        target: text.t("libparse"),
    };
    add(
        "runs-none",
        runs(
            &admin("/runs"),
            &Runs {
                rows: Vec::new(),
                total: Some(0),
                next: None,
                filter,
                ..list.clone()
            },
        ),
    );
    let none = Runs {
        rows: Vec::new(),
        total: Some(0),
        next: None,
        ..list
    };
    add("runs-fresh", runs(&viewer("/runs"), &none));

    add("run-live", run(&admin("/runs/x"), &live(text)));
    add("run-done", run(&viewer("/runs/x"), &done_run(text)));
    add("run-failed", run(&admin("/runs/x"), &failed(text)));
    add("run-fuzzing", run(&admin("/runs/x"), &fuzzing(text)));
    add("run-wide", run(&admin("/runs/x"), &wide(text)));
}

fn step(text: &Text, id: &str, module: &str, state: StepState) -> Step {
    Step {
        id: text.t(id),
        module: text.t(module),
        needs: Vec::new(),
        state,
        reason: None,
        findings: 0,
        items: None,
        progress: None,
        attempt: 1,
        started: None,
        ended: None,
        worker: None,
    }
}

fn needs(step: Step, of: &[&Step]) -> Step {
    Step {
        needs: of.iter().map(|one| one.id.clone()).collect(),
        ..step
    }
}

fn line(text: &Text, ago: Millis, step: &str, level: LogLevel, words: &str) -> LogLine {
    LogLine {
        at: NOW - ago,
        step: text.t(step),
        level,
        text: text.t(words),
    }
}

fn some_findings(text: &Text) -> Vec<FindingRow> {
    (0..6).map(|n| finding_row(text, n)).collect()
}

fn live(text: &Text) -> Run {
    let unpack = Step {
        started: Some(NOW - 118_000),
        ended: Some(NOW - 112_000),
        worker: text.some("build-07"),
        ..step(text, "inventory", "supply-chain", StepState::Completed)
    };
    let secrets = Step {
        findings: 3,
        started: Some(NOW - 112_000),
        ended: Some(NOW - 96_000),
        worker: text.some("build-07"),
        ..needs(step(text, "secrets", "secrets", StepState::Completed), &[&unpack])
    };
    let code = Step {
        findings: 5,
        started: Some(NOW - 112_000),
        worker: text.some("build-04"),
        attempt: 2,
        progress: Some(Progress {
            text: text.t("rules on src/main/java/com/acme/payments/settlement/SettlementBatchJob.java"),
            done: 1_840,
            total: 4_212,
        }),
        ..needs(step(text, "code", "sast", StepState::Running), &[&unpack])
    };
    let semgrep = Step {
        started: Some(NOW - 110_000),
        worker: text.some("build-07"),
        items: Some((3, 8)),
        ..needs(step(text, "semgrep", "semgrep", StepState::Running), &[&unpack])
    };
    let skipped = Step {
        reason: text.some("its condition is false: params.advisories != none"),
        ..needs(
            step(text, "dependencies", "cargo-audit", StepState::Skipped),
            &[&unpack],
        )
    };
    let triage = needs(
        step(text, "reachability", "call-graph", StepState::Pending),
        &[&code, &semgrep],
    );
    Run {
        id: text.t("assessment-01jd9x3v5q8z7"),
        workflow: text.t("java-assessment"),
        version: text.t("1.4.0"),
        target: text.some("payments-api"),
        target_id: text.some("b1946ac92492d2347c6235b4d2611184e8d1d8a0b2b95a4c6c1f2f6b38c1c7a1"),
        state: RunState::Running,
        started: NOW - 2 * MINUTE,
        ended: None,
        by: text.t("mira@acme.example"),
        failure: None,
        progress: None,
        steps: vec![unpack, secrets, code, semgrep, skipped, triage],
        counts: counts(1, 2, 5, 0, 3),
        findings: some_findings(text),
        fuzzing: None,
        log: vec![
            line(
                text,
                112_400,
                "inventory",
                LogLevel::Info,
                "4,212 files, 312,904 lines; 14 lock files",
            ),
            line(
                text,
                111_000,
                "code",
                LogLevel::Info,
                "214 rules for java, yaml, dockerfile",
            ),
            line(text, 96_100, "secrets", LogLevel::Info, "3 findings in 16.0 s"),
            line(
                text,
                95_000,
                "code",
                LogLevel::Warning,
                "src/gen/Proto.java: 8.4 MiB is over the limit of 2 MiB, not looked at",
            ),
            line(
                text,
                40_000,
                "code",
                LogLevel::Error,
                "worker build-02 was not heard of for 30 s; attempt 2 on build-04",
            ),
            line(
                text,
                3_000,
                "semgrep",
                LogLevel::Info,
                "3 of 8 modules: settlement, refunds, ledger",
            ),
        ],
        log_before: 1_288,
        artifacts: Vec::new(),
        parameters: vec![
            (text.t("exclude"), text.t("[\"**/test/**\", \"third_party/**\"]")),
            (text.t("min_severity"), text.t("low")),
            (text.t("registry_token"), text.t("(secret)")),
        ],
        notes: Vec::new(),
    }
}

fn done_run(text: &Text) -> Run {
    let secrets = Step {
        started: Some(NOW - HOUR),
        ended: Some(NOW - HOUR + 2_100),
        worker: text.some("build-07"),
        ..step(text, "secrets", "secrets", StepState::Completed)
    };
    let sast = Step {
        started: Some(NOW - HOUR),
        ended: Some(NOW - HOUR + 8_120),
        worker: text.some("build-07"),
        ..step(text, "sast", "sast", StepState::Completed)
    };
    Run {
        id: text.t("assessment-01jd6q"),
        workflow: text.t("assessment"),
        version: text.t("1.0.0"),
        target: text.some("storefront/checkout-service"),
        state: RunState::Completed,
        started: NOW - HOUR,
        ended: Some(NOW - HOUR + 8_300),
        steps: vec![secrets, sast],
        counts: SeverityCounts::default(),
        findings: Vec::new(),
        log: Vec::new(),
        log_before: 0,
        artifacts: vec![
            Artifact {
                step: None,
                name: text.t("report.sarif"),
                size: 48_213,
                media_type: text.t("application/sarif+json"),
            },
            Artifact {
                step: text.some("sast"),
                name: text.t("coverage-by-rule.html"),
                size: 1_904_113,
                media_type: text.t("text/html"),
            },
        ],
        parameters: Vec::new(),
        ..live(text)
    }
}

fn failed(text: &Text) -> Run {
    let lint = Step { state: StepState::Failed, reason: text.some("eslint 9.39 ended with code 2 after 3 attempts: Cannot find module '@acme/eslint-config' required from /target/packages/admin-console/node_modules/.config/eslint.config.mjs"), attempt: 3, started: Some(NOW - 40_000), ended: Some(NOW - 9_000), worker: text.some("web-worker-with-a-rather-long-host-name.eu-central.internal.acme.example"), ..step(text, "eslint", "eslint-security", StepState::Failed) };
    let scan = Step {
        reason: text.some("2 of 412 files could not be parsed"),
        findings: 7,
        started: Some(NOW - 40_000),
        ended: Some(NOW - 31_000),
        ..step(text, "semgrep", "semgrep", StepState::Inconclusive)
    };
    let after = Step {
        reason: text.some("`eslint` failed"),
        ..needs(
            step(text, "correlate", "correlate", StepState::Skipped),
            &[&lint, &scan],
        )
    };
    let stopped = needs(step(text, "upload", "upload", StepState::Cancelled), &[&after]);
    Run {
        state: RunState::Failed,
        target: None,
        target_id: None,
        ended: Some(NOW - 9_000),
        failure: text.some("1 of 4 steps failed: `eslint`. What the others found is below."),
        steps: vec![lint, scan, after, stopped],
        findings: some_findings(text).split_off(3),
        counts: counts(0, 3, 0, 0, 0),
        notes: text.list(&["The module `correlate` is a version that is no longer in the toolbox."]),
        ..live(text)
    }
}

fn fuzzing(text: &Text) -> Run {
    let curve = |most: u64, shape: fn(u64) -> u64| -> Vec<LinePoint> {
        (0..60)
            .map(|n| LinePoint {
                at: NOW - (60 - n) * 4 * MINUTE,
                value: most * shape(n.unsigned_abs()) / 1_000,
            })
            .collect()
    };
    let fuzz = Step {
        started: Some(NOW - 4 * HOUR),
        progress: Some(Progress {
            text: text.t("fuzzing parse_header with libFuzzer"),
            done: 240,
            total: 360,
        }),
        findings: 2,
        worker: text.some("fuzz-01"),
        ..step(text, "libfuzzer", "libfuzzer", StepState::Running)
    };
    Run {
        workflow: text.t("native-fuzz"),
        target: text.some("libparse"),
        started: NOW - 4 * HOUR,
        steps: vec![fuzz],
        progress: Some(Progress {
            text: text.t("Fuzzing for 6 h"),
            done: 240,
            total: 360,
        }),
        counts: counts(2, 0, 0, 0, 0),
        findings: vec![finding_row(text, 7), finding_row(text, 8)],
        fuzzing: Some(Fuzzing {
            executions: 182_004_113,
            per_second: 12_480,
            corpus: 2_914,
            coverage: 8_412,
            crashes: 2,
            speed: curve(13_000, |n| 700 + (n * 37 % 23) * 12),
            reached: curve(8_412, |n| 1_000 - 900 / (n + 1)),
        }),
        parameters: vec![
            (text.t("harness"), text.t("fuzz/parse_header.c")),
            (text.t("seconds"), text.t("21600")),
        ],
        ..live(text)
    }
}

fn wide(text: &Text) -> Run {
    let steps = (0..40)
        .map(|n| {
            let state = [StepState::Completed, StepState::Running, StepState::Pending][n / 14];
            Step {
                findings: (n % 5) as u64,
                ..step(text, &format!("scan-service-{n:02}-of-the-monorepo"), "sast", state)
            }
        })
        .collect();
    Run {
        target: text.some("acme/monorepo-with-an-extremely-long-name-that-somebody-chose-for-a-reason-nobody-remembers-anymore.tar.zst"),
        steps,
        state: RunState::Inconclusive,
        ended: Some(NOW - MINUTE),
        counts: counts(120, 1_840, 10_412, 88, 0),
        ..live(text)
    }
}
