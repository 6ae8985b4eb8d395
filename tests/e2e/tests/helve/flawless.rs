//! A module built with the crate `flawless`, unchanged, from a folder to its answer.

#[path = "../../../../crates/wasm/tests/common/flawless.rs"]
mod build;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use helve_e2e::home::Home;
use helve_e2e::process::LIMIT;
use helve_e2e::server::TemporalServer;
use helve_e2e::{checkout, tree};
use serde_json::{Value, json};

use super::code::guests;

static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| build::module(&source(), "advisory-watch"));

fn source() -> PathBuf {
    checkout().join("examples/workflows/flawless")
}

/// A page that says `old` to who looks first, and `new` ever after.
struct Page {
    address: String,
    looks: Arc<AtomicUsize>,
    looked: Receiver<()>,
}

impl Page {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let looks = Arc::new(AtomicUsize::new(0));
        let (sender, looked) = channel();
        let counter = Arc::clone(&looks);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let text = if counter.fetch_add(1, Ordering::SeqCst) == 0 {
                    "old"
                } else {
                    "new"
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n{text}"
                );
                let _ = sender.send(());
            }
        });
        Self { address, looks, looked }
    }
}

/// A toolbox with the example in it, as its author would drop it there.
fn toolbox(home: &Home) -> String {
    let folder = home.path().join("box/workflows/advisory-watch");
    tree::write(
        &folder.join("metadata.yaml"),
        std::fs::read(source().join("metadata.yaml")).unwrap(),
    );
    tree::write(&folder.join("workflow.wasm"), &*MODULE);
    home.path().join("box").to_string_lossy().into_owned()
}

fn survives_a_kill_in_its_sleep(home: &Home) {
    let page = Page::open();
    let (dir, target) = (toolbox(home), home.path().join("tree"));
    tree::write(&target.join("README"), "nothing to see");
    let url = format!("url=http://{}/advisories", page.address);
    let allow = ["--toolbox", &dir, "--allow-http", &page.address, "--json"];
    let target = target.to_string_lossy();
    let mut arguments = vec!["run", "advisory-watch", &target, "--param", &url];
    arguments.extend(["--param", "seconds=6", "--param", "patience=1"]);
    arguments.extend(allow);
    let run = home.start(&arguments);
    page.looked.recv_timeout(LIMIT).expect("it looks at once");
    let run_id = loop {
        if let [begun] = &home.runs()[..] {
            let run_id = begun["run_id"].as_str().unwrap().to_owned();
            let steps = home.show(&run_id)["steps"].clone();
            let answered = |step: &Value| step["uses"] == "helve.http" && !step["ended_at"].is_null();
            if steps.as_array().unwrap().iter().any(answered) {
                break run_id;
            }
        }
    };
    let (killed, left) = run.kill_after(Duration::from_secs(1));
    assert!(killed, "{}", left.stderr);
    assert_eq!(page.looks.load(Ordering::SeqCst), 1, "it was killed in its sleep");
    let mut resume = vec!["run", "--resume", &run_id];
    resume.extend(allow);
    let result = home.run(&resume).expect_code(0).json();
    let wanted = json!({"before": "old", "after": "new", "looks": 2, "reviewer": null});
    assert_eq!(result["output"], wanted, "{result}");
    assert_eq!(
        page.looks.load(Ordering::SeqCst),
        2,
        "no request that was answered is sent again"
    );
    let started = home.runs().iter().any(|run| {
        run["run_id"]
            .as_str()
            .is_some_and(|id| id.starts_with(&format!("{run_id}-")))
    });
    assert!(started, "the workflow that it started is a run: {:?}", home.runs());
}

#[test]
fn a_module_of_flawless_killed_in_its_sleep_goes_on_and_asks_nobody_twice() {
    survives_a_kill_in_its_sleep(&Home::new());
}

#[test]
fn a_module_of_flawless_killed_in_its_sleep_goes_on_with_the_real_temporal_server_too() {
    let Some(server) = TemporalServer::start() else { return };
    survives_a_kill_in_its_sleep(&Home::on(&server.engine()));
}

#[test]
fn a_workflow_that_may_not_use_the_network_fails_and_says_what_would_allow_it() {
    let home = Home::new();
    let page = Page::open();
    let (dir, target) = (toolbox(&home), home.path().join("tree"));
    tree::write(&target.join("README"), "nothing to see");
    let url = format!("url=http://{}/", page.address);
    let failed = home
        .run(&[
            "run",
            "advisory-watch",
            &target.to_string_lossy(),
            "--param",
            &url,
            "--toolbox",
            &dir,
        ])
        .expect_code(1);
    let said = format!("{}{}", failed.stdout, failed.stderr);
    assert!(said.contains(&format!("--allow-http {}", page.address)), "{said}");
    assert_eq!(page.looks.load(Ordering::SeqCst), 0);
}
