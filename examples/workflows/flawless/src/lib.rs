//! A workflow for flawless, https://flawless.dev, that Helve runs as it is.
//!
//! `cargo build --release --target wasm32-unknown-unknown` makes the module; it is the `workflow.wasm` of a workflow's
//! folder.

use std::time::Duration;

use flawless::idempotent::Idempotence;
use flawless::message::Message;
use flawless::workflow::{sleep, start, Input, Response};
use flawless::{message, workflow};
use serde::{Deserialize, Serialize};

flawless::module! { name = "advisory-watch", version = "0.1.0" }

#[derive(Serialize, Deserialize)]
pub struct Watch {
    url: String,
    seconds: u64,
    patience: u64,
}

#[derive(Serialize)]
struct Seen {
    before: String,
    after: String,
    looks: u32,
    reviewer: Option<String>,
}

/// Somebody has looked at the change.
#[message("reviewed")]
struct Reviewed {
    by: String,
}

#[workflow("advisory-watch")]
pub fn watch(watch: Input<Watch>, response: Response) {
    let before = look(&watch.url);
    let mut looks = 1;
    let after = loop {
        log::info!("look {looks} at {}", watch.url);
        sleep(Duration::from_secs(watch.seconds));
        looks += 1;
        let now = look(&watch.url);
        if now != before {
            break now;
        }
    };
    start::<note>(after.clone()).expect("a text can be written");
    let reviewer = flawless::receive! {
        reviewed: Reviewed => Some(reviewed.by),
        +timeout Duration::from_secs(watch.patience) => None
    };
    let _ = response.send(Seen {
        before,
        after,
        looks,
        reviewer,
    });
}

/// Goes on by itself.
#[workflow("note")]
pub fn note(text: Input<String>) {
    log::info!("{} is {} bytes long now", Reviewed::TYPE, text.len());
}

/// The page. To look is harmless, so it may be done again when a worker is lost over it.
fn look(url: &str) -> String {
    let answer = flawless_http::get(url)
        .idempotent()
        .timeout(Duration::from_secs(20))
        .send();
    match answer {
        Ok(page) => page.text().unwrap_or_default().trim().to_owned(),
        Err(error) => error.message().unwrap_or_default(),
    }
}
