//! A list filter compiled to SQL with bound parameters. What is not supported is refused by name.

use std::fmt::Write;

use helve_db::Value;
use helve_history::Timestamp;
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;

use super::parse::{Expr, Literal, Operator, parse};

/// The condition of a list or count.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    /// A condition on the columns of `runs`, empty for all. Parameters are `?1`, `?2`, ...
    pub(crate) sql: String,
    pub(crate) params: Vec<Value>,
    pub(crate) grouping: Option<Grouping>,
}

/// What a count is split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    Status,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Time,
    Status,
}

fn column(field: &str) -> Result<(&'static str, Kind), String> {
    Ok(match field {
        "WorkflowId" => ("workflow_id", Kind::Text),
        "WorkflowType" => ("type", Kind::Text),
        "RunId" => ("run_id", Kind::Text),
        "TaskQueue" => ("task_queue", Kind::Text),
        "ExecutionStatus" => ("status", Kind::Status),
        "StartTime" => ("start_time", Kind::Time),
        "ExecutionTime" => ("execution_time", Kind::Time),
        "CloseTime" => ("close_time", Kind::Time),
        _ => {
            return Err(format!(
                "invalid search attribute `{field}`: only WorkflowId, WorkflowType, RunId, TaskQueue, ExecutionStatus, \
                 StartTime, ExecutionTime and CloseTime can be filtered by"
            ));
        }
    })
}

impl Filter {
    /// Compiles a query as `ListWorkflowExecutions` and `CountWorkflowExecutions` take it.
    pub(crate) fn compile(text: &str) -> Result<Filter, String> {
        let query = parse(text)?;
        let grouping = match query.group_by.as_deref() {
            None => None,
            Some("ExecutionStatus") => Some(Grouping::Status),
            Some(field) => {
                return Err(format!(
                    "GROUP BY `{field}` is not supported: only ExecutionStatus can be grouped by"
                ));
            }
        };
        let mut filter = Filter {
            grouping,
            ..Filter::default()
        };
        if let Some(expr) = &query.filter {
            filter.expr(expr)?;
        }
        Ok(filter)
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), String> {
        match expr {
            Expr::And(left, right) => self.pair(left, "AND", right),
            Expr::Or(left, right) => self.pair(left, "OR", right),
            Expr::Compare {
                field,
                operator,
                values,
            } => self.compare(field, *operator, values),
        }
    }

    fn pair(&mut self, left: &Expr, word: &str, right: &Expr) -> Result<(), String> {
        self.sql.push('(');
        self.expr(left)?;
        let _ = write!(self.sql, " {word} ");
        self.expr(right)?;
        self.sql.push(')');
        Ok(())
    }

    fn compare(&mut self, field: &str, operator: Operator, values: &[Literal]) -> Result<(), String> {
        let (column, kind) = column(field)?;
        let convert = match kind {
            Kind::Text => text,
            Kind::Time => time,
            Kind::Status => status,
        };
        let values = values
            .iter()
            .map(|value| convert(field, value))
            .collect::<Result<Vec<_>, _>>()?;
        let ordered = kind != Kind::Status;
        let sql = match operator {
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::Less if ordered => "<",
            Operator::LessOrEqual if ordered => "<=",
            Operator::Greater if ordered => ">",
            Operator::GreaterOrEqual if ordered => ">=",
            Operator::In => return self.one_of(column, values),
            Operator::Between if ordered => return self.between(column, values),
            Operator::StartsWith if kind == Kind::Text => return self.starts_with(column, values),
            Operator::IsNull | Operator::IsNotNull if column == "close_time" => {
                let not = if operator == Operator::IsNull { "" } else { "NOT " };
                // Writing to a String cannot fail, here and below.
                let _ = write!(self.sql, "({column} IS {not}NULL)");
                return Ok(());
            }
            _ => return Err(format!("this operator is not supported for `{field}`")),
        };
        let _ = write!(self.sql, "({column} {sql} ");
        self.bind(values);
        self.sql.push(')');
        Ok(())
    }

    fn one_of(&mut self, column: &str, values: Vec<Value>) -> Result<(), String> {
        let _ = write!(self.sql, "({column} IN (");
        self.bind(values);
        self.sql.push_str("))");
        Ok(())
    }

    fn between(&mut self, column: &str, values: Vec<Value>) -> Result<(), String> {
        let first = self.params.len() + 1;
        let _ = write!(self.sql, "({column} BETWEEN ?{first} AND ?{})", first + 1);
        self.params.extend(values);
        Ok(())
    }

    /// The lower bound lets SQLite begin at the right place of an index; the comparison of the start decides.
    fn starts_with(&mut self, column: &str, values: Vec<Value>) -> Result<(), String> {
        let prefix = self.params.len() + 1;
        let _ = write!(
            self.sql,
            "({column} >= ?{prefix} AND substr({column}, 1, length(?{prefix})) = ?{prefix})"
        );
        self.params.extend(values);
        Ok(())
    }

    fn bind(&mut self, values: Vec<Value>) {
        for (index, value) in values.into_iter().enumerate() {
            self.params.push(value);
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(self.sql, "{comma}?{}", self.params.len());
        }
    }
}

fn text(field: &str, value: &Literal) -> Result<Value, String> {
    match value {
        Literal::Text(text) => Ok(Value::Text(text.clone())),
        Literal::Number(number) => Err(format!("`{field}` is a text: write '{number}'")),
    }
}

