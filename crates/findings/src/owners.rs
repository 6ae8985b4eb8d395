//! CODEOWNERS: who answers for a file.
//!
//! GitHub's meaning: the last pattern that holds for a path decides, and one without owners says that nobody does. GitLab's
//! sections (`[Name]`, `^[Name]`, `[Name][2] @default`) are understood, too: each section decides for itself, and all of
//! their owners count.

use crate::pattern::PathPattern;
use crate::{Notification, NotificationLevel};

/// A CODEOWNERS file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeOwners {
    sections: Vec<Section>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Section {
    name: String,
    default: Vec<String>,
    rules: Vec<(PathPattern, Vec<String>)>,
}

impl CodeOwners {
    /// Where the file is looked for; the first that is there counts.
    pub const PLACES: [&str; 4] = [
        ".github/CODEOWNERS",
        "CODEOWNERS",
        "docs/CODEOWNERS",
        ".gitlab/CODEOWNERS",
    ];

    /// Reads a file. A line that cannot be understood is left out and told, with `path` as its place.
    pub fn parse(path: &str, text: &str) -> (Self, Vec<Notification>) {
        let mut sections = vec![Section::default()];
        let mut notices = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let told = read_line(line, &mut sections);
            notices.extend(told.err().map(|(column, message)| Notification {
                level: NotificationLevel::Note,
                message: format!(
                    "line {}, column {column}: {message}; the line has no effect",
                    number + 1
                ),
                path: Some(path.to_owned()),
            }));
        }
        (CodeOwners { sections }, notices)
    }

    /// The owners of a file, in the order of the file, none twice.
    pub fn of(&self, path: &str) -> Vec<String> {
        let mut owners: Vec<String> = Vec::new();
        for section in &self.sections {
            let rule = section.rules.iter().rev().find(|(pattern, _)| pattern.matches(path));
            for owner in rule.iter().flat_map(|(_, owners)| owners) {
                if !owners.contains(owner) {
                    owners.push(owner.clone());
                }
            }
        }
        owners
    }
}

/// A problem with its column.
type Wrong = (usize, String);

fn read_line(line: &str, sections: &mut Vec<Section>) -> Result<(), Wrong> {
    let words = words(line);
    let Some((_, first)) = words.first() else { return Ok(()) };
    if let Some(head) = section_head(line) {
        let (name, rest) = head;
        let behind = line[..line.len() - rest.len()].chars().count();
        let default: Vec<(usize, String)> = words.iter().filter(|(column, _)| *column > behind).cloned().collect();
        let default = owners(&default)?;
        // Sections of one name are one, whatever their case. Lines belong to the last in the list.
        let known = sections
            .iter()
            .position(|section| section.name.eq_ignore_ascii_case(name));
        let mut section = known.map(|at| sections.remove(at)).unwrap_or_default();
        name.clone_into(&mut section.name);
        section.default.extend(default);
        sections.push(section);
        return Ok(());
    }
    if first.contains('[') {
        return Err((
            words[0].0,
            format!("`{first}` has a range of characters, which CODEOWNERS do not know"),
        ));
    }
    let pattern = PathPattern::parse(first).map_err(|reason| (words[0].0, reason))?;
    let mut owners = owners(&words[1..])?;
    if let Some(section) = sections.last_mut() {
        if owners.is_empty() {
            owners.clone_from(&section.default);
        }
        section.rules.push((pattern, owners));
    }
    Ok(())
}

fn owners(words: &[(usize, String)]) -> Result<Vec<String>, Wrong> {
    words
        .iter()
        .map(|(column, word)| {
            let is_owner = word.len() > 1 && word.contains('@') && !word.ends_with('@');
            match is_owner {
                true => Ok(word.clone()),
                false => Err((
                    *column,
                    format!("`{word}` is no owner: write @user, @organisation/team or an address"),
                )),
            }
        })
        .collect()
}

/// The name of a section and what stands behind it on the line.
fn section_head(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let body = line.strip_prefix('^').unwrap_or(line).strip_prefix('[')?;
    let (name, mut rest) = body.split_once(']')?;
    // How many of them must approve does not matter here.
    if let Some((count, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && count.bytes().all(|byte| byte.is_ascii_digit())
    {
        rest = after;
    }
    let is_name = !name.trim().is_empty() && (rest.is_empty() || rest.starts_with([' ', '\t']));
    is_name.then_some((name.trim(), rest))
}

/// The words up to a comment, with their columns from 1. A backslash keeps a space within a word.
fn words(line: &str) -> Vec<(usize, String)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut chars = line.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '#' if word.is_none() => break,
            c if c.is_whitespace() => words.extend(word.take()),
            c => {
                let (_, text) = word.get_or_insert((at + 1, String::new()));
                match (c, chars.peek()) {
                    ('\\', Some((_, ' '))) => {
                        text.push(' ');
                        chars.next();
                    }
                    _ => text.push(c),
                }
            }
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners_of(text: &str, path: &str) -> Vec<String> {
        let (owners, notices) = CodeOwners::parse("CODEOWNERS", text);
        assert!(notices.is_empty(), "{notices:?}");
        owners.of(path)
    }

    #[test]
    fn the_last_pattern_that_holds_decides() {
        let text =
            "# everybody\n*  @everybody\n*.js @js # scripts\n/docs/ docs@example.org @org/writers\n/docs/legal\n";
        assert_eq!(owners_of(text, "a.py"), ["@everybody"]);
        assert_eq!(owners_of(text, "src/a.js"), ["@js"]);
        assert_eq!(owners_of(text, "docs/a.js"), ["docs@example.org", "@org/writers"]);
        assert!(owners_of(text, "docs/legal/a.md").is_empty(), "nobody, on purpose");
    }

    #[test]
    fn a_path_may_have_spaces() {
        assert_eq!(owners_of("a\\ b/ @x", "a b/c"), ["@x"]);
    }

    #[test]
    fn each_section_of_gitlab_decides_for_itself() {
        let text = "* @all\n[Backend][2] @back\n*.rs\n^[Security] @sec\n/src/auth/ @auth\n*.pem\n[backend]\n*.go @go\n";
        assert_eq!(owners_of(text, "src/auth/a.rs"), ["@all", "@auth", "@back"]);
        assert_eq!(owners_of(text, "key.pem"), ["@all", "@sec"]);
        assert_eq!(owners_of(text, "a.go"), ["@all", "@go"]);
    }

    #[test]
    fn a_line_that_cannot_be_understood_is_told_with_its_place_and_has_no_effect() {
        let text = "* @all\n!a @x\n*.rs somebody\n[a-z].c @x\n";
        let (owners, notices) = CodeOwners::parse(".github/CODEOWNERS", text);
        let told: Vec<&str> = notices.iter().map(|notice| notice.message.as_str()).collect();
        assert_eq!(notices.len(), 3);
        assert!(
            told[0].starts_with("line 2, column 1: a pattern cannot begin with `!`"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("line 3, column 6: `somebody` is no owner"),
            "{told:?}"
        );
        assert!(
            told[2].starts_with("line 4, column 1: `[a-z].c` has a range"),
            "{told:?}"
        );
        assert_eq!(notices[0].path.as_deref(), Some(".github/CODEOWNERS"));
        assert_eq!(owners.of("a.rs"), ["@all"]);
    }
}
