//! What is down: the ledger, a dependency of a step, Kafka.

use std::collections::BTreeSet;

use tenantry_contracts::Verb;
use tenantry_contracts::result::Said;
use tenantry_serve::ServeError;

use crate::world::{Run, Sent, World, command, execute, options, place, tenant};

#[test]
fn a_ledger_that_is_down_pauses_the_partitions_and_loses_nothing() {
    let world = World::new();
    world.ask(0, &execute(9, 1, &["hold"]));
    let mut run = Run::start(&world);
    run.settle();
    world.state().store.down = true;
    for number in 1..5 {
        world.ask((number % 2) as u16, &execute(number, 10, &["ok"]));
        world.ask((number % 2) as u16, &command(number, Verb::Compensate, 11, &["ok"]));
    }
    run.pass(2_000);
    assert_eq!(world.state().bus.paused.len(), 4, "everything is paused");
    world.release(tenant(9));
    run.until("what ran before is finished and answered", |world| world.answers().len() == 1);
    run.pass(20_000);
    assert_eq!(world.answers().len(), 1);
    world.state().store.down = false;
    run.until("everything is answered", |world| world.answers().len() == 9);
    run.settle();
    assert!(world.state().bus.paused.is_empty());
    assert!(world.answers().iter().all(|(_, said)| matches!(said, Said::Succeeded(_))));
    assert!(world.state().bus.topics.keys().all(|place| !place.topic.name().ends_with(".dlq")));
}

#[test]
fn an_answer_that_must_be_remembered_waits_for_the_ledger() {
    let world = World::new();
    let asked = crate::world::once(1, 7, &["hold"]);
    world.ask(0, &asked);
    let mut run = Run::start(&world);
    run.until("it began", |world| !world.noted("execute").is_empty());
    world.state().store.down = true;
    world.release(tenant(1));
    run.pass(100_000);
    assert_eq!(world.answers(), []);
    world.state().store.down = false;
    run.until("it is answered", |world| world.said(&asked).len() == 1);
    assert!(matches!(world.said(&asked)[0], Said::Succeeded(_)), "done is done, however late");
}

#[test]
fn a_dependency_that_is_down_pauses_its_worker_until_a_probe_is_answered() {
    let world = World::new();
    world.state().steps.down = true;
    let mut options = options();
    options.limits.breaker_after = 3;
    let mut run = Run::with(&world, options);
    for number in 0..3 {
        world.ask(0, &execute(number, 10, &["ok"]));
    }
    run.until("three are exhausted", |world| world.answers().len() == 3);
    run.settle();
    let paused = |world: &World| world.state().bus.paused.clone();
    assert!(paused(&world).contains(&place("probe", 0)) && paused(&world).contains(&place("probe", 1)));
    assert!(!paused(&world).contains(&place("mail", 0)), "only the worker whose dependency is down");
    let tries = world.noted("execute").len();
    for number in 3..40 {
        let mut asked = execute(number, 10, &["ok"]);
        asked.deadline = tenantry_contracts::Time(1_000_000);
        world.ask(0, &asked);
    }
    // The pause ends, one command probes; it shakes for as long as the dependency is down.
    run.pass(100_000);
    let probed: BTreeSet<_> = world.noted("execute").split_off(tries).into_iter().collect();
    assert_eq!(probed.len(), 1, "one command at a time");
    world.state().steps.down = false;
    run.until("everything is answered", |world| world.answers().len() == 40);
    run.settle();
    assert!(paused(&world).is_empty());
}

#[test]
fn a_fatal_producer_is_replaced_and_what_it_had_is_said_again() {
    for persisted in [false, true] {
        let world = World::new();
        world.state().bus.fates.extend([Sent::Silent, Sent::Fatal { persisted }]);
        let asked: Vec<_> = (1..4).map(|number| execute(number, 10, &["ok"])).collect();
        for asked in &asked {
            world.ask(0, asked);
        }
        let mut run = Run::start(&world);
        run.until("all are finished", |world| world.stored("probe", 0) == Some(3));
        assert_eq!(world.state().bus.producers, 2);
        for asked in &asked {
            let said = world.said(asked);
            assert!(!said.is_empty() && said.iter().all(|again| *again == said[0]), "{said:?}");
        }
        assert_eq!(world.noted("execute").len(), 3, "said again, not done again");
    }
}

