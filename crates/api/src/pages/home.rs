//! The overview.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use helve_ledger::{Time, TimeRange};
use helve_web::SeverityPoint;
use helve_web::pages::{Overview, QueueRow, overview as page};
use jiff::Timestamp;

use super::runs::{indexed_counts, rows};
use super::visit::Visit;
use super::{html, words};
use crate::problem::{Result, engine};
use crate::routes::workers;
use crate::state::Api;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Days of the chart.
const DAYS: u32 = 30;
/// Runs that are looked at for the counts of a day.
const RUNS: i32 = 500;
/// Runs that are shown.
const RECENT: usize = 8;

pub(super) async fn overview(State(api): State<Api>, visit: Visit) -> Result<Response> {
    let caller = &visit.caller;
    let ledger = &api.ledger;
    let cannot = |status| engine("the runs cannot be listed", &status);
    let running = helve_runs::Filter {
        status: Some("running".to_owned()),
        ..helve_runs::Filter::default()
    };
    let page_of = |filter, size| async move { helve_runs::page(&caller.client, &filter, size, Vec::new()).await };
    let running = page_of(running, RUNS).await.map_err(cannot)?.0.len();
    let since = Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(24)).ok();
    let (ended, _) = helve_runs::closed(&caller.client, since, RUNS, Vec::new())
        .await
        .map_err(cannot)?;
    let failed = ended
        .iter()
        .filter(|run| matches!(run.status, "failed" | "timed_out" | "terminated"))
        .count();
    let (recent, _) = page_of(helve_runs::Filter::default(), 8).await.map_err(cannot)?;
    let namespace = &caller.namespace;
    let now = ledger.overview(namespace, None).await?;
    let range = TimeRange {
        since: Some(Time::now().before(DAY * DAYS)),
        until: None,
    };
    let days = ledger.severity_over_time(namespace, None, range).await?;
    let week = Time::now().before(DAY * 7);
    let new_this_week: u64 = days
        .iter()
        .filter(|day| day.day >= week)
        .flat_map(|day| day.opened.values())
        .sum();
    let all = workers::known(caller).await.unwrap_or_default();
    let queues = workers::all_queues(caller, &api).await?;
    let counts = indexed_counts(&api, namespace).await?;
    let model = Overview {
        running: running as u64,
        ended_today: ended.len() as u64,
        failed_today: failed as u64,
        recent: rows(recent, &counts).into_iter().take(RECENT).collect(),
        open: words::counts(&now.open),
        new_this_week,
        days: days
            .into_iter()
            .map(|day| SeverityPoint {
                at: day.day.millis(),
                counts: words::counts(&day.open),
            })
            .collect(),
        queues: queues
            .into_iter()
            .map(|queue| QueueRow {
                oldest: queue.oldest(visit.frame.now),
                depth: queue.waiting(),
                workers: queue.pollers as u64,
                name: queue.vertical,
            })
            .collect(),
        workers_ready: all.iter().filter(|worker| !worker.leaving).count() as u64,
        workers: all.len() as u64,
        slots_used: all.iter().map(|worker| u64::try_from(worker.used).unwrap_or(0)).sum(),
        slots: all.iter().map(|worker| u64::try_from(worker.slots).unwrap_or(0)).sum(),
    };
    Ok(html(page(&visit.frame, &model)))
}
