//! Workers, verticals and schedules.

use axum::extract::State;
use axum::response::Response;
use helve_web::pages::{
    Schedule, Schedules, Tool, Vertical, Worker, Workers, schedules as schedules_page, workers as workers_page,
};
use helve_web::{WorkerState, routes};
use serde_json::Map;

use super::runs::names;
use super::visit::{Sent, Visit};
use super::{html, to, words};
use crate::extract::{Json, Path};
use crate::problem::{FieldError, Problem, Result, engine};
use crate::routes::{schedules as api_schedules, targets, workers as api_workers};
use crate::state::Api;

/// Schedules that are shown.
const SCHEDULES: i32 = 200;

pub(super) async fn workers(State(api): State<Api>, visit: Visit) -> Result<Response> {
    let known = api_workers::known(&visit.caller).await?;
    let queues = api_workers::all_queues(&visit.caller, &api).await?;
    let toolbox = api.toolbox.current();
    let verticals = toolbox.verticals().map(|vertical| {
        let carriers = known.iter().filter_map(|worker| worker.verticals.get(&vertical.name));
        let carriers: Vec<&Vec<(String, String)>> = carriers.collect();
        let queue = queues.iter().find(|queue| queue.vertical == vertical.name);
        let version = |program: &str| {
            let mut found = carriers.iter().flat_map(|tools| tools.iter());
            found
                .find(|(name, _)| name == program)
                .map(|(_, version)| version.clone())
        };
        Vertical {
            name: vertical.name.clone(),
            description: vertical.description.clone(),
            workers: carriers.len() as u64,
            waiting: queue.map_or(0, api_workers::QueueInfo::waiting),
            oldest: queue.and_then(|queue| queue.oldest(visit.frame.now)),
            tools: vertical
                .tools
                .iter()
                .map(|tool| Tool {
                    name: tool.name.clone().unwrap_or_else(|| tool.program.clone()),
                    version: version(tool.name.as_deref().unwrap_or(&tool.program)).or_else(|| version(&tool.program)),
                })
                .collect(),
        }
    });
    let model = Workers {
        verticals: verticals.collect(),
        workers: known
            .iter()
            .map(|worker| Worker {
                id: worker.identity.clone(),
                verticals: worker.verticals.keys().cloned().collect(),
                slots_used: u64::try_from(worker.used).unwrap_or(0),
                slots: u64::try_from(worker.slots).unwrap_or(0),
                sandbox: worker.sandbox.clone(),
                state: match worker.leaving {
                    true => WorkerState::Draining,
                    false => WorkerState::Ready,
                },
            })
            .collect(),
    };
    Ok(html(workers_page(&visit.frame, &model)))
}

pub(super) async fn schedules(State(api): State<Api>, visit: Visit) -> Result<Response> {
    let client = &visit.caller.client;
    let listed = client.schedules(SCHEDULES, Vec::new()).await;
    let (views, _) = listed.map_err(|status| engine("the schedules cannot be listed", &status))?;
    let mut rows = Vec::with_capacity(views.len());
    for view in views {
        let Some(order) = view.order else { continue };
        let last = match view.recent.last() {
            Some((at, run_id)) => {
                let described = client.describe(run_id).await.ok();
                let info = described.and_then(|described| described.workflow_execution_info);
                info.map(|info| {
                    let run = helve_runs::listed(info);
                    let at = words::millis(*at).or(words::millis(run.started)).unwrap_or_default();
                    (run_id.clone(), words::run_state(run.status), at)
                })
            }
            None => None,
        };
        rows.push(Schedule {
            spec: match order.every_seconds {
                Some(seconds) => format!("every {:#}", jiff::SignedDuration::from_secs(seconds.cast_signed())),
                None => format!("{} ({})", order.cron.join("; "), order.time_zone),
            },
            id: view.id,
            workflow: order.workflow,
            target: order.target.map(|target| target.name),
            note: Some(view.note).filter(|note| !note.is_empty()),
            next: view.next.first().map(|at| at.as_millisecond()),
            last,
            paused: view.paused,
        });
    }
    rows.sort_by_key(|row| (row.next.is_none(), row.next));
    let known = targets::all(&api, &visit.caller.namespace).await?;
    let mut targets: Vec<String> = known.into_iter().map(|target| target.name).collect();
    targets.sort();
    targets.dedup();
    let model = Schedules {
        rows,
        workflows: names(&api),
        targets,
    };
    Ok(html(schedules_page(&visit.frame, &model)))
}

pub(super) async fn make_schedule(State(api): State<Api>, visit: Visit, sent: Sent) -> Result<Response> {
    let target = match sent.get("target") {
        "" => None,
        name => {
            // The newest content of that name.
            let known = targets::all(&api, &visit.caller.namespace).await?;
            let newest = known.into_iter().find(|target| target.name == name);
            Some(newest.ok_or_else(|| wrong("target", "is not there any more"))?.id)
        }
    };
    let when = sent.get("cron");
    let every = when.strip_prefix("@every").map(|every| every.trim().to_owned());
    let wanted = api_schedules::WantedSchedule {
        id: sent.get("id").to_owned(),
        workflow: sent.get("workflow").to_owned(),
        target,
        parameters: Map::new(),
        cron: match &every {
            Some(_) => Vec::new(),
            None => vec![when.to_owned()],
        },
        every,
        time_zone: Some(sent.get("time_zone").to_owned()).filter(|zone| !zone.is_empty()),
        paused: false,
    };
    api_schedules::make(visit.caller, State(api), Json(wanted)).await?;
    Ok(to(routes::pages::SCHEDULES))
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem::unprocessable("a value of the schedule is wrong").with_errors([FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}

pub(super) async fn change_schedule(visit: Visit, Path(id): Path<String>, sent: Sent) -> Result<Response> {
    let (caller, id) = (visit.caller, Path(id));
    match sent.get("do") {
        "pause" => api_schedules::pause(caller, id).await?,
        "resume" => api_schedules::resume(caller, id).await?,
        "run" => api_schedules::trigger(caller, id).await?,
        "delete" => api_schedules::remove(caller, id).await?,
        _ => return Err(wrong("do", "must be pause, resume, run or delete")),
    };
    Ok(to(routes::pages::SCHEDULES))
}
