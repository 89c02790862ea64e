//! The catalogs that this process knows: the presets, and those of operators that it has met.
//!
//! An organization names the catalog it follows by a key. A preset's key is its name: its text is the binary's. The key
//! of an operator's catalog holds its name, its version and a hash of its text, so that one key stands for one text
//! for good, and what is known once need never be asked of the database again.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::{Catalog, CatalogError, parse, presets};

static MET: LazyLock<RwLock<HashMap<Arc<str>, Arc<Catalog>>>> = LazyLock::new(RwLock::default);

/// Gives the key of an operator's catalog, from its name, its version and the SHA-256 of its text, of which it holds the
/// first 16 hexadecimal digits.
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

/// Finds a catalog by its key; `None` for an operator's that this process has not met.
#[must_use]
pub fn find(key: &str) -> Option<Arc<Catalog>> {
    presets::preset(key).or_else(|| MET.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone))
}

/// Reads the text that stands under `key` and keeps what it says.
///
/// # Errors
/// All problems of the text, as [`parse()`].
pub fn remember(key: &str, yaml: &str) -> Result<Arc<Catalog>, CatalogError> {
    if let Some(catalog) = find(key) {
        return Ok(catalog);
    }
    let catalog = Arc::new(parse(key, yaml)?);
    let mut met = MET.write().unwrap_or_else(PoisonError::into_inner);
    Ok(Arc::clone(met.entry(key.into()).or_insert(catalog)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_is_found_by_its_key_once_it_was_met() {
        let key = key_of("met-once", 3, &[0xab; 32]);
        assert_eq!(key, "met-once@3:abababababababab");
        assert_eq!(named_by(&key), ("met-once", 3));
        let preset = presets::presets().first().unwrap();
        assert_eq!(named_by(preset.name()), (&**preset.name(), preset.version()));
        assert!(find(&key).is_none());
        let catalog = remember(&key, "name: met-once\nversion: 3\n").unwrap();
        assert_eq!(&**catalog.name(), "met-once");
        assert!(Arc::ptr_eq(&find(&key).unwrap(), &catalog));
        assert!(remember("broken@1:00", "name: [").is_err());
    }
}
