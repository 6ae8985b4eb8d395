//! What a namespace may take, and what it has taken. Nothing is kept: it is counted when somebody wants more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use helve_ledger::NamespaceSettings;
use helve_runs::Client;
use tokio::sync::OwnedMutexGuard;

use crate::problem::{Problem, Result, engine};
use crate::routes::targets;
use crate::state::Api;
use crate::targets::Upload;

/// When somebody may look whether a run has ended, in seconds.
const LOOK_AGAIN: u64 = 10;
const WHO: &str = "an administrator of the server can change it: PUT /api/v1/namespaces/NAME/settings";

/// One at a time, in each namespace: who counts and then takes must not be overtaken in between.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    namespaces: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// For what all namespaces share; taken after that of a namespace.
    server: tokio::sync::Mutex<()>,
}

/// While it lives, nobody else takes of what it was given for.
pub(crate) struct Turn {
    _held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    async fn of(&self, namespace: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
            // Namespaces come and go; those that nobody waits for need not be remembered.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(namespace.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

/// Room for one more run: start it while the turn lives.
pub(crate) async fn room_for_run(api: &Api, client: &Client) -> Result<Turn> {
    let (settings, _) = api.ledger.namespace_settings(&client.namespace).await?;
    let Some(most) = settings.max_concurrent_runs else {
        return Ok(Turn { _held: None });
    };
    let turn = api.turns.of(&client.namespace).await;
    let open = running(client).await?;
    match open < most {
        true => Ok(Turn { _held: Some(turn) }),
        false => Err(Problem::too_many(
            format!(
                "namespace `{}` may have {most} runs at a time, and has {open}: wait until one ends; {WHO}",
                client.namespace
            ),
            LOOK_AGAIN,
        )),
    }
}

/// Runs that have not ended, whoever started them.
pub(crate) async fn running(client: &Client) -> Result<u64> {
    let running = client.running().await;
    running.map_err(|status| engine("the runs of the namespace cannot be counted", &status))
}

/// Bytes of the targets and of the uploads that are under way, each counted as what it will have.
pub(crate) async fn stored(api: &Api, namespace: &str) -> Result<u64> {
    stored_beside(api, namespace, None).await
}

async fn stored_beside(api: &Api, namespace: &str, upload: Option<&str>) -> Result<u64> {
    // In this order one that becomes a target meanwhile is counted twice, and not never.
    let (uploads, here, upload) = (api.uploads.clone(), namespace.to_owned(), upload.map(str::to_owned));
    let under_way = tokio::task::spawn_blocking(move || uploads.bytes_of(&here, upload.as_deref())).await;
    let under_way = under_way
        .map_err(std::io::Error::other)
        .and_then(|bytes| bytes)
        .map_err(|error| Problem::internal("the uploads cannot be counted", error))?;
    let targets = targets::all(api, namespace).await?;
    let targets: u64 = targets.iter().map(|target| target.packed_bytes).sum();
    Ok(targets.saturating_add(under_way))
}

/// What an upload may take.
pub(crate) struct Room {
    /// Bytes of the upload by itself; whether there is room for them, [`more_room`] says when they come.
    pub(crate) bytes: u64,
    /// Begin it while this lives.
    pub(crate) _turn: Turn,
}

/// Bytes that one upload of the namespace may have, by itself.
pub(crate) async fn upload_limit(api: &Api, namespace: &str) -> Result<u64> {
    let (settings, _) = api.ledger.namespace_settings(namespace).await?;
    Ok(by_itself(api, &settings))
}

fn by_itself(api: &Api, settings: &NamespaceSettings) -> u64 {
    settings
        .max_upload_bytes
        .map_or(api.limits.upload_bytes, |most| most.min(api.limits.upload_bytes))
}

/// Room for an upload of so many bytes, or of any number when that is not known. One that is under way is not in its own way.
pub(crate) async fn room_for_upload(
    api: &Api,
    namespace: &str,
    upload: Option<&str>,
    size: Option<u64>,
) -> Result<Room> {
    let (settings, _) = api.ledger.namespace_settings(namespace).await?;
    let most = by_itself(api, &settings);
    if size.is_some_and(|size| size > most) {
        let mut detail = format!("an upload may have {most} bytes at most");
        if settings.max_upload_bytes == Some(most) {
            detail = format!("an upload to namespace `{namespace}` may have {most} bytes at most; {WHO}");
        }
        return Err(Problem::too_large(detail));
    }
    let Some(storage) = settings.max_storage_bytes else {
        return Ok(Room {
            bytes: most,
            _turn: Turn { _held: None },
        });
    };
    let turn = api.turns.of(namespace).await;
    let taken = stored_beside(api, namespace, upload).await?;
    let left = storage.saturating_sub(taken);
    if left == 0 || size.is_some_and(|size| size > left) {
        return Err(full(namespace, storage, taken));
    }
    Ok(Room {
        bytes: most,
        _turn: Turn { _held: Some(turn) },
    })
}

fn full(namespace: &str, storage: u64, taken: u64) -> Problem {
    Problem::no_room(format!(
        "namespace `{namespace}` may store {storage} bytes, and has {taken} of them: forget targets that are not needed \
         any more; {WHO}"
    ))
}

/// Reserves room for an upload that is to have so many bytes, and says how far it may go before it has to ask again. It must be
/// held: what was reserved is given back when it is not any more.
pub(crate) async fn more_room(api: &Api, upload: &Upload, wanted: u64) -> Result<u64> {
    let mut left = u64::MAX;
    // One that said its size has had its room in the namespace since it began.
    let mut _turn = None;
    if upload.size.is_none() {
        let (settings, _) = api.ledger.namespace_settings(&upload.namespace).await?;
        if let Some(storage) = settings.max_storage_bytes {
            _turn = Some(api.turns.of(&upload.namespace).await);
            let taken = stored_beside(api, &upload.namespace, Some(&upload.id)).await?;
            left = storage.saturating_sub(taken);
            if wanted > left {
                return Err(full(&upload.namespace, storage, taken));
            }
        }
    }
    let _counting = api.turns.server.lock().await;
    let left = left.min(left_on_server(api, Some(&upload.id)).await?);
    if wanted > left {
        return Err(uploads_full());
    }
    let room = wanted + step(left - wanted);
    api.uploads.reserve(&upload.id, room);
    Ok(room)
}

/// What is reserved at once for bytes of which nobody knows how many will come: not so little that it is counted all the time,
/// and not so much that others have nothing.
fn step(left: u64) -> u64 {
    (left / 8).clamp(64 << 10, 8 << 20).min(left)
}

/// Bytes that uploads of all namespaces may take beside what they take; without one of them.
pub(crate) async fn left_on_server(api: &Api, without: Option<&str>) -> Result<u64> {
    let (uploads, without) = (api.uploads.clone(), without.map(str::to_owned));
    let taken = tokio::task::spawn_blocking(move || uploads.bytes(without.as_deref())).await;
    let taken = taken
        .map_err(std::io::Error::other)
        .and_then(|taken| taken)
        .map_err(|error| Problem::internal("the uploads cannot be counted", error))?;
    Ok(api.limits.uploads_bytes.saturating_sub(taken))
}

/// Why an upload is refused when none are left on the server.
pub(crate) fn uploads_full() -> Problem {
    Problem::too_many("the uploads that are under way take all the room that they may", 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_after_the_other_in_a_namespace_and_at_once_in_two() {
        let turns = Arc::new(Turns::default());
        let first = turns.of("a").await;
        let _other = turns.of("b").await;
        let second = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { drop(turns.of("a").await) })
        };
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
        // None is kept that nobody waits for.
        drop(turns.of("c").await);
        assert_eq!(turns.namespaces.lock().unwrap().len(), 2);
    }

    #[test]
    fn what_is_reserved_at_once_is_a_part_of_what_is_left() {
        assert_eq!(step(0), 0);
        assert_eq!(step(1000), 1000);
        assert_eq!(step(1_000_000), 125_000);
        assert_eq!(step(u64::MAX), 8 << 20);
    }
}
