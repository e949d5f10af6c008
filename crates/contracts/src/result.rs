//! What a worker answers, on the partition on which the question came.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::{Question, expect_type, read_body};
use crate::{Class, Code, Fleet, Headers, Json, Origin, Record, Refusal};

/// The type of every answer, in header `type`.
pub const TYPE: &str = "tenant.result.v1";

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question it answers.
    pub question: Question,
    /// The rest.
    pub body: Body,
}

/// The value of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The installation that answers.
    pub fleet: Fleet,
    /// What it says.
    pub said: Said,
}

/// What a worker can say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It is so. Carries the step's typed output; `null` for an undo.
    Succeeded(Json),
    /// A final *no*.
    Failed(Failure),
    /// Not yet; ask again after so many milliseconds.
    NotYet(i64),
    /// The deadline had passed before anything began. No attempt.
    Expired,
    /// The command lies in the dead letters; the origin names the letter.
    DeadLettered(Origin),
}

/// Why a step said *no*.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// The class that end policies speak of.
    pub class: Class,
    /// JSON pointer into the step's input, where one place is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// One sentence for a person, without secrets and personal data.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Answer {
    /// The record's headers and value.
    ///
    /// # Errors
    /// Where the body has no JSON form; it always has.
    pub fn encode(&self) -> Result<(Headers, Bytes), serde_json::Error> {
        Ok((self.question.headers(TYPE), serde_json::to_vec(&self.body)?.into()))
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// As for commands.
    pub fn decode(record: &Record) -> Result<Self, Refusal> {
        expect_type(record, TYPE)?;
        let question = Question::of(record).ok_or_else(|| {
            Refusal::new(
                Code::EnvelopeInvalid,
                "a header of tenant, saga, row, token is missing or malformed",
            )
        })?;
        Ok(Self { question, body: read_body(record)? })
    }
}
