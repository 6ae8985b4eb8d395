//! Packing takes what it should, says what it did not take, and gives the same id for the same tree.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use common::Sandbox;
use helve_blobs::{Control, PackError, PackLimits, PackOptions, Progress, UnpackLimits, pack};
use proptest::prelude::*;

fn everything() -> PackOptions {
    PackOptions {
        ignore_files: false,
        ..PackOptions::default()
    }
}

fn reasons(packed: &helve_blobs::Packed) -> BTreeMap<&str, &str> {
    packed
        .skipped
        .iter()
        .map(|skipped| (skipped.path.as_str(), skipped.reason.as_str()))
        .collect()
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let sandbox = Sandbox::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    sandbox
        .write("a.txt", "hello")
        .write("dir/b", "")
        .write(&long, "long")
        .write("big", "x".repeat(400_000));
    fs::create_dir(sandbox.tree().join("empty")).unwrap();
    let packed = sandbox.pack();
    assert_eq!((packed.files, packed.bytes, packed.skipped_total), (4, 400_009, 0));
    assert_eq!(packed.name, "tree");
    assert_eq!(sandbox.taken(&packed), common::contents(&sandbox.tree()));
    let manifest = sandbox.store.target(&packed.id).unwrap();
    assert_eq!(
        (manifest.files, manifest.bytes, manifest.packed_bytes),
        (4, 400_009, packed.packed_bytes)
    );
}

#[test]
fn a_few_files_can_be_read_without_laying_the_target_out() {
    let sandbox = Sandbox::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    sandbox
        .write("a.txt", "hello")
        .write("dir/b", "b")
        .write(&long, "long")
        .write("dir/big", "x".repeat(2_000));
    let id = sandbox.pack().id;
    let read = |id, wanted: &[&str]| {
        let mut taken = Vec::new();
        let peeked = helve_blobs::peek(
            &sandbox.store,
            id,
            &UnpackLimits::default(),
            1_000,
            &Control::none(),
            &|path| wanted.contains(&path),
            &mut |path, content| taken.push((path.to_owned(), content.map(<[u8]>::to_vec))),
        );
        (peeked, taken)
    };
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let (peeked, taken) = read(&id, &["a.txt", "dir/big", &long, "gone"]);
    peeked.unwrap();
    assert_eq!(
        taken,
        [
            ("a.txt".to_owned(), some("hello")),
            (long.clone(), some("long")),
            ("dir/big".to_owned(), None)
        ]
    );
    let no_target = sandbox.store.put_bytes(b"something else").unwrap().id;
    let (peeked, taken) = read(&no_target, &["a.txt"]);
    assert!(peeked.is_err() && taken.is_empty());
}

#[test]
fn a_single_file_is_a_target() {
    let sandbox = Sandbox::new();
    sandbox.write("app.py", "print()").write(".gitignore", "*");
    let packed = pack(
        &sandbox.tree().join("app.py"),
        &PackOptions::default(),
        &sandbox.store,
        &Control::none(),
    )
    .unwrap();
    assert_eq!((packed.name.as_str(), packed.files), ("app.py", 1));
    assert_eq!(sandbox.taken_files(&packed), ["app.py"]);
}

#[test]
fn an_empty_directory_is_a_target() {
    let sandbox = Sandbox::new();
    let packed = sandbox.pack();
    assert_eq!(packed.files, 0);
    assert!(sandbox.taken(&packed).is_empty());
}

/// What ignore files make of a tree: name, ignore files, entries, and those of them that are taken.
type IgnoreCase<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

