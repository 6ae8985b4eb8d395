//! Which hosts may be requested.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Ports of a host that is named without one.
const WEB_PORTS: [u16; 2] = [80, 443];

/// A host that may be requested: `api.example.org`, `*.example.org` (any host below it), `*` (any host), an address,
/// `localhost`; with `:PORT` that port, otherwise 80 and 443.
///
/// A name does not reach addresses of this machine or of its link, and a pattern reaches no private address at all: who
/// controls a name controls its address. To allow those, name the address, or `localhost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    /// With the dot.
    Below(String),
    Name(String),
    Address(IpAddr),
}

/// Something that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host: write `api.example.org`, `*.example.org` or an address, with `:PORT` if it is not 80 or 443"
)]
pub struct InvalidAllow(String);

impl FromStr for Allow {
    type Err = InvalidAllow;

    fn from_str(text: &str) -> Result<Self, InvalidAllow> {
        let invalid = || InvalidAllow(text.to_owned());
        if let Ok(address) = text.parse() {
            return Ok(Self {
                host: Host::Address(address),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| invalid())?)),
            _ => (text, None),
        };
        let host = host.to_ascii_lowercase();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match (address, host.parse(), host.strip_prefix('*')) {
            (Some(address), ..) => Host::Address(address.parse().map_err(|_| invalid())?),
            (_, Ok(address), _) => Host::Address(address),
            (.., Some("")) => Host::Any,
            (.., Some(below)) if below.starts_with('.') && is_name(&below[1..]) => Host::Below(below.to_owned()),
            _ if is_name(&host) => Host::Name(host),
            _ => return Err(invalid()),
        };
        Ok(Self { host, port })
    }
}

fn is_name(text: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    text.split('.').all(is_label)
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Below(name) => write!(f, "*{name}")?,
            Host::Name(name) => f.write_str(name)?,
            Host::Address(IpAddr::V6(address)) if self.port.is_some() => write!(f, "[{address}]")?,
            Host::Address(address) => write!(f, "{address}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Allow {
    /// Whether a request to that host may be sent, as far as its name goes. An IPv6 address has its brackets.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let is_host = match &self.host {
            Host::Any => true,
            Host::Below(name) => address.is_none() && host.ends_with(name.as_str()),
            Host::Name(name) => host == *name,
            Host::Address(allowed) => address == Some(*allowed),
        };
        is_host && self.port.map_or(WEB_PORTS.contains(&port), |allowed| allowed == port)
    }

    /// Whether it may have that address.
    pub fn reaches(&self, address: IpAddr) -> bool {
        match &self.host {
            Host::Address(allowed) => address == *allowed,
            Host::Name(name) if name == "localhost" => true,
            Host::Name(_) => !is_of_this_machine(address),
            Host::Any | Host::Below(_) => !is_of_this_machine(address) && !is_private(address),
        }
    }
}

/// Where clouds serve the machine's credentials, beside its link.
const CREDENTIALS_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const CREDENTIALS_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// This machine, its link, where its credentials are, everybody, nobody.
fn is_of_this_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_of_this_machine_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_of_this_machine_v4(v4),
            None => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unicast_link_local()
                    || CREDENTIALS_V6.contains(&v6)
            }
        },
    }
}

fn is_of_this_machine_v4(address: Ipv4Addr) -> bool {
    // 0.0.0.0/8 means this host on some systems.
    address.is_loopback()
        || address.octets()[0] == 0
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || CREDENTIALS_V4.contains(&address)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            // A network's own translation leads where that network says.
            Some(v4) => is_private_v4(v4) || v6.segments()[..3] == [0x64, 0xff9b, 1],
            None => !is_global_v6(v6),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    // Shared among a carrier's customers, protocols' own, relays that are no more, benchmarks, reserved.
    address.is_private()
        || address.is_documentation()
        || (a == 100 && b & 0xc0 == 64)
        || address.octets()[..3] == [192, 0, 0]
        || address.octets()[..3] == [192, 88, 99]
        || (a == 198 && b & 0xfe == 18)
        || a >= 240
}

