//! Who listens to webhooks, and does not always answer.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use helve_e2e::http::hear;

/// Listens as long as the test lasts.
pub(super) struct Receiver {
    /// `host:port`.
    pub(super) address: String,
    heard: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Receiver {
    /// Listens. Every seventh request is answered with trouble, and does not count as heard.
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let heard: Arc<Mutex<BTreeSet<(String, String)>>> = Arc::default();
        let all = Arc::clone(&heard);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let status = match number % 7 {
                    6 => "503 Service Unavailable",
                    _ => "204 No Content",
                };
                // A sender that is killed in the middle sends it again.
                let Ok((_, body)) = hear(stream, status) else {
                    continue;
                };
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                if status.starts_with("204") {
                    all.lock().unwrap().insert((text("event"), text("run_id")));
                }
            }
        });
        Self { address, heard }
    }

    /// Whether it was told of this event of a run.
    pub(super) fn heard(&self, event: &str, run_id: &str) -> bool {
        let heard = self.heard.lock().unwrap();
        heard.contains(&(event.to_owned(), run_id.to_owned()))
    }
}
