//! The catalogs that a server knows, by their keys.
//!
//! An organization names the catalog it follows by a key. A preset's key is its name: its text is the binary's. The key
//! of an operator's catalog holds its name, its version and a hash of its text, so that one key stands for one text
//! for good, and what was learned once need never be asked of the database again. `app` makes the one [`Catalogs`] of a
//! server; the store learns them as it reads rows, before anybody is given a fact that names one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Catalog, CatalogError, parse, presets};

/// Returns the key of an operator's catalog, from its name, its version and the SHA-256 of its text, of which it holds
/// the first 16 hexadecimal digits.
#[must_use]
pub fn key_of(name: &str, version: u32, hash: &[u8; 32]) -> String {
    let digits = u64::from_be_bytes(hash.first_chunk().copied().unwrap_or_default());
    format!("{name}@{version}:{digits:016x}")
}

/// Reads the name and the version out of a key.
#[must_use]
pub fn named_by(key: &str) -> (&str, u32) {
    match key.split_once('@') {
        Some((name, rest)) => {
            let version = rest.split(':').next().and_then(|version| version.parse().ok());
            (name, version.unwrap_or_default())
        }
        None => (key, presets::preset(key).map_or(0, |preset| preset.version())),
    }
}

/// The catalogs that a server knows: the presets, and those of operators that it has learned. A clone has the same
/// ones, then and ever after.
#[derive(Clone, Default)]
pub struct Catalogs {
    learned: Arc<RwLock<HashMap<Arc<str>, Arc<Catalog>>>>,
}

impl Catalogs {
    /// Finds a catalog by its key; `None` for an operator's that was not learned yet.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Arc<Catalog>> {
        let learned = || self.learned.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone);
        presets::preset(key).or_else(learned)
    }

    /// Reads the text that stands under `key` and keeps what it says.
    ///
    /// # Errors
    /// All problems of the text, as [`parse()`].
    pub fn learn(&self, key: &str, yaml: &str) -> Result<Arc<Catalog>, CatalogError> {
        if let Some(catalog) = self.find(key) {
            return Ok(catalog);
        }
        let catalog = Arc::new(parse(key, yaml)?);
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(learned.entry(key.into()).or_insert(catalog)))
    }
}

impl std::fmt::Debug for Catalogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalogs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_is_found_by_its_key_once_it_was_learned() {
        let key = key_of("met-once", 3, &[0xab; 32]);
        assert_eq!(key, "met-once@3:abababababababab");
        assert_eq!(named_by(&key), ("met-once", 3));
        let preset = presets::presets().first().unwrap();
        assert_eq!(named_by(preset.name()), (&**preset.name(), preset.version()));

        let (catalogs, others) = (Catalogs::default(), Catalogs::default());
        let same = catalogs.clone();
        assert!(catalogs.find(&key).is_none());
        let catalog = catalogs.learn(&key, "name: met-once\nversion: 3\n").unwrap();
        assert_eq!(&**catalog.name(), "met-once");
        assert!(Arc::ptr_eq(&same.find(&key).unwrap(), &catalog));
        assert!(others.find(&key).is_none());
        assert!(catalogs.learn("broken@1:00", "name: [").is_err());
    }
}
