//! From YAML to a [`Catalog`]: read the tree ([`node`]), take its fields apart ([`definition`]), look up every name,
//! check and take the closure of every role ([`compile`], [`check`]). Each step goes on after a problem, so that an
//! author learns of all at once. A new field needs a line in `definition`, one in `compile` and one in
//! docs/catalog.md.

mod check;
mod compile;
mod definition;
mod diff;
mod field;
mod node;
mod problem;
#[cfg(test)]
mod tests;

pub use compile::OPERATOR;
use definition::Definition;
pub use diff::{Difference, diff};
pub use field::is_name;
use problem::Problems;

pub use problem::{CatalogError, Problem};

use super::Catalog;

/// Reads, checks and compiles the catalog in `yaml`; `source_name` names the text in errors, as a file's name does.
///
/// The format is described in docs/catalog.md; a text has at most 256 KiB.
///
/// # Errors
/// All problems of the text with line, column and field. A text that is not YAML has one: what it stumbled over.
pub fn parse(source_name: &str, yaml: &str) -> Result<Catalog, CatalogError> {
    let mut problems = Problems::default();
    let definition = node::read(yaml, &mut problems).and_then(|node| Definition::read(node, &mut problems));
    let catalog = definition.map(|definition| compile::compile(&definition, &mut problems));
    problems.finish(source_name, catalog)
}