#[test]
fn ignore_files_are_honoured_as_git_does() {
    let table: &[IgnoreCase<'_>] = &[
        (
            "a pattern",
            &[(".gitignore", "*.log")],
            &["a.log", "b/c.log", "d"],
            &["d"],
        ),
        (
            "an anchored pattern",
            &[(".gitignore", "/out")],
            &["out/x", "src/out/x"],
            &["src/out/x"],
        ),
        (
            "a directory pattern",
            &[(".gitignore", "out/")],
            &["out/x", "src/out"],
            &["src/out"],
        ),
        (
            "a negation",
            &[(".gitignore", "*.log\n!keep.log")],
            &["a.log", "keep.log"],
            &["keep.log"],
        ),
        (
            "no negation below an ignored directory",
            &[(".gitignore", "out/\n!out/keep")],
            &["out/keep", "a"],
            &["a"],
        ),
        (
            "a deeper file wins",
            &[(".gitignore", "*.log"), ("sub/.gitignore", "!*.log")],
            &["sub/a.log", "a.log"],
            &["sub/a.log"],
        ),
        (
            ".ignore wins over .gitignore",
            &[(".gitignore", "a"), (".ignore", "!a\nb")],
            &["a", "b"],
            &["a"],
        ),
        (
            ".helveignore wins over all",
            &[(".ignore", "a"), (".helveignore", "!a\nb")],
            &["a", "b"],
            &["a"],
        ),
        (
            "a double star",
            &[(".gitignore", "a/**/z")],
            &["a/z", "a/b/z", "a/b/y"],
            &["a/b/y"],
        ),
        ("a comment", &[(".gitignore", "# b\n\\#c")], &["b", "#c"], &["b"]),
        (
            "a broken pattern excludes nothing",
            &[(".gitignore", "[z-a")],
            &["a", "z"],
            &["a", "z"],
        ),
        (
            "hidden files are ordinary",
            &[],
            &[".hidden", ".github/workflows/ci.yml"],
            &[".github/workflows/ci.yml", ".hidden"],
        ),
        (
            "version control",
            &[],
            &[".git/config", ".hg/x", "sub/.git", "sub/a"],
            &["sub/a"],
        ),
    ];
    for (name, ignore_files, entries, expected) in table {
        let sandbox = Sandbox::new();
        for (path, text) in entries
            .iter()
            .map(|path| (path, &"x"))
            .chain(ignore_files.iter().map(|(p, t)| (p, t)))
        {
            sandbox.write(path, text);
        }
        let packed = sandbox.pack();
        let mut taken = sandbox.taken_files(&packed);
        taken.retain(|path| !path.ends_with("ignore"));
        assert_eq!(taken, *expected, "{name}");
        assert!(
            packed.skipped.is_empty() && packed.forced.is_empty(),
            "{name}: {packed:?}"
        );

        let all = sandbox.try_pack(&everything()).unwrap();
        let mut taken = sandbox.taken_files(&all);
        taken.retain(|path| !path.ends_with("ignore"));
        let mut entries = entries.to_vec();
        entries.sort_unstable();
        assert_eq!(taken, entries, "{name}: without ignore files everything is taken");
        assert_eq!(all.ignored, 0);
    }
}

#[test]
fn ignored_entries_are_counted_a_directory_once() {
    let sandbox = Sandbox::new();
    sandbox
        .write(".gitignore", "out/\n*.log")
        .write("out/a", "")
        .write("out/b/c", "")
        .write("x.log", "");
    assert_eq!(sandbox.pack().ignored, 2);
}

#[test]
fn ignored_files_that_hold_secrets_are_taken_and_reported() {
    let sandbox = Sandbox::new();
    sandbox
        .write(".gitignore", ".env*\n*.pem\nlocal/\nnode_modules/\n")
        .write(".env", "KEY=1")
        .write("app/.env.production", "KEY=2")
        .write("tls/server.pem", "-----")
        .write("local/deep/credentials.json", "{}")
        .write("local/deep/notes.txt", "ignored")
        .write("local/other/readme.txt", "ignored")
        .write("node_modules/x/.env", "ignored")
        .write("local/node_modules/x/.env", "ignored");
    let packed = sandbox.pack();
    let forced = [
        ".env",
        "app/.env.production",
        "local/deep/credentials.json",
        "tls/server.pem",
    ];
    assert_eq!(packed.forced, forced);
    assert_eq!(packed.forced_total, 4);
    let taken = sandbox.taken(&packed);
    let mut expected: Vec<&str> = forced.to_vec();
    expected.extend([".gitignore", "app/", "local/", "local/deep/", "tls/"]);
    expected.sort_unstable();
    assert_eq!(
        taken.keys().collect::<Vec<_>>(),
        expected,
        "no more of the ignored directories than needed"
    );
}

#[test]
fn helveignore_excludes_even_files_that_hold_secrets() {
    let sandbox = Sandbox::new();
    sandbox
        .write(".gitignore", ".env")
        .write(".helveignore", ".env\nfixtures/")
        .write(".env", "")
        .write("fixtures/a.pem", "");
    let packed = sandbox.pack();
    assert!(packed.forced.is_empty());
    assert_eq!(sandbox.taken_files(&packed), [".gitignore", ".helveignore"]);
}

