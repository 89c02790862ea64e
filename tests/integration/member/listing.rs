//! The list of members, against a naive model of it; and that its pages come from an index, however many members there
//! are.

use std::time::Duration;

use guildhall::clock::{Clock, SystemClock};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::member::list::{Filter, Key, Order, Position, Query};
use guildhall::proto::{self, Management, Member, MemberState};
use guildhall::store::MemberQuery;
use sea_orm::{ConnectionTrait, Database as Connection, DatabaseConnection, DbBackend};
use tonic::Code;

use super::later;
use crate::harness::messages::{create_members, disable, grant, list_members, membership, new_member, register};
use crate::harness::{Caller, TestApp, as_member, assert_refused, project, reason, role, violations};
use crate::on_both;

/// Everything that was ever asked, drawn from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// Reads the database past the server.
async fn beside(app: &TestApp) -> DatabaseConnection {
    Connection::connect(app.config.database_url()).await.expect("the server's database")
}

async fn pages(call: &Caller, request: &proto::ListMembersRequest) -> Vec<Member> {
    let (mut all, mut request) = (Vec::new(), request.clone());
    for _ in 0..10_000 {
        let page =
            call.list_members(request.clone()).await.unwrap_or_else(|refused| panic!("{request:?}: {refused:?}"));
        assert!(page.members.len() <= usize::try_from(request.page_size).unwrap());
        all.extend(page.members);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
    panic!("{request:?} does not end");
}

type Fits = Box<dyn Fn(&Member) -> bool>;

/// Returns a filter as it is written, and as the model reads it.
fn filter(dice: &mut Dice, instants: &[prost_types::Timestamp], depth: usize) -> (String, Fits) {
    if depth > 0 && dice.roll(3) > 0 {
        let (one, fits_one) = filter(dice, instants, depth - 1);
        let (two, fits_two) = filter(dice, instants, depth - 1);
        return match dice.roll(4) {
            0 => (format!("({one}) AND ({two})"), Box::new(move |it| fits_one(it) && fits_two(it))),
            1 => (format!("({one}) ({two})"), Box::new(move |it| fits_one(it) && fits_two(it))),
            2 => (format!("({one}) OR ({two})"), Box::new(move |it| fits_one(it) || fits_two(it))),
            _ => (format!("NOT ({one})"), Box::new(move |it| !fits_one(it))),
        };
    }
    match dice.roll(5) {
        0 => {
            let (word, state) = *dice.pick(&[
                ("PENDING", MemberState::Pending),
                ("ACTIVE", MemberState::Active),
                ("DISABLED", MemberState::Disabled),
            ]);
            if dice.roll(2) == 0 {
                (format!("state = {word}"), Box::new(move |it| it.state() == state))
            } else {
                (format!("state != {word}"), Box::new(move |it| it.state() != state))
            }
        }
        1 => {
            let name = *dice.pick(&["admin", "user", "owner", "no such"]);
            (format!("roles:\"{name}\""), Box::new(move |it| it.roles.iter().any(|role| role == name)))
        }
        2 => {
            let managed = dice.roll(2) == 0;
            let fits = move |it: &Member| (it.management() == Management::Managed) == managed;
            (format!("managed = {managed}"), Box::new(fits))
        }
        which => {
            let of: fn(&Member) -> Option<prost_types::Timestamp> =
                if which == 3 { |it| it.last_active_time } else { |it| it.create_time };
            let field = if which == 3 { "last_active_time" } else { "create_time" };
            let instant = *dice.pick(instants);
            let micros = |at: prost_types::Timestamp| at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000;
            let (sign, holds): (&str, fn(i64, i64) -> bool) = *dice.pick(&[
                ("<", (|a, b| a < b) as fn(i64, i64) -> bool),
                ("<=", |a, b| a <= b),
                (">", |a, b| a > b),
                (">=", |a, b| a >= b),
                ("=", |a, b| a == b),
                ("!=", |a, b| a != b),
            ]);
            // Who was never active is before any instant.
            let fits = move |it: &Member| holds(of(it).map_or(i64::MIN, micros), micros(instant));
            (format!("{field} {sign} \"{instant}\""), Box::new(fits))
        }
    }
}

/// Returns whether a word of the query begins, in the name or the address, after a space or a mark.
fn is_found(member: &Member, query: &str) -> bool {
    let text = format!("{} {}", member.display_name, member.email).to_lowercase();
    let query = query.to_lowercase();
    // What has no letter or digit is no word; a query of such alone finds nobody.
    let mut words = query.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).peekable();
    (words.peek().is_some() || query.is_empty())
        && words
            .all(|word| text.match_indices(word).any(|(at, _)| at == 0 || !text[..at].ends_with(char::is_alphanumeric)))
}

