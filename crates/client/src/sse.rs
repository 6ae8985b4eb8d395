//! Server-Sent Events, read from pieces of any size.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where to go on after it.
    pub(crate) id: Option<String>,
    /// Its data.
    pub(crate) data: String,
}

/// A line longer than this is no event of ours. Bytes.
const LONGEST_LINE: usize = 16 << 20;

/// Takes in bytes, gives out events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    message: Message,
    has_data: bool,
}

/// A line was longer than any event of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// The events that end within these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > LONGEST_LINE {
                return Err(TooLong);
            }
            if self.line.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.line);
                let text = String::from_utf8_lossy(&line);
                messages.extend(self.take(text.trim_end_matches(['\n', '\r'])));
            }
        }
        Ok(messages)
    }

    fn take(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        // What begins with a colon is a sign of life.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": still there\n\nid: 3.1\nevent: log\ndata: {\"a\":\ndata: 1}\n\nevent: x\r\ndata:é\r\n\r\nid: 9\n\n";

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let whole = Parser::default().push(STREAM.as_bytes()).unwrap();
        let message = |id: Option<&str>, data: &str| Message {
            id: id.map(str::to_owned),
            data: data.to_owned(),
        };
        assert_eq!(whole, [message(Some("3.1"), "{\"a\":\n1}"), message(None, "é")]);
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let cut: Vec<Message> = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| parser.push(piece).unwrap())
                .collect();
            assert_eq!(cut, whole, "pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let mut outcome = Ok(Vec::new());
        for _ in 0..18 {
            outcome = outcome.and_then(|_| parser.push(&piece));
        }
        assert_eq!(outcome, Err(TooLong));
    }
}
