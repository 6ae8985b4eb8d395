//! Patterns of paths as CODEOWNERS and `.gitignore` have them, and of names.
//!
//! `*` and `?` stay within a name, `**` goes over any number of directories. A pattern without a slash, other than one at
//! its end, holds in any directory; another one begins at the root. A pattern that names a directory holds for everything
//! below; with a slash at its end it holds for directories only. `docs/*` holds for what is directly in `docs`, as on GitHub.

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of names, also none.
    Any,
    One(NamePattern),
}

impl PathPattern {
    /// Reads a pattern; a backslash takes the meaning from the character behind it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('!') {
            return Err("a pattern cannot begin with `!`: leave the paths out of another pattern".to_owned());
        }
        let rooted = text.trim_end_matches('/').contains('/');
        let (body, only_below) = match text.strip_suffix('/') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let names: Vec<&str> = body.split('/').filter(|name| !name.is_empty()).collect();
        let Some(last) = names.last() else {
            return Err(format!("`{text}` names no path"));
        };
        let mut parts = Vec::new();
        if !rooted {
            parts.push(Part::Any);
        }
        for name in &names {
            parts.push(match *name {
                "**" => Part::Any,
                name => Part::One(NamePattern::parse(name)),
            });
        }
        match *last {
            // Something, however deep.
            "**" => parts.push(Part::One(NamePattern::parse("*"))),
            _ if only_below => parts.extend([Part::Any, Part::One(NamePattern::parse("*"))]),
            "*" if rooted => {}
            _ => parts.push(Part::Any),
        }
        Ok(PathPattern(parts))
    }

    /// Whether it holds for a path with forward slashes.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        matches(
            &self.0,
            &names,
            |part| *part == Part::Any,
            |part, name| matches!(part, Part::One(pattern) if pattern.matches(name)),
        )
    }
}

/// A pattern of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamePattern(Vec<Sign>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `*`
    Any,
    /// `?`
    One,
    Is(char),
}

impl NamePattern {
    pub(crate) fn parse(text: &str) -> Self {
        let mut signs = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            signs.push(match c {
                '*' => Sign::Any,
                '?' => Sign::One,
                '\\' => Sign::Is(chars.next().unwrap_or('\\')),
                c => Sign::Is(c),
            });
        }
        NamePattern(signs)
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let chars: Vec<char> = name.chars().collect();
        matches(
            &self.0,
            &chars,
            |sign| *sign == Sign::Any,
            |sign, c| *sign == Sign::One || *sign == Sign::Is(*c),
        )
    }
}

/// Matches in one pass: only the last wildcard can need more than it has, since the earlier ones took the least they could.
/// So no pattern, which comes from the target, takes longer than its length times the text's.
fn matches<P, T>(pattern: &[P], text: &[T], is_any: impl Fn(&P) -> bool, fits: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(part) if is_any(part) => {
                retry = Some((p, t));
                p += 1;
            }
            Some(part) if fits(part, &text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((any, taken)) = retry else { return false };
                retry = Some((any, taken + 1));
                p = any + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let parsed = PathPattern::parse(pattern).unwrap();
        for path in yes {
            assert!(parsed.matches(path), "`{pattern}` holds for {path}");
        }
        for path in no {
            assert!(!parsed.matches(path), "`{pattern}` does not hold for {path}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_on_github() {
        check("*", &["a", "a/b/c.js"], &[]);
        check("*.js", &["a.js", "src/deep/a.js"], &["a.ts", "a.js.map"]);
        check(
            "/build/logs/",
            &["build/logs/a", "build/logs/x/y"],
            &["build/logs", "x/build/logs/a"],
        );
        check("docs/*", &["docs/a.md"], &["docs/x/a.md", "x/docs/a.md"]);
        check("apps/", &["apps/a", "x/apps/a/b"], &["apps", "myapps/a"]);
        check("/docs/", &["docs/a", "docs/x/a"], &["x/docs/a"]);
        check(
            "/apps/github",
            &["apps/github", "apps/github/a"],
            &["apps/githubx", "x/apps/github"],
        );
        check("**/logs", &["logs/a", "build/logs/a", "x/y/logs"], &["logsx"]);
        check("/scripts/**/x.sh", &["scripts/x.sh", "scripts/a/b/x.sh"], &["x.sh"]);
        check("src/**", &["src/a", "src/a/b"], &["src", "x/src/a"]);
        check("Makefile", &["Makefile", "x/Makefile"], &["Makefile.am", "makefile"]);
        check("a?c", &["abc"], &["ac", "a/c"]);
        check("a\\*b", &["a*b"], &["axb"]);
    }

    #[test]
    fn wildcards_take_as_much_as_they_must() {
        check("a/**/b/**/c", &["a/b/c", "a/x/b/b/y/c", "a/b/x/b/c/d"], &["a/c", "a/b"]);
        check("*a*b", &["xaxb", "aab", "aabab"], &["aba_", "b"]);
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = PathPattern::parse(&"**/*a*a*a*a*a*a*a*a*a*a*b/".repeat(20)).unwrap();
        assert!(!pattern.matches(&"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".repeat(200)));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "/", "!a"] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
