//! The audit log has a row of everything that somebody changed.

use std::collections::BTreeSet;

use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, up};
use helve_e2e::tree::fake_key;
use serde_json::{Value, json};

/// Operations that leave no row, each with the reason.
const WITHOUT_ROW: &[(&str, &str)] = &[
    (
        "PATCH /api/v1/uploads/{id}",
        "the bytes of an upload; its beginning and its end have rows",
    ),
    ("POST /api/v1/queue/{name}/jobs", "each job of a queue is in the queue"),
    ("POST /api/v1/queue/{name}/claim", "as above"),
    ("POST /api/v1/queue/{name}/heartbeat", "as above"),
    ("POST /api/v1/queue/{name}/complete", "as above"),
    ("POST /api/v1/queue/{name}/fail", "as above"),
    ("POST /api/v1/jobs/{id}/heartbeat", "as above"),
    ("POST /api/v1/jobs/{id}/complete", "as above"),
    ("POST /api/v1/jobs/{id}/fail", "as above"),
    ("POST /api/v1/logout", "ends the caller's own session, if it is one"),
];

/// One call of each operation that changes something, and what its row is called.
struct Calls<'a> {
    api: &'a Api,
    made: BTreeSet<String>,
}

impl Calls<'_> {
    /// Calls it with ids in the place of `{...}`, and looks for the row.
    #[track_caller]
    fn call(&mut self, operation: &str, ids: &[&str], body: &Value, action: &str) -> Value {
        let answer = self.tried(operation, ids, body, action);
        assert!((200..300).contains(&answer.status), "{operation}: {}", answer.text());
        parsed(&answer)
    }

    /// The same, whatever comes of it: that somebody wanted it is in the log.
    #[track_caller]
    fn tried(&mut self, operation: &str, ids: &[&str], body: &Value, action: &str) -> Answer {
        let (method, template) = operation.split_once(' ').expect("a method and a path");
        let mut ids = ids.iter();
        let path: String = template
            .split_inclusive('}')
            .map(|part| match part.split_once('{') {
                Some((head, _)) => format!("{head}{}", ids.next().expect("an id for each").replace(' ', "%20")),
                None => part.to_owned(),
            })
            .collect();
        let before = self.rows(action);
        let answer = match body {
            Value::Null => self.api.send(method, &path, &[], &[]),
            Value::String(bytes) => self.api.send(method, &path, &[], bytes.as_bytes()),
            body => {
                let json = [("Content-Type", "application/json")];
                self.api.send(method, &path, &json, body.to_string().as_bytes())
            }
        };
        let after = self.rows(action);
        assert_eq!(
            after,
            before + 1,
            "{operation} leaves no row `{action}`: {} {}",
            answer.status,
            answer.text()
        );
        self.made
            .insert(format!("{method} {}", template.split('?').next().unwrap_or_default()));
        answer
    }

    fn rows(&self, action: &str) -> usize {
        let rows = self
            .api
            .get(&format!("/api/v1/audit?action={action}&limit=500"))
            .expect(200)
            .json();
        rows["items"].as_array().expect("a list").len()
    }
}

/// What operators do with jobs. Those that are asked about here are not there.
fn queue(calls: &mut Calls<'_>) {
    for (operation, action) in [
        ("POST /api/v1/jobs/{id}/requeue", "job.requeue"),
        ("POST /api/v1/jobs/{id}/cancel", "job.cancel"),
        ("DELETE /api/v1/jobs/{id}", "job.remove"),
        ("POST /api/v1/queue/{name}/requeue", "queue.requeue"),
    ] {
        calls.tried(operation, &["nothing"], &Value::Null, action);
    }
    let purge = json!({ "status": "completed" });
    calls.tried("POST /api/v1/queue/{name}/purge", &["nothing"], &purge, "queue.purge");
}

