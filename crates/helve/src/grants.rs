//! What runs may read of this machine because its owner named it when they were started: `helve run` with a parameter that is
//! an absolute path. It is written down in the data directory, where only its owner writes, so that it holds for whichever
//! process of the owner's runs the step, and after a crash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The grants of a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    folder: PathBuf,
}

impl Grants {
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Lets a run read what its parameters name. Call it before the run starts.
    pub(crate) fn give(&self, run_id: &str, parameters: &Map<String, Value>) -> io::Result<()> {
        let mut paths = Vec::new();
        parameters.values().for_each(|value| named(value, &mut paths));
        if paths.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let mut file = File::create(self.file(run_id))?;
        file.write_all(&serde_json::to_vec(&paths)?)?;
        file.sync_all()
    }

    /// What that run may read.
    pub(crate) fn of(&self, run_id: &str) -> Vec<PathBuf> {
        let text = fs::read(self.file(run_id)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The run is over.
    pub(crate) fn end(&self, run_id: &str) {
        // There mostly is none.
        let _ = fs::remove_file(self.file(run_id));
    }

    /// Run ids come from any client of the engine. One that is longer than a file's name may be has no grant.
    fn file(&self, run_id: &str) -> PathBuf {
        self.folder
            .join(run_id.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

fn named(value: &Value, paths: &mut Vec<PathBuf>) {
    match value {
        Value::String(text) if Path::new(text).is_absolute() => paths.push(PathBuf::from(text)),
        Value::Array(items) => items.iter().for_each(|item| named(item, paths)),
        Value::Object(fields) => fields.values().for_each(|field| named(field, paths)),
        _ => {}
    }
}

#[cfg(all(test, unix))]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_reads_what_its_own_parameters_named_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::in_folder(dir.path().join("reads"));
        let parameters = json!({"advisories": "/srv/osv", "deep": [{"rules": "/srv/rules"}], "lock": "a/b", "n": 1});
        grants.give("one", parameters.as_object().unwrap()).unwrap();
        grants.give("two", &Map::new()).unwrap();
        assert_eq!(grants.of("one"), [Path::new("/srv/osv"), Path::new("/srv/rules")]);
        assert_eq!(fs::read_dir(dir.path().join("reads")).unwrap().count(), 1);
        for other in ["two", "", "..", "/etc/passwd", "one/../one"] {
            assert_eq!(grants.of(other), [""; 0].map(PathBuf::from), "{other}");
        }
        grants.end("one");
        assert_eq!(grants.of("one"), [""; 0].map(PathBuf::from));
    }
}
