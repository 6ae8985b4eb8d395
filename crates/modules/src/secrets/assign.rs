//! Reading an assignment near a keyword: every way in which languages and configuration formats give a name a value.

use std::ops::Range;

use super::names::{self, Name};
use super::prefilter::Hit;
use super::text::{Kind, line_end, line_start};
use super::values::{self, Value};

/// How far a type annotation may separate a name from its `=`.
const TYPE_SPAN: usize = 64;
/// How far the `default` of a variable block may be from its name.
const BLOCK_SPAN: usize = 300;
/// How far an attribute value may be from its name.
const TAG_SPAN: usize = 200;

/// How sure the reading is that name and value belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `name = value` and its kin.
    Plain,
    /// Neighbours in a list or an argument of a call: the value must convince by itself.
    Loose,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// In `snake_case`.
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) name_range: Range<usize>,
    /// Where the value stands, without quotes.
    pub(crate) value: Range<usize>,
    /// Whether the value is a string literal.
    pub(crate) quoted: bool,
    /// How the two are joined.
    pub(crate) form: Form,
}

/// Reads the assignment whose name holds the keyword, if there is one.
pub(crate) fn read(text: &[u8], hit: Hit, kind: Kind) -> Option<Assignment> {
    let name = names::around(text, hit)?;
    let (value, form) = Reader {
        text,
        name: &name,
        kind,
    }
    .read()?;
    Some(Assignment {
        name: names::snake_case(&text[name.range.clone()]),
        name_range: name.range,
        value: value.range,
        quoted: value.quoted,
        form,
    })
}

struct Reader<'a> {
    text: &'a [u8],
    name: &'a Name,
    kind: Kind,
}

