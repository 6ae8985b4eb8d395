//! The tree of a filter to an SQL condition.
//!
//! NOT is carried down to the comparisons, each of which has an opposite. So a comparison need only be true or not: one
//! with no value is not, and neither is its opposite, just as with NULL in SQL. That lets attributes that are rows be
//! compared by `owner IN (SELECT ...)`, for which there is an index.

use std::borrow::Cow;

use crate::{
    Kind, OrderBy, Param, Place, QueryError, Relation, Schema, ValueType,
    parse::{Comparison, Expr, Literal, Test, parse},
    schema::Found,
    value::words,
};

/// A compiled query.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) relation: &'static Relation,
    /// A condition on the relation's rows, empty for all. Its parameters are `?1`, `?2`, ...
    pub condition: String,
    /// The parameters of the condition.
    pub params: Vec<Param>,
    /// What it asks to be ordered by; empty for the usual order.
    pub order: Vec<OrderBy>,
    /// What a count is to be split by.
    pub group: Option<Group>,
}

/// What a count is split by.
#[derive(Clone, Debug)]
pub struct Group {
    pub(crate) column: String,
    kind: Kind,
}

impl Group {
    /// The value of a group as clients see it.
    pub fn label(&self, value: &Param) -> String {
        match (self.kind, value) {
            (Kind::Status(statuses), Param::Integer(number)) => statuses
                .iter()
                .find(|status| status.number == *number)
                .map_or_else(|| number.to_string(), |status| status.name.to_owned()),
            (_, Param::Text(text)) => text.clone(),
            (_, Param::Integer(number)) => number.to_string(),
            (_, Param::Real(number)) => number.to_string(),
            (_, Param::Null) => String::new(),
        }
    }
}

impl Query {
    /// Compiles a query as lists and counts take it.
    pub fn compile(text: &str, schema: &Schema<'_>) -> Result<Query, QueryError> {
        let parsed = parse(text)?;
        let mut compiler = Compiler {
            schema,
            params: Vec::new(),
        };
        let condition = match &parsed.filter {
            Some(filter) => compiler.expr(filter, false)?,
            None => String::new(),
        };
        let group = match parsed.group_by.as_slice() {
            [] => None,
            [field] => Some(group(schema, field)?),
            _ => {
                return Err(QueryError::unsupported(
                    "'GROUP BY' clause supports only a single field",
                ));
            }
        };
        let order = parsed
            .order_by
            .iter()
            .map(|order| order_by(schema, &order.field, order.descending))
            .collect::<Result<_, _>>()?;
        Ok(Query {
            relation: schema.relation,
            condition,
            params: compiler.params,
            order,
            group,
        })
    }
}

fn group(schema: &Schema<'_>, field: &str) -> Result<Group, QueryError> {
    let found = schema.find(field)?;
    if !found.groupable {
        return Err(QueryError::unsupported(format!(
            "'GROUP BY' clause is not supported for search attribute {field}: ExecutionStatus can be grouped by"
        )));
    }
    Ok(Group {
        column: key(schema.relation, &found),
        kind: found.kind,
    })
}

fn order_by(schema: &Schema<'_>, field: &str, descending: bool) -> Result<OrderBy, QueryError> {
    let found = schema.find(field)?;
    if let Kind::Value(value_type @ (ValueType::Text | ValueType::KeywordList)) = found.kind {
        return Err(QueryError::unsupported(format!(
            "unable to sort by search attribute type {}: {field}",
            value_type.name()
        )));
    }
    Ok(OrderBy {
        column: Cow::Owned(key(schema.relation, &found)),
        descending,
        // Nothing is lost by taking a column that always has a value for one that may not.
        nullable: true,
    })
}

/// An attribute with at most one value, as an expression.
fn key(relation: &Relation, found: &Found) -> String {
    match found.place {
        Place::Column(column) => column.to_owned(),
        Place::Rows(number) => format!(
            "(SELECT v.value FROM {} v WHERE v.owner = {} AND v.attribute = {number})",
            relation.values, relation.owner
        ),
    }
}

struct Compiler<'a> {
    schema: &'a Schema<'a>,
    params: Vec<Param>,
}

