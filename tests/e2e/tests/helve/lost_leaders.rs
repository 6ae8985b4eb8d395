//! Leaders that are killed while clients publish, claim and complete jobs, and scan: what was acknowledged is there, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use helve_e2e::http::{Answer, Api};
use helve_e2e::nodes::Nodes;
use helve_e2e::process::LIMIT;
use helve_e2e::tree;
use serde_json::{Value, json};

/// Leaders that are killed; the long way is 50.
const ROUNDS: usize = 3;
const PUBLISHERS: usize = 2;
const CLAIMERS: usize = 2;

/// A client that knows all nodes, and asks another one when one does not answer.
struct Client {
    nodes: Vec<Api>,
    turn: usize,
}

impl Client {
    /// Asks once.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        self.turn += 1;
        let api = &self.nodes[self.turn % self.nodes.len()];
        let headers = [("Content-Type", "application/json")];
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let answer = api.try_send(method, path, &headers, body.as_bytes()).ok()?;
        // Nobody leads, or not that one any more.
        (answer.status != 503).then_some(answer)
    }

    /// Asks until there is an answer: for what may be asked twice.
    #[track_caller]
    fn insist(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(answer) = self.ask(method, path, body) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{method} {path} is not answered");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Keys of jobs, with the id that each was acknowledged under.
    published: BTreeMap<String, String>,
    /// Jobs whose completion was acknowledged, and by which attempt.
    completed: BTreeMap<String, u64>,
}

fn publish(mut client: Client, publisher: usize, stop: &AtomicBool, told: &Mutex<Told>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{publisher}-{number}");
        let job = json!({"input": {"key": key}, "key": key, "retry": {"attempts": 100}});
        let answer = client.insist("POST", "/api/v1/queue/lost/jobs", &job);
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        let before = told.lock().expect("nobody panics").published.insert(key.clone(), id);
        assert_eq!(before, None, "{key}");
    }
}

fn claim(mut client: Client, stop: &AtomicBool, told: &Mutex<Told>) {
    while !stop.load(Ordering::Relaxed) {
        let claiming = json!({"max": 5, "wait": "1s", "lease": "5s"});
        // A claim whose answer was lost ends with its lease, and the jobs come again.
        let Some(answer) = client.ask("POST", "/api/v1/queue/lost/claim", &claiming) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        for job in answer.expect(200).json()["jobs"].as_array().expect("jobs") {
            let id = job["id"].as_str().expect("an id");
            let body = json!({"claim": job["claim"], "output": job["attempt"]});
            let answer = client.insist("POST", &format!("/api/v1/jobs/{id}/complete"), &body);
            match answer.status {
                200 => {
                    let attempt = job["attempt"].as_u64().expect("an attempt");
                    let before = told
                        .lock()
                        .expect("nobody panics")
                        .completed
                        .insert(id.to_owned(), attempt);
                    assert!(
                        before.is_none_or(|before| before == attempt),
                        "{id} was completed twice"
                    );
                }
                // The lease was over: somebody else has it.
                409 => {}
                _ => panic!("{}", answer.text()),
            }
        }
    }
}

/// Ends the others, also when something fails here.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn leaders_may_die_under_load_and_nothing_acknowledged_is_lost_or_doubled() {
    let rounds = std::env::var("HELVE_CLUSTER_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROUNDS);
    let mut nodes = Nodes::start(3, &[]);
    let token = std::fs::read_to_string(nodes.home(nodes.leader()).data().join("admin.token"));
    let token = token.expect("the leader wrote it").trim().to_owned();
    let client = |turn: usize| Client {
        nodes: (0..3)
            .map(|node| Api {
                address: nodes.http(node),
                token: Some(token.clone()),
            })
            .collect(),
        turn,
    };
    let (mut asking, told) = (client(0), Mutex::new(Told::default()));
    let (enough, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let publishers: Vec<_> = (0..PUBLISHERS).map(&client).collect();
    let claimers: Vec<_> = (0..CLAIMERS).map(&client).collect();
    let root = nodes.home(0).path().join("tree");
    tree::grow(&root, 100, 300);
    let root = root.to_string_lossy().into_owned();
    let mut runs = BTreeSet::new();
    thread::scope(|scope| {
        let everybody = (Stop(&enough), Stop(&stop));
        let (told, enough, stop) = (&told, &enough, &stop);
        let publishing: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || publish(client, number, enough, told)))
            .collect();
        for client in claimers {
            scope.spawn(move || claim(client, stop, told));
        }
        for _ in 0..rounds {
            let before = told.lock().expect("nobody panics").completed.len();
            let led = nodes.leader();
            let asked = nodes.follower();
            let mut run = nodes.home(asked).start(&["run", "assessment", &root, "--json"]);
            run.wait_for_line("run assessment-");
            nodes.kill(led);
            let run = run.wait().expect_code(0).json();
            assert_eq!(run["status"], "completed", "{run}");
            assert_eq!(run["summary"]["inconclusive"], json!([]), "{run}");
            assert!(runs.insert(run["run_id"].to_string()));
            // Somebody serves again.
            let deadline = Instant::now() + LIMIT;
            while told.lock().expect("nobody panics").completed.len() <= before + 20 {
                assert!(Instant::now() < deadline, "nobody completes jobs any more");
                thread::sleep(Duration::from_millis(20));
            }
            nodes.up(led);
            nodes.settle();
        }
        enough.store(true, Ordering::Relaxed);
        for publisher in publishing {
            publisher.join().expect("it does not panic");
        }
        // All that was published is completed in the end.
        let deadline = Instant::now() + LIMIT;
        loop {
            let stats = asking
                .insist("GET", "/api/v1/queue/lost", &Value::Null)
                .expect(200)
                .json();
            let left = ["waiting", "delayed", "claimed"].map(|what| stats[what].as_u64().unwrap_or_default());
            if left == [0, 0, 0] {
                break;
            }
            assert!(Instant::now() < deadline, "jobs are left: {stats}");
            thread::sleep(Duration::from_millis(50));
        }
        drop(everybody);
    });
    let told = told.into_inner().expect("nobody panics");
    let ids: BTreeSet<_> = told.published.values().collect();
    assert_eq!(ids.len(), told.published.len(), "two keys are one job");
    for (key, id) in &told.published {
        let job = asking
            .insist("GET", &format!("/api/v1/jobs/{id}"), &Value::Null)
            .expect(200)
            .json();
        assert_eq!(
            (&job["status"], &job["input"]["key"]),
            (&json!("completed"), &json!(key)),
            "{job}"
        );
        if let Some(attempt) = told.completed.get(id) {
            assert_eq!(
                job["output"],
                json!(attempt),
                "another attempt than the one that was told: {job}"
            );
        }
    }
    assert!(
        told.completed.keys().all(|id| ids.contains(id)),
        "a job that nobody published"
    );
    let known: BTreeSet<_> = nodes
        .home(0)
        .runs()
        .iter()
        .map(|run| run["run_id"].to_string())
        .collect();
    assert_eq!(known, runs);
    println!("{} jobs, {rounds} leaders killed", told.published.len());
}
