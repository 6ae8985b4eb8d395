//! Many that want one blob at once fetch it from each other.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use helve_blobs::{BlobId, BlobStore, Control, Progress};
use helve_mesh::Link;
use helve_mesh::blobs::{Handing, PIECE, Remote};
use tempfile::TempDir;

use crate::world::{Plane, bytes, eventually};

/// A worker with a cache of its own.
struct Worker {
    link: Link,
    store: BlobStore,
    handing: Option<Handing>,
    dir: TempDir,
}

impl Worker {
    async fn new(plane: &Plane) -> Self {
        Self::on(plane, tempfile::tempdir().unwrap()).await
    }

    /// One whose cache holds something.
    async fn on(plane: &Plane, dir: TempDir) -> Self {
        let link = plane.guest().await;
        let store = BlobStore::over(Remote::sharing(link.clone()), dir.path(), 1 << 30).unwrap();
        let handing = Some(Handing::begin(&link, store.clone()));
        Self {
            link,
            store,
            handing,
            dir,
        }
    }

    /// One that has nothing to do with others.
    async fn alone(plane: &Plane) -> Self {
        let (link, dir) = (plane.guest().await, tempfile::tempdir().unwrap());
        let store = BlobStore::over(Remote::new(link.clone()), dir.path(), 1 << 30).unwrap();
        Self {
            link,
            store,
            handing: None,
            dir,
        }
    }

    async fn get(&self, id: BlobId) -> Vec<u8> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.get(&id).unwrap())
            .await
            .unwrap()
    }

    fn handed(&self) -> u64 {
        self.handing.as_ref().map_or(0, Handing::bytes)
    }
}

/// A fetch from the node that goes on until it is dropped.
struct Pulling {
    stop: Arc<AtomicBool>,
    _hold: Sender<()>,
}

impl Pulling {
    async fn begin(plane: &Plane, id: BlobId) -> Self {
        let worker = Worker::alone(plane).await;
        let stop = Arc::new(AtomicBool::new(false));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (_hold, held) = channel::<()>();
        let stopped = Arc::clone(&stop);
        tokio::task::spawn_blocking(move || {
            let (begun, held) = (Mutex::new(Some(begun)), Mutex::new(held));
            // Nothing is read while this has not returned, which it does when the other end is dropped.
            let told = |_: Progress| {
                if let Some(begun) = begun.lock().unwrap().take() {
                    let _ = begun.send(());
                }
                let _ = held.lock().unwrap().recv();
            };
            let _ = worker.store.reader_controlled(&id, &Control::new(&told, &stopped));
        });
        begins.await.unwrap();
        Self { stop, _hold }
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Waits until the plane knows that somebody else has a blob.
async fn offered(plane: &Plane) {
    eventually("somebody has a blob", async || {
        (plane.service.sent().offered > 0).then_some(())
    })
    .await;
}

/// Where a store has a blob.
fn place(store: &Path, id: &BlobId) -> std::path::PathBuf {
    let hex = id.to_hex();
    store.join(&hex[..2]).join(&hex)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_workers_that_start_on_one_target_fetch_most_of_it_from_each_other() {
    const SIZE: u64 = 16 * PIECE;
    let plane = Plane::new().await;
    let blob = plane.store.put_bytes(&bytes(SIZE)).unwrap();
    let mut fetching = Vec::new();
    for _ in 0..30 {
        let worker = Worker::new(&plane).await;
        fetching.push(tokio::spawn(async move {
            let got = worker.get(blob.id).await;
            (worker, BlobId::of(&got))
        }));
    }
    let (mut workers, mut handed) = (Vec::new(), 0);
    for fetched in fetching {
        let (worker, got) = fetched.await.unwrap();
        assert_eq!(got, blob.id);
        workers.push(worker);
    }
    for worker in &workers {
        handed += worker.handed();
    }
    let copies = plane.service.sent().bytes / SIZE;
    println!("the node sent {copies} copies, the others {}", handed / SIZE);
    assert!(copies <= 10, "the node sent {copies} copies of 30");
    assert!(handed / SIZE >= 20, "the others sent {} copies", handed / SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_to_one_with_a_damaged_copy_gets_the_right_blob() {
    let plane = Plane::new().await;
    let blob = plane.store.put_bytes(&bytes(16 * PIECE)).unwrap();
    let holder = Worker::new(&plane).await;
    let hold = holder.get(blob.id).await;
    offered(&plane).await;
    let path = place(holder.dir.path(), &blob.id);
    let mut damaged = hold.clone();
    damaged[3 * PIECE as usize] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, damaged).unwrap();
    // Somebody who fetches from the node and never ends, so that the next is sent elsewhere.
    let _slow = Pulling::begin(&plane, blob.id).await;
    let asker = Worker::new(&plane).await;
    assert!(asker.get(blob.id).await == hold);
    assert!(plane.service.sent().elsewhere > 0, "it was sent there");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opted_out_or_was_shut_out_serves_nobody_and_is_sent_nowhere() {
    let plane = Plane::new().await;
    let blob = plane.store.put_bytes(&bytes(16 * PIECE)).unwrap();
    let (alone, revoked) = (Worker::alone(&plane).await, Worker::new(&plane).await);
    alone.get(blob.id).await;
    revoked.get(blob.id).await;
    offered(&plane).await;
    plane.known.shut_out(revoked.link.id());
    let _slow = Pulling::begin(&plane, blob.id).await;
    let (late, other) = (Worker::alone(&plane).await, Worker::new(&plane).await);
    late.get(blob.id).await;
    other.get(blob.id).await;
    assert_eq!(plane.service.sent().elsewhere, 0);
    assert_eq!(revoked.handed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_hands_on_what_its_cache_held() {
    let plane = Plane::new().await;
    let blob = plane.store.put_bytes(&bytes(16 * PIECE)).unwrap();
    let before = Worker::alone(&plane).await;
    let hold = before.get(blob.id).await;
    let holder = Worker::on(&plane, before.dir).await;
    assert!(holder.get(blob.id).await == hold);
    offered(&plane).await;
    let _slow = Pulling::begin(&plane, blob.id).await;
    assert!(Worker::new(&plane).await.get(blob.id).await == hold);
    assert_eq!(holder.handed(), 16 * PIECE);
}
