//! Random queries on random rows: the compiled SQL finds what a naive evaluator of three-valued logic finds.

use std::cmp::Ordering;

use proptest::prelude::*;

use crate::world::{Row, World, rfc3339};

/// An attribute of the naive evaluator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    WorkflowId,
    Status,
    Start,
    Close,
    Duration,
    Keyword,
    Text,
    Int,
    Double,
    Flag,
    Time,
    List,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Text(String),
    Bool(bool),
    Time(i64),
}

#[derive(Clone, Debug)]
enum Test {
    Compare(&'static str, Value),
    In(bool, Vec<Value>),
    Between(bool, Value, Value),
    StartsWith(bool, String),
    Null(bool),
}

#[derive(Clone, Debug)]
enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Test(Field, Test),
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::WorkflowId => "WorkflowId",
            Field::Status => "ExecutionStatus",
            Field::Start => "`StartTime`",
            Field::Close => "CloseTime",
            Field::Duration => "ExecutionDuration",
            Field::Keyword => "MyKeyword",
            Field::Text => "MyText",
            Field::Int => "MyInt",
            Field::Double => "MyDouble",
            Field::Flag => "MyBool",
            Field::Time => "MyTime",
            Field::List => "`MyList`",
        }
    }

    /// The one value that a row has, for all but Text and KeywordList.
    fn value(self, row: &Row) -> Option<Value> {
        let number = |number: i64| Value::Number(number as f64);
        match self {
            Field::WorkflowId => Some(Value::Text(row.workflow_id.clone())),
            Field::Status => Some(number(row.status)),
            Field::Start => Some(Value::Time(row.start)),
            Field::Close => row.close.map(Value::Time),
            Field::Duration => row.close.map(|close| number(close - row.start)),
            Field::Keyword => row.keyword.clone().map(Value::Text),
            Field::Int => row.int.map(number),
            Field::Double => row.double.map(Value::Number),
            Field::Flag => row.flag.map(Value::Bool),
            Field::Time => row.time.map(Value::Time),
            Field::Text | Field::List => None,
        }
    }
}

fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.total_cmp(right),
        (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Time(left), Value::Time(right)) => left.cmp(right),
        other => panic!("{other:?} cannot be compared"),
    }
}

fn evaluate(expr: &Expr, row: &Row) -> Option<bool> {
    match expr {
        Expr::Not(inner) => evaluate(inner, row).map(|truth| !truth),
        Expr::And(parts) => {
            let truths: Vec<_> = parts.iter().map(|part| evaluate(part, row)).collect();
            if truths.contains(&Some(false)) {
                Some(false)
            } else if truths.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Expr::Or(parts) => {
            let negated = parts.iter().map(|part| Expr::Not(Box::new(part.clone()))).collect();
            evaluate(&Expr::And(negated), row).map(|truth| !truth)
        }
        Expr::Test(Field::Text, test) => Some(evaluate_text(row, test)),
        Expr::Test(Field::List, test) => Some(evaluate_list(row, test)),
        Expr::Test(field, test) => evaluate_test(field.value(row), test),
    }
}

fn evaluate_test(value: Option<Value>, test: &Test) -> Option<bool> {
    if let Test::Null(negated) = test {
        return Some(value.is_none() != *negated);
    }
    let value = value?;
    Some(match test {
        Test::Compare(operator, other) => {
            let order = order(&value, other);
            match *operator {
                "=" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }
        }
        Test::In(negated, values) => values.iter().any(|other| order(&value, other).is_eq()) != *negated,
        Test::Between(negated, low, high) => (order(&value, low).is_ge() && order(&value, high).is_le()) != *negated,
        Test::StartsWith(negated, prefix) => match value {
            Value::Text(text) => text.starts_with(prefix.as_str()) != *negated,
            other => panic!("{other:?} has no start"),
        },
        Test::Null(_) => return None,
    })
}

fn evaluate_text(row: &Row, test: &Test) -> bool {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        lower
            .split([' ', '.', ',', '-'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let has = words(row.text.as_deref().unwrap_or_default());
    match test {
        Test::Null(negated) => row.text.is_none() != *negated,
        Test::Compare(operator, Value::Text(wanted)) => {
            let matches = |term: &str| {
                let parts = words(term);
                !parts.is_empty() && parts.iter().all(|part| has.contains(part))
            };
            let found = row.text.is_some() && wanted.split(' ').any(matches);
            found == (*operator == "=")
        }
        other => panic!("{other:?} is nothing for Text"),
    }
}

fn evaluate_list(row: &Row, test: &Test) -> bool {
    let has = |value: &Value| matches!(value, Value::Text(text) if row.list.contains(text));
    match test {
        Test::Null(negated) => row.list.is_empty() != *negated,
        Test::Compare(operator, value) => has(value) == (*operator == "="),
        Test::In(negated, values) => values.iter().any(has) != *negated,
        other => panic!("{other:?} is nothing for KeywordList"),
    }
}

fn write_value(field: Field, value: &Value) -> String {
    const STATUSES: [&str; 9] = [
        "'Unspecified'",
        "1",
        "'Completed'",
        "3",
        "'Canceled'",
        "'WORKFLOW_EXECUTION_STATUS_TERMINATED'",
        "6",
        "7",
        "8",
    ];
    match value {
        Value::Number(number) if field == Field::Status => STATUSES[*number as usize].to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) if text.len() % 2 == 0 => {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        }
        Value::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Bool(flag) => flag.to_string(),
        Value::Time(nanos) if nanos % 2 == 0 => nanos.to_string(),
        Value::Time(nanos) => format!("'{}'", rfc3339(*nanos)),
    }
}

fn write(expr: &Expr) -> String {
    let joined = |parts: &[Expr], word: &str| {
        let parts: Vec<_> = parts.iter().map(|part| format!("({})", write(part))).collect();
        parts.join(word)
    };
    match expr {
        Expr::And(parts) => joined(parts, " AND "),
        Expr::Or(parts) => joined(parts, " or "),
        Expr::Not(inner) => format!("NOT ({})", write(inner)),
        Expr::Test(field, test) => {
            let name = field.name();
            let not = |negated: &bool| if *negated { "NOT " } else { "" };
            match test {
                Test::Compare(operator, value) => format!("{name} {operator} {}", write_value(*field, value)),
                Test::In(negated, values) => {
                    let values: Vec<_> = values.iter().map(|value| write_value(*field, value)).collect();
                    format!("{name} {}IN ({})", not(negated), values.join(", "))
                }
                Test::Between(negated, low, high) => format!(
                    "{name} {}BETWEEN {} AND {}",
                    not(negated),
                    write_value(*field, low),
                    write_value(*field, high)
                ),
                Test::StartsWith(negated, prefix) => format!(
                    "{name} {}STARTS_WITH {}",
                    not(negated),
                    write_value(*field, &Value::Text(prefix.clone()))
                ),
                Test::Null(negated) => format!("{name} IS {}NULL", not(negated)),
            }
        }
    }
}

/// Few words, so that values meet; some of them are not nice.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "ab",
        "b",
        "A",
        "it's",
        "x\"y",
        "a%",
        "a_",
        "é",
        "\u{10ffff}",
        "a\\",
        "",
        "'; DROP TABLE runs; --",
    ])
    .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["fox", "Quick", "quick", "foo.bar", "bar", "...", "é,fox"]),
        0..4,
    )
    .prop_map(|words| words.join(" "))
}

