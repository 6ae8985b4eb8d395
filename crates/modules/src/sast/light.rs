//! The light twin of a rule: the same rule with trivial regular expressions.
//!
//! It compiles in microseconds and tells all that is wrong with a rule, except in its regular expressions: those are
//! parsed here, without compiling them.

use std::collections::HashMap;

use ast_grep_config::{SerializableRule, SerializableRuleCore};

/// Makes the twin, or says which regular expression is wrong.
pub(super) fn core(core: &SerializableRuleCore) -> Result<SerializableRuleCore, String> {
    let map = |rules: &Option<HashMap<String, SerializableRule>>| -> Result<Option<HashMap<_, _>>, String> {
        let twins = |rules: &HashMap<String, SerializableRule>| {
            rules
                .iter()
                .map(|(name, rule)| Ok((name.clone(), twin(rule.clone())?)))
                .collect()
        };
        rules.as_ref().map(twins).transpose()
    };
    Ok(SerializableRuleCore {
        rule: twin(core.rule.clone())?,
        constraints: map(&core.constraints)?,
        utils: map(&core.utils)?,
        transform: None,
    })
}

/// Relations cannot be named from here, only taken apart; `unwrap` is their own and is guarded.
macro_rules! relation {
    ($rule:ident, $($field:ident),*) => {
        $(if $rule.$field.is_present() {
            let mut relation = $rule.$field.unwrap();
            relation.rule = twin(relation.rule)?;
            $rule.$field = Some(relation).into();
        })*
    };
}

/// Replaces every regular expression of the rule and of the rules within.
fn twin(mut rule: SerializableRule) -> Result<SerializableRule, String> {
    if let Some(text) = Option::<String>::from(rule.regex) {
        regex_syntax::parse(&text).map_err(|error| describe(&text, &error))?;
        rule.regex = Some("x".to_owned()).into();
    } else {
        rule.regex = None.into();
    }
    relation!(rule, inside, has, precedes, follows);
    if let Some(inner) = Option::<Box<SerializableRule>>::from(rule.not) {
        rule.not = Some(Box::new(twin(*inner)?)).into();
    } else {
        rule.not = None.into();
    }
    let all = Option::<Vec<SerializableRule>>::from(rule.all).map(twins).transpose()?;
    rule.all = all.into();
    let any = Option::<Vec<SerializableRule>>::from(rule.any).map(twins).transpose()?;
    rule.any = any.into();
    Ok(rule)
}

fn twins(rules: Vec<SerializableRule>) -> Result<Vec<SerializableRule>, String> {
    rules.into_iter().map(twin).collect()
}

fn describe(text: &str, error: &regex_syntax::Error) -> String {
    let reason = error.to_string();
    let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("regular expression `{text}`: {reason}")
}
