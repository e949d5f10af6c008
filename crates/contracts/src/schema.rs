//! Pieces of the JSON Schemas that the types alone do not say.

use serde_json::{Value, json};

/// The grammar of a slug, as a regular expression. Length and reserved names are checked beside it.
pub(crate) const SLUG: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";
/// The grammar of an environment.
pub(crate) const ENVIRONMENT: &str = "^[a-z][a-z0-9]{0,15}$";

/// One of these members at least.
pub(crate) fn any_of(members: &[&str]) -> Value {
    members.iter().map(|member| json!({ "required": [member] })).collect()
}
