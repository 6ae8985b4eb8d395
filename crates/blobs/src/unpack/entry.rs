//! One entry of an archive, parsed with distrust.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::UnpackLimits;
use crate::Refusal;
use crate::link::stays_inside;

/// An entry whose path and link target are known to be harmless.
#[derive(Debug)]
pub(super) struct Entry {
    /// The path's parts, as bytes in archive order.
    pub(super) parts: Vec<Vec<u8>>,
    /// The same below the workspace.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Directory,
    File { size: u64, executable: bool },
    Link(PathBuf),
}

impl Entry {
    pub(super) fn display(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// Which entry was refused, and why.
type Refused = (String, Refusal);

/// Names that came in an entry of their own and belong to the next one.
#[derive(Default)]
pub(super) struct Names {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Names {
    /// Whether a name still waits for its entry.
    pub(super) fn is_waiting(&self) -> bool {
        self.path.is_some() || self.link.is_some()
    }

    /// The entry that a raw one makes, or none when it only names the next one.
    pub(super) fn next<R: Read>(
        &mut self,
        raw: &mut tar::Entry<'_, R>,
        limits: &UnpackLimits,
    ) -> Result<Option<Entry>, Refused> {
        let kind = raw.header().entry_type();
        let slot = match kind {
            tar::EntryType::GNULongName => &mut self.path,
            tar::EntryType::GNULongLink => &mut self.link,
            _ => return self.entry(raw, kind, limits).map(Some),
        };
        let name = read_name(raw, limits).map_err(|reason| ("long name".to_owned(), reason))?;
        match slot.replace(name) {
            None => Ok(None),
            Some(_) => Err((
                "long name".to_owned(),
                Refusal::Malformed("two names for one entry".to_owned()),
            )),
        }
    }

    fn entry<R: Read>(
        &mut self,
        raw: &tar::Entry<'_, R>,
        kind: tar::EntryType,
        limits: &UnpackLimits,
    ) -> Result<Entry, Refused> {
        let header = raw.header();
        let path = self.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self
            .link
            .take()
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let shown = String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned();
        build(header, kind, &path, link, limits).map_err(|reason| (shown, reason))
    }
}

fn build(
    header: &tar::Header,
    kind: tar::EntryType,
    path: &[u8],
    link: Option<Vec<u8>>,
    limits: &UnpackLimits,
) -> Result<Entry, Refusal> {
    let is_dir = kind.is_dir();
    let parts = parts(path, is_dir, limits)?;
    let size = header
        .entry_size()
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
    let kind = match kind {
        tar::EntryType::Regular => Kind::File {
            size,
            executable: is_executable(header)?,
        },
        tar::EntryType::Link => return Err(Refusal::HardLink),
        other if !is_dir && !other.is_symlink() => return Err(Refusal::UnsupportedKind(kind_name(other))),
        _ if size != 0 => return Err(Refusal::Malformed("an entry without content has a size".to_owned())),
        _ if is_dir => Kind::Directory,
        _ => Kind::Link(link_target(link, parts.len() - 1, limits)?),
    };
    let path = parts.iter().map(|part| os_path(part)).collect::<Result<PathBuf, _>>()?;
    Ok(Entry { parts, path, kind })
}

/// The parts of a relative path of plain names.
fn parts(path: &[u8], is_dir: bool, limits: &UnpackLimits) -> Result<Vec<Vec<u8>>, Refusal> {
    if path.len() as u64 > limits.path_bytes + 1 {
        return Err(Refusal::Limit {
            what: "bytes in a path",
            limit: limits.path_bytes,
        });
    }
    if path.first() == Some(&b'/') {
        return Err(Refusal::AbsolutePath);
    }
    let path = if is_dir {
        path.strip_suffix(b"/").unwrap_or(path)
    } else {
        path
    };
    let parts: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    if parts.len() as u64 > limits.depth {
        return Err(Refusal::Limit {
            what: "parts in a path",
            limit: limits.depth,
        });
    }
    match parts.iter().find(|part| !is_plain_name(part)) {
        Some(part) => Err(Refusal::UnsafePath(String::from_utf8_lossy(part).into_owned())),
        None => Ok(parts),
    }
}

fn is_plain_name(part: &[u8]) -> bool {
    // On Windows these bytes separate paths, name drives and streams.
    let foreign = |byte: &u8| cfg!(windows) && b"\\:".contains(byte);
    !part.is_empty() && part != b"." && part != b".." && !part.contains(&0) && !part.iter().any(foreign)
}

fn link_target(link: Option<Vec<u8>>, depth: usize, limits: &UnpackLimits) -> Result<PathBuf, Refusal> {
    let link = link.unwrap_or_default();
    let shown = || String::from_utf8_lossy(&link[..link.len().min(200)]).into_owned();
    if link.len() as u64 > limits.path_bytes {
        return Err(Refusal::Limit {
            what: "bytes in a path",
            limit: limits.path_bytes,
        });
    }
    if link.contains(&0) {
        return Err(Refusal::UnsafePath(shown()));
    }
    let target = os_path(&link)?;
    if stays_inside(depth, &target) {
        Ok(target)
    } else {
        Err(Refusal::LinkLeavesWorkspace(shown()))
    }
}

fn is_executable(header: &tar::Header) -> Result<bool, Refusal> {
    let mode = header.mode().map_err(|error| Refusal::Malformed(error.to_string()))?;
    Ok(mode & 0o100 != 0)
}

/// Reads the content of a long-name entry, which is a name and a zero byte.
fn read_name<R: Read>(raw: &mut tar::Entry<'_, R>, limits: &UnpackLimits) -> Result<Vec<u8>, Refusal> {
    let malformed = |error: std::io::Error| Refusal::Malformed(error.to_string());
    let size = raw.header().entry_size().map_err(malformed)?;
    let limit = limits.path_bytes;
    if size > limit + 2 {
        return Err(Refusal::Limit {
            what: "bytes in a path",
            limit,
        });
    }
    let mut name = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    raw.take(size).read_to_end(&mut name).map_err(malformed)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

#[cfg(unix)]
fn os_path(bytes: &[u8]) -> Result<PathBuf, Refusal> {
    use std::os::unix::ffi::OsStrExt;
    Ok(Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned())
}

#[cfg(not(unix))]
fn os_path(bytes: &[u8]) -> Result<PathBuf, Refusal> {
    let name = std::str::from_utf8(bytes);
    name.map(PathBuf::from)
        .map_err(|_| Refusal::UnsafePath(String::from_utf8_lossy(bytes).into_owned()))
}

fn kind_name(kind: tar::EntryType) -> String {
    match kind {
        tar::EntryType::Char => "character device".to_owned(),
        tar::EntryType::Block => "block device".to_owned(),
        tar::EntryType::Fifo => "FIFO".to_owned(),
        tar::EntryType::GNUSparse => "sparse file".to_owned(),
        tar::EntryType::XHeader | tar::EntryType::XGlobalHeader => "PAX extension".to_owned(),
        other => format!("type {:?}", char::from(other.as_byte())),
    }
}
