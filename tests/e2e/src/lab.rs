//! Hosts on one machine: network namespaces joined by cables, with routers between them that translate addresses.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the server is behind one router, as everybody reaches it.
pub const SERVER: &str = "10.77.1.1";

/// Hosts and what joins them. A new shape is a new constant.
pub struct Shape {
    /// The machines.
    pub hosts: &'static [Host],
    /// Cables, by their two ends.
    pub cables: &'static [(End, End)],
    /// Where each machine sends what is for somebody far away.
    pub gateways: &'static [(Host, &'static str)],
    /// Machines that pass on what is not for them, with their rules of nft.
    pub routers: &'static [(Host, &'static str)],
}

/// The end of a cable: where, what the interface is called there, and its address.
pub struct End(pub Host, pub &'static str, pub &'static str);

/// A router that hides what is at its interface `down` from all others.
const HIDING: &str = "table ip hide {
    chain out { type nat hook postrouting priority 100; oifname \"up\" masquerade random; }
    chain through {
        type filter hook forward priority 0; policy drop;
        iifname \"down\" accept;
        ct state established,related accept;
        ct status dnat accept;
    }
}";

/// A server, a router that hides what is behind it, and a worker's machine behind that.
///
/// `server 10.77.1.1 --- 10.77.1.254 router 192.168.77.254 --- 192.168.77.2 worker`
pub const ONE_ROUTER: Shape = Shape {
    hosts: &[Host::Server, Host::Router, Host::Worker],
    cables: &[
        (
            End(Host::Server, "eth0", "10.77.1.1/24"),
            End(Host::Router, "up", "10.77.1.254/24"),
        ),
        (
            End(Host::Worker, "eth0", "192.168.77.2/24"),
            End(Host::Router, "down", "192.168.77.254/24"),
        ),
    ],
    // The server has no way back but to the router: what is behind it has an address that means nothing to the server.
    gateways: &[(Host::Worker, "192.168.77.254")],
    routers: &[(Host::Router, HIDING)],
};

/// A server and a worker, each hidden behind a router of its own, and a relay that both reach.
///
/// `server 192.168.78.2 --- 192.168.78.254 gate 10.77.1.1 --- core --- 10.77.2.1 router 192.168.77.254 --- 192.168.77.2 worker`,
/// and at the core `10.77.3.1 relay`
pub const TWO_ROUTERS: Shape = Shape {
    hosts: &[
        Host::Server,
        Host::Gate,
        Host::Core,
        Host::Relay,
        Host::Router,
        Host::Worker,
    ],
    cables: &[
        (
            End(Host::Server, "eth0", "192.168.78.2/24"),
            End(Host::Gate, "down", "192.168.78.254/24"),
        ),
        (
            End(Host::Gate, "up", "10.77.1.1/24"),
            End(Host::Core, "one", "10.77.1.254/24"),
        ),
        (
            End(Host::Router, "up", "10.77.2.1/24"),
            End(Host::Core, "two", "10.77.2.254/24"),
        ),
        (
            End(Host::Relay, "eth0", "10.77.3.1/24"),
            End(Host::Core, "three", "10.77.3.254/24"),
        ),
        (
            End(Host::Worker, "eth0", "192.168.77.2/24"),
            End(Host::Router, "down", "192.168.77.254/24"),
        ),
    ],
    gateways: &[
        (Host::Server, "192.168.78.254"),
        (Host::Gate, "10.77.1.254"),
        (Host::Router, "10.77.2.254"),
        (Host::Relay, "10.77.3.254"),
        (Host::Worker, "192.168.77.254"),
    ],
    // The core knows nobody who is hidden, and so sends nothing there.
    routers: &[(Host::Gate, HIDING), (Host::Core, ""), (Host::Router, HIDING)],
};

/// Machines as a [`Shape`] joins them. All of it goes when this is dropped.
pub struct Lab {
    prefix: String,
    shape: &'static Shape,
}

/// A machine of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The one that is called.
    Server,
    /// The server's own router, if it is hidden as well.
    Gate,
    /// What joins the routers.
    Core,
    /// The one that carries what gets through no other way.
    Relay,
    /// The one that the worker is behind.
    Router,
    /// The one that nobody reaches.
    Worker,
}

impl Host {
    fn name(self) -> &'static str {
        match self {
            Host::Server => "s",
            Host::Gate => "g",
            Host::Core => "c",
            Host::Relay => "y",
            Host::Router => "r",
            Host::Worker => "w",
        }
    }
}

impl Lab {
    /// One with a single router.
    pub fn build() -> Option<Self> {
        Self::of(&ONE_ROUTER)
    }

