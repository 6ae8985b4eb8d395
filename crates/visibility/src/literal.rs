//! Values in a filter, as the type of their attribute wants them.

use crate::{Kind, Param, QueryError, ValueType, duration, parse::Literal, schema::StatusName, value::datetime};

impl Kind {
    /// The name of the type, for messages.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Kind::Value(value_type) => value_type.name(),
            Kind::Duration => "Int",
            Kind::Status(_) => "Keyword",
        }
    }

    /// The parameter that a literal stands for.
    pub(crate) fn param(self, field: &str, literal: &Literal) -> Result<Param, QueryError> {
        match self {
            Kind::Status(statuses) => status(field, statuses, literal),
            Kind::Duration => in_nanos(field, literal),
            Kind::Value(value_type) => value(field, value_type, literal),
        }
    }
}

fn value(field: &str, value_type: ValueType, literal: &Literal) -> Result<Param, QueryError> {
    Ok(match (value_type, literal) {
        (ValueType::Int | ValueType::Double, Literal::Integer(number)) => Param::Integer(*number),
        (ValueType::Int | ValueType::Double, Literal::Real(number)) => Param::Real(*number),
        (ValueType::Bool, Literal::Bool(flag)) => Param::Integer((*flag).into()),
        (ValueType::Datetime, Literal::Integer(nanos)) => Param::Integer(*nanos),
        (ValueType::Datetime, Literal::Text(text)) => Param::Integer(datetime(text).ok_or_else(|| {
            QueryError::expression(format!(
                "unable to parse datetime '{text}': write it like '2026-01-31T12:00:00Z'"
            ))
        })?),
        (ValueType::Keyword | ValueType::KeywordList | ValueType::Text, Literal::Text(text)) => {
            Param::Text(text.clone())
        }
        _ => {
            let hint = match value_type {
                ValueType::Int | ValueType::Double => "write a number without quotes",
                ValueType::Bool => "write true or false without quotes",
                ValueType::Datetime => "write it like '2026-01-31T12:00:00Z', or in nanoseconds",
                ValueType::Keyword | ValueType::KeywordList | ValueType::Text => "write it in quotes",
            };
            return Err(QueryError::expression(format!(
                "invalid value type for search attribute {field} of type {}: {}: {hint}",
                value_type.name(),
                shown(literal)
            )));
        }
    })
}

fn status(field: &str, statuses: &[StatusName], literal: &Literal) -> Result<Param, QueryError> {
    let found = match literal {
        Literal::Integer(number) => statuses.iter().find(|status| status.number == *number),
        Literal::Text(text) => statuses
            .iter()
            .find(|status| status.name == text || status.long == text),
        Literal::Real(_) | Literal::Bool(_) => None,
    };
    found.map(|status| Param::Integer(status.number)).ok_or_else(|| {
        let names: Vec<_> = statuses.iter().skip(1).map(|status| status.name).collect();
        QueryError::expression(format!(
            "invalid {field} value {}: it is one of {}",
            shown(literal),
            names.join(", ")
        ))
    })
}

fn in_nanos(field: &str, literal: &Literal) -> Result<Param, QueryError> {
    match literal {
        Literal::Integer(nanos) => Some(*nanos),
        Literal::Text(text) => duration::parse(text),
        Literal::Real(_) | Literal::Bool(_) => None,
    }
    .map(Param::Integer)
    .ok_or_else(|| {
        QueryError::expression(format!(
            "invalid duration value for search attribute {field}: {}: write nanoseconds, '1h30m' or '01:30:00'",
            shown(literal)
        ))
    })
}

fn shown(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => format!("'{text}'"),
        Literal::Integer(number) => number.to_string(),
        Literal::Real(number) => number.to_string(),
        Literal::Bool(flag) => flag.to_string(),
    }
}
