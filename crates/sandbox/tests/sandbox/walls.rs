//! Walls: what a tool must not see, reach or leave behind.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use helve_sandbox::{Level, Network};

use crate::support::{hostile, mark, said, sandboxes};

fn nothing_worked(text: &str, level: Level) {
    assert!(text.contains("refused "), "{level}: nothing was tried: {text}");
    assert!(!text.contains("WORKED"), "{level}: {text}");
}

#[tokio::test]
async fn nothing_is_written_outside_what_was_granted() {
    for sandbox in sandboxes(Level::Filtered).await {
        let (shown, hidden, granted) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
        // A home that is the directory for temporary files is one that the sandbox replaces.
        let home = if std::path::Path::new(&home) == std::env::temp_dir() {
            "/root".to_owned()
        } else {
            home
        };
        let place = |dir: &tempfile::TempDir| dir.path().display().to_string();
        let spec = hostile("write_outside")
            .read_only(shown.path())
            .read_write(granted.path());
        let bad = format!(
            "{}:{}:{home}:/etc:/usr:/usr/bin:/var:/:/proc:/dev",
            place(&shown),
            place(&hidden)
        );
        nothing_worked(
            &said(&sandbox.run(&spec.clone().env("WHERE", bad)).await.unwrap()),
            sandbox.level(),
        );
        assert!(!shown.path().join("escaped").exists() && !hidden.path().join("escaped").exists());

        let text = said(&sandbox.run(&spec.env("WHERE", place(&granted))).await.unwrap());
        assert!(text.contains("WORKED write below"), "{text}");
        assert!(granted.path().join("escaped").exists());
    }
}

#[tokio::test]
async fn temporary_files_stay_in_the_sandbox() {
    for sandbox in sandboxes(Level::Isolated).await {
        let name = format!("/tmp/{}", mark());
        let script = format!("echo secret > {name} && cat {name} && test -w \"$HOME\" && test -w \"$TMPDIR\"");
        let output = sandbox
            .run(&helve_sandbox::Spec::new(["sh", "-c", &script]))
            .await
            .unwrap();
        assert!(output.outcome.is_clean_exit(), "{output:?}");
        assert!(!std::path::Path::new(&name).exists());
    }
}

#[tokio::test]
async fn the_hosts_home_and_secrets_cannot_be_read() {
    for sandbox in sandboxes(Level::Filtered).await {
        let secret = tempfile::NamedTempFile::new().unwrap();
        fs::write(secret.path(), "secret").unwrap();
        let environ = format!("/proc/{}/environ", std::process::id());
        let spec = hostile("read_outside").env("WHERE", format!("{}:{environ}", secret.path().display()));
        nothing_worked(&said(&sandbox.run(&spec).await.unwrap()), sandbox.level());
    }
}

