//! What a run puts in the place of the presets, and how its tests, which speak of the presets, are understood all the
//! same.
//!
//! `GUILDHALL_TEST_PRESETS=renamed` puts all presets under other names: of the catalog, its types, permissions, roles,
//! sets, plans and listeners. What still holds then depends on no name. `GUILDHALL_TEST_PRESETS=FILE` puts one text in
//! the place of the preset whose name it has. Either way the client of the tests says the new name wherever a message
//! has a name, and gives the old one back: a new field with a name needs its line in [`kind`].

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use guildhall::domain::catalog::{RESERVED, Verb, is_name, parse, presets};
use guildhall::proto;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use serde_json::Value as Tree;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

const PRESETS: &str = "GUILDHALL_TEST_PRESETS";

static OF_THIS_RUN: LazyLock<Option<Vocabulary>> = LazyLock::new(|| {
    let presets = std::env::var(PRESETS).ok().filter(|presets| !presets.is_empty())?;
    Some(if presets == "renamed" { Vocabulary::renamed() } else { Vocabulary::instead(&presets) })
});
static MESSAGES: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors of the protos"));

/// What a name names. A permission has two words, each with a name of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    Catalog,
    /// A resource type, or the first word of a permission.
    Noun,
    /// The second word of a permission.
    Verb,
    Permission,
    Role,
    Set,
    Plan,
    Listener,
    /// A filter over members, which names roles.
    Filter,
}

/// The catalogs of a run, and their names.
#[derive(Default)]
pub struct Vocabulary {
    texts: Vec<String>,
    renamed: HashMap<(Kind, String), String>,
    original: HashMap<String, String>,
}

impl Vocabulary {
    /// Returns what this run puts in the place of the presets, if anything.
    pub fn of_this_run() -> Option<&'static Self> {
        OF_THIS_RUN.as_ref()
    }

    /// Returns the catalogs to put, as YAML.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    fn renamed() -> Self {
        let texts = presets::presets().iter().filter_map(|preset| presets::text(preset.name()));
        let mut trees: Vec<Tree> = texts.map(|(_, yaml)| read(yaml)).collect();
        let mut names = BTreeSet::new();
        for tree in &mut trees {
            visit(tree, &mut Vec::new(), &mut |site, kind, name| {
                if site == Site::Declares {
                    names.extend(words(kind, name));
                }
                name.to_owned()
            });
        }
        // Numbered in alphabetical order, so that what is sorted by name stays in its order.
        let mut this = Self::default();
        for (number, (kind, name)) in names.into_iter().enumerate() {
            this.rename(kind, name, format!("renamed-{kind:?}-{number:03}").to_lowercase());
        }
        this.put(trees);
        this
    }

    fn instead(path: &str) -> Self {
        let tree = read(&std::fs::read_to_string(path).expect("a catalog to put in the place of a preset"));
        let name = tree["name"].as_str().expect("a catalog has a name").to_owned();
        let mut this = Self::default();
        this.rename(Kind::Catalog, name.clone(), format!("instead-of-{name}"));
        this.put(vec![tree]);
        this
    }

    fn rename(&mut self, kind: Kind, name: String, new: String) {
        self.original.insert(new.clone(), name.clone());
        self.renamed.insert((kind, name), new);
    }

    fn put(&mut self, mut trees: Vec<Tree>) {
        for tree in &mut trees {
            visit(tree, &mut Vec::new(), &mut |_, kind, name| self.out(kind, name));
        }
        // JSON is YAML.
        self.texts = trees.iter().map(Tree::to_string).collect();
    }

    /// Says a name of the presets as this run has it. What no preset declares stays.
    fn out(&self, kind: Kind, name: &str) -> String {
        let renamed = |kind, name: &str| self.renamed.get(&(kind, name.to_owned())).map_or(name, |new| new).to_owned();
        match (kind, name.split_once('.')) {
            (Kind::Permission, _) if RESERVED.contains(&name) => name.to_owned(),
            (Kind::Permission, Some((noun, verb))) => {
                format!("{}.{}", renamed(Kind::Noun, noun), renamed(Kind::Verb, verb))
            }
            (Kind::Filter, _) => {
                let mut parts = name.split("roles:");
                let mut filter = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (quote, part) = part.strip_prefix('"').map_or(("", part), |part| ("\"", part));
                    let end = part.find(|it| !is_of_a_name(it)).unwrap_or(part.len());
                    filter.extend(["roles:", quote, &renamed(Kind::Role, &part[..end]), &part[end..]]);
                }
                filter
            }
            _ => renamed(kind, name),
        }
    }

    /// Says every name in a text as the presets have it.
    fn back(&self, text: &str) -> String {
        let mut said = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|it| !is_of_a_name(it)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            said += self.original.get(word).map_or(word, |name| name);
            let other = after.find(is_of_a_name).unwrap_or(after.len());
            said += &after[..other];
            rest = &after[other..];
        }
        said
    }
}

