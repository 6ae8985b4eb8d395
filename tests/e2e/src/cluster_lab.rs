//! Hosts of a cluster on one machine: network namespaces on one switch, whose way to each other can be cut.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::lab::{may_build, run};

/// Hosts for nodes, numbered from 0, and one for clients. All of it goes when this is dropped.
///
/// `node 0 10.88.0.1, node 1 10.88.0.2, ... clients 10.88.0.100 --- switch`
pub struct ClusterLab {
    prefix: String,
    nodes: usize,
}

/// A machine of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// That of a node.
    Node(usize),
    /// Where clients are.
    Clients,
}

impl ClusterLab {
    /// Builds it. None, said loudly, where this machine does not allow it.
    pub fn build(nodes: usize) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lab = Self {
            prefix: format!("hlc{}x{number}", std::process::id()),
            nodes,
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

    fn hosts(&self) -> impl Iterator<Item = Host> {
        (0..self.nodes).map(Host::Node).chain([Host::Clients])
    }

    fn switch(&self) -> String {
        format!("{}s", self.prefix)
    }

    fn namespace(&self, host: Host) -> String {
        match host {
            Host::Node(number) => format!("{}n{number}", self.prefix),
            Host::Clients => format!("{}c", self.prefix),
        }
    }

    /// Where a host is.
    pub fn address(&self, host: Host) -> String {
        match host {
            Host::Node(number) => format!("10.88.0.{}", number + 1),
            Host::Clients => "10.88.0.100".to_owned(),
        }
    }

    /// What [`enter`] wants.
    pub fn path(&self, host: Host) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(host))
    }

    fn lay_cables(&self) -> Result<(), String> {
        let switch = self.switch();
        run(Command::new("ip").args(["netns", "add", &switch]))?;
        on(&switch, &["ip", "link", "add", "name", "switch", "type", "bridge"])?;
        on(&switch, &["ip", "link", "set", "dev", "switch", "up"])?;
        for (number, host) in self.hosts().enumerate() {
            let (namespace, port) = (self.namespace(host), format!("port{number}"));
            run(Command::new("ip").args(["netns", "add", &namespace]))?;
            on(&namespace, &["ip", "link", "set", "dev", "lo", "up"])?;
            run(Command::new("ip").args([
                "link", "add", "name", "eth0", "netns", &namespace, "type", "veth", "peer", "name", &port, "netns",
                &switch,
            ]))?;
            on(&switch, &["ip", "link", "set", "dev", &port, "master", "switch"])?;
            on(&switch, &["ip", "link", "set", "dev", &port, "up"])?;
            let address = format!("{}/24", self.address(host));
            on(&namespace, &["ip", "address", "add", &address, "dev", "eth0"])?;
            on(&namespace, &["ip", "link", "set", "dev", "eth0", "up"])?;
            let rules = "add table ip cuts; add chain ip cuts arriving { type filter hook input priority 0; }";
            on(&namespace, &["nft", rules])?;
        }
        Ok(())
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

    /// Nothing that one sends arrives at the other; the other way it does.
    pub fn cut_one_way(&self, from: Host, to: Host) {
        let rule = format!("add rule ip cuts arriving ip saddr {} drop", self.address(from));
        on(&self.namespace(to), &["nft", &rule]).expect("the host obeys");
    }

    /// Nothing arrives, either way.
    pub fn cut(&self, one: Host, other: Host) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// A node and all other nodes do not reach each other; clients reach all.
    pub fn isolate(&self, node: usize) {
        for other in (0..self.nodes).filter(|other| *other != node) {
            self.cut(Host::Node(node), Host::Node(other));
        }
    }

    /// Everything arrives again.
    pub fn heal(&self) {
        for host in self.hosts() {
            on(&self.namespace(host), &["nft", "flush chain ip cuts arriving"]).expect("the host obeys");
        }
    }
}

impl Drop for ClusterLab {
    fn drop(&mut self) {
        for namespace in self.hosts().map(|host| self.namespace(host)).chain([self.switch()]) {
            let _ = run(Command::new("ip").args(["netns", "delete", &namespace]));
        }
    }
}

fn on(namespace: &str, command: &[&str]) -> Result<(), String> {
    run(Command::new("ip").args(["netns", "exec", namespace]).args(command))
}

/// Moves this thread to another machine: its connections are made from there.
pub fn enter(namespace: &Path) {
    let file = File::open(namespace).unwrap_or_else(|error| panic!("{}: {error}", namespace.display()));
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("who made it may enter it");
}