fn small() -> impl Strategy<Value = i64> {
    -2..4i64
}

fn row() -> impl Strategy<Value = Row> {
    let system = (word(), 1..8i64, 0..50i64, prop::option::of(50..99i64));
    let custom = (
        prop::option::of(word()),
        prop::option::of(text()),
        prop::option::of(small()),
        prop::option::of(small().prop_map(|n| n as f64 / 2.0)),
        prop::option::of(any::<bool>()),
        prop::option::of(small()),
        prop::collection::vec(word(), 0..3),
    );
    (system, custom).prop_map(|((workflow_id, status, start, close), custom)| Row {
        id: 0,
        workflow_id,
        status,
        start,
        close,
        keyword: custom.0,
        text: custom.1,
        int: custom.2,
        double: custom.3,
        flag: custom.4,
        time: custom.5,
        list: custom.6,
    })
}

fn value(field: Field) -> BoxedStrategy<Value> {
    match field {
        Field::WorkflowId | Field::Keyword | Field::List => word().prop_map(Value::Text).boxed(),
        Field::Text => text()
            .prop_filter("a text query has a word", |text| !text.trim().is_empty())
            .prop_map(Value::Text)
            .boxed(),
        Field::Status => (0..9i64).prop_map(|n| Value::Number(n as f64)).boxed(),
        Field::Duration => (0..99i64).prop_map(|n| Value::Number(n as f64)).boxed(),
        Field::Int => small().prop_map(|n| Value::Number(n as f64)).boxed(),
        Field::Double => small().prop_map(|n| Value::Number(n as f64 / 2.0)).boxed(),
        Field::Flag => any::<bool>().prop_map(Value::Bool).boxed(),
        Field::Start | Field::Close => (0..99i64).prop_map(Value::Time).boxed(),
        Field::Time => small().prop_map(Value::Time).boxed(),
    }
}