/// Of what is given out for the public: not protocols' own (Teredo and others) and not documentation.
fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, second, ..] => second > 0x1ff && second != 0xdb8,
        [0x3fff, second, ..] => second > 0xfff,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Whether an address is one of the internet at large: not of this machine, its link or a private network, whatever it is
/// wrapped in.
pub fn is_public(address: IpAddr) -> bool {
    !is_of_this_machine(address) && !is_private(address)
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, or translated (NAT64, 6to4).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, .., high, low] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    match (address.to_ipv4(), first, second) {
        (Some(v4), ..) => Some(v4),
        (None, 0x64, 0xff9b) => Some(v4(high, low)),
        (None, 0x2002, middle) => Some(v4(middle, address.segments()[2])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(text: &str) -> Allow {
        let allow: Allow = text.parse().unwrap();
        assert_eq!(allow.to_string().parse(), Ok(allow.clone()));
        allow
    }

    #[test]
    fn a_name_is_itself_and_nothing_below_or_beside_it() {
        let name = allow("Api.Example.org");
        assert!(name.covers("api.example.org", 443) && name.covers("API.example.org.", 80));
        for other in [
            "example.org",
            "x.api.example.org",
            "api.example.org.evil.net",
            "xapi.example.org",
        ] {
            assert!(!name.covers(other, 443), "{other}");
        }
        assert!(!name.covers("api.example.org", 8080), "another port must be named");
        assert!(allow("api.example.org:8080").covers("api.example.org", 8080));
        assert!(!allow("api.example.org:8080").covers("api.example.org", 443));
    }

    #[test]
    fn a_pattern_is_all_below_and_not_what_only_looks_like_it() {
        let below = allow("*.example.org");
        assert!(below.covers("a.example.org", 443) && below.covers("a.b.example.org", 443));
        assert!(!below.covers("example.org", 443) && !below.covers("evilexample.org", 443));
        assert!(allow("*").covers("anything.net", 443) && !allow("*").covers("anything.net", 22));
    }

    #[test]
    fn who_controls_a_name_does_not_get_into_the_house() {
        let inner = [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "224.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
        ];
        let private = [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "192.0.0.8",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "240.0.0.1",
            "fec0::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            // Teredo.
            "2001:0:7f00:1::",
            "64:ff9b:1::808:808",
        ];
        let outer = ["93.184.216.34", "2606:2800::1", "::ffff:8.8.8.8", "64:ff9b::808:808"];
        for (addresses, name, pattern) in [
            (&inner[..], false, false),
            (&private[..], true, false),
            (&outer[..], true, true),
        ] {
            for address in addresses {
                let address: IpAddr = address.parse().unwrap();
                assert_eq!(allow("api.example.org").reaches(address), name, "{address}");
                assert_eq!(allow("*.example.org").reaches(address), pattern, "{address}");
                assert_eq!(allow("*").reaches(address), pattern, "{address}");
                assert_eq!(is_public(address), pattern, "{address}");
            }
        }
        assert!(allow("localhost").reaches("127.0.0.1".parse().unwrap()));
        assert!(allow("127.0.0.1:80").reaches("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn addresses_are_named_with_and_without_a_port() {
        assert!(allow("127.0.0.1").covers("127.0.0.1", 80));
        assert!(allow("127.0.0.1:9").covers("127.0.0.1", 9));
        assert!(allow("::1").covers("[::1]", 80));
        assert!(allow("[::1]:9").covers("[::1]", 9) && !allow("[::1]:9").covers("[::1]", 80));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "",
            "http://example.org",
            "example.org/x",
            "a..b",
            "*x.org",
            "*.",
            "a:b",
            "a b",
            "[::1",
            "user@host",
        ] {
            assert!(text.parse::<Allow>().is_err(), "{text:?}");
        }
    }
}
