//! Finding executions: the list-filter language, search attributes and their types, compiled to SQL with bound parameters.
//!
//! Pure: text in, SQL out. A [`Schema`] says which attributes one relation has and where their values are; a [`Query`] is
//! a filter compiled for it. Nothing that a client wrote becomes part of the SQL: names are looked up, values are bound.
//!
//! ```
//! use helve_visibility::{Attributes, Query, Schema, workflows};
//!
//! let attributes = Attributes::default();
//! let schema = Schema::new(&workflows::RELATION, &attributes);
//! let query = Query::compile("WorkflowType = 'scan' AND CloseTime IS NULL ORDER BY StartTime", &schema).unwrap();
//! let page = query.page("id", &[("namespace", 1.into())], None, 10);
//! assert!(page.sql.contains("runs.type = ?1"));
//! ```
//!
//! | file | what it owns |
//! | --- | --- |
//! | `lex`, `parse` | the language: text to a tree of bounded depth and size |
//! | `literal`, `duration` | values in a filter, by the type of their attribute |
//! | `compile` | the tree to a condition |
//! | `filter` | the tree on values in memory |
//! | `page` | the condition to lists, pages and counts |
//! | `schema`, `workflows`, `activities`, `schedules` | what a relation has |
//! | `attributes`, `value` | search attributes: types, checks, the rows they are indexed by |
//!
//! # Meaning
//!
//! A comparison with an attribute that has no value is never true, negated or not; `!=` and `NOT IN` of Text and
//! KeywordList are true for those without one. Keywords compare by their bytes. Text matches when it has one of the words,
//! whatever their case; a KeywordList when it has one of the elements. All as on Temporal, with its SQL store's syntax.

pub mod activities;
mod attributes;
mod compile;
mod duration;
mod error;
mod filter;
mod lex;
mod literal;
mod page;
mod parse;
pub mod schedules;
mod schema;
mod value;
pub mod workflows;

pub use attributes::{Attributes, Definition, MAX_CUSTOM_ATTRIBUTES, set_type};
pub use compile::{Group, Query};
pub use error::QueryError;
pub use filter::{FieldKind, FieldValue, Filter};
pub use page::{PageToken, Statement};
pub use schema::{Attribute, Kind, OrderBy, Place, Relation, Schema, StatusName};
pub use value::{Param, ValueType};
