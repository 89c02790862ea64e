//! Pages: how much goes into one, and where the next begins. Tokens are opaque, sealed, bound to their query, good for 24
//! hours.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::incoming::ServerState;
use crate::auth::Purpose;
use crate::domain::error::{Error, Reason};
use crate::domain::time::{AHEAD_MAX, Timestamp};

/// How long a token is good.
const LIFETIME: Duration = Duration::from_hours(24);
/// Longest token that is looked at.
const BYTES_MAX: usize = 4_096;
/// Rows on a page if the caller does not say.
const SIZE_DEFAULT: u32 = 50;
/// Most rows on a page.
const SIZE_MAX: u32 = 1_000;
/// Where a page ends before it has all its rows, in bytes as they go out. An ordinary client takes four times as much.
const ITEM_BYTES_MAX: usize = 1024 * 1024;

/// What goes out as a page.
pub(super) struct Page<M> {
    pub items: Vec<M>,
    /// Empty on the last page.
    pub next_page_token: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed<K> {
    query: String,
    key: K,
    made_at: Timestamp,
}

impl ServerState {
    /// Encodes the rows of a page: as many as fit into it, and at least one, so that every page leads on. `next` is where the
    /// page after all of them begins, if there is one, and `key` where one begins after a row; `query` is everything else
    /// that the request says.
    pub(super) fn page<T, K: Serialize, M: Message>(
        &self,
        query: &str,
        rows: impl IntoIterator<Item = T>,
        next: Option<K>,
        key: impl Fn(&T) -> Result<K, Error>,
        encode: impl Fn(T) -> M,
    ) -> Result<Page<M>, Error> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        let (mut next, mut last) = (next, None);
        for row in rows {
            let place = key(&row)?;
            let item = encode(row);
            bytes += item.encoded_len();
            if bytes > ITEM_BYTES_MAX && !items.is_empty() {
                next = last;
                break;
            }
            items.push(item);
            last = Some(place);
        }
        let token = next.map(|key| self.page_token(query, &key)).transpose()?;
        Ok(Page { items, next_page_token: token.unwrap_or_default() })
    }

    /// Writes the token of the page that begins at `key`; `query` is everything else that the request says.
    pub(super) fn page_token<K: Serialize>(&self, query: &str, key: &K) -> Result<String, Error> {
        let sealed = Sealed { query: query.to_owned(), key, made_at: self.env.now() };
        let plain = serde_json::to_vec(&sealed).map_err(Error::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(self.sealer.seal(Purpose::PageToken, &plain, &self.env)))
    }

    /// Reads a token back; `None` for the first page.
    ///
    /// # Errors
    /// - [`Reason::PageTokenInvalid`] if this installation did not make it, or more than 24 hours ago, or not yet.
    /// - [`Reason::PageTokenMismatch`] if it belongs to another query.
    pub(super) fn page_key<K: DeserializeOwned>(&self, query: &str, token: &str) -> Result<Option<K>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let invalid = || Error::invalid("page_token", Reason::PageTokenInvalid, "is not a token of this installation");
        if token.len() > BYTES_MAX {
            return Err(invalid());
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let plain = self.sealer.open(Purpose::PageToken, &sealed).ok_or_else(invalid)?;
        let page: Sealed<K> = serde_json::from_slice(&plain).map_err(|_| invalid())?;
        if page.query != query {
            return Err(Error::invalid("page_token", Reason::PageTokenMismatch, "belongs to another query"));
        }
        let now = self.env.now();
        if now.since(page.made_at) >= LIFETIME || page.made_at > now.plus(AHEAD_MAX) {
            return Err(invalid());
        }
        Ok(Some(page.key))
    }
}

/// Reads a page's size.
///
/// # Errors
/// - [`Reason::OutOfRange`] below 0 or above 1000.
pub(super) fn page_size(size: i32) -> Result<u32, Error> {
    match u32::try_from(size) {
        Ok(0) => Ok(SIZE_DEFAULT),
        Ok(size @ 1..=SIZE_MAX) => Ok(size),
        _ => Err(Error::invalid("page_size", Reason::OutOfRange, "must be from 1 to 1000, or 0 for 50")),
    }
}
