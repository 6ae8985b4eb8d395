//! Search attributes: which there are, and the values by which executions are found.

use std::collections::HashMap;

use helve_db::{
    Batch, ReadError, Value,
    rusqlite::{Connection, Row},
};
use helve_visibility::{Attributes, Definition, Param, ValueType};
use temporalio_protos::temporal::api::common::v1::Payload;

use super::RowId;

/// A parameter of a compiled query, or of a row of values, as the database takes it.
pub(crate) fn value(param: Param) -> Value {
    match param {
        Param::Null => Value::Null,
        Param::Integer(number) => Value::Integer(number),
        Param::Real(number) => Value::Real(number),
        Param::Text(text) => Value::Text(text),
    }
}

/// A column as a parameter of a later query.
pub(crate) fn param(row: &Row<'_>, column: usize) -> Result<Param, ReadError> {
    use helve_db::rusqlite::types::Value as Sql;
    Ok(match row.get(column)? {
        Sql::Null => Param::Null,
        Sql::Integer(number) => Param::Integer(number),
        Sql::Real(number) => Param::Real(number),
        Sql::Text(text) => Param::Text(text),
        Sql::Blob(_) => return Err(ReadError::Corrupt("a column that is compared is a blob".to_owned())),
    })
}

/// The custom search attributes of a namespace.
pub(crate) fn load_attributes(db: &Connection, namespace: i64) -> Result<Attributes, ReadError> {
    let mut query =
        db.prepare_cached("SELECT number, name, type FROM search_attributes WHERE namespace = ?1 AND removed = 0")?;
    let mut rows = query.query([namespace])?;
    let mut definitions = Vec::new();
    while let Some(row) = rows.next()? {
        let (number, name, value_type): (i64, String, i32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let value_type = ValueType::from_proto(value_type)
            .ok_or_else(|| ReadError::Corrupt(format!("search attribute {name} is of unknown type {value_type}")))?;
        definitions.push((name, Definition { number, value_type }));
    }
    Ok(definitions.into_iter().collect())
}

/// Adds a custom search attribute. That there is none of this name is the precondition.
pub(crate) fn add_attribute(batch: &mut Batch, namespace: i64, name: &str, value_type: ValueType) {
    batch.run_one(
        "INSERT OR IGNORE INTO search_attributes (namespace, name, type) VALUES (?1, ?2, ?3)",
        vec![
            namespace.into(),
            name.into(),
            i64::from(value_type.to_proto() as i32).into(),
        ],
    );
}

/// Takes a custom search attribute away. Its values are deleted by and by.
pub(crate) fn remove_attribute(batch: &mut Batch, definition: Definition) {
    batch.run_one(
        "UPDATE search_attributes SET removed = 1 WHERE number = ?1 AND removed = 0",
        vec![definition.number.into()],
    );
}

/// Writes the values that an execution is found by from now on; `is_new` if it had none before.
pub(crate) fn write_attributes(
    batch: &mut Batch,
    owner: RowId,
    attributes: &Attributes,
    fields: &HashMap<String, Payload>,
    is_new: bool,
) {
    if !is_new {
        delete_attributes(batch, owner);
    }
    for (attribute, param) in attributes.rows(fields) {
        batch.run_one(
            "INSERT INTO search_attribute_values (owner, attribute, value) VALUES (?1, ?2, ?3)",
            vec![owner.into(), attribute.into(), value(param)],
        );
    }
}

/// Deletes the values that an execution is found by.
pub(crate) fn delete_attributes(batch: &mut Batch, owner: RowId) {
    batch.run(
        "DELETE FROM search_attribute_values WHERE owner = ?1",
        vec![owner.into()],
    );
}
/// Removed search attributes whose values may still be there.
pub(crate) fn removed_attributes(db: &Connection) -> Result<Vec<i64>, ReadError> {
    let mut query = db.prepare("SELECT number FROM search_attributes WHERE removed = 1 ORDER BY number")?;
    let numbers = query.query_map([], |row| row.get(0))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

/// Deletes some of a removed attribute's values, then the attribute itself.
pub(crate) fn purge_attribute(batch: &mut Batch, number: i64, limit: usize) {
    batch.run(
        "DELETE FROM search_attribute_values WHERE (owner, attribute, value) IN
            (SELECT owner, attribute, value FROM search_attribute_values WHERE attribute = ?1 LIMIT ?2)",
        vec![number.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()],
    );
    batch.run(
        "DELETE FROM search_attributes WHERE number = ?1
            AND NOT EXISTS (SELECT 1 FROM search_attribute_values WHERE attribute = ?1)",
        vec![number.into()],
    );
}
