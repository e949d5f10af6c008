//! May this command act? Reads or raises the fence, and looks up what a step that is done once answered before.

use bytes::Bytes;
use tenantry_contracts::command::Question;
use tenantry_contracts::{Token, Verb};
use tenantry_ports::Marked;

use crate::ledger::Books;

/// What the ledger says about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It may act.
    Act,
    /// A later question for the resource stands: do nothing, say nothing.
    Superseded,
}

/// What of a question decides how it is fenced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) verb: Verb,
    /// Not the first question for its resource.
    pub(crate) supersedes: bool,
    /// Its effect cannot be found again.
    pub(crate) once: bool,
}

impl Kind {
    /// Its answer is remembered before it is said.
    pub(crate) fn remembers(self) -> bool {
        self.once && self.verb != Verb::Observe
    }
}

/// The answer that was remembered for this very question, if it is of a step that is done once.
pub(crate) async fn remembered(books: &Books, kind: Kind, question: &Question) -> Option<Bytes> {
    if kind.remembers() { books.answer(question.id()).await } else { None }
}

/// Asks for leave. What must be marked before it acts is marked, durably, when this returns.
pub(crate) async fn leave(books: &Books, kind: Kind, resource: String, token: Token) -> Leave {
    match kind.verb {
        // Read-only, and true whoever asks.
        Verb::Observe => Leave::Act,
        // A first execute is repeatable and finds what an earlier try made: it need not write.
        Verb::Execute if !kind.supersedes && !kind.once => match books.fence(resource).await {
            Some(stands) if stands > token => Leave::Superseded,
            Some(_) | None => Leave::Act,
        },
        Verb::Execute | Verb::Compensate => match books.mark(resource, token).await {
            Marked::Stands => Leave::Act,
            Marked::Superseded => Leave::Superseded,
        },
    }
}
