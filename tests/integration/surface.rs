//! What the server shows of itself: reflection, health, and a contract in which everything is explained.

use std::collections::BTreeSet;

use guildhall::proto::DESCRIPTORS;
use guildhall::rpc::Rpc;
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet, SourceCodeInfo};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Database, TestApp, raw};

/// Numbers of the fields by which a source location names what it is about (descriptor.proto).
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const FILE_SERVICES: i32 = 6;
const MESSAGE_FIELDS: i32 = 2;
const MESSAGE_ONEOFS: i32 = 8;
const ENUM_VALUES: i32 = 2;
const SERVICE_METHODS: i32 = 2;

fn contract() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the descriptors that are served");
    set.file.into_iter().filter(|file| file.package() == "guildhall.v1").collect()
}

/// Names every RPC of the contract, as `service/method`, with the message it takes.
fn methods() -> Vec<(String, String)> {
    let mut methods = Vec::new();
    for file in contract() {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.push((path, method.input_type().trim_start_matches(".guildhall.v1.").to_owned()));
            }
        }
    }
    methods
}

/// Names the services of the contract.
fn services() -> BTreeSet<String> {
    methods().into_iter().map(|(path, _)| path[1..].split('/').next().unwrap().to_owned()).collect()
}

/// Returns the path of every field that some request has, at any depth, as `ListMembersRequest.page_size`.
pub fn fields_of_requests() -> BTreeSet<String> {
    let messages: Vec<DescriptorProto> = contract().into_iter().flat_map(|file| file.message_type).collect();
    let mut paths = BTreeSet::new();
    for (_, request) in methods() {
        add_fields(&messages, &request, &request, &mut paths);
    }
    paths
}

fn add_fields(messages: &[DescriptorProto], message: &str, path: &str, paths: &mut BTreeSet<String>) {
    let Some(message) = messages.iter().find(|it| it.name() == message) else { return };
    for field in &message.field {
        let path = format!("{path}.{}", field.name());
        if field.r#type() == Type::Message {
            add_fields(messages, field.type_name().trim_start_matches(".guildhall.v1."), &path, paths);
        }
        paths.insert(path);
    }
}

/// Names what has no comment before it: services, RPCs, messages, fields, oneofs, enums and their values.
fn uncommented(file: &FileDescriptorProto) -> Vec<String> {
    let none = SourceCodeInfo::default();
    let source = file.source_code_info.as_ref().unwrap_or(&none);
    let is_said = |path: &[i32]| {
        let location = source.location.iter().find(|location| location.path == path);
        location.is_some_and(|location| !location.leading_comments().trim().is_empty())
    };
    let mut parts: Vec<(Vec<i32>, String)> = Vec::new();
    for (at, service) in (0..).zip(&file.service) {
        parts.push((vec![FILE_SERVICES, at], service.name().to_owned()));
        for (index, method) in (0..).zip(&service.method) {
            let name = format!("{}.{}", service.name(), method.name());
            parts.push((vec![FILE_SERVICES, at, SERVICE_METHODS, index], name));
        }
    }
    for (at, message) in (0..).zip(&file.message_type) {
        assert!(message.nested_type.is_empty(), "{}: a message inside another is not looked at", message.name());
        parts.push((vec![FILE_MESSAGES, at], message.name().to_owned()));
        for (index, field) in (0..).zip(&message.field) {
            let name = format!("{}.{}", message.name(), field.name());
            parts.push((vec![FILE_MESSAGES, at, MESSAGE_FIELDS, index], name));
        }
        // A field that may be absent brings a oneof that nobody wrote.
        for (index, oneof) in (0..).zip(&message.oneof_decl).filter(|(_, oneof)| !oneof.name().starts_with('_')) {
            let name = format!("{}.{}", message.name(), oneof.name());
            parts.push((vec![FILE_MESSAGES, at, MESSAGE_ONEOFS, index], name));
        }
    }
    for (at, list) in (0..).zip(&file.enum_type) {
        parts.push((vec![FILE_ENUMS, at], list.name().to_owned()));
        for (index, value) in (0..).zip(&list.value) {
            parts.push((vec![FILE_ENUMS, at, ENUM_VALUES, index], value.name().to_owned()));
        }
    }
    parts.into_iter().filter(|(path, _)| !is_said(path)).map(|(_, name)| name).collect()
}

