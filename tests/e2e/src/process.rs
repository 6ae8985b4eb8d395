//! A running helve: watched, killed, waited for.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer, on whatever machine; a test that waits this long has failed.
pub const LIMIT: Duration = Duration::from_secs(180);

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
    /// Peak resident memory in bytes, as far as the system tells.
    pub peak_memory: u64,
}

impl Finished {
    /// Asserts the exit code, and shows everything if it is another one.
    #[track_caller]
    pub fn expect_code(self, wanted: i32) -> Self {
        assert_eq!(
            self.code,
            Some(wanted),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// Asserts that this is one clear error: it says `error:` once, names what the reader must know, shows no insides, and
    /// leaves with a code that is not success.
    #[track_caller]
    pub fn expect_clear_error(self, names: &[&str]) -> Self {
        let text = &self.stderr;
        assert!(
            self.code.is_some_and(|code| code == 1 || code == 64),
            "exit code {:?}\n{text}",
            self.code
        );
        // For people, or with `--json` for programs.
        let said = text.matches("error:").count() + text.matches("{\"error\":").count();
        assert_eq!(said, 1, "one error, said once:\n{text}");
        assert!(text.lines().count() <= 16, "an error fits a glance:\n{text}");
        for word in ["panicked", "RUST_BACKTRACE", "Os {", "Error {", "unwrap()", "os error"] {
            assert!(!text.contains(word), "`{word}` is for programmers:\n{text}");
        }
        let lower = text.to_lowercase();
        for name in names {
            assert!(
                lower.contains(&name.to_lowercase()),
                "the error does not say `{name}`:\n{text}"
            );
        }
        self
    }
}

/// A helve that runs.
pub struct Running {
    child: Child,
    began: Instant,
    stdout: Option<thread::JoinHandle<String>>,
    stderr: Receiver<String>,
    seen: Vec<String>,
    peak_memory: u64,
}

impl Running {
    /// Starts a program with its output watched.
    pub fn start(command: &mut Command) -> Self {
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", command.get_program()));
        let mut out = child.stdout.take().expect("it is piped");
        let stdout = thread::spawn(move || {
            let mut bytes = Vec::new();
            // A killed process leaves what it wrote.
            let _ = out.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let err = child.stderr.take().expect("it is piped");
        let (sender, stderr) = channel();
        thread::spawn(move || {
            for line in BufReader::new(err).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            began,
            stdout: Some(stdout),
            stderr,
            seen: Vec::new(),
            peak_memory: 0,
        }
    }

    /// Waits for a line on standard error that holds `text`, and returns it.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self
                .stderr
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("`{text}` never came; what came:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A line that has come already.
    pub fn line(&self, text: &str) -> Option<&str> {
        self.seen.iter().find(|line| line.contains(text)).map(String::as_str)
    }

    /// Kills it as a power cut would, unless it ends by itself before that. Whether it was killed.
    pub fn kill_after(mut self, delay: Duration) -> (bool, Finished) {
        let killed = !self.ends_within(delay);
        if killed {
            self.child.kill().expect("it is ours to kill");
        }
        (killed, self.finish())
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("`kill` is everywhere").success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        if !self.ends_within(LIMIT) {
            let _ = self.child.kill();
            let left = self.finish();
            panic!(
                "it did not end within {LIMIT:?}\nstdout:\n{}\nstderr:\n{}",
                left.stdout, left.stderr
            );
        }
        self.finish()
    }

    /// Standard error is closed when the process ends, so waiting on it is waiting for the process.
    fn ends_within(&mut self, limit: Duration) -> bool {
        const GLANCE: Duration = Duration::from_millis(20);
        let deadline = Instant::now() + limit;
        loop {
            self.note_memory();
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left.min(GLANCE)) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return false,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    fn note_memory(&mut self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        });
        self.peak_memory = self.peak_memory.max(kib.unwrap_or(0) * 1024);
    }

    fn finish(mut self) -> Finished {
        let status = self.child.wait().expect("it is our child");
        self.seen.extend(self.stderr.iter());
        let stdout = self
            .stdout
            .take()
            .map(|reader| reader.join().expect("the reader does not panic"));
        Finished {
            code: status.code(),
            stdout: stdout.unwrap_or_default(),
            stderr: self.seen.join("\n"),
            took: self.began.elapsed(),
            peak_memory: self.peak_memory,
        }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
