//! Tokens, login codes, sessions.

use std::time::Duration;

use helve_ledger::{
    Account, AuditFilter, CreatedToken, Error, NewSession, NewToken, PageRequest, Principal, Refused, Role, Scope,
    Secret, Time, Via,
};

use crate::support::{DAY, Desk, MINUTE, alice, at, contains, root};

async fn token(desk: &Desk, role: Role, expires_at: Option<Time>) -> CreatedToken {
    let new = NewToken {
        name: "ci".to_owned(),
        role,
        scope: Scope::namespaces(["team-a"]),
        expires_at,
    };
    desk.ledger.create_token(&root(), new).await.unwrap()
}

fn session(lasts: Duration) -> NewSession {
    NewSession {
        name: "bob".to_owned(),
        role: Role::Analyst,
        scope: Scope::all(),
        lasts,
    }
}

async fn login(desk: &Desk, code: &Secret) -> Result<helve_ledger::OpenedSession, Refused> {
    desk.ledger.redeem_login_code(code.reveal(), None).await.unwrap()
}

#[tokio::test]
async fn a_token_lets_its_holder_in_with_its_role_and_scope_also_after_a_restart() {
    let mut desk = Desk::open().await;
    let made = token(&desk, Role::Operator, None).await;
    for _ in 0..2 {
        let principal = desk.ledger.verify_token(made.secret.reveal()).unwrap();
        assert_eq!(principal.role, Role::Operator);
        assert_eq!(principal.actor.via, Via::Token(made.token.id.clone()));
        assert!(principal.require(Role::Analyst, "team-a").is_ok());
        assert!(principal.require(Role::Admin, "team-a").is_err());
        assert!(principal.require(Role::Viewer, "team-b").is_err());
        desk.reopen().await;
    }
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let desk = Desk::open().await;
    let (one, two) = (
        token(&desk, Role::Admin, None).await,
        token(&desk, Role::Viewer, None).await,
    );
    let (one, two) = (one.secret.reveal(), two.secret.reveal());
    // The name of one and the secret of the other; a digit changed; what is no token at all.
    let mixed = format!("{}{}", &one[..20], &two[20..]);
    let last = if one.ends_with('0') { '1' } else { '0' };
    let changed = format!("{}{last}", &one[..one.len() - 1]);
    for forged in [
        mixed.as_str(),
        &changed,
        "",
        "hlv_",
        &one[4..],
        "hlv_'; DROP TABLE tokens --",
    ] {
        assert_eq!(desk.ledger.verify_token(forged), Err(Refused::Unknown), "{forged}");
    }
    assert_eq!(desk.ledger.verify_session(one), Err(Refused::Unknown));
}

#[tokio::test]
async fn a_token_is_refused_from_the_moment_it_expires() {
    let desk = Desk::open().await;
    let made = token(&desk, Role::Viewer, Some(desk.ledger.now().after(MINUTE))).await;
    desk.wait(MINUTE - Duration::from_millis(1));
    assert!(desk.ledger.verify_token(made.secret.reveal()).is_ok());
    desk.wait(Duration::from_millis(1));
    assert_eq!(desk.ledger.verify_token(made.secret.reveal()), Err(Refused::Expired));
}

