//! Names and metadata: written by mask, guarded by a tag.

use guildhall::proto;
use prost_types::{FieldMask, Struct, Value, value::Kind};
use tonic::Code;

use super::{asset, get, person, put};
use crate::harness::assert_refused;
use crate::harness::messages::{membership, rename, share};
use crate::on_both;

fn part(text: &str) -> Struct {
    let value = Value { kind: Some(Kind::StringValue(text.into())) };
    Struct { fields: [("is".to_owned(), value)].into_iter().collect() }
}

on_both! {
    async fn a_resource_is_renamed_and_its_metadata_kept(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let (una, vic) =
            (person(&app, &organization, "una", &["default"]).await, person(&app, &organization, "vic", &["default"]).await);
        let made = put(&una.call, id, asset(""), None).await.unwrap();
        let key = made.resource.clone().unwrap();
        una.call.share_resource(share(id, key.clone(), vec![membership(&vic.membership_id)])).await.unwrap();

        let named = una.call.update_resource(rename(id, key.clone(), " Numbers ")).await.unwrap().resource.unwrap();
        assert_eq!((named.display_name.as_str(), named.metadata.clone()), ("Numbers", None));
        assert_ne!(named.etag, made.etag);
        let metadata = Some(proto::Metadata { public: Some(part("seen")), private: Some(part("kept")) });
        let write = proto::UpdateResourceRequest {
            metadata: metadata.clone(),
            etag: named.etag.clone(),
            ..rename(id, key.clone(), "")
        };
        let written = una.call.update_resource(write.clone()).await.unwrap().resource.unwrap();
        assert_eq!((written.display_name.as_str(), &written.metadata), ("Numbers", &metadata), "what is not set stays");

        // The private part is for those who may change it.
        assert_eq!(get(admin, id, key.clone()).await.unwrap().metadata, metadata);
        let seen = get(&vic.call, id, key.clone()).await.unwrap();
        assert_eq!(seen.metadata, Some(proto::Metadata { public: Some(part("seen")), private: None }));

        assert_refused(una.call.update_resource(write).await, Code::Aborted, "ETAG_MISMATCH");
        let mask = |path: &str| Some(FieldMask { paths: vec![path.into()] });
        let cleared = proto::UpdateResourceRequest { update_mask: mask("*"), ..rename(id, key.clone(), "") };
        let cleared = una.call.update_resource(cleared).await.unwrap().resource.unwrap();
        assert_eq!((cleared.display_name.as_str(), cleared.metadata), ("", None));
        let unknown = proto::UpdateResourceRequest { update_mask: mask("owner"), ..rename(id, key.clone(), "x") };
        assert_refused(una.call.update_resource(unknown).await, Code::InvalidArgument, "UPDATE_MASK_INVALID");
        let large = Some(proto::Metadata { public: Some(part(&"x".repeat(17_000))), private: None });
        let large = proto::UpdateResourceRequest { metadata: large, ..rename(id, key.clone(), "x") };
        assert_refused(una.call.update_resource(large).await, Code::InvalidArgument, "METADATA_MALFORMED");
        assert_refused(vic.call.update_resource(rename(id, key, "mine")).await, Code::PermissionDenied, "PERMISSION_MISSING");
    }
}