impl Reader<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn starts_with(&self, at: usize, prefix: &[u8]) -> bool {
        self.text.get(at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t') {
            at += 1;
        }
        at
    }

    fn skip_white(&self, mut at: usize) -> usize {
        while at < self.text.len() && self.text[at].is_ascii_whitespace() {
            at += 1;
        }
        at
    }

    fn read(&self) -> Option<(Value, Form)> {
        let start = self.name.range.start;
        // `(?P<password>...)` is no element.
        let element =
            start > 0 && self.text[start - 1] == b'<' && !(start > 1 && self.text[start - 2].is_ascii_alphanumeric());
        if element {
            return self.element(self.name.range.end).map(plain);
        }
        let (at, closed) = self.close_name(self.name.range.end);
        let next = self.skip_blanks(at);
        match self.byte(next) {
            b'=' => self.after_equals(next).map(plain),
            b':' => self.after_colon(next).map(plain),
            b'+' | b'?' if self.byte(next + 1) == b'=' => self.value(next + 2).map(plain),
            b'?' if self.byte(next + 1) == b':' => self.after_colon(next + 1).map(plain),
            b'|' if self.starts_with(next, b"||=") => self.value(next + 3).map(plain),
            b',' if closed || self.is_copied_to() => self.after_comma(next),
            b')' if closed && self.byte(next + 1) == b',' => self.after_comma(next + 1),
            b'(' => self.call(next),
            b'>' if closed && self.is_named_attribute() => self.element_body(next).map(plain),
            b'<' if self.starts_with(next, b"</") => self.next_element(next).map(plain),
            b'{' if closed => self.block(next).map(plain),
            b'{' if !closed => self.property(next).map(plain),
            b'\r' | b'\n' | 0 => self.next_line_value(at).map(plain),
            b'i' if self.starts_with(next, b"is") => self.prose(next + 2).map(plain),
            _ if closed => self.attribute(next).map(plain),
            _ if next > at => self.after_blank(next),
            _ => None,
        }
    }

    /// Steps over what closes the name: its quote, `]` of an index, `}` of a hash key, `[]` of an array.
    fn close_name(&self, mut at: usize) -> (usize, bool) {
        let mut closed = false;
        if self.byte(at) == b'\\' && matches!(self.byte(at + 1), b'"' | b'\'') {
            at += 1;
        }
        if matches!(self.byte(at), b'"' | b'\'' | b'`') {
            at += 1;
            closed = true;
        }
        if self.byte(at) == b']' || self.byte(at) == b'}' && self.name.range.start > 0 {
            let opener = self.text[..self.name.range.start]
                .iter()
                .rev()
                .find(|b| !matches!(b, b'"' | b'\'' | b'$' | b':'));
            if matches!(opener, Some(b'[' | b'{')) && self.byte(at) != b'}' || matches!(opener, Some(b'{')) {
                at += 1;
                closed = false;
            }
        }
        if self.byte(at) == b'[' {
            let close = at
                + self.text[at..self.text.len().min(at + 8)]
                    .iter()
                    .position(|&b| b == b']')
                    .unwrap_or(0);
            at = if close > at { close + 1 } else { at };
        }
        (at, closed)
    }

    fn value(&self, at: usize) -> Option<Value> {
        values::read(self.text, at, self.kind, self.bare_allowed())
    }

    /// Bare values are for files without quoting rules, for flags, and for text inside a literal.
    fn bare_allowed(&self) -> values::Bare {
        let inside = self.name.quote.is_none() && values::inside_literal(self.text, self.name.range.start);
        match self.kind {
            _ if inside => values::Bare::InText,
            Kind::Lines => values::Bare::ToEnd,
            Kind::Text => values::Bare::InText,
            Kind::Code if self.name.flag => values::Bare::InText,
            Kind::Code => values::Bare::No,
        }
    }

    fn after_equals(&self, at: usize) -> Option<Value> {
        match self.byte(at + 1) {
            b'=' if self.byte(at + 2) == b'=' => self.quoted_only(at + 3),
            b'=' => self.quoted_only(at + 2),
            b'>' => self.value(at + 2),
            b'~' => None,
            _ => self.value(at + 1),
        }
    }

    fn quoted_only(&self, at: usize) -> Option<Value> {
        values::read(self.text, at, self.kind, values::Bare::No)
    }

    fn after_colon(&self, at: usize) -> Option<Value> {
        match self.byte(at + 1) {
            b'=' => return self.value(at + 2),
            b':' => return None,
            _ => {}
        }
        if let Some(value) = self.value(at + 1) {
            return Some(value);
        }
        if self.kind != Kind::Code {
            return None;
        }
        self.after_type(at + 1)
    }

    /// `password: &str = "..."`: the type ends at the `=`.
    fn after_type(&self, at: usize) -> Option<Value> {
        let span = &self.text[at..self.text.len().min(at + TYPE_SPAN)];
        let is_type = |b: u8| b.is_ascii_alphanumeric() || b"_<>[]&;:'? .|*\t,".contains(&b);
        let equals = span.iter().position(|&b| !is_type(b))?;
        (span[equals] == b'=' && !matches!(span.get(equals + 1), Some(b'=' | b'>')))
            .then(|| at + equals + 1)
            .and_then(|at| self.quoted_only(at))
    }

    /// `"name", "value"`, or `"name": "X", "value": "..."`.
    fn after_comma(&self, comma: usize) -> Option<(Value, Form)> {
        let at = self.skip_white(comma + 1);
        let key = at + usize::from(matches!(self.byte(at), b'"' | b'\''));
        if self
            .text
            .get(key..key + 5)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"value"))
        {
            let after = self.skip_blanks(key + 5 + (key - at));
            if matches!(self.byte(after), b':' | b'=') {
                return self.quoted_only(after + 1).map(plain);
            }
        }
        values::literal_at(self.text, at).map(|value| (value, Form::Loose))
    }

    /// `strcpy(password, "...")`
    fn is_copied_to(&self) -> bool {
        let before = self.text[..self.name.range.start].trim_ascii_end();
        [&b"cpy("[..], b"strcat(", b"memmove("]
            .iter()
            .any(|call| before.ends_with(call))
    }

    /// `setPassword("...")`; asking for a secret is not setting one.
    fn call(&self, open: usize) -> Option<(Value, Form)> {
        let name = &self.text[self.name.range.clone()];
        let last = name.rsplit(|&b| b == b'.').next().unwrap_or(name).to_ascii_lowercase();
        const ASKING: &[&str] = &[
            "get", "find", "has", "is", "read", "load", "fetch", "check", "verify", "validate", "reset", "lookup",
            "require",
        ];
        // A test or a filter passes things.
        if last == b"pass" || ASKING.iter().any(|verb| last.starts_with(verb.as_bytes())) {
            return None;
        }
        values::literal_at(self.text, self.skip_white(open + 1)).map(|value| (value, Form::Loose))
    }

    /// `<password>value</password>`
    fn element(&self, at: usize) -> Option<Value> {
        let span = &self.text[at..self.text.len().min(at + TAG_SPAN)];
        let close = span.iter().position(|&b| matches!(b, b'>' | b'<'))?;
        if span[close] == b'<' || close > 0 && span[close - 1] == b'/' || span[..close].contains(&b'\n') {
            return None;
        }
        self.element_body(at + close)
    }

    fn element_body(&self, close: usize) -> Option<Value> {
        let start = self.skip_white(close + 1);
        let end = start
            + self.text[start..self.text.len().min(start + 4096)]
                .iter()
                .position(|&b| b == b'<')?;
        let trimmed = self.text[start..end].trim_ascii_end().len();
        (trimmed > 0).then(|| Value {
            range: start..start + trimmed,
            quoted: true,
        })
    }

    /// `<key>Password</key> <string>value</string>`, `<name>password</name><value>value</value>`
    fn next_element(&self, at: usize) -> Option<Value> {
        let pairs: [(&[u8], &[u8]); 4] = [
            (b"</key>", b"<string>"),
            (b"</name>", b"<value>"),
            (b"</key>", b"<value>"),
            (b"</Name>", b"<Value>"),
        ];
        pairs
            .iter()
            .filter(|(label, _)| self.starts_with(at, label))
            .find_map(|(label, opening)| {
                let next = self.skip_white(at + label.len());
                self.starts_with(next, opening)
                    .then(|| self.element_body(next + opening.len() - 1))
                    .flatten()
            })
    }

    /// Whether the name is the value of a naming attribute: `<entry key="password">`.
    fn is_named_attribute(&self) -> bool {
        let before = self.text[..self.name.range.start.saturating_sub(1)].trim_ascii_end();
        let Some(before) = before.strip_suffix(b"=") else {
            return false;
        };
        let before = before.trim_ascii_end();
        [&b"name"[..], b"key", b"id"]
            .iter()
            .any(|attribute| ends_with_ignore_case(before, attribute))
    }

    /// `key="ApiKey" value="..."`
    fn attribute(&self, at: usize) -> Option<Value> {
        let end = at + self.text[at..].iter().take(12).position(|b| !b.is_ascii_alphabetic())?;
        let attribute = self.text[at..end].to_ascii_lowercase();
        let next = self.skip_blanks(end);
        let known = matches!(attribute.as_slice(), b"value" | b"content" | b"default");
        if known && self.byte(next) == b'=' {
            self.quoted_only(next + 1)
        } else {
            None
        }
    }

    /// `variable "db_password" { default = "..." }`
    fn block(&self, open: usize) -> Option<Value> {
        let span = &self.text[open..self.text.len().min(open + BLOCK_SPAN)];
        let close = span.iter().position(|&b| b == b'}').unwrap_or(span.len());
        let at = span[..close].windows(7).position(|window| window == b"default")?;
        let equals = self.skip_blanks(open + at + 7);
        if self.byte(equals) == b'=' {
            self.quoted_only(equals + 1)
        } else {
            None
        }
    }

    /// `string Password { get; set; } = "..."`
    fn property(&self, open: usize) -> Option<Value> {
        let span = &self.text[open..self.text.len().min(open + TYPE_SPAN)];
        let close = open + span.iter().position(|&b| b == b'}')?;
        let next = self.skip_blanks(close + 1);
        if self.byte(next) == b'=' {
            self.quoted_only(next + 1)
        } else {
            None
        }
    }

    /// `- name: DB_PASSWORD` and on the next line `value: ...`
    fn next_line_value(&self, at: usize) -> Option<Value> {
        let line = &self.text[line_start(self.text, self.name.range.start)..self.name.range.start];
        let line = line.trim_ascii().trim_ascii_start();
        let line = line
            .strip_suffix(b"\"")
            .or_else(|| line.strip_suffix(b"'"))
            .unwrap_or(line)
            .trim_ascii_end();
        if ![&b"name:"[..], b"key:", b"Key:", b"Name:"]
            .iter()
            .any(|label| line.ends_with(label))
        {
            return None;
        }
        let next = self.skip_blanks(line_end(self.text, at) + 1);
        let next = if self.byte(next) == b'\n' {
            self.skip_blanks(next + 1)
        } else {
            next
        };
        let label = self.text.get(next..next + 6)?;
        if label.eq_ignore_ascii_case(b"value:") {
            self.value(next + 6)
        } else {
            None
        }
    }

    /// "the password is: ..."
    fn prose(&self, at: usize) -> Option<Value> {
        let next = self.skip_blanks(at);
        let next = if matches!(self.byte(next), b':' | b'=') {
            self.skip_blanks(next + 1)
        } else {
            next
        };
        (next > at && self.kind != Kind::Code)
            .then(|| self.value(next))
            .flatten()
    }

    /// `#define PASSWORD "..."`, `ENV PASSWORD ...`, `--password ...`, `PASSWORD '...'`
    fn after_blank(&self, at: usize) -> Option<(Value, Form)> {
        if self.name.flag {
            return self.value(at).map(plain);
        }
        let line = &self.text[line_start(self.text, self.name.range.start)..self.name.range.start];
        let line = line.trim_ascii_start();
        let defines = line.starts_with(b"#define") || line.starts_with(b"const ") || line.starts_with(b"var ");
        if defines {
            let literal = values::literal_at(self.text, at);
            return literal.or_else(|| self.after_type(at)).map(plain);
        }
        let docker = line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"env ") && self.kind == Kind::Lines;
        if docker || line.is_empty() && self.kind != Kind::Code && self.follows_machine() {
            return self.value(at).map(plain);
        }
        // The clauses of SQL: `PASSWORD 'x'`. In prose, backticks quote code.
        let literal = values::literal_at(self.text, at).filter(|value| self.byte(value.range.end) != b'`');
        literal.map(|value| (value, Form::Loose))
    }

    /// A `.netrc`, where `password` begins its own line, has a `machine` above.
    fn follows_machine(&self) -> bool {
        let start = self.name.range.start;
        self.text[start.saturating_sub(TAG_SPAN)..start]
            .windows(8)
            .any(|window| window == b"machine ")
    }
}