#[tokio::test]
async fn a_token_that_would_have_expired_already_is_not_made() {
    let desk = Desk::open().await;
    let new = NewToken {
        name: "late".to_owned(),
        role: Role::Viewer,
        scope: Scope::all(),
        expires_at: Some(desk.ledger.now()),
    };
    assert!(matches!(
        desk.ledger.create_token(&root(), new).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn a_revoked_token_and_the_sessions_opened_with_it_are_refused_also_after_a_restart() {
    let mut desk = Desk::open().await;
    let made = token(&desk, Role::Analyst, None).await;
    let opened = desk
        .ledger
        .open_session(session(DAY), Some(&made.token.id), None)
        .await
        .unwrap();
    assert!(desk.ledger.verify_session(opened.secret.reveal()).is_ok());
    desk.ledger.revoke_token(&alice(), &made.token.id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(desk.ledger.verify_token(made.secret.reveal()), Err(Refused::Revoked));
        assert!(desk.ledger.verify_session(opened.secret.reveal()).is_err());
        assert!(desk.ledger.list_sessions().is_empty(), "they take no room any more");
        desk.reopen().await;
    }
    let again = desk.ledger.revoke_token(&alice(), &made.token.id).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
}

#[tokio::test]
async fn the_list_of_tokens_comes_in_pages_and_says_when_each_was_used() {
    let mut desk = Desk::open().await;
    for _ in 0..5 {
        token(&desk, Role::Worker, None).await;
    }
    let used = token(&desk, Role::Viewer, None).await;
    desk.wait(MINUTE);
    desk.ledger.verify_token(used.secret.reveal()).unwrap();
    for _ in 0..2 {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let limit = Some(4);
            let page = desk.ledger.list_tokens(PageRequest { cursor, limit }).await.unwrap();
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 6);
        for token in seen {
            let expected = (token.id == used.token.id).then(|| at(60_000));
            assert_eq!(token.last_used_at, expected);
        }
        // Closing writes it.
        desk.reopen().await;
    }
}

#[tokio::test]
async fn verifying_writes_nothing() {
    let desk = Desk::open().await;
    let made = token(&desk, Role::Viewer, None).await;
    let before = std::fs::metadata(desk.path().with_extension("db-wal")).unwrap().len();
    for _ in 0..100 {
        desk.ledger.verify_token(made.secret.reveal()).unwrap();
    }
    let after = std::fs::metadata(desk.path().with_extension("db-wal")).unwrap().len();
    assert_eq!(before, after);
}

#[tokio::test]
async fn no_secret_is_on_disk() {
    let desk = Desk::open().await;
    let token = token(&desk, Role::Admin, None).await;
    let code = desk
        .ledger
        .create_login_code(&alice(), session(DAY), MINUTE)
        .await
        .unwrap();
    let opened = desk.ledger.open_session(session(DAY), None, None).await.unwrap();
    let bytes = desk.bytes().await;
    assert!(contains(&bytes, &token.token.id), "the file is not what is looked at");
    for secret in [&token.secret, &code.secret, &opened.secret] {
        let (_, unguessable) = secret.reveal().rsplit_once('_').unwrap();
        assert!(!contains(&bytes, unguessable));
    }
}

#[tokio::test]
async fn of_many_who_use_a_login_code_at_once_one_gets_a_session() {
    let desk = Desk::open().await;
    let code = desk
        .ledger
        .create_login_code(&alice(), session(DAY), MINUTE)
        .await
        .unwrap();
    let mut tries = Vec::new();
    for _ in 0..8 {
        let (ledger, code) = (desk.ledger.clone(), code.secret.clone());
        tries.push(tokio::spawn(async move {
            ledger.redeem_login_code(code.reveal(), None).await.unwrap()
        }));
    }
    let mut opened = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(session) => opened.push(session),
            Err(refused) => assert_eq!(refused, Refused::Unknown),
        }
    }
    assert_eq!(opened.len(), 1);
    let principal = desk.ledger.verify_session(opened[0].secret.reveal()).unwrap();
    assert_eq!(principal, opened[0].principal);
    assert_eq!(desk.ledger.list_sessions().len(), 1);
}

#[tokio::test]
async fn a_login_code_is_refused_when_it_expired_or_is_wrong() {
    let desk = Desk::open().await;
    let alice = alice();
    let make = || desk.ledger.create_login_code(&alice, session(DAY), MINUTE);
    let (one, two) = (make().await.unwrap(), make().await.unwrap());
    let (id, _) = one.secret.reveal().rsplit_once('_').unwrap();
    let (_, secret) = two.secret.reveal().rsplit_once('_').unwrap();
    let forged = desk.ledger.redeem_login_code(&format!("{id}_{secret}"), None).await;
    assert_eq!(forged.unwrap().unwrap_err(), Refused::Unknown);
    desk.wait(MINUTE);
    assert_eq!(login(&desk, &one.secret).await.unwrap_err(), Refused::Expired);
    desk.ledger.sweep().await.unwrap();
    assert_eq!(login(&desk, &one.secret).await.unwrap_err(), Refused::Unknown);
}

