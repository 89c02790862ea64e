//! What organizations are shown of the roles of their catalog: who holds one where, what it opens, and who gives it.

use guildhall::proto::{self, HolderKind, OnLeave, Reach, role_ceiling};

use crate::harness::Caller;
use crate::harness::messages::list_roles;

/// Shows every role of an organization as a paragraph, by name.
pub async fn roles(by: &Caller, organization: &str) -> Vec<String> {
    let roles = by.list_roles(list_roles(organization)).await.expect("the roles").roles;
    roles.iter().map(paragraph).collect()
}

/// Takes a text of paragraphs apart. A line that does not say what it is of belongs to the one above.
pub fn paragraphs(text: &str) -> Vec<String> {
    let unwrapped = |paragraph: &str| {
        let begins = |line: &str| line.split(' ').next().is_some_and(|word| word.ends_with(':'));
        let lines = paragraph.lines().map(str::trim);
        lines.fold(String::new(), |text, line| match (text.as_str(), begins(line)) {
            ("", _) => line.to_owned(),
            (_, true) => format!("{text}\n{line}"),
            (_, false) => format!("{text} {line}"),
        })
    };
    text.trim().split("\n\n").map(unwrapped).collect()
}

fn paragraph(role: &proto::Role) -> String {
    let mut head = format!("{}: at {}", role.name, listed(role.at.iter().cloned()));
    let kind = |kind| match kind {
        HolderKind::Membership => "people",
        HolderKind::Group => "groups",
        HolderKind::Everyone => "everyone",
        HolderKind::ServiceAccount => "machines",
        HolderKind::Unspecified => "nobody",
    };
    head.extend([format!(", to {}", listed(role.to().map(|it| kind(it).to_owned())))]);
    if !role.exclusive_set.is_empty() {
        head.extend([format!(", one of {}", role.exclusive_set)]);
    }
    let facts = [
        (role.as_member, "on every list".to_owned()),
        (role.holders_least > 0, format!("at least {}", role.holders_least)),
        (role.holders_most > 0, format!("at most {}", role.holders_most)),
        (!role.requires.is_empty(), format!("beside {}", listed(role.requires.iter().cloned()))),
        (role.transfer_only, "by transfer".to_owned()),
        (role.on_leave() == OnLeave::Clear, "clears when left".to_owned()),
    ];
    for (_, fact) in facts.into_iter().filter(|(is, _)| *is) {
        head.extend([format!(", {fact}")]);
    }
    let mut lines = vec![head];
    for (reach, word) in [(Reach::Any, "all"), (Reach::Shared, "listed"), (Reach::Own, "own")] {
        let holds = |it: &&proto::RolePermission| it.reaches().any(|it| it == reach);
        let mut names: Vec<String> =
            role.effective_permissions.iter().filter(holds).map(|it| it.permission.clone()).collect();
        names.sort();
        lines.extend((!names.is_empty()).then(|| format!("{word}: {}", names.join(" "))));
    }
    for (verb, ceiling) in [("gives", &role.may_grant), ("takes", &role.may_take)] {
        lines.extend(ceiling.as_ref().and_then(|it| it.kind.as_ref()).map(|it| format!("{verb}: {}", bound(it))));
    }
    lines.join("\n")
}

fn bound(ceiling: &role_ceiling::Kind) -> String {
    match ceiling {
        role_ceiling::Kind::Any(_) => "any".to_owned(),
        role_ceiling::Kind::Subset(_) => "what they hold".to_owned(),
        role_ceiling::Kind::Roles(roles) => listed(roles.names.iter().cloned()),
    }
}

fn listed(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.sort();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}
