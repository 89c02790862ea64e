//! Generates, from `proto/`: messages, servers and clients; the descriptor set for reflection; `enum Rpc`, which
//! carries what each RPC asks of its caller; and what each request says of how it is carried out. No protoc is needed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MessageDescriptor, MethodDescriptor, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(proto_files()?)?;

    // Encoded here, because decoding into prost's types drops the method option.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("rpc.rs"), rpc_enum(&pool)?)?;
    fs::write(out.join("requests.rs"), requests(&pool)?)?;

    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn proto_files() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir("proto/guildhall/v1")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(Path::new("guildhall/v1").join(path.file_name().ok_or("a file without a name")?));
        }
    }
    files.sort();
    Ok(files)
}

/// Writes `enum Rpc` with the path and the requirement of each RPC, in the order of files, services and methods.
fn rpc_enum(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let access = pool.get_extension_by_name("guildhall.v1.access").ok_or("no extension guildhall.v1.access")?;
    let (mut variants, mut all, mut paths, mut required) = (String::new(), String::new(), String::new(), String::new());
    let mut from_paths = String::new();
    let (mut streaming, mut taking_streams, mut reading) = (Vec::new(), Vec::new(), Vec::new());

    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let (service, name) = (method.parent_service().full_name(), method.name());
        writeln!(variants, "    /// `{service}/{name}`\n    {name},")?;
        writeln!(all, "        Self::{name},")?;
        writeln!(paths, "            Self::{name} => \"/{service}/{name}\",")?;
        writeln!(from_paths, "            \"/{service}/{name}\" => Some(Self::{name}),")?;
        if method.is_client_streaming() || method.is_server_streaming() {
            streaming.push(format!("Self::{name}"));
        }
        if method.is_client_streaming() {
            taking_streams.push(format!("Self::{name}"));
        }
        if method.input().get_field_by_name("request_id").is_none() {
            reading.push(format!("Self::{name}"));
        }
        writeln!(required, "            Self::{name} => {},", requirement(&method, &access)?)?;
    }

    let [streaming, taking_streams, reading] = [streaming, taking_streams, reading].map(|names| names.join(" | "));
    Ok(format!(
        "/// The RPCs of this service.\n\
         #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]\npub enum Rpc {{\n{variants}}}\n\n\
         impl Rpc {{\n    /// All RPCs.\n    pub const ALL: &[Self] = &[\n{all}    ];\n\n    \
         /// Returns the path of the RPC's HTTP/2 request.\n    #[must_use]\n    \
         pub const fn path(self) -> &'static str {{\n        match self {{\n{paths}        }}\n    }}\n\n    \
         /// Finds the RPC of an HTTP/2 request.\n    #[must_use]\n    \
         pub fn from_path(path: &str) -> Option<Self> {{\n        match path {{\n{from_paths}            \
         _ => None,\n        }}\n    }}\n\n    \
         /// Returns whether messages stream in either direction.\n    #[must_use]\n    \
         pub const fn is_streaming(self) -> bool {{\n        matches!(self, {streaming})\n    }}\n\n    \
         /// Returns whether the request is a stream of messages.\n    #[must_use]\n    \
         pub const fn takes_stream(self) -> bool {{\n        matches!(self, {taking_streams})\n    }}\n\n    \
         /// Returns whether nothing is done that a request id would stand for.\n    #[must_use]\n    \
         pub const fn is_read(self) -> bool {{\n        matches!(self, {reading})\n    }}\n\n    \
         /// Returns what the RPC asks of its caller.\n    #[must_use]\n    \
         #[expect(clippy::match_same_arms, reason = \"one line an RPC, as in the contract\")]\n    \
         pub const fn required(self) -> Required {{\n        match self {{\n{required}        }}\n    }}\n}}\n"
    ))
}

/// Writes what each request says of its organization and of how it is carried out.
fn requests(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let inputs: BTreeMap<String, MessageDescriptor> =
        methods.map(|method| method.input()).map(|input| (input.name().to_owned(), input)).collect();
    let mut text = String::new();
    for (name, input) in inputs {
        if input.get_field_by_name("organization_id").is_some() {
            writeln!(
                text,
                "impl OfOrganization for crate::proto::{name} {{\n    fn organization_id(&self) -> &str {{\n        \
                 &self.organization_id\n    }}\n}}"
            )?;
        }
        if input.get_field_by_name("request_id").is_some() {
            let validate_only =
                if input.get_field_by_name("validate_only").is_some() { "self.validate_only" } else { "false" };
            writeln!(
                text,
                "impl Mutating for crate::proto::{name} {{\n    fn request_id(&self) -> &str {{\n        \
                 &self.request_id\n    }}\n\n    fn set_request_id(&mut self, request_id: String) {{\n        \
                 self.request_id = request_id;\n    }}\n\n    fn validate_only(&self) -> bool {{\n        \
                 {validate_only}\n    }}\n}}"
            )?;
        }
    }
    Ok(text)
}

/// Reads the method option of one RPC; an RPC without one does not build.
fn requirement(method: &MethodDescriptor, access: &ExtensionDescriptor) -> Result<String, Box<dyn Error>> {
    let options: DynamicMessage = method.options();
    let option = options.get_extension(access);
    let option = option.as_message().ok_or("the option is not a message")?;

    if let Some(level) = option.get_field_by_name("level").as_deref().and_then(Value::as_enum_number) {
        match level {
            1 => return Ok("Required::Public".into()),
            2 => return Ok("Required::Authenticated".into()),
            3 => return Ok("Required::Operator".into()),
            _ => {}
        }
    }
    let permission = option.get_field_by_name("permission");
    let Some(permission) = permission.as_deref().and_then(Value::as_message) else {
        return Err(format!("{} has no access option", method.full_name()).into());
    };
    let text = |field: &str| -> String {
        permission.get_field_by_name(field).as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if text("permission").is_empty() {
        return Err(format!("{} has no access option", method.full_name()).into());
    }
    let feature = match text("feature").as_str() {
        "" => "None",
        "groups" => "Some(Feature::Groups)",
        "custom_roles" => "Some(Feature::CustomRoles)",
        other => return Err(format!("{} asks for an unknown feature {other}", method.full_name()).into()),
    };
    let (permission, place) = (text("permission"), text("place"));
    Ok(format!("Required::Permission {{ permission: {permission:?}, place: {place:?}, feature: {feature} }}"))
}
