//! Small facts in what a program says: at its end, and while it runs.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use helve_toolbox::command::{FactSpec, ProgressSpec, Source};
use regex::Regex;
use serde_json::{Value, json};

use super::room::Room;

/// How often a program's own word of its progress is read.
const EVERY: Duration = Duration::from_secs(1);
/// How much of the end of that file is read.
const TAIL: u64 = 16 << 10;

/// A fact that is looked for.
pub(crate) struct Fact {
    pub(crate) from: Source,
    pub(crate) missing: Option<String>,
    pattern: Regex,
}

impl Fact {
    pub(crate) fn new(spec: &FactSpec) -> Result<Self, String> {
        Ok(Self {
            from: spec.from.clone(),
            missing: spec.missing.clone(),
            pattern: Regex::new(&spec.pattern).map_err(|error| error.to_string())?,
        })
    }

    /// What the last line that matches says; a number if it looks like one.
    pub(crate) fn find(&self, text: Option<&[u8]>) -> Option<Value> {
        let text = String::from_utf8_lossy(text?);
        let said = last(&self.pattern, &text)?;
        Some(match said.parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) => match said.parse::<f64>() {
                Ok(number) => json!(number),
                Err(_) => json!(said),
            },
        })
    }
}

/// Where a program says how far it is.
pub(crate) struct Spoken {
    file: String,
    pattern: Regex,
    unit: String,
}

impl Spoken {
    pub(crate) fn new(spec: &ProgressSpec) -> Result<Self, String> {
        Ok(Self {
            file: spec.file.clone(),
            pattern: Regex::new(&spec.pattern).map_err(|error| error.to_string())?,
            unit: spec.unit.clone(),
        })
    }

    /// What it says now, for people. Looked at once a second; `last` remembers when, and what was said then.
    pub(crate) fn look(
        &self,
        room: &Room,
        took: Duration,
        last: &Cell<Option<(Duration, Option<u64>)>>,
    ) -> Option<String> {
        let said = match last.get() {
            Some((then, said)) if took.saturating_sub(then) < EVERY => said,
            _ => {
                let said = self.read(room);
                last.set(Some((took, said)));
                said
            }
        };
        said.map(|number| format!("{number} {}", self.unit))
    }

    fn read(&self, room: &Room) -> Option<u64> {
        let path = room.out().join(&self.file);
        // A link could lead anywhere.
        fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let mut file = fs::File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let said = last(&self.pattern, &text)?;
        said.parse::<u64>()
            .ok()
            .or_else(|| said.split('.').next()?.parse::<u64>().ok())
    }
}

fn last<'t>(pattern: &Regex, text: &'t str) -> Option<&'t str> {
    text.lines()
        .rev()
        .find_map(|line| Some(pattern.captures(line)?.get(1)?.as_str().trim()))
}
