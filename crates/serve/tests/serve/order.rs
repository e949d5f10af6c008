//! Order per tenant, offsets, rebalances.

use tenantry_ports::Place;

use crate::world::{Run, World, execute, place, tenant};

#[test]
fn commands_of_one_tenant_run_in_order_while_another_tenant_overtakes() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold"]));
    world.ask(0, &execute(1, 2, &["ok"]));
    world.ask(0, &execute(2, 3, &["ok"]));
    let mut run = Run::start(&world);
    run.until("the other tenant overtakes", |world| !world.said(&execute(2, 3, &["ok"])).is_empty());
    assert_eq!(world.noted("execute acme-1"), ["execute acme-1 1"], "the second waits for the first");
    world.release(tenant(1));
    run.until("both are answered", |world| world.answers().len() == 3);
    let order: Vec<_> = world.answers().into_iter().map(|(question, _)| question.token.0).collect();
    assert_eq!(order, [3, 1, 2]);
}

#[test]
fn what_is_stored_never_passes_unfinished_work() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold"]));
    for number in 2..8 {
        world.ask(0, &execute(number, 5, &["ok"]));
    }
    let mut run = Run::start(&world);
    run.until("the others are answered", |world| world.answers().len() == 6);
    run.pass(1_000);
    assert_eq!(world.stored("probe", 0), None, "the first command is not finished");
    world.release(tenant(1));
    run.until("all are finished", |world| world.stored("probe", 0) == Some(7));
}

#[test]
fn an_offset_is_stored_only_after_the_answer_is_acknowledged() {
    let world = World::new();
    world.state().bus.fates.push_back(crate::world::Sent::Silent);
    world.ask(1, &execute(1, 1, &["ok"]));
    let mut run = Run::start(&world);
    run.until("it is said", |world| world.answers().len() == 1);
    run.pass(60_000);
    assert_eq!(world.stored("probe", 1), None, "nobody acknowledged it");
}

#[test]
fn an_answer_goes_out_on_the_partition_of_its_question_with_the_slug_as_key() {
    let world = World::new();
    let mut command = execute(3, 1, &["ok"]);
    command.traceparent = Some("00-aa-bb-01".into());
    world.ask(1, &command);
    Run::start(&world).until("it is answered", |world| world.answers().len() == 1);
    let said = world.records(&tenantry_contracts::Topic::Results, 1).remove(0);
    assert_eq!(said.key.as_deref(), Some(&b"acme-3"[..]));
    assert_eq!(said.header("id"), Some(command.question.id().as_str()));
    assert_eq!(said.header("traceparent"), Some("00-aa-bb-01"));
    assert!(said.headers.len() <= 8);
}

#[test]
fn a_partition_that_was_revoked_stores_nothing_and_its_waiting_commands_do_not_begin() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold"]));
    world.ask(0, &execute(1, 2, &["ok"]));
    let mut run = Run::start(&world);
    run.settle();
    world.state().bus.revoke(&[place("probe", 0)]);
    run.settle();
    world.release(tenant(1));
    run.until("what ran is answered", |world| world.answers().len() == 1);
    run.pass(1_000);
    assert_eq!(world.stored("probe", 0), None);
    assert_eq!(world.noted("execute"), ["execute acme-1 1"]);
}

#[test]
fn a_partition_that_comes_back_is_heard_again_and_finished_under_the_new_assignment() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold"]));
    let mut run = Run::start(&world);
    run.settle();
    let places: Vec<Place> = vec![place("probe", 0)];
    world.state().bus.revoke(&places);
    run.settle();
    world.state().bus.assign(&places);
    run.settle();
    world.release(tenant(1));
    run.until("it is finished", |world| world.stored("probe", 0) == Some(1));
    assert_eq!(world.noted("execute").len(), 2, "it ran again, after the first run had ended");
}

#[test]
fn what_ran_under_an_older_assignment_stores_nothing_under_the_new_one() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold", "forever"]));
    let mut run = Run::start(&world);
    run.settle();
    world.state().bus.revoke(&[place("probe", 0)]);
    world.state().bus.assign(&[place("probe", 0)]);
    run.settle();
    world.release(tenant(1));
    run.until("the first run is answered", |world| world.answers().len() == 1);
    run.pass(1_000);
    assert_eq!(world.noted("execute").len(), 2);
    assert_eq!(world.stored("probe", 0), None);
}

#[test]
fn a_flood_pauses_the_partitions_and_everything_is_answered_in_the_end() {
    let world = World::new();
    for number in 0..200 {
        world.ask((number % 2) as u16, &execute(number % 20, number as i64, &["slow"]));
    }
    let mut options = crate::world::options();
    options.concurrency = 4;
    let mut run = Run::with(&world, options);
    run.settle();
    assert!(world.state().bus.paused.contains(&place("probe", 0)));
    run.until("everything is answered", |world| world.answers().len() == 200);
    run.settle();
    assert!(world.state().bus.paused.is_empty());
    assert_eq!((world.stored("probe", 0), world.stored("probe", 1)), (Some(100), Some(100)));
}

#[test]
fn a_partition_is_not_heard_without_end_beyond_a_command_that_hangs() {
    let world = World::new();
    world.ask(0, &execute(1, 1, &["hold"]));
    for number in 0..100 {
        world.ask(0, &execute(2 + number % 3, 10 + number as i64, &["ok"]));
    }
    let mut options = crate::world::options();
    options.limits.lookahead = 20;
    let mut run = Run::with(&world, options);
    run.settle();
    assert!((19..24).contains(&world.answers().len()), "{}", world.answers().len());
    world.release(tenant(1));
    run.until("everything is finished", |world| world.stored("probe", 0) == Some(101));
}
