//! What a gate's row carries once it is decided, for the rows after it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Who said it: the account's name.
    pub by: String,
    /// The role in which it was said.
    pub role: String,
    /// The digest of what was seen, hexadecimal.
    pub seen: String,
}
