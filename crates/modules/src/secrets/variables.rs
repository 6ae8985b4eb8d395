//! Texts put together from variables: `prefix + suffix`, `$a . $b`, `f"{a}{b}"`, where each name was given a literal
//! earlier in the same file.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memchr2;
use memchr::memmem::find_iter;

use super::decode::{finish, with_context};
use super::values::literal_end;
use super::view::{Step, View};

/// Shortest assembled text worth a look.
const SHORTEST: usize = 12;
/// Most parts of one text.
const MOST_PARTS: usize = 16;
/// Longest name or literal that takes part.
const LONGEST_PART: usize = 200;

/// A part of an expression.
#[derive(Debug, Clone)]
enum Part {
    Name(Range<usize>),
    Literal(Range<usize>),
}

/// An expression that joins parts, and where it stands.
struct Expression {
    range: Range<usize>,
    parts: Vec<Part>,
}

/// The operator that joins texts in files of such a name.
pub(crate) fn operator(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "php" | "phtml" | "pl" | "pm" => " . ",
        "lua" => " .. ",
        "vb" | "bas" => " & ",
        "ex" | "exs" => " <> ",
        _ => "+",
    }
}

/// Shows every text that is assembled from variables whose literals are known.
pub(crate) fn substituted(view: &View<'_>, operator: &str, emit: &mut dyn FnMut(View<'static>)) {
    let text: &[u8] = &view.text;
    let mut expressions = sums(text, operator.as_bytes());
    expressions.extend(templates(text));
    if expressions.is_empty() {
        return;
    }
    let known = Literals::of(text);
    for expression in expressions {
        if let Some(pieces) = known.resolve(text, &expression) {
            emit(assemble(view, &expression, &pieces));
        }
    }
}

fn assemble(view: &View<'_>, expression: &Expression, pieces: &[Range<usize>]) -> View<'static> {
    let Range { start, end } = expression.range.clone();
    let mut builder = with_context(view, start);
    builder.push(b'"', &(start..start + 1));
    builder.begin_fresh();
    pieces.iter().for_each(|piece| builder.copy(piece.clone()));
    let length = builder.fresh_text().len();
    builder.push(b'"', &(end - 1..end));
    let mut view = finish(builder, &view.text, end, Step::Variables);
    view.fresh.end = view.fresh.start + length;
    view
}

/// Expressions of names and literals joined by the operator.
fn sums(text: &[u8], operator: &[u8]) -> Vec<Expression> {
    let mut found = Vec::new();
    let mut done = 0;
    for at in find_iter(text, operator) {
        if at >= done
            && let Some(expression) = sum(text, at, operator.len())
        {
            done = expression.range.end;
            found.push(expression);
        }
    }
    found
}

fn sum(text: &[u8], at: usize, length: usize) -> Option<Expression> {
    let first = part_before(text, at)?;
    let mut parts = vec![first];
    let mut next = at;
    while parts.len() < MOST_PARTS && text[next..].starts_with(&text[at..at + length]) {
        let (part, end) = part_at(text, skip_white(text, next + length))?;
        parts.push(part);
        // An operator written with blanks brings its own.
        next = if text[at] == b' ' { end } else { skip_blanks(text, end) };
        if next >= text.len() {
            break;
        }
    }
    let named = parts.iter().any(|part| matches!(part, Part::Name(_)));
    let start = parts.first().map(|part| part_range(part).start)?;
    let end = parts.last().map(|part| part_range(part).end)?;
    (named && parts.len() > 1).then_some(Expression {
        range: start..end,
        parts,
    })
}

/// The part with its quotes.
fn part_range(part: &Part) -> Range<usize> {
    match part {
        Part::Name(range) => range.clone(),
        Part::Literal(range) => range.start - 1..range.end + 1,
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.')
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    at + text[at..]
        .iter()
        .take(32)
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count()
}

fn skip_white(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    at + text[at..]
        .iter()
        .take(64)
        .take_while(|b| b.is_ascii_whitespace())
        .count()
}

fn part_before(text: &[u8], at: usize) -> Option<Part> {
    let end = text[..at].trim_ascii_end().len();
    let last = *text[..end].last()?;
    let floor = end.saturating_sub(LONGEST_PART);
    if matches!(last, b'"' | b'\'') {
        let start = floor + text[floor..end - 1].iter().rposition(|&b| b == last)? + 1;
        return (!text[start..end].contains(&b'\n')).then(|| Part::Literal(start..end - 1));
    }
    let start = text[floor..end]
        .iter()
        .rposition(|&b| !is_name(b))
        .map_or(floor, |last| floor + last + 1);
    is_start(*text.get(start)?).then_some(Part::Name(start..end))
}

fn is_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$')
}

fn part_at(text: &[u8], at: usize) -> Option<(Part, usize)> {
    let &first = text.get(at)?;
    if matches!(first, b'"' | b'\'') {
        let end = literal_end(text, at + 1, first, false, false)?;
        return Some((Part::Literal(at + 1..end), end + 1));
    }
    let length = text[at..]
        .iter()
        .take(LONGEST_PART)
        .take_while(|&&b| is_name(b))
        .count();
    (is_start(first) && text.get(at + length) != Some(&b'(')).then(|| (Part::Name(at..at + length), at + length))
}

/// Literals of nothing but interpolated names: `{a}{b}` and `${a}${b}`.
fn templates(text: &[u8]) -> Vec<Expression> {
    let mut found: Vec<Expression> = Vec::new();
    for seam in find_iter(text, b"}{").chain(find_iter(text, b"}${")) {
        if found.last().is_some_and(|last| last.range.contains(&seam)) {
            continue;
        }
        found.extend(template(text, seam));
    }
    found
}

fn template(text: &[u8], seam: usize) -> Option<Expression> {
    let floor = seam.saturating_sub(LONGEST_PART);
    let start = floor
        + text[floor..seam]
            .iter()
            .rposition(|b| matches!(b, b'"' | b'\'' | b'`'))?
        + 1;
    let quote = text[start - 1];
    let end = start
        + text[start..]
            .iter()
            .take(4 * LONGEST_PART)
            .position(|&b| b == quote || b == b'\n')?;
    let mut parts = Vec::new();
    let mut at = start;
    while at < end {
        at += usize::from(text[at] == b'$');
        let length = text[at..end].iter().position(|&b| b == b'}')?;
        let name = at + 1..at + length;
        if text[at] != b'{'
            || name.is_empty()
            || !text[name.clone()].iter().all(|&b| is_name(b))
            || parts.len() == MOST_PARTS
        {
            return None;
        }
        parts.push(Part::Name(name));
        at += length + 1;
    }
    (text[end] == quote && parts.len() > 1).then_some(Expression {
        range: start..end,
        parts,
    })
}

/// The literals that names were given, by the last segment of the name.
struct Literals<'t>(HashMap<&'t [u8], Vec<Range<usize>>>);

