//! HTTP by hand: what the server really answers, and requests that no library would send.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::home::Home;
use crate::process::{LIMIT, Running};

/// A client of one `helve up --http`.
#[derive(Debug, Clone)]
pub struct Api {
    /// `host:port`.
    pub address: String,
    /// What is presented; none: nothing.
    pub token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of the body.
    pub body: Vec<u8>,
}

/// A `helve up --http` on any free port, and a client with the administrator's token.
pub fn up(home: &Home, more: &[&str]) -> (Running, Api, String) {
    let arguments = [&["up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"][..], more].concat();
    let mut up = home.start(&arguments);
    let line = up.wait_for_line("http://127.0.0.1:");
    let rest = line.split("http://").nth(1).expect("it says where it is");
    let address = rest.split_whitespace().next().expect("an address").to_owned();
    let login = up.wait_for_line("/login?code=");
    let login = login
        .split(&*address)
        .nth(1)
        .expect("a link")
        .split_whitespace()
        .next()
        .expect("a link")
        .to_owned();
    // The last line of the start, with a worker or without.
    up.wait_for_line("worker   ");
    let token = read_token(&home.data());
    (
        up,
        Api {
            address,
            token: Some(token),
        },
        login,
    )
}

fn read_token(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("admin.token")).expect("the first token is in a file");
    text.trim().to_owned()
}

impl Api {
    /// The same server with another token.
    pub fn with(&self, token: Option<&str>) -> Self {
        Self {
            address: self.address.clone(),
            token: token.map(str::to_owned),
        }
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        self.try_connect().expect("the server listens")
    }

    fn try_connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// The head of a request.
    pub fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "Connection: close\r\n"
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same to a server that may be killed in the middle.
    pub fn try_send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut stream = self.try_connect()?;
        let mut head = self.head(method, path, headers);
        if !body.is_empty() || method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // A server that refuses by the head need not read the body.
        let _ = stream.write_all(body);
        try_read_answer(stream)
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    /// `POST` of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body)
    }

    /// `POST` of JSON with more headers.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers = [&[("Content-Type", "application/json")][..], headers].concat();
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Listens to events until the server ends them; each with its id, name and data.
    pub fn events(&self, path: &str, after: Option<&str>) -> Vec<Event> {
        let mut stream = self.connect();
        let last = after.map(|id| ("Last-Event-ID", id));
        let head = self.head("GET", path, last.as_slice());
        stream
            .write_all(format!("{head}\r\n").as_bytes())
            .expect("the head can be sent");
        let answer = read_answer(stream);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let text = answer.text();
        text.split("\n\n").filter_map(Event::read).collect()
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// None for what is not repeated.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
}

impl Event {
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim_start))
        };
        Some(Self {
            id: field("id").map(str::to_owned),
            name: field("event")?.to_owned(),
            data: serde_json::from_str(field("data")?).expect("data is JSON"),
        })
    }
}

impl Answer {
    /// Asserts the status, and shows everything if it is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// Asserts that it is a problem of this status, and says why in `detail`.
    #[track_caller]
    pub fn expect_problem(self, status: u16, says: &str) -> Value {
        let answer = self.expect(status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{}",
            answer.text()
        );
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"]
                .as_str()
                .is_some_and(|kind| kind.starts_with("urn:helve:problem:")),
            "{problem}"
        );
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "the problem does not say `{says}`: {problem}");
        problem
    }

    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.text()))
    }
}

/// Reads an answer to its end.
pub fn read_answer(stream: impl Read) -> Answer {
    try_read_answer(stream).unwrap_or_else(|error| panic!("no whole answer comes: {error}"))
}

/// Reads an answer to its end; what ends before is no answer.
pub fn try_read_answer(stream: impl Read) -> io::Result<Answer> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| broken(&format!("not an answer: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.ends_with('\n') => break,
            None => return Err(broken("the headers end in the middle")),
        }
    }
    let of = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let mut body = Vec::new();
    if of("transfer-encoding") == Some("chunked") {
        read_chunks(&mut reader, &mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
        let wanted = of("content-length").and_then(|length| length.parse::<usize>().ok());
        if wanted.is_some_and(|wanted| wanted > body.len()) && status != 304 {
            return Err(broken("the body ends in the middle"));
        }
    }
    Ok(Answer { status, headers, body })
}

/// Takes one request with a body of JSON, answers it with this status, and gives its head, in lower case, and its body.
pub fn hear(stream: TcpStream, status: &str) -> io::Result<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(broken("the head ends in the middle"));
        }
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_lowercase();
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().map_err(|_| broken("not a length"))?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    write!(reader.get_mut(), "HTTP/1.1 {status}\r\n\r\n")?;
    Ok((head, serde_json::from_slice(&body)?))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(broken("the chunks end in the middle"));
        }
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| broken("not the size of a chunk"))?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