fn webhooks(calls: &mut Calls<'_>) {
    let new = json!({ "url": "https://hooks.example.org/x", "events": ["run.finished"] });
    let made = calls.call("POST /api/v1/webhooks", &[], &new, "webhook.create");
    let id = made["id"]
        .as_str()
        .or(made["webhook"]["id"].as_str())
        .expect("an id")
        .to_owned();
    calls.call(
        "POST /api/v1/webhooks/{id}/secret",
        &[&id],
        &json!({}),
        "webhook.rotate",
    );
    calls.call("POST /api/v1/webhooks/{id}/test", &[&id], &Value::Null, "webhook.test");
    let told = calls
        .api
        .get(&format!("/api/v1/webhooks/{id}/deliveries"))
        .expect(200)
        .json();
    let delivery = text(&told["items"][0]["id"]);
    calls.call(
        "POST /api/v1/deliveries/{id}/again",
        &[&delivery],
        &Value::Null,
        "webhook.redeliver",
    );
    let off = json!({ "enabled": false });
    calls.call("PATCH /api/v1/webhooks/{id}", &[&id], &off, "webhook.update");
    calls.call("DELETE /api/v1/webhooks/{id}", &[&id], &Value::Null, "webhook.delete");
}

fn mesh(calls: &mut Calls<'_>) {
    let new = json!({ "name": "any" });
    let made = calls.call("POST /api/v1/mesh/tickets", &[], &new, "mesh.ticket");
    let far = Home::new();
    let _worker = far.start(&["worker", "join", made["ticket"].as_str().expect("a ticket")]);
    let endpoint = loop {
        let known = calls.api.get("/api/v1/mesh/endpoints").expect(200).json();
        if let Some(id) = known[0]["id"].as_str() {
            break id.to_owned();
        }
    };
    for (operation, action) in [
        ("POST /api/v1/mesh/endpoints/{id}/revoke", "mesh.revoke"),
        ("POST /api/v1/mesh/endpoints/{id}/approve", "mesh.approve"),
    ] {
        calls.call(operation, &[&endpoint], &Value::Null, action);
    }
    let id = text(&made["info"]["id"]);
    calls.call(
        "DELETE /api/v1/mesh/tickets/{id}",
        &[&id],
        &Value::Null,
        "mesh.ticket.revoke",
    );
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn every_operation_that_changes_something_leaves_a_row() {
    let home = Home::new();
    let toolbox = home.naps();
    let (_up, api, _) = up(&home, &["--toolbox", &toolbox, "--mesh", "127.0.0.1:0"]);
    let mut calls = Calls {
        api: &api,
        made: BTreeSet::new(),
    };
    let secret = Value::String(format!("KEY = \"{}\"\n", fake_key(1)));

    let whole = "POST /api/v1/targets?name=app.py&format=file";
    let target = text(&calls.call(whole, &[], &secret, "target.upload")["id"]);
    let new = json!({ "name": "b.py", "format": "file" });
    let upload = text(&calls.call("POST /api/v1/uploads", &[], &new, "upload.begin")["id"]);
    let offset = [("Upload-Offset", "0")];
    api.send("PATCH", &format!("/api/v1/uploads/{upload}"), &offset, b"x = 1\n")
        .expect(204);
    let complete = "POST /api/v1/uploads/{id}/complete";
    let other = text(&calls.call(complete, &[&upload], &Value::Null, "target.upload")["id"]);
    let upload = text(&calls.call("POST /api/v1/uploads", &[], &new, "upload.begin")["id"]);
    calls.call(
        "DELETE /api/v1/uploads/{id}",
        &[&upload],
        &Value::Null,
        "upload.abandon",
    );
    calls.call("DELETE /api/v1/targets/{id}", &[&other], &Value::Null, "target.forget");

    let asked = json!({ "workflow": "secrets-scan", "target": target });
    let run = text(&calls.call("POST /api/v1/runs", &[], &asked, "run.start")["run_id"]);
    api.events(&format!("/api/v1/runs/{run}/events"), None);
    let history = api
        .get(&format!("/api/v1/runs/{run}/history?limit=500"))
        .expect(200)
        .json();
    let kinds: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds.first(), Some(&json!("WORKFLOW_EXECUTION_STARTED")), "{history}");
    assert_eq!(kinds.last(), Some(&json!("WORKFLOW_EXECUTION_COMPLETED")), "{history}");
    calls.call("POST /api/v1/runs/{run_id}/retry", &[&run], &Value::Null, "run.start");

    // Runs that are still open when they are asked to end.
    let nap = json!({ "workflow": "nap", "target": target });
    for (what, action) in [("cancel", "run.cancel"), ("terminate", "run.terminate")] {
        let open = text(&calls.call("POST /api/v1/runs", &[], &nap, "run.start")["run_id"]);
        let operation = format!("POST /api/v1/runs/{{run_id}}/{what}");
        calls.call(&operation, &[&open], &Value::Null, action);
    }

    let finding = loop {
        let found = api.get("/api/v1/findings").expect(200).json();
        if let Some(id) = found["items"][0]["id"].as_str() {
            break id.to_owned();
        }
    };
    let state = json!({ "state": "confirmed", "comment": "real" });
    calls.call(
        "POST /api/v1/findings/{id}/triage",
        &[&finding],
        &state,
        "finding.triage",
    );
    let many = json!({ "ids": [finding], "state": "open" });
    calls.call("POST /api/v1/findings/triage", &[], &many, "findings.triage");
    let baseline = json!({ "name": "first", "run_id": run });
    calls.call("POST /api/v1/baselines", &[], &baseline, "baseline.create");
    calls.call(
        "DELETE /api/v1/baselines/{name}",
        &["first"],
        &Value::Null,
        "baseline.delete",
    );

    let nightly = json!({ "id": "nightly", "workflow": "secrets-scan", "target": target, "cron": ["0 3 * * *"] });
    calls.call("POST /api/v1/schedules", &[], &nightly, "schedule.create");
    for (what, action) in [
        ("pause", "schedule.pause"),
        ("resume", "schedule.resume"),
        ("trigger", "schedule.trigger"),
    ] {
        let operation = format!("POST /api/v1/schedules/{{id}}/{what}");
        calls.call(&operation, &["nightly"], &Value::Null, action);
    }
    calls.call(
        "DELETE /api/v1/schedules/{id}",
        &["nightly"],
        &Value::Null,
        "schedule.delete",
    );

    calls.call(
        "POST /api/v1/namespaces",
        &[],
        &json!({ "name": "team-a" }),
        "namespace.create",
    );
    let few = json!({ "max_concurrent_runs": 5 });
    let settings = "PUT /api/v1/namespaces/{name}/settings";
    calls.call(settings, &["team-a"], &few, "namespace.settings");
    queue(&mut calls);
    webhooks(&mut calls);
    mesh(&mut calls);
    let token = json!({ "name": "ci", "role": "analyst" });
    let token = text(&calls.call("POST /api/v1/tokens", &[], &token, "token.create")["token"]["id"]);
    calls.call("DELETE /api/v1/tokens/{id}", &[&token], &Value::Null, "token.revoke");

    let worker = loop {
        let known = api.get("/api/v1/workers").expect(200).json();
        if let Some(identity) = known["items"][0]["identity"].as_str() {
            break identity.to_owned();
        }
    };
    calls.call(
        "POST /api/v1/workers/{identity}/drain",
        &[&worker],
        &Value::Null,
        "worker.drain",
    );

    // What the description has beside these is named above, or forgotten.
    let described = api.get("/api/v1/openapi.json").expect(200).json();
    let without: Vec<&str> = WITHOUT_ROW.iter().map(|(operation, _)| *operation).collect();
    for (path, operations) in described["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let operation = format!("{} {path}", method.to_uppercase());
            let is_known = calls.made.contains(&operation) || without.contains(&&*operation);
            assert!(
                method == "get" || is_known,
                "`{operation}` is not called here: does it leave a row?"
            );
        }
    }
}
