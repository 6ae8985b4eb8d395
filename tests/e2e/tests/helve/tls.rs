//! TLS on both listeners, as clients see it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use helve_e2e::home::Home;
use helve_e2e::process::{LIMIT, Running};
use helve_e2e::tls::{Authority, get};

/// A `helve up` with TLS, and where it is.
struct Up {
    running: Running,
    http: String,
    grpc: String,
    login: String,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test is text")
}

fn up(home: &Home, (certificate, key): &(PathBuf, PathBuf), more: &[&str]) -> Up {
    let options = [
        "up",
        "--grpc",
        "127.0.0.1:0",
        "--no-worker",
        "--tls-cert",
        text(certificate),
        "--tls-key",
        text(key),
    ];
    let mut running = home.start(&[&options[..], more].concat());
    let after = |line: &str, mark: &str| {
        let rest = line.split(mark).nth(1).expect("it says where it is");
        let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    let grpc = after(&running.wait_for_line("temporals://"), "temporals://");
    let http = after(&running.wait_for_line("https://"), "https://");
    let login = after(&running.wait_for_line("login    https://"), "login    ");
    running.wait_for_line("worker   none here");
    Up {
        running,
        http,
        grpc,
        login,
    }
}

#[test]
fn both_listeners_speak_tls_and_nothing_else() {
    let home = Home::new();
    let authority = Authority::new();
    let ca = home.path().join("ca.pem");
    authority.write(&ca);
    let pair = authority.issue(home.path(), "server", &["helve.test", "127.0.0.1"]);
    let up = up(&home, &pair, &["--http", "127.0.0.1:0", "--http-host", "helve.test"]);

    // Pages, with what makes browsers stay with TLS.
    let page = get(&up.http, "helve.test", &ca, "/login", &[("Host", "helve.test")])
        .unwrap()
        .expect(200);
    assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
    let link = up.login.strip_prefix(&format!("https://{}", up.http)).unwrap();
    assert!(link.starts_with("/login?code="), "{link}");
    get(&up.http, "127.0.0.1", &ca, link, &[("Host", &up.http)])
        .unwrap()
        .expect(200);
    let token = fs::read_to_string(home.data().join("admin.token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let headers = [("Host", "helve.test"), ("Authorization", &*bearer)];
    get(&up.http, "helve.test", &ca, "/api/v1/workflows", &headers)
        .unwrap()
        .expect(200);

    // Who does not trust the authority does not come in, and neither does who speaks without TLS.
    let other = home.path().join("other.pem");
    Authority::new().write(&other);
    assert!(get(&up.http, "helve.test", &other, "/login", &[("Host", "helve.test")]).is_err());
    let mut plain = TcpStream::connect(&up.http).unwrap();
    plain.set_read_timeout(Some(LIMIT)).unwrap();
    plain
        .write_all(b"GET /login HTTP/1.1\r\nHost: helve.test\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));

    // gRPC from a command with a data directory of its own.
    let engine = format!("temporals://{}", up.grpc);
    let client = Home::on(&engine);
    client
        .run(&["runs", "list", "--tls-ca", text(&ca)])
        .expect_clear_error(&["token"]);
    let token_file = home.data().join("admin.token");
    let listed = client
        .run(&[
            "runs",
            "list",
            "--json",
            "--tls-ca",
            text(&ca),
            "--token-file",
            text(&token_file),
        ])
        .expect_code(0);
    assert_eq!(listed.json().as_array().map(Vec::len), Some(0));
    client
        .run(&["runs", "list", "--tls-ca", text(&other)])
        .expect_clear_error(&["certificate", "--tls-ca"]);
    Home::on(&format!("temporal://{}", up.grpc))
        .run(&["runs", "list"])
        .expect_clear_error(&["cannot reach", "temporals://"]);
    up.running.signal("INT");
    up.running.wait().expect_code(0);
}

#[test]
fn a_grpc_client_needs_a_certificate_where_that_is_asked_for() {
    let home = Home::new();
    let (servers, clients) = (Authority::new(), Authority::new());
    let (ca, client_ca) = (home.path().join("ca.pem"), home.path().join("clients.pem"));
    servers.write(&ca);
    clients.write(&client_ca);
    let pair = servers.issue(home.path(), "server", &["127.0.0.1"]);
    // Others may reach it, since it is encrypted.
    let up = up(
        &home,
        &pair,
        &["--http", "0.0.0.0:0", "--grpc-client-ca", text(&client_ca)],
    );
    let client = Home::on(&format!("temporals://{}", up.grpc));
    let list = |(certificate, key): &(PathBuf, PathBuf)| {
        let shown = ["--tls-client-cert", text(certificate), "--tls-client-key", text(key)];
        client.run(&[&["runs", "list", "--json", "--tls-ca", text(&ca)][..], &shown].concat())
    };
    let worker = clients.issue(home.path(), "worker", &[]);
    list(&worker).expect_clear_error(&["nobody gave this certificate a role", "cert:cn:worker"]);
    let make = [
        "tokens",
        "make",
        "cert:cn:worker",
        "--role",
        "viewer",
        "--server-ca",
        text(&ca),
    ];
    home.run(&make).expect_code(0);
    list(&worker).expect_code(0);
    list(&servers.issue(home.path(), "forged", &[])).expect_clear_error(&["cannot reach"]);
    client
        .run(&["runs", "list", "--tls-ca", text(&ca)])
        .expect_clear_error(&["cannot reach"]);
    up.running.signal("INT");
    let left = up.running.wait().expect_code(0);
    assert!(!left.stderr.contains("WARNING"), "{}", left.stderr);
}

#[test]
fn a_certificate_is_replaced_while_the_server_runs() {
    let home = Home::new();
    let (before, after) = (Authority::new(), Authority::new());
    let (old, new) = (home.path().join("old.pem"), home.path().join("new.pem"));
    before.write(&old);
    after.write(&new);
    let pair = before.issue(home.path(), "server", &["127.0.0.1"]);
    let up = up(&home, &pair, &["--http", "127.0.0.1:0"]);
    let health = |ca: &Path| get(&up.http, "127.0.0.1", ca, "/healthz", &[("Host", &up.http)]);
    health(&old).unwrap().expect(200);
    after.issue(home.path(), "server", &["127.0.0.1"]);
    let deadline = Instant::now() + LIMIT;
    while health(&new).is_err() {
        assert!(Instant::now() < deadline, "the new certificate is never used");
    }
    assert!(health(&old).is_err());
}

#[test]
fn files_that_cannot_be_used_are_one_clear_error() {
    let home = Home::new();
    let authority = Authority::new();
    let (certificate, key) = authority.issue(home.path(), "server", &["127.0.0.1"]);
    let (_, other) = authority.issue(home.path(), "other", &["127.0.0.1"]);
    let up = |certificate: &Path, key: &Path| {
        home.run(&[
            "up",
            "--grpc",
            "127.0.0.1:0",
            "--tls-cert",
            text(certificate),
            "--tls-key",
            text(key),
        ])
    };
    up(&certificate, &other).expect_clear_error(&["does not belong to", "docs/tls.md"]);
    up(&key, &certificate).expect_clear_error(&["holds no certificate"]);
    up(&home.path().join("gone.pem"), &key).expect_clear_error(&["gone.pem", "cannot read"]);
    home.run(&["up", "--tls-cert", text(&certificate)])
        .expect_clear_error(&["--tls-key"]);
}

/// Its certificate is for a name that leads elsewhere, and signed by nobody whom this machine knows.
#[test]
fn commands_of_the_servers_own_machine_need_no_certificate() {
    let home = Home::new();
    let pair = Authority::new().issue(home.path(), "server", &["helve.example.org"]);
    let url = "https://helve.example.org";
    let _up = up(&home, &pair, &["--http", "127.0.0.1:0", "--public-url", url]);
    let tokens = home.run(&["tokens", "list", "--json"]).expect_code(0).json();
    assert_eq!(tokens[0]["name"], "admin", "{tokens}");
    home.run(&["findings", "list", "--json"]).expect_code(0);
    let said = home.run(&["doctor", "--json"]).expect_code(0).stdout;
    assert!(
        said.contains("HTTP API") && said.contains("admin.token is valid"),
        "{said}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let socket = fs::metadata(home.data().join("http.sock")).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    }
}
