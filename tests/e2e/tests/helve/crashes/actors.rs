//! Those who use the server while it is killed. Each does one thing over and over, and writes down what it was told.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use helve_e2e::http::{Answer, Api};
use serde_json::{Value, json};

use super::said::Said;
use super::upload;

/// What they share beside what was said.
pub(super) struct Shared {
    numbers: AtomicUsize,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            numbers: AtomicUsize::new(0),
        }
    }

    /// How the server is started.
    pub(super) fn arguments(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Once, before anything else.
    pub(super) fn prepare(&self, _api: &Api) {}

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
