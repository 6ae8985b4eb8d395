//! Certificates from an authority: Pebble, which is Let's Encrypt's for tests.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::process::{LIMIT, Running};
use helve_e2e::server::free_port;
use helve_e2e::tls::{Authority, get};
use serde_json::json;

const NAME: &str = "helve.example.test";

/// An authority that runs, with the one who looks up names for it.
struct Pebble {
    child: Child,
    port: u16,
    management: u16,
    names: Arc<AtomicBool>,
}

impl Pebble {
    /// Starts one that finds the servers it proves on this port, or says that there is none: then ACME is not checked. CI does
    /// not accept that.
    fn start(dir: &Path, https: u16) -> Option<Self> {
        let Some(program) = std::env::var_os("HELVE_PEBBLE_BIN").map(PathBuf::from) else {
            let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
            assert!(!ci, "HELVE_PEBBLE_BIN is not set: `cargo xtask test e2e` sets it");
            eprintln!(
                "not checked: HELVE_PEBBLE_BIN does not name the program pebble (`cargo xtask test e2e` sets it)"
            );
            return None;
        };
        let authority = Authority::new();
        authority.write(&dir.join("pebble-ca.pem"));
        let (certificate, key) = authority.issue(dir, "pebble", &["127.0.0.1", "localhost"]);
        let (port, management) = (free_port(), free_port());
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate, "privateKey": key,
            "httpPort": 1, "tlsPort": https,
        }});
        let file = dir.join("pebble.json");
        fs::write(&file, config.to_string()).unwrap();
        let names = Arc::new(AtomicBool::new(true));
        let child = Command::new(&program)
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &name_server(Arc::clone(&names))])
            // Quick, and as unfriendly as it is by itself: some nonces are refused.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(fs::File::create(dir.join("pebble.log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let pebble = Self {
            child,
            port,
            management,
            names,
        };
        let deadline = Instant::now() + LIMIT;
        for port in [pebble.port, pebble.management] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "pebble does not listen");
                thread::yield_now();
            }
        }
        Some(pebble)
    }

    fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Writes the certificate that its certificates lead to.
    fn write_root(&self, dir: &Path) -> PathBuf {
        let address = format!("127.0.0.1:{}", self.management);
        let headers = [("Host", &*address)];
        let root = get(&address, "127.0.0.1", &dir.join("pebble-ca.pem"), "/roots/0", &headers).unwrap();
        let file = dir.join("root.pem");
        fs::write(&file, root.expect(200).body).unwrap();
        file
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.names.store(false, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers that every name is at 127.0.0.1, until it is told to stop.
fn name_server(goes_on: Arc<AtomicBool>) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while goes_on.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut packet) else {
                continue;
            };
            if let Some(answer) = answer(&packet[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    address
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    // After the header: labels up to an empty one, then type and class.
    let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let asked = question.get(12..end + 4)?;
    let is_address = asked[asked.len() - 4..asked.len() - 2] == [0, 1];
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(asked);
    if is_address {
        // The name of the question, an address, for a minute.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

fn up(home: &Home, pebble: &Pebble, https: u16) -> Running {
    let address = format!("127.0.0.1:{https}");
    let ca = home.path().join("pebble-ca.pem");
    let directory = pebble.directory();
    let mut options = vec!["up", "--grpc", "127.0.0.1:0", "--no-worker", "--http", &address];
    options.extend(["--acme", NAME, "--acme-email", "admin@example.org"]);
    options.extend(["--acme-directory", &directory, "--acme-ca", ca.to_str().unwrap()]);
    home.start(&options)
}

#[test]
fn a_certificate_is_asked_for_used_kept_and_used_again() {
    let (home, https) = (Home::new(), free_port());
    let Some(pebble) = Pebble::start(home.path(), https) else {
        return;
    };
    let root = pebble.write_root(home.path());
    let address = format!("127.0.0.1:{https}");
    let health = || get(&address, NAME, &root, "/healthz", &[("Host", NAME)]);
    let mut first = up(&home, &pebble, https);
    first.wait_for_line(&format!("https://{NAME}:{https}"));
    first.wait_for_line("no certificate for helve.example.test yet");
    first.wait_for_line("there is a new certificate");
    let login = health().unwrap().expect(200);
    assert!(login.header("strict-transport-security").is_some());
    first.signal("INT");
    first.wait().expect_code(0);

    let kept = home.data().join("acme/certificate.pem");
    let text = fs::read_to_string(&kept).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for file in ["acme/certificate.pem", "acme/account.json"] {
            let mode = fs::metadata(home.data().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
    // The authority is not needed for the next start.
    let directory = pebble.directory();
    drop(pebble);
    let ca = home.path().join("pebble-ca.pem");
    let more = ["--acme-directory", &directory, "--acme-ca", ca.to_str().unwrap()];
    let mut second = home.start(
        &[
            &[
                "up",
                "--grpc",
                "127.0.0.1:0",
                "--no-worker",
                "--http",
                &address,
                "--acme",
                NAME,
            ][..],
            &more,
        ]
        .concat(),
    );
    second.wait_for_line("worker   none here");
    health().unwrap().expect(200);
    second.signal("INT");
    let left = second.wait().expect_code(0);
    assert!(!left.stderr.contains("no certificate"), "{}", left.stderr);
    assert_eq!(fs::read_to_string(&kept).unwrap(), text);
}

#[test]
fn without_a_certificate_the_server_says_so_and_lets_nobody_in() {
    let (home, https) = (Home::new(), free_port());
    let authority = Authority::new();
    authority.write(&home.path().join("ca.pem"));
    let address = format!("127.0.0.1:{https}");
    let ca = home.path().join("ca.pem");
    let mut running = home.start(&[
        "up",
        "--grpc",
        "127.0.0.1:0",
        "--no-worker",
        "--http",
        &address,
        "--acme",
        NAME,
        "--acme-ca",
        ca.to_str().unwrap(),
        // Nobody is there.
        "--acme-directory",
        "https://127.0.0.1:1/dir",
    ]);
    running.wait_for_line("no certificate for helve.example.test yet");
    let failed = running.wait_for_line("no certificate for helve.example.test:");
    assert!(failed.contains("cannot be reached"), "{failed}");
    assert!(get(&address, NAME, &ca, "/healthz", &[("Host", NAME)]).is_err());
    running.signal("INT");
    running.wait().expect_code(0);
    home.run(&["up", "--http", &address, "--acme", "*.example.org"])
        .expect_clear_error(&["*.example.org", "docs/tls.md"]);
}
