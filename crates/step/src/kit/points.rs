//! The checks at points: the step fails, dies or freezes at each of them, while doing and while undoing.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tenantry_contracts::{Class, Code};

use super::{Failure, Run, World};
use crate::{Answer, Cx, Point, Points, Step, Trouble};

/// Which half of a step is broken.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Do,
    Undo,
}

/// Writes down the points that are passed; at the `nth` call it says `then` and raises the flag.
struct Switch {
    nth: usize,
    then: Point,
    calls: AtomicUsize,
    hit: AtomicBool,
    names: Mutex<Vec<&'static str>>,
}

impl Switch {
    fn new(nth: usize, then: Point) -> Arc<Self> {
        let (calls, hit, names) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::default());
        Arc::new(Self { nth, then, calls, hit, names })
    }

    fn names(&self) -> Vec<&'static str> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Points for Switch {
    fn at(&self, _: &Cx, name: &'static str) -> Point {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.nth {
            self.hit.store(true, Ordering::SeqCst);
            return self.then.clone();
        }
        Point::Pass
    }
}

/// What the step calls at its points is what it declares, no more and no less.
pub async fn every_point_is_declared<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "every_point_is_declared").await;
    let mut called: BTreeSet<_> = calls(&run, Half::Do).await?.into_iter().collect();
    called.extend(calls(&run, Half::Undo).await?);
    let declared: BTreeSet<_> = W::POINTS.iter().copied().collect();
    run.ensure(called == declared, format!("declared are {declared:?}, called {called:?}"))
}

/// A failure at a point is answered as it is; then the question is asked again, or the step undone.
pub async fn failure_at_every_point<W: World>(world: &W) -> Result<(), Failure> {
    let broken = Trouble::no(Code::FaultInjected, Class::Exhausted, "broken by the kit");
    each(world, "failure_at_every_point", async |run, half, nth| {
        let switch = Switch::new(nth, Point::Trouble(broken.clone()));
        let answer = half_run(run, half, &switch).await;
        run.ensure(
            answer == Err(broken.clone()),
            format!("it answered {answer:?} and not what the point said"),
        )
    })
    .await
}

/// The process dies at a point: the future is dropped.
pub async fn crash_at_every_point<W: World>(world: &W) -> Result<(), Failure> {
    each(world, "crash_at_every_point", async |run, half, nth| {
        let switch = Switch::new(nth, Point::Hang);
        let died = until_hit(&mut pin!(half_run(run, half, &switch)), &switch).await;
        run.ensure(died.is_none(), format!("it answered {died:?} and never came to the point"))
    })
    .await
}

/// The process freezes shortly after a point, somebody else undoes, then it thaws: nothing of it may come back.
pub async fn zombie_at_every_point<W: World>(world: &W) -> Result<(), Failure> {
    if !W::FENCED {
        return Ok(());
    }
    let probe = Run::new(world, "zombie_at_every_point").await;
    for (nth, name) in calls(&probe, Half::Do).await?.into_iter().enumerate() {
        let mut run = Run::new(world, "zombie_at_every_point").await;
        run.point = Some(name);
        let switch = Switch::new(nth, Point::Pass);
        let mut zombie = pin!(half_run(&run, Half::Do, &switch));
        let ended = until_hit(&mut zombie, &switch).await;
        // It may hold the lock of its resource while it is frozen; then the undo has to wait, and says so.
        let mut impatient = run.tenant.clone();
        impatient.limit_ms = 500;
        let input = world.input(&run.tenant);
        let undone = world.step().compensate(&impatient.cx(20), &input, None).await;
        let honest = matches!(undone, Ok(()) | Err(Trouble::Shaky(_) | Trouble::NotYet(_)));
        run.ensure(honest, format!("compensate beside a frozen execute answered {undone:?}"))?;
        let answer = match ended {
            Some(answer) => answer,
            None => zombie.await,
        };
        match undone {
            // An answer that needs no more from the provider is possible; nobody listens to it any more.
            Ok(()) => run.ensure(
                !matches!(answer, Err(Trouble::No { .. } | Trouble::NotYet(_))),
                format!("undone while it was frozen, it went on and answered {answer:?}"),
            )?,
            Err(_) => run.unmake(20, None).await?,
        }
        run.is_gone().await?;
    }
    Ok(())
}

/// Runs `break_it` at each point of both halves, each time on fresh tenants, and both ways out of it.
async fn each<W: World>(
    world: &W,
    check: &'static str,
    break_it: impl AsyncFn(&Run<'_, W>, Half, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let probe = Run::new(world, check).await;
    for half in [Half::Do, Half::Undo] {
        for (nth, name) in calls(&probe, half).await?.into_iter().enumerate() {
            for asked_again in [true, false] {
                let mut run = Run::new(world, check).await;
                run.point = Some(name);
                let made = if half == Half::Undo { Some(run.make(10).await?) } else { None };
                break_it(&run, half, nth).await?;
                match (half, asked_again) {
                    (Half::Do, true) => {
                        let made = run.make(10).await?;
                        run.stands().await?;
                        run.unmake(20, Some(&made)).await?;
                    }
                    (Half::Do, false) => run.unmake(20, None).await?,
                    (Half::Undo, true) => run.unmake(20, made.as_ref()).await?,
                    (Half::Undo, false) => run.unmake(21, None).await?,
                }
                run.is_gone().await?;
            }
        }
    }
    Ok(())
}

/// The points that one half passes, in order. Leaves the thing made after [`Half::Do`], and gone after [`Half::Undo`].
async fn calls<W: World>(run: &Run<'_, W>, half: Half) -> Result<Vec<&'static str>, Failure> {
    let switch = Switch::new(usize::MAX, Point::Pass);
    half_run(run, half, &switch)
        .await
        .map_err(|trouble| run.failure(format!("without any fault it answered {trouble}")))?;
    Ok(switch.names())
}

async fn half_run<W: World>(run: &Run<'_, W>, half: Half, switch: &Arc<Switch>) -> Answer<()> {
    let input = run.world.input(&run.tenant);
    let points: Arc<dyn Points> = Arc::<Switch>::clone(switch);
    match half {
        Half::Do => run.world.step().execute(&run.tenant.cx_at(10, points), &input).await.map(|_| ()),
        Half::Undo => run.world.step().compensate(&run.tenant.cx_at(20, points), &input, None).await,
    }
}

/// Runs until the switch was hit and the future waits; `None` then. The caller drops it, or goes on later.
async fn until_hit<F: Future + Unpin>(future: &mut F, switch: &Switch) -> Option<F::Output> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if switch.hit.load(Ordering::SeqCst) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}