#[test]
fn what_kafka_refuses_for_good_is_kept_and_said_later_while_others_go_on() {
    for fate in [Sent::NotPersisted, Sent::Never] {
        let world = World::new();
        world.state().bus.fates.extend([fate, Sent::Acked, fate, fate]);
        for number in 1..4 {
            world.ask(0, &execute(number, 10, &["ok"]));
        }
        let mut run = Run::start(&world);
        run.until("all are finished", |world| world.stored("probe", 0) == Some(3));
        let answered: BTreeSet<_> = world.answers().into_iter().map(|(question, _)| question).collect();
        assert_eq!(answered.len(), 3);
    }
}

#[test]
fn a_full_queue_is_waited_for() {
    let world = World::new();
    world.state().bus.fates.extend([Sent::Full, Sent::Full, Sent::Acked, Sent::Full]);
    for number in 1..9 {
        world.ask(0, &execute(number, 10, &["ok"]));
    }
    Run::start(&world).until("all are finished", |world| world.stored("probe", 0) == Some(8));
    assert_eq!(world.answers().len(), 8);
    assert_eq!(world.state().bus.producers, 1);
}

#[test]
fn a_lost_consumer_is_replaced_and_the_unfinished_is_heard_again() {
    let world = World::new();
    world.ask(0, &execute(1, 10, &["hold"]));
    world.ask(0, &execute(2, 10, &["ok"]));
    let mut run = Run::start(&world);
    run.until("the second is answered", |world| world.answers().len() == 1);
    world.state().bus.lose();
    run.until("a new consumer came", |world| world.state().bus.consumers == 2);
    world.release(tenant(1));
    run.until("all are finished", |world| world.stored("probe", 0) == Some(2));
}

#[test]
fn a_pause_that_outlives_a_rebalance_is_lifted() {
    let world = World::new();
    world.state().store.down = true;
    world.ask(0, &execute(1, 10, &["ok"]));
    let mut run = Run::start(&world);
    run.pass(1_000);
    assert!(world.state().bus.paused.contains(&place("probe", 0)));
    world.state().bus.revoke(&[place("probe", 0)]);
    run.settle();
    world.state().store.down = false;
    run.until("the ledger is back", |world| !world.state().bus.paused.contains(&place("probe", 1)));
    world.state().bus.assign(&[place("probe", 0)]);
    run.until("it is finished", |world| world.stored("probe", 0) == Some(1));
}

#[test]
fn what_waits_does_not_begin_after_the_consumer_was_lost() {
    let world = World::new();
    let mut options = options();
    options.concurrency = 1;
    world.ask(0, &execute(1, 10, &["hold"]));
    world.ask(0, &execute(2, 10, &["ok"]));
    let mut run = Run::with(&world, options);
    run.settle();
    world.state().bus.lose();
    world.state().bus.refuse_open = 2;
    run.settle();
    world.release(tenant(1));
    run.settle();
    assert_eq!((world.answers().len(), world.noted("execute acme-2").len()), (1, 0));
    run.until("all are finished", |world| world.stored("probe", 0) == Some(2));
}

#[test]
fn a_bus_that_refuses_again_and_again_ends_the_server_with_the_reason() {
    let world = World::new();
    world.state().bus.refuse_open = 3;
    Run::start(&world).until("it opens at last", |world| world.state().bus.consumers == 1);
    let world = World::new();
    world.state().bus.refuse_open = u32::MAX;
    let error = Run::start(&world).end().unwrap_err();
    assert!(
        matches!(&error, ServeError::Bus { tries: 10, reason, .. } if reason == "not authorized"),
        "{error}"
    );
    assert_eq!(error.code(), "bus_refused");
}