#[tokio::test]
async fn a_link_out_of_the_workspace_leads_nowhere() {
    for sandbox in sandboxes(Level::Filtered).await {
        let (workspace, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(outside.path(), workspace.path().join("link")).unwrap();
        let inside = workspace.path().join("link");
        let spec = hostile("read_outside")
            .read_write(workspace.path())
            .env("WHERE", inside.join("secret"));
        nothing_worked(&said(&sandbox.run(&spec).await.unwrap()), sandbox.level());
        let spec = hostile("write_outside")
            .read_write(workspace.path())
            .env("WHERE", &inside);
        nothing_worked(&said(&sandbox.run(&spec).await.unwrap()), sandbox.level());
        assert!(!outside.path().join("escaped").exists());
    }
}

#[tokio::test]
async fn building_the_sandbox_writes_nothing_to_the_host() {
    for sandbox in sandboxes(Level::Isolated).await {
        // `/var/tmp` is a link in the sandbox: while it is built, that link must not lead to the host's `/tmp`.
        let granted = tempfile::Builder::new()
            .prefix("helve-granted-")
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::write(granted.path().join("file"), "granted").unwrap();
        let file = granted.path().join("file").display().to_string();
        let spec = helve_sandbox::Spec::new(["cat", &file])
            .read_only(granted.path())
            .read_only(&file);
        let output = sandbox.run(&spec).await.unwrap();
        assert_eq!(output.stdout, b"granted", "{output:?}");
        assert!(
            !std::path::Path::new("/tmp")
                .join(granted.path().file_name().unwrap())
                .exists()
        );
    }
}

#[tokio::test]
async fn no_socket_reaches_the_host_unless_the_network_was_granted() {
    for sandbox in sandboxes(Level::Filtered).await {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let name = format!("{}-{}", mark(), sandbox.level());
        let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let _file = UnixListener::bind(dir.path().join("socket")).unwrap();
        let spec = hostile("connect")
            .env("TCP", tcp.local_addr().unwrap().to_string())
            .env("UDP", udp.local_addr().unwrap().to_string())
            .env("ABSTRACT", &name)
            .env("SOCKET", dir.path().join("socket"));
        nothing_worked(&said(&sandbox.run(&spec).await.unwrap()), sandbox.level());
        assert!(udp.recv(&mut [0; 8]).is_err(), "{}: a datagram came", sandbox.level());

        let text = said(&sandbox.run(&spec.network(Network::Host)).await.unwrap());
        assert!(
            text.contains("WORKED connect to the host's loopback"),
            "{}: {text}",
            sandbox.level()
        );
        // The network is granted, other programs of the host are not.
        assert!(!text.contains("WORKED make"), "{}: {text}", sandbox.level());
        assert!(
            !text.contains("WORKED connect to an abstract"),
            "{}: {text}",
            sandbox.level()
        );
    }
}

#[tokio::test]
async fn a_tool_without_network_may_still_talk_to_itself() {
    for sandbox in sandboxes(Level::Isolated).await {
        assert!(said(&sandbox.run(&hostile("loopback_of_its_own")).await.unwrap()).contains("heard 120"));
    }
}

#[tokio::test]
async fn other_processes_cannot_be_traced_read_or_signalled() {
    for sandbox in sandboxes(Level::Filtered).await {
        let spec = hostile("trace").env("PID", std::process::id().to_string());
        let text = said(&sandbox.run(&spec).await.unwrap());
        nothing_worked(&text, sandbox.level());
    }
}

#[tokio::test]
async fn no_privilege_is_left_and_none_is_gained() {
    for sandbox in sandboxes(Level::Limits).await {
        let text = said(&sandbox.run(&hostile("new_privileges")).await.unwrap());
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}:")));
            line.unwrap_or_else(|| panic!("no {name} in {text}"))
                .split_whitespace()
                .nth(1)
                .unwrap()
                .to_owned()
        };
        assert_eq!(field("NoNewPrivs"), "1");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{} {set}", sandbox.level());
        }
        if sandbox.level() >= Level::Filtered {
            assert_eq!(field("Seccomp"), "2");
            nothing_worked(&text, sandbox.level());
        }
    }
}

#[tokio::test]
async fn nothing_is_inherited_from_the_caller() {
    // A file that any program started the ordinary way would inherit.
    let path = std::env::current_exe().unwrap();
    let leaked = rustix::fs::open(path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some(),
        "there must be something to leak"
    );
    for sandbox in sandboxes(Level::Limits).await {
        let text = said(&sandbox.run(&hostile("look_around")).await.unwrap());
        let mut variables: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("variable ")).collect();
        variables.sort_unstable();
        assert_eq!(
            variables,
            ["HOME", "HOSTILE", "LANG", "PATH", "TMPDIR"],
            "{}",
            sandbox.level()
        );
        let files: Vec<_> = text.lines().filter(|line| line.starts_with("file ")).collect();
        // The three streams, and the directory that is being listed.
        assert!(files.len() <= 4, "{}: {files:?}", sandbox.level());
        assert!(!text.contains("socket:"), "{}: {files:?}", sandbox.level());
        if sandbox.level() >= Level::Isolated {
            assert!(text.contains("processes 2\n"), "{text}");
            assert!(text.contains("parent 1\n"), "{text}");
            assert!(text.contains("user 1000"), "{text}");
        }
    }
    drop(leaked);
}
