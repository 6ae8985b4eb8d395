//! Which of two versions is later, by the rules of their registry.

use std::cmp::Ordering;

use super::ecosystem::Ecosystem;

/// Compares two versions. Text that breaks the registry's rules still has an order, so that nothing is skipped.
pub(crate) fn compare(ecosystem: Ecosystem, a: &str, b: &str) -> Ordering {
    match ecosystem {
        Ecosystem::Cargo | Ecosystem::Go | Ecosystem::Npm => semantic(a).cmp(&semantic(b)),
        Ecosystem::Pypi => python(a).cmp(&python(b)),
        Ecosystem::Maven => maven(a, b),
    }
}

/// Numbers sort before words, as Semantic Versioning has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

fn part(text: &str) -> Part {
    text.parse().map_or_else(|_| Part::Word(text.to_owned()), Part::Number)
}

/// Release numbers; then whether it is a final release, and what it is a forerunner by.
type Semantic = (Vec<Part>, bool, Vec<Part>);

fn semantic(text: &str) -> Semantic {
    let text = text.trim().trim_start_matches(['v', '=']);
    let text = text.split('+').next().unwrap_or(text);
    let (release, before) = match text.split_once('-') {
        Some((release, before)) => (release, Some(before)),
        None => (text, None),
    };
    let mut release: Vec<Part> = release.split('.').map(part).collect();
    while release.len() < 3 {
        release.push(Part::Number(0));
    }
    let before_parts = before
        .map(|text| text.split('.').map(part).collect())
        .unwrap_or_default();
    (release, before.is_none(), before_parts)
}

/// Epoch, release without trailing zeros, then the places of a pre-, post- and development release, then the local label.
type Python = (u64, Vec<u64>, Stage, Option<u64>, u64, Vec<Part>);

/// Where a version stands relative to its release: `1.0.dev1 < 1.0a1 < 1.0rc1 < 1.0`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Development,
    Before(char, u64),
    Final,
}

fn python(text: &str) -> Python {
    let text = text.trim().to_lowercase();
    let text = text.trim_start_matches('v');
    let (public, local) = text.split_once('+').unwrap_or((text, ""));
    let (epoch, rest) = match public.split_once('!') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, public),
    };
    let end = rest
        .char_indices()
        .find(|(n, c)| !(c.is_ascii_digit() || *c == '.' && rest[n + 1..].starts_with(|d: char| d.is_ascii_digit())))
        .map_or(rest.len(), |(n, _)| n);
    let mut release: Vec<u64> = rest[..end].split('.').map(|n| n.parse().unwrap_or(0)).collect();
    while release.last() == Some(&0) {
        release.pop();
    }
    let (mut before, mut post, mut development) = (None, None, None);
    for (label, number) in labels(&rest[end..]) {
        match label.as_str() {
            "a" | "alpha" => before = Some(('a', number)),
            "b" | "beta" => before = Some(('b', number)),
            "c" | "rc" | "pre" | "preview" => before = Some(('r', number)),
            "post" | "rev" | "r" | "" => post = Some(number),
            "dev" => development = Some(number),
            _ => {}
        }
    }
    let stage = match (before, post, development) {
        (Some((letter, number)), _, _) => Stage::Before(letter, number),
        (None, None, Some(_)) => Stage::Development,
        _ => Stage::Final,
    };
    let local = match local {
        "" => Vec::new(),
        local => local.split(['.', '-', '_']).map(part).collect(),
    };
    // A development release comes before what it develops.
    (epoch, release, stage, post, development.unwrap_or(u64::MAX), local)
}

/// `.post1.dev2` as labels with numbers; a number without a label (`-1`) has the empty one.
fn labels(text: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(['.', '-', '_']);
    while !rest.is_empty() {
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let label = rest[..letters].to_owned();
        rest = rest[letters..].trim_start_matches(['.', '-', '_']);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse().unwrap_or(0);
        if label.is_empty() && digits == 0 {
            break;
        }
        rest = rest[digits..].trim_start_matches(['.', '-', '_']);
        found.push((label, number));
    }
    found
}

/// A piece of a Maven version.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Number(u64),
    Word(String),
}

