//! Who may act: fences, marks, and answers that are remembered.

use tenantry_contracts::result::Said;
use tenantry_contracts::{Json, Token, Verb};
use tenantry_step::Observed;

use crate::world::{Run, World, command, execute, once, tenant};

fn fence(number: u128) -> String {
    format!("probe/{}", tenant(number))
}

#[test]
fn a_first_execute_only_reads_its_fence() {
    let world = World::new();
    world.ask(0, &execute(1, 7, &["ok"]));
    Run::start(&world).until("it is answered", |world| world.answers().len() == 1);
    assert_eq!(world.noted("read"), [format!("read {}", fence(1))]);
    assert_eq!(world.noted("marked"), [""; 0]);
}

#[test]
fn nothing_that_must_be_marked_acts_before_its_mark_is_durable() {
    let undo = command(1, Verb::Compensate, 7, &["ok"]);
    let mut changed = execute(1, 7, &["ok"]);
    changed.body.supersedes = true;
    for command in [undo, changed, once(1, 7, &["ok"])] {
        let world = World::new();
        world.state().store.down = true;
        let offset = world.ask(0, &command);
        let mut run = Run::start(&world);
        run.pass(10_000);
        let acted = |world: &World| world.journal().iter().position(|entry| entry.ends_with("acme-1 7"));
        assert_eq!(acted(&world), None, "it acted while the ledger was down");
        world.state().store.down = false;
        run.until("it is answered", |world| world.said(&command).len() == 1);
        let marked = format!("marked {}=7", fence(1));
        let marked = world.journal().iter().position(|entry| *entry == marked);
        assert!(marked.is_some() && marked < acted(&world), "{:#?}", world.journal());
        assert_eq!(offset, 0);
    }
}

#[test]
fn a_late_execute_after_an_undo_is_silent_and_finished() {
    let world = World::new();
    world.ask(0, &command(1, Verb::Compensate, 8, &["ok"]));
    world.ask(0, &execute(1, 7, &["ok"]));
    let mut run = Run::start(&world);
    let worker = "probe";
    run.until("both are finished", |world| world.stored(worker, 0) == Some(2));
    assert_eq!(world.noted("execute"), [""; 0]);
    assert_eq!(world.answers().len(), 1);
    assert_eq!(world.state().store.fences[&fence(1)], Token(8));
}

#[test]
fn a_late_undo_after_a_newer_question_is_silent() {
    let world = World::new();
    world.state().store.fences.insert(fence(1), Token(9));
    world.ask(0, &command(1, Verb::Compensate, 8, &["ok"]));
    let mut run = Run::start(&world);
    run.until("it is finished", |world| world.stored("probe", 0) == Some(1));
    assert_eq!(world.noted("compensate"), [""; 0]);
    assert_eq!(world.answers(), []);
}

#[test]
fn the_same_question_again_is_answered_again() {
    let world = World::new();
    let undo = command(1, Verb::Compensate, 8, &["ok"]);
    world.ask(0, &undo);
    world.ask(0, &undo);
    let mut run = Run::start(&world);
    run.until("both are finished", |world| world.stored("probe", 0) == Some(2));
    assert_eq!(
        world.said(&undo),
        [Said::Succeeded(Json::of(&()).unwrap()), Said::Succeeded(Json::of(&()).unwrap())]
    );
}

#[test]
fn a_step_that_another_process_undid_between_two_tries_stays_silent() {
    let world = World::new();
    world.ask(0, &execute(1, 7, &["overtaken", "ok"]));
    let mut run = Run::start(&world);
    run.until("it is finished", |world| world.stored("probe", 0) == Some(1));
    assert_eq!(world.noted("execute").len(), 1);
    assert_eq!(world.answers(), []);
}

#[test]
fn observing_needs_no_fence_and_carries_what_was_seen() {
    let world = World::new();
    world.state().store.fences.insert(fence(1), Token(9));
    let observe = command(1, Verb::Observe, 2, &["ok"]);
    world.ask(0, &observe);
    Run::start(&world).until("it is answered", |world| world.answers().len() == 1);
    assert_eq!(world.said(&observe), [Said::Succeeded(Json::of(&Observed::Absent).unwrap())]);
    assert!(world.noted("read").is_empty() && world.noted("marked").is_empty());
}

#[test]
fn what_is_done_once_says_the_same_answer_to_the_same_question_even_after_its_deadline() {
    let world = World::new();
    let first = once(1, 7, &["ok"]);
    world.ask(0, &first);
    let mut run = Run::start(&world);
    run.until("it is answered", |world| world.said(&first).len() == 1);
    run.pass(120_000);
    world.ask(0, &first);
    run.until("it is answered again", |world| world.said(&first).len() == 2);
    assert_eq!(world.noted("execute").len(), 1);
    assert_eq!(
        world.said(&first),
        [Said::Succeeded(Json::of(&1).unwrap()), Said::Succeeded(Json::of(&1).unwrap())]
    );
    let journal = world.journal();
    let at = |start: &str| journal.iter().position(|entry| entry.starts_with(start));
    assert!(
        at("remembered") < at("said tenant.results"),
        "the answer is durable before it is said: {journal:#?}"
    );
}

#[test]
fn a_newer_question_to_what_is_done_once_is_a_new_question() {
    let world = World::new();
    let mut again = once(1, 8, &["ok"]);
    again.body.supersedes = true;
    world.ask(0, &once(1, 7, &["ok"]));
    world.ask(0, &again);
    Run::start(&world).until("both are answered", |world| world.answers().len() == 2);
    assert_eq!(world.noted("execute"), ["execute acme-1 7", "execute acme-1 8"]);
}

#[test]
fn not_yet_is_not_remembered_and_a_no_is() {
    let world = World::new();
    let first = once(1, 7, &["not-yet", "no"]);
    world.ask(0, &first);
    world.ask(0, &first);
    world.ask(0, &first);
    Run::start(&world).until("all are answered", |world| world.said(&first).len() == 3);
    let said = world.said(&first);
    assert_eq!(said[0], Said::NotYet(250));
    assert!(matches!(&said[1], Said::Failed(_)) && said[1] == said[2], "{said:?}");
    assert_eq!(world.noted("execute").len(), 2);
}

#[test]
fn reads_of_many_commands_share_one_call() {
    let world = World::new();
    for number in 0..32 {
        world.ask((number % 2) as u16, &execute(number, number as i64, &["ok"]));
    }
    Run::start(&world).until("all are answered", |world| world.answers().len() == 32);
    let calls = world.noted("read").len();
    assert!(calls <= 12, "{calls} calls for 32 commands");
}
