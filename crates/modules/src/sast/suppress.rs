//! Inline ignores: comments with which authors accept a finding.
//!
//! `helve:ignore` silences every rule, `helve:ignore sast/<rule>` only the named ones. The marks of other scanners
//! (`nosec`, `nosemgrep`, `NOSONAR`, `nolint:gosec`) silence all. A comment holds for its own line, or for the next
//! line of code if it stands alone.

use super::text::Lines;

const OWN: &str = "helve:ignore";
const FOREIGN: &[&str] = &["nosec", "nosemgrep", "NOSONAR", "nolint:gosec"];

/// Whether a comment silences `rule` for a match that covers these 1-based lines.
pub(super) fn is_suppressed(lines: &Lines<'_>, first: usize, last: usize, rule: &str) -> bool {
    if silences(lines.line(first), rule) || (last != first && silences(lines.line(last), rule)) {
        return true;
    }
    let mut above = first;
    while above > 1 && first - above < 4 {
        above -= 1;
        let line = lines.line(above);
        if !is_comment_only(line) {
            return false;
        }
        if silences(line, rule) {
            return true;
        }
    }
    false
}

fn is_comment_only(line: &str) -> bool {
    let line = line.trim();
    ["//", "#", "/*", "*", "{/*", "<!--"]
        .iter()
        .any(|mark| line.starts_with(mark))
        && !line.starts_with("#include")
        && !line.starts_with("#define")
}

fn silences(line: &str, rule: &str) -> bool {
    let Some(comment) = comment_of(line) else { return false };
    if let Some(at) = comment.find(OWN) {
        return own_mark_holds(&comment[at + OWN.len()..], rule);
    }
    FOREIGN.iter().any(|mark| has_word(comment, mark))
}

/// `helve:ignore` with nothing behind it, with another module's rules, or with ours.
fn own_mark_holds(rest: &str, rule: &str) -> bool {
    let rest = rest.trim_start_matches(':');
    let ids: Vec<&str> = rest
        .split(|c: char| c.is_whitespace() || c == ',')
        .take_while(|word| word.is_empty() || is_rule_name(word))
        .filter(|word| !word.is_empty())
        .collect();
    let bare = rule.strip_prefix("sast/").unwrap_or(rule);
    ids.is_empty() || ids.iter().any(|id| *id == rule || *id == "sast" || *id == bare)
}

/// A rule name has a slash or a dash; prose behind the mark ("reviewed by ...") rarely begins with one.
fn is_rule_name(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c));
    plain && (matches!(word, "sast" | "secrets") || word.trim_matches('-').contains(['/', '-']))
}

fn comment_of(line: &str) -> Option<&str> {
    let marks = ["//", "#", "/*", "<!--"];
    let at = marks.iter().filter_map(|mark| line.find(mark)).min();
    match at {
        Some(at) => Some(&line[at..]),
        None => line.trim_start().starts_with('*').then_some(line),
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        edge(before) && edge(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silenced(text: &str, line: usize) -> bool {
        is_suppressed(&Lines::new(text), line, line, "sast/python-eval")
    }

    #[test]
    fn a_mark_holds_for_its_line_or_for_the_line_below() {
        assert!(silenced("eval(x)  # helve:ignore", 1));
        assert!(silenced(
            "# helve:ignore sast/python-eval reviewed in March\neval(x)",
            2
        ));
        assert!(!silenced("y = 1  # helve:ignore\neval(x)", 2));
    }

    #[test]
    fn a_mark_that_names_rules_holds_for_those_only() {
        assert!(silenced("eval(x) // helve:ignore sast/other, sast/python-eval", 1));
        assert!(!silenced("eval(x) // helve:ignore sast/other", 1));
        assert!(!silenced("eval(x) // helve:ignore secrets/generic", 1));
    }

    #[test]
    fn marks_of_other_scanners_are_honoured_in_comments_only() {
        assert!(silenced("eval(x)  # nosec B307", 1));
        assert!(silenced("eval(x); // nosemgrep: some.rule", 1));
        assert!(!silenced("eval('nosec')", 1));
        assert!(!silenced("eval(x)  # diagnosecheck", 1));
    }
}
