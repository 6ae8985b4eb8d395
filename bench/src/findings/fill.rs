//! An index as the runs of many targets make it, through the ledger's own ingest.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use helve_findings::{Confidence, Finding, Location, Region, Rule, Severity};
use helve_ledger::{Actor, Ledger, ModuleLook, Options, ReportedFinding, RunReport, Time};

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

/// Fills the ledger of a data directory that nobody uses. Returns the seconds for all of it, and for a run whose findings are
/// known already.
pub(super) async fn fill(path: &Path, findings: usize) -> Result<(f64, f64)> {
    let ledger = Ledger::open(path, Options::default()).await?;
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
    let all = began.elapsed().as_secs_f64();
    ledger.close().await?;
    Ok((all, again.as_secs_f64() / targets as f64))
}
