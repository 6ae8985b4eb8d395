//! The entries of a Kubernetes `Secret`: each value is a secret, whatever its name.

use std::ops::Range;

use super::text::{line_end, line_start};

/// How far the entries may be from the line that says `kind: Secret`.
const SPAN: usize = 64 << 10;

/// Places of the values under `data:` and `stringData:` of the YAML document around `at`.
pub(crate) fn values(text: &[u8], at: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut parent: Option<usize> = None;
    let mut line = document_start(text, at);
    let limit = text.len().min(at + SPAN);
    while line < limit {
        let end = line_end(text, line);
        let content = &text[line..end];
        if content.starts_with(b"---") && line > at {
            break;
        }
        let indent = content.iter().take_while(|&&b| b == b' ').count();
        let trimmed = content.trim_ascii();
        match parent {
            _ if trimmed == b"data:" || trimmed == b"stringData:" => parent = Some(indent),
            Some(outer) if indent > outer => found.extend(entry(text, line + indent, end)),
            Some(_) if !trimmed.is_empty() && !trimmed.starts_with(b"#") => parent = None,
            _ => {}
        }
        line = memchr::memchr(b'\n', &text[end..]).map_or(text.len(), |offset| end + offset + 1);
    }
    found
}

fn document_start(text: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(SPAN);
    let mut line = line_start(text, at);
    while line > floor && !text[line..].starts_with(b"---") {
        line = line_start(text, line - 1);
    }
    line
}

/// `name: value`, perhaps quoted.
fn entry(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let line = &text[start..end];
    let colon = memchr::memmem::find(line, b": ")?;
    if line[..colon].iter().any(|b| b.is_ascii_whitespace()) || line.starts_with(b"#") {
        return None;
    }
    let rest = &line[colon + 2..];
    let lead = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let value = rest[lead..].split(|b| b.is_ascii_whitespace()).next()?;
    let quotes = usize::from(value.len() > 2 && matches!(value[0], b'"' | b'\'') && value.last() == value.first());
    let from = start + colon + 2 + lead + quotes;
    let to = from + value.len() - 2 * quotes;
    let block = matches!(value, b"|" | b">" | b"|-" | b">-" | b"|+" | b">+" | b"");
    (!block && to > from).then_some(from..to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_a_secret_is_a_value_and_nothing_else_is() {
        let text = b"---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n  a: AAAA\n  # note: x\n  b: \"BBBB\"\ntype: Opaque\n---\nkind: ConfigMap\ndata:\n  c: CCCC\n";
        let at = memchr::memmem::find(text, b"kind: Secret").unwrap();
        let found: Vec<&[u8]> = values(text, at).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, [b"AAAA", b"BBBB"]);
    }
}
