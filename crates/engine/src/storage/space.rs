//! The space that the database takes on disk.

use helve_db::{ReadError, rusqlite::Connection};

/// How much of the database's file is in use. Units: pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Pages of the file.
    pub(crate) pages: u32,
    /// Those that hold nothing.
    pub(crate) free: u32,
    /// Free pages can be given back to the file system: the file was not made by an older version.
    pub(crate) can_shrink: bool,
}

pub(crate) fn read_space(db: &Connection) -> Result<Space, ReadError> {
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0));
    Ok(Space {
        pages: pragma("page_count")?,
        free: pragma("freelist_count")?,
        can_shrink: pragma("auto_vacuum")? != 0,
    })
}
