//! JSON on its way in: parsed into a shape, or kept as the user's own token without its white space.
//!
//! Promise: what a user sends as a value is kept byte for byte outside of white space: numbers, escapes and repeated
//! keys too. What is wrong is said in our words and names the field.

use crate::problem::Problem;
use driftq_api::RawValue;
use serde::de::DeserializeOwned;

/// How deep a JSON value may be nested.
pub(crate) const DEPTH_MAX: usize = 64;

/// Reads a JSON body into its shape.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        explain_json(&path, error.inner())
    })?;
    reader.end().map_err(|error| explain_json("", &error))?;
    Ok(value)
}

/// Reads a query string into its shape: of repeated parameters the first counts, an empty one is absent.
pub(crate) fn read_query<T: DeserializeOwned>(query: &str, flags: &[&str]) -> Result<T, Problem> {
    let mut seen: Vec<std::borrow::Cow<'_, str>> = Vec::new();
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if (value.is_empty() && !flags.contains(&&*name)) || seen.contains(&name) {
            continue;
        }
        kept.append_pair(&name, &value);
        seen.push(name);
    }
    let kept = kept.finish();
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(kept.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let given = form_urlencoded::parse(kept.as_bytes()).find(|(name, _)| *name == path);
        let given = given.map_or_else(String::new, |(_, value)| value.chars().take(64).collect());
        Problem::invalid(format!("query parameter {path:?} is not valid: {given:?}"))
    })
}

fn explain_json(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {}
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => {
            return Problem::invalid(format!(
                "the body is not valid JSON: look at line {line}, column {column}"
            ));
        }
    }
    let quoted = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    if let Some(field) = quoted("unknown field `") {
        return Problem::invalid(format!("unknown field {field:?}; leave it out, or check its spelling"));
    }
    if let Some(field) = quoted("missing field `") {
        return Problem::invalid(format!("field {field:?} is missing"));
    }
    if let Some(field) = quoted("duplicate field `") {
        return Problem::invalid(format!("field {field:?} is there twice"));
    }
    let wanted = text.rsplit_once("expected ").map_or("another kind of value", |(_, wanted)| wanted);
    let wanted = wanted.split(" at line ").next().unwrap_or(wanted);
    match path {
        "" | "." => {
            Problem::invalid(format!("the body must be a JSON object (line {line}, column {column})"))
        }
        path => Problem::invalid(format!("field {path:?} is not valid; it must be {}", plain_words(wanted))),
    }
}

/// What a field must be, said without the names of our types.
fn plain_words(wanted: &str) -> &str {
    match wanted {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 to 18446744073709551615",
        "a string" | "a boolean" | "a sequence" | "a map" => wanted,
        "an object with a `type`" => "an object with a \"type\"",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted if wanted.starts_with('`') || wanted.starts_with("one of") => wanted,
        _ => "another kind of value",
    }
}

/// A user's JSON as it is stored: its token without white space, at most [`DEPTH_MAX`] deep.
pub(crate) fn minified(name: &str, raw: &RawValue) -> Result<Vec<u8>, Problem> {
    let text = raw.get().as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        if is_string {
            out.push(*byte);
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'"' => is_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Problem::invalid(format!("{name} is nested deeper than {DEPTH_MAX} levels")));
        }
        out.push(*byte);
    }
    Ok(out)
}

/// Stored JSON as a value that is written as it is.
pub(crate) fn raw(json: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(json).into_owned();
    RawValue::from_string(text).unwrap_or_else(|_| null())
}

/// `null`.
pub(crate) fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// Any of our own shapes as a value that is written as it is.
pub(crate) fn raw_of(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| null())
}

/// A shape of ours as the bytes of an answer.
pub(crate) fn bytes_of(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("no shape on the wire has a key that is not a string")
}

/// A JSON object's fields in their order, each value as its own text.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

impl serde::Serialize for Object {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A document with a patch merged into it as RFC 7396 has it, and the patch's top-level keys.
///
/// Both are minified. What the patch does not name keeps its own text.
pub(crate) fn patched(target: &[u8], patch: &[u8]) -> (Vec<u8>, Vec<String>) {
    let changed = match serde_json::from_slice::<Object>(patch) {
        Ok(Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        Err(_) => vec!["input".to_owned()],
    };
    (merged(Some(&raw(target)), &raw(patch)).get().as_bytes().to_vec(), changed)
}

fn merged(target: Option<&RawValue>, patch: &RawValue) -> Box<RawValue> {
    let Ok(Object(changes)) = serde_json::from_str(patch.get()) else { return patch.to_owned() };
    let target = target.and_then(|target| serde_json::from_str(target.get()).ok());
    let Object(mut fields) = target.unwrap_or(Object(Vec::new()));
    for (name, change) in changes {
        let place = fields.iter().position(|(field, _)| *field == name);
        if change.get() == RawValue::NULL.get() {
            fields.retain(|(field, _)| *field != name);
        } else if let Some((_, value)) = place.and_then(|place| fields.get_mut(place)) {
            *value = merged(Some(value), &change);
        } else {
            fields.push((name, merged(None, &change)));
        }
    }
    raw_of(&Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> String {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        String::from_utf8(minified("value", &raw).unwrap()).unwrap()
    }

    #[test]
    fn only_white_space_outside_of_strings_is_dropped() {
        assert_eq!(stored(" { \"a b\" : [ 1 , 2.50 , \"x \\\" y\" ] }\n"), r#"{"a b":[1,2.50,"x \" y"]}"#);
        assert_eq!(stored("\"two  spaces \\\\\""), "\"two  spaces \\\\\"");
        assert_eq!(
            stored("{\"a\":1e400,\"a\":123456789012345678901234567890}"),
            "{\"a\":1e400,\"a\":123456789012345678901234567890}"
        );
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let read = |text: String| minified("value", &serde_json::from_str::<Box<RawValue>>(&text).unwrap());
        assert!(read(nested(DEPTH_MAX)).is_ok());
        assert!(read(nested(DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn a_patch_merges_removes_and_replaces() {
        let target = r#"{"a":{"b":1,"c":2.50},"d":3,"e":[1],"n":123456789012345678901234567890}"#;
        let patch = r#"{"a":{"b":null,"x":{"y":null,"z":1}},"d":null,"e":{"f":1}}"#;
        let (merged, changed) = patched(target.as_bytes(), patch.as_bytes());
        let expected = r#"{"a":{"c":2.50,"x":{"z":1}},"e":{"f":1},"n":123456789012345678901234567890}"#;
        assert_eq!(String::from_utf8(merged).unwrap(), expected);
        assert_eq!(changed, ["a", "d", "e"]);
        assert_eq!(patched(b"{}", b"[1]"), (b"[1]".to_vec(), vec!["input".to_owned()]));
    }
}
