//! A client's way to the nodes: one connection a call, to whichever node answers.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use helve_e2e::http::{Answer, Api, try_read_answer};
use helve_e2e::process::LIMIT;
use serde_json::Value;

use super::Shared;

/// A node that is cut off does not say so.
const CONNECT: Duration = Duration::from_millis(700);
/// The longest that anything takes which goes well, claims included.
const ANSWER: Duration = Duration::from_secs(8);

/// What became of a call.
pub(super) enum Told {
    /// It was answered.
    Answer(Answer),
    /// It never left.
    NotSent,
    /// It may have been done.
    Lost,
}

/// A client.
pub(super) struct Door<'load> {
    pub(super) client: u32,
    shared: &'load Shared,
    at: usize,
}

impl<'load> Door<'load> {
    pub(super) fn new(shared: &'load Shared, client: u32) -> Self {
        let at = client as usize % shared.nodes.http.len();
        Self { client, shared, at }
    }

    /// One call. When it is not answered, the next one goes to another node.
    pub(super) fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Told {
        let told = self.tried(method, path, headers, body);
        if !matches!(told, Told::Answer(_)) {
            self.at = (self.at + 1) % self.shared.nodes.http.len();
            // All of them may be away.
            std::thread::sleep(Duration::from_millis(20));
        }
        told
    }

    fn tried(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Told {
        let api = Api {
            address: self.shared.nodes.http[self.at].clone(),
            token: Some(self.shared.nodes.token.clone()),
        };
        let address: SocketAddr = api.address.parse().expect("nodes have addresses");
        let Ok(stream) = TcpStream::connect_timeout(&address, CONNECT) else {
            return Told::NotSent;
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        let json = [("Content-Type", "application/json")];
        let headers = [headers, if body.is_empty() { &[] } else { &json }].concat();
        let head = api.head(method, path, &headers);
        let length = match body.is_empty() && method == "GET" {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        match answered(stream, format!("{head}{length}\r\n{body}").as_bytes()) {
            // Whatever is wrong with the server, it is not this request.
            Ok(answer) if answer.status >= 500 || answer.status == 429 => Told::Lost,
            Ok(answer) => Told::Answer(answer),
            Err(_) => Told::Lost,
        }
    }

    /// A call that can be made again until it is answered with this status.
    pub(super) fn surely(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Told::Answer(answer) = self.call(method, path, headers, body) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{method} {path} is not answered by any node");
        }
    }
}

fn answered(mut stream: TcpStream, request: &[u8]) -> io::Result<Answer> {
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(request)?;
    try_read_answer(stream)
}
