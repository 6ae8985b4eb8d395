//! A cluster on this machine: each node with a data directory and a process of its own, on loopback.

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;
use crate::process::{LIMIT, Running};

/// Some nodes.
pub struct Nodes {
    homes: Vec<Home>,
    ports: Vec<[u16; 3]>,
    ups: Vec<Option<Running>>,
    ticket: String,
    with: Vec<&'static str>,
}

impl Nodes {
    /// So many, all of them started; `with` goes to each `helve up`.
    pub fn start(count: usize, with: &[&'static str]) -> Self {
        let first = Home::new();
        let made = first.run(&["cluster", "init", "--listen", "127.0.0.1:0", "--name", "n1", "--json"]);
        let ticket = text(&made.expect_code(0).json()["ticket"]);
        let mut nodes = Self {
            homes: Vec::new(),
            ports: Vec::new(),
            ups: Vec::new(),
            ticket,
            with: with.to_vec(),
        };
        nodes.add(first);
        for _ in 1..count {
            nodes.join();
        }
        nodes
    }

    /// Begins with a directory that is a node already.
    pub fn of(first: Home, with: &[&'static str]) -> Self {
        let ticket = text(&first.run(&["cluster", "ticket", "--json"]).expect_code(0).json()["ticket"]);
        let mut nodes = Self {
            homes: Vec::new(),
            ports: Vec::new(),
            ups: Vec::new(),
            ticket,
            with: with.to_vec(),
        };
        nodes.add(first);
        nodes
    }

    fn add(&mut self, home: Home) {
        self.homes.push(home);
        self.ports.push([free_tcp(), free_tcp(), free_udp()]);
        self.ups.push(None);
        self.up(self.homes.len() - 1);
    }

    /// A further one; says which.
    pub fn join(&mut self) -> usize {
        let home = Home::new();
        let name = format!("n{}", self.homes.len() + 1);
        let joined = home.run(&[
            "cluster",
            "join",
            &self.ticket,
            "--listen",
            "127.0.0.1:0",
            "--name",
            &name,
        ]);
        joined.expect_code(0);
        self.add(home);
        self.homes.len() - 1
    }

    /// Starts one, and waits until it is one of the cluster and knows who leads.
    pub fn up(&mut self, node: usize) {
        self.begin(node);
        self.ready(node);
    }

    /// Starts one.
    pub fn begin(&mut self, node: usize) {
        let [http, grpc, mesh] = self.ports[node].map(|port| format!("127.0.0.1:{port}"));
        let mut arguments = vec!["up", "--http", &http, "--grpc", &grpc];
        if self.with.contains(&"--mesh") {
            arguments.extend(["--mesh", &mesh]);
        }
        arguments.extend(self.with.iter().filter(|argument| **argument != "--mesh"));
        self.ups[node] = Some(self.homes[node].start(&arguments));
    }

    /// Waits for one that was started; says what it wrote last.
    pub fn ready(&mut self, node: usize) -> String {
        self.running(node).wait_for_line("cluster  ready")
    }

    /// The process of one.
    pub fn running(&mut self, node: usize) -> &mut Running {
        self.ups[node].as_mut().expect("it runs")
    }

    /// Its data directory.
    pub fn home(&self, node: usize) -> &Home {
        &self.homes[node]
    }

    /// Where its API is.
    pub fn http(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.ports[node][0])
    }

    /// Where its gRPC is.
    pub fn grpc(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.ports[node][1])
    }

    /// kill -9.
    pub fn kill(&mut self, node: usize) {
        // That is what dropping it does.
        drop(self.ups[node].take().expect("it runs"));
    }

    /// Which one leads, as those say that run. Waits until one does.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + LIMIT;
        loop {
            let leader = self.status()["leader"].as_u64();
            if let Some(leader) = leader.and_then(|leader| usize::try_from(leader).ok())
                && self.ups.get(leader - 1).is_some_and(Option::is_some)
            {
                return leader - 1;
            }
            assert!(Instant::now() < deadline, "nobody leads: {}", self.status());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One that runs and does not lead.
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        let mut running = (0..self.ups.len()).filter(|node| self.ups[*node].is_some());
        running.find(|node| *node != leader).expect("another one runs")
    }

    /// `helve cluster status`, from whichever runs.
    pub fn status(&self) -> Value {
        let running = self.ups.iter().position(Option::is_some).expect("one runs");
        let status = self.homes[running].run(&["cluster", "status", "--json"]);
        status.expect_code(0).json()
    }

    /// Waits until all that are named in the status are as far as the leader.
    pub fn settle(&self) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            let nodes = status["nodes"].as_array().expect("nodes");
            if nodes
                .iter()
                .all(|node| node["lag"] == 0 && node["applied"] == nodes[0]["applied"])
            {
                return;
            }
            assert!(Instant::now() < deadline, "they do not come together: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A port that nobody has.
pub fn free_tcp() -> u16 {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    bound.expect("a free port").port()
}

fn free_udp() -> u16 {
    let bound = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    bound.expect("a free port").port()
}
