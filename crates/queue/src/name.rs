//! Names of queues, and what jobs need. Both are parts of the name of a task queue: `jobs:NAME`, `jobs:NAME:NEED,NEED`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The activity type of jobs.
pub const JOB_TYPE: &str = "helve.job";
/// What the task queues of jobs begin with.
pub(crate) const PREFIX: &str = "jobs:";
/// Characters of a queue's name.
const LONGEST_NAME: usize = 100;
/// Characters of one need.
const LONGEST_NEED: usize = 60;
/// Things that a job may need.
const MOST_NEEDS: usize = 8;
/// Things that a claimer may have.
const MOST_HAS: usize = 32;

/// A name, or a need, that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(String);

/// The name of a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

impl QueueName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The task queue of its jobs that need nothing; it is also how scopes of tokens name the queue.
    pub fn scope(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    pub(crate) fn task_queue(&self, needs: &Needs) -> String {
        match needs.is_empty() {
            true => self.scope(),
            false => format!("{PREFIX}{}:{needs}", self.0),
        }
    }

    /// The queue and the needs that a task queue stands for.
    pub(crate) fn of_task_queue(text: &str) -> Option<(Self, Needs)> {
        let rest = text.strip_prefix(PREFIX)?;
        let (name, needs) = rest.split_once(':').unwrap_or((rest, ""));
        Some((name.parse().ok()?, needs.parse().ok()?))
    }
}

impl FromStr for QueueName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        match (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidName(format!(
                "the name of a queue is 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`"
            ))),
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for QueueName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a job needs of who claims it: all of it. Words such as `linux`, or `gpu=1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Needs(BTreeSet<String>);

/// What a claimer has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Has(BTreeSet<String>);

impl Needs {
    /// From words.
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Result<Self, InvalidName> {
        Ok(Self(checked(words, "a job needs", MOST_NEEDS)?))
    }

    /// Whether it is anybody's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many things.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether who has this may have the job.
    pub fn are_met_by(&self, has: &Has) -> bool {
        self.0.is_subset(&has.0)
    }
}

impl Has {
    /// From words.
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Result<Self, InvalidName> {
        Ok(Self(checked(words, "a claimer has", MOST_HAS)?))
    }

    /// Whether jobs that need something are out of the question.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn checked<S: Into<String>>(
    words: impl IntoIterator<Item = S>,
    who: &str,
    most: usize,
) -> Result<BTreeSet<String>, InvalidName> {
    let words: BTreeSet<String> = words.into_iter().map(Into::into).collect();
    if words.len() > most {
        return Err(InvalidName(format!("{who} {most} things at most")));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    let wrong = words
        .iter()
        .find(|word| !(1..=LONGEST_NEED).contains(&word.len()) || !word.bytes().all(plain));
    match wrong {
        None => Ok(words),
        Some(_) => Err(InvalidName(format!(
            "a need is 1 to {LONGEST_NEED} letters, digits, `-`, `_` or `.`, perhaps with `=` and a value: `linux`, `gpu=1`"
        ))),
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

impl FromStr for Needs {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text {
            "" => Ok(Self::default()),
            text => Self::new(text.split(',')),
        }
    }
}

impl Serialize for Needs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Has {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

/// `["linux"]` or `{"gpu": "1"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::List(words) => words,
            Self::Map(pairs) => pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Needs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Words::deserialize(deserializer)?.list()).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Has {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Words::deserialize(deserializer)?.list()).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_map_and_a_list_say_the_same() {
        let map: Needs = serde_json::from_str(r#"{"gpu":"1","os":"linux"}"#).unwrap();
        let list: Needs = serde_json::from_str(r#"["os=linux","gpu=1","gpu=1"]"#).unwrap();
        assert_eq!(map, list);
        assert_eq!(map.to_string(), "gpu=1,os=linux");
    }

    #[test]
    fn what_would_break_out_of_a_task_queue_is_refused() {
        for name in ["", "a:b", "a b", "a/b", "ä", &"x".repeat(101)] {
            assert!(name.parse::<QueueName>().is_err(), "{name}");
        }
        for need in ["", "a:b", "a,b", "a'b"] {
            assert!(Needs::new([need]).is_err(), "{need}");
        }
        assert!(Needs::new((0..9).map(|n| n.to_string())).is_err());
    }

    proptest! {
        #[test]
        fn a_task_queue_names_queue_and_needs(name in "[a-zA-Z0-9._-]{1,20}", needs in proptest::collection::btree_set("[a-z0-9=._-]{1,9}", 0..5)) {
            let (name, needs): (QueueName, Needs) = (name.parse().unwrap(), Needs::new(needs).unwrap());
            let back = QueueName::of_task_queue(&name.task_queue(&needs)).unwrap();
            prop_assert_eq!(back, (name, needs));
        }

        #[test]
        fn needs_are_met_by_more_and_never_by_less(needs in proptest::collection::btree_set("[a-d]", 0..4), more in proptest::collection::btree_set("[a-f]", 0..5)) {
            let all: BTreeSet<String> = needs.union(&more).cloned().collect();
            let wanted = Needs::new(needs.clone()).unwrap();
            prop_assert!(wanted.are_met_by(&Has::new(all.clone()).unwrap()));
            for without in &needs {
                let rest = all.iter().filter(|word| *word != without).cloned();
                prop_assert!(!wanted.are_met_by(&Has::new(rest).unwrap()));
            }
        }
    }
}
