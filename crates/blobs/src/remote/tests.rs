//! Against a real server.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use helve_e2e::bucket::S3Server;
use tempfile::TempDir;

use super::Remote;
use crate::{
    BlobId, BlobStore, Control, Expiry, Hold, PackOptions, Place, Progress, Retention, StoreError, StoreOptions,
    UnpackLimits, pack, unpack,
};

const BUCKET: &str = "helve";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: usize = 1 << 20;

/// A server with a bucket, and places for caches.
struct World {
    server: S3Server,
    dir: TempDir,
}

impl World {
    fn new() -> Option<Self> {
        let server = S3Server::start()?;
        server.make_bucket(BUCKET);
        Some(World {
            server,
            dir: tempfile::tempdir().unwrap(),
        })
    }

    fn options(&self, cache: &str) -> StoreOptions {
        StoreOptions {
            place: format!("s3://{BUCKET}/team/a").parse().unwrap(),
            cache: self.path(cache),
            cache_limit: 1 << 30,
            variables: variables(&self.server),
        }
    }

    /// The store as a machine sees it that has this cache.
    fn machine(&self, cache: &str) -> BlobStore {
        BlobStore::connect(self.options(cache)).unwrap()
    }

    /// The bucket without a cache.
    fn bucket(&self) -> Remote {
        Remote::connect(BUCKET, "team/a", variables(&self.server)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn object(&self, id: &BlobId) -> String {
        format!("team/a/blobs/{id}")
    }

    fn count(&self, what: &str) -> usize {
        self.server
            .requests()
            .iter()
            .filter(|request| request.contains(what))
            .count()
    }
}

fn variables(server: &S3Server) -> BTreeMap<String, String> {
    server.variables().map(|(name, value)| (name.to_owned(), value)).into()
}

/// Bytes that do not repeat, the same every time.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut bytes = vec![0; size];
    reader.fill(&mut bytes);
    bytes
}

fn cached(store: &BlobStore, id: &BlobId) -> PathBuf {
    store.dir().join(&id.to_hex()[..2]).join(id.to_hex())
}

#[test]
fn what_one_machine_stores_another_reads_and_nothing_is_sent_twice() {
    let Some(world) = World::new() else { return };
    let (near, far) = (world.machine("near"), world.machine("far"));
    let small = near.put_bytes(b"hello").unwrap();
    let bytes = noise(20 * MIB, 1);
    let large = near.put_bytes(&bytes).unwrap();
    assert_eq!(far.get(&small.id).unwrap(), b"hello");
    assert_eq!(far.get(&large.id).unwrap(), bytes);
    assert_eq!(far.size(&large.id).unwrap(), Some(large.size));
    // From its own cache, then.
    far.get(&large.id).unwrap();
    let stats = far.cache_stats().unwrap();
    assert_eq!((stats.fetched, stats.hits, stats.sent), (2, 1, 0));

    far.put_bytes(&bytes).unwrap();
    world.machine("third").put_bytes(&bytes).unwrap();
    let sent = |store: &BlobStore| store.cache_stats().unwrap().sent;
    assert_eq!((sent(&near), sent(&far)), (2, 0));
    assert_eq!(world.count("partNumber=1&"), 1, "a known blob is not sent again");
    assert!(
        far.get(&BlobId::of(b"other"))
            .unwrap_err()
            .to_string()
            .contains("s3://helve/team/a")
    );
}

#[test]
fn a_target_travels_and_an_unchanged_one_is_recognised() {
    let Some(world) = World::new() else { return };
    let tree = world.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("noise"), noise(9 * MIB, 2)).unwrap();
    fs::write(tree.join("text"), "text").unwrap();
    // Old enough that a change would show in its time.
    for name in ["noise", "text"] {
        let file = fs::File::options().append(true).open(tree.join(name)).unwrap();
        file.set_modified(SystemTime::now() - DAY).unwrap();
    }
    let near = world.machine("near");
    let transferred = AtomicU64::new(0);
    let progress = |progress: Progress| {
        transferred.fetch_max(progress.transferred, Ordering::Relaxed);
    };
    let never = AtomicBool::new(false);
    let control = Control::new(&progress, &never);
    let target = pack(&tree, &PackOptions::default(), &near, &control).unwrap();
    assert_eq!(transferred.load(Ordering::Relaxed), target.packed_bytes);
    let far = world.machine("far");
    let workspace = world.path("workspace");
    unpack(&far, &target.id, &workspace, &UnpackLimits::default(), &Control::none()).unwrap();
    assert_eq!(fs::read(workspace.join("text")).unwrap(), b"text");
    assert_eq!(far.target(&target.id).unwrap().name, "tree");