fn sorted(mut members: Vec<Member>, order_by: &str) -> Vec<Member> {
    let micros = |at: &Option<prost_types::Timestamp>| at.map(|at| (at.seconds, at.nanos));
    members.sort_by(|a, b| {
        let key = match order_by.split(' ').next().unwrap() {
            "display_name" => a.display_name.to_lowercase().cmp(&b.display_name.to_lowercase()),
            "last_active_time" => micros(&a.last_active_time).cmp(&micros(&b.last_active_time)),
            "create_time" => micros(&a.create_time).cmp(&micros(&b.create_time)),
            _ => a.email.to_lowercase().cmp(&b.email.to_lowercase()),
        };
        key.then_with(|| a.id.cmp(&b.id))
    });
    if order_by.ends_with(" desc") {
        members.reverse();
    }
    members
}

/// Makes members in batches, a minute apart.
async fn fill(app: &TestApp, call: &Caller, organization: &str, count: usize, dice: &mut Dice) {
    const NAMES: [&str; 12] =
        ["Ada", "ada", "Bob", "Ärger", "Zoë O'Neil", "émile", "Max-Paul", "", "X Æ", "Ада", "Lovelace", "Bo"];
    const DOMAINS: [&str; 4] = ["example.test", "mail.example.test", "other.test", "ADA.test"];
    for batch in 0..count.div_ceil(100) {
        let new = |n: usize, dice: &mut Dice| proto::NewMember {
            display_name: format!("{} {}", dice.pick(&NAMES), dice.pick(&NAMES)),
            ..new_member(
                &format!("{}.{n}@{}", ["a", "B", "ada", "zo"][dice.roll(4)], dice.pick(&DOMAINS)),
                vec![role(["user", "user", "user", "admin"][dice.roll(4)])],
            )
        };
        let members = (batch * 100..count.min(batch * 100 + 100)).map(|n| new(n, dice)).collect();
        call.batch_create_members(create_members(organization, members)).await.unwrap();
        app.clock.advance(Duration::from_mins(1));
    }
}

