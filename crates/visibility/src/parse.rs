//! Tokens to a tree. Its depth and its size are bounded, so whatever walks it may recurse.

use crate::{
    QueryError,
    lex::{Spanned, Token, lex},
};

/// Parentheses and NOTs inside each other.
const MAX_DEPTH: usize = 100;
/// Keys of one order.
const MAX_KEYS: usize = 16;
/// Comparisons and values in one query.
const MAX_TERMS: usize = 2000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Integer(i64),
    Real(f64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is asked of one attribute. Each has its opposite.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Compare(Comparison, Literal),
    In { negated: bool, values: Vec<Literal> },
    Between { negated: bool, low: Literal, high: Literal },
    StartsWith { negated: bool, prefix: Literal },
    Null { negated: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Test { field: String, test: Test },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) field: String,
    pub(crate) descending: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) filter: Option<Expr>,
    pub(crate) group_by: Vec<String>,
    pub(crate) order_by: Vec<Order>,
}

pub(crate) fn parse(text: &str) -> Result<Parsed, QueryError> {
    let mut parser = Parser {
        tokens: lex(text)?,
        at: 0,
        end: text.chars().count(),
        depth: 0,
        terms: 0,
    };
    let parsed = parser.query()?;
    match parser.peek() {
        None => Ok(parsed),
        Some(_) if parser.is_word("LIMIT") => Err(QueryError::unsupported(
            "'LIMIT' clause: the page size of the request says how many are wanted",
        )),
        Some(_) => Err(parser.unexpected("AND, OR, GROUP BY, ORDER BY or the end")),
    }
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    end: usize,
    depth: usize,
    terms: usize,
}

