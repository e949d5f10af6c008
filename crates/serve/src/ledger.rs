//! The ledger as one command sees it: it asks for itself, and what many ask at a time travels in one call.
//!
//! Each kind of call has a clerk. While its call is in flight, further questions gather; then they go together.

use std::future::Future;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, FutureExt};
use tenantry_contracts::Token;
use tenantry_ports::{Clock, Entropy, Fence, Ledger, Mark, Marked, Remembered, StoreError};

use crate::patience::Patience;

/// The most questions of one call.
const TOGETHER: usize = 512;

/// The four clerks.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    fences: Clerk<String, Option<Fence>>,
    marks: Clerk<Mark, Marked>,
    answers: Clerk<String, Option<Bytes>>,
    remembered: Clerk<(String, Bytes), Remembered>,
}

impl Books {
    /// Opens the books, and returns the work of the clerks: to be polled for as long as anybody asks.
    pub(crate) fn open<L, C, E>(ledger: &L, patience: &Patience<C, E>) -> (Self, BoxFuture<'static, ()>)
    where
        L: Ledger,
        C: Clock,
        E: Entropy,
    {
        let (fences, f) = clerk(patience.clone(), "ledger.fences", {
            let ledger = ledger.clone();
            move |asked| {
                let ledger = ledger.clone();
                async move { ledger.fences(asked).await }
            }
        });
        let (marks, m) = clerk(patience.clone(), "ledger.mark", {
            let ledger = ledger.clone();
            move |asked| {
                let ledger = ledger.clone();
                async move { ledger.mark(asked).await }
            }
        });
        let (answers, a) = clerk(patience.clone(), "ledger.answers", {
            let ledger = ledger.clone();
            move |asked| {
                let ledger = ledger.clone();
                async move { ledger.answers(asked).await }
            }
        });
        let (remembered, r) = clerk(patience.clone(), "ledger.remember", {
            let ledger = ledger.clone();
            move |asked| {
                let ledger = ledger.clone();
                async move { ledger.remember(asked).await }
            }
        });
        let work = async move {
            futures::join!(f, m, a, r);
        };
        (Self { fences, marks, answers, remembered }, work.boxed())
    }

    /// The highest token that was marked for a resource.
    pub(crate) async fn fence(&self, resource: String) -> Option<Token> {
        self.fences.ask(resource).await.map(|fence| fence.token)
    }

    /// Raises the fence; durable when it returns.
    pub(crate) async fn mark(&self, resource: String, token: Token) -> Marked {
        self.marks.ask(Mark { resource, token }).await
    }

    /// The answer that was remembered for a question.
    pub(crate) async fn answer(&self, question: String) -> Option<Bytes> {
        self.answers.ask(question).await
    }

    /// Remembers the answer to a question, durably; returns the one that stands.
    pub(crate) async fn remember(&self, question: String, answer: Bytes) -> Bytes {
        match self.remembered.ask((question, answer.clone())).await {
            Remembered::First => answer,
            Remembered::Earlier(stands) => stands,
        }
    }
}

/// Where one kind of question is asked.
#[derive(Debug)]
struct Clerk<Q, A>(mpsc::UnboundedSender<(Q, oneshot::Sender<A>)>);

impl<Q, A> Clone for Clerk<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q, A> Clerk<Q, A> {
    async fn ask(&self, question: Q) -> A {
        let (reply, answer) = oneshot::channel();
        if self.0.unbounded_send((question, reply)).is_ok()
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        // The clerk is gone only when the server is, and with it whoever asks.
        std::future::pending().await
    }
}

fn clerk<Q, A, C, E, F, Fut>(
    patience: Patience<C, E>,
    what: &'static str,
    call: F,
) -> (Clerk<Q, A>, impl Future<Output = ()> + Send)
where
    Q: Clone + Send + Sync + 'static,
    A: Send + 'static,
    C: Clock,
    E: Entropy,
    F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<A>, StoreError>> + Send,
{
    let (ask, asked) = mpsc::unbounded::<(Q, oneshot::Sender<A>)>();
    let work = async move {
        let mut asked = asked.ready_chunks(TOGETHER);
        while let Some(together) = asked.next().await {
            let (questions, replies): (Vec<_>, Vec<_>) = together.into_iter().unzip();
            let answers = patience
                .insist(what, || {
                    let answers = call(questions.clone());
                    async {
                        let answers = answers.await?;
                        if answers.len() == questions.len() {
                            Ok(answers)
                        } else {
                            Err(StoreError(format!(
                                "{} answers to {} questions",
                                answers.len(),
                                questions.len()
                            )))
                        }
                    }
                })
                .await;
            for (reply, answer) in replies.into_iter().zip(answers) {
                // Who asked may have given up at a stop.
                let _ = reply.send(answer);
            }
        }
    };
    (Clerk(ask), work)
}
