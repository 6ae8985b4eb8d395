//! Hosts on one machine: network namespaces joined by cables, with a router between them that translates addresses.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the server is.
pub const SERVER: &str = "10.77.1.1";

/// A server, a router that hides what is behind it, and a worker's machine behind that. All of it goes when this is dropped.
///
/// `server 10.77.1.1 --- 10.77.1.254 router 192.168.77.254 --- 192.168.77.2 worker`
pub struct Lab {
    prefix: String,
}

/// A machine of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The one that everybody reaches.
    Server,
    /// Between the two.
    Router,
    /// The one that nobody reaches.
    Worker,
}

impl Host {
    const ALL: [Host; 3] = [Host::Server, Host::Router, Host::Worker];

    fn name(self) -> &'static str {
        match self {
            Host::Server => "s",
            Host::Router => "r",
            Host::Worker => "w",
        }
    }
}

impl Lab {
    /// Builds it. None, said loudly, where this machine does not allow it.
    pub fn build() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lab = Self {
            prefix: format!("hlv{}x{number}", std::process::id()),
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
        for host in Host::ALL {
            run(Command::new("ip").args(["netns", "add", &self.namespace(host)]))?;
            self.on(host, &["ip", "link", "set", "dev", "lo", "up"])?;
        }
        for (from, to, near, far) in [
            (Host::Server, "up", "10.77.1.1/24", "10.77.1.254/24"),
            (Host::Worker, "down", "192.168.77.2/24", "192.168.77.254/24"),
        ] {
            let (own, routers) = (self.namespace(from), self.namespace(Host::Router));
            run(Command::new("ip").args([
                "link", "add", "eth0", "netns", &own, "type", "veth", "peer", "name", to, "netns", &routers,
            ]))?;
            self.on(from, &["ip", "address", "add", near, "dev", "eth0"])?;
            self.on(from, &["ip", "link", "set", "dev", "eth0", "up"])?;
            self.on(Host::Router, &["ip", "address", "add", far, "dev", to])?;
            self.on(Host::Router, &["ip", "link", "set", "dev", to, "up"])?;
        }
        self.on(
            Host::Worker,
            &["ip", "route", "add", "default", "via", "192.168.77.254"],
        )?;
        self.on(Host::Router, &["sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        // The server has no way back but that: what is behind the router has an address that means nothing to it.
        self.rules(
            "table ip hide {
                chain out { type nat hook postrouting priority 100; oifname \"up\" masquerade random; }
                chain through {
                    type filter hook forward priority 0; policy drop;
                    iifname \"down\" accept;
                    ct state established,related accept;
                }
            }",
        )
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
        self.rules(&rules).expect("the router obeys");
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

    fn rules(&self, rules: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        std::fs::write(file.path(), format!("{rules}\n")).map_err(|error| error.to_string())?;
        self.on(Host::Router, &["nft", "-f", &file.path().to_string_lossy()])
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in Host::ALL {
            let _ = run(Command::new("ip").args(["netns", "delete", &self.namespace(host)]));
        }
    }
}

/// Whether namespaces can be made at all.
fn may_build() -> bool {
    let probe = format!("hlvprobe{}", std::process::id());
    let made = run(Command::new("ip").args(["netns", "add", &probe]));
    let _ = run(Command::new("ip").args(["netns", "delete", &probe]));
    made.is_ok()
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