/// Says a request in the names of this run; `message` is the name of its type.
pub fn outward<M: Message + Default>(message: &str, request: M) -> M {
    let Some(vocabulary) = Vocabulary::of_this_run() else { return request };
    rewrite(message, &request, &|kind, name| kind.map_or_else(|| name.to_owned(), |kind| vocabulary.out(kind, name)))
}

/// Says an answer in the names of the presets; `message` is the name of its type.
///
/// # Panics
/// If it has a name of the presets already, for nobody has told the server any.
pub fn inward<M: Message + Default>(message: &str, answer: M) -> M {
    let Some(vocabulary) = Vocabulary::of_this_run() else { return answer };
    rewrite(message, &answer, &|kind, name| {
        let is_told = kind.is_none_or(|kind| vocabulary.out(kind, name) == name);
        assert!(is_told, "{message} says {name:?}, which no catalog of this installation has");
        vocabulary.back(name)
    })
}

/// Says a refusal in the names of the presets.
pub fn refusal(status: Status) -> Status {
    let Some(vocabulary) = Vocabulary::of_this_run() else { return status };
    let mut details: ErrorDetails = status.get_error_details();
    if let Some(info) = details.error_info().cloned() {
        let metadata = info.metadata.iter().map(|(key, value)| (key.clone(), vocabulary.back(value)));
        details.set_error_info(info.reason.clone(), info.domain.clone(), metadata.collect::<HashMap<_, _>>());
    }
    if let Some(request) = details.bad_request().cloned() {
        details.set_bad_request(Vec::new());
        for violation in request.field_violations {
            details.add_bad_request_violation(violation.field, vocabulary.back(&violation.description));
        }
    }
    let (code, message) = (status.code(), vocabulary.back(status.message()));
    Status::with_error_details_and_metadata(code, message, details, status.metadata().clone())
}

fn rewrite<M: Message + Default>(message: &str, from: &M, say: &dyn Fn(Option<Kind>, &str) -> String) -> M {
    let descriptor = MESSAGES.get_message_by_name(&format!("guildhall.v1.{message}")).expect(message);
    let mut dynamic =
        DynamicMessage::decode(descriptor, from.encode_to_vec().as_slice()).expect("a message of its type");
    rewrite_fields(&mut dynamic, say);
    M::decode(dynamic.encode_to_vec().as_slice()).expect("a message of its type")
}

fn rewrite_fields(message: &mut DynamicMessage, say: &dyn Fn(Option<Kind>, &str) -> String) {
    let descriptor = message.descriptor();
    for (field, value) in message.fields_mut() {
        rewrite_value(value, kind(descriptor.name(), field.name()), say);
    }
}

fn rewrite_value(value: &mut Value, kind: Option<Kind>, say: &dyn Fn(Option<Kind>, &str) -> String) {
    match value {
        Value::String(text) => *text = say(kind, text),
        Value::Message(message) => rewrite_fields(message, say),
        Value::List(values) => values.iter_mut().for_each(|value| rewrite_value(value, kind, say)),
        Value::Map(values) => values.values_mut().for_each(|value| rewrite_value(value, kind, say)),
        _ => {}
    }
}

/// Returns what is named in a field of a message.
fn kind(message: &str, field: &str) -> Option<Kind> {
    Some(match (message, field) {
        (_, "permission") => Kind::Permission,
        (_, "role" | "roles" | "includes" | "requires" | "move_holders_to")
        | ("RoleNames", "names")
        | ("Role" | "GetRoleRequest" | "DeleteRoleRequest", "name") => Kind::Role,
        ("ResourceRef", "type") | ("Role", "at") | (_, "resource_type" | "all_of_types") => Kind::Noun,
        (
            "Catalog"
            | "GetCatalogRequest"
            | "DiffCatalogsRequest"
            | "SetOrganizationCatalogRequest"
            | "SetOrganizationCatalogResponse",
            "name",
        )
        | (_, "catalog" | "product" | "other_name") => Kind::Catalog,
        (_, "exclusive_set") => Kind::Set,
        (_, "plan") => Kind::Plan,
        (_, "listener" | "awaiting") => Kind::Listener,
        (_, "filter") => Kind::Filter,
        _ => return None,
    })
}

