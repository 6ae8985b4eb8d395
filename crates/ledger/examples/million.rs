//! Fills an index with findings and asks it what people ask, to see how long a page takes.
//!
//!     cargo run --release -p helve-ledger --example million -- [FINDINGS] [FILE]
//!
//! A file that is there already is asked as it is.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use helve_findings::{Confidence, Finding, Location, Region, Rule, Severity};
use helve_ledger::{
    Actor, Cursor, FindingFilter, FindingOrder, Ledger, ModuleLook, Options, PageRequest, ReportedFinding, RunReport,
    Status, Time, TimeRange, Triage,
};

const SPACE: &str = "default";
/// Findings of one target.
const OF_TARGET: usize = 20_000;
/// A made-up codebase says these words.
const WORDS: [&str; 24] = [
    "request",
    "query",
    "user",
    "input",
    "eval",
    "shell",
    "token",
    "cookie",
    "redirect",
    "template",
    "deserialize",
    "path",
    "upload",
    "session",
    "header",
    "parser",
    "buffer",
    "cipher",
    "random",
    "admin",
    "cache",
    "config",
    "proxy",
    "worker",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let findings: usize = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let path = arguments
        .next()
        .map_or_else(|| folder.path().join("ledger.db"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(async {
        let is_new = !path.exists();
        let ledger = Ledger::open(&path, Options::default()).await?;
        if is_new {
            fill(&ledger, findings).await?;
        }
        println!("{} MB on disk", std::fs::metadata(&path)?.len() >> 20);
        ask(&ledger).await?;
        ledger.close().await?;
        Ok(())
    })
}

/// A number that looks random and is the same each time.
fn mixed(n: usize) -> usize {
    let mut x = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 1) as usize
}

fn rule(n: usize) -> Rule {
    let module = ["sast", "secrets", "supply-chain"][n % 3];
    Rule {
        id: format!("{module}/{}-{}", WORDS[n % 24], n),
        name: format!("Use of {} with {}", WORDS[n % 24], WORDS[n / 24 % 24]),
        description: "What the rule looks for.".to_owned(),
        severity: Severity::ALL[n % 5],
        confidence: Confidence::Medium,
        cwe: vec![79],
        tags: Vec::new(),
        remediation: "What to do.".to_owned(),
        references: Vec::new(),
    }
}

fn finding(n: usize, rules: &[Rule]) -> ReportedFinding {
    let random = mixed(n);
    // Some rules find much, and most of them little.
    let rule = &rules[(random % 300).min(mixed(n + 1) % 300)];
    let word = |n: usize| WORDS[mixed(random + n) % 24];
    let path = format!("src/{}/{}/{}_{}.py", word(1), word(2), word(3), n % 997);
    let line = (random % 2_000) as u32 + 1;
    let region = Region {
        start_line: line,
        start_column: 5,
        end_line: line,
        end_column: 40,
    };
    let mut location = Location::region(path, region);
    location.snippet = Some(format!(
        "    {}({}.{}[\"{}_{}\"])",
        word(4),
        word(5),
        word(6),
        word(7),
        random % 5_000
    ));
    let module = rule.id.split('/').next().unwrap_or_default();
    let message = format!("The {} of a {} reaches {} without a check.", word(5), word(8), word(4));
    let mut finding = Finding::new(rule, module, message, location, "anchor");
    finding.fingerprint = format!("{n:032x}");
    let mut reported = ReportedFinding::from(finding);
    reported.owner = (!random.is_multiple_of(4)).then(|| format!("@team-{}", random % 40));
    reported
}

async fn fill(ledger: &Ledger, findings: usize) -> Result<(), Box<dyn std::error::Error>> {
    let rules: Vec<Rule> = (0..300).map(rule).collect();
    let actor = Actor::system("bench");
    let began = Instant::now();
    let mut again = Duration::ZERO;
    let targets = findings.div_ceil(OF_TARGET);
    for target in 0..targets {
        let numbers = target * OF_TARGET..findings.min((target + 1) * OF_TARGET);
        for run in 0..2 {
            let found: Vec<ReportedFinding> = numbers
                .clone()
                // The second run finds a few less.
                .filter(|n| run == 0 || !n.is_multiple_of(50))
                .map(|n| finding(n, &rules))
                .collect();
            let looks = ["sast", "secrets", "supply-chain"].map(|module| ModuleLook {
                module: module.to_owned(),
                could_look: true,
                skipped: Vec::new(),
            });
            let report = RunReport {
                namespace: SPACE.to_owned(),
                target: format!("git@example.org:shop/service-{target}.git"),
                workflow: "assessment".to_owned(),
                run_id: format!("run-{target}-{run}"),
                at: Time::now().before(Duration::from_secs((targets - target) as u64 * 86_400 - run)),
                outcome: "completed".to_owned(),
                looks: looks.to_vec(),
                skipped: Vec::new(),
                rules: rules.clone(),
                findings: found,
            };
            let began = Instant::now();
            ledger.ingest(&actor, report).await?;
            if run == 1 {
                again += began.elapsed();
            }
        }
    }
    let all = began.elapsed();
    println!(
        "{findings} findings of {targets} targets, two runs each: {:.1} s",
        all.as_secs_f64()
    );
    println!(
        "a run whose {OF_TARGET} findings are known: {:.2} s",
        again.as_secs_f64() / targets as f64
    );
    Ok(())
}

fn questions() -> Vec<(&'static str, FindingFilter)> {
    let plain = FindingFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let target = text("git@example.org:shop/service-7.git");
    let week = TimeRange {
        since: Some(Time::now().before(Duration::from_secs(3 * 86_400))),
        until: None,
    };
    vec![
        ("everything", plain()),
        (
            "critical and open",
            FindingFilter {
                severities: vec![Severity::Critical],
                triages: vec![Triage::Open],
                ..plain()
            },
        ),
        (
            "fixed",
            FindingFilter {
                statuses: vec![Status::Fixed],
                ..plain()
            },
        ),
        (
            "confirmed (none)",
            FindingFilter {
                triages: vec![Triage::Confirmed],
                ..plain()
            },
        ),
        (
            "one target",
            FindingFilter {
                target: target.clone(),
                ..plain()
            },
        ),
        (
            "one rule",
            FindingFilter {
                rule: text("sast/request-0"),
                ..plain()
            },
        ),
        (
            "one owner",
            FindingFilter {
                owner: text("@team-7"),
                ..plain()
            },
        ),
        (
            "a target and a rule",
            FindingFilter {
                target: target.clone(),
                rule: text("sast/request-0"),
                ..plain()
            },
        ),
        (
            "a rule and an owner",
            FindingFilter {
                rule: text("sast/request-0"),
                owner: text("@team-7"),
                ..plain()
            },
        ),
        (
            "an owner of a folder",
            FindingFilter {
                owner: text("@team-7"),
                path_prefix: text("src/eval/"),
                ..plain()
            },
        ),
        (
            "a large folder",
            FindingFilter {
                path_prefix: text("src/eval/"),
                ..plain()
            },
        ),
        (
            "a small folder",
            FindingFilter {
                path_prefix: text("src/eval/shell/token"),
                ..plain()
            },
        ),
        (
            "first seen in three days",
            FindingFilter {
                first_seen: week,
                ..plain()
            },
        ),
        (
            "a frequent word",
            FindingFilter {
                text: text("shell"),
                ..plain()
            },
        ),
        (
            "three frequent words",
            FindingFilter {
                text: text("shell user cookie"),
                ..plain()
            },
        ),
        (
            "a rare word",
            FindingFilter {
                text: text("token_4711"),
                ..plain()
            },
        ),
        (
            "a beginning",
            FindingFilter {
                text: text("coo*"),
                ..plain()
            },
        ),
        (
            "a word in a target",
            FindingFilter {
                text: text("shell"),
                target,
                ..plain()
            },
        ),
        (
            "a phrase, critical",
            FindingFilter {
                text: text("\"reaches eval\""),
                severities: vec![Severity::Critical],
                ..plain()
            },
        ),
    ]
}

/// The slowest of some, and how many items there were.
async fn page(
    ledger: &Ledger,
    filter: &FindingFilter,
    order: FindingOrder,
    cursor: Option<Cursor>,
) -> (Duration, Result<(usize, Option<Cursor>), helve_ledger::Error>) {
    let mut slowest = Duration::ZERO;
    let mut found = Ok((0, None));
    for _ in 0..3 {
        let request = PageRequest {
            cursor: cursor.clone(),
            limit: Some(50),
        };
        let began = Instant::now();
        let page = ledger.list_findings(SPACE, filter.clone(), order, request).await;
        slowest = slowest.max(began.elapsed());
        found = page.map(|page| (page.items.len(), page.next_cursor));
    }
    (slowest, found)
}

async fn ask(ledger: &Ledger) -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{:<28}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "a page of 50, ms", "severity", "next", "newest", "last seen", "path"
    );
    for (name, filter) in questions() {
        let mut times = Vec::new();
        let (time, first) = page(ledger, &filter, FindingOrder::Severity, None).await;
        let (count, cursor) = first?;
        times.push(shown(time, count));
        if cursor.is_some() {
            let (time, next) = page(ledger, &filter, FindingOrder::Severity, cursor).await;
            times.push(shown(time, next?.0));
        } else {
            times.push("-".to_owned());
        }
        for order in [FindingOrder::Newest, FindingOrder::LastSeen, FindingOrder::Path] {
            let (time, found) = page(ledger, &filter, order, None).await;
            times.push(found.map_or_else(|_| "refused".to_owned(), |(count, _)| shown(time, count)));
        }
        let cells: String = times.iter().map(|time| format!("{time:>12}")).collect();
        println!("{name:<28}{cells}");
    }
    let began = Instant::now();
    let overview = ledger.overview(SPACE, None).await?;
    println!(
        "overview of {}: {:.1} ms",
        overview.total,
        began.elapsed().as_secs_f64() * 1e3
    );
    let began = Instant::now();
    let days = ledger.severity_over_time(SPACE, None, TimeRange::default()).await?;
    println!(
        "chart of {} days: {:.1} ms",
        days.len(),
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

fn shown(time: Duration, count: usize) -> String {
    let mark = if count == 50 {
        String::new()
    } else {
        format!("({count})")
    };
    format!("{mark} {:.1}", time.as_secs_f64() * 1e3)
}
