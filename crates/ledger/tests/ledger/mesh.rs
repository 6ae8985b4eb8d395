//! Endpoints of the mesh: who may come in by which ticket, and who may not any more.

use std::time::Duration;

use helve_ledger::{Actor, Error, NewTicket, PeerState, Principal, Refused, Role, Scope, Via};

use crate::support::{Desk, root};

const HOUR: Duration = Duration::from_secs(3600);

fn ticket(uses: Option<u32>, needs_approval: bool) -> NewTicket {
    NewTicket {
        name: "for a test".to_owned(),
        role: Role::Worker,
        scope: Scope::namespaces(["team"]),
        uses,
        needs_approval,
        lasts: HOUR,
    }
}

fn refused(error: Error) -> Refused {
    match error {
        Error::Refused(refused) => refused,
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn who_joined_is_known_by_its_key_also_after_a_restart() {
    let mut desk = Desk::open().await;
    let made = desk
        .ledger
        .create_ticket(&root(), ticket(Some(1), false))
        .await
        .unwrap();
    assert_eq!(desk.ledger.verify_peer("a").unwrap_err(), Refused::Unknown);
    let joined = desk
        .ledger
        .join("a", "a \u{1b}[31mworker", Some(made.secret.reveal()))
        .await
        .unwrap();
    assert_eq!(
        (joined.state, joined.name.as_str()),
        (PeerState::Approved, "a [31mworker")
    );
    for _ in 0..2 {
        let known = desk.ledger.verify_peer("a").unwrap();
        assert_eq!((known.role, &known.scope), (Role::Worker, &Scope::namespaces(["team"])));
        assert_eq!(known.actor.via, Via::Peer("a".to_owned()));
        assert!(known.require(Role::Worker, "other").is_err());
        desk.reopen().await;
    }
    // It need not join again, and uses nothing up when it does.
    assert_eq!(desk.ledger.join("a", "x", None).await.unwrap().name, "a [31mworker");
    let late = desk
        .ledger
        .join("b", "b", Some(made.secret.reveal()))
        .await
        .unwrap_err();
    assert_eq!(refused(late), Refused::Expired);
    assert_eq!(desk.ledger.tickets().await.unwrap()[0].uses_left, Some(0));
    let bytes = desk.bytes().await;
    let secret = made.secret.reveal().rsplit('_').next().unwrap().as_bytes().to_vec();
    assert!(
        !bytes.windows(secret.len()).any(|window| window == secret),
        "no secret is on disk"
    );
}

#[tokio::test]
async fn a_ticket_that_is_over_taken_back_or_made_up_opens_nothing() {
    let desk = Desk::open().await;
    let ledger = &desk.ledger;
    let good = ledger.create_ticket(&root(), ticket(None, false)).await.unwrap();
    let forged = good.secret.reveal().replace("hlvj_", "hlv_");
    let mut other = good.secret.reveal().to_owned();
    other.replace_range(other.len() - 1.., if other.ends_with('0') { "1" } else { "0" });
    for secret in [None, Some(""), Some("hlvj_"), Some(&*forged), Some(&*other)] {
        let refusal = ledger.join("a", "a", secret).await.unwrap_err();
        assert_eq!(refused(refusal), Refused::Unknown, "{secret:?}");
    }
    let taken = ledger.create_ticket(&root(), ticket(None, false)).await.unwrap();
    ledger.revoke_ticket(&root().actor, &taken.ticket.id).await.unwrap();
    let refusal = ledger.join("a", "a", Some(taken.secret.reveal())).await.unwrap_err();
    assert_eq!(refused(refusal), Refused::Revoked);
    desk.wait(HOUR);
    let refusal = ledger.join("a", "a", Some(good.secret.reveal())).await.unwrap_err();
    assert_eq!(refused(refusal), Refused::Expired);
    assert!(ledger.peers().is_empty());
}

#[tokio::test]
async fn somebody_decides_about_an_endpoint_and_what_they_decide_holds() {
    let mut desk = Desk::open().await;
    let made = desk.ledger.create_ticket(&root(), ticket(None, true)).await.unwrap();
    let secret = Some(made.secret.reveal());
    assert_eq!(
        desk.ledger.join("a", "a", secret).await.unwrap().state,
        PeerState::Pending
    );
    assert_eq!(desk.ledger.verify_peer("a").unwrap_err(), Refused::Pending);
    desk.ledger.approve_peer(&root(), "a").await.unwrap();
    desk.ledger.verify_peer("a").unwrap();
    desk.ledger.revoke_peer(&root(), "a").await.unwrap();
    desk.reopen().await;
    assert_eq!(desk.ledger.verify_peer("a").unwrap_err(), Refused::Revoked);
    // A good ticket does not undo that.
    assert_eq!(
        refused(desk.ledger.join("a", "a", secret).await.unwrap_err()),
        Refused::Revoked
    );
    desk.ledger.approve_peer(&root(), "a").await.unwrap();
    desk.ledger.verify_peer("a").unwrap();
    assert!(matches!(
        desk.ledger.approve_peer(&root(), "b").await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn nobody_gives_away_what_they_have_not() {
    let desk = Desk::open().await;
    let of_team = |role| Principal {
        role,
        scope: Scope::namespaces(["team"]),
        actor: Actor::system("somebody"),
        ..root()
    };
    let everywhere = NewTicket {
        scope: Scope::all(),
        ..ticket(None, false)
    };
    for (who, new) in [
        (of_team(Role::Operator), ticket(None, false)),
        (of_team(Role::Admin), everywhere),
    ] {
        let refusal = desk.ledger.create_ticket(&who, new).await.unwrap_err();
        assert!(matches!(refusal, Error::Denied(_)), "{refusal}");
    }
    desk.ledger
        .create_ticket(&of_team(Role::Admin), ticket(None, false))
        .await
        .unwrap();
    for useless in [
        ticket(Some(0), false),
        NewTicket {
            lasts: Duration::ZERO,
            ..ticket(None, false)
        },
    ] {
        assert!(matches!(
            desk.ledger.create_ticket(&root(), useless).await,
            Err(Error::Invalid(_))
        ));
    }
}