    /// Builds it. None, said loudly, where this machine does not allow it.
    pub fn of(shape: &'static Shape) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lab = Self {
            prefix: format!("hlv{}x{number}", std::process::id()),
            shape,
        };
        match lab.lay_cables() {
            Ok(()) => Some(lab),
            Err(why) => {
                eprintln!("SKIPPED: no lab of network namespaces can be built here, so nothing was tested: {why}");
                // Being skipped is for machines that cannot, not for a lab that is wrong.
                assert!(!may_build(), "this machine could have built it: {why}");
                None
            }
        }
    }

    fn namespace(&self, host: Host) -> String {
        format!("{}{}", self.prefix, host.name())
    }

    fn lay_cables(&self) -> Result<(), String> {
        for host in self.shape.hosts {
            run(Command::new("ip").args(["netns", "add", &self.namespace(*host)]))?;
            self.on(*host, &["ip", "link", "set", "dev", "lo", "up"])?;
        }
        for (one, other) in self.shape.cables {
            let (near, far) = (self.namespace(one.0), self.namespace(other.0));
            run(Command::new("ip").args([
                "link", "add", "name", one.1, "netns", &near, "type", "veth", "peer", "name", other.1, "netns", &far,
            ]))?;
            for End(host, name, address) in [one, other] {
                self.on(*host, &["ip", "address", "add", address, "dev", name])?;
                self.on(*host, &["ip", "link", "set", "dev", name, "up"])?;
            }
        }
        for (host, gateway) in self.shape.gateways {
            self.on(*host, &["ip", "route", "add", "default", "via", gateway])?;
        }
        for (host, rules) in self.shape.routers {
            self.on(*host, &["sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
            self.try_rules(*host, rules)?;
        }
        Ok(())
    }

    /// The router forgets whose address is whose after a second without a packet, so that the worker has a new one all the time.
    pub fn forget_addresses(&self) {
        for what in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            let setting = format!("net.netfilter.{what}=1");
            self.on(Host::Router, &["sysctl", "-qw", &setting])
                .expect("the router obeys");
        }
    }

    /// One packet of so many is lost on its way through the router.
    pub fn lose_one_of(&self, packets: u32) {
        let rules = format!(
            "table ip lossy {{
                chain through {{
                    type filter hook forward priority -10; policy accept;
                    numgen random mod {packets} == 0 drop;
                }}
            }}"
        );
        self.rules(Host::Router, &rules);
    }

    /// Nothing gets through.
    pub fn cut(&self) {
        self.on(Host::Router, &["ip", "link", "set", "dev", "down", "down"])
            .expect("the router obeys");
    }

    /// Everything does again.
    pub fn mend(&self) {
        self.on(Host::Router, &["ip", "link", "set", "dev", "down", "up"])
            .expect("the router obeys");
    }

    /// No UDP gets out from behind the worker's router.
    pub fn drop_udp(&self) {
        self.rules(
            Host::Router,
            "table ip strict { chain through {
                type filter hook forward priority -10; meta l4proto udp drop;
            }
            }",
        );
    }

    /// The server's router passes on what comes to this UDP port.
    pub fn forward_port(&self, port: u16) {
        let rules = format!(
            "table ip open {{ chain in {{
                type nat hook prerouting priority -100; iifname \"up\" udp dport {port} dnat to 192.168.78.2:{port};
            }}
            }}"
        );
        self.rules(Host::Gate, &rules);
    }

    /// The routers leave ports as they are where they can, and take nothing that they did not ask for, as many do at home.
    /// (One that takes such a packet for its own remembers whose port that is, and gives the hidden machine another one.)
    pub fn keep_ports(&self) {
        for host in [Host::Gate, Host::Router] {
            self.rules(
                host,
                "flush chain ip hide out
                add rule ip hide out oifname \"up\" masquerade
                table ip shut {
                    chain in { type filter hook input priority 0; iifname \"up\" meta l4proto udp drop; }
                }",
            );
        }
    }

    /// Counts from now on what these machines send to somebody outside of the lab.
    pub fn watch_for_strangers(&self, hosts: &[Host]) {
        for host in hosts {
            self.rules(
                *host,
                "table inet watch {
                    counter strangers { }
                    chain out {
                        type filter hook output priority 0; oifname \"lo\" accept;
                        ip daddr != { 10.77.0.0/16, 192.168.77.0/24, 192.168.78.0/24 } counter name strangers;
                    }
                }",
            );
        }
    }

    /// How many packets that were since.
    pub fn packets_to_strangers(&self, host: Host) -> u64 {
        let asked = ["nft", "list", "counter", "inet", "watch", "strangers"];
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.namespace(host)]).args(asked);
        let told = inside.output().expect("nft is there").stdout;
        let told = String::from_utf8_lossy(&told).into_owned();
        let packets = told
            .split("packets ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        packets
            .and_then(|packets| packets.parse().ok())
            .unwrap_or_else(|| panic!("no counter: {told}"))
    }

    /// The same command, on one of the machines.
    pub fn command(&self, host: Host, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.namespace(host)])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            inside.current_dir(dir);
        }
        inside
    }

    fn on(&self, host: Host, command: &[&str]) -> Result<(), String> {
        let mut inside = Command::new("ip");
        run(inside.args(["netns", "exec", &self.namespace(host)]).args(command))
    }

    /// Further rules of nft on one of the machines.
    pub fn rules(&self, host: Host, rules: &str) {
        self.try_rules(host, rules).expect("the router obeys");
    }

    fn try_rules(&self, host: Host, rules: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        std::fs::write(file.path(), format!("{rules}\n")).map_err(|error| error.to_string())?;
        self.on(host, &["nft", "-f", &file.path().to_string_lossy()])
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.shape.hosts {
            let _ = run(Command::new("ip").args(["netns", "delete", &self.namespace(*host)]));
        }
    }
}

/// Whether namespaces can be made at all.
pub(crate) fn may_build() -> bool {
    let probe = format!("hlvprobe{}", std::process::id());
    let made = run(Command::new("ip").args(["netns", "add", &probe]));
    let _ = run(Command::new("ip").args(["netns", "delete", &probe]));
    made.is_ok()
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
