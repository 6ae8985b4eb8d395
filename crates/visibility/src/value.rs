//! Values of search attributes: their types, and the rows by which they are found.

use temporalio_protos::temporal::api::{common::v1::Payload, enums::v1::IndexedValueType};

/// A parameter to be bound, or the value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// SQL NULL.
    Null,
    /// A 64-bit integer; also a time in nanoseconds since 1970, and a truth value.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// UTF-8 text.
    Text(String),
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Param::Integer(number)
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Param::Text(text.to_owned())
    }
}

/// The type of a search attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueType {
    /// Words, found one by one whatever their case.
    Text,
    /// A text that is compared as a whole.
    Keyword,
    /// A 64-bit integer.
    Int,
    /// A floating-point number.
    Double,
    /// True or false.
    Bool,
    /// A point in time.
    Datetime,
    /// Several keywords, found one by one.
    KeywordList,
}

impl ValueType {
    /// As the protocol numbers it; `None` for what is no type.
    pub fn from_proto(number: i32) -> Option<Self> {
        Some(match IndexedValueType::try_from(number).ok()? {
            IndexedValueType::Unspecified => return None,
            IndexedValueType::Text => ValueType::Text,
            IndexedValueType::Keyword => ValueType::Keyword,
            IndexedValueType::Int => ValueType::Int,
            IndexedValueType::Double => ValueType::Double,
            IndexedValueType::Bool => ValueType::Bool,
            IndexedValueType::Datetime => ValueType::Datetime,
            IndexedValueType::KeywordList => ValueType::KeywordList,
        })
    }

    /// As the protocol knows it.
    pub fn to_proto(self) -> IndexedValueType {
        match self {
            ValueType::Text => IndexedValueType::Text,
            ValueType::Keyword => IndexedValueType::Keyword,
            ValueType::Int => IndexedValueType::Int,
            ValueType::Double => IndexedValueType::Double,
            ValueType::Bool => IndexedValueType::Bool,
            ValueType::Datetime => IndexedValueType::Datetime,
            ValueType::KeywordList => IndexedValueType::KeywordList,
        }
    }

    /// The name that payloads carry as their `type`.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Text => "Text",
            ValueType::Keyword => "Keyword",
            ValueType::Int => "Int",
            ValueType::Double => "Double",
            ValueType::Bool => "Bool",
            ValueType::Datetime => "Datetime",
            ValueType::KeywordList => "KeywordList",
        }
    }

    /// The rows by which a value is found, none if it is null. An error if the payload is no value of this type.
    ///
    /// Text is found by its words, in lower case; a text without words has one empty row, for it is not null.
    pub(crate) fn rows(self, payload: &Payload) -> Result<Vec<Param>, NotOfType> {
        let mut rows: Vec<Param> = Vec::new();
        for value in values(payload, self == ValueType::KeywordList)? {
            match (self, value) {
                (ValueType::Keyword | ValueType::KeywordList, serde_json::Value::String(text)) => {
                    rows.push(Param::Text(text));
                }
                (ValueType::Text, serde_json::Value::String(text)) => {
                    let words: Vec<_> = words(&text).map(Param::Text).collect();
                    if words.is_empty() {
                        rows.push(Param::Text(String::new()));
                    }
                    rows.extend(words);
                }
                (ValueType::Int, serde_json::Value::Number(number)) => {
                    rows.push(Param::Integer(number.as_i64().ok_or(NotOfType)?));
                }
                (ValueType::Double, serde_json::Value::Number(number)) => {
                    rows.push(Param::Real(number.as_f64().ok_or(NotOfType)?));
                }
                (ValueType::Bool, serde_json::Value::Bool(flag)) => rows.push(Param::Integer(flag.into())),
                (ValueType::Datetime, serde_json::Value::String(text)) => {
                    rows.push(Param::Integer(datetime(&text).ok_or(NotOfType)?));
                }
                _ => return Err(NotOfType),
            }
        }
        Ok(rows)
    }
}

/// A payload that is no value of its attribute's type.
#[derive(Debug)]
pub(crate) struct NotOfType;

/// The values in a payload: none if it is null or an empty list. A list of one is as good as the one.
fn values(payload: &Payload, is_list: bool) -> Result<Vec<serde_json::Value>, NotOfType> {
    let encoding = payload.metadata.get("encoding").map(Vec::as_slice);
    match encoding {
        Some(b"binary/null") => return Ok(Vec::new()),
        Some(b"json/plain") => {}
        _ => return Err(NotOfType),
    }
    match serde_json::from_slice(&payload.data).map_err(|_| NotOfType)? {
        serde_json::Value::Null => Ok(Vec::new()),
        serde_json::Value::Array(values) if is_list || values.len() <= 1 => Ok(values),
        _ if is_list => Err(NotOfType),
        serde_json::Value::Array(_) => Err(NotOfType),
        value => Ok(vec![value]),
    }
}

/// The words of a text, in lower case.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// A time as RFC 3339 writes it, in nanoseconds since 1970; one that is out of reach counts as the farthest.
pub(crate) fn datetime(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // The parser below is more lenient than the format is.
    let zone = match bytes {
        [.., b'Z'] => 1,
        [.., b'+' | b'-', _, _, b':', _, _] => 6,
        _ => return None,
    };
    let shape: &[u8] = b"0000-00-00T00:00:00";
    let (time, rest) = bytes[..bytes.len() - zone].split_at_checked(shape.len())?;
    let fits = |(found, wanted): (&u8, &u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        other => found == other,
    };
    let fraction_fits = match rest {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !(time.iter().zip(shape).all(fits) && fraction_fits) {
        return None;
    }
    // More digits than nanoseconds have are read, but not kept.
    let local: jiff::civil::DateTime = text.get(..shape.len() + rest.len().min(10))?.parse().ok()?;
    let offset = match text.get(text.len() - zone..)?.as_bytes() {
        [sign, hours @ .., _, _, _] => {
            let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'));
            let minutes = &bytes[bytes.len() - 2..];
            if !hours.iter().chain(minutes).all(u8::is_ascii_digit) || number(hours) > 23 || number(minutes) > 59 {
                return None;
            }
            let seconds = number(hours) * 3600 + number(minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => 0,
    };
    let since = local.duration_since(jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let nanos = since.as_nanos() - offset * 1_000_000_000;
    Some(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_writes_them_and_no_other_way() {
        assert_eq!(datetime("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(datetime("1970-01-01T01:00:01.5+01:00"), Some(1_500_000_000));
        assert_eq!(datetime("1970-01-01T00:00:00.1234567899Z"), Some(123_456_789));
        assert_eq!(datetime("1970-01-01T00:00:00-00:30"), Some(1_800_000_000_000));
        assert_eq!(datetime("9999-12-31T23:59:59Z"), Some(i64::MAX));
        assert_eq!(datetime("0001-01-01T00:00:00Z"), Some(i64::MIN));
        for text in [
            "",
            "Z",
            "2026-01-02",
            "2026-01-02T00:00:00",
            "2026-01-02 00:00:00Z",
            "2026-13-02T00:00:00Z",
            "2026-01-02T00:00:00.Z",
            "2026-01-02T00:00:00+0a:00",
            "2026-01-02T00:00:00+99:00",
            "2026-01-02T00:00Z",
            "ü026-01-02T00:00:00Z",
        ] {
            assert_eq!(datetime(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_its_words() {
        assert_eq!(
            words("one,TWO; Straße-3 ...").collect::<Vec<_>>(),
            ["one", "two", "straße", "3"]
        );
    }
}
