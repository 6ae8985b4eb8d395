//! Who may be reached.

use std::net::{IpAddr, SocketAddr};

use crate::allow::{Allow, is_public};

/// Which hosts may be reached, and at which of their addresses.
#[derive(Debug, Clone)]
pub enum Policy {
    /// These hosts and no other.
    Only(Vec<Allow>),
    /// Every host at a public address, on any port; and these, at the addresses that they allow.
    Public(Vec<Allow>),
}

/// Why a host may not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was not allowed by its name.
    #[error("was not allowed")]
    Host,
    /// What it was allowed by does not reach its address.
    #[error("has the address {address}, which `{allow}` does not allow: private addresses must be named")]
    Named {
        /// One of its addresses.
        address: IpAddr,
        /// What allowed its name.
        allow: Allow,
    },
    /// It was not named, and has no public address.
    #[error("has the address {0}, which is not public")]
    NotPublic(IpAddr),
    /// It has no address at all.
    #[error("has no address")]
    NoAddress,
    /// It could not be looked up.
    #[error("cannot be looked up: {0}")]
    Lookup(String),
}

impl Policy {
    /// Looks a host up and returns those of its addresses that may be connected to. An IPv6 address has its brackets.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refusal> {
        let (Policy::Only(allowed) | Policy::Public(allowed)) = self;
        let allow = allowed.iter().find(|allow| allow.covers(host, port));
        if allow.is_none() && matches!(self, Policy::Only(_)) {
            return Err(Refusal::Host);
        }
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((name, port)).await;
        let found = found.map_err(|error| Refusal::Lookup(error.to_string()))?;
        let may = |address: &SocketAddr| match allow {
            Some(allow) => allow.reaches(address.ip()),
            None => is_public(address.ip()),
        };
        let (open, closed): (Vec<_>, Vec<_>) = found.partition(may);
        match (open.is_empty(), closed.first(), allow) {
            (false, ..) => Ok(open),
            (true, None, _) => Err(Refusal::NoAddress),
            (true, Some(address), None) => Err(Refusal::NotPublic(address.ip())),
            (true, Some(address), Some(allow)) => Err(Refusal::Named {
                address: address.ip(),
                allow: allow.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(texts: &[&str]) -> Vec<Allow> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn nothing_is_reached_that_was_not_named() {
        let policy = Policy::Only(allow(&["example.org"]));
        assert_eq!(policy.addresses("127.0.0.1", 80).await, Err(Refusal::Host));
        let policy = Policy::Only(allow(&["127.0.0.1:9"]));
        assert_eq!(policy.addresses("127.0.0.1", 80).await, Err(Refusal::Host));
        assert_eq!(
            policy.addresses("127.0.0.1", 9).await.unwrap(),
            ["127.0.0.1:9".parse().unwrap()]
        );
    }

    #[tokio::test]
    async fn the_public_is_reached_on_any_port_and_the_house_only_where_it_was_named() {
        let policy = Policy::Public(allow(&["127.0.0.1:9", "localhost:9"]));
        assert!(policy.addresses("93.184.216.34", 8443).await.is_ok());
        for (host, port) in [
            ("127.0.0.1", 10),
            ("127.0.0.2", 9),
            ("localhost", 10),
            ("10.0.0.1", 443),
            ("[::1]", 9),
            ("[::ffff:127.0.0.1]", 9),
            ("2130706433", 9),
            ("0x7f.1", 9),
        ] {
            // How a number is read is the system's to say: whatever it makes of it, it is not reached.
            let refused = policy.addresses(host, port).await;
            assert!(
                matches!(refused, Err(Refusal::NotPublic(_) | Refusal::Lookup(_))),
                "{host}: {refused:?}"
            );
        }
        assert!(policy.addresses("127.0.0.1", 9).await.is_ok() && policy.addresses("localhost", 9).await.is_ok());
    }
}
