//! A hostile archive is refused with the reason, and leaves nothing behind.

mod common;

use std::fs;
use std::sync::atomic::AtomicBool;

use common::{Sandbox, Tar, contents};
use helve_blobs::{Control, Refusal, StoreError, UnpackError, UnpackLimits, unpack};

/// Unpacks a hand-made archive that must be refused, and returns the reason.
fn refusal_within(tar: &[u8], limits: &UnpackLimits) -> Refusal {
    let sandbox = Sandbox::new();
    let id = sandbox.store_archive(tar);
    let error = sandbox.try_unpack(&id, limits).unwrap_err();
    assert_eq!(
        sandbox.leftovers(),
        Vec::<String>::new(),
        "a refused archive leaves nothing behind"
    );
    match error {
        UnpackError::Refused { reason, .. } => reason,
        other => panic!("not a refusal: {other}"),
    }
}

fn refusal(tar: &[u8]) -> Refusal {
    refusal_within(tar, &UnpackLimits::default())
}

fn not_a_target(blob: &[u8]) -> String {
    let sandbox = Sandbox::new();
    let id = sandbox.store.put_bytes(blob).unwrap().id;
    let error = sandbox.try_unpack(&id, &UnpackLimits::default()).unwrap_err();
    assert_eq!(sandbox.leftovers(), Vec::<String>::new());
    match error {
        UnpackError::NotATarget { detail, .. } => detail,
        other => panic!("not a broken target: {other}"),
    }
}

fn compress(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 1).unwrap()
}

#[test]
fn an_honest_hand_made_archive_is_laid_out() {
    let sandbox = Sandbox::new();
    let tar = Tar::default()
        .dir("a/")
        .file("a/b", "hello")
        .link("a/c", "b")
        .file("d", "")
        .end();
    let unpacked = sandbox
        .try_unpack(&sandbox.store_archive(&tar), &UnpackLimits::default())
        .unwrap();
    assert_eq!(
        (unpacked.files, unpacked.directories, unpacked.links, unpacked.bytes),
        (2, 1, 1, 5)
    );
    let laid_out: Vec<(String, String)> = contents(&sandbox.path("workspace")).into_iter().collect();
    let expected = [("a/", ""), ("a/b", "hello"), ("a/c", "-> b"), ("d", "")];
    assert_eq!(
        laid_out,
        expected.map(|(path, content)| (path.to_owned(), content.to_owned()))
    );
}

#[test]
fn absolute_paths_are_refused() {
    assert_eq!(
        refusal(&Tar::default().file("/etc/passwd", "x").end()),
        Refusal::AbsolutePath
    );
    let long = format!("/tmp/{}", "x".repeat(200));
    assert_eq!(
        refusal(&Tar::default().long_name(&long).file("x", "x").end()),
        Refusal::AbsolutePath
    );
}

#[test]
fn paths_that_climb_or_are_not_plain_are_refused() {
    for path in ["../x", "a/../x", "a/./x", "./x", ".", "..", "a//x", "a/", ""] {
        let reason = refusal(&Tar::default().file(path, "x").end());
        assert!(matches!(reason, Refusal::UnsafePath(_)), "{path}: {reason}");
    }
    for path in ["../", "a/../", "/"] {
        let reason = refusal(&Tar::default().dir(path).end());
        assert!(
            matches!(reason, Refusal::UnsafePath(_) | Refusal::AbsolutePath),
            "{path}: {reason}"
        );
    }
}

#[test]
fn a_zero_byte_hidden_in_a_long_name_is_refused() {
    let tar = Tar::default().long_name("harmless\0../../evil").file("x", "x").end();
    assert!(matches!(refusal(&tar), Refusal::UnsafePath(_)));
}

#[test]
fn links_that_leave_the_workspace_are_refused() {
    for target in ["/etc", "..", "../x", "a/../../x", ""] {
        let reason = refusal(&Tar::default().link("link", target).end());
        assert!(matches!(reason, Refusal::LinkLeavesWorkspace(_)), "{target}: {reason}");
    }
    let deep = Tar::default()
        .dir("a/")
        .link("a/ok", "../b")
        .link("a/zz", "../../b")
        .end();
    assert_eq!(refusal(&deep), Refusal::LinkLeavesWorkspace("../../b".to_owned()));
}

#[test]
fn a_chain_of_links_cannot_leave_the_workspace() {
    // Each hop stays inside as text, but `up/..` climbs from wherever `up` leads.
    let chain = Tar::default()
        .dir("a/")
        .dir("a/b/")
        .link("a/b/up", "../..")
        .link("escape", "a/b/up/../x")
        .end();
    assert!(matches!(refusal(&chain), Refusal::LinkLeavesWorkspace(_)));
}

#[test]
fn a_file_cannot_be_written_through_a_link() {
    let through = Tar::default()
        .dir("real/")
        .link("way", "real")
        .file("way/file", "x")
        .end();
    assert_eq!(refusal(&through), Refusal::ParentNotDirectory);
}

