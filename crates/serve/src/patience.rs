//! Waits for a store that is down: pauses between tries, and tells the server that something is down.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc;
use tenantry_ports::{Clock, Entropy, StoreError};

use crate::retry::Pauses;

/// How many things are down at the moment. Each change is told through the channel.
#[derive(Debug)]
pub(crate) struct Health {
    down: AtomicUsize,
    changes: mpsc::UnboundedSender<bool>,
}

impl Health {
    /// A healthy start, and where changes arrive: `true` for down.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<bool>) {
        let (changes, heard) = mpsc::unbounded();
        (Arc::new(Self { down: AtomicUsize::new(0), changes }), heard)
    }

    fn tell(&self, down: bool) {
        // Nobody listens any more only when the server is gone.
        let _ = self.changes.unbounded_send(down);
    }
}

/// Something is down as long as this lives.
struct Down<'a>(&'a Health);

impl<'a> Down<'a> {
    fn new(health: &'a Health) -> Self {
        if health.down.fetch_add(1, Ordering::AcqRel) == 0 {
            health.tell(true);
        }
        Self(health)
    }
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        if self.0.down.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.tell(false);
        }
    }
}

/// Asks again until it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Patience<C, E> {
    pub(crate) clock: C,
    pub(crate) entropy: E,
    pub(crate) pauses: Pauses,
    pub(crate) health: Arc<Health>,
}

impl<C: Clock, E: Entropy> Patience<C, E> {
    /// Calls until it succeeds. `what` names the call in the log, once per outage.
    pub(crate) async fn insist<T, F, Fut>(&self, what: &'static str, mut call: F) -> T
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let mut pauses = self.pauses.clone();
        let mut down = None;
        loop {
            match call().await {
                Ok(answer) => {
                    if down.is_some() {
                        tracing::info!(what, "the store answers again");
                    }
                    return answer;
                }
                Err(error) => {
                    if down.is_none() {
                        tracing::warn!(what, %error, "the store does not answer; workers pause until it does");
                        down = Some(Down::new(&self.health));
                    }
                    let pause = pauses.next(&self.entropy);
                    self.clock.sleep_until(self.clock.now().plus(pause)).await;
                }
            }
        }
    }
}
