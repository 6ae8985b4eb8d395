//! The language by example.

use crate::world::{Row, World};

fn world() -> World {
    let row = |id: i64| Row {
        id,
        workflow_id: format!("p{id}"),
        status: 1,
        start: id,
        ..Row::default()
    };
    World::new(&[
        Row {
            keyword: Some("alpha".to_owned()),
            text: Some("the Quick brown fox".to_owned()),
            int: Some(10),
            list: vec!["a".to_owned(), "b c".to_owned()],
            ..row(1)
        },
        Row {
            status: 2,
            close: Some(3_600_000_000_002),
            keyword: Some("it's".to_owned()),
            text: Some("foo.bar baz".to_owned()),
            int: Some(20),
            ..row(2)
        },
        row(3),
    ])
}

#[test]
fn a_query_without_condition_finds_all_open_ones_first() {
    assert_eq!(world().find("", 10), [3, 1, 2]);
    assert_eq!(world().find("  ", 10), [3, 1, 2]);
}

#[test]
fn every_operator_finds_its_rows() {
    let world = world();
    for (query, found) in [
        ("WorkflowId = 'p1'", vec![1]),
        ("`WorkflowId` <> 'p1' -- a comment", vec![3, 2]),
        ("WorkflowId IN ('p1', \"p2\") /* another */ && MyInt > 5", vec![1, 2]),
        ("MyKeyword = 'it''s'", vec![2]),
        ("MyKeyword = 'it\\'s'", vec![2]),
        ("MyKeyword STARTS_WITH 'al' || MyInt NOT BETWEEN 0 AND 15", vec![1, 2]),
        ("NOT (MyKeyword starts_with 'al')", vec![2]),
        ("MyKeyword IS NULL", vec![3]),
        ("MyText = 'quick zebra'", vec![1]),
        ("MyText = 'bar.foo'", vec![2]),
        ("MyText != 'quick'", vec![3, 2]),
        ("MyText = '...'", vec![]),
        ("MyList = 'b c'", vec![1]),
        ("MyList = 'b'", vec![]),
        ("MyList NOT IN ('a')", vec![3, 2]),
        ("MyInt = 1e1", vec![1]),
        ("MyInt > -1", vec![1, 2]),
        ("MyInt = 99999999999999999999", vec![]),
        ("ExecutionStatus = 'Completed'", vec![2]),
        (
            "ExecutionStatus IN ('WORKFLOW_EXECUTION_STATUS_RUNNING', 7)",
            vec![3, 1],
        ),
        ("CloseTime > '1970-01-01T00:30:00Z'", vec![2]),
        ("ExecutionDuration >= '1h'", vec![2]),
        ("ExecutionDuration > '01:00:00'", vec![]),
        ("TemporalWorkflowId = 'p1'", vec![1]),
        ("ScheduleId = 'p1' OR TemporalScheduleId = 'p2'", vec![1, 2]),
        ("ScheduledById IS NULL and BuildIds is null", vec![3, 1, 2]),
        ("ORDER BY MyInt DESC, StartTime", vec![2, 1, 3]),
        ("MyInt IS NOT NULL order by MyInt asc", vec![1, 2]),
        ("GROUP BY ExecutionStatus", vec![3, 1, 2]),
    ] {
        assert_eq!(world.find(query, 10), found, "{query}");
    }
}

#[test]
fn counts_are_split_by_status() {
    assert_eq!(
        world().count("GROUP BY ExecutionStatus"),
        [("Running".to_owned(), 2), ("Completed".to_owned(), 1)]
    );
    assert_eq!(world().count("MyInt = 10"), [(String::new(), 1)]);
}

#[test]
fn values_are_bound_and_never_part_of_the_sql() {
    let query = world()
        .compile("WorkflowId = 'x''; DROP TABLE runs; --' AND MyInt = 4242 AND MyBool = true")
        .unwrap();
    let statement = query.page("runs.id", &[("namespace", 1.into())], None, 77);
    for word in ["DROP", "4242", "77"] {
        assert!(!statement.sql.contains(word), "{}", statement.sql);
    }
    assert_eq!(query.params[0], "x'; DROP TABLE runs; --".into());
}

