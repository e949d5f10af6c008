//! What a document may be before anybody tries to understand it: small, shallow, storable, each member named once.
//!
//! One pass of serde_json over the bytes, in linear time (times the logarithm of an object's members), with memory
//! bounded by the document. It stops at the first violation, so that a document nested 10,000 deep costs 33 frames.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::{Code, Refusal, pointer};

/// The most bytes of a document.
pub const BODY_BYTES: usize = 256 << 10;
/// The deepest nesting; the outermost object or array is at depth one.
pub const DEPTH: usize = 32;
/// The most values in a document, itself included.
pub const NODES: usize = 10_000;
/// The most bytes of a string or a member's name, after unescaping.
pub const STRING_BYTES: usize = 4 << 10;

/// A document within the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The document.
    pub text: &'a str,
    /// The names of the outermost object's members; empty for anything else.
    pub members: BTreeSet<Cow<'a, str>>,
}

/// Checks a document against every limit.
///
/// # Errors
/// `too_large`, `not_json` (also invalid UTF-8, a byte order mark, lone surrogates), `too_deep`, `too_many_nodes`,
/// `string_too_long`, `nul_character`, `duplicate_member`, and `field_invalid` for a number that no type can hold;
/// with a pointer where one place is to blame.
pub fn check(value: &[u8]) -> Result<Outline<'_>, Refusal> {
    if value.len() > BODY_BYTES {
        let message = format!("the document has {} bytes, at most {BODY_BYTES} are read", value.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    let text = std::str::from_utf8(value).map_err(|error| {
        Refusal::new(Code::NotJson, format!("not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let mut scan = Scan { nodes: 0, place: String::new(), found: None };
    let mut input = serde_json::Deserializer::from_str(text);
    let members = Node { scan: &mut scan, depth: 0 }.deserialize(&mut input);
    match members.and_then(|members| input.end().map(|()| members)) {
        Ok(members) => Ok(Outline { text, members }),
        Err(error) => Err(scan.found.take().unwrap_or_else(|| scan.syntax(&error))),
    }
}

/// The state of one pass.
struct Scan {
    nodes: usize,
    /// JSON pointer of the value that is read.
    place: String,
    /// The first violation. serde_json's error only ends the pass.
    found: Option<Refusal>,
}

impl Scan {
    fn refuse<E: Error>(&mut self, code: Code, message: String) -> E {
        self.found = Some(Refusal::new(code, message).at(pointer::shown(&self.place)));
        E::custom(code.as_str())
    }

    fn syntax(&self, error: &serde_json::Error) -> Refusal {
        let (line, column) = (error.line(), error.column());
        // JSON has no largest number, but every type here has.
        if error.to_string().starts_with("number out of range") {
            return Refusal::new(Code::FieldInvalid, "a number is too large to be read")
                .at(pointer::shown(&self.place));
        }
        Refusal::new(Code::NotJson, format!("no JSON document: line {line}, column {column}"))
    }

    fn count<E: Error>(&mut self) -> Result<(), E> {
        self.nodes += 1;
        if self.nodes > NODES {
            self.place.clear();
            return Err(self.refuse(Code::TooManyNodes, format!("more than {NODES} values")));
        }
        Ok(())
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if text.len() > STRING_BYTES {
            let message = format!("a string of {} bytes, at most {STRING_BYTES} are read", text.len());
            return Err(self.refuse(Code::StringTooLong, message));
        }
        if text.contains('\0') {
            return Err(self.refuse(Code::NulCharacter, "a string holds U+0000".into()));
        }
        Ok(())
    }
}

/// One value at a depth. Yields the names of its members where it is an object.
struct Node<'s> {
    scan: &'s mut Scan,
    depth: usize,
}

impl Node<'_> {
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.scan.refuse(Code::TooDeep, format!("nested more than {DEPTH} deep")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = BTreeSet<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        self.scan.count()?;
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = BTreeSet<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        self.enter()?;
        let parent = self.scan.place.len();
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key_seed(Name)? {
            self.scan.text(&name)?;
            pointer::push(&mut self.scan.place, &name);
            if names.contains(&name) {
                let message = "the same member stands twice in one object".into();
                return Err(self.scan.refuse(Code::DuplicateMember, message));
            }
            map.next_value_seed(Node { scan: &mut *self.scan, depth: self.depth })?;
            self.scan.place.truncate(parent);
            names.insert(name);
        }
        Ok(names)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        self.enter()?;
        let parent = self.scan.place.len();
        for index in 0_usize.. {
            pointer::push_index(&mut self.scan.place, index);
            let more = seq.next_element_seed(Node { scan: &mut *self.scan, depth: self.depth })?.is_some();
            self.scan.place.truncate(parent);
            if !more {
                break;
            }
        }
        Ok(BTreeSet::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.scan.text(text).map(|()| BTreeSet::new())
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(BTreeSet::new())
    }
}

/// A member's name, borrowed from the document where it holds no escape.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
