//! The log against a model of it: whatever is done to it, it has the same entries, before and after it is opened again.

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload};
use proptest::prelude::*;

use super::*;
use crate::types::{Command, Group};

#[derive(Debug, Clone)]
enum Step {
    Append { count: usize, bytes: usize },
    Truncate { back: u64 },
    Purge { share: u8 },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..4usize, 0..3000usize).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        1 => (1..5u64).prop_map(|back| Step::Truncate { back }),
        1 => any::<u8>().prop_map(|share| Step::Purge { share }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Normal(Command::Group(Group {
            epoch: index,
            at: 0,
            database: 0,
            parts: 0,
            body: Bytes::from(vec![index as u8; bytes]),
        })),
    }
}

fn append(log: &mut Log, entries: &[Entry]) {
    let written = Written::new(entries.to_vec()).unwrap();
    if let Some(unsynced) = log.append(written).unwrap() {
        unsynced.sync().unwrap();
        log.note_synced(&unsynced);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_has_what_was_put_into_it(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path()).unwrap();
        let (mut model, mut first, mut purged, mut term) = (Vec::<Entry>::new(), 0u64, None, 1);
        for step in steps {
            let next = first + model.len() as u64;
            match step {
                Step::Append { count, bytes } => {
                    let entries: Vec<_> = (0..count as u64).map(|at| entry(term, next + at, bytes)).collect();
                    append(&mut log, &entries);
                    model.extend(entries);
                }
                Step::Truncate { back } => {
                    let from = next.saturating_sub(back).max(first);
                    log.truncate(from).unwrap();
                    model.truncate((from - first) as usize);
                    term += 1;
                }
                Step::Purge { share } if !model.is_empty() => {
                    let at = usize::from(share) * model.len() / 256;
                    let upto = model[at].log_id;
                    log.purge(upto).unwrap();
                    model.drain(..=at);
                    first = upto.index + 1;
                    purged = Some(upto);
                }
                Step::Purge { .. } => {}
                Step::Reopen => {
                    drop(log);
                    log = Log::open(dir.path()).unwrap();
                }
            }
            prop_assert_eq!(log.purged(), purged);
            prop_assert_eq!(log.last(), model.last().map(|entry| entry.log_id).or(purged));
            prop_assert_eq!(log.entries(0, u64::MAX, usize::MAX).unwrap(), model.clone());
        }
    }
}

#[test]
fn a_log_goes_on_in_the_next_file_and_old_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path()).unwrap();
    for index in 0..10 {
        append(&mut log, &[entry(1, index, 5 << 20)]);
    }
    let files = |log: &Log| log.segments.len();
    let before = files(&log);
    assert!(before >= 3, "{before}");
    log.purge(log_id(1, 7)).unwrap();
    assert!(files(&log) < before);
    drop(log);
    let log = Log::open(dir.path()).unwrap();
    let read = log.entries(0, u64::MAX, usize::MAX).unwrap();
    assert_eq!(read.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), [8, 9]);
    assert_eq!(
        log.entries(8, 10, 1).unwrap().len(),
        1,
        "at least one entry, however large"
    );
}

#[test]
fn a_file_that_is_missing_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path()).unwrap();
    for index in 0..10 {
        append(&mut log, &[entry(1, index, 5 << 20)]);
    }
    let numbers: Vec<_> = log.segments.iter().map(|segment| segment.number).collect();
    drop(log);
    for number in [numbers[1], numbers[numbers.len() - 1]] {
        let path = segment_path(dir.path(), number);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Log::open(dir.path()), Err(LogError::Corrupt { .. })));
        std::fs::write(&path, bytes).unwrap();
    }
    Log::open(dir.path()).unwrap();
}

#[test]
fn a_vote_is_there_as_it_was_given_or_the_log_says_that_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    assert_eq!(log.read_vote().unwrap(), None);
    let vote = Vote::new_committed(7, 2);
    log.save_vote(&vote).unwrap();
    assert_eq!(log.read_vote().unwrap(), Some(vote));
    let path = dir.path().join(VOTE);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(log.read_vote().is_err());
}
