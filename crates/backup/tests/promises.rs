//! What a backup promises, each test named after its promise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use helve_backup::{Blobs, Error, Made, Options, Source, back_up, restore, snapshots, verify};
use helve_db::rusqlite::Connection;
use helve_db::{Batch, Store};
use tempfile::TempDir;

const SCHEMA: &[&str] = &["CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;"];

struct Desk {
    dir: TempDir,
}

impl Desk {
    /// A data directory with two databases, some files and two blobs.
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(desk.data()).unwrap();
        for database in ["engine.db", "ledger.db"] {
            let db = Connection::open(desk.data().join(database)).unwrap();
            db.execute_batch(SCHEMA[0]).unwrap();
            db.execute_batch("PRAGMA application_id = 77; PRAGMA user_version = 1;")
                .unwrap();
        }
        for (path, text) in [
            ("http/ingested.json", "{}"),
            ("http/targets/default.json", "[1]"),
            ("http/uploads/half", "not finished"),
            ("reads/6162", "[\"/x\"]"),
            ("work/1/file", "passing"),
            ("admin.token", "hlv_secret"),
            ("blobs/targets/a.json", "{\"name\":\"a\"}"),
            ("blobs/tmp/blob-1", "half"),
            ("tls/key.pem", "what somebody adds later"),
        ] {
            desk.put(path, text);
        }
        desk.blob("one");
        desk.blob("two");
        desk
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.data().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn blob(&self, text: &str) -> String {
        let name = blake3::hash(text.as_bytes()).to_hex().to_string();
        self.put(&format!("blobs/{}/{name}", &name[..2]), text);
        name
    }

    fn open(&self, database: &str) -> Store {
        open(&self.data().join(database))
    }

    fn source(&self) -> Source {
        Source {
            data: self.data(),
            blobs: Blobs::Directory(self.data().join("blobs")),
        }
    }

    fn back_up(&self) -> Made {
        self.keep(7).unwrap()
    }

    fn keep(&self, keep: usize) -> Result<Made, Error> {
        let helve = "0".to_owned();
        back_up(&self.source(), &self.to(), &Options { helve, keep })
    }

    fn restored(&self) -> PathBuf {
        self.dir.path().join("restored")
    }
}

fn open(path: &Path) -> Store {
    let options = helve_db::Options {
        migrations: SCHEMA,
        application_id: 77,
        ..helve_db::Options::default()
    };
    Store::open(path, &options).unwrap()
}

async fn insert(store: &Store, id: i64) {
    let mut batch = Batch::new();
    batch.run_one(
        "INSERT INTO item (id, body) VALUES (?1, ?2)",
        vec![id.into(), vec![7_u8; 4096].into()],
    );
    store.commit(batch).await.unwrap();
}

