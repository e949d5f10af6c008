//! How a server stops, and what it refuses to start with.

use tenantry_contracts::Fleet;
use tenantry_serve::{Options, ServeError, Server};

use crate::world::{Probe, Run, SimBus, SimLedger, World, execute, options, server, tenant};

#[test]
fn a_stop_finishes_what_runs_and_begins_nothing_more() {
    let world = World::new();
    let mut options = options();
    options.concurrency = 2;
    for number in 1..4 {
        world.ask(0, &execute(number, 1, &["hold"]));
    }
    let mut run = Run::with(&world, options);
    run.settle();
    world.stop();
    run.pass(5_000);
    assert!(run.result.is_none(), "two commands run");
    for number in 1..4 {
        world.release(tenant(number));
    }
    let stopped_at = world.state().now;
    assert_eq!(run.end(), Ok(()));
    assert_eq!(world.state().now, stopped_at, "it returns as soon as nothing runs");
    assert_eq!(world.answers().len(), 2);
    assert_eq!(world.stored("probe", 0), Some(2));
    assert_eq!(world.noted("execute").len(), 2);
}

#[test]
fn a_stop_waits_ten_seconds_at_most() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold"]));
    let mut run = Run::start(&world);
    run.settle();
    world.stop();
    let from = world.state().now;
    assert_eq!(run.end(), Ok(()));
    assert_eq!(world.state().now - from, 10_000);
    assert_eq!(world.stored("probe", 0), None, "the next worker hears it again");
}

#[test]
fn a_stop_does_not_wait_for_a_step_that_pauses_between_tries() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["shaky"]));
    let mut run = Run::start(&world);
    run.pass(20_000);
    world.stop();
    let from = world.state().now;
    assert_eq!(run.end(), Ok(()));
    assert_eq!(world.state().now, from);
    assert_eq!((world.answers().len(), world.stored("probe", 0)), (0, None), "it was not answered, nor lost");
    let mut next = Run::start(&restarted(&world));
    next.until("the next worker does it", |world| world.noted("execute acme-1 1").len() > 8);
}

/// The same world with nobody asking it to stop.
fn restarted(world: &World) -> World {
    world.resume();
    world.clone()
}

#[test]
fn a_stop_does_not_wait_for_a_ledger_that_is_down() {
    let world = World::new();
    world.state().store.down = true;
    world.ask(0, &execute(1, 1, &["ok"]));
    let mut run = Run::start(&world);
    run.pass(3_000);
    world.stop();
    let from = world.state().now;
    assert_eq!(run.end(), Ok(()));
    assert_eq!(world.state().now, from);
}

#[test]
fn a_static_member_keeps_its_place_in_the_group_and_another_one_leaves() {
    for (member, leaves) in [(None, true), (Some("worker-0".to_owned()), false)] {
        let world = World::new();
        let mut run = Run::with(&world, Options { member: member.clone(), ..options() });
        run.settle();
        world.stop();
        assert_eq!(run.end(), Ok(()));
        let state = world.state();
        assert_eq!(state.bus.left, Some(leaves));
        let group = &state.bus.groups[0];
        let topics: Vec<_> = group.topics.iter().map(ToString::to_string).collect();
        assert_eq!(topics, ["tenant.commands.mail", "tenant.commands.probe"]);
        assert_eq!((group.id.as_str(), &group.member, group.resumes), ("local.workers", &member, true));
    }
}

#[test]
fn a_server_without_steps_or_with_a_step_twice_does_not_start() {
    let world = World::new();
    let ledger = SimLedger(world.clone());
    let empty = Server::new(
        SimBus(world.clone()),
        ledger.clone(),
        ledger,
        world.clone(),
        world.clone(),
        Options::new(Fleet::new("local")),
    );
    assert_eq!(Run::of(&world, empty).end(), Err(ServeError::NoSteps));
    let twice = server(&world, options()).with(Probe::<true>(world.clone()));
    let error = Run::of(&world, twice).end().unwrap_err();
    assert_eq!(error.code(), "step_twice");
    assert!(error.to_string().contains("mail.send"));
}
