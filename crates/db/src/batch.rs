//! The unit of a write.

use std::borrow::Cow;

use bytes::Bytes;
use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};

/// A bound parameter. Owned, so that a batch can travel to another thread or another machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes, which somebody else may have as well.
    Blob(Bytes),
}

impl Value {
    /// What this value adds to the size of a batch.
    fn size(&self) -> usize {
        match self {
            Value::Null => 1,
            Value::Integer(_) | Value::Real(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Integer(i64::from(flag))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Blob(bytes.into())
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Value::Blob(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// One SQL statement with its parameters and what must be true of its effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The text. It should be one of a small set, since prepared statements are cached by it.
    pub sql: Cow<'static, str>,
    /// Parameters, bound to `?1`, `?2`, ...
    pub params: Vec<Value>,
    /// The precondition: exactly this many rows are changed, or the whole batch is a conflict.
    pub expect: Option<usize>,
}

impl Statement {
    /// A statement without a precondition.
    pub fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Statement {
            sql: sql.into(),
            params,
            expect: None,
        }
    }

    /// A statement that must change exactly `rows` rows.
    pub fn expecting(sql: impl Into<Cow<'static, str>>, params: Vec<Value>, rows: usize) -> Self {
        Statement {
            sql: sql.into(),
            params,
            expect: Some(rows),
        }
    }

    /// Bytes of its parameters.
    fn data(&self) -> usize {
        self.params.iter().map(Value::size).sum()
    }
}

/// Names one logical write, so that a retry of it is recognised. See [`Batch::with_key`].
pub type BatchKey = [u8; 16];

/// A list of statements that are done together or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub(crate) statements: Vec<Statement>,
    pub(crate) key: Option<BatchKey>,
    text: usize,
    data: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Gives the batch a key: a batch with a key that was committed before (among the last
    /// [`Options::remembered_keys`](crate::Options::remembered_keys)) is answered `Ok` and changes nothing. Batches
    /// whose statements carry a version precondition do not need one.
    pub fn with_key(mut self, key: BatchKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Appends a statement.
    pub fn push(&mut self, statement: Statement) {
        self.text += statement.sql.len();
        self.data += statement.data();
        self.statements.push(statement);
    }

    /// Appends a statement without a precondition.
    pub fn run(&mut self, sql: &'static str, params: Vec<Value>) {
        self.push(Statement::new(sql, params));
    }

    /// Appends a statement that must change exactly one row.
    pub fn run_one(&mut self, sql: &'static str, params: Vec<Value>) {
        self.push(Statement::expecting(sql, params, 1));
    }

    /// Appends that free space at the end of the file is given back to the file system: so many pages at most. Files that
    /// older versions made keep theirs, and use it again.
    pub fn give_back(&mut self, pages: u32) {
        // No parameter can be bound in a PRAGMA.
        self.push(Statement::new(
            format!("PRAGMA incremental_vacuum({pages})"),
            Vec::new(),
        ));
    }

    /// What it does, in order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The key that [`Batch::with_key`] gave it.
    pub fn key(&self) -> Option<BatchKey> {
        self.key
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// How many bytes of text and parameters it carries.
    pub fn size(&self) -> usize {
        self.text + self.data
    }

    /// How many bytes of parameters it carries.
    pub(crate) fn data(&self) -> usize {
        self.data
    }
}

impl Extend<Statement> for Batch {
    fn extend<I: IntoIterator<Item = Statement>>(&mut self, statements: I) {
        for statement in statements {
            self.push(statement);
        }
    }
}