#[test]
fn a_file_that_holds_secrets_and_is_not_ignored_is_not_called_forced() {
    let sandbox = Sandbox::new();
    assert!(sandbox.write(".env", "KEY=1").pack().forced.is_empty());
}

#[test]
fn ignore_files_above_the_target_count_up_to_its_repository() {
    let sandbox = Sandbox::new();
    sandbox
        .write("outside/.gitignore", "*.txt")
        .write("outside/repo/.git/HEAD", "ref: refs/heads/main")
        .write("outside/repo/.gitignore", "*.log")
        .write("outside/repo/app/a.log", "")
        .write("outside/repo/app/b.txt", "");
    let app = sandbox.tree().join("outside/repo/app");
    let packed = pack(&app, &PackOptions::default(), &sandbox.store, &Control::none()).unwrap();
    assert_eq!(sandbox.taken_files(&packed), ["b.txt"]);
}

#[test]
fn an_ignored_directory_that_is_named_as_the_target_is_packed() {
    let sandbox = Sandbox::new();
    sandbox
        .write(".git/HEAD", "")
        .write(".gitignore", "vendored/**\nvendored/\n")
        .write("vendored/lib/a.c", "");
    for target in ["vendored", "vendored/lib"] {
        let packed = pack(
            &sandbox.tree().join(target),
            &PackOptions::default(),
            &sandbox.store,
            &Control::none(),
        );
        assert_eq!(packed.unwrap().files, 1, "{target}");
    }
}

#[test]
fn ids_do_not_depend_on_place_time_owner_or_creation_order() {
    let (one, two) = (Sandbox::new(), Sandbox::new());
    one.write("a/x", "1").write("b", "2").write("a.txt", "3");
    two.write("a.txt", "3").write("b", "2").write("a/x", "1");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options()
        .write(true)
        .open(two.tree().join("b"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    assert_eq!(one.pack().id, two.pack().id);
    two.write("b", "other");
    assert_ne!(one.pack().id, two.pack().id);
}

/// A change here means that every known target gets a new id: it may fail only on purpose, or with a new compressor.
#[test]
fn the_archive_format_does_not_change() {
    let sandbox = Sandbox::new();
    sandbox.write("dir/file", "hello\n").write("z", "");
    assert_eq!(
        sandbox.pack().id.to_hex(),
        "1e0b9b010b43b8f9d44d00b19258a177b752d7f8538f6d4ff54fb9e113570471"
    );
}

#[test]
fn a_known_target_whose_blob_is_gone_is_packed_again() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1");
    let packed = sandbox.pack();
    sandbox.store.remove(&packed.id).unwrap();
    assert!(!sandbox.pack().reused);
    assert!(sandbox.store.contains(&packed.id).unwrap());
}

#[test]
fn a_missing_target_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    for path in ["nowhere", "file/below"] {
        let path = sandbox.tree().join(path);
        let error = pack(&path, &PackOptions::default(), &sandbox.store, &Control::none()).unwrap_err();
        assert!(matches!(error, PackError::NotFound(_)), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_file_that_would_look_like_a_bomb_is_named_before_all_of_it_was_read() {
    const SIZE: u64 = 2 << 30;
    let sandbox = Sandbox::new();
    sandbox
        .write("a", "text")
        .write("images/disk.img", "")
        .write("z", "text");
    let image = fs::File::options()
        .write(true)
        .open(sandbox.tree().join("images/disk.img"));
    image.unwrap().set_len(SIZE).unwrap();
    let read = AtomicU64::new(0);
    let progress = |progress: Progress| read.store(progress.bytes, Ordering::Relaxed);
    let options = PackOptions {
        limits: PackLimits {
            ratio_floor: 1 << 20,
            ..PackLimits::default()
        },
        ..PackOptions::default()
    };
    let never = AtomicBool::new(false);
    let error = pack(
        &sandbox.tree(),
        &options,
        &sandbox.store,
        &Control::new(&progress, &never),
    )
    .unwrap_err();
    assert!(matches!(error, PackError::TooLarge { .. }), "{error}");
    assert!(
        error.to_string().contains("images/disk.img has more than 1000 bytes"),
        "{error}"
    );
    assert!(read.load(Ordering::Relaxed) < SIZE / 4, "it was refused late");
}

#[test]
fn targets_beyond_a_limit_are_refused_with_advice() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "12345").write("b", "12345");
    let with = |limits| PackOptions {
        limits,
        ..PackOptions::default()
    };
    for limits in [
        PackLimits {
            entries: 1,
            ..PackLimits::default()
        },
        PackLimits {
            total_bytes: 9,
            ..PackLimits::default()
        },
        PackLimits {
            ratio: 0,
            ratio_floor: 5,
            ..PackLimits::default()
        },
    ] {
        let error = sandbox.try_pack(&with(limits)).unwrap_err();
        assert!(matches!(error, PackError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains(".helveignore"), "{error}");
    }
    let packed = sandbox
        .try_pack(&with(PackLimits {
            file_bytes: 4,
            ..PackLimits::default()
        }))
        .unwrap();
    assert_eq!(packed.skipped_total, 2, "single large files are left out and reported");
}

#[test]
fn what_is_too_deep_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("a/b/c", "x").write("a/d", "y");
    let limits = PackLimits {
        depth: 2,
        ..PackLimits::default()
    };
    let packed = sandbox
        .try_pack(&PackOptions {
            limits,
            ..PackOptions::default()
        })
        .unwrap();
    assert_eq!(reasons(&packed).keys().collect::<Vec<_>>(), [&"a/b/c"]);
}

#[test]
fn packing_stops_when_cancelled_and_stores_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1").write("b", "x".repeat(500_000));
    let cancelled = AtomicBool::new(false);
    let stop_at_first = |_| cancelled.store(true, Ordering::Relaxed);
    let control = Control::new(&stop_at_first, &cancelled);
    let result = pack(&sandbox.tree(), &PackOptions::default(), &sandbox.store, &control);
    assert!(matches!(result, Err(PackError::Cancelled)), "{result:?}");
    assert_eq!(fs::read_dir(sandbox.store.dir().join("tmp")).unwrap().count(), 0);
}

