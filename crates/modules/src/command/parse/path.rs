//! Paths into JSON: `results[*].location`, `advisories.*`, `^.file`.

use serde_json::Value;

/// A path, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// How many enclosing values it climbs first: one per `^`.
    up: usize,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    /// Every item of a list, every value of a mapping.
    Each,
}

/// A value, and the values that it lies in.
#[derive(Debug, Clone)]
pub(super) struct Place<'v> {
    pub(super) value: &'v Value,
    /// What the last wildcard chose, or the document.
    item: &'v Value,
    /// What the wildcards before it chose, innermost last; the document is the first.
    around: Vec<&'v Value>,
}

impl<'v> Place<'v> {
    /// What the last wildcard on the way chose.
    pub(super) fn item(&self) -> &'v Value {
        self.item
    }
}

impl Path {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a path: write it as `results[*].name`, with `*` for every item");
        let mut path = Self {
            up: 0,
            steps: Vec::new(),
        };
        let mut rest = text.trim();
        rest = rest
            .strip_prefix("$.")
            .or_else(|| rest.strip_prefix('$'))
            .unwrap_or(rest);
        while let Some(after) = rest.strip_prefix('^') {
            path.up += 1;
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = after.split_once(']').ok_or_else(wrong)?;
                path.steps.push(match inside.trim() {
                    "*" => Step::Each,
                    number => match number.parse() {
                        Ok(index) => Step::Index(index),
                        Err(_) => Step::Key(number.trim_matches(['\'', '"']).to_owned()),
                    },
                });
                rest = after.strip_prefix('.').unwrap_or(after);
                continue;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            match &rest[..end] {
                "" => return Err(wrong()),
                "*" => path.steps.push(Step::Each),
                key => path.steps.push(Step::Key(key.to_owned())),
            }
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
        Ok(path)
    }

    /// Every value that it leads to, from the top of a document.
    pub(super) fn all<'v>(&self, document: &'v Value) -> Vec<Place<'v>> {
        self.from(Place {
            value: document,
            item: document,
            around: Vec::new(),
        })
    }

    /// The first value that it leads to from a place.
    pub(super) fn first<'v>(&self, place: &Place<'v>) -> Option<&'v Value> {
        let mut start = place.clone();
        for _ in 0..self.up {
            start.value = start.around.pop()?;
        }
        self.from(start)
            .into_iter()
            .map(|place| place.value)
            .find(|value| !value.is_null())
    }

    /// Whether every step up to the first wildcard is there.
    pub(super) fn is_there(&self, document: &Value) -> bool {
        let mut value = document;
        for step in &self.steps {
            let next = match step {
                Step::Key(key) => value.get(key),
                Step::Index(index) => value.get(index),
                Step::Each => return value.is_array() || value.is_object(),
            };
            match next {
                Some(next) => value = next,
                None => return false,
            }
        }
        true
    }

    fn from<'v>(&self, start: Place<'v>) -> Vec<Place<'v>> {
        let mut places = vec![start];
        for step in &self.steps {
            places = places.into_iter().flat_map(|place| advance(place, step)).collect();
        }
        places
    }
}

fn advance<'v>(place: Place<'v>, step: &Step) -> Vec<Place<'v>> {
    let value = place.value;
    let one = |found: Option<&'v Value>| {
        let found = found.map(|value| Place { value, ..place.clone() });
        found.into_iter().collect()
    };
    match step {
        Step::Key(key) => one(value.get(key)),
        Step::Index(index) => one(value.get(index)),
        Step::Each => {
            let mut around = place.around.clone();
            around.push(place.item);
            let inside: Vec<&Value> = match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            };
            let chosen = inside.into_iter().map(|item| Place {
                value: item,
                item,
                around: around.clone(),
            });
            chosen.collect()
        }
    }
}
