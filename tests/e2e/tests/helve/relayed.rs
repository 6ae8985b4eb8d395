//! Workers that UDP does not lead to, and servers behind routers of their own. Hosts are network namespaces.

use std::path::PathBuf;
use std::process::Command;

use helve_e2e::far::{Far, PORT, fingerprints, whole};
use helve_e2e::home::Home;
use helve_e2e::lab::{Host, Lab, SERVER, TWO_ROUTERS};
use helve_e2e::process::Running;
use helve_e2e::tls::Authority;
use helve_e2e::tree;
use serde_json::Value;

/// Where the server is behind its router, and where the relay is.
const HIDDEN: &str = "192.168.78.2";
const RELAY: &str = "10.77.3.1";

/// The worker's router, as the worker reaches it.
const BESIDE_THE_WORKER: &str = "192.168.77.254";

/// `helve relay` on its machine, with a certificate of an authority that nobody knows.
struct Relay {
    home: Home,
    running: Option<Running>,
    authority: PathBuf,
    certificate: (PathBuf, PathBuf),
}

impl Relay {
    fn start(lab: &Lab) -> Self {
        let home = Home::new();
        let authority = Authority::new();
        let certificate = authority.issue(home.path(), "relay", &[RELAY]);
        let file = home.path().join("authority.pem");
        authority.write(&file);
        let mut relay = Self {
            home,
            running: None,
            authority: file,
            certificate,
        };
        relay.again(lab);
        relay
    }

    fn again(&mut self, lab: &Lab) {
        let (certificate, key) = &self.certificate;
        let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
        let listen = format!("{RELAY}:443");
        let arguments = [
            "relay",
            "--listen",
            &listen,
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
            "--json",
        ];
        let command: Command = self.home.command(&arguments);
        let mut running = Running::start(&mut lab.command(Host::Relay, &command));
        running.wait_for_line("secret   ");
        self.running = Some(running);
    }

    /// What a server is told of it.
    fn options(&self) -> Vec<String> {
        let secret = self.home.data().join("relay.secret");
        [
            "--mesh-relay".to_owned(),
            format!("https://{RELAY}"),
            "--mesh-relay-secret".to_owned(),
            secret.to_string_lossy().into_owned(),
            "--mesh-relay-ca".to_owned(),
            self.authority.to_string_lossy().into_owned(),
        ]
        .to_vec()
    }

    /// Without a word.
    fn kill(&mut self) {
        let running = self.running.take().expect("it runs");
        running.signal("KILL");
        running.wait();
    }

    /// Stops it in order: how many bytes it was given to carry.
    fn stop(&mut self) -> u64 {
        let running = self.running.take().expect("it runs");
        running.signal("INT");
        let left = running.wait().expect_code(0);
        let last = left.stdout.lines().last().expect("it says what it did");
        let last: Value = serde_json::from_str(last).expect("JSON");
        let bytes = last["received_bytes"].as_u64().expect("a number");
        eprintln!("the relay was given {bytes} bytes to carry");
        bytes
    }
}

fn join(lab: Lab, relay: &Relay, more: &[&str]) -> Far {
    let options = relay.options();
    let options: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let mut far = Far::join(lab, HIDDEN, &options);
    far.wait_for_line_of_server("relay    connected to https://");
    far
}

#[test]
fn a_site_that_blocks_udp_is_served_through_the_relay_which_may_die_in_between() {
    let Some(lab) = Lab::of(&TWO_ROUTERS) else { return };
    lab.drop_udp();
    lab.watch_for_strangers(&[Host::Server, Host::Worker]);
    let mut relay = Relay::start(&lab);
    let far = join(lab, &relay, &[]);
    let first = fingerprints(&far.scan(&far.target(50)));
    let mut run = far.server.start(&["run", "assessment", &far.target(400), "--json"]);
    run.wait_for_line("run assessment-");
    relay.kill();
    relay.again(&far.lab);
    let second = fingerprints(&whole(run));
    assert!(second.is_superset(&first));
    assert!(relay.stop() > 0);
    for host in [Host::Server, Host::Worker] {
        assert_eq!(far.lab.packets_to_strangers(host), 0, "{host:?} spoke to somebody else");
    }
}

#[test]
fn the_relay_carries_next_to_nothing_where_a_direct_way_leads() {
    let Some(lab) = Lab::of(&TWO_ROUTERS) else { return };
    lab.forward_port(PORT);
    let mut relay = Relay::start(&lab);
    let external = format!("{SERVER}:{PORT}");
    let far = join(lab, &relay, &["--mesh-external", &external]);
    let target = far.target(50);
    // Nothing that can be packed smaller.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(8 << 20)
    .collect();
    tree::write(&PathBuf::from(&target).join("noise.bin"), noise);
    fingerprints(&far.scan(&target));
    let carried = relay.stop();
    assert!(carried < 1 << 20, "{carried} bytes of some 8 MB went through the relay");
    // And nobody misses it.
    fingerprints(&far.scan(&target));
}

