//! The language on values in memory, for what is in no table.

use crate::{
    QueryError,
    parse::{Comparison, Expr, Literal, Test, parse},
    value::datetime,
};

/// What a field of a [`Filter`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text; empty is no value.
    Text,
    /// A time.
    Time,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// None.
    Absent,
    /// Text.
    Text(String),
    /// Nanoseconds since 1970.
    Time(i64),
}

/// A filter over a fixed set of fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Option<Condition>);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// The index of the field, and what is asked of it.
    Field(usize, Asked),
}

#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Null { negated: bool },
    OneOf { negated: bool, values: Vec<FieldValue> },
    StartsWith { negated: bool, prefix: String },
    Time(Comparison, i64),
    Between { negated: bool, low: i64, high: i64 },
}

impl Filter {
    /// Reads a filter over `fields`. Nothing at all is true of everything.
    ///
    /// # Errors
    ///
    /// When it is not of the language, names another field, or asks of a field what it cannot be asked.
    pub fn parse(text: &str, fields: &[(&str, FieldKind)]) -> Result<Self, QueryError> {
        let parsed = parse(text)?;
        if !(parsed.group_by.is_empty() && parsed.order_by.is_empty()) {
            return Err(QueryError::unsupported("'GROUP BY' and 'ORDER BY' clauses here"));
        }
        Ok(Filter(parsed.filter.map(|expr| condition(expr, fields)).transpose()?))
    }

    /// Whether it is true, given the value of each field by its index.
    pub fn matches(&self, value: impl Fn(usize) -> FieldValue) -> bool {
        self.0.as_ref().is_none_or(|condition| condition.holds(&value))
    }
}

fn condition(expr: Expr, fields: &[(&str, FieldKind)]) -> Result<Condition, QueryError> {
    let all = |exprs: Vec<Expr>| -> Result<Vec<Condition>, QueryError> {
        exprs.into_iter().map(|expr| condition(expr, fields)).collect()
    };
    Ok(match expr {
        Expr::And(exprs) => Condition::All(all(exprs)?),
        Expr::Or(exprs) => Condition::Any(all(exprs)?),
        Expr::Not(expr) => Condition::Not(Box::new(condition(*expr, fields)?)),
        Expr::Test { field, test } => {
            let Some(index) = fields.iter().position(|(name, _)| *name == field) else {
                let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
                return Err(QueryError::expression(format!(
                    "unknown or unsupported search field: {field}; there are {}",
                    names.join(", ")
                )));
            };
            Condition::Field(index, asked(&field, fields[index].1, test)?)
        }
    })
}

fn asked(field: &str, kind: FieldKind, test: Test) -> Result<Asked, QueryError> {
    let refused = |what: &str| {
        Err(QueryError::expression(format!(
            "operation {what} is not supported for {field}"
        )))
    };
    let text = |literal: Literal| match literal {
        Literal::Text(text) => Ok(text),
        _ => Err(QueryError::expression(format!("the value for {field} must be a text"))),
    };
    let time = |literal: Literal| {
        let text = text(literal)?;
        datetime(&text).ok_or_else(|| QueryError::expression(format!("invalid value for {field}: '{text}' is no time")))
    };
    let value = |literal: Literal| match kind {
        FieldKind::Text => text(literal).map(FieldValue::Text),
        FieldKind::Time => time(literal).map(FieldValue::Time),
    };
    Ok(match (kind, test) {
        (_, Test::Null { negated }) => Asked::Null { negated },
        (_, Test::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual), literal)) => Asked::OneOf {
            negated: comparison == Comparison::NotEqual,
            values: vec![value(literal)?],
        },
        (_, Test::In { negated, values }) => Asked::OneOf {
            negated,
            values: values.into_iter().map(value).collect::<Result<_, _>>()?,
        },
        (FieldKind::Text, Test::StartsWith { negated, prefix }) => Asked::StartsWith {
            negated,
            prefix: text(prefix)?,
        },
        (FieldKind::Time, Test::Compare(comparison, literal)) => Asked::Time(comparison, time(literal)?),
        (FieldKind::Time, Test::Between { negated, low, high }) => Asked::Between {
            negated,
            low: time(low)?,
            high: time(high)?,
        },
        (FieldKind::Text, Test::Compare(..)) => return refused("of order"),
        (FieldKind::Text, Test::Between { .. }) => return refused("BETWEEN"),
        (FieldKind::Time, Test::StartsWith { .. }) => return refused("STARTS_WITH"),
    })
}

impl Condition {
    fn holds(&self, value: &impl Fn(usize) -> FieldValue) -> bool {
        match self {
            Condition::All(conditions) => conditions.iter().all(|condition| condition.holds(value)),
            Condition::Any(conditions) => conditions.iter().any(|condition| condition.holds(value)),
            Condition::Not(condition) => !condition.holds(value),
            Condition::Field(index, asked) => asked.holds(&value(*index)),
        }
    }
}

impl Asked {
    fn holds(&self, value: &FieldValue) -> bool {
        let is_absent = *value == FieldValue::Absent || *value == FieldValue::Text(String::new());
        match self {
            Asked::Null { negated } => is_absent != *negated,
            Asked::OneOf { negated, values } => values.contains(value) != *negated,
            Asked::StartsWith { negated, prefix } => {
                matches!(value, FieldValue::Text(text) if text.starts_with(prefix)) != *negated
            }
            Asked::Time(comparison, wanted) => match value {
                FieldValue::Time(time) => match comparison {
                    Comparison::Less => time < wanted,
                    Comparison::LessOrEqual => time <= wanted,
                    Comparison::Greater => time > wanted,
                    Comparison::GreaterOrEqual => time >= wanted,
                    Comparison::Equal => time == wanted,
                    Comparison::NotEqual => time != wanted,
                },
                _ => false,
            },
            Asked::Between { negated, low, high } => match value {
                FieldValue::Time(time) => (low..=high).contains(&time) != *negated,
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[(&str, FieldKind)] = &[("TaskQueue", FieldKind::Text), ("StartTime", FieldKind::Time)];

    fn holds(query: &str) -> bool {
        Filter::parse(query, FIELDS).unwrap().matches(|field| match field {
            0 => FieldValue::Text("rust".to_owned()),
            _ => FieldValue::Time(datetime("2024-05-01T00:00:00Z").unwrap()),
        })
    }

    #[test]
    fn a_filter_is_true_of_what_it_says() {
        for (query, expected) in [
            ("", true),
            ("TaskQueue = 'rust'", true),
            ("TaskQueue != 'rust'", false),
            (
                "TaskQueue STARTS_WITH 'ru' AND StartTime > '2024-01-01T00:00:00Z'",
                true,
            ),
            ("TaskQueue IN ('go', 'rust')", true),
            ("TaskQueue IS NULL OR StartTime < '2024-01-01T00:00:00Z'", false),
            (
                "StartTime BETWEEN '2024-01-01T00:00:00Z' AND '2024-06-01T00:00:00Z'",
                true,
            ),
            ("NOT (TaskQueue = 'rust')", false),
        ] {
            assert_eq!(holds(query), expected, "{query}");
        }
    }

    #[test]
    fn what_a_field_cannot_be_asked_is_refused() {
        for query in [
            "Queue = 'rust'",
            "TaskQueue > 'a'",
            "StartTime STARTS_WITH '2024'",
            "StartTime > 'yesterday'",
            "TaskQueue = 1",
            "TaskQueue = 'a' ORDER BY TaskQueue",
            "TaskQueue",
        ] {
            assert!(Filter::parse(query, FIELDS).is_err(), "{query}");
        }
    }
}
