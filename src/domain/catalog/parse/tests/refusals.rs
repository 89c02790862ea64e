//! What is refused, where and in which words.

use super::good;
use crate::domain::catalog::parse;

/// Returns what is wrong with a text, whose first two lines are added.
fn problems(rest: &str) -> Vec<String> {
    let error = parse("bad.yaml", &format!("name: shop\nversion: 1\n{rest}\n")).expect_err(rest);
    error.problems().iter().map(ToString::to_string).collect()
}

/// What follows the first two lines of a catalog, and what is wrong with it.
const REFUSALS: &[(&str, &[&str])] = &[
    // Shape.
    ("rolls: {}", &["3:1: rolls: no field \"rolls\"; did you mean \"roles\"?"]),
    ("zzz: {}", &["3:1: zzz: no field \"zzz\""]),
    ("name: again", &["3:1: name: \"name\" is there already, on line 1"]),
    ("roles:\n  a: {}\n  a: {}", &["5:3: roles.a: \"a\" is there already, on line 4"]),
    ("types: []", &["3:8: types: must be a map, not a list"]),
    ("roles: {a: }", &["3:10: roles.a: must be a map, not empty"]),
    ("roles: {a: {at: organization}}", &["3:17: roles.a.at: must be a list, not a text"]),
    ("roles: {a: {as_member: yes}}", &["3:24: roles.a.as_member: must be true or false, not a text"]),
    ("founder_roles: [true]", &["3:17: founder_roles[0]: must be a text, not true or false"]),
    ("permissions: [a.b, a.b]", &["3:20: permissions[1]: is listed already"]),
    ("description: 7", &["3:14: description: must be a text, not a number"]),
    ("<<: {a: b}", &["3:1: [\"<<\"]: no field \"<<\""]),
    // Names.
    (
        "types: {Task: {}}",
        &["3:9: types.Task: must be lower-case words of a-z and 0-9, joined by - or _, at most 64 bytes in all"],
    ),
    (
        "roles: {a--b: {}}",
        &["3:9: roles.a--b: must be lower-case words of a-z and 0-9, joined by - or _, at most 64 bytes in all"],
    ),
    ("permissions: [run]", &["3:15: permissions[0]: must be two names with a dot between, as in `report.print`"]),
    ("permissions: [a.b.c]", &["3:15: permissions[0]: must be two names with a dot between, as in `report.print`"]),
    ("permissions: [task.*]", &["3:15: permissions[0]: must be two names with a dot between, as in `report.print`"]),
    ("roles: {operator: {}}", &["3:9: roles.operator: is the name of the built-in role"]),
    ("types: {member: {}}", &["3:9: types.member: is a word of Guildhall's own and cannot name a type"]),
    ("types: {product: {}}", &["3:9: types.product: is a word of Guildhall's own and cannot name a type"]),
    ("permissions: [audit.view]", &["3:15: permissions[0]: is reserved, and there without being declared"]),
    (
        "types: {task: {}}\npermissions: [task.notify]",
        &["4:15: permissions[0]: is reserved, and there without being declared"],
    ),
    // What stands under what.
    ("types: {a: {under: [b]}}", &["3:21: types.a.under[0]: no place or type \"b\"; did you mean \"a\"?"]),
    ("types: {a: {under: [product]}}", &["3:21: types.a.under[0]: no place or type \"product\""]),
    ("types: {a: {under: [organization, organization]}}", &["3:35: types.a.under[1]: is listed already"]),
    ("types: {a: {under: organization}}", &["3:20: types.a.under: must be a list, not a text"]),
    ("types:\n  a: {}\n  b: {under: []}", &["5:14: types.b.under: must name at least one place or type"]),
    (
        "types:\n  a: {under: [b]}\n  b: {under: [a]}",
        &[
            "4:14: types.a.under: can stand nowhere: nothing of this can stand under the organization, directly or through others, in a tree of 8 levels",
            "5:14: types.b.under: can stand nowhere: nothing of this can stand under the organization, directly or through others, in a tree of 8 levels",
        ],
    ),
    // References.
    (
        "roles:\n  admin:\n    may_grant: [admin, adminn]",
        &["5:24: roles.admin.may_grant[1]: no role \"adminn\"; did you mean \"admin\"?"],
    ),
    ("roles: {a: {may_take: [b1]}}", &["3:24: roles.a.may_take[0]: no role \"b1\""]),
    ("roles: {a: {may_take: [operator]}}", &["3:24: roles.a.may_take[0]: no role \"operator\""]),
    ("roles: {a: {includes: [viewer]}}", &["3:24: roles.a.includes[0]: no role \"viewer\""]),
    ("roles: {a: {at: [organization], requires: [viewer]}}", &["3:44: roles.a.requires[0]: no role \"viewer\""]),
    (
        "types: {task: {}}\nroles: {a: {permissions: {task.veiw: ANY}}}",
        &["4:27: roles.a.permissions[\"task.veiw\"]: no permission \"task.veiw\"; did you mean \"task.view\"?"],
    ),
    (
        "roles: {a: {at: [organisation]}}",
        &["3:18: roles.a.at[0]: no place or type \"organisation\"; did you mean \"organization\"?"],
    ),
    ("roles: {a: {at: [installation]}}", &["3:18: roles.a.at[0]: only built-in roles are held at the installation"]),
    ("sets: {s: [first, second]}", &["3:12: sets.s[0]: no role \"first\"", "3:19: sets.s[1]: no role \"second\""]),
    ("founder_roles: [boss]", &["3:17: founder_roles[0]: no role \"boss\""]),
    ("default_role: boss", &["3:15: default_role: no role \"boss\""]),
    ("self_removal: {never_for: [boss]}", &["3:28: self_removal.never_for[0]: no role \"boss\""]),
    (
        "types: {task: {visible_by: task.wiew}}",
        &["3:28: types.task.visible_by: no permission \"task.wiew\"; did you mean \"task.view\"?"],
    ),
    // Roles.
    (
        "roles: {a: {permissions: {audit.view: SHARED}}}",
        &[
            "3:39: roles.a.permissions[\"audit.view\"]: must be ANY: it is asked at the organization, which has no owner and no list",
        ],
    ),
    (
        "roles: {a: {permissions: {audit.view: all}}}",
        &["3:39: roles.a.permissions[\"audit.view\"]: must be ANY, SHARED or OWN"],
    ),
    ("roles: {a: {may_grant: all}}", &["3:24: roles.a.may_grant: must be NONE, SUBSET, ANY or a list of roles"]),
    ("roles: {a: {on_leave: DROP}}", &["3:23: roles.a.on_leave: must be KEEP or CLEAR"]),
    ("roles: {a: {to: []}}", &["3:17: roles.a.to: must name at least one kind of principal"]),
    ("roles: {a: {to: [user]}}", &["3:18: roles.a.to[0]: must be membership, group, everyone or service_account"]),
    ("roles: {a: {includes: [a]}}", &["3:24: roles.a.includes[0]: includes in a circle: a, a"]),
    (
        "roles:\n  a: {includes: [b]}\n  b: {includes: [c]}\n  c: {includes: [b]}",
        &["6:18: roles.c.includes[0]: includes in a circle: b, c, b"],
    ),
    (
        "roles: {a: {at: [organization], holders: {least: 2, most: 1}}}",
        &["3:50: roles.a.holders.least: must be at most 1, as `most` says"],
    ),
    (
        "roles: {a: {at: [organization], holders: {most: 0}}}",
        &["3:49: roles.a.holders.most: must be a whole number, at least 1"],
    ),
    (
        "roles: {a: {at: [organization], holders: {least: -1}}}",
        &["3:50: roles.a.holders.least: must be a whole number, at least 0"],
    ),
    (
        "roles: {a: {at: [organization], to: [membership, group], holders: {least: 1}}}",
        &["3:37: roles.a.to: must be [membership]: the role is in a set, limited in number or given by transfer"],
    ),
    (
        "roles: {a: {at: [organization], to: [service_account], transfer_only: true}}",
        &["3:37: roles.a.to: must be [membership]: the role is in a set, limited in number or given by transfer"],
    ),
    (
        "roles: {a: {at: [product], holders: {most: 1}}}",
        &["3:9: roles.a: must be held at the organization and nowhere else: its holders are counted there"],
    ),
    ("roles: {a: {at: [organization], requires: [a]}}", &["3:44: roles.a.requires[0]: is the role itself"]),
    (
        "roles: {a: {at: [organization], requires: [b]}, b: {at: [product]}}",
        &["3:44: roles.a.requires[0]: cannot be held by people everywhere that the role can"],
    ),
    (
        "sets: {s: [a, b]}\nroles: {a: {at: [organization], requires: [b]}, b: {at: [organization]}}",
        &["4:44: roles.a.requires[0]: is of the same exclusive set, so the two are never held together"],
    ),
    // Sets.
    ("sets: {s: [a]}\nroles: {a: {at: [organization]}}", &["3:8: sets.s: must have at least two roles"]),
    (
        "sets: {s: [a, b], t: [a, b]}\nroles: {a: {at: [organization]}, b: {at: [organization]}}",
        &["3:23: sets.t[0]: belongs to the set \"s\" already", "3:26: sets.t[1]: belongs to the set \"s\" already"],
    ),
    (
        "sets: {s: [a, b]}\nroles: {a: {at: [organization]}, b: {at: [product]}}",
        &["3:15: sets.s[1]: cannot be held where the others of the set can"],
    ),
    (
        "sets: {s: [a, b]}\nroles: {a: {at: [organization], to: [everyone]}, b: {at: [organization]}}",
        &["4:37: roles.a.to: must be [membership]: the role is in a set, limited in number or given by transfer"],
    ),
    ("sets: {s: {required: true}}", &["3:8: sets.s: must have at least two roles", "3:11: sets.s.of: must be set"]),
    // Types.
    ("types: {task: {visible_by: audit.view}}", &["3:28: types.task.visible_by: must be a permission of \"task\""]),
    (
        "types: {task: {shares: [a]}}\nroles: {a: {at: [organization]}}",
        &["3:25: types.task.shares[0]: cannot be held at a resource of this type"],
    ),
    (
        "types: {task: {creator_roles: [a]}}\nroles: {a: {at: [task], to: [group]}}",
        &["3:32: types.task.creator_roles[0]: people cannot hold it at a resource of this type"],
    ),
    // Founders and members without a role.
    (
        "founder_roles: [a]\nroles: {a: {at: [product]}}",
        &["3:17: founder_roles[0]: people cannot hold it at the organization"],
    ),
    (
        "founder_roles: [a]\nroles: {a: {at: [organization], requires: [b]}, b: {at: [organization]}}",
        &["3:17: founder_roles[0]: requires \"b\", which is not given with it"],
    ),
    (
        "founder_roles: [a, b]\nsets: {s: [a, b]}\nroles: {a: {at: [organization]}, b: {at: [organization]}}",
        &["3:20: founder_roles[1]: is of the same exclusive set as \"a\""],
    ),
    ("default_role: a\nroles: {a: {}}", &["3:15: default_role: people cannot hold it at the organization"]),
    (
        "default_role: a\nroles: {a: {at: [organization], to: [group]}}",
        &["3:15: default_role: people cannot hold it at the organization"],
    ),
    (
        "default_role: a\nroles: {a: {at: [organization], holders: {most: 5}}}",
        &["3:15: default_role: is limited in number, given by transfer or requires another: not for everyone"],
    ),
    (
        "self_removal: {never_for: [a]}\nroles: {a: {}}",
        &["3:28: self_removal.never_for[0]: people cannot hold it at the organization"],
    ),
    // Policies.
    ("invitation: {lifetime: 8d, longest: 7d}", &["3:24: invitation.lifetime: must be at most as long as `longest`"]),
    ("invitation: {lifetime: 90}", &["3:24: invitation.lifetime: must be a duration such as 24h or 7d, not a number"]),
    (
        "invitation: {lifetime: 1w}",
        &["3:24: invitation.lifetime: must be a whole number and m, h or d, such as 24h or 7d"],
    ),
    (
        "invitation: {lifetime: +1d}",
        &["3:24: invitation.lifetime: must be a whole number and m, h or d, such as 24h or 7d"],
    ),
    ("invitation: {lifetime: 0h}", &["3:24: invitation.lifetime: must be at least 1m and at most 365d"]),
    ("invitation: {lifetime: 366d}", &["3:24: invitation.lifetime: must be at least 1m and at most 365d"]),
    (
        "invitation: {lifetime: 99999999999999999999d}",
        &["3:24: invitation.lifetime: must be at least 1m and at most 365d"],
    ),
    ("invitation: {kinds: []}", &["3:21: invitation.kinds: must name at least one kind"]),
    ("invitation: {kinds: [SMS]}", &["3:22: invitation.kinds[0]: must be EMAIL or LINK"]),
    ("invitation: {kinds: [LINK, LINK]}", &["3:28: invitation.kinds[1]: is listed already"]),
    ("invitation: {notice: ALL}", &["3:22: invitation.notice: must be NONE, INVITER or HOLDERS_AT_THE_PLACE"]),
    ("password: {min_length: 7}", &["3:24: password.min_length: must be a whole number, at least 8 and at most 64"]),
    ("password: {min_length: 65}", &["3:24: password.min_length: must be a whole number, at least 8 and at most 64"]),
    ("password: {min_length: 8.5}", &["3:24: password.min_length: must be a whole number, at least 8 and at most 64"]),
    ("password: {require: [EMOJI]}", &["3:22: password.require[0]: must be LOWER, UPPER, DIGIT or SYMBOL"]),
    ("password: {symbols: '!'}", &["3:21: password.symbols: has no effect unless require lists SYMBOL"]),
    (
        "password: {require: [SYMBOL], symbols: 'a b'}",
        &["3:40: password.symbols: must be one or more of !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"],
    ),
    ("plans: {pro: {further_domains: SOME}}", &["3:32: plans.pro.further_domains: must be NONE, VERIFIED or APPROVED"]),
    ("seats: {counts: [PENDING], per: [organization]}", &["3:17: seats.counts: must list ACTIVE"]),
    ("seats: {counts: [ACTIVE], per: [product]}", &["3:33: seats.per[0]: no place or type \"product\""]),
    ("features: {group: true}", &["3:12: features.group: no field \"group\"; did you mean \"groups\"?"]),
];

