//! A receiver that answers as it is told, and a second opinion on signatures.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) enum Answer {
    Status(u16),
    Redirect(String),
    /// Says that there is more than comes.
    TooShort,
    /// Goes on while somebody reads.
    Endless,
    /// Headers without end.
    LongHead,
    Garbage,
    /// The connection ends.
    Close,
    /// The connection stays, and nothing comes.
    Nothing,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct Seen {
    answers: Mutex<VecDeque<Answer>>,
    heard: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    sent: AtomicUsize,
}

/// When it has given its answers, it gives none.
pub(crate) struct Receiver {
    pub(crate) address: String,
    seen: Arc<Seen>,
    reserved: Mutex<Option<TcpSocket>>,
}

impl Receiver {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let receiver = Self::reserve().await;
        receiver.listen(answers).await;
        receiver
    }

    /// Has an address, but nobody listens there yet.
    pub(crate) async fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self {
            address: socket.local_addr().unwrap().to_string(),
            seen: Arc::default(),
            reserved: Mutex::new(Some(socket)),
        }
    }

    pub(crate) async fn listen(&self, answers: impl IntoIterator<Item = Answer>) {
        self.seen.answers.lock().unwrap().extend(answers);
        let socket = self.reserved.lock().unwrap().take().unwrap();
        tokio::spawn(accept(socket.listen(64).unwrap(), Arc::clone(&self.seen)));
    }

    pub(crate) fn heard(&self) -> Vec<Request> {
        self.seen.heard.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn sent(&self) -> usize {
        self.seen.sent.load(Ordering::SeqCst)
    }

    pub(crate) async fn until_connections(&self, count: usize) {
        let wait = async {
            while self.connections() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(super::LIMIT, wait).await.expect("somebody comes");
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve(stream, Arc::clone(&seen)));
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>) {
    let Some(request) = read(&mut stream).await else { return };
    seen.heard.lock().unwrap().push(request);
    let answer = seen.answers.lock().unwrap().pop_front().unwrap_or(Answer::Nothing);
    let text = match &answer {
        Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
        Answer::Redirect(to) => format!("HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
        Answer::TooShort => "HTTP/1.1 200 X\r\ncontent-length: 1000000\r\n\r\nshort".to_owned(),
        Answer::Endless => "HTTP/1.1 200 X\r\n\r\n".to_owned(),
        Answer::LongHead => format!("HTTP/1.1 200 X\r\nx-a: {}\r\n\r\n", "a".repeat(1 << 20)),
        Answer::Garbage => "SSH-2.0-x\r\n\r\n".to_owned(),
        Answer::Close => return,
        Answer::Nothing => return std::future::pending().await,
    };
    let _ = stream.write_all(text.as_bytes()).await;
    while matches!(answer, Answer::Endless) && stream.write_all(&[b'x'; 4096]).await.is_ok() {
        seen.sent.fetch_add(4096, Ordering::SeqCst);
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let mut lines = head.split("\r\n");
        let line = lines.next()?.to_owned();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let request = Request {
            line,
            headers: pairs
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        };
        if request.header("content-length").parse() == Ok(body.len()) {
            return Some(request);
        }
    }
}

/// HMAC by hand, from its definition, so that it is not the one that is tested.
pub(crate) fn signature(secret: &str, request: &Request) -> String {
    let mut key = decode(secret.strip_prefix("whsec_").unwrap());
    assert!(key.len() <= 64);
    key.resize(64, 0);
    let padded = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let text = format!(
        "{}.{}.{}",
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
        request.body
    );
    let inner = Sha256::digest([padded(0x36), text.into_bytes()].concat());
    let outer = Sha256::digest([padded(0x5c), inner.to_vec()].concat());
    format!("v1,{}", encode(&outer))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |number, at| {
            number << 8 | u32::from(*chunk.get(at).unwrap_or(&0))
        });
        for at in 0..4 {
            let digit = ALPHABET[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}
