//! Tickets: all that somebody needs to find a control plane and to be let in, as one word.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use iroh::EndpointAddr;
use serde::{Deserialize, Serialize};

/// How every ticket begins, and with it which version of the rest this is.
const PREFIX: &str = "helve1";
/// Bytes of the check at the end: a ticket that lost a letter on its way is found out before anybody is called.
const CHECK: usize = 4;
/// Letters that a ticket has at most: some hundred nodes.
const MAX_LETTERS: usize = 16 << 10;

/// Where a control plane is, and what opens its door. Whoever has read one can join with it, as long as it is good.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The nodes, with the addresses and relays that lead to each.
    pub nodes: Vec<EndpointAddr>,
    /// With what an unknown endpoint joins; none in a ticket for those who are known already.
    pub secret: Option<String>,
}

impl Ticket {
    /// The same for those who are known already.
    #[must_use]
    pub fn without_secret(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            secret: None,
        }
    }

    /// Whether this text means to be a ticket, so that an error about it should say what is wrong with it.
    pub fn looks_like_one(text: &str) -> bool {
        text.trim().len() > PREFIX.len() && text.trim().to_ascii_lowercase().starts_with(PREFIX)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = postcard::to_stdvec(self).map_err(|_| fmt::Error)?;
        bytes.extend(check(&bytes));
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }
}

/// Without the secret: what is debugged is logged.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("nodes", &self.nodes)
            .field("has_secret", &self.secret.is_some())
            .finish()
    }
}

/// Why a text is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTicket {
    /// It does not begin as one.
    #[error("this is no ticket: a ticket begins with `{PREFIX}`; `helve up --mesh` and `helve mesh ticket` print them")]
    Prefix,
    /// Something is missing or was changed.
    #[error("this ticket is damaged: copy it again, from its first letter to its last")]
    Damaged,
    /// Nobody is in it.
    #[error("this ticket names no node")]
    Empty,
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        // Mail and terminals break long words.
        let letters: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .take(MAX_LETTERS + 1)
            .collect();
        let letters = letters.to_ascii_uppercase();
        let rest = letters
            .strip_prefix(&PREFIX.to_ascii_uppercase())
            .ok_or(InvalidTicket::Prefix)?;
        if letters.len() > MAX_LETTERS {
            return Err(InvalidTicket::Damaged);
        }
        let bytes = BASE32_NOPAD
            .decode(rest.as_bytes())
            .map_err(|_| InvalidTicket::Damaged)?;
        let (body, found) = bytes.split_last_chunk::<CHECK>().ok_or(InvalidTicket::Damaged)?;
        if *found != check(body) {
            return Err(InvalidTicket::Damaged);
        }
        let ticket: Ticket = postcard::from_bytes(body).map_err(|_| InvalidTicket::Damaged)?;
        match ticket.nodes.is_empty() {
            true => Err(InvalidTicket::Empty),
            false => Ok(ticket),
        }
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let hash = blake3::hash(body);
    std::array::from_fn(|n| hash.as_bytes()[n])
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;
    use proptest::prelude::*;

    fn ticket(nodes: u8, secret: Option<&str>) -> Ticket {
        let node = |n: u8| {
            let id = SecretKey::from_bytes(&[n + 1; 32]).public();
            EndpointAddr::new(id).with_ip_addr(([127, 0, 0, n], 4433).into())
        };
        Ticket {
            nodes: (0..nodes).map(node).collect(),
            secret: secret.map(str::to_owned),
        }
    }

    #[test]
    fn a_ticket_is_read_as_it_was_written_however_it_was_wrapped() {
        for ticket in [ticket(1, None), ticket(3, Some("hlvj_abc_def"))] {
            let text = ticket.to_string();
            assert!(Ticket::looks_like_one(&text));
            assert_eq!(text.parse(), Ok(ticket.clone()));
            assert_eq!(format!(" {}\n", text.to_uppercase()).parse(), Ok(ticket.clone()));
            let (head, tail) = text.split_at(40);
            assert_eq!(format!("{head}\n  {tail}").parse(), Ok(ticket));
        }
    }

    #[test]
    fn what_is_no_ticket_says_why() {
        assert_eq!("http://127.0.0.1:8080".parse::<Ticket>(), Err(InvalidTicket::Prefix));
        assert_eq!("".parse::<Ticket>(), Err(InvalidTicket::Prefix));
        assert_eq!(ticket(0, None).to_string().parse::<Ticket>(), Err(InvalidTicket::Empty));
        assert_eq!("helve1".parse::<Ticket>(), Err(InvalidTicket::Damaged));
        assert_eq!(
            format!("helve1{}", "a".repeat(1 << 20)).parse::<Ticket>(),
            Err(InvalidTicket::Damaged)
        );
    }

    #[test]
    fn a_secret_is_not_debugged() {
        assert!(!format!("{:?}", ticket(1, Some("hlvj_abc"))).contains("hlvj"));
    }

    proptest! {
        #[test]
        fn one_wrong_or_missing_letter_is_found_out(at in 0_usize..100, letter in "[a-z2-7]") {
            let text = ticket(1, Some("a secret")).to_string();
            let at = at % text.len();
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, &letter);
            prop_assert!(wrong == text || wrong.parse::<Ticket>().is_err());
            wrong.remove(at);
            prop_assert!(wrong.parse::<Ticket>().is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "(helve1)?.{0,200}") {
            let _ = text.parse::<Ticket>();
        }
    }
}
