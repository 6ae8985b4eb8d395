//! What the server acknowledged, and whether it still holds.

use std::collections::BTreeMap;
use std::time::Instant;

use helve_e2e::http::Api;
use helve_e2e::process::LIMIT;
use serde_json::{Value, json};

use super::actors::{QUEUE, Shared, id};

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Said {
    /// Id and name.
    pub(super) targets: Vec<(String, String)>,
    /// Id, and the name of the target.
    pub(super) runs: Vec<(String, String)>,
    /// The finding, and the comment.
    pub(super) decisions: Vec<(String, String)>,
    /// Ids of published jobs, by their number.
    pub(super) jobs: Vec<String>,
    /// Jobs that were completed, and with what.
    pub(super) done: BTreeMap<String, u64>,
}

impl Said {
    pub(super) fn counts(&self) -> String {
        format!(
            "{} uploads, {} runs, {} decisions, {} jobs, {} of them done",
            self.targets.len(),
            self.runs.len(),
            self.decisions.len(),
            self.jobs.len(),
            self.done.len()
        )
    }

    /// A test of nothing proves nothing.
    pub(super) fn is_enough(&self, rounds: u64) {
        let rounds = rounds as usize;
        assert!(
            self.targets.len() >= rounds && self.runs.len() >= rounds && self.done.len() >= rounds,
            "{}",
            self.counts()
        );
    }

    pub(super) fn check(&self, api: &Api, shared: &Shared) {
        self.check_runs(api);
        self.check_decisions(api);
        self.check_jobs(api);
        for (run_id, name) in &self.runs {
            for event in ["run.finished", "finding.new"] {
                until(&format!("somebody is told of {event} of {name}"), || {
                    shared.receiver.heard(event, run_id).then_some(())
                });
            }
        }
    }

    fn check_runs(&self, api: &Api) {
        for (target, name) in &self.targets {
            let shown = api.get(&format!("/api/v1/targets/{target}")).expect(200).json();
            assert_eq!(shown["id"], **target, "{name}");
        }
        for (run_id, name) in &self.runs {
            let run = until(&format!("run {run_id} ends"), || {
                let run = api.get(&format!("/api/v1/runs/{run_id}")).expect(200).json();
                (run["status"] != "running").then_some(run)
            });
            assert_eq!(run["status"], "completed", "{run}");
            let of_run = api.get(&format!("/api/v1/runs/{run_id}/findings")).expect(200).json();
            assert_eq!(
                of_run["items"].as_array().expect("a list").len(),
                1,
                "{run_id}: {of_run}"
            );
            until(&format!("the finding of {name} is in the index"), || {
                let listed = api.get(&format!("/api/v1/findings?target={name}")).expect(200).json();
                let count = listed["items"].as_array().expect("a list").len();
                assert!(count <= 1, "{listed}");
                (count == 1).then_some(())
            });
        }
        // The last one that was asked for may be there without its answer.
        let (there, acknowledged) = (count(api, "/api/v1/runs"), self.runs.len());
        assert!(
            (acknowledged..=acknowledged + 1).contains(&there),
            "{there} runs are there, {acknowledged} were acknowledged"
        );
    }

    fn check_decisions(&self, api: &Api) {
        for (finding, comment) in &self.decisions {
            let shown = api.get(&format!("/api/v1/findings/{finding}")).expect(200).json();
            assert!(
                says(&shown, comment),
                "{comment:?} about {finding} was acknowledged, and is not in its history: {shown}"
            );
        }
    }

    /// Every job is there under one id, what was done stays done, and the rest can be claimed, each once.
    fn check_jobs(&self, api: &Api) {
        let mut ended = self.done.clone();
        let path = |what: &str| format!("/api/v1/queue/{QUEUE}/{what}");
        until("all jobs are done", || {
            let asked = json!({ "max": 1000, "wait": "3s", "lease": "60s" });
            let claimed = api.post(&path("claim"), &asked).expect(200).json();
            for job in claimed["jobs"].as_array().expect("a list") {
                let number = job["input"].as_u64().expect("a number");
                let before = ended.insert(id(&job["id"]), number * 2);
                assert_eq!(before, None, "{job} was claimed, and is done or claimed already");
                let body = json!({ "claim": job["claim"], "output": number * 2 });
                api.post(&format!("/api/v1/jobs/{}/complete", id(&job["id"])), &body)
                    .expect(200);
            }
            let left = api.get(&format!("/api/v1/queue/{QUEUE}")).expect(200).json();
            (left["open"] == 0).then_some(())
        });
        for (number, name) in self.jobs.iter().enumerate() {
            let job = api.get(&format!("/api/v1/jobs/{name}")).expect(200).json();
            assert_eq!(job["input"], number, "{job}");
            assert_eq!(
                (&job["status"], &job["output"]),
                (&json!("completed"), &json!(number * 2))
            );
        }
    }
}

/// Whether some text of a document is this one.
fn says(document: &Value, text: &str) -> bool {
    match document {
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| says(item, text)),
        Value::Object(fields) => fields.values().any(|field| says(field, text)),
        _ => false,
    }
}

/// All items of a list.
fn count(api: &Api, path: &str) -> usize {
    let (mut items, mut cursor) = (0, String::new());
    loop {
        let page = api.get(&format!("{path}?limit=100{cursor}")).expect(200).json();
        items += page["items"].as_array().expect("a list").len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "it never happened: {what}");
    }
}
