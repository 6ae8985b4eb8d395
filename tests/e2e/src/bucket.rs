//! A server that speaks the S3 protocol, as the Python package moto ships it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::free_port;

/// Nobody checks these: the server takes any.
const HEADERS: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                       SignedHeaders=host, Signature=0\r\nConnection: close\r\n";

/// A running server with its buckets in memory, ended with the value.
pub struct S3Server {
    child: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl S3Server {
    /// Starts one, or says that there is none: then the promises about buckets are not checked. CI does not accept that.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more environment variables for it.
    pub fn start_with(variables: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = std::env::var_os("HELVE_MOTO_BIN").map(PathBuf::from) else {
            let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
            assert!(!ci, "HELVE_MOTO_BIN is not set: `cargo xtask test` sets it");
            eprintln!("not checked: HELVE_MOTO_BIN does not name an S3 server (`cargo xtask test unit e2e` sets it)");
            return None;
        };
        let port = free_port();
        let mut child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let server = Self { child, port, log };
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.try_request("GET", "/moto-api/", b"").is_none() {
            assert!(Instant::now() < deadline, "the S3 server did not start");
            thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    /// Where it listens, as `AWS_ENDPOINT_URL` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment that leads to it.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) {
        self.request("PUT", &format!("/{name}"), b"");
    }

    /// Writes an object past everything that checks it.
    pub fn write(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.request("PUT", &format!("/{bucket}/{key}"), bytes);
    }

    /// The bytes of an object, if it is there.
    pub fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let (status, body) = self.try_request("GET", &format!("/{bucket}/{key}"), b"")?;
        (status == 200).then_some(body)
    }

    /// The keys of a bucket that begin with `prefix`.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let (_, body) = self
            .try_request("GET", &format!("/{bucket}?list-type=2&prefix={prefix}"), b"")
            .expect("the server answers");
        let text = String::from_utf8(body).expect("a list is text");
        text.split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split_once("</Key>"))
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    /// The requests so far: method and path, as the server logged them.
    pub fn requests(&self) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // `127.0.0.1 - - [date] "PUT /bucket/key HTTP/1.1" 200 -`, failures with colours around.
        log.iter()
            .filter_map(|line| {
                let (_, rest) = line.split_once('"')?;
                let (request, _) = rest.split_once(" HTTP/")?;
                Some(
                    request
                        .rsplit('m')
                        .next()
                        .filter(|_| request.contains('\u{1b}'))
                        .unwrap_or(request)
                        .to_owned(),
                )
            })
            .collect()
    }

    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &[u8]) {
        let answer = self.try_request(method, path, body);
        assert!(
            answer.as_ref().is_some_and(|(status, _)| *status == 200),
            "{method} {path}: {answer:?}"
        );
    }

    fn try_request(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{HEADERS}Content-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let status = std::str::from_utf8(&answer[..end])
            .ok()?
            .split(' ')
            .nth(1)?
            .parse()
            .ok()?;
        Some((status, answer.split_off(end + 4)))
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
