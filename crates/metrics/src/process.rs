//! The process itself, under the names that every program of monitoring knows.

use std::time::SystemTime;

use crate::{Collect, Text};

/// What the system knows of this process.
#[derive(Debug)]
pub struct Process {
    version: &'static str,
    started: f64,
}

impl Process {
    /// This one, which has just started.
    pub fn new(version: &'static str) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            version,
            started: since.map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}

impl Collect for Process {
    fn collect(&self, text: &mut Text) {
        let build = [
            ("version", self.version),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
        ];
        text.value("helve_build_info", "The program; the value is always 1.", &build, 1.0);
        text.value(
            "process_start_time_seconds",
            "When the process started, since 1970.",
            &[],
            self.started,
        );
        #[cfg(target_os = "linux")]
        linux::collect(text);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use crate::Text;

    /// Of the numbers in `/proc`: what programs see of it is this on every machine, whatever the kernel's own clock is.
    const TICKS_PER_SECOND: f64 = 100.0;

    pub(super) fn collect(text: &mut Text) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = kilobytes(&status, "VmRSS:") {
            text.value(
                "process_resident_memory_bytes",
                "Memory that the process holds.",
                &[],
                bytes,
            );
        }
        if let Some(bytes) = kilobytes(&status, "VmSize:") {
            text.value(
                "process_virtual_memory_bytes",
                "Addresses that the process uses.",
                &[],
                bytes,
            );
        }
        if let Some(count) = field(&status, "Threads:").and_then(|count| count.parse().ok()) {
            text.value("process_threads", "Threads of the process.", &[], count);
        }
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = cpu(&stat) {
            text.count(
                "process_cpu_seconds_total",
                "Time on a CPU, of all threads.",
                &[],
                seconds,
            );
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            text.value("process_open_fds", "Open files and sockets.", &[], open.count() as f64);
        }
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(most) = max_files(&limits) {
            text.value("process_max_fds", "Files and sockets that may be open.", &[], most);
        }
    }

    fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
        status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
    }

    fn kilobytes(status: &str, name: &str) -> Option<f64> {
        let count: f64 = field(status, name)?.strip_suffix(" kB")?.parse().ok()?;
        Some(count * 1024.0)
    }

    /// User and system time; the name of the program before them may hold anything.
    fn cpu(stat: &str) -> Option<f64> {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let user: f64 = fields.nth(11)?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / TICKS_PER_SECOND)
    }

    fn max_files(limits: &str) -> Option<f64> {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn times_are_found_behind_any_name() {
            let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1234 5678 90";
            assert_eq!(cpu(stat), Some(2.0));
        }

        #[test]
        fn the_limit_of_files_is_the_soft_one() {
            let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                          Max open files            1024                 524288               files\n";
            assert_eq!(max_files(limits), Some(1024.0));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_time() {
        let mut text = Text::default();
        Process::new("1.2.3").collect(&mut text);
        let text = text.finish();
        for name in [
            "helve_build_info{version=\"1.2.3\"",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_cpu_seconds_total ",
            "process_start_time_seconds ",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(name)),
                "{name} is not in\n{text}"
            );
        }
    }
}
