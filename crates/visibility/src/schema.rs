//! What can be asked of one relation.

use crate::{Attributes, QueryError, ValueType};

/// A relation that can be listed: its table, and the attributes that its rows have.
#[derive(Debug)]
pub struct Relation {
    /// The table.
    pub table: &'static str,
    /// The expression that names a row in the table of attribute values, such as `runs.id`. It is also the last key of
    /// every order, so that orders are total.
    pub owner: &'static str,
    /// The table of attribute values: `owner`, `attribute`, `value`.
    pub values: &'static str,
    /// The attributes that are columns.
    pub attributes: &'static [Attribute],
    /// The order of lists that ask for none.
    pub order: &'static [OrderBy],
}

/// An attribute that is a column, or an expression of columns.
#[derive(Debug)]
pub struct Attribute {
    /// The name under which filters know it.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// An SQL expression without parameters.
    pub column: &'static str,
    /// A condition that says the same as `column IS NULL`, if an index knows it better, and its opposite.
    pub absent: Option<(&'static str, &'static str)>,
    /// Whether counts can be split by it.
    pub groupable: bool,
}

/// What the values of an attribute are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One of the types of search attributes. Columns of type Text are compared like keywords.
    Value(ValueType),
    /// A duration in nanoseconds.
    Duration,
    /// A status, stored as its number.
    Status(&'static [StatusName]),
}

/// A status and its names.
#[derive(Debug, PartialEq, Eq)]
pub struct StatusName {
    /// As in `Running`.
    pub name: &'static str,
    /// As in `WORKFLOW_EXECUTION_STATUS_RUNNING`.
    pub long: &'static str,
    /// As the protocol numbers it.
    pub number: i64,
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// An SQL expression without parameters.
    pub column: std::borrow::Cow<'static, str>,
    /// The greatest first.
    pub descending: bool,
    /// Whether rows may have no value: those come first when ascending, last when descending.
    pub nullable: bool,
}

/// A relation as one namespace sees it.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    pub(crate) relation: &'static Relation,
    pub(crate) attributes: &'a Attributes,
}

/// Where an attribute's values are.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In a column of the relation.
    Column(&'static str),
    /// In the table of values, under this number.
    Rows(i64),
}

/// An attribute that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) absent: Option<(&'static str, &'static str)>,
    pub(crate) groupable: bool,
}

impl<'a> Schema<'a> {
    /// A relation with the custom attributes of a namespace.
    pub fn new(relation: &'static Relation, attributes: &'a Attributes) -> Self {
        Schema { relation, attributes }
    }

    /// Custom attributes come first, then those of the relation, then both with or without the prefix `Temporal`.
    pub(crate) fn find(&self, name: &str) -> Result<Found, QueryError> {
        let other = match name.strip_prefix("Temporal") {
            Some(rest) => rest.to_owned(),
            None => format!("Temporal{name}"),
        };
        let schedule = (name.trim_start_matches("Temporal") == "ScheduleId").then_some("WorkflowId");
        self.exact(name)
            .or_else(|| self.exact(schedule.unwrap_or(&other)))
            .ok_or_else(|| {
                QueryError(format!(
                    "invalid search attribute: {name}. Names are as `ListSearchAttributes` shows them, in the same case"
                ))
            })
    }

    fn exact(&self, name: &str) -> Option<Found> {
        let rows = |value_type: ValueType, number| Found {
            kind: Kind::Value(value_type),
            place: Place::Rows(number),
            absent: None,
            groupable: name == "TemporalNamespaceDivision",
        };
        if let Some(custom) = self.attributes.get(name) {
            return Some(rows(custom.value_type, custom.number));
        }
        let column = self.relation.attributes.iter().find(|attribute| attribute.name == name);
        if let Some(attribute) = column {
            return Some(Found {
                kind: attribute.kind,
                place: Place::Column(attribute.column),
                absent: attribute.absent,
                groupable: attribute.groupable,
            });
        }
        let stored = self.attributes.stored(name)?;
        Some(rows(stored.value_type, stored.number))
    }
}