/// Whether a catalog declares a name where it stands, or uses it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    Declares,
    Uses,
}

/// Shows every name of a catalog to `say`, and puts what it gives in its place.
fn visit(tree: &mut Tree, path: &mut Vec<String>, say: &mut dyn FnMut(Site, Kind, &str) -> String) {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match tree {
        Tree::String(text) => {
            let found = match words.as_slice() {
                ["name"] => Some((Site::Declares, Kind::Catalog)),
                ["permissions"] => Some((Site::Declares, Kind::Permission)),
                ["removal", "listeners"] => Some((Site::Declares, Kind::Listener)),
                ["types", _, "visible_by"] => Some((Site::Uses, Kind::Permission)),
                ["roles", _, "at"] | ["seats", "per"] | ["types", _, "under"] => Some((Site::Uses, Kind::Noun)),
                ["types", _, "shares" | "creator_roles"]
                | ["sets", _]
                | ["sets", _, "of"]
                | ["roles", _, "includes" | "requires" | "may_grant" | "may_take"]
                | ["founder_roles" | "default_role"]
                | ["self_removal", "never_for"] => Some((Site::Uses, Kind::Role)),
                _ => None,
            };
            if let Some((site, kind)) = found {
                *text = say(site, kind, text);
            }
        }
        Tree::Array(items) => items.iter_mut().for_each(|item| visit(item, path, say)),
        Tree::Object(fields) => {
            let kind = match words.as_slice() {
                ["types"] => Some((Site::Declares, Kind::Noun)),
                ["sets"] => Some((Site::Declares, Kind::Set)),
                ["roles"] => Some((Site::Declares, Kind::Role)),
                ["plans"] => Some((Site::Declares, Kind::Plan)),
                ["roles", _, "permissions"] => Some((Site::Uses, Kind::Permission)),
                _ => None,
            };
            for (name, mut field) in std::mem::take(fields) {
                path.push(name.clone());
                visit(&mut field, path, say);
                path.pop();
                let name = kind.map_or_else(|| name.clone(), |(site, kind)| say(site, kind, &name));
                fields.insert(name, field);
            }
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) => {}
    }
}

/// Takes a name apart into what is renamed. What Guildhall itself reserves is not.
fn words(kind: Kind, name: &str) -> Vec<(Kind, String)> {
    if kind != Kind::Permission {
        return vec![(kind, name.to_owned())];
    }
    let (noun, verb) = name.split_once('.').expect("a permission has two words");
    let is_reserved = Verb::ALL.iter().any(|reserved| reserved.name() == verb);
    let verb = (!is_reserved).then(|| (Kind::Verb, verb.to_owned()));
    [(Kind::Noun, noun.to_owned())].into_iter().chain(verb).collect()
}

fn read(yaml: &str) -> Tree {
    serde_saphyr::from_str(yaml).expect("a catalog is YAML")
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

#[test]
fn every_name_of_every_preset_is_renamed_and_comes_back() {
    let (renamed, mut kinds) = (Vocabulary::renamed(), BTreeSet::new());
    for ((kind, name), new) in &renamed.renamed {
        assert!(is_name(new) && !new.contains(name.as_str()), "{name} is {new}");
        assert_eq!(renamed.back(&renamed.out(*kind, name)), *name);
        kinds.insert(*kind);
    }
    for kind in [Kind::Catalog, Kind::Noun, Kind::Verb, Kind::Role, Kind::Set, Kind::Plan] {
        assert!(kinds.contains(&kind), "no {kind:?} is renamed");
    }
    for (text, preset) in renamed.texts.iter().zip(presets::presets()) {
        parse(preset.name(), text).expect("a catalog under other names");
        visit(&mut read(text), &mut Vec::new(), &mut |_, kind, name| {
            assert_eq!(renamed.out(kind, name), name, "{kind:?} of {}", preset.name());
            name.to_owned()
        });
    }
    let filter = renamed.out(Kind::Filter, "state = ACTIVE AND -roles:\"default\" roles:admin");
    assert!(!filter.contains("admin") && !filter.contains("default"), "{filter}");
    assert_eq!(renamed.back(&filter), "state = ACTIVE AND -roles:\"default\" roles:admin");
}
