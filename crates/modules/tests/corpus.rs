//! The labelled corpus: recall and precision of the secrets module, line by line.
//!
//! `seen` was looked at while the rules were made, `heldout` was written before the rules and is only scored.
//! Files are kept with a middle dot inside every long word, so that no other scanner trips over them; it is dropped
//! when the corpus is laid out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use helve_modules::{Allowed, Context, RuleFile, builtin};
use serde_json::json;

type Line = (String, u32);

struct Corpus {
    workspace: tempfile::TempDir,
    secrets: BTreeSet<Line>,
    decoys: BTreeSet<Line>,
}

fn manifest_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rule_files() -> Vec<RuleFile> {
    let folder = manifest_dir().join("../../toolbox/modules/secrets/rules");
    let read = |path: PathBuf| RuleFile {
        path: format!("modules/secrets/rules/{}", path.file_name().unwrap().to_string_lossy()),
        text: std::fs::read_to_string(path).unwrap(),
    };
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| read(entry.unwrap().path()))
        .collect()
}

fn lay_out(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            lay_out(&path, &to.join(name));
        } else {
            let text = std::fs::read_to_string(&path).unwrap().replace('·', "");
            std::fs::write(to.join(name.strip_suffix(".tmpl").unwrap()), text).unwrap();
        }
    }
}

fn corpus(part: &str) -> Corpus {
    let root = manifest_dir().join("tests/corpus").join(part);
    let workspace = tempfile::tempdir().unwrap();
    lay_out(&root.join("files"), workspace.path());
    let (mut secrets, mut decoys) = (BTreeSet::new(), BTreeSet::new());
    for row in std::fs::read_to_string(root.join("manifest.csv"))
        .unwrap()
        .lines()
        .skip(1)
    {
        let [file, line, kind] = row.split(',').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let place = (file.to_owned(), line.parse().unwrap());
        if kind == "secret" {
            secrets.insert(place)
        } else {
            decoys.insert(place)
        };
    }
    // A line that holds both counts as a secret.
    let decoys = decoys.difference(&secrets).cloned().collect();
    Corpus {
        workspace,
        secrets,
        decoys,
    }
}

fn found(corpus: &Corpus) -> BTreeMap<Line, Vec<String>> {
    let module = builtin("secrets", &rule_files()).unwrap().unwrap();
    let cancelled = AtomicBool::new(false);
    let cx = Context {
        workspace: corpus.workspace.path(),
        progress: &|_| (),
        cancelled: &cancelled,
        allowed: &Allowed::default(),
    };
    let output = module.execute(&cx, &json!({})).unwrap();
    // What a comment accepts does not count, as in the report of a run.
    let mut annotator = helve_findings::Annotator::new(helve_findings::merge([output.report.clone()]), 0);
    let files: BTreeSet<&String> = output
        .report
        .findings
        .iter()
        .map(|finding| &finding.location.path)
        .collect();
    for path in files {
        annotator.read(path, &std::fs::read(corpus.workspace.path().join(path)).unwrap());
    }
    let report = annotator.finish();
    let mut found: BTreeMap<Line, Vec<String>> = BTreeMap::new();
    for finding in report
        .findings()
        .into_iter()
        .filter(|finding| finding.counts())
        .cloned()
    {
        let place = (finding.location.path, finding.location.region.unwrap().start_line);
        found.entry(place).or_default().push(finding.rule_id);
    }
    found
}

fn score(part: &str) {
    let corpus = corpus(part);
    let found = found(&corpus);
    let hits = corpus.secrets.iter().filter(|place| found.contains_key(*place)).count();
    let false_alarms: Vec<_> = found
        .iter()
        .filter(|(place, _)| !corpus.secrets.contains(*place))
        .collect();
    let recall = hits as f64 / corpus.secrets.len() as f64;
    let precision = hits as f64 / (hits + false_alarms.len()) as f64;
    println!(
        "{part}: {} secrets, {} decoys; recall {recall:.3} ({hits} found), precision {precision:.3} ({} false alarms)",
        corpus.secrets.len(),
        corpus.decoys.len(),
        false_alarms.len()
    );
    // The held-out part is only scored: looking at its misses would make it a second seen part.
    if part == "seen" {
        corpus
            .secrets
            .iter()
            .filter(|place| !found.contains_key(*place))
            .for_each(|place| println!("  missed {place:?}"));
        false_alarms
            .iter()
            .for_each(|alarm| println!("  false alarm {alarm:?}"));
    }
    assert!(recall >= 0.9, "{part}: recall {recall:.3}");
    assert!(precision >= 0.9, "{part}: precision {precision:.3}");
}

#[test]
fn recall_and_precision_hold_on_the_seen_part() {
    score("seen");
}

#[test]
fn recall_and_precision_hold_on_the_held_out_part() {
    score("heldout");
}

#[test]
fn the_corpus_is_large_enough_to_mean_something() {
    let parts = [corpus("seen"), corpus("heldout")];
    let secrets: usize = parts.iter().map(|part| part.secrets.len()).sum();
    let decoys: usize = parts.iter().map(|part| part.decoys.len()).sum();
    let kinds: BTreeSet<String> = parts
        .iter()
        .flat_map(|part| &part.secrets)
        .map(|(file, _)| {
            Path::new(file)
                .extension()
                .map_or(file.clone(), |e| e.to_string_lossy().into_owned())
        })
        .collect();
    assert!(
        secrets >= 150 && decoys >= 150 && kinds.len() >= 20,
        "{secrets} secrets, {decoys} decoys, {kinds:?}"
    );
}