on_both! {
    async fn every_order_filter_query_and_page_size_gives_what_a_naive_list_gives(app) {
        let organization = app.found().await;
        let id = organization.id.as_str();
        let mut dice = Dice(7 * crate::harness::soak());
        fill(&app, &app.operator(), id, 2_300, &mut dice).await;
        let owner = &app.sign_in(&organization.owner.email, "").await.call;
        // What nobody has come to do is written past the server.
        let beside = beside(&app).await;
        let noon = 1_795_348_800_000_000_i64;
        for (state, part) in [("active", 3), ("disabled", 20)] {
            let sql = format!(
                "update memberships set state = '{state}', is_made_here = (length(display_name) % 2 = 0), \
                 last_active_at = {noon} + 60000000 * (created_at / 60000000 % 7) \
                 where user_id is null and length(email) % {part} = 0"
            );
            beside.execute_unprepared(&sql).await.unwrap();
        }
        for sql in [
            "insert into users (id, display_name, state, created_at) \
             select id, '', 'active', 0 from memberships where user_id is null and state <> 'pending'",
            "update memberships set user_id = id where user_id is null and state <> 'pending'",
        ] {
            beside.execute_unprepared(sql).await.unwrap();
        }

        let all = pages(owner, &proto::ListMembersRequest { page_size: 1_000, ..list_members(id) }).await;
        assert_eq!(all.len(), 2_301);
        let mut instants: Vec<prost_types::Timestamp> =
            all.iter().flat_map(|it| [it.create_time, it.last_active_time]).flatten().collect();
        // The beginning of time as computers count it, before it, and the first instant that can be named.
        for seconds in [0, -1, -315_619_200, -62_135_596_800] {
            instants.push(prost_types::Timestamp { seconds, nanos: 0 });
        }
        instants.sort_by_key(|at| (at.seconds, at.nanos));
        instants.dedup();
        for _ in 0..60 {
            let (text, fits) = filter(&mut dice, &instants, 2);
            let (text, fits) = if dice.roll(3) == 0 { (String::new(), Box::new(|_: &Member| true) as Fits) } else { (text, fits) };
            let query = *dice.pick(&["", "", "", "ada", "o'n", "A b", "zo example", "ада", "neil", "b.1", "ada.test", "zz", "_", " ", "ada -"]);
            let order_by = *dice.pick(&[
                "", "email desc", "display_name", "display_name desc", "last_active_time", "last_active_time desc",
                "create_time asc", "create_time desc",
            ]);
            let request = proto::ListMembersRequest {
                page_size: *dice.pick(&[1_000, 900, 333, 250]),
                query: query.into(),
                filter: text,
                order_by: order_by.into(),
                ..list_members(id)
            };
            let found: Vec<String> = pages(owner, &request).await.into_iter().map(|it| it.id).collect();
            let fitting: Vec<Member> = all.iter().filter(|it| fits(it) && is_found(it, query)).cloned().collect();
            let expected: Vec<String> = sorted(fitting, order_by).into_iter().map(|it| it.id).collect();
            assert_eq!(found.len(), expected.len(), "{request:?}");
            assert_eq!(found, expected, "{request:?}");
        }
        // Page by page, one row each, through what all the others have in common.
        let few = proto::ListMembersRequest {
            page_size: 1, query: "ada.1".into(), order_by: "display_name desc".into(), ..list_members(id)
        };
        let found: Vec<String> = pages(owner, &few).await.into_iter().map(|it| it.id).collect();
        let expected = sorted(all.iter().filter(|it| is_found(it, "ada.1")).cloned().collect(), "display_name desc");
        assert_eq!(found, expected.into_iter().map(|it| it.id).collect::<Vec<_>>());
    }

    async fn a_list_is_refused_for_all_that_is_wrong_with_it_at_once(app) {
        let organization = app.found().await;
        let request = proto::ListMembersRequest {
            query: "a\u{0}".into(),
            filter: "age > 3".into(),
            order_by: "shoe_size".into(),
            ..list_members(&organization.id)
        };
        let refused = organization.owner.call.list_members(request).await.unwrap_err();
        let expected = [("query", "TEXT_MALFORMED"), ("filter", "FILTER_INVALID"), ("order_by", "ORDER_INVALID")];
        assert_eq!(violations(&refused), expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "REQUEST_INVALID"));
    }

    async fn a_page_token_belongs_to_its_query_filter_and_order(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let many = (0..3).map(|n| new_member(&format!("n{n}@example.test"), vec![])).collect();
        owner.batch_create_members(create_members(id, many)).await.unwrap();
        let request = proto::ListMembersRequest { page_size: 1, ..list_members(id) };
        let page_token = owner.list_members(request.clone()).await.unwrap().next_page_token;
        for other in [
            proto::ListMembersRequest { query: "n".into(), ..request.clone() },
            proto::ListMembersRequest { filter: "state = PENDING".into(), ..request.clone() },
            proto::ListMembersRequest { order_by: "email desc".into(), ..request.clone() },
        ] {
            let other = proto::ListMembersRequest { page_token: page_token.clone(), ..other };
            assert_refused(owner.list_members(other).await, Code::InvalidArgument, "PAGE_TOKEN_MISMATCH");
        }
    }

    async fn how_many_there_are_is_told_first_and_of_all(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let many = (0..3).map(|n| new_member(&format!("n{n}@example.test"), vec![])).collect();
        owner.batch_create_members(create_members(id, many)).await.unwrap();
        let request = proto::ListMembersRequest { page_size: 2, ..list_members(id) };
        let first = owner.list_members(request.clone()).await.unwrap();
        assert_eq!(first.total_size, Some(4));
        let next = proto::ListMembersRequest { page_token: first.next_page_token, ..request.clone() };
        assert_eq!(owner.list_members(next).await.unwrap().total_size, None);
        let some = proto::ListMembersRequest { filter: "state = PENDING".into(), ..request.clone() };
        assert_eq!(owner.list_members(some).await.unwrap().total_size, None);
        let some = proto::ListMembersRequest { query: "n".into(), ..request };
        assert_eq!(owner.list_members(some).await.unwrap().total_size, None);
    }

    async fn who_has_come_and_who_was_renamed_is_found_by_the_name_they_have(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let found = async |query: &str| {
            let request = proto::ListMembersRequest { query: query.into(), page_size: 10, ..list_members(id) };
            pages(owner, &request).await.len()
        };
        let request = crate::harness::messages::update_member(id, &bob.membership_id);
        let request = proto::UpdateMemberRequest { display_name: "Robert Roe".into(), ..request };
        bob.call.update_member(request).await.unwrap();
        assert_eq!((found("ROE").await, found("rob").await, found("bob").await), (1, 1, 1));
        let request = crate::harness::messages::update_member(id, &bob.membership_id);
        let request = proto::UpdateMemberRequest { display_name: "Bobby".into(), ..request };
        bob.call.update_member(request).await.unwrap();
        assert_eq!((found("roe").await, found("bobb").await), (0, 1));
        owner.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        assert_eq!((found("roe").await, found("bobb").await), (0, 1));
    }

    async fn a_grant_that_has_lapsed_is_held_by_nobody(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("alpha"))).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let soon = Some(later(&app, Duration::from_mins(5)));
        let assignment = proto::Assignment { expire_time: soon, ..as_member(project("alpha")) };
        let delta = grant(membership(&bob.membership_id), assignment);
        owner.change_grants(crate::harness::messages::change(id, vec![delta])).await.unwrap();
        assert_eq!(owner.member(id, "bob@example.test").await.place_count, 1);
        app.clock.advance(Duration::from_mins(5));
        assert_eq!(owner.member(id, "bob@example.test").await.place_count, 0);
    }
}