impl Parser {
    fn query(&mut self) -> Result<Parsed, QueryError> {
        let mut parsed = Parsed::default();
        let has_filter = self.peek().is_some() && !(self.is_word("GROUP") || self.is_word("ORDER"));
        if has_filter {
            parsed.filter = Some(self.or()?);
        }
        if self.take_word("GROUP") {
            self.expect_word("BY")?;
            parsed.group_by.push(self.name()?);
            while self.take_symbol(",") {
                parsed.group_by.push(self.name()?);
            }
        }
        if self.take_word("ORDER") {
            self.expect_word("BY")?;
            loop {
                let field = self.name()?;
                let descending = self.take_word("DESC");
                if !descending {
                    self.take_word("ASC");
                }
                if parsed.order_by.len() == MAX_KEYS {
                    return Err(QueryError(format!(
                        "it orders by more than {MAX_KEYS} search attributes"
                    )));
                }
                parsed.order_by.push(Order { field, descending });
                if !self.take_symbol(",") {
                    break;
                }
            }
        }
        Ok(parsed)
    }

    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.and()?];
        while self.take_word("OR") || self.take_symbol("||") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Expr::Or(parts)
        })
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.not()?];
        while self.take_word("AND") || self.take_symbol("&&") {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Expr::And(parts)
        })
    }

    fn not(&mut self) -> Result<Expr, QueryError> {
        if self.take_word("NOT") {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.not()?))));
        }
        if self.take_symbol("(") {
            return self.deeper(|parser| {
                let inner = parser.or()?;
                if parser.take_symbol(")") {
                    Ok(inner)
                } else {
                    Err(parser.unexpected("`)`"))
                }
            });
        }
        self.test()
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<Expr, QueryError>) -> Result<Expr, QueryError> {
        if self.depth == MAX_DEPTH {
            return Err(QueryError(format!(
                "it is nested deeper than {MAX_DEPTH} levels: leave out parentheses that change nothing"
            )));
        }
        self.depth += 1;
        let expr = inner(self)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Expr, QueryError> {
        self.count_term()?;
        let field = self.name()?;
        let test = self.rest_of_test(&field)?;
        Ok(Expr::Test { field, test })
    }

    fn rest_of_test(&mut self, field: &str) -> Result<Test, QueryError> {
        if self.take_word("IS") {
            let negated = self.take_word("NOT");
            if self.take_word("NULL") {
                return Ok(Test::Null { negated });
            }
            return Err(QueryError::expression(
                "'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'",
            ));
        }
        let negated = self.take_word("NOT");
        if self.take_word("IN") {
            return Ok(Test::In {
                negated,
                values: self.list()?,
            });
        }
        if self.take_word("BETWEEN") {
            let low = self.literal()?;
            self.expect_word("AND")?;
            let high = self.literal()?;
            return Ok(Test::Between { negated, low, high });
        }
        if self.take_word("STARTS_WITH") {
            let prefix = self.literal()?;
            return Ok(Test::StartsWith { negated, prefix });
        }
        if let Some(operator) = self.unsupported_operator() {
            return Err(QueryError::unsupported(format!(
                "operator '{operator}' on search attribute '{field}': there are =, !=, <, <=, >, >=, IN, BETWEEN, \
                 STARTS_WITH, their opposites with NOT, and IS [NOT] NULL"
            )));
        }
        let comparison = match self.peek() {
            Some(Token::Symbol("=")) => Comparison::Equal,
            Some(Token::Symbol("!=" | "<>")) => Comparison::NotEqual,
            Some(Token::Symbol("<")) => Comparison::Less,
            Some(Token::Symbol("<=")) => Comparison::LessOrEqual,
            Some(Token::Symbol(">")) => Comparison::Greater,
            Some(Token::Symbol(">=")) => Comparison::GreaterOrEqual,
            Some(Token::Symbol("(")) => {
                return Err(QueryError::unsupported(format!("function expression: `{field}(...)`")));
            }
            _ if negated => return Err(self.unexpected("IN, BETWEEN or STARTS_WITH")),
            None | Some(Token::Symbol(")")) => {
                return Err(QueryError::expression(format!(
                    "incomplete expression: an operator and a value must follow `{field}`"
                )));
            }
            _ => return Err(self.unexpected("an operator")),
        };
        if negated {
            return Err(self.unexpected("IN, BETWEEN or STARTS_WITH"));
        }
        self.at += 1;
        Ok(Test::Compare(comparison, self.literal()?))
    }

    fn unsupported_operator(&self) -> Option<String> {
        match self.peek()? {
            Token::Symbol("<=>") => Some("<=>".to_owned()),
            Token::Word(word) => {
                let word = word.to_ascii_uppercase();
                ["LIKE", "REGEXP", "RLIKE", "ILIKE", "CONTAINS", "MATCH"]
                    .contains(&word.as_str())
                    .then_some(word)
            }
            _ => None,
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, QueryError> {
        if !self.take_symbol("(") {
            return Err(self.unexpected("`(` and a list of values"));
        }
        let mut values = vec![self.literal()?];
        while self.take_symbol(",") {
            values.push(self.literal()?);
        }
        if !self.take_symbol(")") {
            return Err(self.unexpected("`,` or `)`"));
        }
        Ok(values)
    }

    fn literal(&mut self) -> Result<Literal, QueryError> {
        self.count_term()?;
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Integer(number)) => Literal::Integer(*number),
            Some(Token::Real(number)) => Literal::Real(*number),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("null") => {
                return Err(QueryError::expression(
                    "a value cannot be NULL: use IS NULL or IS NOT NULL",
                ));
            }
            Some(Token::Word(_))
                if self
                    .tokens
                    .get(self.at + 1)
                    .is_some_and(|next| next.token == Token::Symbol("(")) =>
            {
                return Err(QueryError::unsupported("nested func: write the value itself"));
            }
            Some(Token::Word(word) | Token::Name(word)) => {
                return Err(QueryError::unsupported(format!(
                    "column name on the right side of comparison expression (did you forget to quote {word:?}?)"
                )));
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        Ok(literal)
    }

    fn name(&mut self) -> Result<String, QueryError> {
        let name = match self.peek() {
            Some(Token::Name(name)) => name.clone(),
            Some(Token::Word(word)) if !is_reserved(word) => word.clone(),
            Some(Token::Text(_) | Token::Integer(_) | Token::Real(_)) => {
                return Err(QueryError::expression(format!(
                    "must be a column name but was a value at character {}: the name comes first, without quotes or in `...`",
                    self.position() + 1
                )));
            }
            _ => return Err(self.unexpected("the name of a search attribute")),
        };
        self.at += 1;
        Ok(name)
    }

    fn count_term(&mut self) -> Result<(), QueryError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(QueryError(format!(
                "it has more than {MAX_TERMS} comparisons and values: ask for less at once"
            )));
        }
        Ok(())
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|spanned| &spanned.token)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |spanned| spanned.at)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<(), QueryError> {
        if self.take_word(word) {
            Ok(())
        } else {
            Err(self.unexpected(word))
        }
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, wanted: &str) -> QueryError {
        let found = match self.peek() {
            None => "syntax error: the query ends".to_owned(),
            Some(Token::Word(word) | Token::Name(word)) => format!("syntax error near `{word}`"),
            Some(Token::Text(text)) => format!("syntax error near '{text}'"),
            Some(Token::Integer(number)) => format!("syntax error near {number}"),
            Some(Token::Real(number)) => format!("syntax error near {number}"),
            Some(Token::Symbol(symbol)) => format!("syntax error near `{symbol}`"),
        };
        QueryError(format!(
            "{}, where {wanted} should be",
            QueryError::malformed(self.position(), found).0
        ))
    }
}

/// Words that cannot be names without backticks, so that what is missing is noticed where it is missing.
fn is_reserved(word: &str) -> bool {
    const RESERVED: &[&str] = &[
        "AND",
        "OR",
        "NOT",
        "IN",
        "IS",
        "NULL",
        "BETWEEN",
        "STARTS_WITH",
        "GROUP",
        "ORDER",
        "BY",
        "LIMIT",
        "WHERE",
        "XOR",
        "LIKE",
        "TRUE",
        "FALSE",
        "EXISTS",
        "SELECT",
    ];
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}
