//! Deliveries to receivers of the test's own, which behave badly.

mod receiver;

use std::time::Duration;

use helve_ledger::{Actor, DeliveryInfo, DeliveryState, EventKind, Ledger, NewWebhook, PageRequest, Secret};
use helve_net::Policy;
use helve_webhooks::{Dispatcher, Options};
use serde_json::json;
use tempfile::TempDir;

use receiver::{Answer, Receiver, signature};

const SPACE: &str = "default";
/// Nothing takes so long unless it never comes.
const LIMIT: Duration = Duration::from_secs(60);

struct Desk {
    ledger: Ledger,
    _dir: TempDir,
}

impl Desk {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let ledger = Ledger::open(&path, helve_ledger::Options::default()).await.unwrap();
        Self { ledger, _dir: dir }
    }

    async fn hook(&self, url: &str) -> (String, Secret) {
        let new = NewWebhook {
            namespace: SPACE.to_owned(),
            url: url.to_owned(),
            events: vec![EventKind::RunFinished],
            secret: None,
        };
        let (webhook, secret) = self.ledger.create_webhook(&Actor::system("test"), new).await.unwrap();
        (webhook.id, secret)
    }

    async fn announce(&self, run: &str) {
        let body = json!({ "run_id": run });
        self.ledger.announce(SPACE, EventKind::RunFinished, body).await.unwrap();
    }

    async fn deliveries(&self, hook: &str) -> Vec<DeliveryInfo> {
        let page = self.ledger.list_deliveries(SPACE, hook, PageRequest::default()).await;
        page.unwrap().items
    }

    /// The newest delivery, once it is as wanted.
    async fn until(&self, hook: &str, is: impl Fn(&DeliveryInfo) -> bool) -> DeliveryInfo {
        let wait = async {
            loop {
                if let Some(delivery) = self.deliveries(hook).await.into_iter().next().filter(&is) {
                    return delivery;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .expect("the delivery comes to that")
    }

    /// What the first attempt came to.
    async fn answer(&self, hook: &str) -> DeliveryInfo {
        self.until(hook, |delivery| delivery.answer.is_some()).await
    }
}

fn options(allow: &[&Receiver]) -> Options {
    let allow = allow.iter().map(|receiver| receiver.address.parse().unwrap());
    Options {
        timeout: Duration::from_secs(2),
        ..Options::new(Policy::Public(allow.collect()))
    }
}

#[tokio::test]
async fn what_is_told_is_signed_and_says_on_every_attempt_that_it_is_the_same() {
    let desk = Desk::open().await;
    let receiver = Receiver::start([Answer::Status(503), Answer::Status(204)]).await;
    let url = format!("http://ann:pass%20word@{}/in?key=1", receiver.address);
    let (hook, secret) = desk.hook(&url).await;
    let dispatcher = Dispatcher::start(desk.ledger.clone(), options(&[&receiver]));
    desk.announce("assessment-1").await;
    let failed = desk.answer(&hook).await;
    assert_eq!((failed.state, failed.attempts), (DeliveryState::Pending, 1));
    assert!(failed.answer.unwrap().starts_with("503"), "the status is kept");
    // Not to wait for the time of the next attempt.
    desk.ledger
        .redeliver(&Actor::system("test"), SPACE, &hook, &failed.id)
        .await
        .unwrap();
    let told = desk
        .until(&hook, |delivery| delivery.state == DeliveryState::Delivered)
        .await;
    assert!(told.answer.unwrap().starts_with("204"));
    let heard = receiver.heard();
    assert_eq!(heard.len(), 2);
    for request in &heard {
        assert_eq!(request.line, "POST /in?key=1 HTTP/1.1");
        assert_eq!(request.header("webhook-id"), told.id);
        assert_eq!(request.header("authorization"), "Basic YW5uOnBhc3Mgd29yZA==");
        assert_eq!(request.header("host"), receiver.address);
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(
            (&body["id"], &body["run_id"], &body["event"]),
            (&json!(told.id), &json!("assessment-1"), &json!("run.finished"))
        );
        assert_eq!(request.header("webhook-signature"), signature(secret.reveal(), request));
    }
    dispatcher.close().await;
}

#[tokio::test]
async fn who_is_at_no_public_address_is_not_connected_to() {
    let desk = Desk::open().await;
    let (receiver, other) = (Receiver::start([]).await, Receiver::start([]).await);
    let port = receiver.address.rsplit(':').next().unwrap();
    let dispatcher = Dispatcher::start(desk.ledger.clone(), options(&[&other]));
    for url in [
        format!("http://{}/", receiver.address),
        format!("http://localhost:{port}/"),
        format!("https://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0:{port}/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let (hook, _) = desk.hook(&url).await;
        desk.announce("assessment-1").await;
        let delivery = desk.answer(&hook).await;
        assert_eq!(delivery.state, DeliveryState::Pending);
        let answer = delivery.answer.unwrap();
        assert!(answer.contains("no public address"), "{url}: {answer}");
        let actor = Actor::system("test");
        desk.ledger.delete_webhook(&actor, SPACE, &hook).await.unwrap();
    }
    assert_eq!((receiver.connections(), other.connections()), (0, 0));
    dispatcher.close().await;
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let desk = Desk::open().await;
    let inner = Receiver::start([]).await;
    let receiver = Receiver::start([Answer::Redirect(format!("http://{}/secret", inner.address))]).await;
    let (hook, _) = desk.hook(&format!("http://{}/", receiver.address)).await;
    // Even to where it would be allowed.
    let dispatcher = Dispatcher::start(desk.ledger.clone(), options(&[&receiver, &inner]));
    desk.announce("assessment-1").await;
    let answer = desk.answer(&hook).await.answer.unwrap();
    assert!(answer.contains("redirections are not followed"), "{answer}");
    assert_eq!(inner.connections(), 0);
    dispatcher.close().await;
}

#[tokio::test]
async fn receivers_that_lie_about_their_answer_or_never_end_it_are_taken_by_their_status() {
    let desk = Desk::open().await;
    let receiver = Receiver::start([
        Answer::TooShort,
        Answer::Endless,
        Answer::LongHead,
        Answer::Garbage,
        Answer::Close,
    ])
    .await;
    let (hook, _) = desk.hook(&format!("http://{}/", receiver.address)).await;
    let one = Options {
        of_each: 1,
        ..options(&[&receiver])
    };
    let dispatcher = Dispatcher::start(desk.ledger.clone(), one);
    for is_taken in [true, true, false, false, false] {
        desk.announce("assessment-1").await;
        let delivery = desk.answer(&hook).await;
        let state = match is_taken {
            true => DeliveryState::Delivered,
            false => DeliveryState::Pending,
        };
        assert_eq!(delivery.state, state, "{delivery:?}");
    }
    // Nobody read the endless answer to its end, and nobody waits for it.
    assert!(receiver.sent() < 64 << 20);
    dispatcher.close().await;
}

#[tokio::test]
async fn a_receiver_that_answers_nothing_does_not_keep_others_waiting() {
    let desk = Desk::open().await;
    let (slow, quick) = (Receiver::start([]).await, Receiver::start([Answer::Status(200)]).await);
    let (silent, _) = desk.hook(&format!("http://{}/", slow.address)).await;
    for n in 0..20 {
        desk.announce(&format!("assessment-{n}")).await;
    }
    let (heard, _) = desk.hook(&format!("http://{}/", quick.address)).await;
    desk.announce("assessment-20").await;
    let few = Options {
        timeout: Duration::from_secs(3600),
        at_once: 4,
        of_each: 3,
        ..options(&[&slow, &quick])
    };
    let dispatcher = Dispatcher::start(desk.ledger.clone(), few);
    let told = desk
        .until(&heard, |delivery| delivery.state == DeliveryState::Delivered)
        .await;
    assert_eq!(told.attempts, 1);
    assert!(
        desk.deliveries(&silent)
            .await
            .iter()
            .all(|delivery| delivery.answer.is_none())
    );
    assert!(slow.connections() <= 3);
    drop(dispatcher);
}

#[tokio::test]
async fn what_a_dispatcher_had_claimed_when_it_died_is_told_by_the_next_one() {
    let desk = Desk::open().await;
    let receiver = Receiver::start([Answer::Nothing, Answer::Status(200)]).await;
    let (hook, _) = desk.hook(&format!("http://{}/", receiver.address)).await;
    desk.announce("assessment-1").await;
    let dies = Dispatcher::start(desk.ledger.clone(), options(&[&receiver]));
    receiver.until_connections(1).await;
    drop(dies);
    assert_eq!(desk.deliveries(&hook).await[0].state, DeliveryState::Pending);
    let next = Dispatcher::start(desk.ledger.clone(), options(&[&receiver]));
    let told = desk
        .until(&hook, |delivery| delivery.state == DeliveryState::Delivered)
        .await;
    assert_eq!(told.attempts, 2);
    next.close().await;
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_told_when_it_is() {
    let desk = Desk::open().await;
    let late = Receiver::reserve().await;
    let (hook, _) = desk.hook(&format!("http://{}/", late.address)).await;
    let dispatcher = Dispatcher::start(desk.ledger.clone(), options(&[&late]));
    desk.announce("assessment-1").await;
    let failed = desk.answer(&hook).await;
    assert!(failed.answer.unwrap().contains("cannot be connected to"));
    late.listen([Answer::Status(200)]).await;
    let told = desk
        .until(&hook, |delivery| delivery.state == DeliveryState::Delivered)
        .await;
    assert!(told.attempts >= 2);
    dispatcher.close().await;
}
