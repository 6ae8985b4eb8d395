//! A collector of OpenTelemetry traces: takes what is sent by OTLP over HTTP and keeps what tests ask about.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// One span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace, in hex.
    pub trace: String,
    /// The span, in hex.
    pub id: String,
    /// The span it is within, in hex; empty: none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// `service.instance.id` of the process that it is of.
    pub process: String,
}

/// Listens until the test ends.
pub struct Collector {
    /// For `--otlp`.
    pub url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// On any free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                thread::spawn(move || take(stream, &kept));
            }
        });
        Self { url, spans }
    }

    /// What came so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Requests of one connection.
fn take(stream: TcpStream, kept: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        match reader.read_line(&mut line) {
            Ok(read) if read > 0 => assert!(line.starts_with("POST /v1/traces "), "{line}"),
            _ => return,
        }
        loop {
            line.clear();
            reader.read_line(&mut line).expect("headers come");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().expect("a length"),
                "content-type" => assert_eq!(value, "application/x-protobuf"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body comes");
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(read(&body));
        let answer = reader
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        if answer.is_err() {
            return;
        }
    }
}

/// `ExportTraceServiceRequest`, by the numbers of its fields.
fn read(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in fields(body).remove(&1).unwrap_or_default() {
        let of = fields(resource_spans);
        let attributes = of.get(&1).map(|resource| fields(resource[0])).unwrap_or_default();
        let process = attributes.get(&1).into_iter().flatten().find_map(|attribute| {
            let pair = fields(attribute);
            (text(&pair, 1) == "service.instance.id").then(|| text(&fields(pair[&2][0]), 1))
        });
        for scope_spans in of.get(&2).into_iter().flatten() {
            for span in fields(scope_spans).remove(&2).unwrap_or_default() {
                let span = fields(span);
                spans.push(Span {
                    trace: hex(&span, 1),
                    id: hex(&span, 2),
                    parent: hex(&span, 4),
                    name: text(&span, 5),
                    process: process.clone().unwrap_or_default(),
                });
            }
        }
    }
    spans
}

type Fields<'a> = HashMap<u64, Vec<&'a [u8]>>;

/// The fields of a message that have a length, by their numbers.
fn fields(mut message: &[u8]) -> Fields<'_> {
    let mut found = Fields::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(varint(&mut message)).expect("a length"),
            other => panic!("a field of kind {other}"),
        };
        let (value, rest) = message.split_at(length);
        message = rest;
        if key & 7 == 2 {
            found.entry(key >> 3).or_default().push(value);
        }
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("the message goes on");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn text(fields: &Fields<'_>, number: u64) -> String {
    let bytes = fields.get(&number).map(|values| values[0]).unwrap_or_default();
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn hex(fields: &Fields<'_>, number: u64) -> String {
    let bytes = fields.get(&number).map(|values| values[0]).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