#[test]
fn everything_in_the_contract_is_explained() {
    let silent: Vec<String> = contract().iter().flat_map(uncommented).collect();
    assert_eq!(silent, Vec::<String>::new());
    assert!(contract().len() >= 10 && methods().len() >= 15, "there is something to look at");
}

#[test]
fn what_has_no_comment_is_found() {
    let mut file = contract().into_iter().find(|file| file.name().ends_with("role_service.proto")).unwrap();
    file.source_code_info = None;
    let silent = uncommented(&file);
    for name in ["RoleService", "RoleService.ChangeGrants", "GrantDelta", "GrantDelta.principal", "GrantDelta.act"] {
        assert!(silent.iter().any(|it| it == name), "{name}");
    }
}

/// `enum Rpc` is made of the method options; an RPC without one does not build.
#[test]
fn the_rpcs_that_are_guarded_are_those_of_the_contract() {
    let guarded: BTreeSet<String> = Rpc::ALL.iter().map(|rpc| rpc.path().to_owned()).collect();
    assert_eq!(guarded, methods().into_iter().map(|(path, _)| path).collect());
    assert_eq!(guarded.len(), Rpc::ALL.len());
}

#[tokio::test]
async fn every_rpc_is_served_and_what_is_none_is_unimplemented() {
    let app = TestApp::start(Database::Sqlite).await;
    let credential = format!("Bearer {}", app.operator_key());
    let headers = [("authorization", credential.as_bytes())];
    let post = async |path: &str| raw::post(app.app.grpc_address, path, &headers, raw::framed(b"")).await.code();

    for rpc in Rpc::ALL {
        assert_ne!(post(rpc.path()).await, Code::Unimplemented, "{rpc:?}");
    }
    for unknown in [
        "/guildhall.v1.RoleService/NoSuchMethod",
        "/guildhall.v1.NoSuchService/ChangeGrants",
        "/guildhall.v2.RoleService/ChangeGrants",
        "/guildhall.v1.RoleService/changegrants",
        "/guildhall.v1.RoleService/ChangeGrants/",
        "/RoleService/ChangeGrants",
        "/",
        "/healthz",
    ] {
        assert_eq!(post(unknown).await, Code::Unimplemented, "{unknown}");
    }
}

#[tokio::test]
async fn health_says_that_every_service_serves_and_knows_no_other() {
    let app = TestApp::start(Database::Sqlite).await;
    let mut client = HealthClient::new(app.anyone().channel());
    for service in services().into_iter().chain([String::new()]) {
        let answer = client.check(HealthCheckRequest { service: service.clone() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest { service: "guildhall.v1.NoSuchService".into() };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

/// The two versions of reflection differ in their package alone.
macro_rules! reflection {
    ($test:ident, $version:ident) => {
        #[tokio::test]
        async fn $test() {
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

            let app = TestApp::start(Database::Sqlite).await;
            let mut client = ServerReflectionClient::new(app.anyone().channel());
            let mut ask = async |message| {
                let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
                let mut answers =
                    client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
                answers.message().await.unwrap().unwrap().message_response.unwrap()
            };

            let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).await
            else {
                panic!("not a list")
            };
            let listed: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
            let beside =
                ["grpc.health.v1.Health", concat!("grpc.reflection.", stringify!($version), ".ServerReflection")];
            for service in services().into_iter().chain(beside.map(str::to_owned)) {
                assert!(listed.contains(&service), "{service} is not in {listed:?}");
                let symbol = MessageRequest::FileContainingSymbol(service.clone());
                let MessageResponse::FileDescriptorResponse(files) = ask(symbol).await else {
                    panic!("no descriptor of {service}")
                };
                assert!(!files.file_descriptor_proto.is_empty(), "{service}");
            }
            for error in ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"] {
                let symbol = MessageRequest::FileContainingSymbol(error.into());
                assert!(matches!(ask(symbol).await, MessageResponse::FileDescriptorResponse(_)), "{error}");
            }
        }
    };
}

reflection!(reflection_lists_and_describes_every_service, v1);
reflection!(reflection_v1alpha_does_so_too, v1alpha);
