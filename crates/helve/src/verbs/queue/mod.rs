//! `helve queue`.

mod backend;
mod content;
mod work;

use helve_queue::{Claiming, Failing, Has, JobSummary, JobView, Needs, NewJob, QueueStats, Retry, Which};
use serde::Serialize;
use serde_json::json;

use self::backend::Backend;
use self::content::{from_file, json_text, lines};
use crate::app::App;
use crate::cli::{ClaimArgs, PublishArgs, QueueArgs, QueueVerb};
use crate::embedded::Sharing;
use crate::errors::{FAILED, Problem, Result};
use crate::render::table::{Cell, table};
use crate::terminal::{Style, eprint_line, print, print_json};

impl From<helve_queue::Error> for Problem {
    fn from(error: helve_queue::Error) -> Self {
        use helve_queue::Error;
        let problem = Self::new(error.to_string());
        match &error {
            Error::NoJob(_) => problem.help("`helve queue list QUEUE` shows those of a queue"),
            Error::WrongClaim(_) => problem.help("a claim is good where it was made: on the same data directory"),
            Error::Engine { what, status } => crate::errors::refused(what, status),
            _ => problem,
        }
    }
}

impl From<helve_queue::InvalidName> for Problem {
    fn from(error: helve_queue::InvalidName) -> Self {
        Self::new(error.to_string())
    }
}

pub(crate) async fn queue(app: &App, args: QueueArgs) -> Result<u8> {
    if let Some(client) = &app.server {
        return dispatch(&Backend::Server(client.clone()), args.verb, app.global.json).await;
    }
    let data = app.data_dir()?;
    let session = app.session(&data, "helve queue", Sharing::Brief).await?;
    let outcome = async {
        let backend = Backend::local(&session, &data)?;
        dispatch(&backend, args.verb, app.global.json).await
    };
    let outcome = outcome.await;
    session.close().await;
    outcome
}

async fn dispatch(backend: &Backend, verb: QueueVerb, json: bool) -> Result<u8> {
    match verb {
        QueueVerb::Publish(args) => return publish(backend, *args, json).await,
        QueueVerb::Claim(args) => claim(backend, args, json).await?,
        QueueVerb::Heartbeat { claim, details } => {
            let details = details.map(|text| json_text("--details", &text)).transpose()?;
            let pulse = backend.heartbeat(&claim, details.as_ref()).await?;
            let words = match pulse.cancel_requested {
                true => format!("job {}: somebody wants it stopped\n", pulse.id),
                false => format!("job {}: kept for another {} s\n", pulse.id, pulse.lease_ms / 1000),
            };
            say(json, &pulse, &words);
        }
        QueueVerb::Complete { claim, output, file } => {
            let output = match (output, file) {
                (Some(text), _) => json_text("--output", &text)?,
                (None, Some(file)) => from_file(&file)?,
                (None, None) => Default::default(),
            };
            let answered = backend.complete(&claim, &output).await?;
            say(json, &answered, &format!("job {}: done\n", answered.id));
        }
        QueueVerb::Fail {
            claim,
            error,
            kind,
            fatal,
            retry_in,
        } => {
            let failing = Failing {
                claim,
                error,
                kind,
                fatal,
                retry_in,
                details: None,
                canceled: false,
            };
            let answered = backend.fail(&failing).await?;
            say(json, &answered, &format!("job {}: failed\n", answered.id));
        }
        QueueVerb::Show { id } => {
            let view = backend.show(&id).await?;
            say(json, &view, &shown(&view));
        }
        QueueVerb::List { queue, status, limit } => {
            let jobs = backend.list(&queue, status, limit).await?;
            say(json, &jobs, &listed(&jobs));
        }
        QueueVerb::Dead { queue, limit } => {
            let jobs = backend.list(&queue, Which::Dead, limit).await?;
            say(json, &jobs, &listed(&jobs));
        }
        QueueVerb::Stats { queue } => {
            let queues = match queue {
                Some(queue) => vec![queue],
                None => backend.queues().await?,
            };
            let mut stats = Vec::with_capacity(queues.len());
            for queue in &queues {
                stats.push(backend.stats(queue).await?);
            }
            say(json, &stats, &counted(&stats));
        }
        QueueVerb::Requeue { ids, all } => {
            let mut count = 0;
            for id in &ids {
                backend.requeue(id).await?;
                count += 1;
            }
            if let Some(queue) = &all {
                loop {
                    let swept = backend.requeue_dead(queue).await?;
                    count += swept.jobs;
                    // What is left cannot be started again now.
                    if !swept.is_more || swept.jobs == 0 {
                        break;
                    }
                }
            }
            say(json, &json!({"requeued": count}), &format!("{count} started again\n"));
        }
        QueueVerb::Cancel { id } => {
            backend.cancel(&id).await?;
            say(
                json,
                &json!({"id": id, "status": "cancel_requested"}),
                &format!("job {id}: asked to stop\n"),
            );
        }
        QueueVerb::Remove { id } => {
            backend.remove(&id).await?;
            say(
                json,
                &json!({"id": id, "status": "removed"}),
                &format!("job {id}: removed\n"),
            );
        }
        QueueVerb::Work(args) => return work::work(backend, args, json).await,
    }
    Ok(0)
}

fn say(json: bool, value: &impl Serialize, words: &str) {
    match json {
        true => print_json(&json!(value)),
        false => print(words),
    }
}

