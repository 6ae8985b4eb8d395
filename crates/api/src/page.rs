//! Lists in pages: `?cursor=&limit=`, answered with `items` and `next_cursor`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use helve_ledger::{DEFAULT_LIMIT, MAX_LIMIT, PageRequest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, Result};

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// Items at most: 1 to 500, 50 when nothing is said.
    #[param(minimum = 1, maximum = 500)]
    #[serde(default, deserialize_with = "within_bounds")]
    pub(crate) limit: Option<usize>,
}

pub(crate) fn within_bounds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<usize>, D::Error> {
    let limit = usize::deserialize(deserializer)?;
    match (1..=MAX_LIMIT).contains(&limit) {
        true => Ok(Some(limit)),
        false => Err(D::Error::custom(format!("limit must be 1 to {MAX_LIMIT}"))),
    }
}

/// Some items of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// May be fewer than asked for, even none, while there is a `next_cursor`.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; null: this was the last one.
    pub(crate) next_cursor: Option<String>,
}

impl Paging {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }

    /// For lists of the ledger.
    pub(crate) fn request(self) -> PageRequest {
        PageRequest {
            cursor: self.cursor.map(helve_ledger::Cursor::new),
            limit: self.limit,
        }
    }

    /// For lists of the engine: the token that it gave.
    pub(crate) fn token(&self) -> Result<Vec<u8>> {
        let Some(cursor) = &self.cursor else {
            return Ok(Vec::new());
        };
        URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong_cursor())
    }

    /// For lists that are made anew for each page: what comes after the name in the cursor.
    pub(crate) fn cut<T>(&self, items: Vec<T>, name: impl Fn(&T) -> String) -> Result<Page<T>> {
        let after = match &self.cursor {
            None => None,
            Some(cursor) => {
                let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong_cursor())?;
                Some(String::from_utf8(bytes).map_err(|_| wrong_cursor())?)
            }
        };
        let limit = self.limit();
        let start = match &after {
            None => 0,
            Some(after) => items
                .iter()
                .position(|item| name(item) == *after)
                .map_or(items.len(), |at| at + 1),
        };
        let is_more = items.len() > start + limit;
        let items: Vec<T> = items.into_iter().skip(start).take(limit).collect();
        let next_cursor = items
            .last()
            .filter(|_| is_more)
            .map(|last| URL_SAFE_NO_PAD.encode(name(last)));
        Ok(Page { items, next_cursor })
    }
}

/// A cursor of the engine's token.
pub(crate) fn cursor_of(token: &[u8]) -> Option<String> {
    (!token.is_empty()).then(|| URL_SAFE_NO_PAD.encode(token))
}

pub(crate) fn wrong_cursor() -> Problem {
    Problem::unprocessable("this is no cursor of this list: take the `next_cursor` of its last page, or leave it out")
}

impl<T> From<helve_ledger::Page<T>> for Page<T> {
    fn from(page: helve_ledger::Page<T>) -> Self {
        Self {
            items: page.items,
            next_cursor: page.next_cursor.map(|cursor| cursor.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list_hold_each_item_once() {
        let items = || vec!["a", "b", "c", "d", "e"];
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let paging = Paging { cursor, limit: Some(2) };
            let page = paging.cut(items(), |item| (*item).to_owned()).unwrap();
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, items());
    }

    #[test]
    fn a_cursor_that_was_never_given_is_refused() {
        let paging = Paging {
            cursor: Some("%%%".to_owned()),
            limit: None,
        };
        assert!(paging.cut(vec!["a"], |item| (*item).to_owned()).is_err());
        assert!(paging.token().is_err());
    }
}
