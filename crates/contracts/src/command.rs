//! What the coordinator asks of a worker: one question, on the worker's command topic.
//!
//! Internal records are compact JSON with eight headers at most; the headers alone say which question it is, so that
//! a command whose body cannot be read still gets its answer.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::headers::{Headers, Writing};
use crate::{
    Code, Environment, Fleet, Json, Record, Refusal, RowName, SagaId, Slug, StepName, TenantId, Time, Token,
    Verb, strict,
};

/// The type of every command, in header `type`.
pub const TYPE: &str = "tenant.command.v1";

/// Which question: equal questions are the same question, and only the first answer is heard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The tenant.
    pub tenant: TenantId,
    /// Its saga.
    pub saga: SagaId,
    /// The row of the plan.
    pub row: RowName,
    /// What is asked.
    pub verb: Verb,
    /// The fencing number.
    pub token: Token,
}

impl Question {
    /// The id of the command that asks it: the same each time it is said.
    pub fn id(&self) -> String {
        format!("{}:{}:{}:{}", self.saga, self.row, self.verb.as_str(), self.token)
    }

    /// The headers that name the question, for a record of type `kind`.
    pub fn headers(&self, kind: &'static str) -> Headers {
        self.written(kind).finish()
    }

    fn written(&self, kind: &str) -> Writing {
        let verb = self.verb.as_str();
        let mut headers = Writing::with_capacity(8, 384);
        headers.put("id", &self.id());
        headers.put("type", kind);
        headers.put_fmt("tenant", self.tenant);
        headers.put_fmt("saga", self.saga);
        headers.put_fmt("row", format_args!("{}:{verb}", self.row));
        headers.put_fmt("token", self.token);
        headers
    }

    /// Reads the question from a record's headers; `None` where one is missing or malformed.
    pub fn of(record: &Record) -> Option<Self> {
        let (row, verb) = record.header("row")?.rsplit_once(':')?;
        Some(Self {
            tenant: record.header("tenant")?.parse().ok()?,
            saga: record.header("saga")?.parse().ok()?,
            row: RowName::read(row),
            verb: Verb::parse(verb)?,
            token: Token(record.header("token")?.parse().ok()?),
        })
    }
}

/// A question with everything a worker needs to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which question.
    pub question: Question,
    /// No effect may begin after it.
    pub deadline: Time,
    /// The W3C trace context of this hop.
    pub traceparent: Option<String>,
    /// The rest.
    pub body: Body,
}

/// The value of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The installation that asks; a worker of another one dead-letters the command.
    pub fleet: Fleet,
    /// The cell that is asked. One so far.
    pub cell: u16,
    /// The step to run.
    pub step: StepName,
    /// The tenant's slug, also the record's key.
    pub slug: Slug,
    /// The tenant's environment.
    pub environment: Environment,
    /// The tenant's region, where the request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Not the first question for its resource: the worker writes the durable mark before it acts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supersedes: bool,
    /// The step's typed input.
    pub input: Json,
    /// What `execute` answered, for `compensate`; absent where it was refused or never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Json>,
}

impl Command {
    /// The record's headers and value.
    ///
    /// # Errors
    /// Where the body has no JSON form; it always has.
    pub fn encode(&self) -> Result<(Headers, Bytes), serde_json::Error> {
        let mut headers = self.question.written(TYPE);
        headers.put_fmt("deadline", self.deadline.0);
        if let Some(trace) = &self.traceparent {
            headers.put("traceparent", trace);
        }
        Ok((headers.finish(), serde_json::to_vec(&self.body)?.into()))
    }

    /// Reads a command.
    ///
    /// # Errors
    /// `envelope_invalid` for missing or malformed headers, `type_unknown` or `version_unknown` for another type,
    /// `empty_value`, and `field_invalid` with a pointer for a body that breaks the schema.
    pub fn decode(record: &Record) -> Result<Self, Refusal> {
        expect_type(record, TYPE)?;
        let question = Question::of(record).ok_or_else(|| {
            Refusal::new(
                Code::EnvelopeInvalid,
                "a header of tenant, saga, row, token is missing or malformed",
            )
        })?;
        let deadline =
            record.header("deadline").and_then(|text| text.parse().ok()).map(Time).ok_or_else(|| {
                Refusal::new(Code::EnvelopeInvalid, "header deadline is missing or no number of milliseconds")
            })?;
        let body = read_body(record)?;
        Ok(Self { question, deadline, traceparent: record.header("traceparent").map(str::to_owned), body })
    }
}

/// Checks header `type` of an internal record.
pub(crate) fn expect_type(record: &Record, want: &'static str) -> Result<(), Refusal> {
    let Some(have) = record.header("type") else {
        return Err(Refusal::new(Code::EnvelopeInvalid, "header type is missing"));
    };
    if have == want {
        return Ok(());
    }
    let stem = want.rsplit_once(".v").map_or(want, |(stem, _)| stem);
    let code = if have.starts_with(stem) { Code::VersionUnknown } else { Code::TypeUnknown };
    Err(Refusal::new(code, format!("this topic carries {want}")))
}

/// Reads the value of an internal record, with a pointer where it breaks the schema.
pub(crate) fn read_body<'a, T: Deserialize<'a>>(record: &'a Record) -> Result<T, Refusal> {
    let value =
        record.value.as_deref().ok_or_else(|| Refusal::new(Code::EmptyValue, "the record has no value"))?;
    let text =
        std::str::from_utf8(value).map_err(|_| Refusal::new(Code::NotJson, "the value is not UTF-8"))?;
    strict::read(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Topic, WorkerName};

    fn command() -> Command {
        let tenant = TenantId(uuid::Uuid::from_u128(7));
        Command {
            question: Question {
                tenant,
                saga: SagaId::of(tenant, 1),
                row: RowName::new("database"),
                verb: Verb::Execute,
                token: Token(41),
            },
            deadline: Time(1000),
            traceparent: None,
            body: Body {
                fleet: Fleet::new("local"),
                cell: 0,
                step: StepName::new("database.provision"),
                slug: Slug::parse("acme").unwrap(),
                environment: Environment::default(),
                region: None,
                supersedes: true,
                input: Json::of(&[1, 2]).unwrap(),
                made: None,
            },
        }
    }

    #[test]
    fn a_command_reads_back() {
        let command = command();
        let (headers, value) = command.encode().unwrap();
        assert!(headers.len() <= 8);
        let topic = Topic::Commands(WorkerName::new("database"));
        let mut record =
            Record { topic, partition: 0, offset: 3, at: Time(0), key: None, headers, value: Some(value) };
        assert_eq!(Command::decode(&record).unwrap(), command);
        record.value = Some(Bytes::from_static(b"{\"fleet\":1}"));
        assert_eq!(Command::decode(&record).unwrap_err().code, Code::FieldInvalid);
        assert_eq!(Question::of(&record), Some(command.question), "the headers alone name the question");
        record.headers[1].1 = "tenant.command.v2".into();
        assert_eq!(Command::decode(&record).unwrap_err().code, Code::VersionUnknown);
    }
}
