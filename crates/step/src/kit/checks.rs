//! The checks that need no fault: repeats, undoing, lateness, neighbours, foreign things.

use tenantry_contracts::Class;

use super::{Failure, Run, World};
use crate::{Observed, Step, Trouble};

/// Doing it again changes nothing and answers the same.
pub async fn do_twice<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "do_twice").await;
    let first = run.make(10).await?;
    run.stands().await?;
    let before = world.remains(&run.tenant).await;
    let again = run.make(10).await?;
    let (one, two) = (run.text(&first)?, run.text(&again)?);
    run.ensure(one == two, format!("the same question was answered {one}, then {two}"))?;
    let after = world.remains(&run.tenant).await;
    run.ensure(before == after, format!("there was {before:?}, and after the repeat {after:?}"))?;
    // Asked anew: the coordinator lost the answer, or a person wants it done again.
    let anew = run.make(11).await?;
    let three = run.text(&anew)?;
    run.ensure(W::Step::ONCE || one == three, format!("asked anew it answered {three}, before {one}"))?;
    run.stands().await?;
    run.unmake(20, Some(&anew)).await?;
    run.is_gone().await
}

/// Undoing it again changes nothing, with or without the answer at hand.
pub async fn undo_twice<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "undo_twice").await;
    let made = run.make(10).await?;
    run.unmake(20, Some(&made)).await?;
    run.unmake(20, Some(&made)).await?;
    run.unmake(21, None).await?;
    run.is_gone().await
}

/// Undoing what was never done succeeds.
pub async fn undo_what_never_was<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "undo_what_never_was").await;
    run.is_gone().await?;
    run.unmake(20, None).await?;
    run.is_gone().await
}

/// A question that comes after a later one does nothing: a do after the undo, an undo after the next do.
pub async fn late_do_refused<W: World>(world: &W) -> Result<(), Failure> {
    for done_before in [false, true] {
        let run = Run::new(world, "late_do_refused").await;
        if done_before {
            run.make(10).await?;
        }
        run.unmake(20, None).await?;
        if W::FENCED {
            let late = run.try_make(10).await.err();
            run.ensure(late == Some(Trouble::Superseded), format!("the late execute answered {late:?}"))?;
        }
        run.is_gone().await?;
        run.make(30).await?;
        if W::FENCED {
            let late = run.try_unmake(20, None).await.err();
            run.ensure(late == Some(Trouble::Superseded), format!("the late compensate answered {late:?}"))?;
        }
        run.stands().await?;
        run.unmake(40, None).await?;
        run.is_gone().await?;
    }
    Ok(())
}

/// What was undone can be done again.
pub async fn do_undo_do<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "do_undo_do").await;
    let made = run.make(10).await?;
    run.unmake(20, Some(&made)).await?;
    run.is_gone().await?;
    let again = run.make(30).await?;
    run.stands().await?;
    run.unmake(40, Some(&again)).await?;
    run.is_gone().await
}

/// Two tenants at once; one is undone, the other stands.
pub async fn side_by_side<W: World>(world: &W) -> Result<(), Failure> {
    let one = Run::new(world, "side_by_side").await;
    let two = Run::new(world, "side_by_side").await;
    let (made_one, made_two) = tokio::join!(one.make(10), two.make(10));
    let (made_one, made_two) = (made_one?, made_two?);
    one.stands().await?;
    two.stands().await?;
    let before = world.remains(&two.tenant).await;
    one.unmake(20, Some(&made_one)).await?;
    one.is_gone().await?;
    two.stands().await?;
    let after = world.remains(&two.tenant).await;
    two.ensure(before == after, format!("the neighbour's undo changed {before:?} to {after:?}"))?;
    two.unmake(20, Some(&made_two)).await?;
    two.is_gone().await
}

/// A thing of that name that is not ours is a final no, and is there afterwards as it was.
pub async fn foreign_is_left_alone<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "foreign_is_left_alone").await;
    world.plant(&run.tenant).await;
    let answer = run.try_make(10).await;
    let refused = matches!(&answer, Err(Trouble::No { class: Class::Conflict | Class::Business, .. }));
    let answer = answer.err();
    run.ensure(refused, format!("execute over a foreign thing answered {answer:?} (None: it succeeded)"))?;
    run.ensure(world.planted_stands(&run.tenant).await, "execute changed the foreign thing")?;
    let seen = run.observe().await?;
    run.ensure(
        !matches!(seen, Observed::Ours { .. }),
        format!("observe takes the foreign thing for {seen:?}"),
    )?;
    let answer = run.try_unmake(20, None).await;
    let honest = matches!(&answer, Ok(()) | Err(Trouble::No { class: Class::Conflict, .. }));
    run.ensure(honest, format!("compensate beside a foreign thing answered {answer:?}"))?;
    run.ensure(world.planted_stands(&run.tenant).await, "compensate changed or removed the foreign thing")
}

/// Looking changes nothing, and what is foreseen is what is answered.
pub async fn foresight<W: World>(world: &W) -> Result<(), Failure> {
    let run = Run::new(world, "foresight").await;
    let input = world.input(&run.tenant);
    let foreseen = world.step().foresee(&run.tenant.cx(5), &input).await;
    let foreseen = foreseen.map_err(|trouble| run.failure(format!("foresee answered: {trouble}")))?;
    run.is_gone().await?;
    let made = run.make(10).await?;
    if let Some(foreseen) = &foreseen {
        let (told, made) = (run.text(foreseen)?, run.text(&made)?);
        run.ensure(told == made, format!("{told} was foreseen, and it answered {made}"))?;
    }
    let before = world.remains(&run.tenant).await;
    world.step().foresee(&run.tenant.cx(15), &input).await.ok();
    run.stands().await?;
    let after = world.remains(&run.tenant).await;
    run.ensure(before == after, format!("looking changed {before:?} to {after:?}"))?;
    run.unmake(20, Some(&made)).await
}
