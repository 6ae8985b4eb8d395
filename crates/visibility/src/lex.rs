//! Text to tokens.

use crate::QueryError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A bare word: a name or a keyword.
    Word(String),
    /// A name in backticks.
    Name(String),
    Text(String),
    Integer(i64),
    Real(f64),
    /// One of `( ) , = != < <= > >= && || ! ; <=>` and whatever else is punctuation.
    Symbol(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    /// The character it begins at.
    pub(crate) at: usize,
}

/// Longer ones first.
const SYMBOLS: &[&str] = &[
    "<=>", "!=", "<>", "<=", ">=", "&&", "||", "(", ")", ",", "=", "<", ">", "!", ";", "*", "/", "%", "+", "-", ".",
];

/// The longest query that is read, in bytes.
pub(crate) const MAX_QUERY: usize = 64 * 1024;

pub(crate) fn lex(text: &str) -> Result<Vec<Spanned>, QueryError> {
    if text.len() > MAX_QUERY {
        return Err(QueryError(format!(
            "it has {} bytes, {MAX_QUERY} are allowed: ask for less at once",
            text.len()
        )));
    }
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn next(&mut self) -> Result<Option<Spanned>, QueryError> {
        self.skip_blanks()?;
        let at = self.at;
        let Some(first) = self.peek(0) else {
            return Ok(None);
        };
        let token = match first {
            '\'' | '"' => Token::Text(self.quoted(first)?),
            '`' => Token::Name(self.backticked()?),
            _ if self.begins_number() => self.number()?,
            c if c.is_alphabetic() || c == '_' || c == '@' => Token::Word(self.word()),
            _ => self.symbol()?,
        };
        Ok(Some(Spanned { token, at }))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, c)| self.peek(index) == Some(c))
    }

    fn skip_blanks(&mut self) -> Result<(), QueryError> {
        loop {
            if self.peek(0).is_some_and(char::is_whitespace) {
                self.at += 1;
            } else if self.looking_at("--") && self.peek(2).is_none_or(char::is_whitespace) {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else if self.looking_at("/*") {
                let begin = self.at;
                self.at += 2;
                while !self.looking_at("*/") {
                    if self.at >= self.chars.len() {
                        return Err(QueryError::malformed(begin, "the comment is not closed: it begins"));
                    }
                    self.at += 1;
                }
                self.at += 2;
            } else {
                return Ok(());
            }
        }
    }

    /// A string: its quote is doubled or escaped inside it.
    fn quoted(&mut self, quote: char) -> Result<String, QueryError> {
        let begin = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '\\' => {
                    let Some(escaped) = self.peek(0) else { break };
                    self.at += 1;
                    text.push(match escaped {
                        '0' => '\0',
                        'b' => '\u{8}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'Z' => '\u{1a}',
                        other => other,
                    });
                }
                _ if c == quote && self.peek(0) == Some(quote) => {
                    self.at += 1;
                    text.push(quote);
                }
                _ if c == quote => return Ok(text),
                _ => text.push(c),
            }
        }
        Err(QueryError::malformed(
            begin,
            format!("the string is not closed, a {quote} is missing: it begins"),
        ))
    }

    fn backticked(&mut self) -> Result<String, QueryError> {
        let begin = self.at;
        self.at += 1;
        let name: String = self.chars[self.at..].iter().take_while(|c| **c != '`').collect();
        self.at += name.chars().count();
        if self.peek(0) != Some('`') {
            return Err(QueryError::malformed(
                begin,
                "the name is not closed, a ` is missing: it begins",
            ));
        }
        self.at += 1;
        Ok(name)
    }

    fn begins_number(&self) -> bool {
        let unsigned = usize::from(matches!(self.peek(0), Some('-' | '+')));
        let point = usize::from(self.peek(unsigned) == Some('.'));
        self.peek(unsigned + point).is_some_and(|c| c.is_ascii_digit())
    }

    fn number(&mut self) -> Result<Token, QueryError> {
        let begin = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek(0) {
            let is_sign = matches!(c, '-' | '+') && (text.is_empty() || text.ends_with(['e', 'E']));
            if !(is_sign || c.is_ascii_alphanumeric() || c == '.' || c == '_') {
                break;
            }
            text.push(c);
            self.at += 1;
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Token::Integer(number));
        }
        let is_plain = text
            .chars()
            .all(|c| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        match text.parse::<f64>() {
            Ok(number) if is_plain && number.is_finite() => Ok(Token::Real(number)),
            _ => Err(QueryError::malformed(begin, format!("`{text}` is no number"))),
        }
    }

    fn word(&mut self) -> String {
        let belongs = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.' | '@' | '$');
        let mut word: String = self.chars[self.at..].iter().take_while(|c| belongs(c)).collect();
        self.at += word.chars().count();
        // Names of attributes may have dashes; `a-1` is never a subtraction here.
        while self.peek(0) == Some('-') && self.peek(1).is_some_and(char::is_alphanumeric) {
            word.push('-');
            self.at += 1;
            let more: String = self.chars[self.at..].iter().take_while(|c| belongs(c)).collect();
            self.at += more.chars().count();
            word.push_str(&more);
        }
        word
    }

    fn symbol(&mut self) -> Result<Token, QueryError> {
        match SYMBOLS.iter().find(|symbol| self.looking_at(symbol)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => Err(QueryError::malformed(
                self.at,
                format!("unexpected `{}`", self.chars[self.at]),
            )),
        }
    }
}
