//! Trees, stores and archives to test with.
#![allow(dead_code)] // each test program uses its own part

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use helve_blobs::{BlobId, BlobStore, Control, PackError, PackOptions, Packed, UnpackError, UnpackLimits, Unpacked};
use tempfile::TempDir;

/// A directory that goes away, with a store and a place for a tree in it.
pub(crate) struct Sandbox {
    dir: TempDir,
    pub(crate) store: BlobStore,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path().join("store")).unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        Sandbox { dir, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory to pack.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    /// Writes a file below the tree, and the directories on the way to it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn pack(&self) -> Packed {
        self.try_pack(&PackOptions::default()).unwrap()
    }

    pub(crate) fn try_pack(&self, options: &PackOptions) -> Result<Packed, PackError> {
        helve_blobs::pack(&self.tree(), options, &self.store, &Control::none())
    }

    pub(crate) fn try_unpack(&self, id: &BlobId, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        helve_blobs::unpack(&self.store, id, &self.path("workspace"), limits, &Control::none())
    }

    /// Everything that packing took: path to content, directories end in a slash, links begin with an arrow.
    pub(crate) fn taken(&self, packed: &Packed) -> BTreeMap<String, String> {
        let dest = self.path("workspace");
        let _ = fs::remove_dir_all(&dest);
        self.try_unpack(&packed.id, &UnpackLimits::default()).unwrap();
        contents(&dest)
    }

    /// The files that packing took.
    pub(crate) fn taken_files(&self, packed: &Packed) -> Vec<String> {
        self.taken(packed)
            .into_keys()
            .filter(|path| !path.ends_with('/'))
            .collect()
    }

    /// Stores a hand-made archive.
    pub(crate) fn store_archive(&self, tar: &[u8]) -> BlobId {
        self.store.put_bytes(&zstd::encode_all(tar, 1).unwrap()).unwrap().id
    }

    /// What lies beside the workspace: nothing must be left there.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "store" && name != "tree").collect()
    }
}

pub(crate) fn contents(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    collect(root, root, &mut all);
    all
}

fn collect(root: &Path, dir: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            all.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
        } else if kind.is_dir() {
            all.insert(format!("{name}/"), String::new());
            collect(root, &path, all);
        } else {
            all.insert(name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
        }
    }
}

/// Writes archives as an attacker would: no checks.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn entry(mut self, kind: u8, name: &[u8], link: &[u8], size: u64, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o644);
        header.set_size(size);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.write_all(header.as_bytes()).unwrap();
        self.0.write_all(content).unwrap();
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.entry(b'0', name.as_bytes(), b"", content.len() as u64, content.as_bytes())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.entry(b'5', name.as_bytes(), b"", 0, b"")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name.as_bytes(), target.as_bytes(), 0, b"")
    }

    pub(crate) fn long_name(self, name: &str) -> Self {
        let content = [name.as_bytes(), b"\0"].concat();
        self.entry(b'L', b"././@LongLink", b"", content.len() as u64, &content)
    }

    /// The archive without its end mark.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}
