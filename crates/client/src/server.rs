//! Where a server is, and whether a token may go there.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::error::Error;

/// The address of a server: `https://helve.example.org`, `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(Url);

impl Server {
    /// Reads one. Without encryption only loopback will do, unless `insecure` says otherwise.
    ///
    /// # Errors
    ///
    /// When it is no address of a server, or one that a token must not be sent to.
    pub fn parse(text: &str, insecure: bool) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Address(format!("`{text}` is no address of a server: {why}"));
        let mut url =
            Url::parse(text.trim()).map_err(|_| wrong("write it as https://HOST or http://127.0.0.1:8080"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it begins with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Address(
                "the address of a server holds no name and no password: a token is given with --token-file or HELVE_TOKEN"
                    .to_owned(),
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has no `?` and no `#`"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let server = Self(url);
        if server.0.scheme() == "http" && !server.is_loopback() && !insecure {
            return Err(Error::Address(format!(
                "{server} is not encrypted, and others on the way could take the token from it"
            )));
        }
        Ok(server)
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => host == "localhost",
        }
    }

    /// Host and port, as a person would write them.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// An address below `/api/v1`.
    pub(crate) fn api(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_people_write_it() {
        for (text, shown, host) in [
            (
                "https://helve.example.org/",
                "https://helve.example.org",
                "helve.example.org",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080", "[::1]:8080"),
            ("http://localhost:1", "http://localhost:1", "localhost:1"),
            (
                "https://proxy.example/helve/",
                "https://proxy.example/helve",
                "proxy.example",
            ),
        ] {
            let server = Server::parse(text, false).unwrap();
            assert_eq!((server.to_string().as_str(), server.host().as_str()), (shown, host));
        }
    }

    #[test]
    fn a_token_does_not_go_anywhere_in_the_clear() {
        for text in [
            "http://helve.example.org",
            "http://192.0.2.1:8080",
            "http://127.0.0.1.example.org",
        ] {
            let error = Server::parse(text, false).unwrap_err().to_string();
            assert!(error.contains("not encrypted"), "{error}");
            assert!(Server::parse(text, true).is_ok());
        }
    }

    #[test]
    fn what_is_no_address_is_said() {
        for text in [
            "",
            "helve",
            "127.0.0.1:8080",
            "ftp://x",
            "https://a/?b",
            "https://me:secret@a",
        ] {
            let error = Server::parse(text, true).unwrap_err().to_string();
            assert!(!error.contains("secret@"), "{error}");
        }
    }

    #[test]
    fn what_a_user_writes_stays_one_part_of_the_path() {
        let server = Server::parse("http://127.0.0.1:1/x", false).unwrap();
        let url = server.api(&["runs", "a/../b?c", "findings"], &[("namespace", "a&b")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:1/x/api/v1/runs/a%2F..%2Fb%3Fc/findings?namespace=a%26b"
        );
    }
}
