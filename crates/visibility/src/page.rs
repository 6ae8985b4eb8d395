//! Lists, pages and counts of a compiled query.
//!
//! A page continues where the last one ended: its token holds the keys of the last row, not a number of rows, so rows
//! that come or go meanwhile neither repeat others nor hide them.

use prost::Message;

use crate::{OrderBy, Param, Query, QueryError};

/// An SQL statement and its parameters, bound to `?1`, `?2`, ...
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Columns at the end of each row that are the keys of its place: the token of the next page is made of them.
    pub keys: usize,
}

/// Where a page ended. Opaque to clients.
#[derive(Clone, Debug, PartialEq)]
pub struct PageToken {
    keys: Vec<Param>,
}

#[derive(Clone, PartialEq, Message)]
struct WireToken {
    #[prost(message, repeated, tag = "1")]
    keys: Vec<WireKey>,
}

#[derive(Clone, PartialEq, Message)]
struct WireKey {
    #[prost(oneof = "WireValue", tags = "1, 2, 3")]
    value: Option<WireValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum WireValue {
    #[prost(sint64, tag = "1")]
    Integer(i64),
    #[prost(double, tag = "2")]
    Real(f64),
    #[prost(string, tag = "3")]
    Text(String),
}

impl PageToken {
    /// After the row with these keys.
    pub fn after(keys: Vec<Param>) -> Self {
        PageToken { keys }
    }

    /// As clients carry it.
    pub fn encode(&self) -> Vec<u8> {
        let key = |param: &Param| WireKey {
            value: match param {
                Param::Null => None,
                Param::Integer(number) => Some(WireValue::Integer(*number)),
                Param::Real(number) => Some(WireValue::Real(*number)),
                Param::Text(text) => Some(WireValue::Text(text.clone())),
            },
        };
        WireToken {
            keys: self.keys.iter().map(key).collect(),
        }
        .encode_to_vec()
    }
}

impl Query {
    /// Reads the token of a page of this query; `None` for the first page.
    pub fn token(&self, bytes: &[u8]) -> Result<Option<PageToken>, QueryError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let token = WireToken::decode(bytes)
            .ok()
            .filter(|token| token.keys.len() == self.keys().len());
        let Some(token) = token else {
            return Err(QueryError(
                "Invalid NextPageToken: it is not one of this query. Send what the page before came with, or none"
                    .to_owned(),
            ));
        };
        let param = |key: WireKey| match key.value {
            None => Param::Null,
            Some(WireValue::Integer(number)) => Param::Integer(number),
            Some(WireValue::Real(number)) => Param::Real(number),
            Some(WireValue::Text(text)) => Param::Text(text),
        };
        Ok(Some(PageToken {
            keys: token.keys.into_iter().map(param).collect(),
        }))
    }

    /// One page: `columns` and the keys of each row, of rows whose columns have the values in `scope`.
    pub fn page(
        &self,
        columns: &str,
        scope: &[(&'static str, Param)],
        after: Option<&PageToken>,
        limit: usize,
    ) -> Statement {
        let keys = self.keys();
        let mut params = self.params.clone();
        let mut condition = self.scoped(scope, &mut params);
        if let Some(token) = after {
            condition.push_str(" AND ");
            condition.push_str(&beyond(&keys, &token.keys, &mut params));
        }
        let names: Vec<_> = keys.iter().map(|key| key.column.as_ref()).collect();
        let order: Vec<_> = keys
            .iter()
            .map(|key| format!("{}{}", key.column, if key.descending { " DESC" } else { "" }))
            .collect();
        params.push(Param::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        Statement {
            sql: format!(
                "SELECT {columns}, {} FROM {} WHERE {condition} ORDER BY {} LIMIT ?{}",
                names.join(", "),
                self.relation.table,
                order.join(", "),
                params.len()
            ),
            params,
            keys: names.len(),
        }
    }

    /// How many rows there are, in one row; with a group, one row for each of its values, which comes first.
    pub fn count(&self, scope: &[(&'static str, Param)]) -> Statement {
        let mut params = self.params.clone();
        let condition = self.scoped(scope, &mut params);
        let table = self.relation.table;
        let sql = match &self.group {
            None => format!("SELECT count(*) FROM {table} WHERE {condition}"),
            Some(group) => format!(
                "SELECT {}, count(*) FROM {table} WHERE {condition} GROUP BY 1 ORDER BY 1",
                group.column
            ),
        };
        Statement { sql, params, keys: 0 }
    }

    /// The order asked for, or the usual one, made total.
    fn keys(&self) -> Vec<OrderBy> {
        let mut keys = if self.order.is_empty() {
            self.relation.order.to_vec()
        } else {
            self.order.clone()
        };
        keys.push(OrderBy {
            column: self.relation.owner.into(),
            descending: keys.last().is_none_or(|last| last.descending),
            nullable: false,
        });
        keys
    }

    /// The condition within a scope. Its own parameters come first, so those of the scope are numbered after them.
    fn scoped(&self, scope: &[(&'static str, Param)], params: &mut Vec<Param>) -> String {
        let mut parts = Vec::new();
        for (column, value) in scope {
            params.push(value.clone());
            parts.push(format!("{}.{column} = ?{}", self.relation.table, params.len()));
        }
        if !self.condition.is_empty() {
            parts.push(format!("({})", self.condition));
        }
        if parts.is_empty() {
            parts.push("1".to_owned());
        }
        parts.join(" AND ")
    }
}

/// Rows that come after the one with the keys `last`.
fn beyond(keys: &[OrderBy], last: &[Param], params: &mut Vec<Param>) -> String {
    let numbers: Vec<usize> = last
        .iter()
        .map(|value| {
            params.push(value.clone());
            params.len()
        })
        .collect();
    let is_uniform = keys
        .iter()
        .all(|key| !key.nullable && key.descending == keys[0].descending);
    if is_uniform {
        // SQLite finds the place of a row value in an index.
        let columns: Vec<_> = keys.iter().map(|key| key.column.as_ref()).collect();
        let values: Vec<_> = numbers.iter().map(|number| format!("?{number}")).collect();
        let sign = if keys[0].descending { '<' } else { '>' };
        return format!("({}) {sign} ({})", columns.join(", "), values.join(", "));
    }
    // key 1 is beyond, or key 1 is the same and (key 2 is beyond, or ...)
    let mut condition = "0".to_owned();
    for (index, key) in keys.iter().enumerate().rev() {
        let (column, number) = (&key.column, numbers[index]);
        let is_null = last[index] == Param::Null;
        let here = match (key.descending, is_null) {
            (false, true) => format!("{column} IS NOT NULL"),
            (false, false) => format!("{column} > ?{number}"),
            (true, true) => "0".to_owned(),
            (true, false) if key.nullable => format!("({column} < ?{number} OR {column} IS NULL)"),
            (true, false) => format!("{column} < ?{number}"),
        };
        condition = format!("({here} OR ({column} IS ?{number} AND {condition}))");
    }
    condition
}
