//! How much memory this process and everything it started hold.

/// Bytes that this process and its descendants hold and that the system cannot take back: what they allocated, not the
/// files that they have mapped, which many of them share. `None` where the system does not tell.
pub fn held() -> Option<u64> {
    let mut total = of(std::process::id())?;
    let mut open = vec![std::process::id()];
    while let Some(parent) = open.pop() {
        for pid in children(parent) {
            // One that is gone meanwhile holds nothing.
            total += of(pid).unwrap_or(0);
            open.push(pid);
        }
    }
    Some(total)
}

fn of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    // A zombie has neither line.
    Some((kib("RssAnon:").unwrap_or(0) + kib("RssShmem:").unwrap_or(0)) * 1024)
}

fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids: Vec<u32> = list
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect();
            pids
        })
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn memory_of_a_tool_s_children_counts() {
        let before = held().unwrap();
        // A shell that holds 64 MiB until its input ends.
        let mut tool = Command::new("sh")
            .args([
                "-c",
                "x=$(head -c 67108864 /dev/zero | tr '\\0' a); echo held; read -r _",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(tool.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("held")));
        let during = held().unwrap();
        tool.kill().unwrap();
        tool.wait().unwrap();
        assert!(during > before + (48 << 20), "{before} {during}");
    }
}
