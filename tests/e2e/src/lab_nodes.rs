//! A cluster whose nodes are on hosts of their own, and what can happen to these.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster_lab::{ClusterLab, Host};
use crate::home::Home;
use crate::process::{Finished, LIMIT, Running};

const GLANCE: Duration = Duration::from_millis(50);

/// Some nodes, each on its host. A host can be empty.
pub struct LabNodes {
    ups: Vec<Option<Running>>,
    homes: Vec<Home>,
    environment: Vec<Vec<(String, String)>>,
    small: Vec<bool>,
    slow: Vec<Duration>,
    /// The hosts.
    pub lab: ClusterLab,
}

impl LabNodes {
    /// So many, all of them started, on the first of so many hosts. None, said loudly, where no lab can be built.
    pub fn start(nodes: usize, hosts: usize) -> Option<Self> {
        Self::with(nodes, hosts, |_| {})
    }

    /// The same, with something done to them before the first one begins.
    pub fn with(nodes: usize, hosts: usize, prepare: impl FnOnce(&mut Self)) -> Option<Self> {
        let mut all = Self {
            ups: (0..hosts).map(|_| None).collect(),
            homes: (0..hosts).map(|_| Home::new()).collect(),
            environment: vec![Vec::new(); hosts],
            small: vec![false; hosts],
            slow: vec![Duration::ZERO; hosts],
            lab: ClusterLab::build(hosts)?,
        };
        prepare(&mut all);
        let listen = all.listen(0);
        all.run(0, &["cluster", "init", "--listen", &listen, "--name", "n1"])
            .expect_code(0);
        all.up(0);
        for node in 1..nodes {
            all.join(node);
        }
        Some(all)
    }

    fn listen(&self, node: usize) -> String {
        format!("{}:7236", self.lab.address(Host::Node(node)))
    }

    /// Where its API is.
    pub fn http(&self, node: usize) -> String {
        format!("{}:8080", self.lab.address(Host::Node(node)))
    }

    /// Where its gRPC is.
    pub fn grpc(&self, node: usize) -> String {
        format!("{}:7233", self.lab.address(Host::Node(node)))
    }

    /// What the first node that led wrote for the administrator.
    pub fn token(&self) -> String {
        let files = self.homes.iter().map(|home| home.data().join("admin.token"));
        let token = files.filter_map(|file| fs::read_to_string(file).ok()).next();
        token.expect("a leader wrote it").trim().to_owned()
    }

    /// Its data directory.
    pub fn home(&self, node: usize) -> &Home {
        &self.homes[node]
    }

    /// Sets variables for what is started there from now on.
    pub fn set_environment(&mut self, node: usize, variables: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment[node] = variables.iter().map(owned).collect();
    }

