//! Tickets: all that somebody needs to find a control plane and to be let in, as one word.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use iroh::EndpointAddr;
use serde::{Deserialize, Serialize};

use crate::relays::{RelayPass, Relays};

/// How every ticket begins, and with it which version of the rest this is.
const PREFIX: &str = "helve1";
/// Bytes of the check at the end: a ticket that lost a letter on its way is found out before anybody is called.
const CHECK: usize = 4;
/// Letters that a ticket has at most: some hundred nodes.
const MAX_LETTERS: usize = 16 << 10;

/// Where a control plane is, and what opens its door. Whoever has read one can join with it, as long as it is good.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The nodes, with the addresses and relays that lead to each.
    pub nodes: Vec<EndpointAddr>,
    /// With what an unknown endpoint joins; none in a ticket for those who are known already.
    pub secret: Option<String>,
    /// What opens the relays.
    pub pass: RelayPass,
}

/// What every ticket has. What a version added comes after it, where an older one does not look.
#[derive(Serialize, Deserialize)]
struct Body {
    nodes: Vec<EndpointAddr>,
    secret: Option<String>,
}

impl Ticket {
    /// The same for those who are known already.
    #[must_use]
    pub fn without_secret(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            secret: None,
            pass: self.pass.clone(),
        }
    }

    /// The relays that it names.
    pub fn relays(&self) -> Relays {
        let named: BTreeSet<_> = self.nodes.iter().flat_map(EndpointAddr::relay_urls).cloned().collect();
        Relays {
            urls: named.into_iter().collect(),
            pass: self.pass.clone(),
        }
    }

    /// Whether this text means to be a ticket, so that an error about it should say what is wrong with it.
    pub fn looks_like_one(text: &str) -> bool {
        text.trim().len() > PREFIX.len() && text.trim().to_ascii_lowercase().starts_with(PREFIX)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = Body {
            nodes: self.nodes.clone(),
            secret: self.secret.clone(),
        };
        let mut bytes = postcard::to_stdvec(&body).map_err(|_| fmt::Error)?;
        if !self.pass.is_empty() {
            bytes.extend(postcard::to_stdvec(&self.pass).map_err(|_| fmt::Error)?);
        }
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
            .field("pass", &self.pass)
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
        let (Body { nodes, secret }, rest) = postcard::take_from_bytes(body).map_err(|_| InvalidTicket::Damaged)?;
        let pass = match rest {
            [] => RelayPass::default(),
            rest => postcard::from_bytes(rest).map_err(|_| InvalidTicket::Damaged)?,
        };
        match nodes.is_empty() {
            true => Err(InvalidTicket::Empty),
            false => Ok(Ticket { nodes, secret, pass }),
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
            pass: RelayPass::default(),
        }
    }

    #[test]
    fn a_ticket_says_what_opens_its_relays_and_an_older_version_reads_the_rest() {
        let mut with = ticket(1, Some("hlvj_abc"));
        let url = "https://relay.example".parse().unwrap();
        with.nodes[0] = with.nodes[0].clone().with_relay_url(url);
        let without = with.clone();
        with.pass = RelayPass {
            secret: Some("open sesame".to_owned()),
            authorities: vec![vec![7; 400]],
        };
        assert_eq!(with.to_string().parse(), Ok(with.clone()));
        assert_eq!(with.relays().urls.len(), 1);
        let body = |ticket: &Ticket| {
            let text = ticket.to_string().to_ascii_uppercase();
            let bytes = BASE32_NOPAD.decode(&text.as_bytes()[PREFIX.len()..]).unwrap();
            bytes[..bytes.len() - CHECK].to_vec()
        };
        // What a version does that knows of no more.
        let older: Body = postcard::from_bytes(&body(&with)).unwrap();
        assert_eq!((older.nodes, older.secret), (with.nodes, with.secret));
        // And what was written by one.
        let older = Body {
            nodes: without.nodes.clone(),
            secret: without.secret.clone(),
        };
        assert_eq!(postcard::to_stdvec(&older).unwrap(), body(&without));
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