#[test]
fn a_server_whose_router_forwards_a_port_needs_no_relay() {
    let Some(lab) = Lab::of(&TWO_ROUTERS) else { return };
    lab.forward_port(PORT);
    let external = format!("{SERVER}:{PORT}");
    let far = Far::join(lab, HIDDEN, &["--mesh-external", &external]);
    fingerprints(&far.scan(&far.target(50)));
}

#[test]
fn two_routers_that_let_nobody_in_are_no_obstacle_with_a_relay() {
    let Some(lab) = Lab::of(&TWO_ROUTERS) else { return };
    let mut relay = Relay::start(&lab);
    let far = join(lab, &relay, &[]);
    let alone = fingerprints(&far.scan(&far.target(200)));
    relay.kill();
    relay.again(&far.lab);
    assert_eq!(fingerprints(&far.scan(&far.target(200))), alone);
    relay.stop();
}

#[test]
fn two_routers_that_keep_ports_let_a_direct_way_come_about_with_a_relay() {
    let Some(lab) = Lab::of(&TWO_ROUTERS) else { return };
    lab.keep_ports();
    let mut relay = Relay::start(&lab);
    let far = join(lab, &relay, &[]);
    let first = fingerprints(&far.scan(&far.target(50)));
    // Nothing but a direct way is left.
    relay.stop();
    let second = fingerprints(&far.scan(&far.target(100)));
    assert!(second.is_superset(&first));
}

#[test]
fn a_long_way_that_loses_every_twentieth_packet_changes_nothing_of_what_is_found() {
    // There and back it is twice as much.
    const DELAY: &str = "100";
    const LOST_OF_A_THOUSAND: &str = "50";
    let Some(lab) = Lab::build() else { return };
    let near = Home::new();
    let target = near.path().join("tree");
    tree::grow(&target, 50, 300);
    let alone = fingerprints(&near.scan(&target));
    let seed = std::env::var("SEED").unwrap_or_else(|_| std::process::id().to_string());
    eprintln!("SEED={seed}");
    // The only way leads through a program on the router.
    lab.drop_udp();
    let (listen, server) = (format!("{BESIDE_THE_WORKER}:{PORT}"), format!("{SERVER}:{PORT}"));
    let mut way = Command::new(env!("CARGO_BIN_EXE_long-way"));
    way.args([&*listen, &*server, DELAY, LOST_OF_A_THOUSAND, &*seed]);
    let mut way = Running::start(&mut lab.command(Host::Router, &way));
    way.wait_for_line("the way is open");
    let far = Far::join(lab, SERVER, &["--mesh-external", &listen]);
    let run = far.scan(&target.to_string_lossy());
    assert_eq!(fingerprints(&run), alone);
}

#[test]
fn a_relay_is_not_open_to_the_world() {
    let home = Home::new();
    let refused = home
        .run(&["relay", "--listen", "0.0.0.0:0"])
        .expect_clear_error(&["--tls-cert"]);
    assert!(refused.stderr.contains("--insecure-http"), "{}", refused.stderr);
    let mut relay = home.start(&["relay", "--listen", "127.0.0.1:0"]);
    let line = relay.wait_for_line("relay    http://");
    let url = line.split_whitespace().nth(1).expect("an address").to_owned();
    relay.wait_for_line("secret   ");
    // A server that does not know the secret is told so.
    let server = Home::new();
    let here = "127.0.0.1:0";
    let mut up = server.start(&[
        "up",
        "--http",
        here,
        "--grpc",
        here,
        "--no-worker",
        "--mesh",
        here,
        "--mesh-relay",
        &url,
    ]);
    up.wait_for_line("was not shown its secret");
    up.signal("INT");
    up.wait().expect_code(0);
    // One that does comes in.
    let secret = home.data().join("relay.secret");
    let secret = secret.to_string_lossy();
    let mut up = server.start(&[
        "up",
        "--http",
        here,
        "--grpc",
        here,
        "--no-worker",
        "--mesh",
        here,
        "--mesh-relay",
        &url,
        "--mesh-relay-secret",
        &secret,
    ]);
    up.wait_for_line("relay    connected to");
    up.signal("INT");
    up.wait().expect_code(0);
    relay.signal("INT");
    let left = relay.wait().expect_code(0);
    assert!(
        !left
            .stderr
            .contains(std::fs::read_to_string(&*secret).expect("a secret").trim())
    );
}
