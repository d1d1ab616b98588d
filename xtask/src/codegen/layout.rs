//! How a schema maps to Rust: names, types, defaults, and the least bytes that a value takes on the wire.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use super::schema::{Field, FieldKind, Message, Struct};
use super::versions::{Condition, Versions};

/// Fields whose values must not show in debug output: (struct, field) as the schemas spell them.
const SECRET_FIELDS: &[(&str, &str)] = &[
    ("SaslAuthenticateRequest", "AuthBytes"),
    ("SaslAuthenticateResponse", "AuthBytes"),
    ("CreateDelegationTokenResponse", "Hmac"),
    ("RenewDelegationTokenRequest", "Hmac"),
    ("ExpireDelegationTokenRequest", "Hmac"),
    ("DescribedDelegationToken", "Hmac"),
    ("ScramCredentialUpsertion", "Salt"),
    ("ScramCredentialUpsertion", "SaltedPassword"),
    ("AlterableConfig", "Value"),
    ("CreatableTopicConfig", "Value"),
    ("CreatableTopicConfigs", "Value"),
    ("DescribeConfigsResourceResult", "Value"),
    ("DescribeConfigsSynonym", "Value"),
    ("EnvelopeRequest", "RequestData"),
    ("EnvelopeResponse", "ResponseData"),
];

/// One message and what was derived from it.
pub struct Layout<'m> {
    pub message: &'m Message,
    borrowing: BTreeSet<&'m str>,
}

/// How lengths are written, and whether tagged fields follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Classic,
    Compact,
}

/// A field's place in one struct: in which of the struct's versions it is there, and how.
pub struct Place {
    /// Versions in which the field stands among the others.
    pub plain: Versions,
    /// Versions in which the field stands in the tagged section.
    pub tagged: Versions,
}

