//! Lists in pages: opaque cursors, bounded pages.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::Error;

/// Items of a page when nobody says how many.
pub const DEFAULT_LIMIT: usize = 50;
/// Items of a page at most; who asks for more gets this many.
pub const MAX_LIMIT: usize = 500;

/// Where the next page begins. Opaque: it is only good for the same question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor as a client gives it back. What it says is checked when it is used.
    pub fn new(text: impl Into<String>) -> Self {
        Cursor(text.into())
    }

    /// The text that a client is given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn of<T: Serialize>(list: &str, position: &T) -> Self {
        let text = serde_json::to_vec(&(list, position)).expect("a position is plain data");
        Cursor(URL_SAFE_NO_PAD.encode(text))
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, list: &str) -> Result<T, Error> {
        let wrong = || {
            Error::invalid(format!(
                "`{}` is no cursor of this list: take the `next_cursor` of its last page, or leave it out to begin",
                self.0
            ))
        };
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| wrong())?;
        let (name, position): (String, T) = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if name == list { Ok(position) } else { Err(wrong()) }
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// None: the first page.
    pub cursor: Option<Cursor>,
    /// Items at most; none: [`DEFAULT_LIMIT`].
    pub limit: Option<usize>,
}

impl PageRequest {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }

    pub(crate) fn after<T: DeserializeOwned>(&self, list: &str) -> Result<Option<T>, Error> {
        self.cursor.as_ref().map(|cursor| cursor.read(list)).transpose()
    }
}

/// Some items of a list, and where it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// In the order of the list. May be fewer than asked for, even none, while there is a `next_cursor`: a page looks at so
    /// many rows at most.
    pub items: Vec<T>,
    /// Where the next page begins; none: this was the last one.
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// The same page with each item turned into something else.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(turn).collect(),
            next_cursor: self.next_cursor,
        }
    }
}