    // Gone from the bucket: what this machine remembers does not count.
    far.remove(&target.id).unwrap();
    let again = pack(&tree, &PackOptions::default(), &near, &Control::none()).unwrap();
    assert_eq!(again.id, target.id);
    assert!(far.contains(&again.id).unwrap());
}

#[test]
fn an_interrupted_upload_goes_on_where_it_was() {
    let Some(world) = World::new() else { return };
    let store = world.machine("cache");
    let bytes = noise(40 * MIB, 3);
    let id = BlobId::of(&bytes);
    let cancelled = AtomicBool::new(false);
    // Cancelled once the first part has arrived.
    let stop = |_: Progress| cancelled.store(true, Ordering::Relaxed);
    let mut writer = store.writer().unwrap();
    writer.write_all(&bytes).unwrap();
    let error = writer.commit_controlled(&Control::new(&stop, &cancelled)).unwrap_err();
    assert!(matches!(error, StoreError::Cancelled), "{error}");
    assert!(!store.contains(&id).unwrap(), "a part is not there");
    let journal = fs::read_to_string(store.dir().join("uploads").join(id.to_hex())).unwrap();
    assert!(journal.lines().count() >= 2, "{journal}");
    drop(store);

    // As another process of the machine would.
    let store = world.machine("cache");
    store.put_bytes(&bytes).unwrap();
    assert_eq!(
        world.count("POST /helve/team/a/blobs") / 2,
        1,
        "one upload, begun once and completed once"
    );
    for line in journal.lines().skip(1) {
        let part: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = part["index"].as_u64().unwrap() + 1;
        assert_eq!(
            world.count(&format!("partNumber={number}&")),
            1,
            "part {number} had arrived"
        );
    }
    assert_eq!(world.machine("other").get(&id).unwrap(), bytes);
    assert_eq!(fs::read_dir(store.dir().join("uploads")).unwrap().count(), 0);
}

#[test]
fn an_upload_that_the_server_forgot_is_begun_anew() {
    let Some(world) = World::new() else { return };
    let store = world.machine("cache");
    let bytes = noise(17 * MIB, 4);
    let id = BlobId::of(&bytes);
    let journal = store.dir().join("uploads").join(id.to_hex());
    fs::create_dir_all(journal.parent().unwrap()).unwrap();
    let head = format!(
        "{{\"key\":\"{}\",\"upload\":\"forgotten\",\"part\":8388608}}\n",
        world.object(&id)
    );
    let parts: String = (0..3)
        .map(|index| format!("{{\"index\":{index},\"tag\":\"x\"}}\n"))
        .collect();
    fs::write(&journal, head + &parts).unwrap();
    store.put_bytes(&bytes).unwrap();
    assert_eq!(world.machine("other").get(&id).unwrap(), bytes);
}

#[test]
fn an_interrupted_download_goes_on_where_it_was_and_a_wrong_beginning_is_not_believed() {
    let Some(world) = World::new() else { return };
    let bytes = noise(12 * MIB, 5);
    let blob = world.machine("near").put_bytes(&bytes).unwrap();
    let begin = |cache: &str, bytes: &[u8]| {
        let store = world.machine(cache);
        fs::write(store.dir().join("tmp").join(format!("transfer-{}", blob.id)), bytes).unwrap();
        store
    };
    let good = begin("good", &bytes[..8 * MIB]);
    let least = AtomicU64::new(u64::MAX);
    let progress = |progress: Progress| {
        least.fetch_min(progress.transferred, Ordering::Relaxed);
    };
    let never = AtomicBool::new(false);
    let mut reader = good
        .reader_controlled(&blob.id, &Control::new(&progress, &never))
        .unwrap();
    reader.verify().unwrap();
    assert!(
        least.load(Ordering::Relaxed) > 8 * MIB as u64,
        "the first 8 MiB were there"
    );

    for (cache, wrong) in [
        ("wrong", noise(MIB, 6)),
        ("whole", noise(12 * MIB, 6)),
        ("long", noise(13 * MIB, 6)),
    ] {
        assert_eq!(begin(cache, &wrong).get(&blob.id).unwrap(), bytes);
    }
}

