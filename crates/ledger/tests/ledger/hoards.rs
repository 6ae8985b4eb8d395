//! Nobody takes so much that others are shut out, and nobody makes a token that speaks for another.

use std::time::Duration;

use helve_db::rusqlite::Connection;
use helve_ledger::{
    Account, Asked, CreatedToken, Denied, Error, Holder, NewSession, NewToken, OpenedSession, PageRequest, Principal,
    Rates, Refused, Role, Scope, Via,
};

use crate::support::{DAY, Desk, MINUTE, NOON, root};

/// Sessions that one token or person has at a time.
const SESSIONS: usize = 50;

fn admin(namespaces: &[&str]) -> Principal {
    Principal {
        scope: Scope::namespaces(namespaces.iter().copied()),
        ..root()
    }
}

fn wanted(name: &str, scope: Scope) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role: Role::Worker,
        scope,
        expires_at: None,
    }
}

async fn make(desk: &Desk, maker: &Principal, name: &str, scope: Scope) -> Result<CreatedToken, Error> {
    desk.ledger.create_token(maker, wanted(name, scope)).await
}

fn session(name: &str) -> NewSession {
    NewSession {
        name: name.to_owned(),
        role: Role::Viewer,
        scope: Scope::all(),
        lasts: DAY,
    }
}

async fn open(desk: &Desk, name: &str, token: Option<&str>) -> OpenedSession {
    let opened = desk.ledger.open_session(session(name), token, None).await.unwrap();
    // So that one is older than the other.
    desk.wait(Duration::from_millis(1));
    opened
}

fn is_open(desk: &Desk, session: &OpenedSession) -> bool {
    desk.ledger.verify_session(session.secret.reveal()).is_ok()
}

/// Fills the table with tokens whose names are numbers, as many requests would have done.
async fn fill(desk: &mut Desk, tokens: usize, scope: &Scope, revoked_at: Option<i64>) {
    desk.ledger.close().await.unwrap();
    let db = Connection::open(desk.path()).unwrap();
    db.execute(
        "WITH RECURSIVE count (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM count WHERE n < ?1)
         INSERT INTO tokens (id, hash, name, role, scope, created_at, created_by, revoked_at)
         SELECT lower(hex(randomblob(16))), randomblob(32), n, 'worker', ?2, ?3, 'test', ?4 + n FROM count",
        (tokens as i64, serde_json::to_string(scope).unwrap(), NOON, revoked_at),
    )
    .unwrap();
    drop(db);
    desk.reopen_closed().await;
}

#[tokio::test]
async fn whoever_hoards_sessions_ends_their_own_and_nobody_else_s() {
    let mut desk = Desk::open().await;
    let hoarder = make(&desk, &root(), "ci", Scope::namespaces(["team-b"])).await.unwrap();
    let (token, other) = (hoarder.token.id.as_str(), open(&desk, "admin", None).await);
    let mut theirs = Vec::new();
    for _ in 0..2 * SESSIONS {
        // By name they are the same person; they are not.
        theirs.push(open(&desk, "admin", Some(token)).await);
    }
    for _ in 0..2 {
        let open: Vec<bool> = theirs.iter().map(|session| is_open(&desk, session)).collect();
        assert_eq!(open, [[false; SESSIONS], [true; SESSIONS]].concat(), "the oldest leave");
        assert!(is_open(&desk, &other));
        desk.reopen().await;
    }
    // A person has as many, of whichever provider.
    let account = Account {
        issuer: "https://id.example.org".to_owned(),
        subject: "42".to_owned(),
    };
    for _ in 0..SESSIONS {
        desk.ledger
            .open_account_session(session("bob"), &account, None)
            .await
            .unwrap();
        desk.wait(Duration::from_millis(1));
    }
    let bobs = || {
        desk.ledger
            .list_sessions()
            .into_iter()
            .filter(|open| open.name == "bob")
    };
    let oldest = bobs().next_back().unwrap().id;
    let newest = open(&desk, "bob", None).await;
    assert!(is_open(&desk, &newest));
    assert_eq!(bobs().count(), SESSIONS);
    assert!(bobs().all(|open| open.id != oldest));
}

