//! Memory of a process at rest.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "no safe call gives pages of the program back")
)]

use std::time::Duration;

/// The start is over by then, and so are the first calls and polls.
const START: Duration = Duration::from_secs(1);

/// To be spawned by what stays: a second later, [`give_back_what_the_start_needed`].
pub(crate) async fn after_the_start() {
    tokio::time::sleep(START).await;
    let _ = tokio::task::spawn_blocking(give_back_what_the_start_needed).await;
}

/// Gives back the pages of the program's code and constants that were mapped so far. Two fifths of them are, after the
/// start, and most are never looked at again. Those that are come back from the system's cache, a microsecond each.
///
/// Nothing is lost by it, and nothing happens where it cannot be done.
fn give_back_what_the_start_needed() {
    #[cfg(target_os = "linux")]
    linux::give_back();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::ops::Range;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::ptr;

    use rustix::mm::{Advice, madvise};

    pub(super) fn give_back() {
        let (Ok(maps), Ok(program)) = (fs::read("/proc/self/maps"), std::env::current_exe()) else {
            return;
        };
        for range in maps
            .split(|byte| *byte == b'\n')
            .filter_map(|line| clean(line, &program))
        {
            // SAFETY: the range is mapped from a file and cannot be written, and the loader has written nothing into it
            // (`clean`): what is read there next is read from the file, where the same bytes are.
            let _ = unsafe {
                madvise(
                    ptr::with_exposed_provenance_mut(range.start),
                    range.len(),
                    Advice::LinuxDontNeed,
                )
            };
        }
    }

    /// The range of a line of `/proc/self/maps`, if it is of this program's file and nobody ever wrote into it: its code, and
    /// what lies at the beginning of the file. Other constants hold addresses that the loader filled in.
    pub(super) fn clean(line: &[u8], program: &Path) -> Option<Range<usize>> {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let (range, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let path = fields.nth(2)?.trim_ascii_start();
        let offset = usize::from_str_radix(str::from_utf8(offset).ok()?, 16).ok()?;
        let unwritten = permissions == b"r-xp" || (permissions == b"r--p" && offset == 0);
        if !unwritten || path != program.as_os_str().as_bytes() {
            return None;
        }
        let (start, end) = str::from_utf8(range).ok()?.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;

    use super::linux::clean;

    #[test]
    fn only_pages_that_nobody_wrote_are_given_back() {
        let of = |line: &str| clean(line.as_bytes(), Path::new("/usr/bin/helve"));
        let code = "5614a000-5614c000 r-xp 0187d000 fe:00 42                         /usr/bin/helve";
        assert_eq!(of(code), Some(0x5614_a000..0x5614_c000));
        let constants = "5613a000-5614a000 r--p 00000000 fe:00 42                         /usr/bin/helve";
        assert_eq!(of(constants), Some(0x5613_a000..0x5614_a000));
        for other in [
            "5614d000-5614e000 r--p 04a3f000 fe:00 42                         /usr/bin/helve",
            "5614e000-5614f000 rw-p 04b7d000 fe:00 42                         /usr/bin/helve",
            "7f466000-7f467000 r-xp 00026000 fe:00 7                          /usr/lib/libc.so.6",
            "7f468000-7f469000 r-xp 00000000 00:00 0 ",
            "7f46c000-7f46d000 r-xp 0187d000 fe:00 42                         /usr/bin/helve (deleted)",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_goes_on_without_them() {
        super::give_back_what_the_start_needed();
        assert_eq!(format!("{:?}", vec![1.5, 2.5]), "[1.5, 2.5]");
    }
}
