//! Idempotency keys.

use helve_ledger::{Error, Reservation, StoredAnswer};

use crate::support::{DAY, Desk};

const REQUEST: [u8; 32] = [1; 32];

async fn reserve(desk: &Desk, principal: &str, request: [u8; 32]) -> Reservation {
    desk.ledger.reserve_key(principal, "key", request, DAY).await.unwrap()
}

fn answer() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        headers: vec![("location".to_owned(), "/api/v1/runs/a".to_owned())],
        body: b"{}".to_vec(),
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_gets_the_same_answer_also_after_a_restart() {
    let mut desk = Desk::open().await;
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Busy);
    desk.ledger.keep_answer("ci", "key", answer()).await.unwrap();
    desk.reopen().await;
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Answered(answer()));
    assert_eq!(reserve(&desk, "ci", [2; 32]).await, Reservation::OtherRequest);
    assert_eq!(reserve(&desk, "other", REQUEST).await, Reservation::Yours);
}

#[tokio::test]
async fn of_many_who_send_it_at_once_one_does_it() {
    let desk = Desk::open().await;
    let mut tries = Vec::new();
    for _ in 0..8 {
        let ledger = desk.ledger.clone();
        tries.push(tokio::spawn(async move {
            ledger.reserve_key("ci", "key", REQUEST, DAY).await.unwrap()
        }));
    }
    let mut yours = 0;
    for attempt in tries {
        yours += usize::from(attempt.await.unwrap() == Reservation::Yours);
    }
    assert_eq!(yours, 1);
}

#[tokio::test]
async fn a_key_is_free_again_when_it_is_given_back_expires_or_was_lost_with_its_process() {
    let mut desk = Desk::open().await;
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
    desk.ledger.release_key("ci", "key").await.unwrap();
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
    desk.reopen().await;
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
    desk.ledger.keep_answer("ci", "key", answer()).await.unwrap();
    desk.wait(DAY);
    assert_eq!(reserve(&desk, "ci", [2; 32]).await, Reservation::Yours);
    desk.wait(DAY);
    desk.ledger.sweep().await.unwrap();
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
}

#[tokio::test]
async fn an_answer_too_long_to_keep_frees_its_key() {
    let desk = Desk::open().await;
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
    let long = StoredAnswer {
        body: vec![0; 2 << 20],
        ..answer()
    };
    desk.ledger.keep_answer("ci", "key", long).await.unwrap();
    assert_eq!(reserve(&desk, "ci", REQUEST).await, Reservation::Yours);
    let refused = desk.ledger.reserve_key("ci", "", REQUEST, DAY).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
}
