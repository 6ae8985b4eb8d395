//! How batches are written into the log. Pure.
//!
//! A group has few different texts and many parameters, so each text is there once and statements name it by its place.

use std::collections::HashMap;

use bytes::Bytes;
use helve_db::{Batch, BatchKey, Statement, Value};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct WrittenGroup<'a> {
    texts: Vec<&'a str>,
    batches: Vec<WrittenBatch<'a>>,
}

#[derive(Serialize)]
struct WrittenBatch<'a> {
    key: Option<BatchKey>,
    statements: Vec<WrittenStatement<'a>>,
}

#[derive(Serialize)]
struct WrittenStatement<'a> {
    text: u32,
    expect: Option<u64>,
    params: Vec<WrittenValue<'a>>,
}

#[derive(Serialize)]
enum WrittenValue<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a Bytes),
}

#[derive(Deserialize)]
struct ReadGroup<'a> {
    #[serde(borrow)]
    texts: Vec<&'a str>,
    batches: Vec<ReadBatch>,
}

#[derive(Deserialize)]
struct ReadBatch {
    key: Option<BatchKey>,
    statements: Vec<ReadStatement>,
}

#[derive(Deserialize)]
struct ReadStatement {
    text: u32,
    expect: Option<u64>,
    params: Vec<ReadValue>,
}

#[derive(Deserialize)]
enum ReadValue {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Bytes),
}

/// Why a group could not be read. What is in the log passed a checksum, so another version of the program wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a group of batches in the log is not in the form that this version writes: {0}")]
pub(crate) struct Unreadable(String);

/// The bytes of a group.
pub(crate) fn encode<'a>(batches: impl Iterator<Item = &'a Batch>) -> Bytes {
    let mut places = HashMap::new();
    let mut texts = Vec::new();
    let batches = batches
        .map(|batch| WrittenBatch {
            key: batch.key(),
            statements: batch
                .statements()
                .iter()
                .map(|statement| WrittenStatement {
                    text: *places.entry(&*statement.sql).or_insert_with(|| {
                        texts.push(&*statement.sql);
                        texts.len() as u32 - 1
                    }),
                    expect: statement.expect.map(|rows| rows as u64),
                    params: statement.params.iter().map(write_value).collect(),
                })
                .collect(),
        })
        .collect();
    let written = WrittenGroup { texts, batches };
    postcard::to_stdvec(&written)
        .expect("only a map of unknown length cannot be written, and there is none")
        .into()
}

/// The batches of a group.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Batch>, Unreadable> {
    let group: ReadGroup<'_> = postcard::from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))?;
    group
        .batches
        .into_iter()
        .map(|read| {
            let mut batch = Batch::new();
            if let Some(key) = read.key {
                batch = batch.with_key(key);
            }
            for statement in read.statements {
                let text = group
                    .texts
                    .get(statement.text as usize)
                    .ok_or_else(|| Unreadable("a statement has no text".to_owned()))?;
                batch.push(Statement {
                    sql: (*text).to_owned().into(),
                    params: statement.params.into_iter().map(read_value).collect(),
                    expect: statement.expect.map(|rows| rows as usize),
                });
            }
            Ok(batch)
        })
        .collect()
}

fn write_value(value: &Value) -> WrittenValue<'_> {
    match value {
        Value::Null => WrittenValue::Null,
        Value::Integer(number) => WrittenValue::Integer(*number),
        Value::Real(number) => WrittenValue::Real(*number),
        Value::Text(text) => WrittenValue::Text(text),
        Value::Blob(bytes) => WrittenValue::Blob(bytes),
    }
}

fn read_value(value: ReadValue) -> Value {
    match value {
        ReadValue::Null => Value::Null,
        ReadValue::Integer(number) => Value::Integer(number),
        ReadValue::Real(number) => Value::Real(number),
        ReadValue::Text(text) => Value::Text(text),
        ReadValue::Blob(bytes) => Value::Blob(bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            (-1e300..1e300f64).prop_map(Value::Real),
            ".{0,20}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Blob(bytes.into())),
        ]
    }

    fn batch() -> impl Strategy<Value = Batch> {
        let statement = (
            "[a-c]{1,3}",
            prop::collection::vec(value(), 0..5),
            prop::option::of(0..9usize),
        );
        let statements = prop::collection::vec(statement, 0..5);
        (prop::option::of(any::<BatchKey>()), statements).prop_map(|(key, statements)| {
            let mut batch = Batch::new();
            if let Some(key) = key {
                batch = batch.with_key(key);
            }
            batch.extend(statements.into_iter().map(|(sql, params, expect)| Statement {
                sql: sql.into(),
                params,
                expect,
            }));
            batch
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(batches in prop::collection::vec(batch(), 0..6)) {
            prop_assert_eq!(decode(&encode(batches.iter())).unwrap(), batches);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_text_is_written_once() {
        let mut batch = Batch::new();
        for number in 0..100 {
            batch.run("INSERT INTO a_table_with_a_long_name VALUES (?1)", vec![number.into()]);
        }
        assert!(encode([&batch].into_iter()).len() < 1000);
    }
}
