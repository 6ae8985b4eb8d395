//! Lists that come in pages.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::transport::Client;

/// What a server gives at a time, at most.
const LARGEST: usize = 500;

/// Some items of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    /// May be fewer than asked for, even none, while there is a `next_cursor`.
    pub items: Vec<T>,
    /// Where the next page begins; none: this was the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

impl Client {
    /// One page of a list.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<T>, Error> {
        let limit = limit.clamp(1, LARGEST).to_string();
        let mut query = query.to_vec();
        query.push(("limit", &limit));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get(path, &query).await
    }

    /// The first items of a list, from as many pages as it takes.
    pub(crate) async fn first<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: usize,
    ) -> Result<Vec<T>, Error> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let wanted = limit.saturating_sub(items.len());
            let page: Page<T> = self.page(path, query, wanted, cursor.as_deref()).await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) if items.len() < limit => cursor = Some(next),
                _ => break,
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    /// All items of a list.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Error> {
        self.first(path, query, usize::MAX).await
    }
}
