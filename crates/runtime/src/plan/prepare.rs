//! What a step is given when its turn comes: its condition decided, its items and configuration rendered.

use helve_toolbox::Step;
use helve_toolbox::template::{self, Scope};
use serde_json::Value;

use super::step::Item;

/// The items of a step with their configuration; None when its condition is false.
pub(crate) fn prepare(step: &Step, scope: &Scope) -> Result<Option<Vec<Item>>, String> {
    if let Some(condition) = &step.condition {
        let holds =
            template::condition(condition, scope).map_err(|e| format!("its condition cannot be decided: {e}"))?;
        if !holds {
            return Ok(None);
        }
    }
    let config = |scope: &Scope| {
        let rendered = template::render(&Value::Object(step.with.clone()), scope);
        rendered
            .map(without_nulls)
            .map_err(|e| format!("its configuration cannot be made: {e}"))
    };
    let Some(fan_out) = &step.for_each else {
        return Ok(Some(vec![Item::Waiting { config: config(scope)? }]));
    };
    let items = template::render(&fan_out.items, scope).map_err(|e| format!("its items cannot be made: {e}"))?;
    let Value::Array(items) = items else {
        return Err(format!("the items of `for_each` are not a list but {items}"));
    };
    if items.len() > fan_out.max_items as usize {
        return Err(format!(
            "`for_each` got {} items, `max_items` is {}",
            items.len(),
            fan_out.max_items
        ));
    }
    let mut scope = scope.clone();
    items
        .into_iter()
        .map(|item| {
            scope.set(&fan_out.variable, item);
            Ok(Item::Waiting {
                config: config(&scope)?,
            })
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

// A parameter that was not given is null; the module's own default is better than null.
fn without_nulls(mut config: Value) -> Value {
    if let Value::Object(map) = &mut config {
        map.retain(|_, value| !value.is_null());
    }
    config
}