#[tokio::test]
async fn sessions_of_a_token_that_is_made_and_taken_back_again_and_again_are_gone_with_it() {
    let desk = Desk::open().await;
    for _ in 0..3 {
        let made = make(&desk, &root(), "ci", Scope::all()).await.unwrap();
        open(&desk, "ci", Some(&made.token.id)).await;
        desk.ledger.revoke_token(&root().actor, &made.token.id).await.unwrap();
        assert!(desk.ledger.list_sessions().is_empty());
    }
}

#[tokio::test]
async fn a_token_asks_as_often_with_sessions_as_without() {
    let mut desk = Desk::open().await;
    let made = make(&desk, &root(), "ci", Scope::all()).await.unwrap();
    let mut opened = Vec::new();
    for _ in 0..12 {
        opened.push(open(&desk, "ci", Some(&made.token.id)).await);
    }
    for _ in 0..2 {
        let rates = Rates::new(2);
        let mut passed = 0;
        for _ in 0..20 {
            let token = desk.ledger.verify_token(made.secret.reveal()).unwrap();
            passed += usize::from(rates.known(&token, Asked::Request).is_ok());
            for session in &opened {
                let session = desk.ledger.verify_session(session.secret.reveal()).unwrap();
                assert!(matches!(session.actor.via, Via::Session(_)));
                passed += usize::from(rates.known(&session, Asked::Request).is_ok());
            }
        }
        assert!((20..100).contains(&passed), "{passed} of 260");
        desk.reopen().await;
    }
    let (one, two) = (open(&desk, "bob", None).await, open(&desk, "bob", None).await);
    assert_eq!(one.principal.holder, Holder::Person("bob".to_owned()));
    assert_eq!(one.principal.holder, two.principal.holder);
    assert_ne!(one.principal.holder, open(&desk, "eve", None).await.principal.holder);
}

#[tokio::test]
async fn an_administrator_of_some_namespaces_fills_these_and_no_others() {
    let mut desk = Desk::open().await;
    let (a, b) = (Scope::namespaces(["team-a"]), Scope::namespaces(["team-b"]));
    fill(&mut desk, 999, &b, None).await;
    let both = admin(&["team-b", "team-c"]);
    make(&desk, &both, "last", b.clone()).await.unwrap();
    for scope in [b.clone(), Scope::namespaces(["team-b", "team-c"])] {
        let refused = make(&desk, &both, "more", scope).await;
        assert!(
            matches!(&refused, Err(Error::Limit(why)) if why.contains("`team-b`")),
            "{refused:?}"
        );
    }
    make(&desk, &both, "c", Scope::namespaces(["team-c"])).await.unwrap();
    make(&desk, &admin(&["team-a"]), "a", a).await.unwrap();
    // One that is good nowhere would be counted nowhere.
    let nowhere = make(&desk, &both, "nowhere", Scope::namespaces::<&str>([])).await;
    assert!(matches!(nowhere, Err(Error::Invalid(_))), "{nowhere:?}");
    let more = make(&desk, &root(), "more", b.clone()).await.unwrap();
    // What was taken back is counted no more.
    for token in [more, make(&desk, &root(), "again", b.clone()).await.unwrap()] {
        desk.ledger.revoke_token(&root().actor, &token.token.id).await.unwrap();
    }
    let page = PageRequest {
        limit: Some(500),
        ..PageRequest::default()
    };
    let known = desk.ledger.list_tokens(page).await.unwrap().items;
    let one = known
        .into_iter()
        .find(|token| token.scope == b && token.revoked_at.is_none());
    desk.ledger.revoke_token(&root().actor, &one.unwrap().id).await.unwrap();
    make(&desk, &both, "room", b).await.unwrap();
}

#[tokio::test]
async fn there_is_always_a_token_left_for_who_administers_everything() {
    let mut desk = Desk::open().await;
    // Of many teams together.
    fill(&mut desk, 9_000, &Scope::all(), None).await;
    let scope = Scope::namespaces(["team-a"]);
    let refused = make(&desk, &admin(&["team-a"]), "more", scope.clone()).await;
    assert!(matches!(refused, Err(Error::Limit(_))), "{refused:?}");
    make(&desk, &root(), "rescue", scope).await.unwrap();
}