fn plain(value: Value) -> (Value, Form) {
    (value, Form::Plain)
}

fn ends_with_ignore_case(text: &[u8], suffix: &[u8]) -> bool {
    text.len() >= suffix.len() && text[text.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, kind: Kind) -> Option<&str> {
        let start = text.to_ascii_lowercase().find("pass")?;
        let found = read(text.as_bytes(), Hit { start, end: start + 4 }, kind)?;
        Some(&text[found.value])
    }

    #[test]
    fn code_assigns_literals_in_many_ways() {
        for text in [
            "password = \"VALUE\"",
            "const password: string = 'VALUE';",
            "let password: &str = \"VALUE\";",
            "password := `VALUE`",
            "{ 'password' => \"VALUE\" }",
            "{\"password\": \"VALUE\"}",
            "cfg[\"password\"] = \"VALUE\"",
            "$cfg->{password} = 'VALUE';",
            "static const char password[] = \"VALUE\";",
            "#define WIFI_PASSWORD \"VALUE\"",
            "string Password { get; set; } = \"VALUE\";",
            "define('DB_PASSWORD', 'VALUE');",
            "setPassword(\"VALUE\")",
            "const password = process.env.PW || 'VALUE'",
            "password = os.getenv(\"X\", \"VALUE\")",
            "password = SecretString::from(\"VALUE\")",
            "password = b\"VALUE\"",
            "password = (\n    \"VALUE\")",
            "variable \"password\" {\n  default = \"VALUE\"\n}",
            "url = \"db?user=x&password=VALUE&y=z\"",
            "if password == \"VALUE\" {",
            "strcpy(password, \"VALUE\");",
        ] {
            assert_eq!(value(text, Kind::Code), Some("VALUE"), "{text}");
        }
    }

    #[test]
    fn configuration_formats_assign_bare_values() {
        for text in [
            "password=VALUE\n",
            "password: VALUE # comment\n",
            "export DB_PASSWORD=VALUE\n",
            "ENV DB_PASSWORD VALUE\n",
            "- name: DB_PASSWORD\n  value: VALUE\n",
            "- name: \"DB_PASSWORD\"\n  value: \"VALUE\"\n",
            "mysql --password VALUE x",
            "mysql --password=VALUE x",
            "machine a\n  password VALUE\n",
        ] {
            assert_eq!(value(text, Kind::Lines), Some("VALUE"), "{text}");
        }
    }

    #[test]
    fn markup_and_prose_assign_too() {
        for text in [
            "<password>VALUE</password>",
            "<add key=\"apiPassword\" value=\"VALUE\"/>",
            "<string name=\"password\">VALUE</string>",
            "<key>Password</key>\n\t<string>VALUE</string>",
            "<name>x.password</name><value>VALUE</value>",
            "The password is: `VALUE`",
            "login password=VALUE, user=x",
        ] {
            assert_eq!(value(text, Kind::Text), Some("VALUE"), "{text}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_left_alone() {
        for text in [
            "password = get_password()",
            "fn login(password: &str) {}",
            "password.len() > 3",
            "getPassword(\"key\")",
            "use password::Hash;",
            "<input type=\"password\" name=\"x\">",
        ] {
            assert_eq!(value(text, Kind::Code), None, "{text}");
        }
    }
}