#[test]
fn a_damaged_copy_in_the_cache_is_fetched_again() {
    let Some(world) = World::new() else { return };
    let blob = world.machine("near").put_bytes(b"important").unwrap();
    let far = world.machine("far");
    for damaged in [&b"imp0rtant"[..], b"import", b""] {
        far.get(&blob.id).unwrap();
        fs::write(cached(&far, &blob.id), damaged).unwrap();
        assert_eq!(far.get(&blob.id).unwrap(), b"important");
        // Storing repairs too.
        fs::write(cached(&far, &blob.id), damaged).unwrap();
        far.put_bytes(b"important").unwrap();
        assert_eq!(far.get(&blob.id).unwrap(), b"important");
    }
}

#[test]
fn a_damaged_object_is_never_used_is_named_and_is_stored_anew() {
    let Some(world) = World::new() else { return };
    let near = world.machine("near");
    for (number, damaged) in [&b"imp0rtant"[..], b"import", b"", b"important and more"]
        .iter()
        .enumerate()
    {
        let blob = near.put_bytes(b"important").unwrap();
        world.server.write(BUCKET, &world.object(&blob.id), damaged);
        let far = world.machine(&format!("far-{number}"));
        let error = far.get(&blob.id).unwrap_err();
        assert!(matches!(error, StoreError::CorruptObject { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&blob.id.to_hex()) && text.contains("s3://helve/team/a"),
            "{text}"
        );
        assert!(!far.contains(&blob.id).unwrap(), "a damaged object counts as missing");
        let again = far.get(&blob.id).unwrap_err();
        assert!(
            matches!(again, StoreError::CorruptObject { .. }),
            "and is remembered: {again}"
        );
        near.put_bytes(b"important").unwrap();
        assert_eq!(far.get(&blob.id).unwrap(), b"important");
    }
    // One of another size is replaced even before somebody reads it.
    let blob = near.put_bytes(b"important").unwrap();
    world.server.write(BUCKET, &world.object(&blob.id), b"import");
    near.put_bytes(b"important").unwrap();
    assert_eq!(
        world.server.read(BUCKET, &world.object(&blob.id)).unwrap(),
        b"important"
    );
}

#[test]
fn a_cache_stays_below_its_limit_while_many_read() {
    let Some(world) = World::new() else { return };
    let near = world.machine("near");
    let blobs: Vec<_> = (0..12).map(|n| near.put_bytes(&noise(MIB, 100 + n)).unwrap()).collect();
    let limit = 4 * MIB as u64;
    // As several processes with one cache directory: each has its own idea of what is in it.
    let workers: Vec<BlobStore> = (0..3)
        .map(|_| {
            BlobStore::connect(StoreOptions {
                cache_limit: limit,
                ..world.options("shared")
            })
            .unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for (number, worker) in workers.iter().enumerate() {
            let blobs = &blobs;
            scope.spawn(move || {
                for turn in 0..24 {
                    let blob = &blobs[(turn * (number + 1)) % blobs.len()];
                    let mut reader = worker.reader(&blob.id).unwrap();
                    // Old enough for eviction while it is read.
                    let _ = reader.file().set_modified(SystemTime::now() - DAY);
                    reader.verify().unwrap();
                }
            });
        }
    });
    let evicted: u64 = workers.iter().map(|worker| worker.cache_stats().unwrap().evicted).sum();
    assert!(evicted > 0, "12 MiB do not fit into 4");
    let left: u64 = fs::read_dir(workers[0].dir())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().len() == 2)
        .flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten())
        .map(|blob| blob.metadata().unwrap().len())
        .sum();
    assert!(left <= limit + 3 * MIB as u64, "{left} bytes are left");
}

#[test]
fn many_readers_of_one_blob_fetch_it_once() {
    let Some(world) = World::new() else { return };
    let blob = world.machine("near").put_bytes(&noise(9 * MIB, 7)).unwrap();
    let workers = [world.machine("shared"), world.machine("shared")];
    thread::scope(|scope| {
        for worker in workers.iter().cycle().take(8) {
            scope.spawn(|| worker.reader(&blob.id).unwrap().verify().unwrap());
        }
    });
    let fetched: u64 = workers.iter().map(|worker| worker.cache_stats().unwrap().fetched).sum();
    assert_eq!(fetched, 1);
}

