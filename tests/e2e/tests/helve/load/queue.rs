//! Jobs with keys of their own: published, claimed, kept, given back, completed.

use helve_judge::{Call, Outcome};
use serde_json::{Value, json};

use super::door::{Door, Told};
use super::{Shared, locked};

const QUEUE: &str = "judged";
/// How long a claim is good, in seconds.
const LEASE: u64 = 2;

fn path(what: &str) -> String {
    format!("/api/v1/queue/{QUEUE}/{what}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Publishes a job, or one again that nobody was told of.
pub(super) fn publish(shared: &Shared, door: &mut Door) {
    let open = locked(&shared.jobs)
        .iter()
        .find(|(_, job)| job.is_none())
        .map(|(key, _)| key.clone());
    let key = open.unwrap_or_else(|| format!("job-{}", shared.number()));
    publish_one(shared, door, &key);
}

fn publish_one(shared: &Shared, door: &mut Door, key: &str) -> Option<String> {
    let body = json!({
        "key": key,
        "input": key,
        "lease": format!("{LEASE}s"),
        "retry": { "attempts": 0, "wait": "100ms", "longest_wait": "100ms" },
    });
    let began = shared.now();
    let (outcome, job) = match door.call("POST", &path("jobs"), &[], Some(&body)) {
        Told::Answer(answer) => {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
            (Outcome::Done, Some(text(&answer.json()["id"])))
        }
        Told::NotSent => return None,
        Told::Lost => (Outcome::Unknown, None),
    };
    let call = Call::Publish {
        key: key.to_owned(),
        job: job.clone(),
    };
    shared.note(door.client, began, outcome, call);
    let mut jobs = locked(&shared.jobs);
    let known = jobs.entry(key.to_owned()).or_default();
    *known = known.take().or(job);
    known.clone()
}

/// Claims jobs, and says something of each.
pub(super) fn work(shared: &Shared, door: &mut Door) {
    for (key, claim) in claim(shared, door, 3) {
        match shared.number() % 8 {
            // The lease ends by itself, or the job is given back.
            0 => {}
            1 => {
                say(shared, door, "fail", &key, &claim, json!({ "error": "not today" }));
            }
            2 => {
                say(shared, door, "heartbeat", &key, &claim, json!({}));
                say(shared, door, "complete", &key, &claim, json!({ "output": key }));
            }
            3 => {
                say(shared, door, "complete", &key, &claim, json!({ "output": key }));
                say(shared, door, "complete", &key, &claim, json!({ "output": key }));
            }
            _ => {
                say(shared, door, "complete", &key, &claim, json!({ "output": key }));
            }
        }
    }
}

/// A job's key, and the claim.
type Claimed = (String, String);

fn claim(shared: &Shared, door: &mut Door, max: usize) -> Vec<Claimed> {
    let body = json!({ "max": max, "wait": "1s" });
    let began = shared.now();
    // What an answer that was lost took away comes back when its lease has ended.
    let Told::Answer(answer) = door.call("POST", &path("claim"), &[], Some(&body)) else {
        return Vec::new();
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let jobs = answer["jobs"].as_array().expect("a list").iter();
    let jobs = jobs.map(|job| {
        let (key, claim) = (text(&job["input"]), text(&job["claim"]));
        let call = Call::Claim {
            key: key.clone(),
            job: text(&job["id"]),
            claim: claim.clone(),
            lease: LEASE * 1_000_000,
        };
        shared.note(door.client, began, Outcome::Done, call);
        (key, claim)
    });
    jobs.collect()
}

fn say(shared: &Shared, door: &mut Door, what: &str, key: &str, claim: &str, mut body: Value) {
    body["claim"] = json!(claim);
    let began = shared.now();
    let (outcome, lost) = match door.call("POST", &format!("/api/v1/jobs/-/{what}"), &[], Some(&body)) {
        Told::Answer(answer) => {
            assert!(matches!(answer.status, 200 | 409), "{what}: {}", answer.text());
            (Outcome::Done, answer.status == 409)
        }
        Told::NotSent => return,
        Told::Lost => (Outcome::Unknown, false),
    };
    let (key, claim) = (key.to_owned(), claim.to_owned());
    let call = match what {
        "heartbeat" => Call::Keep {
            key,
            claim,
            lease: LEASE * 1_000_000,
            lost,
        },
        "fail" => Call::Release { key, claim, lost },
        _ => Call::Complete { key, claim, lost },
    };
    shared.note(door.client, began, outcome, call);
}

/// Publishes again what nobody was told of, completes all that is left, and looks at each.
pub(super) fn finish(shared: &Shared, door: &mut Door) {
    let keys: Vec<_> = locked(&shared.jobs).keys().cloned().collect();
    let mut jobs = Vec::new();
    for key in keys {
        let known = locked(&shared.jobs).get(&key).cloned().flatten();
        let mut job = known;
        while job.is_none() {
            job = publish_one(shared, door, &key);
        }
        jobs.extend(job.map(|job| (key, job)));
    }
    loop {
        for (key, claim) in claim(shared, door, 100) {
            say(shared, door, "complete", &key, &claim, json!({ "output": key }));
        }
        let left = door.surely("GET", &format!("/api/v1/queue/{QUEUE}"), &[], None);
        assert_eq!(left.status, 200, "{}", left.text());
        if left.json()["open"] == 0 {
            break;
        }
    }
    for (key, job) in jobs {
        let began = shared.now();
        let answer = door.surely("GET", &format!("/api/v1/jobs/{job}"), &[], None);
        assert!(matches!(answer.status, 200 | 404), "{}", answer.text());
        let there = answer.status == 200;
        let completed = there && answer.json()["status"] == "completed";
        shared.note(door.client, began, Outcome::Done, Call::Look { key, there, completed });
    }
}