#[test]
fn what_cannot_be_done_is_refused_with_what_and_where() {
    let world = world();
    let long_list = format!("WorkflowId IN ({})", vec!["'a'"; 3000].join(","));
    let many_keys = format!("ORDER BY {}", vec!["StartTime"; 20].join(","));
    for (query, words) in [
        ("Unknown = 'x'", "invalid search attribute: Unknown"),
        ("workflowid = 'x'", "same case"),
        ("MyKeyword LIKE 'a%'", "operator 'LIKE'"),
        (
            "MyText STARTS_WITH 'q'",
            "operator 'STARTS_WITH' not supported for Text",
        ),
        ("MyText IN ('q')", "operator 'IN' not supported for Text"),
        ("MyText > 'q'", "operator '>' not supported for Text"),
        ("MyText = '  '", "no tokens found"),
        ("MyList > 'a'", "not supported for KeywordList"),
        ("MyBool BETWEEN false AND true", "cannot do range condition"),
        ("MyBool = 'true'", "without quotes"),
        (
            "MyInt = '10'",
            "invalid value type for search attribute MyInt of type Int",
        ),
        ("MyInt = 0x10", "`0x10` is no number"),
        ("MyKeyword = 3", "write it in quotes"),
        ("MyKeyword = null", "IS NULL"),
        ("MyKeyword IN ()", "syntax error near `)`"),
        ("MyTime = '2026-01-02'", "unable to parse datetime"),
        ("ExecutionStatus = 'running'", "invalid ExecutionStatus value 'running'"),
        ("ExecutionStatus = 77", "one of Running, Completed"),
        ("ExecutionStatus STARTS_WITH 'Run'", "STARTS_WITH"),
        ("ExecutionDuration = 'abc'", "invalid duration value"),
        ("WorkflowId = p1", "did you forget to quote \"p1\"?"),
        ("WorkflowId = concat('p')", "nested func"),
        ("\"WorkflowId\" = 'p1'", "must be a column name"),
        ("WorkflowId", "incomplete expression"),
        ("WorkflowId =", "the query ends at character 13"),
        ("(WorkflowId = 'p1'", "where `)` should be"),
        ("WorkflowId = 'p1')", "near `)` at character 18"),
        ("WorkflowId = 'p1", "the string is not closed"),
        ("WorkflowId = 'p1' §", "unexpected `§` at character 19"),
        ("WorkflowId = 'p1'; DROP TABLE x", "near `;`"),
        ("where WorkflowId = 'p1'", "near `where`"),
        ("WorkflowId IS TRUE", "IS NOT NULL"),
        ("ORDER BY MyText", "unable to sort by search attribute type Text"),
        ("ORDER BY StartTime LIMIT 1", "'LIMIT' clause"),
        (
            "GROUP BY WorkflowType",
            "'GROUP BY' clause is not supported for search attribute WorkflowType",
        ),
        ("GROUP BY ExecutionStatus, WorkflowType", "only a single field"),
        (long_list.as_str(), "more than 2000"),
        (many_keys.as_str(), "more than 16"),
        (&"(".repeat(60_000), "nested deeper"),
        (&"NOT ".repeat(15_000), "nested deeper"),
        (&"x".repeat(70_000), "bytes"),
    ] {
        let error = world.compile(query).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid query: ") && error.contains(words),
            "{query:.80}: {error}"
        );
    }
}

#[test]
fn a_query_with_as_many_terms_as_are_allowed_runs() {
    let query = vec!["WorkflowId = 'p1'"; 900].join(" OR ");
    assert_eq!(world().find(&query, 10), [1]);
    let deep = format!("{}MyInt = 10{}", "(".repeat(99), ")".repeat(99));
    assert_eq!(world().find(&deep, 10), [1]);
}

#[test]
fn a_forged_page_token_is_refused() {
    let world = world();
    let query = world.compile("").unwrap();
    assert!(query.token(b"xyz").is_err());
    let other = world.compile("ORDER BY MyInt, MyBool, StartTime, RunId").unwrap();
    let token = helve_visibility::PageToken::after(vec![1.into(); 3]).encode();
    assert!(query.token(&token).is_ok());
    assert!(other.token(&token).is_err());
}