impl<'m> Layout<'m> {
    pub fn new(message: &'m Message) -> Result<Layout<'m>> {
        let mut layout = Layout { message, borrowing: BTreeSet::new() };
        // Structs can refer to later ones, so repeat until nothing changes.
        loop {
            let before = layout.borrowing.len();
            for candidate in &message.structs {
                if candidate.fields.iter().any(|field| layout.borrows(&field.kind)) {
                    layout.borrowing.insert(&candidate.name);
                }
            }
            if layout.borrowing.len() == before {
                return Ok(layout);
            }
        }
    }

    fn borrows(&self, kind: &FieldKind) -> bool {
        match kind {
            FieldKind::String | FieldKind::Bytes | FieldKind::Records => true,
            FieldKind::Array(element) => self.borrows(element),
            FieldKind::Struct(name) => self.borrowing.contains(name.as_str()),
            _ => false,
        }
    }

    pub fn struct_borrows(&self, name: &str) -> bool {
        self.borrowing.contains(name)
    }

    /// The struct's type with its lifetime, if it has one.
    pub fn struct_type(&self, name: &str, lifetime: &str) -> String {
        if self.struct_borrows(name) { format!("{name}<{lifetime}>") } else { name.to_owned() }
    }

    pub fn field_type(&self, field: &Field, lifetime: &str) -> String {
        let plain = self.kind_type(&field.kind, lifetime);
        if is_optional(field) { format!("Option<{plain}>") } else { plain }
    }

    fn kind_type(&self, kind: &FieldKind, lifetime: &str) -> String {
        match kind {
            FieldKind::String => format!("Cow<{lifetime}, str>"),
            FieldKind::Bytes => format!("Cow<{lifetime}, [u8]>"),
            FieldKind::Records => format!("Records<{lifetime}>"),
            FieldKind::Uuid => "Uuid".to_owned(),
            FieldKind::Struct(name) => self.struct_type(name, lifetime),
            FieldKind::Array(element) => format!("Vec<{}>", self.kind_type(element, lifetime)),
            fixed => primitive(fixed).to_owned(),
        }
    }

    /// The least bytes that one element of an array takes, in any version with this encoding.
    pub fn smallest_element(&self, element: &FieldKind, encoding: Encoding) -> Result<usize> {
        let smallest = self.smallest(element, encoding)?;
        if smallest == 0 {
            bail!("{} has array elements that can take no bytes, so their count cannot be bounded", self.message.name);
        }
        Ok(smallest)
    }

    fn smallest(&self, kind: &FieldKind, encoding: Encoding) -> Result<usize> {
        let compact = encoding == Encoding::Compact;
        Ok(match kind {
            FieldKind::Bool | FieldKind::Int8 => 1,
            FieldKind::Int16 | FieldKind::Uint16 => 2,
            FieldKind::Int32 | FieldKind::Uint32 => 4,
            FieldKind::Int64 | FieldKind::Float64 => 8,
            FieldKind::Uuid => 16,
            FieldKind::Struct(name) => self.smallest_struct(self.message.find(name)?, encoding)?,
            // The length of something empty.
            _ if compact => 1,
            FieldKind::String => 2,
            FieldKind::Bytes | FieldKind::Records | FieldKind::Array(_) => 4,
        })
    }

    fn smallest_struct(&self, own: &Struct, encoding: Encoding) -> Result<usize> {
        let flexible = self.message.flexible.intersect(own.versions);
        let versions = match encoding {
            Encoding::Compact => flexible,
            Encoding::Classic if flexible.is_empty() => own.versions,
            Encoding::Classic => Versions { low: own.versions.low, high: flexible.low - 1 },
        };
        // The byte that counts the tagged fields.
        let mut total = usize::from(encoding == Encoding::Compact);
        for field in &own.fields {
            let place = place(field, own)?;
            if place.plain.condition(versions) != Condition::Always {
                continue;
            }
            let nullable_struct = is_optional(field) && matches!(field.kind, FieldKind::Struct(_));
            total += if nullable_struct { 1 } else { self.smallest(&field.kind, encoding)? };
        }
        Ok(total)
    }

    /// When the field is encoded compactly, seen from versions within `known`.
    pub fn flexible(&self, field: &Field, known: Versions) -> Condition {
        field.flexible.unwrap_or(self.message.flexible).condition(known)
    }
}

pub fn place(field: &Field, own: &Struct) -> Result<Place> {
    let present = field.versions.intersect(own.versions);
    let tagged = field.tagged.intersect(present);
    let plain = if tagged.is_empty() {
        present
    } else if tagged.low <= present.low {
        Versions::NONE
    } else {
        Versions { low: present.low, high: tagged.low - 1 }
    };
    if !tagged.is_empty() && tagged.high != present.high {
        bail!("field {} leaves the tagged section again", field.name);
    }
    if present.is_empty() {
        bail!("field {} of {} exists in no version", field.name, own.name);
    }
    Ok(Place { plain, tagged })
}

pub fn is_optional(field: &Field) -> bool {
    !field.nullable.is_empty() || field.kind == FieldKind::Records
}

pub fn is_secret(own: &Struct, field: &Field) -> bool {
    SECRET_FIELDS.contains(&(own.name.as_str(), field.name.as_str()))
}

/// The name that reader, writer and Rust share for a type of fixed size.
pub fn primitive(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "bool",
        FieldKind::Int8 => "i8",
        FieldKind::Int16 => "i16",
        FieldKind::Uint16 => "u16",
        FieldKind::Int32 => "i32",
        FieldKind::Uint32 => "u32",
        FieldKind::Int64 => "i64",
        FieldKind::Float64 => "f64",
        FieldKind::Uuid => "uuid",
        FieldKind::String => "string",
        FieldKind::Bytes => "bytes",
        FieldKind::Records => "records",
        FieldKind::Struct(_) | FieldKind::Array(_) => "",
    }
}

