//! What the store gives back is what it was given, or an error.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use common::Sandbox;
use helve_blobs::{BlobId, BlobStore, StoreError};

fn path_of(store: &BlobStore, id: &BlobId) -> std::path::PathBuf {
    let hex = id.to_hex();
    store.dir().join(&hex[..2]).join(hex)
}

fn in_tmp(store: &BlobStore) -> usize {
    fs::read_dir(store.dir().join("tmp")).unwrap().count()
}

#[test]
fn bytes_come_back_under_their_hash() {
    let store = Sandbox::new().store;
    let blob = store.put_bytes(b"hello");
    // The directory is gone with the sandbox: the error names it.
    assert!(blob.unwrap_err().to_string().contains("store"));

    let sandbox = Sandbox::new();
    let blob = sandbox.store.put_bytes(b"hello").unwrap();
    assert_eq!(blob.id, BlobId::of(b"hello"));
    assert_eq!((blob.size, sandbox.store.size(&blob.id).unwrap()), (5, Some(5)));
    assert_eq!(sandbox.store.get(&blob.id).unwrap(), b"hello");
    assert_eq!(in_tmp(&sandbox.store), 0);
}

#[test]
fn a_file_and_a_stream_of_the_same_bytes_are_the_same_blob() {
    let sandbox = Sandbox::new();
    let bytes = vec![7; 1_000_000];
    fs::write(sandbox.path("file"), &bytes).unwrap();
    let from_file = sandbox.store.put_file(&sandbox.path("file")).unwrap();
    let mut writer = sandbox.store.writer().unwrap();
    bytes.chunks(999).for_each(|chunk| writer.write_all(chunk).unwrap());
    assert_eq!(writer.commit().unwrap(), from_file);
    assert_eq!(from_file, sandbox.store.put_bytes(&bytes).unwrap());
}

#[test]
fn an_id_survives_text_and_json() {
    let id = BlobId::of(b"hello");
    assert_eq!(id.to_string().parse::<BlobId>().unwrap(), id);
    assert_eq!(
        serde_json::from_str::<BlobId>(&serde_json::to_string(&id).unwrap()).unwrap(),
        id
    );
    assert!("../../etc/passwd".parse::<BlobId>().is_err());
    assert!("abc".parse::<BlobId>().is_err());
}

#[test]
fn a_missing_blob_is_named() {
    let sandbox = Sandbox::new();
    let error = sandbox.store.get(&BlobId::of(b"x")).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[test]
fn damaged_blobs_are_recognised_set_aside_and_replaced() {
    let damages: [fn(&mut Vec<u8>); 3] = [|bytes| bytes[3] ^= 1, |bytes| bytes.truncate(4), Vec::clear];
    for damage in damages {
        let sandbox = Sandbox::new();
        let blob = sandbox.store.put_bytes(b"important").unwrap();
        let mut bytes = b"important".to_vec();
        damage(&mut bytes);
        fs::write(path_of(&sandbox.store, &blob.id), &bytes).unwrap();

        let error = sandbox.store.get(&blob.id).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(
            !sandbox.store.contains(&blob.id).unwrap(),
            "a damaged blob counts as missing"
        );
        sandbox.store.put_bytes(b"important").unwrap();
        assert_eq!(sandbox.store.get(&blob.id).unwrap(), b"important");
    }
}

#[test]
fn storing_again_replaces_a_damaged_copy_that_nobody_read() {
    let sandbox = Sandbox::new();
    let blob = sandbox.store.put_bytes(b"important").unwrap();
    fs::write(path_of(&sandbox.store, &blob.id), b"imp0rtant").unwrap();
    sandbox.store.put_bytes(b"important").unwrap();
    assert_eq!(sandbox.store.get(&blob.id).unwrap(), b"important");
}

#[test]
fn a_streaming_reader_fails_at_the_end_of_a_damaged_blob() {
    let sandbox = Sandbox::new();
    let blob = sandbox.store.put_bytes(b"important").unwrap();
    fs::write(path_of(&sandbox.store, &blob.id), b"imp0rtant").unwrap();
    let mut reader = sandbox.store.reader(&blob.id).unwrap();
    assert!(reader.read_to_end(&mut Vec::new()).is_err());
    assert!(reader.verify().is_err(), "and keeps failing");
}

#[test]
fn a_blob_larger_than_the_reader_wants_is_refused() {
    let sandbox = Sandbox::new();
    let blob = sandbox.store.put_bytes(b"12345").unwrap();
    assert!(matches!(
        sandbox.store.get_limited(&blob.id, 4),
        Err(StoreError::TooLarge { size: 5, limit: 4, .. })
    ));
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let sandbox = Sandbox::new();
    let mut writer = sandbox.store.writer().unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert_eq!(in_tmp(&sandbox.store), 0);
}

#[test]
fn what_killed_writers_left_is_removed_once_it_is_old() {
    let sandbox = Sandbox::new();
    let tmp = sandbox.store.dir().join("tmp");
    for (name, age) in [("blob-old", 7200), ("blob-fresh", 5)] {
        let file = File::create(tmp.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    BlobStore::open(sandbox.store.dir()).unwrap();
    assert!(!tmp.join("blob-old").exists());
    assert!(tmp.join("blob-fresh").exists(), "somebody may still be writing it");
}

#[test]
fn concurrent_writers_of_one_blob_all_succeed() {
    let sandbox = Sandbox::new();
    let bytes = vec![42; 300_000];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let store = BlobStore::open(sandbox.store.dir()).unwrap();
            let bytes = &bytes;
            scope.spawn(move || {
                for _ in 0..5 {
                    let blob = store.put_bytes(bytes).unwrap();
                    assert_eq!(store.get(&blob.id).unwrap(), *bytes);
                    let mut writer = store.writer().unwrap();
                    writer.write_all(bytes).unwrap();
                    assert_eq!(writer.commit().unwrap(), blob);
                }
            });
        }
    });
    assert_eq!(in_tmp(&sandbox.store), 0);
}

#[test]
fn removing_a_blob_twice_is_no_error() {
    let sandbox = Sandbox::new();
    let blob = sandbox.store.put_bytes(b"x").unwrap();
    sandbox.store.remove(&blob.id).unwrap();
    sandbox.store.remove(&blob.id).unwrap();
    assert!(!sandbox.store.contains(&blob.id).unwrap());
}

#[test]
fn a_store_that_cannot_be_made_is_named() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "").unwrap();
    let error = BlobStore::open(sandbox.path("file")).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
}
