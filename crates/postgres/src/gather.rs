//! Many callers, one statement: while one is in flight, calls gather, and go together in the next one. An idle one goes
//! at once; there are no timed windows.

use std::future::Future;

use tenantry_ports::StoreError;
use tokio::sync::{mpsc, oneshot};

/// The most items of one statement.
const ITEMS: usize = 1_000;
/// The most calls that wait; the next ones wait for room.
const CALLS: usize = 1_024;

/// The way to a task that runs gathered calls. The task ends with the last clone.
pub(crate) struct Gather<A, B> {
    calls: mpsc::Sender<Call<A, B>>,
}

impl<A, B> Clone for Gather<A, B> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone() }
    }
}

struct Call<A, B> {
    items: Vec<A>,
    reply: oneshot::Sender<Result<Vec<B>, StoreError>>,
}

/// Why a statement failed.
#[derive(Clone)]
pub(crate) struct Trouble {
    pub(crate) error: StoreError,
    /// Because of what one of the items holds: the others would have passed.
    pub(crate) of_the_data: bool,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self { error, of_the_data: false }
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self { of_the_data: crate::error::is_of_the_data(&error), error: crate::error::store_error(&error) }
    }
}

impl<A: Clone + Send + 'static, B: Send + 'static> Gather<A, B> {
    /// Starts the task. `run` answers each item, in order.
    pub(crate) fn start<Run, Answers>(run: Run) -> Self
    where
        Run: Fn(Vec<A>) -> Answers + Send + Sync + 'static,
        Answers: Future<Output = Result<Vec<B>, Trouble>> + Send,
    {
        let (calls, mut waiting) = mpsc::channel::<Call<A, B>>(CALLS);
        tokio::spawn(async move {
            while let Some(first) = waiting.recv().await {
                let mut gathered = vec![first];
                let mut items = gathered[0].items.len();
                while items < ITEMS {
                    let Ok(call) = waiting.try_recv() else { break };
                    items += call.items.len();
                    gathered.push(call);
                }
                serve(gathered, &run).await;
            }
        });
        Self { calls }
    }

    /// Asks, and waits for the answers: one for each item, in order.
    pub(crate) async fn ask(&self, items: Vec<A>) -> Result<Vec<B>, StoreError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answers) = oneshot::channel();
        let gone = || StoreError("the runtime that served the store has ended".to_owned());
        self.calls.send(Call { items, reply }).await.map_err(|_| gone())?;
        answers.await.map_err(|_| gone())?
    }
}

async fn serve<A, B, Run, Answers>(calls: Vec<Call<A, B>>, run: &Run)
where
    A: Clone,
    Run: Fn(Vec<A>) -> Answers,
    Answers: Future<Output = Result<Vec<B>, Trouble>>,
{
    let together = calls.iter().flat_map(|call| call.items.iter().cloned()).collect();
    match run(together).await {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for call in calls {
                let own: Vec<B> = answers.by_ref().take(call.items.len()).collect();
                // A caller that went away wants no answer.
                let _ = call.reply.send(Ok(own));
            }
        }
        // One caller's text that PostgreSQL cannot hold must not fail the others.
        Err(trouble) if trouble.of_the_data && calls.len() > 1 => {
            for call in calls {
                let Call { items, reply } = call;
                let _ = reply.send(run(items).await.map_err(|trouble| trouble.error));
            }
        }
        Err(trouble) => {
            for call in calls {
                let _ = call.reply.send(Err(trouble.error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    fn of_the_data() -> Trouble {
        Trouble { error: StoreError("no".to_owned()), of_the_data: true }
    }

    #[tokio::test]
    async fn calls_that_wait_for_a_statement_go_together_and_each_gets_its_own_answers() {
        let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let gather = Gather::start({
            let (gate, runs) = (gate.clone(), runs.clone());
            move |items: Vec<u32>| {
                let (gate, runs) = (gate.clone(), runs.clone());
                async move {
                    runs.fetch_add(1, Ordering::Relaxed);
                    gate.acquire().await.unwrap().forget();
                    Ok(items.into_iter().map(|item| item * 10).collect())
                }
            }
        });
        let asks: Vec<_> = (0..50)
            .map(|i| {
                let gather = gather.clone();
                tokio::spawn(async move { gather.ask(vec![i, i + 1]).await })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.add_permits(50);
        for (i, ask) in (0..50).zip(asks) {
            assert_eq!(ask.await.unwrap(), Ok(vec![i * 10, (i + 1) * 10]));
        }
        let runs = runs.load(Ordering::Relaxed);
        assert!(runs <= 3, "fifty calls took {runs} statements");
    }

    #[tokio::test]
    async fn one_callers_bad_item_does_not_fail_the_others() {
        let gather = Gather::start(|items: Vec<i32>| async move {
            if items.contains(&-1) { Err(of_the_data()) } else { Ok(items) }
        });
        let (good, bad, other) =
            tokio::join!(gather.ask(vec![1]), gather.ask(vec![2, -1]), gather.ask(vec![3]));
        assert_eq!((good, other), (Ok(vec![1]), Ok(vec![3])));
        assert!(bad.is_err());
    }
}
