//! Globs of paths, as configurations and rules write them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Globs that match a relative path; a glob without a slash matches in any directory.
pub(crate) fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let anywhere = if pattern.contains('/') {
            pattern.clone()
        } else {
            format!("**/{pattern}")
        };
        let glob = GlobBuilder::new(&anywhere)
            .literal_separator(true)
            .case_insensitive(true)
            .build();
        set.add(glob.map_err(|error| error.to_string())?);
    }
    set.build().map_err(|error| error.to_string())
}
