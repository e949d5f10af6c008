//! Reading a document as a closed type, and saying where it breaks the schema.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde_path_to_error::Segment;

use crate::{Code, Refusal, pointer};

/// Reads `text` as a `T`.
///
/// # Errors
/// `field_unknown`, `field_missing`, `duplicate_member` or `field_invalid` with a pointer; `not_json`.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    // The place costs an allocation a member, so it is sought only once something is wrong.
    serde_json::from_str(text).map(|Object(read)| read).map_err(|first| {
        let mut input = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, Object<T>>(&mut input) {
            Err(error) => refusal(error.path(), error.inner()),
            // Only what follows the document can be wrong then.
            Ok(_) => not_json(&first),
        }
    })
}

/// A struct that is read from an object only: serde's derive would also take an array, member by member.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ByName<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ByName<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        input.deserialize_map(ByName(PhantomData)).map(Self)
    }
}

/// For members that are structs (`deserialize_with`): objects only.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    Object::deserialize(input).map(|Object(read)| read)
}

/// The same for members that may be missing or null.
pub(crate) fn maybe_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(input).map(|read| read.map(|Object(read)| read))
}

fn refusal(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Refusal {
    if !error.is_data() {
        return not_json(error);
    }
    let mut place = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer::push_index(&mut place, *index),
            Segment::Map { key } | Segment::Enum { variant: key } => pointer::push(&mut place, key),
            Segment::Unknown => break,
        }
    }
    let text = error.to_string();
    let at_line = text.rfind(" at line ").unwrap_or(text.len());
    let (code, message) = explain(&text[..at_line], &mut place);
    Refusal::new(code, message).at(pointer::shown(&place))
}

/// serde's derive tells its errors apart only by their first words. What was found is left out of the message, for
/// it may be personal.
fn explain(text: &str, place: &mut String) -> (Code, String) {
    if let Some(rest) = text.strip_prefix("missing field `") {
        let name = rest.trim_end_matches('`');
        pointer::push(place, name);
        return (Code::FieldMissing, format!("member {name} is missing"));
    }
    if text.starts_with("unknown field `") {
        return (Code::FieldUnknown, known(text, "no such member"));
    }
    if text.starts_with("unknown variant `") {
        return (Code::FieldInvalid, known(text, "no such value"));
    }
    if let Some(rest) = text.strip_prefix("duplicate field `") {
        pointer::push(place, rest.trim_end_matches('`'));
        return (Code::DuplicateMember, "the same member stands twice".into());
    }
    let message = match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "not a value of this member's grammar".into(),
    };
    (Code::FieldInvalid, message)
}

fn known(text: &str, what: &str) -> String {
    match text.rsplit_once("`, expected ") {
        Some((_, expected)) => format!("{what}; expected {expected}"),
        None => what.into(),
    }
}

fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(Code::NotJson, format!("no JSON document: line {}, column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read")]
        inner: Vec<Inner>,
        #[serde(default, deserialize_with = "maybe_object")]
        #[expect(dead_code, reason = "only read")]
        one: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read")]
        count: u32,
        #[serde(default)]
        #[expect(dead_code, reason = "only read")]
        free: BTreeMap<String, Json>,
    }

    fn refused(text: &str) -> (Code, String) {
        let refusal = read::<Outer>(text).unwrap_err();
        assert!(!refusal.message.contains("secret"), "{refusal}");
        (refusal.code, refusal.pointer.unwrap_or_default())
    }

    #[test]
    fn what_breaks_the_schema_is_named_by_code_and_place() {
        assert!(read::<Outer>(r#"{"inner":[{"count":1,"free":{"x":[1, 2]}}],"one":{"count":1}}"#).is_ok());
        let cases = [
            (r#"{"inner":[{"count":1},{}]}"#, Code::FieldMissing, "/inner/1/count"),
            (r#"{"inner":[{"count":"secret"}]}"#, Code::FieldInvalid, "/inner/0/count"),
            (r#"{"inner":[{"count":-1}]}"#, Code::FieldInvalid, "/inner/0/count"),
            (r#"{"inner":[{"count":1,"cuont":"secret"}]}"#, Code::FieldUnknown, "/inner/0/cuont"),
            (r#"{"inner":[{"count":1,"a, expected secret":1}]}"#, Code::FieldUnknown, "/inner/0"),
            (r#"{"inner":[{"count":1,"free":["secret"]}]}"#, Code::FieldInvalid, "/inner/0/free"),
            (r#"{"inner":[],"inner":[]}"#, Code::DuplicateMember, "/inner"),
            (r#"{"inner":[],"one":{"count":"secret"}}"#, Code::FieldInvalid, "/one/count"),
            (r#"{"inner":[],"one":[1]}"#, Code::FieldInvalid, "/one"),
            (r#"["secret"]"#, Code::FieldInvalid, ""),
            ("[[]]", Code::FieldInvalid, ""),
            (r#""secret""#, Code::FieldInvalid, ""),
            ("{", Code::NotJson, ""),
            (r#"{"inner":[]} {"#, Code::NotJson, ""),
        ];
        for (text, code, pointer) in cases {
            assert_eq!(refused(text), (code, pointer.to_owned()), "{text}");
        }
    }
}