fn time(field: &str, value: &Literal) -> Result<Value, String> {
    match value {
        Literal::Number(nanos) => Ok(Value::Integer(*nanos)),
        Literal::Text(text) => text
            .parse::<prost_types::Timestamp>()
            .map(|time| Value::Integer(Timestamp::from(time).as_nanos()))
            .map_err(|_| format!("`{field}` is a time like '2026-01-31T12:00:00Z', not '{text}'")),
    }
}

const STATUSES: &[(&str, WorkflowExecutionStatus)] = &[
    ("Running", WorkflowExecutionStatus::Running),
    ("Completed", WorkflowExecutionStatus::Completed),
    ("Failed", WorkflowExecutionStatus::Failed),
    ("Canceled", WorkflowExecutionStatus::Canceled),
    ("Terminated", WorkflowExecutionStatus::Terminated),
    ("ContinuedAsNew", WorkflowExecutionStatus::ContinuedAsNew),
    ("TimedOut", WorkflowExecutionStatus::TimedOut),
    ("Paused", WorkflowExecutionStatus::Paused),
];

/// The name under which filters and groups know a status.
pub(crate) fn status_name(status: i32) -> &'static str {
    STATUSES
        .iter()
        .find(|(_, value)| *value as i32 == status)
        .map_or("Unspecified", |(name, _)| name)
}

fn status(field: &str, value: &Literal) -> Result<Value, String> {
    let found = match value {
        Literal::Number(number) => i32::try_from(*number)
            .ok()
            .filter(|number| STATUSES.iter().any(|s| s.1 as i32 == *number)),
        Literal::Text(text) => STATUSES
            .iter()
            .find(|(name, status)| name.eq_ignore_ascii_case(text) || status.as_str_name() == text)
            .map(|(_, status)| *status as i32),
    };
    match found {
        Some(status) => Ok(Value::Integer(i64::from(status))),
        None => {
            let names: Vec<_> = STATUSES.iter().map(|(name, _)| *name).collect();
            let given = match value {
                Literal::Text(text) => text.clone(),
                Literal::Number(number) => number.to_string(),
            };
            Err(format!(
                "invalid {field} value '{given}': it is one of {}",
                names.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> (String, Vec<Value>) {
        let filter = Filter::compile(text).unwrap();
        (filter.sql, filter.params)
    }

    #[test]
    fn values_are_bound_and_never_part_of_the_sql() {
        let (sql, params) = sql("WorkflowId = 'it''s; DROP TABLE runs' and WorkflowType != \"a\\\"b\"");
        assert_eq!(sql, "((workflow_id = ?1) AND (type <> ?2))");
        assert_eq!(params, ["it's; DROP TABLE runs".into(), "a\"b".into()]);
    }

    #[test]
    fn and_binds_closer_than_or_and_parentheses_change_that() {
        assert_eq!(
            sql("RunId='1' OR RunId='2' AND RunId='3'").0,
            "((run_id = ?1) OR ((run_id = ?2) AND (run_id = ?3)))"
        );
        assert_eq!(
            sql("(RunId='1' OR RunId='2') AND RunId='3'").0,
            "(((run_id = ?1) OR (run_id = ?2)) AND (run_id = ?3))"
        );
    }

    #[test]
    fn statuses_and_times_are_understood() {
        let (text, params) = sql("ExecutionStatus IN ('Running', 'timedout') AND StartTime >= '1970-01-01T00:00:01Z'");
        assert_eq!(text, "((status IN (?1, ?2)) AND (start_time >= ?3))");
        assert_eq!(params, [1.into(), 7.into(), 1_000_000_000.into()]);
        assert_eq!(sql("CloseTime IS NULL").0, "(close_time IS NULL)");
        assert_eq!(
            sql("StartTime BETWEEN 1 AND 2 AND TaskQueue STARTS_WITH 'a'").1.len(),
            3
        );
    }

    #[test]
    fn a_count_can_be_grouped_by_status() {
        let filter = Filter::compile("GROUP BY ExecutionStatus").unwrap();
        assert_eq!((filter.sql.as_str(), filter.grouping), ("", Some(Grouping::Status)));
        assert!(Filter::compile("WorkflowId='a' group by WorkflowType").is_err());
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (query, word) in [
            ("CustomField = 'x'", "CustomField"),
            ("WorkflowId LIKE 'a%'", "LIKE"),
            ("WorkflowId = 'a' ORDER BY StartTime", "ORDER"),
            ("ExecutionStatus > 'Running'", "ExecutionStatus"),
            ("ExecutionStatus = 'Sleeping'", "Sleeping"),
            ("StartTime STARTS_WITH '2026-01-01T00:00:00Z'", "StartTime"),
            ("StartTime > 'yesterday'", "yesterday"),
            ("WorkflowId = 7", "WorkflowId"),
            ("WorkflowId = 'a", "not closed"),
            ("(WorkflowId = 'a'", "`)`"),
            ("WorkflowId", "operator"),
            ("WorkflowId = 'a' §", "§"),
        ] {
            let error = Filter::compile(query).unwrap_err();
            assert!(error.contains(word), "{query}: {error}");
        }
        assert!(
            Filter::compile(&"(".repeat(10_000)).is_err(),
            "deep nesting does not overflow the stack"
        );
    }
}