#[test]
fn a_link_cannot_be_replaced_by_a_file_or_a_file_by_a_link() {
    for tar in [
        Tar::default().link("a", "b").file("a", "x").end(),
        Tar::default().file("a", "x").link("a", "b").end(),
        Tar::default().dir("a/").link("a", "b").end(),
        Tar::default().link("a", "b").dir("a/").end(),
        Tar::default().file("a", "x").file("a", "y").end(),
        Tar::default().dir("a/").dir("a/").end(),
        Tar::default().file("b", "x").file("a", "y").end(),
    ] {
        assert_eq!(refusal(&tar), Refusal::DuplicateOrUnsorted);
    }
}

#[test]
fn a_file_is_no_parent_and_a_missing_directory_is_none_either() {
    for tar in [
        Tar::default().file("a", "x").file("a/b", "x").end(),
        Tar::default().file("a/b", "x").end(),
        Tar::default().dir("a/").dir("b/").file("a/x", "x").end(),
    ] {
        assert_eq!(refusal(&tar), Refusal::ParentNotDirectory);
    }
}

#[test]
fn hard_links_are_refused() {
    for target in ["/etc/passwd", "../x", "a"] {
        let tar = Tar::default()
            .file("a", "x")
            .entry(b'1', b"b", target.as_bytes(), 0, b"")
            .end();
        assert_eq!(refusal(&tar), Refusal::HardLink);
    }
}

#[test]
fn devices_fifos_and_extensions_are_refused() {
    for kind in *b"34679xgSMVA" {
        let reason = refusal(&Tar::default().entry(kind, b"dev", b"", 0, b"").end());
        assert!(matches!(reason, Refusal::UnsupportedKind(_)), "{kind}: {reason}");
    }
    let pax = Tar::default()
        .entry(b'x', b"pax", b"", 18, b"18 path=../escape\n")
        .file("a", "x")
        .end();
    assert!(matches!(refusal(&pax), Refusal::UnsupportedKind(_)));
}

#[test]
fn entries_without_content_that_announce_some_are_refused() {
    let tar = Tar::default().entry(b'5', b"a/", b"", 512, &[0; 512]).end();
    assert!(matches!(refusal(&tar), Refusal::Malformed(_)));
}

#[test]
fn two_long_names_for_one_entry_are_refused() {
    let tar = Tar::default().long_name("a").long_name("b").file("x", "x").end();
    assert!(matches!(refusal(&tar), Refusal::Malformed(_)));
}

#[test]
fn too_many_entries_are_refused() {
    let tar = Tar::default().file("a", "").file("b", "").file("c", "").end();
    let limits = UnpackLimits {
        entries: 2,
        ..UnpackLimits::default()
    };
    assert!(matches!(refusal_within(&tar, &limits), Refusal::Limit { limit: 2, .. }));
}

#[test]
fn a_file_larger_than_its_limit_is_refused_before_it_is_written() {
    // The announced size counts: the content need not even be there.
    let tar = Tar::default().entry(b'0', b"big", b"", 1 << 40, b"").end();
    assert!(matches!(
        refusal(&tar),
        Refusal::Limit {
            what: "bytes in one file",
            ..
        }
    ));
    let limits = UnpackLimits {
        total_bytes: 5,
        ..UnpackLimits::default()
    };
    let tar = Tar::default().file("a", "1234").file("b", "56").end();
    assert!(matches!(
        refusal_within(&tar, &limits),
        Refusal::Limit {
            what: "bytes in all files",
            limit: 5
        }
    ));
}

#[test]
fn a_decompression_bomb_is_refused_by_its_ratio() {
    let zeros = "\0".repeat(4 << 20);
    let tar = Tar::default().file("a", &zeros).file("b", &zeros).end();
    let limits = UnpackLimits {
        ratio: 100,
        ratio_floor: 1 << 20,
        ..UnpackLimits::default()
    };
    assert!(matches!(
        refusal_within(&tar, &limits),
        Refusal::Limit { limit: 100, .. }
    ));
}

#[test]
fn paths_that_are_too_deep_or_too_long_are_refused() {
    let limits = UnpackLimits {
        depth: 3,
        path_bytes: 200,
        ..UnpackLimits::default()
    };
    let deep = Tar::default().file("a/b/c/d", "x").end();
    assert!(matches!(
        refusal_within(&deep, &limits),
        Refusal::Limit {
            what: "parts in a path",
            ..
        }
    ));
    let long = Tar::default().long_name(&"x".repeat(202)).file("x", "x").end();
    assert!(matches!(
        refusal_within(&long, &limits),
        Refusal::Limit {
            what: "bytes in a path",
            ..
        }
    ));
}

#[test]
fn a_long_name_of_any_size_is_not_held_in_memory() {
    let tar = Tar::default().entry(b'L', b"././@LongLink", b"", 1 << 40, b"").end();
    assert!(matches!(
        refusal(&tar),
        Refusal::Limit {
            what: "bytes in a path",
            ..
        }
    ));
}

