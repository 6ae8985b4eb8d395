//! Many findings: how long people wait for a page of them, through the API and in the browser's pages.

mod fill;

use std::time::Instant;

use anyhow::{Result, ensure};
use helve_e2e::browser::Browser;
use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use serde_json::{Value, json};

use crate::table;

/// What people ask, and how it is said in a query.
const QUESTIONS: &[(&str, &str)] = &[
    ("everything", ""),
    ("critical and open", "severity=critical&triage=open"),
    ("fixed", "status=fixed"),
    ("confirmed (none)", "triage=confirmed"),
    ("one target", "target=git%40example.org%3Ashop%2Fservice-7.git"),
    ("one rule", "rule=sast%2Frequest-0"),
    ("one owner", "owner=%40team-7"),
    (
        "a target and a rule",
        "target=git%40example.org%3Ashop%2Fservice-7.git&rule=sast%2Frequest-0",
    ),
    ("a rule and an owner", "rule=sast%2Frequest-0&owner=%40team-7"),
    ("an owner of a folder", "owner=%40team-7&path=src%2Feval%2F"),
    ("a large folder", "path=src%2Feval%2F"),
    ("a small folder", "path=src%2Feval%2Fshell%2Ftoken"),
    ("a frequent word", "q=shell"),
    ("three frequent words", "q=shell+user+cookie"),
    ("a rare word", "q=token_4711"),
    ("a beginning", "q=coo*"),
    (
        "a word in a target",
        "q=shell&target=git%40example.org%3Ashop%2Fservice-7.git",
    ),
    ("a phrase, critical", "q=%22reaches+eval%22&severity=critical"),
];
const ORDERS: [&str; 4] = ["severity", "newest", "last_seen", "path"];
/// Each page is asked for so often; the slowest counts.
const TIMES: usize = 3;

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let findings = if quick { 20_000 } else { 1_000_000 };
    let home = Home::new();
    // The first start makes the data directory.
    let (first, _, _) = up(&home, &["--no-worker"]);
    first.signal("INT");
    first.wait().expect_code(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let (filled, again) = runtime.block_on(fill::fill(&home.data().join("ledger.db"), findings))?;
    println!("{findings} findings, each seen by two runs: {filled:.0} s; a run of 20,000 that are known {again:.2} s");
    let (_up, api, login) = up(&home, &["--no-worker"]);
    let (mut rows, mut figures, mut slowest) = (Vec::new(), Vec::new(), 0f64);
    for (name, query) in QUESTIONS {
        let (mut times, mut cells) = (Vec::new(), vec![(*name).to_owned()]);
        for order in ORDERS {
            let query = format!("{query}&order={order}&limit=50");
            let first = page(&api, &query)?;
            times.extend(first.as_ref().map(|(ms, _)| *ms));
            cells.push(
                first
                    .as_ref()
                    .map_or_else(|| "refused".to_owned(), |(ms, _)| table::number(*ms)),
            );
            if order == ORDERS[0] {
                let cursor = first.and_then(|(_, next)| next);
                let next = cursor.map(|cursor| page(&api, &format!("{query}&cursor={cursor}")));
                let next = next.transpose()?.flatten().map(|(ms, _)| ms);
                times.extend(next);
                cells.push(next.map_or_else(|| "-".to_owned(), table::number));
            }
        }
        slowest = times.iter().copied().fold(slowest, f64::max);
        rows.push(cells);
        figures.push(json!({ "question": name, "ms": times }));
    }
    table::print(
        &[
            "a page of 50, ms",
            "severity",
            "next page",
            "newest",
            "last seen",
            "path",
        ],
        &rows,
    );
    let mut browser = Browser::new(&api);
    browser.follow(&login);
    let pages = ["/", "/findings", "/findings?q=shell", "/findings?severity=critical"].map(|path| {
        let took = (0..TIMES).map(|_| {
            let began = Instant::now();
            browser.get(path).expect(200);
            began.elapsed().as_secs_f64() * 1e3
        });
        (path, took.fold(0.0, f64::max))
    });
    let rows: Vec<_> = pages
        .iter()
        .map(|(path, ms)| vec![(*path).to_owned(), table::number(*ms)])
        .collect();
    table::print(&["web page", "ms"], &rows);
    println!("the slowest page of the API: {} ms", table::number(slowest));
    Ok(json!({
        "findings": findings, "fill_seconds": filled, "known_run_seconds": again, "slowest_ms": slowest,
        "questions": figures, "pages": pages,
    }))
}

/// The slowest of some, in milliseconds, with where the next page begins; none when the question is refused in this order.
fn page(api: &Api, query: &str) -> Result<Option<(f64, Option<String>)>> {
    let path = format!("/api/v1/findings?{}", query.trim_start_matches('&'));
    let mut slowest = 0f64;
    let mut next = None;
    for _ in 0..TIMES {
        let began = Instant::now();
        let answer = api.get(&path);
        slowest = slowest.max(began.elapsed().as_secs_f64() * 1e3);
        if answer.status == 400 || answer.status == 422 {
            return Ok(None);
        }
        ensure!(answer.status == 200, "{path}: {}", answer.text());
        next = answer.json()["next_cursor"].as_str().map(str::to_owned);
    }
    Ok(Some((slowest, next)))
}
