//! Which symbolic links are safe to keep.

use std::path::{Component, Path};

/// Whether a link whose parent directory lies `depth` levels below the root can never lead out of the root.
///
/// The rule: the target is relative, climbs (`..`) only at its beginning, and no higher than the root. It needs no
/// look at the file system and holds for chains: a link that obeys it resolves to a place inside; going down from there, the
/// next link is again one that obeys it, and only climbs from its own parent, which is a real directory of the tree. A
/// target such as `link/../x` could climb from wherever `link` leads, so it is not kept.
pub(crate) fn stays_inside(depth: usize, target: &Path) -> bool {
    let mut climbed = 0;
    let mut descending = false;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => descending = true,
            Component::ParentDir if !descending => climbed += 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    climbed <= depth && !target.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_may_climb_to_the_root_and_no_further() {
        for (depth, target, inside) in [
            (0, "file", true),
            (0, "dir/file", true),
            (0, "./file", true),
            (0, ".", true),
            (0, "..", false),
            (0, "../file", false),
            (1, "../file", true),
            (1, "..", true),
            (1, "../../file", false),
            (2, "./../../file", true),
            (2, "dir/../file", false),
            (3, "../dir/../../../../file", false),
            (3, "/etc/passwd", false),
            (3, "", false),
        ] {
            assert_eq!(
                stays_inside(depth, Path::new(target)),
                inside,
                "{target} at depth {depth}"
            );
        }
    }
}
