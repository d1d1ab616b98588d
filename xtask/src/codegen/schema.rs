//! Kafka's message schemas as data: JSON with `//` comments, one message per file.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::versions::Versions;

/// One schema file.
#[derive(Debug)]
pub struct Message {
    pub name: String,
    /// Path inside the jar.
    pub source: String,
    pub kind: Kind,
    pub api_key: Option<i16>,
    pub versions: Versions,
    pub flexible: Versions,
    /// The message itself first, then every struct that it holds, in schema order.
    pub structs: Vec<Struct>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Request,
    Response,
    Header,
    Data,
}

#[derive(Debug, Clone)]
pub struct Struct {
    pub name: String,
    pub about: String,
    /// The message versions in which the struct can occur.
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub kind: FieldKind,
    pub versions: Versions,
    pub nullable: Versions,
    pub tagged: Versions,
    pub tag: Option<u32>,
    /// Overrides the message's flexible versions (only the client id of the request header does).
    pub flexible: Option<Versions>,
    pub ignorable: bool,
    pub default: Option<String>,
    pub about: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<FieldKind>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMessage {
    api_key: Option<i16>,
    #[serde(rename = "type")]
    kind: Kind,
    name: String,
    #[serde(default, rename = "listeners")]
    _listeners: Vec<String>,
    valid_versions: String,
    #[serde(default)]
    flexible_versions: Option<String>,
    #[serde(default, rename = "latestVersionUnstable")]
    _latest_version_unstable: bool,
    #[serde(default)]
    fields: Vec<RawField>,
    #[serde(default)]
    common_structs: Vec<RawStruct>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawStruct {
    name: String,
    versions: String,
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawField {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    versions: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    fields: Vec<RawField>,
    default: Option<serde_json::Value>,
    #[serde(default, rename = "entityType")]
    _entity_type: Option<String>,
    nullable_versions: Option<String>,
    #[serde(default)]
    ignorable: bool,
    #[serde(default, rename = "mapKey")]
    _map_key: bool,
    tag: Option<u32>,
    tagged_versions: Option<String>,
    #[serde(default, rename = "zeroCopy")]
    _zero_copy: bool,
    flexible_versions: Option<String>,
}

impl Message {
    pub fn parse(source: &str, text: &str) -> Result<Message> {
        let raw: RawMessage = serde_json::from_str(&without_comments(text))?;
        let versions = Versions::parse(&raw.valid_versions)?;
        let flexible = optional_versions(raw.flexible_versions.as_deref())?;
        let mut structs = Vec::new();
        if !versions.is_empty() {
            let about = format!("{} of Kafka's `{source}`.", raw.name);
            collect_structs(&raw.name, about, versions, &raw.fields, &mut structs)?;
            for common in &raw.common_structs {
                let versions = versions.intersect(Versions::parse(&common.versions)?);
                collect_structs(&common.name, String::new(), versions, &common.fields, &mut structs)?;
            }
        }
        let source = source.to_owned();
        Ok(Message { name: raw.name, source, kind: raw.kind, api_key: raw.api_key, versions, flexible, structs })
    }

    pub fn find(&self, name: &str) -> Result<&Struct> {
        let found = self.structs.iter().find(|candidate| candidate.name == name);
        found.with_context(|| format!("{} has no struct {name}", self.name))
    }
}

fn collect_structs(
    name: &str,
    about: String,
    versions: Versions,
    fields: &[RawField],
    structs: &mut Vec<Struct>,
) -> Result<()> {
    if structs.iter().any(|known| known.name == name) {
        bail!("struct {name} is defined twice");
    }
    let place = structs.len();
    structs.push(Struct { name: name.to_owned(), about, versions, fields: Vec::new() });
    let mut parsed = Vec::with_capacity(fields.len());
    for raw in fields {
        let field = parse_field(raw).with_context(|| format!("field {}", raw.name))?;
        // Schemas keep fields of versions that Kafka has removed.
        if field.versions.intersect(versions).is_empty() {
            continue;
        }
        if let (Some(inner), false) = (field.kind.struct_name(), raw.fields.is_empty()) {
            collect_structs(inner, raw.about.clone(), versions.intersect(field.versions), &raw.fields, structs)?;
        }
        parsed.push(field);
    }
    if let Some(own) = structs.get_mut(place) {
        own.fields = parsed;
    }
    Ok(())
}

fn parse_field(raw: &RawField) -> Result<Field> {
    let default = match &raw.default {
        None => None,
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let tagged = optional_versions(raw.tagged_versions.as_deref())?;
    if raw.tag.is_some() == tagged.is_empty() {
        bail!("tag and taggedVersions come together");
    }
    Ok(Field {
        name: raw.name.clone(),
        kind: FieldKind::parse(&raw.kind)?,
        versions: Versions::parse(&raw.versions)?,
        nullable: optional_versions(raw.nullable_versions.as_deref())?,
        tagged,
        tag: raw.tag,
        flexible: raw.flexible_versions.as_deref().map(Versions::parse).transpose()?,
        ignorable: raw.ignorable,
        default,
        about: raw.about.clone(),
    })
}

fn optional_versions(text: Option<&str>) -> Result<Versions> {
    text.map_or(Ok(Versions::NONE), Versions::parse)
}

impl FieldKind {
    fn parse(text: &str) -> Result<FieldKind> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(FieldKind::Array(Box::new(FieldKind::parse(element)?)));
        }
        Ok(match text {
            "bool" => FieldKind::Bool,
            "int8" => FieldKind::Int8,
            "int16" => FieldKind::Int16,
            "uint16" => FieldKind::Uint16,
            "int32" => FieldKind::Int32,
            "uint32" => FieldKind::Uint32,
            "int64" => FieldKind::Int64,
            "float64" => FieldKind::Float64,
            "uuid" => FieldKind::Uuid,
            "string" => FieldKind::String,
            "bytes" => FieldKind::Bytes,
            "records" => FieldKind::Records,
            name if name.starts_with(|first: char| first.is_ascii_uppercase()) => FieldKind::Struct(name.to_owned()),
            other => bail!("unknown type {other:?}"),
        })
    }

    /// The struct that the field holds, directly or as array elements.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            FieldKind::Struct(name) => Some(name),
            FieldKind::Array(element) => element.struct_name(),
            _ => None,
        }
    }
}

/// Blanks out `//` comments that stand outside of JSON strings.
fn without_comments(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut end = line.len();
        let mut previous = ' ';
        for (index, character) in line.char_indices() {
            if character == '"' && previous != '\\' {
                in_string = !in_string;
            }
            if character == '/' && previous == '/' && !in_string {
                end = index - 1;
                break;
            }
            previous = character;
        }
        result.push_str(line.get(..end).unwrap_or(line));
        result.push('\n');
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_blanked_and_addresses_in_strings_are_kept() {
        assert_eq!(
            without_comments("// a\n{ \"about\": \"see http://b\" } // c\n"),
            "\n{ \"about\": \"see http://b\" } \n"
        );
    }
}
