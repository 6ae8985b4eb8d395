//! Small files of the API that all nodes have: in the database of the blobs.

use std::io;

use helve_api::Notes;
use helve_db::rusqlite::OptionalExtension;
use helve_db::{Batch, CommitError};

use super::blobs::Blocking;

/// Those of a cluster, at the node that leads.
pub(super) struct Shared(pub(super) Blocking);

impl Notes for Shared {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO notes (name, bytes) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes",
            vec![name.into(), bytes.to_vec().into()],
        );
        self.0.commit(batch).map_err(io::Error::other)
    }

    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        let read = self.0.read(move |db| {
            let mut query = db.prepare_cached("SELECT bytes FROM notes WHERE name = ?1")?;
            Ok(query.query_row([name], |row| row.get(0)).optional()?)
        });
        read.map_err(io::Error::other)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let (from, to) = (format!("{folder}/"), format!("{folder}0"));
        let read = self.0.read(move |db| {
            // `0` is the character behind `/`.
            let mut query = db.prepare_cached("SELECT name FROM notes WHERE name >= ?1 AND name < ?2 ORDER BY name")?;
            let rows = query.query_map([from, to], |row| row.get(0))?;
            Ok(rows.collect::<Result<Vec<String>, _>>()?)
        });
        read.map_err(io::Error::other)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
        let mut batch = Batch::new();
        batch.run("DELETE FROM notes WHERE name = ?1", vec![to.into()]);
        batch.run_one(
            "UPDATE notes SET name = ?2 WHERE name = ?1",
            vec![from.into(), to.into()],
        );
        match self.0.commit(batch) {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_db::Store;

    #[tokio::test(flavor = "multi_thread")]
    async fn notes_are_found_in_their_folder_and_renamed_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("blobs.db"), &super::super::blobs::options()).unwrap();
        let notes = Shared(Blocking::new(store));
        tokio::task::block_in_place(|| {
            for name in ["a/x", "a/y", "ab/z"] {
                notes.put(name, name.as_bytes()).unwrap();
            }
            assert_eq!(notes.list("a").unwrap(), ["a/x", "a/y"]);
            assert!(notes.rename("a/x", "b/x").unwrap() && !notes.rename("a/x", "b/x").unwrap());
            assert_eq!(notes.get("b/x").unwrap().unwrap(), b"a/x");
            assert_eq!(notes.get("a/x").unwrap(), None);
        });
    }
}
