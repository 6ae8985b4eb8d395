//! What a browser without scripts does: it keeps cookies, and sends the forms of pages.

use std::collections::BTreeMap;

use crate::http::{Answer, Api};

/// Between the parts of a form with a file.
const BOUNDARY: &str = "a-line-that-no-file-has";

/// A browser at one `helve up --http`, without a token.
#[derive(Debug, Clone)]
pub struct Browser {
    api: Api,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One that was never here.
    pub fn new(api: &Api) -> Self {
        Self {
            api: api.with(None),
            cookies: BTreeMap::new(),
        }
    }

    /// The cookies, as they are sent.
    pub fn cookies(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep(&mut self, answer: Answer) -> Answer {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            assert!(
                value.contains("; HttpOnly") && value.contains("; SameSite=Strict"),
                "{value}"
            );
            let pair = value.split(';').next().unwrap_or_default();
            let (name, text) = pair.split_once('=').expect("a cookie has a name");
            match text {
                "" => drop(self.cookies.remove(name)),
                text => drop(self.cookies.insert(name.to_owned(), text.to_owned())),
            }
        }
        answer
    }

    /// Looks at a page.
    pub fn get(&mut self, path: &str) -> Answer {
        let cookies = self.cookies();
        let answer = self.api.send("GET", path, &[("Cookie", &cookies)], &[]);
        self.keep(answer)
    }

    /// Sends a form as it is.
    pub fn send(&mut self, path: &str, kind: &str, body: &[u8]) -> Answer {
        let cookies = self.cookies();
        let headers = [("Cookie", &*cookies), ("Content-Type", kind)];
        let answer = self.api.send("POST", path, &headers, body);
        self.keep(answer)
    }

    /// Sends a form of that page, with its token.
    pub fn post(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let token = token(&self.get(page).expect(200));
        self.send(
            action,
            "application/x-www-form-urlencoded",
            encoded(&[&[("csrf", &*token)], fields].concat()).as_bytes(),
        )
    }

    /// Sends a form of that page with a file.
    pub fn upload(&mut self, page: &str, fields: &[(&str, &str)], file: (&str, &[u8])) -> Answer {
        let token = token(&self.get(page).expect(200));
        let body = parts(&[&[("csrf", &*token)], fields].concat(), file);
        self.send(page, &multipart(), &body)
    }

    /// Signs in with a link.
    pub fn follow(&mut self, link: &str) {
        let code = link.split("code=").nth(1).expect("a link has a code").to_owned();
        let answer = self.post(link, "/login", &[("code", &code), ("next", "/")]).expect(303);
        assert_eq!(answer.header("location"), Some("/"));
    }
}

/// The type of a form with a file.
pub fn multipart() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// The body of a form with a file.
pub fn parts(fields: &[(&str, &str)], (file, bytes): (&str, &[u8])) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(head.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"target\"; filename=\"{file}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// What the forms of a page hold.
#[track_caller]
pub fn token(page: &Answer) -> String {
    let text = page.text();
    let rest = text
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .expect("the page has a form");
    rest.split('"').next().expect("a value ends").to_owned()
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}