async fn ids(store: &Store) -> Vec<i64> {
    store
        .read(|db| {
            let mut query = db.prepare("SELECT id FROM item ORDER BY id")?;
            let ids = query.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_is_restored_while_writers_never_stopped() {
    let desk = Desk::new();
    let stores = ["ledger.db", "engine.db"].map(|name| desk.open(name));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    // Each item goes into the engine first, as a run does, and is then told of by the ledger.
    let writing = tokio::spawn({
        let (stores, stop, done) = (stores.clone(), stop.clone(), done.clone());
        async move {
            for id in 0.. {
                insert(&stores[1], id).await;
                insert(&stores[0], id).await;
                done.store(id + 1, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        }
    });
    while done.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    let before = done.load(Ordering::SeqCst);
    let made = tokio::task::block_in_place(|| desk.back_up());
    stop.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    assert!(ids(&stores[0]).await.len() as i64 > before, "it wrote meanwhile");
    for store in &stores {
        store.close().await;
    }

    let restored = restore(&desk.to(), None, &desk.restored()).unwrap();
    assert_eq!((restored.snapshot.name, restored.manifest), (made.name, made.manifest));
    let [ledger, engine] = ["ledger.db", "engine.db"].map(|name| open(&desk.restored().join(name)));
    let (told, there) = (ids(&ledger).await, ids(&engine).await);
    assert!(told.len() as i64 >= before, "all that was acknowledged before it began");
    assert_eq!(told, (0..told.len() as i64).collect::<Vec<_>>());
    assert!(
        there.starts_with(&told),
        "the engine has everything that the ledger tells of"
    );
    // It can be written to.
    insert(&engine, 1_000_000).await;
}

#[test]
fn all_that_matters_is_there_and_nothing_that_is_made_anew_and_all_of_it_is_private() {
    let desk = Desk::new();
    let made = desk.back_up();
    assert_eq!((made.copied.0, made.manifest.blobs.len()), (2, 2));
    restore(&desk.to(), None, &desk.restored()).unwrap();
    for (path, is_there) in [
        ("engine.db", true),
        ("ledger.db", true),
        ("http/ingested.json", true),
        ("http/targets/default.json", true),
        ("reads/6162", true),
        ("tls/key.pem", true),
        ("blobs/targets/a.json", true),
        ("admin.token", false),
        ("work", false),
        ("http/uploads", false),
        ("blobs/tmp", false),
        ("engine.db-wal", false),
    ] {
        assert_eq!(desk.restored().join(path).exists(), is_there, "{path}");
    }
    for dir in [desk.to(), desk.restored()] {
        assert_eq!(mode(&dir), 0o700);
        for path in below(&dir).iter().filter(|path| !path.ends_with("lock")) {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(path), wanted, "{}", path.display());
        }
    }
    // Also where an empty directory was that others could look into.
    let empty = desk.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, PermissionsExt::from_mode(0o755)).unwrap();
    restore(&desk.to(), None, &empty).unwrap();
    assert_eq!(mode(&empty), 0o700);
    assert!(empty.join("engine.db").exists() && !empty.join(".restoring").exists());
}

#[test]
fn blobs_that_are_there_are_not_copied_again_and_go_with_the_last_snapshot_that_has_them() {
    let desk = Desk::new();
    let first = desk.back_up();
    let third = desk.blob("three");
    let again = desk.back_up();
    assert_eq!((again.copied.0, again.before), (1, Some(first.manifest.began_at)));
    fs::remove_file(desk.data().join(format!("blobs/{}/{third}", &third[..2]))).unwrap();
    let last = desk.back_up();
    assert_eq!(last.manifest.blobs.len(), 2);
    let blob = desk.to().join(format!("blobs/{}/{third}", &third[..2]));
    assert!(blob.exists(), "an older snapshot has it");
    let kept = desk.keep(2).unwrap();
    assert_eq!(kept.removed, [first.name, again.name]);
    assert!(!blob.exists());
    assert_eq!(snapshots(&desk.to()).unwrap().len(), 2);
    verify(&desk.to(), None).unwrap();
    verify(&desk.to(), Some(&last.name)).unwrap();
}

#[test]
fn a_backup_that_was_changed_is_refused_by_name_and_leaves_nothing() {
    let blob = blake3::hash(b"one").to_hex().to_string();
    let spoil = |how: fn(&Path), what: fn(&Path, &str) -> PathBuf| {
        let desk = Desk::new();
        let made = desk.back_up();
        let path = what(&desk.to(), &made.name);
        how(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for refused in [
            verify(&desk.to(), None).map(drop),
            restore(&desk.to(), None, &desk.restored()).map(drop),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(&name), "{name}: {error}");
        }
        let left: Vec<PathBuf> = fs::read_dir(desk.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(left.len(), 2, "{left:?}");
    };
    let flip: fn(&Path) = |path| {
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cut: fn(&Path) = |path| fs::write(path, b"").unwrap();
    let remove: fn(&Path) = |path| fs::remove_file(path).unwrap();
    for how in [flip, cut, remove] {
        spoil(how, |to, name| to.join(format!("snapshots/{name}/files/engine.db")));
        spoil(how, |to, name| to.join(format!("snapshots/{name}/files/reads/6162")));
        spoil(how, |to, name| to.join(format!("snapshots/{name}/manifest.json")));
        spoil(how, |to, _| {
            let blob = blake3::hash(b"one").to_hex().to_string();
            to.join(format!("blobs/{}/{blob}", &blob[..2]))
        });
    }
    assert_eq!(blob.len(), 64);
}

#[test]
fn a_damaged_blob_of_a_backup_is_told_and_copied_again() {
    let desk = Desk::new();
    desk.back_up();
    let name = blake3::hash(b"one").to_hex().to_string();
    let blob = desk.to().join(format!("blobs/{}/{name}", &name[..2]));
    // Of the same size: nobody sees it without reading.
    fs::write(&blob, "onE").unwrap();
    let error = verify(&desk.to(), None).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert_eq!(desk.back_up().copied.0, 1);
    assert_eq!(fs::read(&blob).unwrap(), b"one");
    verify(&desk.to(), None).unwrap();
}

#[test]
fn a_folder_of_something_else_is_never_taken_for_a_backup() {
    let foreign: [fn(&Path); 4] = [
        |to| fs::write(to.join("main.py"), "print()").unwrap(),
        |to| {
            fs::create_dir_all(to.join("blobs/aa")).unwrap();
            fs::write(to.join("blobs/aa/file.txt"), "mine").unwrap();
            fs::create_dir_all(to.join("snapshots/2026-01-01T00-00-00.000000Z")).unwrap();
        },
        |to| fs::create_dir(to.join("snapshots")).unwrap(),
        |to| fs::write(to.join("engine.db"), "another data directory").unwrap(),
    ];
    for fill in foreign {
        let desk = Desk::new();
        fs::create_dir(desk.to()).unwrap();
        fill(&desk.to());
        let before = below(&desk.to());
        let error = desk.keep(1).unwrap_err();
        assert!(matches!(error, Error::Foreign(_)), "{error}");
        assert_eq!(below(&desk.to()), before);
    }
    // One that an earlier version made has no mark, and is gone on with.
    let desk = Desk::new();
    desk.back_up();
    fs::remove_file(desk.to().join("helve-backup.txt")).unwrap();
    desk.back_up();
    assert_eq!(snapshots(&desk.to()).unwrap().len(), 2);
}

#[test]
fn a_manifest_that_leads_elsewhere_is_not_followed() {
    let desk = Desk::new();
    let made = desk.back_up();
    let snapshot = desk.to().join("snapshots").join(&made.name);
    let manifest = fs::read_to_string(snapshot.join("manifest.json")).unwrap();
    let evil = manifest.replace("reads/6162", "../../evil");
    fs::write(snapshot.join("manifest.json"), &evil).unwrap();
    fs::write(
        snapshot.join("manifest.blake3"),
        blake3::hash(evil.as_bytes()).to_hex().as_str(),
    )
    .unwrap();
    fs::write(desk.to().join("snapshots/evil"), "[\"/x\"]").unwrap();
    let error = restore(&desk.to(), None, &desk.restored()).unwrap_err();
    assert!(error.to_string().contains("leads out of"), "{error}");
    assert!(!desk.dir.path().join("evil").exists() && !desk.restored().exists());
}

#[test]
fn a_directory_that_holds_something_is_left_alone() {
    let desk = Desk::new();
    desk.back_up();
    fs::create_dir(desk.restored()).unwrap();
    fs::write(desk.restored().join("mine"), "x").unwrap();
    let error = restore(&desk.to(), None, &desk.restored()).unwrap_err();
    assert!(
        matches!(&error, Error::NotEmpty { found, .. } if found == "mine"),
        "{error}"
    );
    assert_eq!(below(&desk.restored()).len(), 1);
    // A file is no directory, and is not replaced by one.
    let file = desk.dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(restore(&desk.to(), None, &file).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn what_was_damaged_before_is_told_and_the_rest_is_saved() {
    let desk = Desk::new();
    let name = desk.blob("four");
    desk.put(&format!("blobs/{}/{name}", &name[..2]), "fouR");
    std::os::unix::fs::symlink("/etc/passwd", desk.data().join("link")).unwrap();
    let made = desk.back_up();
    assert_eq!((&made.manifest.damaged, made.manifest.blobs.len()), (&vec![name], 2));
    assert_eq!(made.manifest.left_out, ["link: it is no file"]);
    verify(&desk.to(), None).unwrap();
    // A database that is damaged is no backup at all: the one before stays the newest.
    let database = desk.data().join("engine.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[4096..8192].fill(0xff);
    fs::write(&database, bytes).unwrap();
    let error = desk.keep(7).unwrap_err();
    assert!(error.to_string().contains("engine.db"), "{error}");
    // Nor is one that does not even look like a database.
    for bytes in [&[0xff; 8192][..], b""] {
        fs::write(&database, bytes).unwrap();
        let error = desk.keep(7).unwrap_err();
        assert!(error.to_string().contains("engine.db"), "{error}");
    }
    assert_eq!(snapshots(&desk.to()).unwrap().len(), 1);
    assert_eq!(fs::read_dir(desk.to().join("snapshots")).unwrap().count(), 1);
}

#[test]
fn a_backup_is_not_made_where_it_would_be_lost_or_twice_at_once() {
    let desk = Desk::new();
    let helve = "0".to_owned();
    let options = Options { helve, keep: 7 };
    let inside = back_up(&desk.source(), &desk.data().join("a/b"), &options);
    assert!(matches!(inside, Err(Error::Inside(_))));
    let empty = Source {
        data: desk.dir.path().join("nothing"),
        ..desk.source()
    };
    assert!(matches!(back_up(&empty, &desk.to(), &options), Err(Error::NoData(_))));
    assert!(matches!(verify(&desk.to(), None), Err(Error::NoBackup(_))));
    desk.back_up();
    let lock = fs::File::open(desk.to().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(desk.keep(7), Err(Error::Busy(_))));
    drop(lock);
    // What one that was killed left behind is gone with the next.
    fs::create_dir(desk.to().join("snapshots/.partial-1")).unwrap();
    fs::write(desk.to().join("blobs/.partial-1"), "x").unwrap();
    desk.back_up();
    let is_left = |path: &PathBuf| path.to_string_lossy().contains("partial");
    assert!(!below(&desk.to()).iter().any(is_left));
    assert!(matches!(
        verify(&desk.to(), Some("x")),
        Err(Error::NoSnapshot { known, .. }) if known.len() == 2
    ));
}

#[test]
fn blobs_in_a_bucket_are_said_to_be_missing_and_looked_for_there() {
    let desk = Desk::new();
    let source = Source {
        blobs: Blobs::Elsewhere("s3://bucket/prefix".to_owned()),
        ..desk.source()
    };
    let helve = "0".to_owned();
    let made = back_up(&source, &desk.to(), &Options { helve, keep: 1 }).unwrap();
    assert_eq!(made.manifest.blobs_elsewhere.as_deref(), Some("s3://bucket/prefix"));
    restore(&desk.to(), None, &desk.restored()).unwrap();
    let place = fs::read_to_string(desk.restored().join("blobs.place")).unwrap();
    assert_eq!(place, "s3://bucket/prefix\n");
    assert!(!desk.restored().join("blobs").exists());
}
