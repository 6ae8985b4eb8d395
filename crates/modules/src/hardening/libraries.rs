//! Folders in which a program looks for its libraries.

use super::Flaw;
use super::rules::Check;

/// Folders that belong to the system: only its owner writes there.
const SYSTEM: [&str; 6] = ["/lib", "/lib32", "/lib64", "/usr", "/opt", "/System"];
/// Folders that anybody may write to.
const SHARED: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/private/tmp"];

/// `origins` are the words for "where the program is".
pub(super) fn judge(folder: &str, kind: &str, origins: &[&str]) -> Option<Flaw> {
    let below = |root: &&str| {
        folder
            .strip_prefix(*root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if origins.iter().any(below) {
        return None;
    }
    if folder.is_empty() {
        let what = format!("has an empty entry in {kind}: the current folder");
        return Some(Flaw::new(Check::InsecureLibraryPath, what));
    }
    if !folder.starts_with('/') {
        let what = format!("looks for libraries in `{folder}`, relative to the current folder ({kind})");
        return Some(Flaw::new(Check::InsecureLibraryPath, what));
    }
    if SHARED.iter().any(below) {
        let what = format!("looks for libraries in `{folder}`, where anybody may write ({kind})");
        return Some(Flaw::new(Check::InsecureLibraryPath, what));
    }
    if SYSTEM.iter().any(below) && !folder.split('/').any(|part| part == "..") {
        return None;
    }
    let what = format!("looks for libraries in `{folder}` ({kind})");
    Some(Flaw::new(Check::ForeignLibraryPath, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_the_program_and_of_the_system_are_trusted() {
        let judged = |folder: &str| judge(folder, "RPATH", &["$ORIGIN"]).map(|flaw| flaw.check);
        for folder in ["$ORIGIN", "$ORIGIN/../lib", "/usr/lib/x", "/lib64", "/opt/app/lib"] {
            assert_eq!(judged(folder), None, "{folder}");
        }
        for folder in ["", ".", "lib", "/tmp/build", "/dev/shm", "$ORIGINAL"] {
            assert_eq!(judged(folder), Some(Check::InsecureLibraryPath), "{folder}");
        }
        for folder in ["/home/me/build/lib", "/usr/../home", "/library"] {
            assert_eq!(judged(folder), Some(Check::ForeignLibraryPath), "{folder}");
        }
    }
}
