//! Blobs on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use helve_blobs::{BlobId, BlobStore, Control, Progress, StoreError};
use helve_mesh::Link;
use helve_mesh::blobs::{PIECE, Remote};

use crate::world::{Plane, bytes};

/// The plane's store, as a worker sees it.
fn store(link: &Link, cache: &std::path::Path) -> BlobStore {
    BlobStore::over(Remote::new(link.clone()), cache, 1 << 30).unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_any_size_go_both_ways_whole() {
    let plane = Plane::new().await;
    let link = plane.guest().await;
    let dir = tempfile::tempdir().unwrap();
    let far = store(&link, &dir.path().join("cache"));
    for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 77] {
        let (near, far, dir) = (plane.store.clone(), far.clone(), dir.path().join(size.to_string()));
        let link = link.clone();
        let runtime = tokio::runtime::Handle::current();
        blocking(move || {
            let _runtime = runtime.enter();
            let up = bytes(size);
            let stored = far.put_bytes(&up).unwrap();
            assert_eq!(stored.id, BlobId::of(&up));
            assert_eq!(near.get(&stored.id).unwrap(), up, "{size} bytes arrived");
            let down = [b"down".to_vec(), up].concat();
            let there = near.put_bytes(&down).unwrap();
            assert_eq!(far.size(&there.id).unwrap(), Some(there.size));
            assert_eq!(far.get(&there.id).unwrap(), down, "{size} bytes came");
            // Somebody else, without a cache that has it.
            assert_eq!(store(&link, &dir).get(&there.id).unwrap(), down);
        })
        .await;
    }
    let (missing, far) = (BlobId::of(b"nobody stored that"), far.clone());
    let error = blocking(move || far.get(&missing).unwrap_err()).await;
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_broke_goes_on_where_it_was() {
    let plane = Plane::new().await;
    let link = plane.guest().await;
    let dir = tempfile::tempdir().unwrap();
    let blob = plane.store.put_bytes(&bytes(9 * PIECE + 5)).unwrap();
    let far = store(&link, dir.path());
    let (cancelled, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let again = far.clone();
    blocking(move || {
        let stop = |progress: Progress| {
            if progress.transferred >= 3 * PIECE {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let outcome = far.reader_controlled(&blob.id, &Control::new(&stop, &cancelled));
        assert!(matches!(outcome, Err(StoreError::Cancelled)));
        let first = AtomicU64::new(0);
        let told = |progress: Progress| {
            let _ = first.compare_exchange(0, progress.transferred, Ordering::Relaxed, Ordering::Relaxed);
            most.fetch_max(progress.transferred, Ordering::Relaxed);
        };
        let never = AtomicBool::new(false);
        again.reader_controlled(&blob.id, &Control::new(&told, &never)).unwrap();
        assert!(
            first.load(Ordering::Relaxed) > 3 * PIECE,
            "what was there did not come again"
        );
        assert_eq!(again.get(&blob.id).unwrap(), bytes(9 * PIECE + 5));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_that_restarts_amid_a_fetch_costs_only_time() {
    let plane = Plane::new().await;
    let link = plane.guest().await;
    let dir = tempfile::tempdir().unwrap();
    let blob = plane.store.put_bytes(&bytes(40 * PIECE)).unwrap();
    let far = store(&link, dir.path());
    let (reached, begun) = tokio::sync::oneshot::channel();
    let fetched = tokio::task::spawn_blocking(move || {
        let reached = std::sync::Mutex::new(Some(reached));
        let told = |progress: Progress| {
            if progress.transferred >= 2 * PIECE
                && let Some(reached) = reached.lock().unwrap().take()
            {
                let _ = reached.send(());
            }
        };
        let never = AtomicBool::new(false);
        far.reader_controlled(&blob.id, &Control::new(&told, &never))
            .map(drop)?;
        far.get(&blob.id)
    });
    begun.await.unwrap();
    let plane = plane.restart().await;
    assert_eq!(fetched.await.unwrap().unwrap(), bytes(40 * PIECE));
    drop(plane);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_either_side_is_never_taken_for_the_blob() {
    let plane = Plane::new().await;
    let link = plane.guest().await;
    let dir = tempfile::tempdir().unwrap();
    let blob = plane.store.put_bytes(&bytes(3 * PIECE)).unwrap();
    let hex = blob.id.to_hex();
    let file = plane.store.dir().join(&hex[..2]).join(&hex);
    assert!(file.exists(), "{}", file.display());
    let mut damaged = bytes(3 * PIECE);
    damaged[2 * PIECE as usize + 9] ^= 1;
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, damaged).unwrap();
    let far = store(&link, dir.path());
    let error = blocking(move || far.get(&blob.id).unwrap_err()).await;
    assert!(!matches!(error, StoreError::Missing { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_send_the_same_blob_at_once_are_all_served() {
    let plane = Plane::new().await;
    let blob = Arc::new(bytes(3 * PIECE + 1));
    let mut sending = Vec::new();
    for _ in 0..8 {
        let (link, dir, blob) = (plane.guest().await, tempfile::tempdir().unwrap(), Arc::clone(&blob));
        sending.push(tokio::task::spawn_blocking(move || {
            store(&link, dir.path()).put_bytes(&blob).map(|stored| stored.id)
        }));
    }
    for sent in sending {
        assert_eq!(sent.await.unwrap().unwrap(), BlobId::of(&blob));
    }
    assert_eq!(plane.store.get(&BlobId::of(&blob)).unwrap(), *blob);
}
