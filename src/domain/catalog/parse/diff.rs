//! In what two catalogs differ, as they are written: by path, whatever the order of fields and lists.

use std::collections::BTreeMap;

use super::node::{self, Node, Value};
use super::problem::Problems;

/// One field that two catalogs have differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// As in `roles.editor.permissions.article.publish`.
    pub path: String,
    /// What the first says.
    pub before: Option<String>,
    /// What the other says.
    pub after: Option<String>,
}

/// Tells in what two texts differ, in the order of paths. Of a list, each item that only one of them has differs.
#[must_use]
pub fn diff(before: &str, after: &str) -> Vec<Difference> {
    let (before, mut after) = (leaves(before), leaves(after));
    let mut differences = Vec::new();
    for ((path, item), value) in before {
        let other = after.remove(&(path.clone(), item));
        if other.as_ref() != Some(&value) {
            differences.push(Difference { path, before: Some(value), after: other });
        }
    }
    differences.extend(after.into_iter().map(|((path, _), value)| Difference {
        path,
        before: None,
        after: Some(value),
    }));
    differences.sort_by(|one, other| one.path.cmp(&other.path));
    differences
}

/// Returns every value by its path; items of a list by what they are, too.
fn leaves(yaml: &str) -> BTreeMap<(String, String), String> {
    let mut leaves = BTreeMap::new();
    if let Some(node) = node::read(yaml, &mut Problems::default()) {
        gather(String::new(), node, &mut leaves);
    }
    leaves
}

fn gather(path: String, node: Node, leaves: &mut BTreeMap<(String, String), String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match node.value {
        Value::Map(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                gather(below(&name.value), field, leaves);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for item in items {
                let text = text(&item.value);
                leaves.insert((path.clone(), text.clone()), text);
            }
        }
        value => {
            leaves.insert((path, String::new()), text(&value));
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Number => "a number".to_owned(),
        Value::Text(text) => text.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| self::text(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(fields) => {
            let fields = fields.iter().map(|(name, field)| format!("{}: {}", name.value, self::text(&field.value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogs_differ_by_path_and_not_by_order() {
        let one = "name: a\nroles: {x: {at: [organization, task], permissions: {a.b: ANY}}, y: {}}\n";
        let other = "roles: {x: {permissions: {a.b: OWN}, at: [task, page]}} # a comment\nname: a\n";
        let told: Vec<_> = diff(one, other).into_iter().map(|it| (it.path, it.before, it.after)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("roles.x.at".to_owned(), some("organization"), None),
                ("roles.x.at".to_owned(), None, some("page")),
                ("roles.x.permissions.a.b".to_owned(), some("ANY"), some("OWN")),
                ("roles.y".to_owned(), some("{}"), None),
            ]
        );
        assert_eq!(diff(one, one), []);
    }
}
