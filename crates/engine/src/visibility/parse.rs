//! Text of a list filter to its syntax tree. Knows no fields.

/// A filter's syntax tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare {
        field: String,
        operator: Operator,
        values: Vec<Literal>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    StartsWith,
    In,
    Between,
    IsNull,
    IsNotNull,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(i64),
}

/// A whole query: a filter, and what to group counts by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) filter: Option<Expr>,
    pub(crate) group_by: Option<String>,
}

/// Longest query that is looked at; a longer one is refused.
const MAX_QUERY: usize = 16 * 1024;
/// Deepest nesting of parentheses; a deeper one is refused, since the parser recurses.
const MAX_DEPTH: usize = 50;

pub(crate) fn parse(text: &str) -> Result<Query, String> {
    if text.len() > MAX_QUERY {
        return Err(format!("the query is longer than {MAX_QUERY} bytes"));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let mut query = Query::default();
    if !parser.is_done() && !parser.peek_word("GROUP") {
        query.filter = Some(parser.disjunction()?);
    }
    if parser.take_word("GROUP") {
        parser.expect_word("BY")?;
        query.group_by = Some(parser.name()?);
    }
    match parser.next() {
        None => Ok(query),
        Some(token) => Err(format!("unexpected {} after the end of the filter", token.describe())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i64),
    Symbol(&'static str),
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Text(text) => format!("'{text}'"),
            Token::Number(number) => number.to_string(),
            Token::Symbol(symbol) => format!("`{symbol}`"),
        }
    }
}

const SYMBOLS: &[&str] = &["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let token;
        (token, rest) = if first == '\'' || first == '"' {
            quoted(rest, first)?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), &rest[symbol.len()..])
        } else if first == '`' {
            // SQL's quotes for names.
            let end = rest[1..].find('`').ok_or("a ` is not closed")? + 1;
            (Token::Word(rest[1..end].to_owned()), &rest[end + 1..])
        } else {
            word(rest).ok_or_else(|| format!("unexpected `{first}`"))?
        };
        tokens.push(token);
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// A quoted text; a doubled quote or a backslash stands for the quote itself.
fn quoted(text: &str, quote: char) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((index, char)) = chars.next() {
        match char {
            '\\' => value.push(chars.next().ok_or("a text ends with a backslash")?.1),
            _ if char != quote => value.push(char),
            _ if chars.peek().is_some_and(|(_, next)| *next == quote) => {
                chars.next();
                value.push(quote);
            }
            _ => return Ok((Token::Text(value), &text[index + 1..])),
        }
    }
    Err(format!("a text that begins with {quote} is not closed"))
}

fn word(text: &str) -> Option<(Token, &str)> {
    let end = text
        .char_indices()
        .find(|(index, char)| {
            !(char.is_alphanumeric() || *char == '_' || *char == '.' || (*index == 0 && *char == '-'))
        })
        .map_or(text.len(), |(index, _)| index);
    let word = &text[..end];
    let token = match word.parse() {
        Ok(number) => Token::Number(number),
        Err(_) if word.starts_with(|first: char| first.is_alphabetic() || first == '_') => Token::Word(word.to_owned()),
        Err(_) => return None,
    };
    Some((token, &text[end..]))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn is_done(&self) -> bool {
        self.at == self.tokens.len()
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn peek_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.at += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Symbol(next)) if *next == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<(), String> {
        if self.take_word(word) {
            Ok(())
        } else {
            Err(self.expected(word))
        }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), String> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{symbol}`")))
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.tokens.get(self.at) {
            Some(token) => format!("expected {what}, found {}", token.describe()),
            None => format!("expected {what} at the end of the query"),
        }
    }

    fn disjunction(&mut self) -> Result<Expr, String> {
        let mut left = self.conjunction()?;
        while self.take_word("OR") {
            left = Expr::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.take_word("AND") {
            left = Expr::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        if self.take_symbol("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(format!("parentheses are nested deeper than {MAX_DEPTH}"));
            }
            let inner = self.disjunction()?;
            self.depth -= 1;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        let field = self.name()?;
        let (operator, values) = self.operator(&field)?;
        Ok(Expr::Compare {
            field,
            operator,
            values,
        })
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            Some(token) => Err(format!("expected the name of a field, found {}", token.describe())),
            None => Err("expected the name of a field at the end of the query".to_owned()),
        }
    }

    fn operator(&mut self, field: &str) -> Result<(Operator, Vec<Literal>), String> {
        let token = self
            .next()
            .ok_or_else(|| format!("expected an operator after `{field}`"))?;
        let simple = match &token {
            Token::Symbol("=") => Operator::Equal,
            Token::Symbol("!=" | "<>") => Operator::NotEqual,
            Token::Symbol("<") => Operator::Less,
            Token::Symbol("<=") => Operator::LessOrEqual,
            Token::Symbol(">") => Operator::Greater,
            Token::Symbol(">=") => Operator::GreaterOrEqual,
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "STARTS_WITH" => Operator::StartsWith,
                "IN" => return Ok((Operator::In, self.list()?)),
                "BETWEEN" => {
                    let low = self.literal()?;
                    self.expect_word("AND")?;
                    return Ok((Operator::Between, vec![low, self.literal()?]));
                }
                "IS" => {
                    let operator = if self.take_word("NOT") {
                        Operator::IsNotNull
                    } else {
                        Operator::IsNull
                    };
                    self.expect_word("NULL")?;
                    return Ok((operator, Vec::new()));
                }
                _ => return Err(format!("`{word}` after `{field}` is not a supported operator")),
            },
            other => {
                return Err(format!(
                    "expected an operator after `{field}`, found {}",
                    other.describe()
                ));
            }
        };
        Ok((simple, vec![self.literal()?]))
    }

    fn list(&mut self) -> Result<Vec<Literal>, String> {
        self.expect_symbol("(")?;
        let mut values = vec![self.literal()?];
        while self.take_symbol(",") {
            values.push(self.literal()?);
        }
        self.expect_symbol(")")?;
        Ok(values)
    }

    fn literal(&mut self) -> Result<Literal, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Literal::Text(text)),
            Some(Token::Number(number)) => Ok(Literal::Number(number)),
            Some(token) => Err(format!(
                "expected a quoted text or a number, found {}",
                token.describe()
            )),
            None => Err("expected a value at the end of the query".to_owned()),
        }
    }
}