#[tokio::test]
async fn tokens_that_are_over_make_room_for_new_ones_the_oldest_first() {
    let mut desk = Desk::open().await;
    desk.wait(DAY);
    fill(&mut desk, 12_000, &Scope::all(), Some(NOON)).await;
    let made = make(&desk, &admin(&["team-a"]), "new", Scope::namespaces(["team-a"])).await;
    let made = made.unwrap();
    for _ in 0..2 {
        let mut names: Vec<usize> = Vec::new();
        let mut cursor = None;
        loop {
            let limit = Some(500);
            let page = desk.ledger.list_tokens(PageRequest { cursor, limit }).await.unwrap();
            names.extend(page.items.iter().filter_map(|token| token.name.parse::<usize>().ok()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        names.sort_unstable();
        assert_eq!(names.len(), 9_999);
        assert_eq!(names[0], 2_002);
        assert!(desk.ledger.verify_token(made.secret.reveal()).is_ok());
        desk.reopen().await;
    }
}

#[tokio::test]
async fn only_who_administers_all_namespaces_says_what_a_certificate_may_do() {
    let desk = Desk::open().await;
    let own = make(&desk, &root(), "cert:cn:worker1", Scope::namespaces(["default"])).await;
    let scope = Scope::namespaces(["team-b"]);
    for name in ["cert:dns:worker1.example", "cert:cn:worker1", "cert:"] {
        let refused = make(&desk, &admin(&["team-b"]), name, scope.clone()).await;
        assert!(
            matches!(&refused, Err(Error::Denied(Denied::Certificate { .. }))),
            "{refused:?}"
        );
    }
    assert_eq!(
        desk.ledger.verify_certificate("dns:worker1.example"),
        Err(Refused::Unknown)
    );
    let known = desk.ledger.verify_certificate("cn:worker1").unwrap();
    assert_eq!(known.actor.via, Via::Token(own.unwrap().token.id));
    // What only looks like it is a name like any other.
    make(&desk, &admin(&["team-b"]), "certain", scope).await.unwrap();
}

#[tokio::test]
async fn of_one_certificate_there_is_one_token_at_a_time() {
    let desk = Desk::open().await;
    let name = "cert:cn:worker1";
    let mut tries = Vec::new();
    for _ in 0..8 {
        let ledger = desk.ledger.clone();
        tries.push(tokio::spawn(async move {
            ledger.create_token(&root(), wanted(name, Scope::all())).await
        }));
    }
    let mut made = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(token) => made.push(token),
            Err(error) => assert!(matches!(error, Error::Exists { .. }), "{error:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    // Another is made when it was taken back, or is over; other names may be as many as people like.
    desk.ledger
        .revoke_token(&root().actor, &made[0].token.id)
        .await
        .unwrap();
    let short = NewToken {
        expires_at: Some(desk.ledger.now().after(MINUTE)),
        ..wanted(name, Scope::all())
    };
    desk.ledger.create_token(&root(), short).await.unwrap();
    assert!(matches!(
        make(&desk, &root(), name, Scope::all()).await,
        Err(Error::Exists { .. })
    ));
    desk.wait(MINUTE);
    let last = make(&desk, &root(), name, Scope::all()).await.unwrap();
    let known = desk.ledger.verify_certificate("cn:worker1").unwrap();
    assert_eq!(known.actor.via, Via::Token(last.token.id));
    for _ in 0..2 {
        make(&desk, &root(), "ci", Scope::all()).await.unwrap();
    }
}

#[tokio::test]
async fn of_two_tokens_of_a_certificate_that_an_earlier_version_made_the_older_counts() {
    let mut desk = Desk::open().await;
    let first = make(&desk, &root(), "cert:cn:worker1", Scope::all()).await.unwrap();
    let mut later = Vec::new();
    for _ in 0..8 {
        desk.wait(MINUTE);
        later.push(make(&desk, &root(), "ci", Scope::all()).await.unwrap());
    }
    desk.ledger.close().await.unwrap();
    let db = Connection::open(desk.path()).unwrap();
    db.execute("UPDATE tokens SET name = 'cert:cn:worker1'", ()).unwrap();
    drop(db);
    desk.reopen_closed().await;
    for expected in [&first, &later[0]] {
        let known = desk.ledger.verify_certificate("cn:worker1").unwrap();
        assert_eq!(known.actor.via, Via::Token(expected.token.id.clone()));
        desk.ledger
            .revoke_token(&root().actor, &expected.token.id)
            .await
            .unwrap();
    }
}
