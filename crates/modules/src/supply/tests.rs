use std::fs;
use std::sync::atomic::AtomicBool;

use helve_findings::Status;

use super::*;
use crate::Allowed;

const CARGO: &str = "version = 4\n\n[[package]]\nname = \"time\"\nversion = \"0.1.42\"\n\
                     source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";

struct Project(tempfile::TempDir, Allowed);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(dir, Allowed::default())
    }

    fn run(&self, config: Value) -> Output {
        self.attempt(config).unwrap()
    }

    fn attempt(&self, config: Value) -> Result<Output, ModuleError> {
        let cancelled = AtomicBool::new(false);
        let context = Context {
            workspace: self.0.path(),
            progress: &|_| {},
            cancelled: &cancelled,
            allowed: &self.1,
        };
        load(&[]).unwrap().execute(&context, &config)
    }
}

fn advisory(ecosystem: &str, name: &str, fixed: &str) -> String {
    json!({
        "id": "TEST-1", "modified": "2026-02-03T00:00:00Z", "aliases": ["CVE-0"], "summary": "It breaks.",
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]
        }]
    })
    .to_string()
}

fn reason(output: &Output) -> &str {
    match &output.report.status {
        Status::Inconclusive { reason } => reason,
        Status::Completed => "",
    }
}

#[test]
fn a_locked_version_with_a_known_flaw_is_found_at_its_line() {
    let project = Project::new(&[
        ("Cargo.lock", CARGO),
        ("db/crates.io/TEST-1.json", &advisory("crates.io", "time", "0.2.23")),
    ]);
    let output = project.run(json!({"advisories": "db"}));
    assert_eq!(reason(&output), "");
    let [finding] = output.report.findings.as_slice() else {
        panic!("{:?}", output.report.findings)
    };
    assert_eq!(finding.rule_id, "supply-chain/TEST-1");
    assert_eq!(finding.location.region.unwrap().start_line, 4);
    assert!(finding.message.contains("fixed in 0.2.23"), "{}", finding.message);
    assert_eq!(output.summary["advisories_modified"], "2026-02-03T00:00:00Z");
    let fixed = Project::new(&[
        ("Cargo.lock", CARGO),
        ("db/TEST-1.json", &advisory("crates.io", "time", "0.1.42")),
    ]);
    assert!(fixed.run(json!({"advisories": "db"})).report.findings.is_empty());
}

#[test]
fn advisories_of_the_machine_are_read_only_where_its_owner_allows_it() {
    let elsewhere = Project::new(&[("db/TEST-1.json", &advisory("crates.io", "time", "0.2.23"))]);
    let database = elsewhere.0.path().join("db");
    let mut project = Project::new(&[("Cargo.lock", CARGO)]);
    let config = json!({"advisories": database});
    let refused = project.attempt(config.clone()).unwrap_err().to_string();
    assert!(
        refused.contains("`advisories`") && refused.contains("--allow-read"),
        "{refused}"
    );
    project.1 = Allowed::new([elsewhere.0.path().to_owned()]);
    assert_eq!(project.run(config).report.findings.len(), 1);
}

#[test]
fn no_data_is_never_clean() {
    let lock = ("Cargo.lock", CARGO);
    let other = advisory("npm", "time", "9.0.0");
    for (files, config, part) in [
        (vec![], json!({}), "no lock file"),
        (vec![lock], json!({}), "no advisories were given"),
        (vec![lock], json!({"advisories": "nowhere"}), "cannot be read"),
        (
            vec![lock, ("db/a.json", other.as_str())],
            json!({"advisories": "db"}),
            "say nothing of crates.io: 1 of its packages",
        ),
        (
            vec![lock, ("db/a.json", "{}")],
            json!({"advisories": "db"}),
            "a.json: it is not an advisory",
        ),
        (vec![("Gemfile.lock", "")], json!({}), "Bundler are not read"),
        (
            vec![("package-lock.json", "{")],
            json!({}),
            "package-lock.json: cannot be read",
        ),
        (
            vec![("requirements.txt", "flask\n")],
            json!({}),
            "`flask` is not pinned",
        ),
    ] {
        let output = Project::new(&files).run(config);
        assert!(
            reason(&output).contains(part),
            "`{part}` is not in `{}`",
            reason(&output)
        );
    }
}

#[test]
fn the_bill_of_materials_names_each_package_once_with_all_its_places() {
    let project = Project::new(&[("Cargo.lock", CARGO), ("sub/Cargo.lock", CARGO)]);
    let output = project.run(json!({}));
    let [artifact] = output.artifacts.as_slice() else {
        panic!("one artifact")
    };
    let bill: Value = serde_json::from_slice(&artifact.bytes).unwrap();
    assert_eq!(bill["specVersion"], "1.6");
    let components = bill["components"].as_array().unwrap();
    assert_eq!(components.len(), 1);
    assert_eq!(components[0]["purl"], "pkg:cargo/time@0.1.42");
    assert_eq!(
        components[0]["evidence"]["occurrences"][1]["location"],
        "sub/Cargo.lock"
    );
    assert_eq!(project.run(json!({})).artifacts[0].bytes, artifact.bytes);
}
