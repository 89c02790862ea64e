//! Catalogs of operators: put, shown and compared; and organizations that follow one, and then another.

mod putting;
mod switching;

use guildhall::proto;

use crate::harness::messages::{create_organization, put_catalog};
use crate::harness::{Organization, TestApp};

/// A catalog of an operator's, version 1.
pub const SHOP: &str = include_str!("shop.yaml");

/// Returns the shop with some of its text replaced, which must be there.
pub fn shop_with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SHOP.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the shop has no {from:?}");
        text.replace(from, to)
    })
}

/// Puts a catalog as the operator.
pub async fn put(app: &TestApp, yaml: &str) -> proto::Catalog {
    let put = app.operator().put_catalog(put_catalog(yaml)).await.expect("a catalog that is right");
    put.catalog.expect("it is in the answer")
}

/// Makes an organization that follows the shop, whose founder joins and signs in.
pub async fn found_shop(app: &TestApp) -> Organization {
    put(app, SHOP).await;
    app.found_under("shop").await
}

/// A shelf.
pub fn shelf(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "shelf".into(), id: id.into() }
}

/// Asks for an organization that follows a version of a catalog.
fn create_under(catalog: &str, catalog_version: u32) -> proto::CreateOrganizationRequest {
    let request = create_organization("Example", "ada@example.test");
    proto::CreateOrganizationRequest { catalog: catalog.into(), catalog_version, ..request }
}
