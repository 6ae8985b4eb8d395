//! Who of the provider's users comes in, as what, and where.

use std::collections::BTreeMap;

use helve_ledger::{Names, Role, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Rules from a file of YAML: the first one that fits counts, and whom none fits stays outside.
#[derive(Debug, Clone)]
pub struct OidcMap(Vec<Rule>);

/// A map that makes no sense, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMap(String);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Claims, and what they must be or hold. All must fit.
    when: BTreeMap<String, Value>,
    role: Role,
    namespaces: Namespaces,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Namespaces {
    Some(Vec<String>),
    Word(String),
}

impl OidcMap {
    /// Reads the rules.
    ///
    /// # Errors
    ///
    /// When it is no list of rules, or a rule would let in more than it says.
    pub fn read(text: &str) -> Result<Self, InvalidMap> {
        let rules: Vec<Rule> = serde_saphyr::from_str(text).map_err(|error| InvalidMap(error.to_string()))?;
        if rules.is_empty() {
            return Err(InvalidMap("it has no rules, so nobody could sign in".to_owned()));
        }
        for (no, rule) in rules.iter().enumerate() {
            rule.check()
                .map_err(|why| InvalidMap(format!("rule {}: {why}", no + 1)))?;
        }
        Ok(Self(rules))
    }

    /// What somebody with these claims may do, and where.
    pub(super) fn grant(&self, claims: &Map<String, Value>) -> Option<(Role, Scope)> {
        let rule = self.0.iter().find(|rule| rule.fits(claims))?;
        let namespaces = match &rule.namespaces {
            Namespaces::Word(_) => Names::All,
            Namespaces::Some(names) => Names::only(names.iter().cloned()),
        };
        Some((
            rule.role,
            Scope {
                namespaces,
                queues: Names::All,
            },
        ))
    }
}

impl Rule {
    fn check(&self) -> Result<(), &'static str> {
        if self.when.is_empty() {
            return Err("`when` names no claim: write `when: {sub: \"*\"}` if everybody with an account is meant");
        }
        if self.role == Role::Worker {
            return Err("`worker` is for programs: people are viewer, analyst, operator or admin");
        }
        match &self.namespaces {
            Namespaces::Word(word) if word != "all" => return Err("`namespaces` is `all` or a list of names"),
            Namespaces::Some(names) if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) => {
                return Err("`namespaces` is `all` or a list of names");
            }
            _ => {}
        }
        let is_plain = |value: &Value| !value.is_object() && !value.is_null();
        let all_plain = self.when.values().all(|wanted| match wanted {
            Value::Array(any) => !any.is_empty() && any.iter().all(|one| is_plain(one) && !one.is_array()),
            one => is_plain(one),
        });
        match all_plain {
            true => Ok(()),
            false => Err("a claim is compared with a text, a number, true or false, or a list of those"),
        }
    }

    fn fits(&self, claims: &Map<String, Value>) -> bool {
        // An address that the provider did not verify could be anybody's.
        if self.when.contains_key("email") && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return false;
        }
        self.when.iter().all(|(name, wanted)| {
            let found = claim(claims, name);
            found.is_some_and(|found| match wanted {
                Value::Array(any) => any.iter().any(|one| holds(found, one)),
                one => holds(found, one),
            })
        })
    }
}

/// A claim by its name, or by its path such as `realm_access.roles`.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

/// Whether a claim is, or as a list holds, what is wanted.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(all), wanted) => all.iter().any(|one| !one.is_array() && holds(one, wanted)),
        (Value::String(text), Value::String(pattern)) => is_like(text, pattern),
        (found, wanted) => found == wanted,
    }
}

/// Letter by letter, but for one `*` at the beginning or at the end.
fn is_like(text: &str, pattern: &str) -> bool {
    if let Some(end) = pattern.strip_prefix('*') {
        // What stands for the rest is not empty.
        return text.len() > end.len() && text.ends_with(end);
    }
    match pattern.strip_suffix('*') {
        Some(start) => text.len() > start.len() && text.starts_with(start),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MAP: &str = r#"
- when: {groups: [security-admins, root]}
  role: admin
  namespaces: all
- when: {groups: developers, mfa: true}
  role: analyst
  namespaces: [team-a, team-b]
- when: {realm_access.roles: auditor}
  role: operator
  namespaces: [team-a]
- when: {email: "*@example.org"}
  role: viewer
  namespaces: [shop]
"#;

    fn role(claims: Value) -> Option<Role> {
        let map = OidcMap::read(MAP).unwrap();
        map.grant(claims.as_object().unwrap()).map(|(role, _)| role)
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_whom_none_fits_stays_outside() {
        for (claims, wanted) in [
            (json!({"groups": ["x", "root", "developers"]}), Some(Role::Admin)),
            (json!({"groups": "security-admins"}), Some(Role::Admin)),
            (json!({"groups": ["developers"], "mfa": true}), Some(Role::Analyst)),
            (json!({"groups": ["developers"], "mfa": "true"}), None),
            (json!({"groups": ["developers"]}), None),
            (json!({"groups": ["developers2"], "mfa": true}), None),
            (json!({"groups": [["developers"]], "mfa": true}), None),
            (json!({"realm_access": {"roles": ["auditor"]}}), Some(Role::Operator)),
            (
                json!({"email": "a@example.org", "email_verified": true}),
                Some(Role::Viewer),
            ),
            (json!({"email": "a@example.org", "email_verified": false}), None),
            (json!({"email": "a@example.org", "email_verified": "true"}), None),
            (json!({"email": "a@example.org"}), None),
            (
                json!({"email": "a@example.org.evil.example", "email_verified": true}),
                None,
            ),
            (json!({"email": "@example.org", "email_verified": true}), None),
            (json!({}), None),
        ] {
            assert_eq!(role(claims.clone()), wanted, "{claims}");
        }
    }

    #[test]
    fn a_rule_is_good_in_its_namespaces_only() {
        let map = OidcMap::read(MAP).unwrap();
        let claims = json!({"groups": ["developers"], "mfa": true});
        let (_, scope) = map.grant(claims.as_object().unwrap()).unwrap();
        assert_eq!(scope, Scope::namespaces(["team-a", "team-b"]));
        let (_, scope) = map.grant(json!({"groups": "root"}).as_object().unwrap()).unwrap();
        assert_eq!(scope, Scope::all());
    }

    #[test]
    fn a_map_that_would_let_in_more_than_it_says_is_refused() {
        for (text, says) in [
            ("[]", "no rules"),
            ("- {when: {}, role: viewer, namespaces: all}", "rule 1"),
            ("- {when: {sub: a}, role: worker, namespaces: all}", "for programs"),
            ("- {when: {sub: a}, role: viewer}", "namespaces"),
            ("- {when: {sub: a}, role: viewer, namespaces: some}", "`all` or a list"),
            ("- {when: {sub: a}, role: viewer, namespaces: []}", "`all` or a list"),
            ("- {when: {sub: a}, role: boss, namespaces: all}", "boss"),
            ("- {when: {sub: [[a]]}, role: viewer, namespaces: all}", "compared with"),
            (
                "- {when: {sub: a}, unless: {sub: b}, role: viewer, namespaces: all}",
                "unless",
            ),
            ("{", ""),
        ] {
            let error = OidcMap::read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
