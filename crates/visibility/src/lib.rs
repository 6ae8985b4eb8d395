//! Finding executions: the list-filter language, search attributes and their types, compiled to SQL with bound parameters.
