//! A small table of executions in memory, with values of every type.

use helve_visibility::{Attributes, Definition, Param, Query, QueryError, Schema, Statement, ValueType, workflows};
use rusqlite::{Connection, params_from_iter, types::Value};

/// One execution as the naive evaluator sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) workflow_id: String,
    pub(crate) status: i64,
    pub(crate) start: i64,
    pub(crate) close: Option<i64>,
    pub(crate) keyword: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) int: Option<i64>,
    pub(crate) double: Option<f64>,
    pub(crate) flag: Option<bool>,
    pub(crate) time: Option<i64>,
    pub(crate) list: Vec<String>,
}

pub(crate) const NAMES: &[(&str, ValueType)] = &[
    ("MyKeyword", ValueType::Keyword),
    ("MyText", ValueType::Text),
    ("MyInt", ValueType::Int),
    ("MyDouble", ValueType::Double),
    ("MyBool", ValueType::Bool),
    ("MyTime", ValueType::Datetime),
    ("MyList", ValueType::KeywordList),
    ("my odd`name", ValueType::Keyword),
];

pub(crate) fn attributes() -> Attributes {
    NAMES
        .iter()
        .zip(1..)
        .map(|((name, value_type), number)| {
            let definition = Definition {
                number,
                value_type: *value_type,
            };
            ((*name).to_owned(), definition)
        })
        .collect()
}

pub(crate) struct World {
    db: Connection,
    attributes: Attributes,
}

impl World {
    pub(crate) fn new(rows: &[Row]) -> World {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE runs (id INTEGER PRIMARY KEY, namespace INTEGER, workflow_id TEXT, run_id TEXT, type TEXT,
                 task_queue TEXT, status INTEGER, start_time INTEGER, execution_time INTEGER, close_time INTEGER,
                 list_order INTEGER AS (coalesce(close_time, 9223372036854775807)), history_length INTEGER,
                 history_size INTEGER, transitions INTEGER, parent_workflow_id TEXT, parent_run_id TEXT,
                 root_workflow_id TEXT, root_run_id TEXT) STRICT;
             CREATE TABLE search_attribute_values (owner INTEGER NOT NULL, attribute INTEGER NOT NULL,
                 value ANY NOT NULL, PRIMARY KEY (owner, attribute, value)) STRICT, WITHOUT ROWID;",
        )
        .unwrap();
        let world = World {
            db,
            attributes: attributes(),
        };
        for row in rows {
            world.insert(row);
        }
        world
    }

    fn insert(&self, row: &Row) {
        self.db
            .execute(
                "INSERT INTO runs (id, namespace, workflow_id, run_id, type, task_queue, status, start_time,
                     execution_time, close_time, history_length, history_size, transitions)
                 VALUES (?1, 1, ?2, 'r' || ?1, 'T', 'q', ?3, ?4, ?4, ?5, ?1, ?1, ?1)",
                (row.id, &row.workflow_id, row.status, row.start, row.close),
            )
            .unwrap();
        let mut fields = std::collections::HashMap::new();
        let mut set = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                let mut payload = temporalio_protos::temporal::api::common::v1::Payload::default();
                payload.metadata.insert("encoding".to_owned(), b"json/plain".to_vec());
                payload.data = value.to_string().into_bytes();
                fields.insert(name.to_owned(), payload);
            }
        };
        set("MyKeyword", row.keyword.clone().map(Into::into));
        set("MyText", row.text.clone().map(Into::into));
        set("MyInt", row.int.map(Into::into));
        set("MyDouble", row.double.map(Into::into));
        set("MyBool", row.flag.map(Into::into));
        set("MyTime", row.time.map(|nanos| rfc3339(nanos).into()));
        set("MyList", (!row.list.is_empty()).then(|| row.list.clone().into()));
        self.attributes.check(&fields, "default").unwrap();
        for (attribute, value) in self.attributes.rows(&fields) {
            self.db
                .execute(
                    "INSERT INTO search_attribute_values (owner, attribute, value) VALUES (?1, ?2, ?3)",
                    (row.id, attribute, sql(&value)),
                )
                .unwrap();
        }
    }

    pub(crate) fn compile(&self, query: &str) -> Result<Query, QueryError> {
        Query::compile(query, &Schema::new(&workflows::RELATION, &self.attributes))
    }

    /// Ids of all that are found, page by page.
    pub(crate) fn find(&self, query: &str, page_size: usize) -> Vec<i64> {
        let query = self.compile(query).unwrap();
        let mut found = Vec::new();
        let mut token = Vec::new();
        loop {
            let after = query.token(&token).unwrap();
            let statement = query.page("runs.id", &[("namespace", 1.into())], after.as_ref(), page_size);
            let rows = self.rows(&statement);
            found.extend(rows.iter().map(|row| match row[0] {
                Value::Integer(id) => id,
                ref other => panic!("{other:?} is no id"),
            }));
            if rows.len() < page_size {
                return found;
            }
            let last = &rows[rows.len() - 1];
            let keys = last[last.len() - statement.keys..].iter().map(param).collect();
            token = helve_visibility::PageToken::after(keys).encode();
        }
    }

    pub(crate) fn count(&self, query: &str) -> Vec<(String, i64)> {
        let query = self.compile(query).unwrap();
        let rows = self.rows(&query.count(&[("namespace", 1.into())]));
        rows.iter()
            .map(|row| match (row.as_slice(), &query.group) {
                ([Value::Integer(count)], None) => (String::new(), *count),
                ([value, Value::Integer(count)], Some(group)) => (group.label(&param(value)), *count),
                (other, _) => panic!("{other:?} is no count"),
            })
            .collect()
    }

    fn rows(&self, statement: &Statement) -> Vec<Vec<Value>> {
        let mut query = self.db.prepare(&statement.sql).unwrap();
        let width = query.column_count();
        let params = statement.params.iter().map(sql);
        query
            .query_map(params_from_iter(params), |row| {
                (0..width).map(|column| row.get(column)).collect()
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }
}

fn sql(param: &Param) -> Value {
    match param {
        Param::Null => Value::Null,
        Param::Integer(number) => Value::Integer(*number),
        Param::Real(number) => Value::Real(*number),
        Param::Text(text) => Value::Text(text.clone()),
    }
}

fn param(value: &Value) -> Param {
    match value {
        Value::Null => Param::Null,
        Value::Integer(number) => Param::Integer(*number),
        Value::Real(number) => Param::Real(*number),
        Value::Text(text) => Param::Text(text.clone()),
        Value::Blob(_) => panic!("no column is a blob"),
    }
}

pub(crate) fn rfc3339(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(nanos.into()).unwrap().to_string()
}