#[test]
fn progress_ends_at_the_totals() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1").write("b", "x".repeat(500_000));
    let (files, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let note = |progress: helve_blobs::Progress| {
        files.store(progress.files, Ordering::Relaxed);
        bytes.store(progress.bytes, Ordering::Relaxed);
    };
    let packed = pack(
        &sandbox.tree(),
        &PackOptions::default(),
        &sandbox.store,
        &Control::new(&note, &AtomicBool::new(false)),
    );
    let packed = packed.unwrap();
    assert_eq!((files.into_inner(), bytes.into_inner()), (packed.files, packed.bytes));
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn links_inside_the_tree_stay_links_and_others_are_reported() {
        let sandbox = Sandbox::new();
        sandbox.write("a", "1").write("dir/b", "2");
        let link = |target: &str, path: &str| symlink(target, sandbox.tree().join(path)).unwrap();
        link("a", "inside");
        link("../a", "dir/up");
        link("dir", "dirlink");
        link("nowhere", "dangling");
        link("/etc/passwd", "absolute");
        link("../../etc", "dir/outside");
        link("dirlink/../../x", "chain");
        let packed = sandbox.pack();
        let reported: Vec<&str> = reasons(&packed).into_keys().collect();
        assert_eq!(reported, ["absolute", "chain", "dir/outside"]);
        let taken = sandbox.taken(&packed);
        assert_eq!(taken["inside"], "-> a");
        assert_eq!(taken["dir/up"], "-> ../a");
        assert_eq!(taken["dirlink"], "-> dir");
        assert_eq!(taken["dangling"], "-> nowhere");
        assert!(!taken.contains_key("absolute"));
    }

    #[test]
    fn sockets_and_fifos_are_reported() {
        let sandbox = Sandbox::new();
        let _socket = UnixListener::bind(sandbox.tree().join("socket")).unwrap();
        let fifo = sandbox.tree().join("fifo");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let packed = sandbox.pack();
        assert_eq!(
            reasons(&packed),
            BTreeMap::from([("fifo", "it is a FIFO"), ("socket", "it is a socket")])
        );
        let error = pack(&fifo, &PackOptions::default(), &sandbox.store, &Control::none()).unwrap_err();
        assert!(matches!(error, PackError::NotAFileOrDirectory(_)), "{error}");
    }

    #[test]
    fn the_executable_bit_is_kept_and_other_modes_are_not() {
        let sandbox = Sandbox::new();
        sandbox.write("run", "").write("odd", "");
        let set = |path: &str, mode| fs::set_permissions(sandbox.tree().join(path), PermissionsExt::from_mode(mode));
        set("run", 0o4711).unwrap();
        set("odd", 0o666).unwrap();
        sandbox.taken(&sandbox.pack());
        let mode = |path: &str| {
            fs::metadata(sandbox.path("workspace").join(path))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("run") & 0o100, 0o100);
        assert_eq!(mode("run") & 0o7000, 0);
        assert_eq!(mode("odd") & 0o111, 0);
    }

    #[test]
    fn names_that_are_not_text_survive_short_and_long() {
        let sandbox = Sandbox::new();
        let long = [&[0xff; 120][..], b"x"].concat();
        let names = [&b"short\xff\xfe"[..], &long];
        for name in names {
            fs::write(sandbox.tree().join(OsStr::from_bytes(name)), "x").unwrap();
        }
        symlink(OsStr::from_bytes(&long), sandbox.tree().join("link")).unwrap();
        let packed = sandbox.pack();
        assert_eq!(packed.files, 2);
        sandbox.taken(&packed);
        for name in names {
            assert!(sandbox.path("workspace").join(OsStr::from_bytes(name)).is_file());
        }
        assert_eq!(
            fs::read_link(sandbox.path("workspace/link"))
                .unwrap()
                .as_os_str()
                .as_bytes(),
            long
        );
    }

    #[test]
    fn unreadable_files_and_directories_are_reported() {
        let sandbox = Sandbox::new();
        sandbox.write("secret", "x").write("closed/a", "x").write("open", "x");
        let set = |path: &str, mode| fs::set_permissions(sandbox.tree().join(path), PermissionsExt::from_mode(mode));
        set("secret", 0o000).unwrap();
        set("closed", 0o000).unwrap();
        if File::open(sandbox.tree().join("secret")).is_ok() {
            return; // the superuser reads everything, so nothing is unreadable here
        }
        let packed = sandbox.pack();
        assert_eq!(reasons(&packed).keys().collect::<Vec<_>>(), [&"closed", &"secret"]);
        assert_eq!(packed.files, 1);
        let closed = pack(
            &sandbox.tree().join("closed"),
            &PackOptions::default(),
            &sandbox.store,
            &Control::none(),
        );
        assert!(matches!(closed, Err(PackError::PermissionDenied(_))));
        set("closed", 0o755).unwrap();
    }

    #[test]
    fn a_link_named_as_the_target_is_followed() {
        let sandbox = Sandbox::new();
        sandbox.write("a", "1");
        symlink(sandbox.tree(), sandbox.path("way")).unwrap();
        let packed = pack(
            &sandbox.path("way"),
            &PackOptions::default(),
            &sandbox.store,
            &Control::none(),
        )
        .unwrap();
        assert_eq!((packed.id, packed.name.as_str()), (sandbox.pack().id, "tree"));
    }
}

