//! Programs: what they can see, and what they cannot.

#[path = "common/guests.rs"]
mod guests;

use std::sync::LazyLock;
use std::time::Duration;

use helve_wasm::{Call, CodeError, Folder, Program, ProgramEnd, Programs};

const MEMORY: usize = 32 << 20;
const OUTPUT: usize = 64 << 10;

static PROGRAMS: LazyLock<Programs> =
    LazyLock::new(|| Programs::new(Some(&guests::folder().join("compiled"))).unwrap());

fn program(example: &str) -> Program {
    PROGRAMS.load(&guests::component(example)).unwrap()
}

/// A workspace with a file, a secret beside it, and a private folder.
struct World {
    dir: tempfile::TempDir,
}

/// How a program ended, and what it printed.
struct Ran {
    end: Option<ProgramEnd>,
    stdout: String,
    stderr: String,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["work/src", "private"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("work/src/a.txt"), "one\ntwo FIXME\n").unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("work/way-out")).unwrap();
        Self { dir }
    }

    fn path(&self, of: &str) -> String {
        self.dir.path().join(of).to_string_lossy().into_owned()
    }

    fn folder(&self, of: &str, name: &str, writable: bool) -> Folder {
        Folder {
            host: self.dir.path().join(of),
            name: name.to_owned(),
            writable,
        }
    }

    /// Runs it for as long as `patience`; no end means that it did not come to one.
    fn run(&self, example: &str, args: &[&str], patience: Duration) -> Ran {
        let call = Call {
            args: std::iter::once(example)
                .chain(args.iter().copied())
                .map(str::to_owned)
                .collect(),
            env: vec![("ONLY".to_owned(), "this".to_owned())],
            folders: vec![
                self.folder("work", ".", false),
                self.folder("private", "/private", true),
            ],
            network: false,
            memory: MEMORY,
            output: OUTPUT,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut running = program(example).start(call).unwrap();
            let end = tokio::time::timeout(patience, running.end()).await.ok();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Ran {
                end,
                stdout: text(running.stdout()),
                stderr: text(running.stderr()),
            }
        })
    }

    /// Tries something that has to fail.
    #[track_caller]
    fn cannot(&self, what: &str, with: &str) {
        let ran = self.run("inmate", &[what, with], Duration::from_secs(60));
        assert_eq!(ran.end, Some(ProgramEnd::Exited(0)), "{what} {with}: {}", ran.stderr);
        assert_ne!(ran.stderr, "", "it says why not");
    }
}

#[test]
fn a_program_reads_its_workspace_and_prints_what_it_found() {
    let ran = World::new().run("marks", &["FIXME"], Duration::from_secs(60));
    assert_eq!(ran.end, Some(ProgramEnd::Exited(0)), "{}", ran.stderr);
    assert_eq!(ran.stdout, "./src/a.txt:2:FIXME:two FIXME\n");
}

#[test]
fn a_program_writes_to_its_private_folder_only() {
    let world = World::new();
    let ran = world.run("inmate", &["write", "/private/new"], Duration::from_secs(60));
    // It leaves with 42, but WASI 0.2 knows only success and failure.
    assert_eq!(ran.end, Some(ProgramEnd::Exited(1)), "{}", ran.stderr);
    assert!(world.dir.path().join("private/new").exists());
    world.cannot("write", "src/a.txt");
    world.cannot("write", "new.txt");
    world.cannot("write", &world.path("secret"));
}

#[test]
fn a_program_sees_nothing_of_the_host() {
    let world = World::new();
    world.cannot("read", &world.path("secret"));
    world.cannot("read", "../secret");
    world.cannot("read", "/etc/passwd");
    #[cfg(unix)]
    world.cannot("read", "way-out");
    let environment = world.run("inmate", &["environment"], Duration::from_secs(60));
    assert_eq!(environment.stdout, "ONLY\n");
}

#[test]
fn a_program_has_no_network_unless_it_is_granted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    World::new().cannot("connect", &listener.local_addr().unwrap().to_string());
}

#[test]
fn a_program_that_does_not_end_can_be_stopped_wherever_it_is() {
    for what in ["loop", "sleep"] {
        let ran = World::new().run("inmate", &[what], Duration::from_millis(200));
        assert_eq!(ran.end, None, "{what}");
    }
}

#[test]
fn a_program_that_takes_too_much_memory_ends() {
    let ran = World::new().run("inmate", &["memory"], Duration::from_secs(60));
    assert_eq!(ran.end, Some(ProgramEnd::OutOfMemory));
}

#[test]
fn a_program_that_prints_too_much_is_not_kept_in_memory() {
    let ran = World::new().run("inmate", &["print"], Duration::from_secs(60));
    assert!(
        matches!(ran.end, Some(ProgramEnd::Exited(_) | ProgramEnd::Trapped(_))),
        "{:?}",
        ran.end
    );
    assert!(ran.stdout.len() <= OUTPUT);
}

#[test]
fn a_trap_is_reported_with_its_reason() {
    let ran = World::new().run("inmate", &["panic"], Duration::from_secs(60));
    assert!(matches!(ran.end, Some(ProgramEnd::Trapped(_))), "{:?}", ran.end);
    assert!(ran.stderr.contains("the sky fell"), "{}", ran.stderr);
}

#[test]
fn a_workflow_is_not_a_program_and_the_other_way_round() {
    let error = PROGRAMS.load(&guests::component("trials")).err().unwrap();
    assert!(matches!(error, CodeError::NotACommand(_)), "{error}");
    let engine = helve_wasm::Engine::new(helve_wasm::Limits::default(), None).unwrap();
    let error = engine.load(&guests::component("inmate")).unwrap_err();
    assert!(matches!(error, CodeError::NotAWorkflow(_)), "{error}");
}