impl<'t> Literals<'t> {
    fn of(text: &'t [u8]) -> Self {
        let mut known: HashMap<&[u8], Vec<Range<usize>>> = HashMap::new();
        let mut at = 0;
        while let Some(offset) = memchr2(b'"', b'\'', &text[at..]) {
            let quote = at + offset;
            at = quote + 1;
            let Some(end) = literal_end(text, quote + 1, text[quote], false, false) else {
                continue;
            };
            at = end + 1;
            if (2..=LONGEST_PART).contains(&(end - quote))
                && let Some(name) = assigned_name(text, quote)
            {
                known.entry(last_segment(&text[name])).or_default().push(quote + 1..end);
            }
        }
        Literals(known)
    }

    /// The literal of each part; the last one given before the expression, or else the first one.
    fn resolve(&self, text: &[u8], expression: &Expression) -> Option<Vec<Range<usize>>> {
        let literal = |part: &Part| match part {
            Part::Literal(range) => Some(range.clone()),
            Part::Name(name) => {
                let given = self.0.get(last_segment(&text[name.clone()]))?;
                let before = given.iter().rev().find(|range| range.end <= expression.range.start);
                before.or(given.first()).cloned()
            }
        };
        let pieces: Vec<_> = expression.parts.iter().map(literal).collect::<Option<_>>()?;
        (pieces.iter().map(Range::len).sum::<usize>() >= SHORTEST).then_some(pieces)
    }
}

fn last_segment(name: &[u8]) -> &[u8] {
    let name = name.rsplit(|&b| b == b'.').next().unwrap_or(name);
    name.strip_prefix(b"$").unwrap_or(name)
}

/// The name to which the literal that opens at `quote` is assigned.
fn assigned_name(text: &[u8], quote: usize) -> Option<Range<usize>> {
    let before = text[..quote].trim_ascii_end();
    let before = before.strip_suffix(b"=")?;
    let before = before.strip_suffix(b":").unwrap_or(before).trim_ascii_end();
    let end = before.len();
    let floor = end.saturating_sub(LONGEST_PART);
    let start = before[floor..]
        .iter()
        .rposition(|&b| !is_name(b))
        .map_or(floor, |last| floor + last + 1);
    (start < end && is_start(before[start])).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let operator = operator(if text.starts_with('$') { "a.php" } else { "a.py" });
        substituted(&View::file(text.as_bytes()), operator, &mut |view| {
            found.push(String::from_utf8_lossy(&view.text[view.fresh.clone()]).into_owned());
        });
        found
    }

    #[test]
    fn names_are_replaced_by_the_literals_they_were_given() {
        assert_eq!(views("a = 'first-'\nb = 'second'\nc = a + b\n"), ["first-second"]);
        assert_eq!(views("$a = 'first-';\n$b = 'second';\n$c = $a . $b;"), ["first-second"]);
        assert_eq!(
            views("const a = 'first-', b = 'second';\nx(`${a}${b}`)"),
            ["first-second"]
        );
        assert_eq!(views("a = 'first-'\nx = f\"{a}{b}\"\nb = 'second'\n"), ["first-second"]);
        assert_eq!(views("b = 'second'\nc = 'first-' + b\n"), ["first-second"]);
    }

    #[test]
    fn what_is_not_known_is_left_alone() {
        assert!(views("c = a + b\nd = i + 1\ne = 'x' + f(2)\n").is_empty());
        assert!(views("a = 'first-'\nc = a + unknown\n").is_empty());
    }
}
