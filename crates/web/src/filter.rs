//! What a list of findings shows: read from a query, written as a query.

use crate::routes;
use crate::words::{Order, Presence, Severity, Triage};

/// What a list of findings shows. Empty lists and texts mean all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingFilter {
    /// Words to look for.
    pub text: String,
    /// Of these severities.
    pub severities: Vec<Severity>,
    /// Decided so.
    pub triage: Vec<Triage>,
    /// New, still there, reopened or gone.
    pub presence: Vec<Presence>,
    /// Of the target of this name.
    pub target: String,
    /// Of this rule.
    pub rule: String,
    /// Reported by this module.
    pub module: String,
    /// Owned by this team or person.
    pub owner: String,
    /// In this order.
    pub order: Order,
}

impl Default for FindingFilter {
    fn default() -> Self {
        Self {
            text: String::new(),
            severities: Vec::new(),
            triage: Vec::new(),
            presence: Vec::new(),
            target: String::new(),
            rule: String::new(),
            module: String::new(),
            owner: String::new(),
            order: Order::Severity,
        }
    }
}

impl FindingFilter {
    /// Reads the pairs of a query. What is unknown or empty is left out: an old bookmark still shows a list.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut filter = Self::default();
        for (name, value) in pairs {
            let value = value.trim();
            match name {
                "q" => filter.text = value.to_owned(),
                "severity" => add(&mut filter.severities, Severity::from_name(value)),
                "triage" => add(&mut filter.triage, Triage::from_name(value)),
                "presence" => add(&mut filter.presence, Presence::from_name(value)),
                "target" => filter.target = value.to_owned(),
                "rule" => filter.rule = value.to_owned(),
                "module" => filter.module = value.to_owned(),
                "owner" => filter.owner = value.to_owned(),
                "order" => filter.order = Order::from_name(value).unwrap_or(Order::Severity),
                _ => {}
            }
        }
        filter
    }

    /// The pairs of a query that [`FindingFilter::from_pairs`] reads as this filter.
    pub fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = vec![("q", self.text.as_str())];
        pairs.extend(self.severities.iter().map(|one| ("severity", one.name())));
        pairs.extend(self.triage.iter().map(|one| ("triage", one.name())));
        pairs.extend(self.presence.iter().map(|one| ("presence", one.name())));
        pairs.extend([
            ("target", self.target.as_str()),
            ("rule", &self.rule),
            ("module", &self.module),
            ("owner", &self.owner),
        ]);
        if self.order != Order::Severity {
            pairs.push(("order", self.order.name()));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        pairs
    }

    /// The same question to the API, whose lists stand in one value with commas.
    pub(crate) fn api_pairs(&self) -> Vec<(&'static str, String)> {
        let joined = |names: Vec<&'static str>| names.join(",");
        let status = |presence: &Presence| match presence {
            Presence::New => "new",
            Presence::Present => "still_there",
            Presence::Reopened => "reopened",
            Presence::Fixed => "fixed",
        };
        vec![
            ("q", self.text.clone()),
            (
                "severity",
                joined(self.severities.iter().map(|one| one.name()).collect()),
            ),
            ("triage", joined(self.triage.iter().map(|one| one.name()).collect())),
            ("status", joined(self.presence.iter().map(status).collect())),
            ("target", self.target.clone()),
            ("rule", self.rule.clone()),
            ("module", self.module.clone()),
            ("owner", self.owner.clone()),
        ]
    }

    /// The address of the list.
    pub fn href(&self) -> String {
        routes::with_query(routes::pages::FINDINGS, self.pairs())
    }

    /// Whether it leaves nothing out.
    pub fn shows_all(&self) -> bool {
        Self {
            order: Order::Severity,
            ..self.clone()
        } == Self::default()
    }

    /// Those that still need somebody.
    pub fn to_do() -> Self {
        Self {
            triage: vec![Triage::Open, Triage::Confirmed],
            presence: vec![Presence::New, Presence::Present, Presence::Reopened],
            ..Self::default()
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, one: Option<T>) {
    if let Some(one) = one.filter(|one| !list.contains(one)) {
        list.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_own_query() {
        let filter = FindingFilter {
            text: "a & b".into(),
            severities: vec![Severity::Critical, Severity::Note],
            owner: "@team/payments".into(),
            order: Order::Newest,
            ..FindingFilter::to_do()
        };
        assert_eq!(FindingFilter::from_pairs(filter.pairs()), filter);
        assert!(filter.href().contains("q=a%20%26%20b"));
        assert!(!filter.shows_all());
    }

    #[test]
    fn an_unknown_word_in_a_query_hides_nothing() {
        let filter = FindingFilter::from_pairs([("severity", "urgent"), ("page", "7"), ("q", "  ")]);
        assert!(filter.shows_all());
    }
}
