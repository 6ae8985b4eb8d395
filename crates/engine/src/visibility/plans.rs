//! How SQLite goes about lists and counts: by index, and in the order of the index where the list has it.

use helve_db::rusqlite::{Connection, params_from_iter};
use helve_visibility::{
    Attributes, Definition, PageToken, Param, Query, Relation, Schema, Statement, ValueType, activities, workflows,
};

use crate::storage::{MIGRATIONS, value};

const SCOPE: &[(&str, Param)] = &[("namespace", Param::Integer(1)), ("kind", Param::Integer(0))];

fn plan(db: &Connection, statement: Statement) -> String {
    let mut query = db.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql)).unwrap();
    let steps = query
        .query_map(params_from_iter(statement.params.into_iter().map(value)), |row| {
            row.get(3)
        })
        .unwrap();
    steps.collect::<Result<Vec<String>, _>>().unwrap().join("; ")
}

fn database() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    for script in MIGRATIONS {
        db.execute_batch(script).unwrap();
    }
    db
}

fn compile(query: &str) -> Query {
    compile_for(&workflows::RELATION, query)
}

fn compile_for(relation: &'static Relation, query: &str) -> Query {
    let color = Definition {
        number: 1,
        value_type: ValueType::Keyword,
    };
    let attributes: Attributes = [("Color".to_owned(), color)].into_iter().collect();
    Query::compile(query, &Schema::new(relation, &attributes)).unwrap()
}

#[test]
fn lists_go_by_an_index_and_in_its_order() {
    let db = database();
    for (query, index, sorts) in [
        ("", "runs_by_order (namespace=? AND kind=?)", false),
        (
            "ExecutionStatus = 'Running'",
            "runs_by_status (namespace=? AND kind=? AND status=?)",
            false,
        ),
        (
            "WorkflowType = 'T'",
            "runs_by_type (namespace=? AND kind=? AND type=?)",
            false,
        ),
        (
            "CloseTime IS NULL",
            "runs_by_order (namespace=? AND kind=? AND list_order=?)",
            false,
        ),
        (
            "CloseTime IS NOT NULL",
            "runs_by_order (namespace=? AND kind=? AND list_order<?)",
            false,
        ),
        // Few rows, which are sorted.
        (
            "WorkflowId = 'w'",
            "runs_by_id (namespace=? AND kind=? AND workflow_id=?)",
            true,
        ),
        (
            "WorkflowId STARTS_WITH 'w'",
            "runs_by_id (namespace=? AND kind=? AND workflow_id>?",
            true,
        ),
        (
            "ParentWorkflowId = 'p'",
            "runs_by_parent (namespace=? AND parent_workflow_id=?)",
            true,
        ),
        (
            "Color = 'red'",
            "search_attribute_values_by_value (attribute=? AND value=?)",
            true,
        ),
    ] {
        let plan = plan(&db, compile(query).page("runs.id", SCOPE, None, 100));
        assert!(plan.contains(index), "{query}: {plan}");
        assert_eq!(plan.contains("TEMP B-TREE"), sorts, "{query}: {plan}");
    }
}

#[test]
fn lists_of_standalone_activities_go_by_an_index_and_in_its_order() {
    let db = database();
    let scope = [("namespace", Param::Integer(1)), ("kind", Param::Integer(1))];
    for (query, index) in [
        ("", "runs_by_order (namespace=? AND kind=?)"),
        (
            "CloseTime IS NULL",
            "runs_by_order (namespace=? AND kind=? AND list_order=?)",
        ),
        (
            "CloseTime IS NOT NULL",
            "runs_by_order (namespace=? AND kind=? AND list_order<?)",
        ),
        (
            "ExecutionStatus = 'Running'",
            "runs_by_status (namespace=? AND kind=? AND status=?)",
        ),
        ("ActivityType = 'T'", "runs_by_type (namespace=? AND kind=? AND type=?)"),
    ] {
        let plan = plan(
            &db,
            compile_for(&activities::RELATION, query).page("runs.id", &scope, None, 100),
        );
        assert!(plan.contains(index), "{query}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{query}: {plan}");
    }
}

#[test]
fn the_next_page_begins_at_its_place_in_the_index() {
    let token = PageToken::after(vec![7.into(), 7.into(), 7.into()]);
    let plan = plan(&database(), compile("").page("runs.id", SCOPE, Some(&token), 100));
    assert!(
        plan.contains("runs_by_order (namespace=? AND kind=? AND (list_order,start_time)<(?,?))"),
        "{plan}"
    );
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn counts_read_an_index_only() {
    let db = database();
    for query in [
        "",
        "ExecutionStatus = 'Completed'",
        "GROUP BY ExecutionStatus",
        "WorkflowType = 'T'",
    ] {
        let plan = plan(&db, compile(query).count(SCOPE));
        assert!(plan.contains("USING COVERING INDEX"), "{query}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{query}: {plan}");
    }
}
