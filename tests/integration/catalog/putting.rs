//! Catalogs put, shown, listed and compared.

use std::fmt::Write as _;

use guildhall::proto::{self, DiffCatalogsRequest, GetCatalogRequest, ListCatalogsRequest};
use tonic::Code;

use super::{SHOP, create_under, put, shop_with};
use crate::harness::messages::{get_catalog, get_organization, put_catalog};
use crate::harness::{Caller, assert_refused, reason, violations};
use crate::on_both;

const REQUEST_ID: &str = "018f4e9a-0000-7000-8000-000000000001";

fn version(name: &str, version: u32) -> GetCatalogRequest {
    GetCatalogRequest { name: name.into(), version }
}

/// Names what a page holds.
fn named(page: &proto::ListCatalogsResponse) -> Vec<(&str, u32)> {
    page.catalogs.iter().map(|it| (it.name.as_str(), it.version)).collect()
}

/// Tells in what two versions differ: path, before, after.
async fn differences(by: &Caller, request: DiffCatalogsRequest) -> Vec<(String, Option<String>, Option<String>)> {
    let answer = by.diff_catalogs(request).await.expect("two catalogs");
    answer.differences.into_iter().map(|it| (it.path, it.before, it.after)).collect()
}

on_both! {
    async fn a_version_that_was_put_is_shown_and_never_changes(app) {
        let operator = app.operator();
        let first = put(&app, SHOP).await;
        assert_eq!((first.name.as_str(), first.version, first.is_preset), ("shop", 1, false));
        assert_eq!((first.description.as_str(), first.yaml.as_str()), ("Shelves that people look after.", SHOP));
        let untouched = app.traces().await;
        app.clock.advance(std::time::Duration::from_mins(1));
        assert_eq!(put(&app, SHOP).await, first, "the same text again is no other");
        let other = shop_with(&[("shelves", "racks"), ("Shelves that", "Racks that")]);
        assert_refused(operator.put_catalog(put_catalog(&other)).await, Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(app.traces().await, untouched);

        let second = put(&app, &shop_with(&[("version: 1", "version: 12")])).await;
        let shown = async |request| operator.get_catalog(request).await.unwrap().catalog.unwrap();
        assert_eq!(shown(get_catalog("shop")).await, second, "the newest by its number, whatever its digits");
        assert_eq!(shown(version("shop", 1)).await, first);
        put(&app, &shop_with(&[("version: 1", "version: 3")])).await;
        assert_eq!(shown(get_catalog("shop")).await, second);
        for unknown in [version("shop", 2), version("shop", u32::MAX), version("no-such", 0), version("", 0)] {
            assert_refused(operator.get_catalog(unknown).await, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn presets_are_shown_and_their_names_are_theirs(app) {
        let operator = app.operator();
        let preset = operator.get_catalog(get_catalog("disaster-recovery")).await.unwrap().catalog.unwrap();
        assert_eq!((preset.version, preset.is_preset, preset.create_time), (1, true, None));
        assert_eq!(preset.yaml, include_str!("../../../presets/disaster-recovery.yaml"));
        assert_refused(operator.get_catalog(version("disaster-recovery", 2)).await, Code::NotFound, "NOT_FOUND");

        let taken = shop_with(&[("name: shop", "name: disaster-recovery"), ("version: 1", "version: 2")]);
        assert_refused(operator.put_catalog(put_catalog(&taken)).await, Code::AlreadyExists, "NAME_TAKEN");
        assert_refused(operator.put_catalog(put_catalog(&preset.yaml)).await, Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(app.traces().await.rows["catalogs"], 0);
    }

    async fn a_list_begins_with_the_presets_and_goes_by_name_and_version(app) {
        let operator = app.operator();
        for (name, version) in [("shop", 2), ("shop", 10), ("shop", 1), ("a-shop", 1), ("shop2", 7)] {
            let (name, version) = (format!("name: {name}"), format!("version: {version}"));
            put(&app, &shop_with(&[("name: shop", &name), ("version: 1", &version)])).await;
        }
        let all = operator.list_catalogs(ListCatalogsRequest::default()).await.unwrap();
        let presets = ["analytics-workspace", "bi-dashboards", "disaster-recovery", "msp-monitoring", "task-automation"];
        let presets: Vec<(&str, u32)> = presets.into_iter().map(|name| (name, 1)).collect();
        let own = [("a-shop", 1), ("shop", 1), ("shop", 2), ("shop", 10), ("shop2", 7)];
        assert_eq!(named(&all), presets.iter().copied().chain(own).collect::<Vec<_>>());
        assert!(all.catalogs.iter().all(|it| it.yaml.is_empty() && !it.description.is_empty()));
        assert_eq!(all.next_page_token, "");

        let (mut page_token, mut pages) = (String::new(), Vec::new());
        loop {
            let request = ListCatalogsRequest { page_size: 2, page_token };
            let page = operator.list_catalogs(request).await.unwrap();
            pages.push(named(&page).into_iter().map(|(name, version)| (name.to_owned(), version)).collect::<Vec<_>>());
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [presets.len() + 2, 2, 1]);
        assert_eq!(pages.concat().len(), presets.len() + own.len());

        let request = |page_size, page_token: &str| ListCatalogsRequest { page_size, page_token: page_token.into() };
        let refused = operator.list_catalogs(request(1001, "")).await;
        assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
        let refused = operator.list_catalogs(request(2, "x")).await;
        assert_refused(refused, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }

    async fn two_versions_differ_in_what_they_say_and_not_in_how_they_are_written(app) {
        let operator = app.operator();
        put(&app, SHOP).await;
        let changes = [
            ("version: 1", "version: 2"),
            ("permissions: [shelf.fill, shelf.audit]", "permissions: [shelf.audit, shelf.fill] # as before"),
            ("    permissions: {shelf.view: SHARED}\n\n  guest", "    permissions: {shelf.view: ANY}\n\n  guest"),
            ("    at: [organization, shelf]\n", "    at: [shelf]\n"),
        ];
        put(&app, &shop_with(&changes)).await;
        let between = |other_name: &str, other_version| DiffCatalogsRequest {
            name: "shop".into(),
            version: 1,
            other_name: other_name.into(),
            other_version,
        };
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            ("roles.guest.at".to_owned(), some("organization"), None),
            ("roles.helper.permissions.shelf.view".to_owned(), some("SHARED"), some("ANY")),
            ("version".to_owned(), some("1"), some("2")),
        ];
        assert_eq!(differences(&operator, between("", 2)).await, expected);
        assert_eq!(differences(&operator, between("shop", 0)).await, expected);
        assert_eq!(differences(&operator, between("", 1)).await, []);
        let told = differences(&operator, between("disaster-recovery", 0)).await;
        assert!(told.contains(&("name".to_owned(), some("shop"), some("disaster-recovery"))));
        assert_refused(operator.diff_catalogs(between("", 3)).await, Code::NotFound, "NOT_FOUND");
        assert_refused(operator.diff_catalogs(between("no-such", 0)).await, Code::NotFound, "NOT_FOUND");
    }

    async fn all_that_is_wrong_with_a_text_is_told_with_its_line_and_column(app) {
        let operator = app.operator();
        let untouched = app.traces().await;
        let text = "name: shop\nversion: 0\nroles:\n  keeper:\n    at: [organisation]\n    permissions: {shelf.fill: ALL}\n\
                    founder_roles: [keper]\ncolour: red\n";
        let status = operator.put_catalog(put_catalog(text)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CATALOG_INVALID"));
        let told = violations(&status);
        assert!(told.iter().all(|(_, reason)| reason == "CATALOG_INVALID"), "{told:?}");
        let fields: Vec<&str> = told.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "yaml:2:10:version",
                "yaml:5:10:roles.keeper.at[0]",
                "yaml:6:31:roles.keeper.permissions[\"shelf.fill\"]",
                "yaml:7:17:founder_roles[0]",
                "yaml:8:1:colour",
            ],
            "{status:?}"
        );

        let no_yaml = operator.put_catalog(put_catalog("name: [")).await.unwrap_err();
        assert_eq!(violations(&no_yaml).len(), 1, "{no_yaml:?}");
        assert!(violations(&no_yaml)[0].0.starts_with("yaml:"), "{no_yaml:?}");
        assert_refused(operator.put_catalog(put_catalog("")).await, Code::InvalidArgument, "FIELD_REQUIRED");
        let long = format!("{SHOP}# {}\n", "x".repeat(256 * 1024));
        assert_refused(operator.put_catalog(put_catalog(&long)).await, Code::InvalidArgument, "CATALOG_INVALID");
        assert_eq!(app.traces().await, untouched);
    }

    /// A status travels in a header: what is told must fit there.
    async fn a_text_with_very_many_problems_is_refused_with_the_first_of_them(app) {
        let mut text = SHOP.to_owned();
        for number in 0..5_000 {
            writeln!(text, "no_field_{number}: true").unwrap();
        }
        let status = app.operator().put_catalog(put_catalog(&text)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CATALOG_INVALID"));
        let told = violations(&status);
        assert_eq!(told.len(), 20);
        assert!(told[0].0.ends_with(":no_field_0"), "{:?}", told[0]);
        assert!(status.message().ends_with("and 4995 more"), "{}", status.message());

        let long = format!("{SHOP}{}: true\n", "x".repeat(200_000));
        let status = app.operator().put_catalog(put_catalog(&long)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CATALOG_INVALID"));
        let status = app.operator().get_catalog(get_catalog(&"x".repeat(200_000))).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
    }

    async fn a_dry_run_puts_nothing_and_a_request_id_makes_a_retry_safe(app) {
        let operator = app.operator();
        let dry = proto::PutCatalogRequest { validate_only: true, ..put_catalog(SHOP) };
        let shown = operator.put_catalog(dry).await.unwrap().catalog.unwrap();
        assert_eq!((shown.name.as_str(), shown.version), ("shop", 1));
        assert_refused(operator.get_catalog(get_catalog("shop")).await, Code::NotFound, "NOT_FOUND");

        let named = |yaml: &str| proto::PutCatalogRequest { request_id: REQUEST_ID.into(), ..put_catalog(yaml) };
        let first = operator.put_catalog(named(SHOP)).await.unwrap();
        assert_eq!(operator.put_catalog(named(SHOP)).await.unwrap(), first);
        let reused = operator.put_catalog(named(&shop_with(&[("version: 1", "version: 2")]))).await;
        assert_refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
        assert_eq!(app.traces().await.rows["catalogs"], 1);
    }

    async fn one_of_many_who_put_the_same_version_wins_and_the_same_text_is_no_conflict(app) {
        let texts: Vec<String> =
            (0..40).map(|number| shop_with(&[("people look", &format!("{} look", number / 20))])).collect();
        let operator = app.operator();
        let puts = texts.iter().map(|text| operator.put_catalog(put_catalog(text)));
        let answers = futures_util::future::join_all(puts).await;
        let kept = operator.get_catalog(get_catalog("shop")).await.unwrap().catalog.unwrap().yaml;
        for (text, answer) in texts.iter().zip(answers) {
            match answer {
                Ok(answer) => assert_eq!((&answer.catalog.unwrap().yaml, text), (&kept, &kept)),
                refused => {
                    assert_ne!(*text, kept);
                    assert_refused(refused, Code::AlreadyExists, "NAME_TAKEN");
                }
            }
        }
    }

    async fn an_organization_follows_the_version_that_it_was_founded_under(app) {
        put(&app, SHOP).await;
        let founded = app.found_under("shop").await;
        let widened = shop_with(&[("version: 1", "version: 2"), ("shelf.view: SHARED}", "shelf.view: ANY}")]);
        put(&app, &widened).await;
        let followed = async |id: &str| {
            let organization = app.operator().get_organization(get_organization(id)).await.unwrap().organization.unwrap();
            (organization.catalog, organization.catalog_version)
        };
        assert_eq!(followed(&founded.id).await, ("shop".to_owned(), 1), "until it is told to follow another");

        for (asked, expected) in [(0, 2), (1, 1), (2, 2)] {
            let made = app.operator().create_organization(create_under("shop", asked)).await.unwrap();
            let made = made.organization.unwrap();
            assert_eq!((made.catalog.as_str(), made.catalog_version), ("shop", expected));
            assert_eq!(followed(&made.id).await, ("shop".to_owned(), expected));
        }
        let untouched = app.traces().await;
        for (name, version) in [("shop", 3), ("disaster-recovery", 2), ("shop@1", 0), ("Shop", 0), ("", 0)] {
            let refused = app.operator().create_organization(create_under(name, version)).await;
            assert_refused(refused, Code::InvalidArgument, "CATALOG_UNKNOWN");
        }
        assert_eq!(app.traces().await, untouched);
    }
}
