//! Those who use the server while it is killed. Each does one thing over and over, and writes down what it was told.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use helve_e2e::http::{Answer, Api};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::said::Said;
use super::upload;

/// Where jobs are published and claimed.
pub(super) const QUEUE: &str = "work";

/// What they share beside what was said.
pub(super) struct Shared {
    numbers: AtomicUsize,
    pub(super) receiver: Receiver,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            numbers: AtomicUsize::new(0),
            receiver: Receiver::new(),
        }
    }

    /// How the server is started.
    pub(super) fn arguments(&self) -> [&str; 2] {
        ["--webhook-allow", &self.receiver.address]
    }

    /// Once, before anything else.
    pub(super) fn prepare(&self, api: &Api) {
        let url = format!("http://{}/", self.receiver.address);
        let hook = json!({ "url": url, "events": ["run.finished", "finding.new"] });
        api.post("/api/v1/webhooks", &hook).expect(201);
    }

    /// One that nobody had before.
    fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

type Actor = fn(&Api, &Shared, &Mutex<Said>, Dice);

pub(super) const ACTORS: &[Actor] = &[
    |api, shared, said, dice| ended(uploads(api, shared, said, dice)),
    |api, shared, said, dice| ended(runs(api, shared, said, dice)),
    |api, shared, said, dice| ended(decisions(api, shared, said, dice)),
    |api, _, said, dice| ended(publishes(api, said, dice)),
    |api, _, said, _| ended(claims(api, said)),
];

/// The only way an actor may end is that the server was killed.
fn ended(outcome: io::Result<()>) {
    let error = outcome.expect_err("an actor goes on until the server is gone");
    assert_ne!(
        error.kind(),
        io::ErrorKind::WouldBlock,
        "the server did not answer in time"
    );
}

/// The answer, if it promises something.
fn promised(answer: Answer, status: u16) -> Value {
    answer.expect(status).json()
}

fn uploads(api: &Api, shared: &Shared, said: &Mutex<Said>, _: Dice) -> io::Result<()> {
    loop {
        let number = shared.number();
        let name = format!("target-{number}");
        let made = promised(upload(api, &name, number)?, 201);
        said.lock().unwrap().targets.push((id(&made["id"]), name));
    }
}

/// Starts a run on each target. What was asked for and not answered is asked for again after the crash, under the same key.
fn runs(api: &Api, _: &Shared, said: &Mutex<Said>, _: Dice) -> io::Result<()> {
    let mut begun = said.lock().unwrap().runs.len();
    loop {
        let target = said.lock().unwrap().targets.get(begun).cloned();
        let Some((target, name)) = target else {
            api.try_send("GET", "/readyz", &[], &[])?;
            continue;
        };
        let asked = json!({ "workflow": "secrets-scan", "target": target, "target_name": name });
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", &*name)];
        let answer = api.try_send("POST", "/api/v1/runs", &headers, asked.to_string().as_bytes())?;
        let run_id = id(&promised(answer, 201)["run_id"]);
        said.lock().unwrap().runs.push((run_id, name));
        begun += 1;
    }
}

/// Decides about findings, each time with a comment of its own.
fn decisions(api: &Api, shared: &Shared, said: &Mutex<Said>, mut dice: Dice) -> io::Result<()> {
    const STATES: [&str; 4] = ["open", "confirmed", "false_positive", "fixed"];
    loop {
        let listed = promised(api.try_send("GET", "/api/v1/findings?order=newest", &[], &[])?, 200);
        let items = listed["items"].as_array().expect("a list").clone();
        if items.is_empty() {
            continue;
        }
        let finding = id(&items[dice.below(items.len() as u64) as usize]["id"]);
        let comment = format!("decision {}", shared.number());
        let state = STATES[dice.below(4) as usize];
        let body = json!({ "state": state, "comment": comment });
        let path = format!("/api/v1/findings/{finding}/triage");
        let headers = [("Content-Type", "application/json")];
        let answer = api.try_send("POST", &path, &headers, body.to_string().as_bytes())?;
        promised(answer, 200);
        said.lock().unwrap().decisions.push((finding, comment));
    }
}

/// Publishes jobs, each with its number as key and input: one that was not answered is published again after the crash.
fn publishes(api: &Api, said: &Mutex<Said>, mut dice: Dice) -> io::Result<()> {
    loop {
        let first = said.lock().unwrap().jobs.len();
        let numbers = first..=first + dice.below(5) as usize;
        let jobs: Vec<Value> = numbers
            .map(|number| json!({ "input": number, "key": format!("job-{number}"), "lease": "2s", "retry": { "attempts": 0 } }))
            .collect();
        let path = format!("/api/v1/queue/{QUEUE}/jobs");
        let body = json!({ "jobs": jobs }).to_string();
        let answer = api.try_send("POST", &path, &JSON, body.as_bytes())?;
        let made = promised(answer, 200);
        let made = made["jobs"].as_array().expect("an item for each");
        said.lock().unwrap().jobs.extend(made.iter().map(|job| id(&job["id"])));
    }
}

/// Claims jobs and completes them with their number doubled.
fn claims(api: &Api, said: &Mutex<Said>) -> io::Result<()> {
    let path = |what: &str| format!("/api/v1/queue/{QUEUE}/{what}");
    loop {
        let asked = json!({ "max": 3, "wait": "5s" }).to_string();
        let claimed = promised(api.try_send("POST", &path("claim"), &JSON, asked.as_bytes())?, 200);
        for job in claimed["jobs"].as_array().expect("a list") {
            let (name, number) = (id(&job["id"]), job["input"].as_u64().expect("a number"));
            let done = said.lock().unwrap().done.contains_key(&name);
            assert!(!done, "{name} was completed, and is handed out again");
            let body = json!({ "claim": job["claim"], "output": number * 2 }).to_string();
            let answer = api.try_send("POST", &format!("/api/v1/jobs/{name}/complete"), &JSON, body.as_bytes())?;
            // Two seconds are over quickly on a machine with this much to do.
            if answer.status == 409 {
                continue;
            }
            promised(answer, 200);
            said.lock().unwrap().done.insert(name, number * 2);
        }
    }
}

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

pub(super) fn id(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no id: {value}")).to_owned()
}

/// Numbers that are the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}
