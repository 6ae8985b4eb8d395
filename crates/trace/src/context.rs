//! W3C trace context: where in which trace something happens.

use std::fmt;
use std::str::FromStr;

/// Names a span, and its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether the trace is to be kept.
    pub is_sampled: bool,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.is_sampled))
    }
}

/// A text that is no context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidContext;

impl FromStr for Context {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags, more @ ..] = parts.as_slice() else {
            return Err(InvalidContext);
        };
        let ([version], [flags]) = (bytes(version)?, bytes(flags)?);
        let (trace, span) = (bytes(trace)?, bytes(span)?);
        // Later versions may say more behind this; version 255 is none.
        if version == 0xff || (version == 0 && !more.is_empty()) || trace == [0; 16] || span == [0; 8] {
            return Err(InvalidContext);
        }
        Ok(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], InvalidContext> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return Err(InvalidContext);
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| InvalidContext)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_written_as_it_was_read() {
        let context: Context = GOOD.parse().unwrap();
        assert!(context.is_sampled);
        assert_eq!(context.to_string(), GOOD);
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(unsampled.parse::<Context>().unwrap().to_string(), unsampled);
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-ääääääääääääääää-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<Context>(), Err(InvalidContext), "{text}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(later.parse::<Context>().is_ok());
    }
}
