//! What a step says, and what is answered.

use std::sync::Arc;

use tenantry_contracts::result::{Failure, Said};
use tenantry_contracts::sealed::Place;
use tenantry_contracts::{Class, Code, DataKey, Fleet, Json, Time, Verb};
use tenantry_ports::Clock;

use crate::world::{Input, Run, World, command, execute, tenant};

fn said_to(script: &[&str]) -> (World, Said) {
    let world = World::new();
    let asked = execute(1, 7, script);
    world.ask(0, &asked);
    Run::start(&world).until("it is answered", |world| !world.said(&asked).is_empty());
    let said = world.said(&asked).remove(0);
    (world, said)
}

#[test]
fn a_no_is_answered_with_its_code_class_and_place() {
    let (world, said) = said_to(&["no"]);
    let Said::Failed(Failure { code, class, pointer, message }) = said else { panic!("{said:?}") };
    assert_eq!((code, class, pointer.as_deref()), (Code::OwnedByOther, Class::Conflict, Some("/name")));
    assert_eq!(message, "it is not ours");
    assert_eq!(world.noted("execute").len(), 1, "a no is not tried again");
}

#[test]
fn what_shakes_is_tried_again_inside_its_deadline() {
    let (world, said) = said_to(&["shaky", "shaky", "shaky", "ok"]);
    assert_eq!(said, Said::Succeeded(Json::of(&1).unwrap()));
    assert_eq!(world.noted("execute").len(), 4);
    assert!(world.state().now < 61_000);
}

#[test]
fn what_shakes_until_the_deadline_is_exhausted() {
    let (world, said) = said_to(&["shaky"]);
    let Said::Failed(failure) = said else { panic!("{said:?}") };
    assert_eq!((failure.code, failure.class), (Code::Exhausted, Class::Exhausted));
    assert!(failure.message.contains("connection reset"));
    assert!(
        world.state().now < 61_000,
        "no try may begin after the deadline, so the answer does not wait for it"
    );
}

#[test]
fn not_yet_says_when_to_ask_again() {
    assert_eq!(said_to(&["not-yet"]).1, Said::NotYet(250));
}

#[test]
fn a_panic_is_a_bug_and_its_text_is_not_told() {
    let (world, said) = said_to(&["panic"]);
    let Said::Failed(failure) = said else { panic!("{said:?}") };
    assert_eq!((failure.code, failure.class), (Code::Bug, Class::Bug));
    assert!(!failure.message.contains("secret"));
    assert_eq!(world.stored("probe", 0), Some(1));
}

#[test]
fn a_provider_that_knows_better_keeps_the_worker_silent() {
    let world = World::new();
    world.ask(0, &execute(1, 7, &["superseded"]));
    Run::start(&world).until("it is finished", |world| world.stored("probe", 0) == Some(1));
    assert_eq!(world.answers(), []);
}

#[test]
fn a_question_whose_deadline_has_passed_is_expired_and_nothing_begins() {
    let world = World::new();
    let mut late = execute(1, 7, &["ok"]);
    late.deadline = Time(world.now().0);
    world.ask(0, &late);
    let mut undo = command(2, Verb::Compensate, 7, &["ok"]);
    undo.deadline = Time(5);
    world.ask(0, &undo);
    Run::start(&world).until("both are answered", |world| world.answers().len() == 2);
    assert_eq!((world.said(&late), world.said(&undo)), (vec![Said::Expired], vec![Said::Expired]));
    assert!(world.noted("execute").is_empty() && world.noted("compensate").is_empty());
    assert!(world.noted("marked").is_empty());
}

#[test]
fn a_step_that_overruns_its_deadline_is_not_cut_off() {
    let (world, said) = said_to(&["overrun"]);
    assert_eq!(said, Said::Succeeded(Json::of(&1).unwrap()));
    assert_eq!(world.noted("ended execute").len(), 1);
    assert_eq!(world.state().now, 66_000);
}

#[test]
fn an_output_that_cannot_be_said_is_a_bug_of_the_step() {
    let world = World::new();
    let asked = execute(1, 7, &["ok"]);
    world.ask(0, &asked);
    let mut options = crate::world::options();
    options.limits.output_bytes = 0;
    Run::with(&world, options).until("it is answered", |world| world.answers().len() == 1);
    assert!(matches!(&world.said(&asked)[0], Said::Failed(Failure { code: Code::OutputInvalid, .. })));
}

#[test]
fn an_undo_hears_what_execute_had_made_if_anything() {
    let world = World::new();
    let mut undo = command(1, Verb::Compensate, 7, &["ok"]);
    undo.body.made = Some(Json::of(&41).unwrap());
    world.ask(0, &undo);
    world.ask(0, &command(2, Verb::Compensate, 8, &["ok"]));
    Run::start(&world).until("both are answered", |world| world.answers().len() == 2);
    let mut made = world.noted("made");
    made.sort();
    assert_eq!(made, ["made None", "made Some(41)"]);
}

#[test]
fn a_sealed_value_opens_with_the_tenants_key_which_is_read_once() {
    let world = World::new();
    let (fleet, key) = (Fleet::new("local"), [7; 32]);
    world.state().store.keys.insert(tenant(1), key);
    let place = Place { fleet: &fleet, tenant: tenant(1), field: "email" };
    let sealed = DataKey::new(key).seal(&place, "ada@example.com", [1; 12]);
    let input = Json::of(&Input { script: vec!["open".into()], sealed: Some(sealed.clone()) }).unwrap();
    for token in [7, 8] {
        let mut asked = execute(1, token, &[]);
        asked.body.input = input.clone();
        world.ask(0, &asked);
    }
    let mut gone = execute(2, 9, &[]);
    gone.body.input = input;
    world.ask(0, &gone);
    Run::start(&world).until("all are answered", |world| world.answers().len() == 3);
    assert_eq!(world.noted("opened"), ["opened ada@example.com"; 2]);
    assert_eq!(world.noted(&format!("key {}", tenant(1))).len(), 1);
    assert!(matches!(&world.said(&gone)[0], Said::Failed(Failure { code: Code::Misconfigured, .. })));
}

#[test]
fn a_point_that_is_armed_is_felt_by_the_step() {
    struct Armed;
    impl tenantry_step::Points for Armed {
        fn at(&self, _: &tenantry_step::Cx, name: &'static str) -> tenantry_step::Point {
            tenantry_step::Point::Trouble(tenantry_step::Trouble::no(Code::FaultInjected, Class::Bug, name))
        }
    }
    let world = World::new();
    let asked = execute(1, 7, &["point"]);
    world.ask(0, &asked);
    let mut run =
        Run::of(&world, crate::world::server(&world, crate::world::options()).points(Arc::new(Armed)));
    run.until("it is answered", |world| world.answers().len() == 1);
    assert!(matches!(&world.said(&asked)[0], Said::Failed(Failure { code: Code::FaultInjected, .. })));
}