fn maven(a: &str, b: &str) -> Ordering {
    let (a, b) = (pieces(a), pieces(b));
    let length = a.len().max(b.len());
    (0..length)
        .map(|n| match (a.get(n), b.get(n)) {
            (Some(a), Some(b)) => against(a, b),
            (Some(a), None) => against_nothing(a),
            (None, Some(b)) => against_nothing(b).reverse(),
            (None, None) => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers and words, parted at dots, hyphens, and where letters meet digits; zeros before a hyphen or the end are nothing.
fn pieces(text: &str) -> Vec<Piece> {
    let text = text.trim().to_lowercase();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut word = String::new();
    let flush = |word: &mut String, pieces: &mut Vec<Piece>| {
        if word.is_empty() {
            return;
        }
        let text = std::mem::take(word);
        pieces.push(text.parse().map_or_else(|_| Piece::Word(text), Piece::Number));
    };
    let without_zeros = |pieces: &mut Vec<Piece>| {
        while matches!(pieces.last(), Some(Piece::Number(0))) {
            pieces.pop();
        }
    };
    for c in text.chars() {
        match c {
            '.' | '_' => flush(&mut word, &mut pieces),
            '-' => {
                flush(&mut word, &mut pieces);
                without_zeros(&mut pieces);
            }
            c => {
                if word
                    .chars()
                    .next_back()
                    .is_some_and(|last| last.is_ascii_digit() != c.is_ascii_digit())
                {
                    let letters_follow = !c.is_ascii_digit();
                    flush(&mut word, &mut pieces);
                    if letters_follow {
                        without_zeros(&mut pieces);
                    }
                }
                word.push(c);
            }
        }
    }
    flush(&mut word, &mut pieces);
    without_zeros(&mut pieces);
    pieces
}

/// Maven's known qualifiers, earliest first; the empty one is the release itself.
fn rank(word: &str) -> (usize, &str) {
    let known = match word {
        "alpha" | "a" => 0,
        "beta" | "b" => 1,
        "milestone" | "m" => 2,
        "rc" | "cr" => 3,
        "snapshot" => 4,
        "" | "ga" | "final" | "release" => 5,
        "sp" => 6,
        other => return (7, other),
    };
    (known, "")
}

fn against(a: &Piece, b: &Piece) -> Ordering {
    match (a, b) {
        (Piece::Number(a), Piece::Number(b)) => a.cmp(b),
        (Piece::Word(a), Piece::Word(b)) => rank(a).cmp(&rank(b)),
        (Piece::Number(_), Piece::Word(_)) => Ordering::Greater,
        (Piece::Word(_), Piece::Number(_)) => Ordering::Less,
    }
}

fn against_nothing(piece: &Piece) -> Ordering {
    match piece {
        Piece::Number(number) => number.cmp(&0),
        Piece::Word(word) => rank(word).cmp(&rank("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascends(ecosystem: Ecosystem, versions: &[&str]) {
        for (n, a) in versions.iter().enumerate() {
            for (m, b) in versions.iter().enumerate() {
                assert_eq!(compare(ecosystem, a, b), n.cmp(&m), "{ecosystem:?}: {a} and {b}");
            }
        }
    }

    #[test]
    fn semantic_versions_order_their_forerunners_before_the_release() {
        let versions = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0",
            "1.10.0",
        ];
        ascends(Ecosystem::Npm, &versions);
        assert_eq!(compare(Ecosystem::Go, "v1.2.3+incompatible", "1.2.3"), Ordering::Equal);
        assert!(compare(Ecosystem::Go, "v0.0.0-20190308221718-c2843e01d9a2", "0.0.0").is_lt());
    }

    #[test]
    fn python_versions_are_ordered_as_pep_440_has_it() {
        let versions = [
            "1.0.dev456",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a2",
            "1.0b2",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.1.dev1",
            "1.1",
            "1!0.5",
        ];
        ascends(Ecosystem::Pypi, &versions);
        assert_eq!(compare(Ecosystem::Pypi, "1.0", "1.0.0"), Ordering::Equal);
    }

    #[test]
    fn maven_versions_are_ordered_as_maven_has_it() {
        let versions = [
            "1-alpha2",
            "1-alpha-10",
            "1-beta",
            "1-m3",
            "1-rc2",
            "1-SNAPSHOT",
            "1",
            "1-sp",
            "1-abc",
            "1.0.1",
            "1.2",
            "2.0-beta9",
            "2.0",
            "2.15.0",
        ];
        ascends(Ecosystem::Maven, &versions);
        for same in ["1", "1.0", "1.0.0", "1-ga", "1.0-FINAL"] {
            assert_eq!(compare(Ecosystem::Maven, "1", same), Ordering::Equal, "{same}");
        }
    }
}