#[tokio::test]
async fn a_session_ends_by_time_and_by_logout() {
    let mut desk = Desk::open().await;
    let opened = desk.ledger.open_session(session(MINUTE), None, None).await.unwrap();
    let other = desk.ledger.open_session(session(DAY), None, None).await.unwrap();
    desk.wait(MINUTE);
    assert_eq!(
        desk.ledger.verify_session(opened.secret.reveal()),
        Err(Refused::Expired)
    );
    let Principal { actor, .. } = desk.ledger.verify_session(other.secret.reveal()).unwrap();
    let Via::Session(id) = actor.via.clone() else {
        panic!("{actor:?}")
    };
    desk.ledger.end_session(&actor, &id).await.unwrap();
    desk.ledger.sweep().await.unwrap();
    for _ in 0..2 {
        assert!(desk.ledger.verify_session(other.secret.reveal()).is_err());
        assert!(desk.ledger.list_sessions().is_empty());
        desk.reopen().await;
    }
}

#[tokio::test]
async fn a_session_of_an_account_and_a_refused_one_are_in_the_audit_log_with_issuer_and_subject() {
    let desk = Desk::open().await;
    let account = Account {
        issuer: "https://id.example.org".to_owned(),
        subject: "42".to_owned(),
    };
    let opened = desk
        .ledger
        .open_account_session(session(DAY), &account, Some("10.0.0.1"))
        .await
        .unwrap();
    assert!(desk.ledger.verify_session(opened.secret.reveal()).is_ok());
    let (who, why) = (Some(("eve@example.org", &account)), "no rule");
    desk.ledger
        .refuse_account(&account.issuer, who, why, Some("10.0.0.2"))
        .await
        .unwrap();
    desk.ledger
        .refuse_account(&account.issuer, None, &"long ".repeat(10_000), None)
        .await
        .unwrap();
    let audit = desk
        .ledger
        .list_audit(AuditFilter::default(), PageRequest::default())
        .await;
    let rows: Vec<_> = audit
        .unwrap()
        .items
        .into_iter()
        .map(|row| {
            (
                row.action,
                row.subject,
                row.detail["issuer"].clone(),
                row.detail["subject"].clone(),
            )
        })
        .collect();
    let issuer = serde_json::Value::from("https://id.example.org");
    let refused = "login.refuse".to_owned();
    assert_eq!(
        rows[0],
        (
            refused.clone(),
            account.issuer.clone(),
            issuer.clone(),
            serde_json::Value::Null
        )
    );
    assert_eq!(
        rows[1],
        (refused, "eve@example.org".to_owned(), issuer.clone(), "42".into())
    );
    assert_eq!(
        (&*rows[2].0, &rows[2].2, &rows[2].3),
        ("session.open", &issuer, &"42".into())
    );
    let mut named_badly = session(DAY);
    named_badly.name = "a\nb".to_owned();
    assert!(
        desk.ledger
            .open_account_session(named_badly, &account, None)
            .await
            .is_err()
    );
}

#[test]
fn a_worker_is_no_user_and_a_user_is_no_worker() {
    for role in Role::ALL {
        assert_eq!(role.includes(Role::Worker), role == Role::Worker);
        assert_eq!(Role::Worker.includes(role), role == Role::Worker);
        assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
    }
    let order = [Role::Viewer, Role::Analyst, Role::Operator, Role::Admin];
    for (i, has) in order.iter().enumerate() {
        for (j, needed) in order.iter().enumerate() {
            assert_eq!(has.includes(*needed), i >= j);
        }
    }
}

#[tokio::test]
async fn nobody_grants_more_than_they_have() {
    let desk = Desk::open().await;
    let admin = token(&desk, Role::Admin, None).await;
    let admin = desk.ledger.verify_token(admin.secret.reveal()).unwrap();
    assert!(admin.require_grant(&Scope::namespaces(["team-a"])).is_ok());
    assert!(admin.require_grant(&Scope::namespaces(["team-a", "team-b"])).is_err());
    assert!(admin.require_grant(&Scope::all()).is_err());
    assert!(admin.require_everywhere(Role::Viewer).is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::open().await;
    token(&desk, Role::Viewer, None).await;
    for file in ["db", "db-wal", "db-shm"] {
        let mode = std::fs::metadata(desk.path().with_extension(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}