#[test]
fn archives_that_are_cut_short_or_go_on_are_not_targets() {
    let cut_inside_a_file = Tar::default().entry(b'0', b"a", b"", 4096, &[7; 512]).cut();
    assert!(!not_a_target(&compress(&cut_inside_a_file)).is_empty());
    let name_only = Tar::default().long_name("a").end();
    assert_eq!(
        not_a_target(&compress(&name_only)),
        "it ends after a name without its entry"
    );
    let goes_on = [Tar::default().file("a", "x").end(), Tar::default().file("b", "x").end()].concat();
    assert_eq!(not_a_target(&compress(&goes_on)), "data follows its end mark");
    let padded_without_end = [Tar::default().end(), vec![0; 1 << 20]].concat();
    assert_eq!(
        not_a_target(&compress(&padded_without_end)),
        "data follows its end mark"
    );
    not_a_target(b"not compressed at all");
    not_a_target(&compress(&[0xff; 2048]));
}

#[test]
fn a_compressed_stream_that_wants_much_memory_is_not_a_target() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    std::io::Write::write_all(&mut encoder, &Tar::default().file("a", "x").end()).unwrap();
    not_a_target(&encoder.finish().unwrap());
}

#[test]
fn a_damaged_target_is_recognised_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.write("a.txt", "hello ".repeat(10_000));
    let packed = sandbox.pack();
    let hex = packed.id.to_hex();
    let blob = sandbox.store.dir().join(&hex[..2]).join(&hex);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let error = sandbox.try_unpack(&packed.id, &UnpackLimits::default()).unwrap_err();
    assert!(
        matches!(error, UnpackError::Store(StoreError::Corrupt { .. })),
        "{error}"
    );
    assert_eq!(sandbox.leftovers(), Vec::<String>::new());

    let again = sandbox.pack();
    assert_eq!(again.id, packed.id);
    assert!(!again.reused, "a damaged target is packed anew");
    assert!(sandbox.try_unpack(&again.id, &UnpackLimits::default()).is_ok());
}

#[test]
fn a_target_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let id = helve_blobs::BlobId::of(b"nowhere");
    let error = sandbox.try_unpack(&id, &UnpackLimits::default()).unwrap_err();
    assert!(error.to_string().contains(&id.to_hex()), "{error}");
}

#[test]
fn a_destination_in_use_is_left_alone() {
    let sandbox = Sandbox::new();
    let id = sandbox.write("a", "x").pack().id;
    fs::create_dir(sandbox.path("workspace")).unwrap();
    fs::write(sandbox.path("workspace/precious"), "data").unwrap();
    let error = sandbox.try_unpack(&id, &UnpackLimits::default()).unwrap_err();
    assert!(matches!(error, UnpackError::DestinationInUse(_)), "{error}");
    assert_eq!(fs::read(sandbox.path("workspace/precious")).unwrap(), b"data");
}

#[test]
fn an_empty_destination_is_used() {
    let sandbox = Sandbox::new();
    let id = sandbox.write("a", "x").pack().id;
    fs::create_dir(sandbox.path("workspace")).unwrap();
    sandbox.try_unpack(&id, &UnpackLimits::default()).unwrap();
    assert_eq!(fs::read(sandbox.path("workspace/a")).unwrap(), b"x");
}

/// What a tool of the same user can do that finds the place where a target is laid out: it puts a link to a folder of its
/// choice where a directory was just made.
#[cfg(unix)]
#[test]
fn a_directory_that_becomes_a_link_while_unpacking_is_not_followed() {
    let sandbox = Sandbox::new();
    let tar = Tar::default().dir("a/").dir("a/b/").file("a/b/c", "stolen").end();
    let id = sandbox.store_archive(&tar);
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).unwrap();
    let swapped = AtomicBool::new(false);
    let swap = |_| {
        let staging = fs::read_dir(sandbox.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut directories = staging.map(|place| place.join("a/b"));
        if let Some(directory) = directories.find(|directory| directory.is_dir() && !directory.is_symlink()) {
            fs::remove_dir(&directory).unwrap();
            std::os::unix::fs::symlink(&outside, &directory).unwrap();
            swapped.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let never = AtomicBool::new(false);
    let control = Control::new(&swap, &never);
    let limits = UnpackLimits::default();
    let result = unpack(&sandbox.store, &id, &sandbox.path("workspace"), &limits, &control);
    assert!(swapped.into_inner(), "the test found the directory");
    assert!(result.is_err(), "{result:?}");
    assert_eq!(
        fs::read_dir(&outside).unwrap().count(),
        0,
        "nothing was written through the link"
    );
}

#[test]
fn a_cancelled_unpacking_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let id = sandbox.write("a", "x").write("b", "y").pack().id;
    let cancelled = AtomicBool::new(false);
    let stop_at_first = |_| cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    let control = Control::new(&stop_at_first, &cancelled);
    let result = unpack(
        &sandbox.store,
        &id,
        &sandbox.path("workspace"),
        &UnpackLimits::default(),
        &control,
    );
    assert!(matches!(result, Err(UnpackError::Cancelled)));
    assert_eq!(sandbox.leftovers(), Vec::<String>::new());
}