#[test]
fn a_bucket_expires_as_a_directory_does() {
    let Some(world) = World::new() else { return };
    let store = world.machine("cache");
    let tree = world.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "text").unwrap();
    let target = pack(&tree, &PackOptions::default(), &store, &Control::none()).unwrap();
    let [report, needed] = ["report", "needed"].map(|text| store.put_bytes(text.as_bytes()).unwrap().id);
    let sweep = |days: u32, dry_run| {
        let expiry = Expiry {
            dry_run,
            ..Expiry::new(SystemTime::now() + days * DAY, Retention::default())
        };
        let holds = || Ok::<_, StoreError>(HashMap::from([(needed, Hold::Needed)]));
        store.expire(&expiry, holds).unwrap()
    };
    assert_eq!(sweep(6, false).removed, vec![]);
    assert_eq!(sweep(8, true).removed.len(), 1);
    assert!(store.contains(&target.id).unwrap());
    let swept = sweep(8, false);
    assert_eq!((swept.removed.len(), swept.removed[0].id), (1, target.id));
    assert!(!store.contains(&target.id).unwrap());
    assert_eq!(store.target(&target.id), None, "what is known of it goes with it");
    assert_eq!(sweep(31, false).needed, 1);
    assert!(!store.contains(&report).unwrap() && store.contains(&needed).unwrap());
    let keys = world.server.keys(BUCKET, "team/");
    assert_eq!(keys, [world.object(&needed)], "nothing else is left");
}

#[test]
fn whoever_uses_a_blob_during_a_sweep_has_it_or_is_told() {
    let Some(world) = World::new() else { return };
    let store = world.machine("cache");
    let ids: Vec<BlobId> = (0..12u8).map(|n| store.put_bytes(&[n]).unwrap().id).collect();
    let remote = &world.bucket();
    let written = |id| SystemTime::from(remote.head(remote.blob_key(id)).unwrap().unwrap().last_modified);
    let swept_before = ids.iter().map(written).max().unwrap();
    // The server's times have whole seconds: a mark must be younger than what it is for.
    while SystemTime::now() < swept_before + Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(5));
    }
    // Late enough that the user must leave a mark.
    let late = SystemTime::now() + DAY;
    for id in &ids {
        let (used, removed) = thread::scope(|scope| {
            let user = scope.spawn(|| remote.touch(id, None, late).unwrap());
            let sweep = scope.spawn(|| remote.remove_unless(id, |used| used > swept_before).unwrap());
            (user.join().unwrap(), sweep.join().unwrap())
        });
        assert_eq!(used, store.contains(id).unwrap(), "{id}");
        assert_ne!(used, removed, "{id}");
    }
    // A sweep that was killed in the middle keeps nobody waiting for ever, and leaves nothing.
    assert_eq!(world.server.keys(BUCKET, "team/a/doomed"), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_bucket_is_said_at_once_and_in_plain_words() {
    let Some(server) = S3Server::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "1")]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let error = |change: &dyn Fn(&mut StoreOptions)| {
        let mut options = StoreOptions {
            place: format!("s3://{BUCKET}").parse::<Place>().unwrap(),
            cache: dir.path().join("cache"),
            cache_limit: 0,
            variables: variables(&server),
        };
        change(&mut options);
        BlobStore::connect(options).unwrap_err().to_string()
    };
    let missing = error(&|_| {});
    assert!(missing.contains("there is no bucket `helve`"), "{missing}");
    let refused = error(&|_| {});
    assert!(
        refused.contains("not allowed to open s3://helve") && refused.contains("AWS_ACCESS_KEY_ID"),
        "{refused}"
    );
    let nobody = error(&|options| {
        options
            .variables
            .insert("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:9".into());
    });
    assert!(
        nobody.contains("does not answer") && nobody.contains("AWS_ENDPOINT_URL"),
        "{nobody}"
    );
    let keyless = error(&|options| {
        options.variables.remove("AWS_ACCESS_KEY_ID");
    });
    assert!(keyless.contains("AWS_SECRET_ACCESS_KEY"), "{keyless}");
}
