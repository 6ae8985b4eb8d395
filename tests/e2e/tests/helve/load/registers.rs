//! Registers: a quota of a namespace is one. Its `ETag` makes it one that can be changed only if it is what it was.

use helve_judge::{Call, Outcome};
use serde_json::{Value, json};

use super::Shared;
use super::door::{Door, Told};

const KEYS: u64 = 4;

fn key(number: u64) -> String {
    format!("register-{}", number % KEYS)
}

fn path(key: &str) -> String {
    format!("/api/v1/namespaces/{key}/settings")
}

/// Namespaces, each for a register.
pub(super) fn prepare(_: &Shared, door: &mut Door) {
    for number in 0..KEYS {
        let body = json!({ "name": key(number) });
        let made = door.surely("POST", "/api/v1/namespaces", &[], Some(&body));
        assert!(matches!(made.status, 201 | 409), "{}", made.text());
    }
}

/// Reads.
pub(super) fn look(shared: &Shared, door: &mut Door) {
    let key = key(shared.number());
    read(shared, door, &key);
}

/// Reads all of them once more.
pub(super) fn finish(shared: &Shared, door: &mut Door) {
    for number in 0..KEYS {
        while read(shared, door, &key(number)).is_none() {}
    }
}

/// Puts another value there, mostly only if there is still what it was.
pub(super) fn change(shared: &Shared, door: &mut Door) {
    let value = shared.number();
    let key = key(value / 3);
    let body = json!({ "max_storage_bytes": value });
    if value.is_multiple_of(5) {
        let began = shared.now();
        let told = door.call("PUT", &path(&key), &[], Some(&body));
        let outcome = match told {
            Told::Answer(answer) => {
                assert_eq!(answer.status, 200, "{}", answer.text());
                Outcome::Done
            }
            Told::NotSent => return,
            Told::Lost => Outcome::Unknown,
        };
        return shared.note(door.client, began, outcome, Call::Write { key, value });
    }
    let Some((expected, tag)) = read(shared, door, &key) else {
        return;
    };
    let began = shared.now();
    let told = door.call("PUT", &path(&key), &[("If-Match", &tag)], Some(&body));
    let (outcome, swapped) = match told {
        Told::Answer(answer) => {
            assert!(matches!(answer.status, 200 | 409 | 412), "{}", answer.text());
            (Outcome::Done, answer.status == 200)
        }
        Told::NotSent => return,
        Told::Lost => (Outcome::Unknown, false),
    };
    let call = Call::Swap {
        key,
        expected,
        value,
        swapped,
    };
    shared.note(door.client, began, outcome, call);
}

fn read(shared: &Shared, door: &mut Door, key: &str) -> Option<(Option<u64>, String)> {
    let began = shared.now();
    let Told::Answer(answer) = door.call("GET", &path(key), &[], None) else {
        return None;
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value = match &answer.json()["max_storage_bytes"] {
        Value::Null => None,
        value => Some(value.as_u64().expect("a number")),
    };
    let tag = answer.header("etag").expect("it has a version").to_owned();
    let key = key.to_owned();
    shared.note(door.client, began, Outcome::Done, Call::Read { key, value });
    Some((value, tag))
}