#[test]
fn what_is_wrong_is_told_with_line_column_and_field() {
    let wrong = REFUSALS.iter().filter(|(yaml, expected)| problems(yaml) != *expected);
    let wrong: Vec<_> = wrong.map(|(yaml, expected)| (yaml, problems(yaml), expected)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_text() {
    let yaml =
        "version: 0\nroles:\n  admin:\n    at: [organization]\n    may_grnt: ANY\n    includes: [usr]\nfounder: x\n";
    let error = parse("shop.yaml", yaml).unwrap_err();
    let expected = "shop.yaml:1:1: name: must be set\n\
        shop.yaml:1:10: version: must be a whole number, at least 1\n\
        shop.yaml:5:5: roles.admin.may_grnt: no field \"may_grnt\"; did you mean \"may_grant\"?\n\
        shop.yaml:6:16: roles.admin.includes[0]: no role \"usr\"\n\
        shop.yaml:7:1: founder: no field \"founder\"";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.source_name(), "shop.yaml");
}

#[test]
fn what_is_no_catalog_at_all_is_told_where_it_stumbles() {
    for (yaml, line) in [
        ("", 1),
        ("7", 1),
        ("- a", 1),
        ("a: [b", 1),
        ("a: b\nc d", 2),
        ("a: 1\n---\nb: 2", 3),
        ("*a", 1),
        ("a: !mine b", 1),
    ] {
        let error = parse("bad.yaml", yaml).unwrap_err();
        assert_eq!(error.problems()[0].line, line, "{yaml:?}: {error}");
        assert!(!error.problems()[0].message.contains('\n'), "{error}");
    }
}

#[test]
fn a_catalog_stays_within_its_limits() {
    let numbered = |count: usize, entry: fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(", ");
    let types = |count| format!("types: {{{}}}", numbered(count, |n| format!("t{n}: {{}}")));
    let roles = |count| format!("roles: {{{}}}", numbered(count, |n| format!("r{n}: {{}}")));
    let permissions = |count| format!("permissions: [{}]", numbered(count, |n| format!("p.v{n}")));
    for fits in [types(64), roles(256), permissions(256)] {
        good(&format!("name: shop\nversion: 1\n{fits}"));
    }
    assert_eq!(problems(&types(65)), ["3:8: types: must have at most 64 entries, not 65"]);
    assert_eq!(problems(&roles(257)), ["3:8: roles: must have at most 256 entries, not 257"]);
    assert_eq!(problems(&permissions(257)), ["3:14: permissions: must have at most 256 entries, not 257"]);
    assert_eq!(problems(&format!("# {}", "x".repeat(256 * 1024))), ["1:1: must be at most 256 KiB long"]);

    let long = "x".repeat(65);
    assert_eq!(problems(&format!("types: {{{long}: {{}}}}")).len(), 1);
    good(&format!("name: shop\nversion: 1\ntypes: {{{}: {{}}}}", &long[1..]));
    let text = format!("description: {}", "é".repeat(1_001));
    assert_eq!(problems(&text), ["3:14: description: must be at most 1000 characters long"]);
}
