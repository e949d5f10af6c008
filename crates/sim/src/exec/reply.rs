//! Calls to somewhere else: there, done, and back.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::{Sim, lock};

/// What comes back from elsewhere.
pub struct Reply<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Future for Reply<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut cell = lock(&self.0);
        match cell.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                cell.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Sim {
    /// Does something elsewhere after a while, and hands back what came of it after another while. It is done even
    /// where nobody waits for it any more.
    pub fn call<T: Send + 'static>(
        &self,
        there_us: i64,
        back_us: i64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Reply<T> {
        let cell = Arc::new(Mutex::new((None, None::<Waker>)));
        let (sim, out) = (self.clone(), Reply(cell.clone()));
        self.after(there_us, move || {
            let value = work();
            sim.after(back_us, move || {
                let mut cell = lock(&cell);
                cell.0 = Some(value);
                if let Some(waker) = cell.1.take() {
                    waker.wake();
                }
            });
        });
        out
    }

    /// Resolves after a while of virtual time.
    pub fn sleep(&self, us: i64) -> Reply<()> {
        self.call(us, 0, || ())
    }
}
