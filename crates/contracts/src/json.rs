//! A JSON document that is carried, not understood: its exact text, cheap to clone.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Any JSON value as the text that was written. Equal where the text is equal.
///
/// Keep it out of internally tagged, untagged and flattened types: serde buffers those and loses the raw text.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "serde_json::Value", description = "Any JSON value.")]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Writes a value.
    ///
    /// # Errors
    /// Where the value has no JSON form (a map with keys that are no text, say).
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|raw| Self(raw.into()))
    }

    /// Reads the document as a typed value.
    ///
    /// # Errors
    /// Where the document is not of that type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}