fn test() -> impl Strategy<Value = Expr> {
    use Field::*;
    let fields = vec![
        WorkflowId, Status, Start, Close, Duration, Keyword, Text, Int, Double, Flag, Time, List,
    ];
    prop::sample::select(fields).prop_flat_map(|field| {
        let operators: Vec<&'static str> = match field {
            Text | List => vec!["=", "!="],
            _ => vec!["=", "!=", "<", "<=", ">", ">="],
        };
        let mut tests = vec![
            (prop::sample::select(operators), value(field))
                .prop_map(|(o, v)| Test::Compare(o, v))
                .boxed(),
            any::<bool>().prop_map(Test::Null).boxed(),
        ];
        if field != Text {
            let values = prop::collection::vec(value(field), 1..4);
            tests.push((any::<bool>(), values).prop_map(|(n, v)| Test::In(n, v)).boxed());
        }
        if !matches!(field, Text | List | Flag) {
            let bounds = (any::<bool>(), value(field), value(field));
            tests.push(bounds.prop_map(|(n, low, high)| Test::Between(n, low, high)).boxed());
        }
        if matches!(field, WorkflowId | Keyword) {
            tests.push(
                (any::<bool>(), word())
                    .prop_map(|(n, p)| Test::StartsWith(n, p))
                    .boxed(),
            );
        }
        prop::strategy::Union::new(tests).prop_map(move |test| Expr::Test(field, test))
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    test().prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn numbered(mut rows: Vec<Row>) -> Vec<Row> {
    for (row, id) in rows.iter_mut().zip(1..) {
        row.id = id;
    }
    rows
}

fn usual_order(rows: &mut [&Row]) {
    rows.sort_by_key(|row| std::cmp::Reverse((row.close.unwrap_or(i64::MAX), row.start, row.id)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_sql_finds_what_the_query_means(rows in prop::collection::vec(row(), 1..15), exprs in prop::collection::vec(expr(), 1..8)) {
        let rows = numbered(rows);
        let world = World::new(&rows);
        for expr in exprs {
            let query = write(&expr);
            let mut expected: Vec<_> = rows.iter().filter(|row| evaluate(&expr, row) == Some(true)).collect();
            usual_order(&mut expected);
            let expected: Vec<_> = expected.iter().map(|row| row.id).collect();
            prop_assert_eq!(&world.find(&query, 1000), &expected, "{}", query);
            prop_assert_eq!(world.count(&query), [(String::new(), expected.len() as i64)], "{}", query);
        }
    }

    #[test]
    fn pages_join_to_the_whole_list_in_every_order(
        rows in prop::collection::vec(row(), 1..25),
        keys in prop::collection::vec((0..6usize, any::<bool>()), 0..4),
        size in 1..5usize,
    ) {
        const FIELDS: [Field; 6] = [Field::WorkflowId, Field::Close, Field::Keyword, Field::Int, Field::Flag, Field::Duration];
        let rows = numbered(rows);
        let world = World::new(&rows);
        let words: Vec<_> = keys
            .iter()
            .map(|(field, descending)| format!("{} {}", FIELDS[*field].name(), if *descending { "DESC" } else { "ASC" }))
            .collect();
        let mut expected: Vec<_> = rows.iter().collect();
        if keys.is_empty() {
            usual_order(&mut expected);
        } else {
            let last_descending = keys[keys.len() - 1].1;
            expected.sort_by(|left, right| {
                let by_key = |(field, descending): &(usize, bool)| {
                    let (left, right) = (FIELDS[*field].value(left), FIELDS[*field].value(right));
                    let order = match (&left, &right) {
                        (Some(left), Some(right)) => order(left, right),
                        _ => left.is_some().cmp(&right.is_some()),
                    };
                    if *descending { order.reverse() } else { order }
                };
                let by_id = left.id.cmp(&right.id);
                let by_id = if last_descending { by_id.reverse() } else { by_id };
                keys.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(by_id)
            });
        }
        let query = if words.is_empty() { String::new() } else { format!("ORDER BY {}", words.join(", ")) };
        let expected: Vec<_> = expected.iter().map(|row| row.id).collect();
        prop_assert_eq!(world.find(&query, size), expected, "{}", query);
    }

    #[test]
    fn hostile_text_is_answered_and_never_panics(text in "\\PC{0,200}") {
        let _ = World::new(&[]).compile(&text);
    }

    #[test]
    fn hostile_words_are_answered_and_whatever_compiles_runs(words in prop::collection::vec(prop::sample::select(vec![
        "WorkflowId", "MyInt", "MyText", "MyList", "MyBool", "StartTime", "ExecutionStatus", "=", "!=", "<", ">=", "IN", "NOT",
        "BETWEEN", "AND", "OR", "(", ")", "'a'", "\"", "'", "`", "1", "-1.5", "true", "NULL", "IS", ",", "STARTS_WITH",
        "ORDER", "GROUP", "BY", "DESC", "--", "/*", "*/", ";", "'2026-01-01T00:00:00Z'", "'Running'", "\\", "é",
    ]), 0..24), token in prop::collection::vec(any::<u8>(), 0..20)) {
        let world = World::new(&[]);
        let text = words.join(" ");
        if let Ok(query) = world.compile(&text) {
            let _ = query.token(&token);
            prop_assert!(world.find(&text, 10).is_empty());
            world.count(&text);
        }
    }
}