/// Makes 100,000 members past the server, and another organization of as many.
async fn crowd(app: &TestApp, organization: &str) {
    let beside = beside(app).await;
    let is_postgres = beside.get_database_backend() == DbBackend::Postgres;
    let numbers = if is_postgres {
        "with n(i) as (select generate_series(1::bigint, 100000))"
    } else {
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)"
    };
    let uuid = |prefix: &str| {
        let hex = if is_postgres { "lpad(to_hex(i), 8, '0')" } else { "printf('%08x', i)" };
        let text = format!("{hex} || '{prefix}'");
        if is_postgres { format!("({text})::uuid") } else { format!("unhex({text})") }
    };
    let plain = |id: &str| if is_postgres { format!("'{id}'::uuid") } else { format!("x'{}'", id.replace('-', "")) };
    let other = "018f4e9a-0000-7000-8000-000000000000";
    let make_other = format!(
        "insert into organizations (id, display_name, catalog, state, created_at) \
         select {}, 'Other', catalog, state, created_at from organizations where id = {}",
        plain(other),
        plain(organization),
    );
    beside.execute_unprepared(&make_other).await.unwrap();
    for (organization, prefix) in [(organization, "70008000000000000000aaaa"), (other, "70008000000000000000bbbb")] {
        let (id, organization) = (uuid(prefix), plain(organization));
        let state = "case when i % 50 = 0 then 'pending' when i % 1000 = 1 then 'disabled' else 'active' end";
        for sql in [
            format!(
                "{numbers} insert into memberships (id, organization_id, email_key, email, display_name, state, \
                 created_at, name_key, last_active_at, is_made_here) select {id}, {organization}, \
                 'm' || i || '@example.test', 'm' || i || '@example.test', 'Name ' || i % 977, {state}, \
                 1795348800000000 + i * 1000, 'name ' || i % 977, 1795348800000000 + i % 10000 * 60000000, i % 2 = 0 \
                 from n"
            ),
            format!(
                "{numbers} insert into membership_words (membership_id, word, organization_id) \
                 select {id}, 'm' || i || '@example.test', {organization} from n"
            ),
            format!(
                "{numbers} insert into membership_words (membership_id, word, organization_id) \
                 select {id}, 'name', {organization} from n"
            ),
            format!(
                "{numbers} insert into grants (id, scope, principal_kind, principal_id, place_kind, place_type, \
                 place_id, role, source, created_at) select {id}, {organization}, 'membership', {id}, 'organization', \
                 '', '', case when i % 200 = 0 then 'admin' else 'user' end, 'manual', 0 from n"
            ),
        ] {
            beside.execute_unprepared(&sql).await.expect(&sql);
        }
    }
    beside.execute_unprepared("analyze").await.unwrap();
}