/// Small trees: paths of few names, so that directories are shared.
fn any_tree() -> impl Strategy<Value = BTreeMap<String, String>> {
    let path = prop::collection::vec(
        prop::sample::select(vec!["a", "b", "a.txt", "Z", "ä", ".env", "-"]),
        1..4,
    );
    prop::collection::btree_map(path.prop_map(|parts| parts.join("/")), "[a-z]{0,40}", 0..10)
}

/// Writes what can be written: a name that is a file already cannot be a directory.
fn plant(root: &Path, files: impl Iterator<Item = (String, String)>) {
    for (path, content) in files {
        let path = root.join(path);
        if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir() {
            let _ = fs::write(path, content);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_comes_back_and_has_one_id(tree in any_tree()) {
        let (one, two) = (Sandbox::new(), Sandbox::new());
        plant(&one.tree(), tree.clone().into_iter());
        let packed = one.pack();
        let taken = one.taken(&packed);
        prop_assert_eq!(&taken, &common::contents(&one.tree()));

        let files = taken.into_iter().rev().filter(|(path, _)| !path.ends_with('/'));
        plant(&two.tree(), files);
        for dir in common::contents(&one.tree()).keys().filter(|path| path.ends_with('/')) {
            fs::create_dir_all(two.tree().join(dir)).unwrap();
        }
        prop_assert_eq!(packed.id, two.pack().id);
    }
}