impl Compiler<'_> {
    fn expr(&mut self, expr: &Expr, negated: bool) -> Result<String, QueryError> {
        match expr {
            Expr::Not(inner) => self.expr(inner, !negated),
            Expr::And(parts) => self.joined(parts, negated, if negated { "OR" } else { "AND" }),
            Expr::Or(parts) => self.joined(parts, negated, if negated { "AND" } else { "OR" }),
            Expr::Test { field, test } => {
                let found = self.schema.find(field)?;
                let test = if negated { opposite(test) } else { test.clone() };
                self.test(field, &found, &test)
            }
        }
    }

    fn joined(&mut self, parts: &[Expr], negated: bool, word: &str) -> Result<String, QueryError> {
        let parts = parts
            .iter()
            .map(|part| self.expr(part, negated))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(balanced(&parts, word))
    }

    fn test(&mut self, field: &str, found: &Found, test: &Test) -> Result<String, QueryError> {
        check_operator(field, found.kind, test)?;
        if let (Some((absent, present)), Test::Null { negated }) = (found.absent, test) {
            return Ok(if *negated { present } else { absent }.to_owned());
        }
        match (found.place, found.kind) {
            (Place::Column(column), kind) => self.comparison(field, column, kind, test),
            (Place::Rows(number), Kind::Value(ValueType::Text)) => self.text(field, number, test),
            (Place::Rows(number), Kind::Value(ValueType::KeywordList)) => self.list(field, number, test),
            (Place::Rows(number), kind) => match test {
                Test::Null { negated } => Ok(self.among(number, "", *negated)),
                _ => {
                    let condition = self.comparison(field, "v.value", kind, test)?;
                    Ok(self.among(number, &condition, true))
                }
            },
        }
    }

    /// A comparison of an expression that has at most one value.
    fn comparison(&mut self, field: &str, column: &str, kind: Kind, test: &Test) -> Result<String, QueryError> {
        Ok(match test {
            Test::Compare(comparison, literal) => {
                let value = self.bind(field, kind, literal)?;
                format!("{column} {} {value}", symbol(*comparison))
            }
            Test::In { negated, values } => {
                let not = not(*negated);
                format!("{column} {not}IN ({})", self.bind_all(field, kind, values)?)
            }
            Test::Between { negated, low, high } => {
                let (low, high) = (self.bind(field, kind, low)?, self.bind(field, kind, high)?);
                format!("{column} {}BETWEEN {low} AND {high}", not(*negated))
            }
            Test::StartsWith { negated, prefix } => self.starts_with(field, column, kind, prefix, *negated)?,
            Test::Null { negated } => format!("{column} IS {}NULL", not(*negated)),
        })
    }

    /// As a range, so that an index can be used.
    fn starts_with(
        &mut self,
        field: &str,
        column: &str,
        kind: Kind,
        prefix: &Literal,
        negated: bool,
    ) -> Result<String, QueryError> {
        let Param::Text(prefix) = kind.param(field, prefix)? else {
            return Err(unsupported_operator(field, kind, "STARTS_WITH"));
        };
        let end = after_prefix(&prefix);
        let from = self.push(Param::Text(prefix));
        Ok(match (end, negated) {
            (Some(end), false) => format!("({column} >= {from} AND {column} < {})", self.push(Param::Text(end))),
            (Some(end), true) => format!("({column} < {from} OR {column} >= {})", self.push(Param::Text(end))),
            (None, false) => format!("{column} >= {from}"),
            (None, true) => format!("{column} < {from}"),
        })
    }

    /// One of the words of the query must be among those of the text; of a word like `foo.bar` each part.
    fn text(&mut self, field: &str, number: i64, test: &Test) -> Result<String, QueryError> {
        let (literal, positive) = match test {
            Test::Null { negated } => return Ok(self.among(number, "", *negated)),
            Test::Compare(Comparison::Equal, literal) => (literal, true),
            Test::Compare(_, literal) => (literal, false),
            _ => return Err(unsupported_operator(field, Kind::Value(ValueType::Text), "this")),
        };
        let Param::Text(text) = Kind::Value(ValueType::Text).param(field, literal)? else {
            return Err(unsupported_operator(field, Kind::Value(ValueType::Text), "this"));
        };
        let terms: Vec<Vec<String>> = text.split_whitespace().map(|term| words(term).collect()).collect();
        if terms.is_empty() {
            return Err(QueryError::expression(format!(
                "no tokens found filtering on Text type search attribute {field}: write at least one word"
            )));
        }
        let mut parts = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let each: Vec<_> = term
                .into_iter()
                .map(|word| {
                    let word = self.push(Param::Text(word));
                    self.among(number, &format!("v.value = {word}"), positive)
                })
                .collect();
            parts.push(balanced(&each, if positive { "AND" } else { "OR" }));
        }
        if parts.is_empty() {
            // Punctuation is in no text.
            return Ok(if positive { "0" } else { "1" }.to_owned());
        }
        Ok(balanced(&parts, if positive { "OR" } else { "AND" }))
    }

    fn list(&mut self, field: &str, number: i64, test: &Test) -> Result<String, QueryError> {
        let kind = Kind::Value(ValueType::KeywordList);
        let (values, positive) = match test {
            Test::Null { negated } => return Ok(self.among(number, "", *negated)),
            Test::Compare(comparison, literal) => (self.bind(field, kind, literal)?, *comparison == Comparison::Equal),
            Test::In { negated, values } => (self.bind_all(field, kind, values)?, !negated),
            _ => return Err(unsupported_operator(field, kind, "this")),
        };
        Ok(self.among(number, &format!("v.value IN ({values})"), positive))
    }

    /// Whether a row of the attribute's values that meets the condition is there, or is not.
    fn among(&self, number: i64, condition: &str, is_there: bool) -> String {
        let Relation { owner, values, .. } = self.schema.relation;
        let and = if condition.is_empty() { "" } else { " AND " };
        format!(
            "{owner} {}IN (SELECT v.owner FROM {values} v WHERE v.attribute = {number}{and}{condition})",
            not(!is_there)
        )
    }

    fn bind(&mut self, field: &str, kind: Kind, literal: &Literal) -> Result<String, QueryError> {
        let param = kind.param(field, literal)?;
        Ok(self.push(param))
    }

    fn bind_all(&mut self, field: &str, kind: Kind, literals: &[Literal]) -> Result<String, QueryError> {
        let all = literals
            .iter()
            .map(|literal| self.bind(field, kind, literal))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(all.join(", "))
    }

    fn push(&mut self, param: Param) -> String {
        self.params.push(param);
        format!("?{}", self.params.len())
    }
}

