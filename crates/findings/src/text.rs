//! Texts that fit: lengths, identifiers, addresses.

/// Longest message of a result or notification; more is unreadable on a page.
pub(crate) const MAX_MESSAGE: usize = 4_000;
/// GitHub's limits on the texts of a rule.
pub(crate) const MAX_ID: usize = 255;
pub(crate) const MAX_DESCRIPTION: usize = 1_024;
pub(crate) const MAX_HELP: usize = 16_000;
/// Longest snippet: a minified file is one line.
pub(crate) const MAX_SNIPPET: usize = 2_000;

/// At most `limit` characters, with an ellipsis where something was cut.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

/// The address of a file below the root: every byte that is not plain in a path segment is percent-encoded, the colon
/// included, which could read as a scheme.
pub(crate) fn percent_encode_path(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push('.'); // keeps the address relative
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Whether a text is a plain web address, safe to hand to a page as a link.
pub(crate) fn is_web_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_is_plain = host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let tail = &rest[host.len()..];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?#".contains(&b);
    host_is_plain && tail.bytes().all(plain) && tail.matches('#').count() <= 1
}

/// `secrets/aws-access-key-id` as `AwsAccessKeyId`, the kind of name that SARIF asks for.
pub(crate) fn pascal_case(rule_id: &str) -> String {
    let last = rule_id.rsplit('/').next().unwrap_or(rule_id);
    let mut name = String::with_capacity(last.len());
    for word in last
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let mut letters = word.chars();
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.extend(letters);
    }
    shorten(if name.is_empty() { rule_id } else { &name }, MAX_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_file_names_become_valid_relative_addresses() {
        for (path, uri) in [
            ("src/main.rs", "src/main.rs"),
            ("app/[id]/page one.tsx", "app/%5Bid%5D/page%20one.tsx"),
            ("c:/x", "c%3A/x"),
            ("100%#?.txt", "100%25%23%3F.txt"),
            ("ключ.py", "%D0%BA%D0%BB%D1%8E%D1%87.py"),
            ("/etc/passwd", "./etc/passwd"),
            ("//host/x", ".//host/x"),
        ] {
            assert_eq!(percent_encode_path(path), uri);
        }
    }

    #[test]
    fn only_plain_web_addresses_become_links() {
        assert!(is_web_address("https://example.org/a/b?c=d#e"));
        for text in [
            "javascript:alert(1)",
            "https://",
            "https://[x",
            "https://a b",
            "https://a/%zz",
            "https://a/#b#c",
            "x",
        ] {
            assert!(!is_web_address(text), "{text}");
        }
    }

    #[test]
    fn shortened_text_is_never_longer_than_its_limit() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }

    #[test]
    fn rule_ids_become_names() {
        assert_eq!(pascal_case("secrets/aws-access-key-id"), "AwsAccessKeyId");
        assert_eq!(pascal_case("//"), "//");
    }
}
