//! A letter, decoded as far as it can be: what it is about, and how the fleet reads it today.

use tenantry_contracts::command::{Command, Question};
use tenantry_contracts::operation::{self, Operation};
use tenantry_contracts::request::{self, Decoded};
use tenantry_contracts::result::Answer;
use tenantry_contracts::{Fleet, Letter, Refusal, RequestId, TenantId, Time, Topic};

/// A letter without its value, and what it is about.
#[derive(Clone, Debug)]
pub(super) struct Article {
    /// The letter; the value is left out, for there may be many and large ones.
    pub(super) letter: Letter,
    /// SHA-256 over everything the letter keeps, hexadecimal.
    pub(super) digest: String,
    /// What it is about.
    pub(super) subject: Subject,
    /// The step, or the row of the plan where the body does not say.
    pub(super) step: Option<String>,
    /// The slug, or the record's key where that is a text.
    pub(super) slug: Option<String>,
}

/// What a letter is about, as the fleet reads it today.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// A question to a worker; `None` where its headers name none.
    Command(Option<Question>, Option<Refusal>),
    /// A request: who asks where that can be read, when, and why it cannot be served.
    Request { id: Option<RequestId>, asked: Time, unreadable: bool, refusal: Option<Refusal> },
    /// A person's verb.
    Operation(Result<Box<Operation>, Refusal>),
    /// A worker's answer.
    Answer(Result<Box<Answer>, Refusal>),
    /// A record of a topic that nothing is heard from.
    Other,
}

impl Article {
    /// Decodes a letter. `lanes` is the number of lanes.
    pub(super) fn of(mut letter: Letter, lanes: u16) -> Self {
        let digest = hex::encode(letter.digest());
        let record = &letter.record;
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned);
        let (mut step, mut slug) = (None, None);
        let subject = match &record.topic {
            Topic::Commands(_) => {
                let question = Question::of(record);
                step = question.as_ref().map(|question| question.row.to_string());
                let refusal = match Command::decode(record) {
                    Ok(command) => {
                        step = Some(command.body.step.to_string());
                        slug = Some(command.body.slug.to_string());
                        None
                    }
                    Err(refusal) => Some(refusal),
                };
                Subject::Command(question, refusal)
            }
            Topic::Requests => match request::decode(record, lanes, "starter") {
                Decoded::Heard(heard) => {
                    slug = Some(heard.request.slug.to_string());
                    Subject::Request {
                        id: Some(heard.id),
                        asked: heard.asked,
                        unreadable: false,
                        refusal: None,
                    }
                }
                Decoded::Refused { id, slug: named, asked, refusal, .. } => {
                    slug = named.map(|slug| slug.to_string());
                    Subject::Request { id, asked, unreadable: false, refusal: Some(refusal) }
                }
                Decoded::Unreadable(refusal) => {
                    Subject::Request { id: None, asked: record.at, unreadable: true, refusal: Some(refusal) }
                }
            },
            Topic::Operations => {
                let read = operation::decode_operation(record);
                slug = read.as_ref().ok().map(|operation| operation.key().to_owned());
                Subject::Operation(read.map(Box::new))
            }
            Topic::Results => {
                let read = Answer::decode(record);
                step = read.as_ref().ok().map(|answer| answer.question.row.to_string());
                Subject::Answer(read.map(Box::new))
            }
            _ => Subject::Other,
        };
        letter.record.value = None;
        Self { letter, digest, subject, step, slug: slug.or(key) }
    }

    /// The tenant, where the letter names one.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        match &self.subject {
            Subject::Command(question, _) => question.as_ref().map(|question| question.tenant),
            Subject::Operation(Ok(operation)) => operation.target.as_ref()?.tenant,
            Subject::Answer(Ok(answer)) => Some(answer.question.tenant),
            _ => None,
        }
    }

    /// The id under which the fleet decides about it, for requests and operations.
    pub(super) fn request(&self) -> Option<&RequestId> {
        match &self.subject {
            Subject::Request { id, .. } => id.as_ref(),
            Subject::Operation(Ok(operation)) => Some(&operation.id),
            _ => None,
        }
    }

    /// Why the fleet cannot read it today either.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match &self.subject {
            Subject::Command(_, refusal) | Subject::Request { refusal, .. } => refusal.as_ref(),
            Subject::Operation(Err(refusal)) | Subject::Answer(Err(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// The row of the plan, for commands and answers.
    pub(super) fn row(&self) -> Option<String> {
        match &self.subject {
            Subject::Command(Some(question), _) => Some(question.row.to_string()),
            Subject::Answer(Ok(answer)) => Some(answer.question.row.to_string()),
            _ => None,
        }
    }

    /// The worker, for commands.
    pub(super) fn worker(&self) -> Option<String> {
        match &self.letter.record.topic {
            Topic::Commands(worker) => Some(worker.to_string()),
            _ => None,
        }
    }

    /// Whether it is an answer of another installation.
    pub(super) fn foreign(&self, fleet: &Fleet) -> bool {
        matches!(&self.subject, Subject::Answer(Ok(answer)) if answer.body.fleet != *fleet)
    }
}