/// Every order, and filters that few, many and nearly all fit.
const ORDERS: [&str; 8] = [
    "email",
    "email desc",
    "display_name",
    "display_name desc",
    "last_active_time",
    "last_active_time desc",
    "create_time",
    "create_time desc",
];
const ASKED: [(&str, &str); 13] = [
    ("", ""),
    ("m7", ""),
    ("m77", ""),
    ("name", ""),
    ("name m1", "state = ACTIVE"),
    ("", "state = ACTIVE"),
    ("", "state = PENDING"),
    ("", "state = DISABLED"),
    ("", "roles:admin"),
    ("", "NOT roles:user"),
    ("", "managed = true"),
    ("", "last_active_time < \"2026-11-22T12:30:00Z\""),
    ("", "create_time >= \"2026-11-22T12:01:39.9Z\""),
];

on_both! {
    /// `GUILDHALL_PLANS=1` prints the plans and the times, for docs/performance.md.
    async fn of_100_000_members_every_page_comes_from_an_index_however_deep(app) {
        let organization = app.found().await;
        crowd(&app, &organization.id).await;
        let store = &app.app.services().store;
        let id = OrganizationId::parse("id", &organization.id).unwrap();
        let now = app.clock.now();
        for order_by in ORDERS {
            for (words, filter) in ASKED {
                let order = Order::parse("order_by", order_by).unwrap();
                let key = match order_by.split(' ').next().unwrap() {
                    "email" => Key::Text("m5@example.test".into()),
                    "display_name" => Key::Text("name 5".into()),
                    "last_active_time" => Key::Number(1_795_348_800_000_000 + 5_000 * 60_000_000),
                    _ => Key::Number(1_795_348_800_000_000 + 50_000 * 1_000),
                };
                let middle = Position { key, id: organization.owner.membership_id.parse::<uuid::Uuid>().unwrap().into() };
                for after in [None, Some(middle)] {
                    let depth = if after.is_some() { "in the middle" } else { "at the beginning" };
                    let query = MemberQuery {
                        words: Query::parse("query", words).unwrap(),
                        filter: Filter::parse("filter", filter).unwrap(),
                        order,
                        now,
                        size: 50,
                        after,
                    };
                    if std::env::var("GUILDHALL_PLANS").is_ok() {
                        let began_at = SystemClock.monotonic();
                        for _ in 0..10 {
                            store.reads().of(id).member_page(&query).await.unwrap();
                        }
                        let took = SystemClock.monotonic().since(began_at) / 10;
                        println!("TOOK {took:?} {order_by}, {words:?}, {filter:?} {depth}\n");
                    }
                    for (sql, plan) in store.reads().of(id).member_plans(&query).await.unwrap() {
                        let about = format!("{order_by}, {words:?}, {filter:?}\n{sql}\n{plan}");
                        if std::env::var("GUILDHALL_PLANS").is_ok() {
                            println!("{about}\n");
                        }
                        assert!(is_indexed(&plan), "{about}");
                        let is_walk = sql.starts_with("select * from") || sql.starts_with("select m.* from (");
                        assert!(!is_walk || !sorts(&plan), "{about}");
                    }
                }
            }
        }
    }
}

/// Returns whether no table is read from its beginning to its end.
fn is_indexed(plan: &str) -> bool {
    plan.lines().all(|line| {
        let line = line.trim_start_matches([' ', '-', '>']);
        let is_scan = line.starts_with("Seq Scan") || (line.starts_with("SCAN ") && !line.starts_with("SCAN m"));
        !is_scan || line.contains("CONSTANT ROW")
    })
}

/// Returns whether more rows are sorted than a page may read: PostgreSQL sorts those of a narrow range, if it takes
/// them for few.
fn sorts(plan: &str) -> bool {
    plan.lines().any(|line| {
        let line = line.trim_start_matches([' ', '-', '>']);
        let rows = line.split_once("rows=").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
        let is_sort = line.starts_with("Sort  ") || line.starts_with("Incremental Sort  ");
        (is_sort && rows.is_none_or(|rows| rows > 2_000)) || line.contains("TEMP B-TREE FOR ORDER BY")
    })
}
