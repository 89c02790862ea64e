//! The catalogs that worlds are made of, each twice: compiled, as the service has it, and as it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use guildhall::domain::catalog::{Catalog, parse};

/// Names of the catalogs, which are those of their files.
const NAMES: &[&str] =
    &["disaster-recovery", "task-automation", "thicket", "msp-monitoring", "bi-dashboards", "analytics-workspace"];
/// Where a catalog may lie; what ships lies in the first.
const FOLDERS: &[&str] = &["presets", "tests/integration/rule"];

static PRODUCTS: LazyLock<Vec<Product>> = LazyLock::new(|| NAMES.iter().map(|name| Product::read(name)).collect());

/// Returns every catalog.
pub fn products() -> &'static [Product] {
    &PRODUCTS
}

/// Returns the catalog of that name.
pub fn product(name: &str) -> &'static Product {
    PRODUCTS.iter().find(|product| product.name() == name).unwrap_or_else(|| panic!("there is a catalog {name}"))
}

/// One catalog.
#[derive(Debug)]
pub struct Product {
    /// As the service has it.
    pub compiled: Arc<Catalog>,
    /// As it is written.
    pub written: Written,
}

impl Product {
    fn read(name: &str) -> Self {
        let file = format!("{name}.yaml");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = FOLDERS.iter().find_map(|folder| std::fs::read_to_string(root.join(folder).join(&file)).ok());
        let text = text.unwrap_or_else(|| panic!("{file} is in one of {FOLDERS:?}"));
        let compiled = parse(&file, &text).unwrap_or_else(|error| panic!("{error}"));
        let written = serde_saphyr::from_str(&text).expect("what the service reads is YAML of this shape");
        Self { compiled: Arc::new(compiled), written }
    }

    /// Returns the catalog's name.
    pub fn name(&self) -> &str {
        self.compiled.name()
    }
}

/// What the rule needs of a catalog, field by field as its author wrote it.
#[derive(Debug, serde::Deserialize)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Resource types by name.
    #[serde(default)]
    pub types: BTreeMap<String, WrittenType>,
    /// Roles by name.
    #[serde(default)]
    pub roles: BTreeMap<String, WrittenRole>,
}

/// A resource type as it is written.
#[derive(Debug, serde::Deserialize)]
pub struct WrittenType {
    /// What it is visible by; `T.view` if not said.
    pub visible_by: Option<String>,
    /// What it may stand under; anything if not said.
    pub under: Option<BTreeSet<String>>,
    /// The roles that who may share it gives on it.
    #[serde(default)]
    pub shares: BTreeSet<String>,
}

impl WrittenType {
    /// Whether a resource of it may stand directly under one of the type `parent`, or the `organization`.
    pub fn may_stand_under(&self, parent: &str) -> bool {
        self.under.as_ref().is_none_or(|under| under.contains(parent))
    }
}

/// A role as it is written.
#[derive(Debug, Default, serde::Deserialize)]
pub struct WrittenRole {
    /// Roles whose contents it takes in.
    #[serde(default)]
    pub includes: Vec<String>,
    /// The word of the reach by the name of the permission.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// Whether it lists.
    #[serde(default)]
    pub as_member: bool,
    /// What it gives.
    #[serde(default)]
    pub may_grant: WrittenCeiling,
    /// What it takes.
    #[serde(default)]
    pub may_take: WrittenCeiling,
}

/// A ceiling as it is written.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
pub enum WrittenCeiling {
    /// NONE, SUBSET or ANY.
    Word(String),
    /// Names of roles.
    Roles(Vec<String>),
}

impl Default for WrittenCeiling {
    fn default() -> Self {
        Self::Word("NONE".to_owned())
    }
}
