//! The order of entries, which is what rules out duplicates and writing through links.

use super::entry::{Entry, Kind};
use crate::Refusal;

/// The directories on the way to the last entry, each with the last name seen in it.
#[derive(Default)]
pub(super) struct Order {
    /// Names of the open directories below the root.
    open: Vec<Vec<u8>>,
    /// The last name in the root, then in each open directory. Empty: none yet.
    last: Vec<Vec<u8>>,
}

impl Order {
    /// Lets an entry in whose parent is an open directory and whose name comes after all its siblings so far.
    pub(super) fn admit(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let Some((name, parents)) = entry.parts.split_last() else {
            return Err(Refusal::UnsafePath(String::new()));
        };
        if !self.open.starts_with(parents) {
            return Err(Refusal::ParentNotDirectory);
        }
        self.open.truncate(parents.len());
        self.last.truncate(parents.len() + 1);
        if self.last.is_empty() {
            self.last.push(Vec::new());
        }
        let last = &mut self.last[parents.len()];
        if *name <= *last {
            return Err(Refusal::DuplicateOrUnsorted);
        }
        last.clone_from(name);
        if matches!(entry.kind, Kind::Directory) {
            self.open.push(name.clone());
            self.last.push(Vec::new());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, is_dir: bool) -> Entry {
        let kind = if is_dir {
            Kind::Directory
        } else {
            Kind::File {
                size: 0,
                executable: false,
            }
        };
        Entry {
            parts: path.split('/').map(|part| part.as_bytes().to_vec()).collect(),
            path: path.into(),
            kind,
        }
    }

    fn admit(paths: &[&str]) -> Result<(), Refusal> {
        let mut order = Order::default();
        paths
            .iter()
            .try_for_each(|path| order.admit(&entry(path.trim_end_matches('/'), path.ends_with('/'))))
    }

    #[test]
    fn sorted_trees_are_admitted() {
        assert_eq!(admit(&["a/", "a/b/", "a/b/c", "a/c", "a.txt", "b/", "b/a"]), Ok(()));
    }

    #[test]
    fn repeated_reopened_and_orphaned_entries_are_refused() {
        assert_eq!(admit(&["a", "a"]), Err(Refusal::DuplicateOrUnsorted));
        assert_eq!(admit(&["a/", "a/"]), Err(Refusal::DuplicateOrUnsorted));
        assert_eq!(admit(&["b", "a"]), Err(Refusal::DuplicateOrUnsorted));
        assert_eq!(admit(&["a/", "b/", "a/x"]), Err(Refusal::ParentNotDirectory));
        assert_eq!(admit(&["a", "a/x"]), Err(Refusal::ParentNotDirectory));
        assert_eq!(admit(&["a/b"]), Err(Refusal::ParentNotDirectory));
    }
}
