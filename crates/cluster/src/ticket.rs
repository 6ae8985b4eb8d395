//! All that a new node has to know to join, as one word.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::network::Secret;

/// How every ticket begins, and with it which version of the rest this is.
const PREFIX: &str = "helvec1";
/// Bytes of the check at the end: a ticket that lost a letter on its way is found out before anybody is called.
const CHECK: usize = 4;

/// Where a cluster is, and its secret: whoever has one can become a node of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What all nodes know.
    pub secret: Secret,
    /// Addresses of nodes.
    pub nodes: Vec<String>,
    /// What the owners of the nodes tell each other; nothing to the cluster itself.
    pub note: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    secret: String,
    nodes: Vec<String>,
    note: String,
}

/// The text is no ticket of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTicket {
    /// It does not begin as one.
    #[error("this is no ticket of a cluster: one begins with `{PREFIX}`; `helve cluster ticket` on a node prints it")]
    Prefix,
    /// Something is missing or was changed.
    #[error("this ticket is damaged: copy it again, from its first letter to its last")]
    Damaged,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = Body {
            secret: self.secret.reveal(),
            nodes: self.nodes.clone(),
            note: self.note.clone(),
        };
        let mut bytes = postcard::to_stdvec(&body).map_err(|_| fmt::Error)?;
        bytes.extend(check(&bytes));
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        // Mail and terminals break long words.
        let letters: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let rest = letters.strip_prefix(PREFIX).ok_or(InvalidTicket::Prefix)?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| InvalidTicket::Damaged)?;
        let (body, found) = bytes.split_last_chunk::<CHECK>().ok_or(InvalidTicket::Damaged)?;
        if *found != check(body) {
            return Err(InvalidTicket::Damaged);
        }
        let Body { secret, nodes, note } = postcard::from_bytes(body).map_err(|_| InvalidTicket::Damaged)?;
        Ok(Ticket {
            secret: secret.parse().map_err(|_| InvalidTicket::Damaged)?,
            nodes,
            note,
        })
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let hash = blake3::hash(body);
    std::array::from_fn(|n| hash.as_bytes()[n])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_what_its_text_says_and_a_lost_letter_is_found_out() {
        let ticket = Ticket {
            secret: Secret::generate().unwrap(),
            nodes: vec!["10.0.0.1:7236".to_owned(), "n2.example:7236".to_owned()],
            note: "s3://bucket/prefix".to_owned(),
        };
        let text = ticket.to_string();
        assert_eq!(text.parse(), Ok(ticket.clone()));
        assert_eq!(
            format!(" {}\n{} ", &text[..20], &text[20..]).parse(),
            Ok(ticket.clone())
        );
        for at in PREFIX.len()..text.len() {
            let shorter = format!("{}{}", &text[..at], &text[at + 1..]);
            assert!(shorter.parse::<Ticket>().is_err(), "{at}");
        }
        assert_eq!("helve1abc".parse::<Ticket>(), Err(InvalidTicket::Prefix));
        let shown = format!("{ticket:?}");
        assert!(!shown.contains(&ticket.secret.reveal()), "{shown}");
    }
}