/// Publishes in batches; the exit code says whether all of them are.
async fn publish(backend: &Backend, args: PublishArgs, json: bool) -> Result<u8> {
    let retry = Retry {
        attempts: args.attempts,
        wait: args.retry_wait,
        ..Retry::default()
    };
    let template = NewJob {
        priority: args.priority,
        delay: args.delay,
        key: args.key,
        retry: Some(retry).filter(|retry| *retry != Retry::default()),
        needs: Needs::new(args.needs)?,
        lease: args.lease,
        timeout: args.timeout,
        expires: args.expires,
        ..NewJob::default()
    };
    let inputs = match (args.input, args.file, args.lines) {
        (Some(text), ..) => vec![json_text("--input", &text)?],
        (None, Some(file), _) => vec![from_file(&file)?],
        (None, None, true) => lines()?,
        (None, None, false) => vec![Default::default()],
    };
    let jobs: Vec<NewJob> = inputs
        .into_iter()
        .map(|input| NewJob {
            input,
            ..template.clone()
        })
        .collect();
    let (mut all, mut failed) = (Vec::with_capacity(jobs.len()), 0);
    for batch in jobs.chunks(helve_queue::MAX_BATCH) {
        for outcome in backend.publish(&args.queue, batch.to_vec()).await? {
            match outcome {
                Ok(published) => all.push(published),
                // One alone is an error like any other.
                Err(error) if jobs.len() == 1 => return Err(error.into()),
                Err(error) => {
                    failed += 1;
                    eprint_line(&format!("not published: {error}"));
                }
            }
        }
    }
    match (json, all.as_slice()) {
        (true, [one]) if jobs.len() == 1 => print_json(&json!(one)),
        (true, _) => print_json(&json!(all)),
        (false, _) => {
            let ids: String = all.iter().map(|job| format!("{}\n", job.id)).collect();
            print(&ids);
        }
    }
    Ok(if failed == 0 { 0 } else { FAILED })
}

async fn claim(backend: &Backend, args: ClaimArgs, json: bool) -> Result<()> {
    let claiming = Claiming {
        max: Some(args.max),
        wait: Some(args.wait),
        lease: args.lease,
        has: Has::new(args.has)?,
        worker: None,
    };
    let claimed = backend.claim(&args.queue, &claiming).await?;
    let mut words = String::new();
    for job in &claimed.jobs {
        let input = String::from_utf8_lossy(&job.input.clone().into_bytes()).into_owned();
        words.push_str(&format!("job    {}\nclaim  {}\ninput  {input}\n\n", job.id, job.claim));
    }
    if words.is_empty() {
        words.push_str("nothing came in time\n");
    }
    say(json, &claimed, &words);
    Ok(())
}

fn time(at: Option<jiff::Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!("{at:.0}"))
}

fn shown(view: &JobView) -> String {
    let mut text = format!(
        "job       {}\nqueue     {}\nstatus    {}\n",
        view.id,
        view.queue,
        view.status.as_str()
    );
    let attempts = view.attempts.map_or("without end".to_owned(), |most| most.to_string());
    text.push_str(&format!("attempt   {} of {attempts}\n", view.attempt));
    let content = |content: &helve_queue::Content| String::from_utf8_lossy(&content.clone().into_bytes()).into_owned();
    let lines = [
        ("needs", (!view.needs.is_empty()).then(|| view.needs.to_string())),
        ("key", view.key.clone()),
        ("published", Some(time(view.published_at))),
        ("next", view.next_at.map(|at| time(Some(at)))),
        ("claimed", view.claimed_at.map(|at| time(Some(at)))),
        ("worker", view.worker.clone()),
        ("ended", view.ended_at.map(|at| time(Some(at)))),
        ("input", Some(content(&view.input))),
        ("output", view.output.as_ref().map(content)),
        ("failure", view.failure.as_ref().map(|failure| failure.error.clone())),
    ];
    for (name, line) in lines {
        if let Some(line) = line {
            text.push_str(&format!("{name:<10}{}\n", crate::terminal::clean(&line)));
        }
    }
    for earlier in &view.earlier {
        let why = earlier.failure.as_ref().map_or("", |failure| &failure.error);
        let line = format!("{} after {} attempts: {why}", earlier.status.as_str(), earlier.attempts);
        text.push_str(&format!("earlier   {}\n", crate::terminal::clean(&line)));
    }
    text
}

fn listed(jobs: &[JobSummary]) -> String {
    if jobs.is_empty() {
        return "no such jobs\n".to_owned();
    }
    let rows: Vec<Vec<Cell>> = jobs
        .iter()
        .map(|job| {
            vec![
                job.id.clone().into(),
                job.status.as_str().into(),
                time(job.published_at).into(),
                time(job.ended_at).into(),
                job.needs.to_string().into(),
            ]
        })
        .collect();
    table(
        &["JOB", "STATUS", "PUBLISHED", "ENDED", "NEEDS"],
        &rows,
        Style::stdout(),
    )
}

fn counted(stats: &[QueueStats]) -> String {
    if stats.is_empty() {
        return "no queue has open jobs\n".to_owned();
    }
    let rows: Vec<Vec<Cell>> = stats
        .iter()
        .map(|of| {
            let counts = [of.waiting, of.delayed, of.at_work, of.completed, of.dead, of.canceled];
            let mut row: Vec<Cell> = vec![of.queue.clone().into()];
            row.extend(counts.iter().map(|count| Cell::from(count.to_string())));
            row
        })
        .collect();
    let headers = ["QUEUE", "WAITING", "DELAYED", "AT WORK", "DONE", "DEAD", "CANCELED"];
    table(&headers, &rows, Style::stdout())
}
