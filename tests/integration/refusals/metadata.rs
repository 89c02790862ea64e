//! Metadata: what is kept comes back as it was, and what would not is refused.

use guildhall::proto::{self, Metadata};
use prost_types::value::Kind;
use prost_types::{FieldMask, ListValue, Struct, Value};

use super::assert_violates;
use crate::harness::messages::{create_group, create_member, get_resource, new_member, register, update_member};
use crate::harness::project;
use crate::on_both;

/// Numbers that are tried, of all magnitudes.
const NUMBERS: usize = 300;

fn one(name: &str, kind: Option<Kind>) -> Struct {
    Struct { fields: [(name.to_owned(), Value { kind })].into_iter().collect() }
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

fn nested(kind: Option<Kind>) -> Struct {
    let inner = Value { kind: Some(Kind::StructValue(one("inner", kind))) };
    one("outer", Some(Kind::ListValue(ListValue { values: vec![Value { kind: Some(text("first")) }, inner] })))
}

/// What JSON has no word for, or a database no place.
fn unfit() -> Vec<Struct> {
    let number = |number: f64| Some(Kind::NumberValue(number));
    let mut unfit = Vec::new();
    for kind in [number(f64::NAN), number(f64::INFINITY), number(f64::NEG_INFINITY), Some(text("a\0b")), None] {
        unfit.extend([one("a", kind.clone()), nested(kind)]);
    }
    unfit.push(one("a\0b", Some(text("c"))));
    unfit
}

/// Doubles of any bits (xorshift), but for those that are no numbers.
fn numbers() -> Vec<f64> {
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let drawn = std::iter::repeat_with(move || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        f64::from_bits(bits)
    });
    let special = [0.1, 1.0 / 3.0, -0.0, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX, 9_007_199_254_740_993.0];
    special.into_iter().chain(drawn.filter(|number| number.is_finite()).take(NUMBERS)).collect()
}

fn bits(kept: &Metadata) -> Vec<u64> {
    let Some(Kind::ListValue(list)) = &kept.public.as_ref().unwrap().fields["numbers"].kind else { panic!("no list") };
    let number = |value: &Value| match value.kind {
        Some(Kind::NumberValue(number)) => number.to_bits(),
        ref other => panic!("{other:?}"),
    };
    list.values.iter().map(number).collect()
}

on_both! {
    async fn what_would_come_back_changed_is_refused_wherever_metadata_is_written(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("p"))).await.unwrap();
        let group = owner.create_group(create_group(id, "Team")).await.unwrap().group.unwrap().id;
        let before = app.traces().await;
        for (at, unfit) in unfit().into_iter().enumerate() {
            let is_public = at % 2 == 0;
            let metadata = Some(if is_public {
                Metadata { public: Some(unfit), private: None }
            } else {
                Metadata { public: None, private: Some(unfit) }
            });
            let part = if is_public { "public" } else { "private" };
            let at_fault = |prefix: &str| format!("{prefix}metadata.{part}");

            let member = proto::NewMember { metadata: metadata.clone(), ..new_member("new@example.test", vec![]) };
            let expected = at_fault("member.");
            assert_violates(owner.create_member(create_member(id, member)).await, &[(&expected, "METADATA_MALFORMED")]);
            let expected = at_fault("");
            let expected = [(expected.as_str(), "METADATA_MALFORMED")];
            let edit = update_member(id, &organization.owner.membership_id);
            let edit = proto::UpdateMemberRequest { metadata: metadata.clone(), ..edit };
            assert_violates(app.operator().update_member(edit).await, &expected);
            let new = proto::CreateGroupRequest { metadata: metadata.clone(), ..create_group(id, "Other") };
            assert_violates(owner.create_group(new).await, &expected);
            let edit = proto::UpdateGroupRequest {
                organization_id: id.into(),
                group_id: group.clone(),
                metadata: metadata.clone(),
                ..Default::default()
            };
            assert_violates(owner.update_group(edit).await, &expected);
            let edit = proto::UpdateOrganizationRequest {
                organization_id: id.into(),
                metadata: metadata.clone(),
                ..Default::default()
            };
            assert_violates(owner.update_organization(edit).await, &expected);
            let edit = proto::UpdateResourceRequest {
                organization_id: id.into(),
                resource: Some(project("p")),
                metadata,
                ..Default::default()
            };
            assert_violates(owner.update_resource(edit).await, &expected);
        }
        assert_eq!(app.traces().await, before);
    }

    async fn what_is_kept_comes_back_as_it_was(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("p"))).await.unwrap();
        let numbers = numbers();
        let values = numbers.iter().map(|number| Value { kind: Some(Kind::NumberValue(*number)) }).collect();
        let mut public = one("numbers", Some(Kind::ListValue(ListValue { values })));
        let odd = "\u{1}\t\r\n\u{7f}\u{85}\u{2028}\u{feff}e\u{301}\u{10ffff}\\\"/";
        public.fields.insert(odd.to_owned(), Value { kind: Some(text(odd)) });
        public.fields.insert(String::new(), Value { kind: Some(Kind::NullValue(0)) });
        let metadata = Metadata { public: Some(public), private: Some(nested(Some(Kind::BoolValue(false)))) };
        let edit = proto::UpdateResourceRequest {
            organization_id: id.into(),
            resource: Some(project("p")),
            metadata: Some(metadata.clone()),
            update_mask: Some(FieldMask { paths: vec!["metadata".into()] }),
            request_id: "018f4e9a-0000-7000-8000-000000000001".into(),
            ..Default::default()
        };
        let told = owner.update_resource(edit.clone()).await.unwrap().resource.unwrap().metadata.unwrap();
        let replayed = owner.update_resource(edit).await.unwrap().resource.unwrap().metadata.unwrap();
        let shown = owner.get_resource(get_resource(id, project("p"))).await.unwrap().resource.unwrap();
        let expected: Vec<u64> = numbers.iter().map(|number| number.to_bits()).collect();
        for kept in [told, replayed, shown.metadata.unwrap()] {
            assert_eq!(bits(&kept), expected);
            assert_eq!(kept, metadata);
        }
    }
}