    /// Gives a node that was never started a disk of so many MiB.
    pub fn make_disk_small(&mut self, node: usize, mebibytes: u32) {
        let data = self.homes[node].data();
        fs::create_dir_all(&data).expect("a directory of the test's own");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&data)
            .status();
        assert!(mounted.expect("`mount` is everywhere").success());
        self.small[node] = true;
    }

    /// Lets each sync of what is started there from now on take so much longer. False where that cannot be done.
    pub fn make_disk_slow(&mut self, node: usize, by: Duration) -> bool {
        self.slow[node] = by;
        Command::new("strace").arg("-V").output().is_ok()
    }

    /// A command of helve on a node's host and data directory.
    pub fn run(&self, node: usize, arguments: &[&str]) -> Finished {
        let command = self.homes[node].command(arguments);
        Running::start(&mut self.lab.command(Host::Node(node), &command)).wait()
    }

    /// Makes an empty host one of the cluster, and waits until it is.
    pub fn join(&mut self, node: usize) {
        let (listen, name) = (self.listen(node), format!("n{}", node + 1));
        let there = *self.all_running().first().expect("somebody to join");
        // Whoever leads may just have changed.
        let deadline = Instant::now() + LIMIT;
        loop {
            // It names the nodes there are when it is made, and the first of all may be gone by now.
            let mut last = self.run(there, &["cluster", "ticket", "--json"]);
            if last.code == Some(0) {
                let ticket = last.json()["ticket"].as_str().expect("a ticket").to_owned();
                let join = ["cluster", "join", &ticket, "--listen", &listen, "--name", &name];
                last = self.run(node, &join);
                if last.code == Some(0) {
                    break;
                }
            }
            assert!(Instant::now() < deadline, "{}", last.stderr);
            sleep(GLANCE);
        }
        self.up(node);
    }

    /// Starts one, and waits until it is one of the cluster and knows who leads.
    pub fn up(&mut self, node: usize) {
        self.begin(node);
        self.ready(node);
    }

    /// Starts one.
    pub fn begin(&mut self, node: usize) {
        let (http, grpc) = (self.http(node), self.grpc(node));
        // The lab has no strangers in it.
        let mut command = self.homes[node].command(&[
            "up",
            "--http",
            &http,
            "--grpc",
            &grpc,
            "--http-expose",
            "--grpc-expose",
            "--no-worker",
        ]);
        command.envs(self.environment[node].iter().cloned());
        if !self.slow[node].is_zero() {
            command = slowed(&command, self.slow[node]);
        }
        self.ups[node] = Some(Running::start(&mut self.lab.command(Host::Node(node), &command)));
    }

    /// Waits for one that was started.
    pub fn ready(&mut self, node: usize) {
        self.running(node).wait_for_line("cluster  ready");
    }

    /// The process of one.
    pub fn running(&mut self, node: usize) -> &mut Running {
        self.ups[node].as_mut().expect("it runs")
    }

    /// Waits for the end of one that ends by itself.
    pub fn wait(&mut self, node: usize) -> Finished {
        self.ups[node].take().expect("it runs").wait()
    }

    /// kill -9.
    pub fn kill(&mut self, node: usize) {
        // That is what dropping it does.
        drop(self.ups[node].take().expect("it runs"));
    }

    /// All that is on its disk is gone.
    pub fn lose_disk(&mut self, node: usize) {
        assert!(self.ups[node].is_none(), "it runs");
        fs::remove_dir_all(self.homes[node].data()).expect("a directory of the test's own");
    }

    /// Those that run.
    pub fn all_running(&self) -> Vec<usize> {
        (0..self.ups.len()).filter(|node| self.ups[*node].is_some()).collect()
    }

    /// `helve cluster status` at one, if it knows.
    pub fn status(&self, node: usize) -> Option<Value> {
        let status = self.run(node, &["cluster", "status", "--json"]);
        (status.code == Some(0)).then(|| status.json())
    }

    /// Which one leads, as this one says. Waits until there is one that fits.
    pub fn leader_seen_by(&self, node: usize, fits: impl Fn(usize) -> bool) -> usize {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status(node);
            let leader = status.as_ref().and_then(|status| {
                let nodes = status["nodes"].as_array()?;
                let leader = nodes.iter().find(|node| node["node"] == status["leader"])?;
                leader["name"].as_str()?.strip_prefix('n')?.parse::<usize>().ok()
            });
            match leader {
                Some(leader) if fits(leader - 1) => return leader - 1,
                _ => assert!(Instant::now() < deadline, "nobody leads: {status:?}"),
            }
            sleep(GLANCE);
        }
    }

    /// Which one leads. Waits until one does that runs.
    pub fn leader(&self) -> usize {
        let running = self.all_running();
        self.leader_seen_by(running[0], |leader| running.contains(&leader))
    }

    /// One that runs and does not lead.
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        let mut others = self.all_running().into_iter().filter(|node| *node != leader);
        others.next().expect("another one runs")
    }

    /// Waits until all that run are in the cluster, vote, and are hardly behind.
    pub fn settle(&self) {
        let deadline = Instant::now() + LIMIT;
        let running = self.all_running();
        loop {
            let status = self.status(running[0]);
            let near = |node: &&Value| node["votes"] == true && node["lag"].as_u64().is_some_and(|lag| lag < 1_000);
            let nodes = status.as_ref().and_then(|status| status["nodes"].as_array());
            let settled = nodes.map_or(0, |nodes| nodes.iter().filter(near).count());
            if settled >= running.len() {
                return;
            }
            assert!(Instant::now() < deadline, "they do not come together: {status:?}");
            sleep(GLANCE);
        }
    }
}

impl Drop for LabNodes {
    fn drop(&mut self) {
        self.ups.clear();
        for (home, _) in self.homes.iter().zip(&self.small).filter(|(_, small)| **small) {
            let _ = Command::new("umount").arg(home.data()).status();
        }
    }
}

/// The same command, whose syncs take longer.
fn slowed(command: &Command, by: Duration) -> Command {
    let inject = format!("inject=fsync,fdatasync:delay_enter={}", by.as_micros());
    let mut slowed = Command::new("strace");
    // Only these calls are looked at, by a process beside it: what is started here is the program itself.
    slowed.args([
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "signal=none",
    ]);
    slowed.args(["-e", "trace=fsync,fdatasync", "-e", &inject]);
    slowed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => slowed.env(name, value),
            None => slowed.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        slowed.current_dir(dir);
    }
    slowed
}