/// Joins conditions as a balanced tree: SQLite bounds the depth of expressions.
fn balanced(parts: &[String], word: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            format!("({} {word} {})", balanced(left, word), balanced(right, word))
        }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

pub(crate) fn opposite(test: &Test) -> Test {
    match test.clone() {
        Test::Compare(comparison, literal) => {
            let comparison = match comparison {
                Comparison::Equal => Comparison::NotEqual,
                Comparison::NotEqual => Comparison::Equal,
                Comparison::Less => Comparison::GreaterOrEqual,
                Comparison::LessOrEqual => Comparison::Greater,
                Comparison::Greater => Comparison::LessOrEqual,
                Comparison::GreaterOrEqual => Comparison::Less,
            };
            Test::Compare(comparison, literal)
        }
        Test::In { negated, values } => Test::In {
            negated: !negated,
            values,
        },
        Test::Between { negated, low, high } => Test::Between {
            negated: !negated,
            low,
            high,
        },
        Test::StartsWith { negated, prefix } => Test::StartsWith {
            negated: !negated,
            prefix,
        },
        Test::Null { negated } => Test::Null { negated: !negated },
    }
}

/// The least text that is greater than all that begin with the prefix. UTF-8 sorts as its characters do.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(other as u32 + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn check_operator(field: &str, kind: Kind, test: &Test) -> Result<(), QueryError> {
    use ValueType::{Bool, Keyword, KeywordList, Text};
    let equality = matches!(test, Test::Compare(Comparison::Equal | Comparison::NotEqual, _));
    let allowed = match (test, kind) {
        (Test::Null { .. }, _) => true,
        (Test::Compare(..), Kind::Value(Text | KeywordList)) => equality,
        (Test::Compare(..), _) => true,
        (Test::In { .. }, kind) => !matches!(kind, Kind::Value(Text)),
        (Test::Between { .. }, Kind::Value(value_type)) if matches!(value_type, Text | KeywordList | Bool) => {
            return Err(QueryError::expression(format!(
                "cannot do range condition on search attribute '{field}' of type {}",
                value_type.name()
            )));
        }
        (Test::Between { .. }, _) => true,
        (Test::StartsWith { .. }, kind) => matches!(kind, Kind::Value(Keyword)),
    };
    if allowed {
        return Ok(());
    }
    let operator = match test {
        Test::Compare(comparison, _) => symbol(*comparison),
        Test::In { .. } => "IN",
        Test::StartsWith { .. } => "STARTS_WITH",
        Test::Between { .. } => "BETWEEN",
        Test::Null { .. } => "IS NULL",
    };
    Err(unsupported_operator(field, kind, operator))
}

fn unsupported_operator(field: &str, kind: Kind, operator: &str) -> QueryError {
    QueryError::unsupported(format!(
        "operator '{operator}' not supported for {} type search attribute '{field}'",
        kind.type_name()
    ))
}
