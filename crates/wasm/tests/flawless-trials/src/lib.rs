//! A module of the crate `flawless` that does each thing that one can do, for the tests of the host.

use std::time::{Duration, SystemTime};

use flawless::idempotent::Idempotence;
use flawless::message::receive;
use flawless::rand::random;
use flawless::workflow::{sleep, start, Input, Response};
use flawless::{message, workflow};
use serde::{Deserialize, Serialize};
use serde_json::json;

flawless::module! { name = "trials", version = "0.1.0" }

#[derive(Serialize, Deserialize)]
pub struct Order {
    url: String,
    #[serde(default)]
    idempotent: bool,
}

#[message("approve")]
struct Approve {
    by: String,
}

#[message("reject")]
struct Reject;

/// Everything, one after the other.
#[workflow("journey")]
pub fn journey(order: Input<Order>, response: Response) {
    log::info!("sets out");
    let answer = fetch(&order);
    let luck: i64 = random();
    sleep(Duration::from_secs(60));
    let who = flawless::receive! {
        approval: Approve => approval.by,
        _rejection: Reject => "nobody".to_owned(),
        +timeout Duration::from_secs(30) => "timeout".to_owned()
    };
    start::<named>("a child".to_owned()).unwrap();
    let now = flawless::time::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let _ = response.send(json!({"answer": answer, "luck": luck, "who": who, "now": now}));
}

fn fetch(order: &Order) -> serde_json::Value {
    let request = flawless_http::get(&order.url).set_header("x-trial", "1");
    let answer = if order.idempotent {
        request.idempotent().send()
    } else {
        request.send()
    };
    match answer {
        Ok(answer) => {
            let header = answer.header("x-answer").map(str::to_owned);
            json!({"status": answer.status_code(), "header": header, "text": answer.text().unwrap()})
        }
        Err(error) => json!({"error": format!("{:?}", error.kind()), "message": error.message()}),
    }
}

#[workflow("fetch")]
pub fn fetch_only(order: Input<Order>, response: Response) {
    let _ = response.send(fetch(&order));
}

/// Its input is no object.
#[workflow("named")]
pub fn named(name: Input<String>, response: Response) {
    let _ = response.send(format!("it is called {}", *name));
}

/// It has no input, and answers at once.
#[workflow("nothing")]
pub fn nothing() {
    sleep(Duration::from_millis(1500));
}

#[workflow("messages")]
pub fn messages(response: Response) {
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(flawless::receive! {
            approval: Approve => approval.by,
            _rejection: Reject => "rejected".to_owned(),
        });
    }
    let _ = response.send(all);
}

#[workflow("one-message")]
pub fn one_message(response: Response) {
    let _ = response.send(receive::<Approve>().by);
}

#[workflow("numbers")]
pub fn numbers(response: Response) {
    let numbers: (bool, i32, i64, f32, f64) = (random(), random(), random(), random(), random());
    let _ = response.send(numbers);
}

#[workflow("secret")]
pub fn secret(order: Input<Order>, response: Response) {
    let Some(token) = flawless::secrets::get_secret("TOKEN") else {
        let _ = response.send("none");
        return;
    };
    assert_eq!(flawless::secrets::get_secret("TOKEN").as_ref(), Some(&token));
    log::info!("the token is {token}");
    let answer = flawless_http::post(&order.url)
        .body(token.as_str())
        .set_header("Authorization", format!("Bearer {token}"))
        .send();
    let _ = response.send(json!({"token": token, "status": answer.map(|a| a.status_code()).ok()}));
}

#[workflow("panic")]
pub fn panic() {
    sleep(Duration::from_secs(1));
    panic!("the sky fell");
}

#[workflow("loop")]
pub fn endless() {
    loop {
        std::hint::black_box(1);
    }
}

#[workflow("memory")]
pub fn memory() {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&all);
    }
}

#[workflow("elsewhere")]
pub fn elsewhere() {
    let input =
        flawless::wasabi::Input::StartWorkflow("assessment".to_owned(), "{\"min_severity\": \"high\"}".to_owned());
    flawless::wasabi::submit(&input).unwrap();
}
