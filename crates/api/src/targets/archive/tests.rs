//! Archives that mean harm.

use super::*;

/// An archive with paths that the library itself would refuse to write.
fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name_literal("/etc").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn laid_out(bytes: &[u8], format: Format, limits: &UnpackLimits) -> (tempfile::TempDir, Result<Left, ArchiveError>) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("data"), bytes).unwrap();
    let dest = dir.path().join("content");
    fs::create_dir(&dest).unwrap();
    let file = fs::File::open(dir.path().join("data")).unwrap();
    let left = lay_out(file, format, &dest, limits, &AtomicBool::new(false));
    (dir, left)
}

#[test]
fn nothing_is_written_outside_and_no_link_is_made_or_followed() {
    use tar::EntryType::{Regular, Symlink};
    let bytes = archive(&[
        ("../evil", Regular, b"x"),
        ("/abs", Regular, b"x"),
        ("a/../../evil", Regular, b"x"),
        ("link", Symlink, b""),
        ("link/passwd", Regular, b"x"),
        ("src/main.py", Regular, b"print(1)"),
        ("src/main.py", Regular, b"again"),
        ("src", Regular, b"x"),
    ]);
    let (dir, left) = laid_out(&bytes, Format::Tar, &UnpackLimits::default());
    assert_eq!(left.unwrap().total, 6);
    let content = dir.path().join("content");
    assert_eq!(fs::read(content.join("src/main.py")).unwrap(), b"print(1)");
    assert!(content.join("link").is_dir(), "a directory of its own");
    let mut beside: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["content", "data"]);
}

#[test]
fn a_bomb_goes_off_nowhere() {
    let limits = UnpackLimits {
        ratio: 10,
        ratio_floor: 1 << 20,
        ..UnpackLimits::default()
    };
    let tar = archive(&[("zeros", tar::EntryType::Regular, &vec![0; 4 << 20])]);
    let bomb = zstd::encode_all(&tar[..], 19).unwrap();
    let (_dir, left) = laid_out(&bomb, Format::TarZst, &limits);
    assert!(matches!(left, Err(ArchiveError::TooMuch(_))), "{left:?}");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    for (bytes, format) in [
        (&b"not an archive at all"[..], Format::Tar),
        (b"", Format::Tar),
        (b"x", Format::TarGz),
        (b"x", Format::TarZst),
    ] {
        let (_dir, left) = laid_out(bytes, format, &UnpackLimits::default());
        assert!(matches!(left, Err(ArchiveError::Malformed(_))), "{format:?}: {left:?}");
    }
}

#[test]
fn an_archive_that_ends_too_soon_is_refused() {
    let tar = archive(&[("a", tar::EntryType::Regular, &[7; 5000])]);
    let (_dir, left) = laid_out(&tar[..2000], Format::Tar, &UnpackLimits::default());
    assert!(matches!(left, Err(ArchiveError::Malformed(_))), "{left:?}");
}

/// Entries whose content has this size, and is zeros.
struct Zeros {
    kind: tar::EntryType,
    size: u64,
}

/// An archive of them, compressed, that never was in memory as a whole.
fn bomb(of: &[Zeros]) -> Vec<u8> {
    let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).unwrap());
    for Zeros { kind, size } in of {
        let mut header = tar::Header::new_gnu();
        header.set_path("zeros").unwrap();
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, io::repeat(0).take(*size)).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn headers_that_would_fill_the_memory_are_refused_before_they_are_read() {
    use tar::EntryType::{GNULongLink, GNULongName, Regular, XHeader};
    for kind in [GNULongName, GNULongLink, XHeader] {
        let size = 64 << 20;
        let bytes = bomb(&[Zeros { kind, size }, Zeros { kind: Regular, size: 1 }]);
        let (_dir, left) = laid_out(&bytes, Format::TarZst, &UnpackLimits::default());
        let error = left.unwrap_err();
        assert!(matches!(error, ArchiveError::TooMuch(_)), "{kind:?}: {error}");
        assert!(error.to_string().contains("names and attributes"), "{kind:?}: {error}");
    }
}

#[test]
fn what_is_not_allowed_is_not_read() {
    let allowance = Cell::new(1000);
    let mut allowed = Allowed {
        inner: io::repeat(0),
        allowance: &allowance,
    };
    let mut read = Vec::new();
    assert!(allowed.read_to_end(&mut read).is_err());
    assert_eq!(read.len(), 1000);
    allowance.set(1);
    assert_eq!(allowed.read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn names_and_attributes_of_a_useful_size_are_taken_and_content_that_is_not_taken_is_no_header() {
    use tar::EntryType::{Fifo, Regular, XGlobalHeader};
    let long = format!("{}/file", ["directory"; 40].join("/"));
    let mut builder = tar::Builder::new(Vec::new());
    let attribute = vec![b'x'; 500_000];
    builder
        .append_pax_extensions([("comment", attribute.as_slice())])
        .unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let (dir, left) = laid_out(&bytes, Format::Tar, &UnpackLimits::default());
    assert_eq!(left.unwrap(), Left::default());
    assert_eq!(fs::read(dir.path().join("content").join(&long)).unwrap(), b"abc");

    let size = 8 << 20;
    let bytes = bomb(&[
        Zeros { kind: Fifo, size },
        Zeros {
            kind: XGlobalHeader,
            size,
        },
        Zeros { kind: Regular, size: 1 },
    ]);
    let (dir, left) = laid_out(&bytes, Format::TarZst, &UnpackLimits::default());
    assert_eq!(left.unwrap().total, 1, "the pipe");
    assert_eq!(fs::read(dir.path().join("content/zeros")).unwrap(), [0]);
}

fn deep(entries: usize) -> Vec<u8> {
    let paths: Vec<String> = (0..entries)
        .map(|number| format!("{number}{}", "/a".repeat(45)))
        .collect();
    let entries: Vec<_> = paths
        .iter()
        .map(|path| (path.as_str(), tar::EntryType::Regular, &b"x"[..]))
        .collect();
    archive(&entries)
}

#[test]
fn directories_that_no_entry_names_count_and_do_not_outnumber_the_entries() {
    let limits = UnpackLimits {
        entries: 200,
        ..UnpackLimits::default()
    };
    let (_dir, left) = laid_out(&deep(4), Format::Tar, &limits);
    assert_eq!(left.unwrap(), Left::default());
    let (_dir, left) = laid_out(&deep(5), Format::Tar, &limits);
    assert!(matches!(left, Err(ArchiveError::TooMuch(_))), "{left:?}");

    let (dir, left) = laid_out(&deep(1000), Format::Tar, &UnpackLimits::default());
    let error = left.unwrap_err().to_string();
    assert!(error.contains("directories on the way"), "{error}");
    let laid_out = fs::read_dir(dir.path().join("content")).unwrap().count();
    assert!(laid_out < 300, "{laid_out} of 1000");
}

#[test]
fn laying_out_ends_when_its_time_is_over_and_when_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::write(&data, deep(4)).unwrap();
    let limits = UnpackLimits::default();
    let lay_out = |within, stop| {
        let dest = tempfile::tempdir().unwrap();
        let file = fs::File::open(&data).unwrap();
        lay_out_within(within, file, Format::Tar, dest.path(), &limits, &AtomicBool::new(stop))
    };
    assert_eq!(lay_out(WITHIN, false).unwrap(), Left::default());
    let late = lay_out(Duration::ZERO, false);
    assert!(matches!(late, Err(ArchiveError::TooMuch(_))), "{late:?}");
    let left = lay_out(WITHIN, true);
    assert!(matches!(left, Err(ArchiveError::Stopped)), "{left:?}");
}
