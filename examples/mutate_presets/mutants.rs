//! The changes: of each line what it would be without it, and what it would say otherwise.

use serde_json::Value;

/// A catalog with one change.
#[derive(Clone)]
pub struct Mutant {
    /// Where, and what was changed, as in `roles.admin.permissions.project.view: SHARED`.
    pub what: String,
    /// The text, as JSON, which is YAML.
    pub text: String,
}

/// One step from a map or a list to what is in it.
#[derive(Clone)]
enum Step {
    Field(String),
    Item(usize),
}

/// Words of which one stands where another could.
const ALTERNATIVES: &[&[&str]] = &[
    &["ANY", "SHARED", "OWN"],
    &["KEEP", "CLEAR"],
    &["NONE", "INVITER", "HOLDERS_AT_THE_PLACE"],
    &["EMAIL", "LINK"],
    &["NONE", "VERIFIED", "APPROVED"],
];
const CEILINGS: &[&str] = &["SUBSET", "ANY"];
/// What names the catalog, and what is said to people.
const PROSE: &[&str] = &["name", "version", "description"];

/// Returns a catalog with each of its lines removed or changed, one at a time.
pub fn mutants(yaml: &str) -> Vec<Mutant> {
    let whole: Value = serde_saphyr::from_str(yaml).expect("a preset is YAML");
    let mut found = Vec::new();
    visit(&whole, &whole, &mut Vec::new(), &mut found);
    found
}

fn visit(whole: &Value, value: &Value, path: &mut Vec<Step>, found: &mut Vec<Mutant>) {
    for change in changes(value, path) {
        found.push(mutant(whole, path, Some(change)));
    }
    let steps: Vec<(Step, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (Step::Field(name.clone()), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (Step::Item(index), value)).collect(),
        _ => Vec::new(),
    };
    for (step, value) in steps {
        if matches!(&step, Step::Field(name) if PROSE.contains(&name.as_str())) {
            continue;
        }
        path.push(step);
        found.push(mutant(whole, path, None));
        visit(whole, value, path, found);
        path.pop();
    }
}

/// Returns what else could stand at a path.
fn changes(value: &Value, path: &[Step]) -> Vec<Value> {
    let field = path.iter().rev().find_map(|step| match step {
        Step::Field(name) => Some(name.as_str()),
        Step::Item(_) => None,
    });
    let others = |words: &[&str], word: &str| words.iter().filter(|it| **it != word).map(|it| (*it).into()).collect();
    match (value, field) {
        (Value::Bool(is), _) => vec![(!is).into()],
        (Value::Number(number), _) => number.as_u64().map(|number| (number + 1).into()).into_iter().collect(),
        (Value::Array(_), Some("may_grant" | "may_take")) if matches!(path.last(), Some(Step::Field(_))) => {
            vec!["ANY".into()]
        }
        (Value::String(word), Some("may_grant" | "may_take")) if CEILINGS.contains(&word.as_str()) => {
            others(CEILINGS, word)
        }
        (Value::String(word), Some("lifetime" | "longest")) => longer(word).map(Into::into).into_iter().collect(),
        (Value::String(word), _) => {
            let words = ALTERNATIVES.iter().find(|words| words.contains(&word.as_str()));
            words.map_or_else(Vec::new, |words| others(words, word))
        }
        _ => Vec::new(),
    }
}

/// Returns a duration one unit more.
fn longer(duration: &str) -> Option<String> {
    let (count, unit) = duration.split_at(duration.find(|it: char| !it.is_ascii_digit())?);
    Some(format!("{}{unit}", count.parse::<u64>().ok()? + 1))
}

/// Puts something else at a path, or nothing.
fn mutant(whole: &Value, path: &[Step], change: Option<Value>) -> Mutant {
    let what = match &change {
        Some(change) => format!("{}: {}", name(whole, path), change.to_string().replace('"', "")),
        None => format!("without {}", name(whole, path)),
    };
    let mut text = whole.clone();
    let (last, above) = path.split_last().expect("nobody changes all of it");
    let mut place = &mut text;
    for step in above {
        place = match step {
            Step::Field(name) => &mut place[name],
            Step::Item(index) => &mut place[index],
        };
    }
    match (last, place, change) {
        (Step::Field(name), Value::Object(fields), None) => drop(fields.remove(name)),
        (Step::Field(name), Value::Object(fields), Some(change)) => drop(fields.insert(name.clone(), change)),
        (Step::Item(index), Value::Array(items), None) => drop(items.remove(*index)),
        (Step::Item(index), Value::Array(items), Some(change)) => items[*index] = change,
        _ => unreachable!("the path was walked"),
    }
    Mutant { what, text: text.to_string() }
}

/// Returns where a path leads; items by what they are.
fn name(whole: &Value, path: &[Step]) -> String {
    let (mut place, mut words) = (whole, Vec::new());
    for step in path {
        let word;
        (place, word) = match step {
            Step::Field(name) => (&place[name], name.clone()),
            Step::Item(index) => (&place[index], place[index].as_str().unwrap_or("item").to_owned()),
        };
        words.push(word);
    }
    words.join(".")
}
