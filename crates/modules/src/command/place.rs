//! Places as tools name them, made relative to the workspace; and the text that is there.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use helve_findings::Region;

/// Longest file whose text becomes an anchor.
const MAX_FILE: u64 = 16 << 20;
/// Lines of a finding that its anchor is made of.
const MAX_LINES: u32 = 20;
/// Files whose lines are remembered at a time.
const REMEMBERED: usize = 64;

/// Where a finding is, as a tool says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RawPlace {
    pub(crate) path: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    pub(crate) end_line: Option<u32>,
    pub(crate) end_column: Option<u32>,
}

/// The files of a workspace.
pub(crate) struct Places {
    root: PathBuf,
    lines: HashMap<String, Option<Vec<String>>>,
}

impl Places {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            lines: HashMap::new(),
        }
    }

    /// The path relative to the workspace, with forward slashes; None if it leads elsewhere.
    pub(crate) fn relative(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("file://").unwrap_or(path);
        let path = Path::new(path);
        let relative = match path.is_absolute() {
            true => path.strip_prefix(&self.root).ok()?,
            false => path,
        };
        let mut parts: Vec<&str> = Vec::new();
        for component in relative.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str()?),
                Component::ParentDir => {
                    parts.pop()?;
                }
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(parts.join("/"))
    }

    /// Whether the target has such a file.
    pub(crate) fn is_file(&self, relative: &str) -> bool {
        self.root.join(relative).is_file()
    }

    /// The region, whole: what the tool leaves out is taken from the text.
    pub(crate) fn region(&mut self, path: &str, place: &RawPlace) -> Option<Region> {
        let start_line = place.line.filter(|line| *line > 0)?;
        let end_line = place.end_line.unwrap_or(start_line).max(start_line);
        let start_column = place.column.filter(|column| *column > 0).unwrap_or(1);
        let width = self
            .line(path, end_line)
            .map_or(1, |line| u32::try_from(line.chars().count()).unwrap_or(u32::MAX - 1));
        let least = if end_line == start_line { start_column + 1 } else { 1 };
        let end_column = place.end_column.unwrap_or(width + 1).max(least);
        Some(Region {
            start_line,
            start_column,
            end_line,
            end_column,
        })
    }

    /// The lines of a region, trimmed: indentation does not make another finding.
    pub(crate) fn text(&mut self, path: &str, region: &Region) -> Option<String> {
        let last = region.end_line.min(region.start_line.saturating_add(MAX_LINES - 1));
        let lines: Vec<String> = (region.start_line..=last)
            .map_while(|number| self.line(path, number).map(|line| line.trim().to_owned()))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn line(&mut self, path: &str, number: u32) -> Option<&str> {
        if !self.lines.contains_key(path) {
            if self.lines.len() >= REMEMBERED {
                self.lines.clear();
            }
            let lines = self.read(path);
            self.lines.insert(path.to_owned(), lines);
        }
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.lines.get(path)?.as_ref()?.get(index).map(String::as_str)
    }

    // A tool's output is not trusted: a link out of the workspace is not read.
    fn read(&self, path: &str) -> Option<Vec<String>> {
        let path = self.root.join(path).canonicalize().ok()?;
        if !path.starts_with(&self.root) || fs::metadata(&path).ok()?.len() > MAX_FILE {
            return None;
        }
        let bytes = fs::read(path).ok()?;
        Some(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_file_leads_to_the_same_relative_path() {
        let places = Places::new(Path::new("/w/run"));
        for (given, relative) in [
            ("a/b.py", Some("a/b.py")),
            ("./a/b.py", Some("a/b.py")),
            ("a/../b.py", Some("b.py")),
            ("/w/run/a/b.py", Some("a/b.py")),
            ("file:///w/run/a/b.py", Some("a/b.py")),
            ("/etc/passwd", None),
            ("../../etc/passwd", None),
        ] {
            assert_eq!(places.relative(given).as_deref(), relative, "{given}");
        }
    }

    #[test]
    fn what_a_tool_does_not_tell_of_a_region_comes_from_the_text() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.py"), "first\n  eval(x)\n").unwrap();
        let root = dir.path().canonicalize().unwrap();
        let mut places = Places::new(&root);
        let place = RawPlace {
            line: Some(2),
            ..RawPlace::default()
        };
        let region = places.region("a.py", &place).unwrap();
        assert_eq!((region.start(), region.end()), ((2, 1), (2, 10)));
        assert_eq!(places.text("a.py", &region).as_deref(), Some("eval(x)"));
        assert_eq!(places.region("a.py", &RawPlace::default()), None);
    }
}
