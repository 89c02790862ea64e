//! The catalogs that ship with Guildhall, built into the binary.
//!
//! To add one: a file in presets/ and a line below.

use std::sync::{Arc, LazyLock};

use super::{Catalog, parse};

/// Takes the text of a preset into the binary.
macro_rules! embed {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/", $file)))),+]
    };
}

/// Name of the file and its text.
const TEXTS: &[(&str, &str)] = embed![
    "analytics-workspace.yaml",
    "bi-dashboards.yaml",
    "disaster-recovery.yaml",
    "msp-monitoring.yaml",
    "task-automation.yaml",
];

static PRESETS: LazyLock<Vec<Arc<Catalog>>> = LazyLock::new(|| {
    let read = |(file, yaml): &(&str, &str)| {
        Arc::new(parse(file, yaml).expect("a preset is part of the source, and a test has parsed it"))
    };
    TEXTS.iter().map(read).collect()
});

/// Returns every preset, compiled at the first call.
#[must_use]
pub fn presets() -> &'static [Arc<Catalog>] {
    &PRESETS
}

/// Finds a preset by the name of its catalog.
#[must_use]
pub fn preset(name: &str) -> Option<Arc<Catalog>> {
    PRESETS.iter().find(|catalog| **catalog.name() == *name).cloned()
}

/// Finds a preset by the name of its catalog, with its text.
#[must_use]
pub fn text(name: &str) -> Option<(Arc<Catalog>, &'static str)> {
    PRESETS
        .iter()
        .zip(TEXTS)
        .find(|(catalog, _)| **catalog.name() == *name)
        .map(|(it, (_, yaml))| (Arc::clone(it), *yaml))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_parses_and_is_found_by_its_own_name_which_is_that_of_its_file() {
        for ((file, _), catalog) in TEXTS.iter().zip(presets()) {
            assert_eq!(*file, format!("{}.yaml", catalog.name()));
            assert_eq!(preset(catalog.name()).unwrap().name(), catalog.name());
        }
        assert!(preset("no-such-preset").is_none());
    }
}