/// The schema's default as a Rust expression.
pub fn default_expression(field: &Field) -> Result<String> {
    let text = field.default.as_deref().unwrap_or_default();
    if text == "null" || (field.kind == FieldKind::Records && text.is_empty()) {
        if !is_optional(field) {
            bail!("field {} defaults to null but is not nullable", field.name);
        }
        return Ok("None".to_owned());
    }
    let plain = match &field.kind {
        FieldKind::Bool => if text.is_empty() { "false" } else { text }.to_owned(),
        FieldKind::Float64 => if text.is_empty() { "0.0" } else { text }.to_owned(),
        FieldKind::Uuid if text.is_empty() => "Uuid::nil()".to_owned(),
        FieldKind::String => format!("Cow::Borrowed({text:?})"),
        FieldKind::Bytes if text.is_empty() => "Cow::Borrowed(&[])".to_owned(),
        FieldKind::Array(_) if text.is_empty() => "Vec::new()".to_owned(),
        FieldKind::Struct(name) if text.is_empty() => format!("{name}::default()"),
        FieldKind::Uuid | FieldKind::Bytes | FieldKind::Records | FieldKind::Array(_) | FieldKind::Struct(_) => {
            bail!("field {} has the unexpected default {text:?}", field.name)
        }
        _ => integer(text).with_context(|| format!("default of field {}", field.name))?.to_string(),
    };
    Ok(if is_optional(field) { format!("Some({plain})") } else { plain })
}

fn integer(text: &str) -> Result<i64> {
    if text.is_empty() {
        return Ok(0);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return Ok(i64::from_str_radix(digits, 16)?);
    }
    Ok(text.parse()?)
}

/// A Rust condition that holds when `place` differs from the schema's default.
pub fn differs_from_default(field: &Field, place: &str) -> Result<String> {
    let default = default_expression(field)?;
    if default == "None" {
        return Ok(format!("{place}.is_some()"));
    }
    Ok(match &field.kind {
        FieldKind::Bool if default == "true" => format!("!{place}"),
        FieldKind::Bool => place.to_owned(),
        FieldKind::Uuid => format!("!{place}.is_nil()"),
        FieldKind::String if default == "Cow::Borrowed(\"\")" => format!("!{place}.is_empty()"),
        FieldKind::String if default == "Some(Cow::Borrowed(\"\"))" => format!("{place}.as_deref() != Some(\"\")"),
        FieldKind::Bytes | FieldKind::Array(_) if is_optional(field) => {
            format!("{place}.as_ref().is_none_or(|value| !value.is_empty())")
        }
        FieldKind::Bytes | FieldKind::Array(_) => format!("!{place}.is_empty()"),
        _ => format!("{place} != {default}"),
    })
}

/// `FetchRequest` to `fetch_request`; words that Rust reserves become raw identifiers.
pub fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 8);
    for (index, character) in characters.iter().enumerate() {
        let previous = index.checked_sub(1).and_then(|at| characters.get(at));
        let next = characters.get(index + 1);
        let starts_word = previous.is_some_and(|previous| previous.is_ascii_lowercase() || previous.is_ascii_digit());
        let ends_acronym = previous.is_some_and(char::is_ascii_uppercase) && next.is_some_and(char::is_ascii_lowercase);
        if character.is_ascii_uppercase() && (starts_word || ends_acronym) {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

pub fn field_name(name: &str) -> String {
    let snake = snake_case(name);
    if ["match", "type", "move", "ref", "use", "mod"].contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

/// Doc comment lines, wrapped.
pub fn doc(text: &str, indent: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() >= WIDTH {
            lines.push_str(&format!("{indent}/// {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word.replace('[', "\\[").replace(']', "\\]").replace('<', "\\<"));
    }
    if !line.is_empty() {
        lines.push_str(&format!("{indent}/// {line}\n"));
    }
    lines
}

/// Whether the code mentions the variable `name`, not merely a longer identifier or a word in a string.
pub fn mentions(code: &str, name: &str) -> bool {
    let belongs = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '"';
    code.match_indices(name).any(|(at, found)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + found.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(|before| belongs(before) || before == '.') && !after.is_some_and(belongs)
    })
}

/// The opposite of a condition that [`Versions::condition`] wrote.
pub fn negated(condition: &str) -> String {
    if let Some(bound) = condition.strip_prefix("version >= ") {
        return format!("version < {bound}");
    }
    if let Some(bound) = condition.strip_prefix("version <= ") {
        return format!("version > {bound}");
    }
    if let Some(bound) = condition.strip_prefix("version == ") {
        return format!("version != {bound}");
    }
    format!("!{condition}")
}
