//! Records that cannot be handled.

use bytes::Bytes;
use tenantry_contracts::result::Said;
use tenantry_contracts::{Fleet, Json, Origin, Record, StepName, Topic, Verb, WorkerName};
use tenantry_serve::ServeError;

use crate::world::{Run, World, command, execute, options};

fn commands() -> Topic {
    Topic::Commands(WorkerName::new("probe"))
}

fn letters(world: &World) -> Vec<Record> {
    world.records(&Topic::DeadLetters(Box::new(commands())), 0)
}

fn origin(offset: i64) -> Origin {
    Origin { topic: "tenant.commands.probe".into(), partition: 1, offset }
}

#[test]
fn a_command_that_cannot_be_handled_gets_a_letter_and_its_question_an_answer() {
    let world = World::new();
    let asked = execute(1, 7, &["ok"]);
    let (mut headers, _) = asked.encode().unwrap();
    headers.push(("odd".into(), Bytes::from_static(&[0xff, 0])));
    let raw = Some(Bytes::from_static(b"ada@example.com"));
    let key = Some(Bytes::from_static(b"acme-1"));
    world.put(commands(), 1, key.clone(), headers.clone(), raw.clone());
    world.ask(1, &execute(2, 8, &["ok"]));
    let mut run = Run::start(&world);
    run.until("both are finished", |world| world.stored("probe", 1) == Some(2));

    let letter = letters(&world).remove(0);
    assert_eq!((&letter.key, &letter.value), (&key, &raw), "the raw bytes");
    assert_eq!(letter.headers[..headers.len()], headers, "its own headers, byte for byte");
    let header = |name: &str| letter.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("dlq_letter_id"), "tenant.commands.probe/1/0");
    assert_eq!(header("dlq_original_topic"), "tenant.commands.probe");
    assert_eq!(header("dlq_original_partition"), "1");
    assert_eq!(header("dlq_original_offset"), "0");
    assert_eq!(header("dlq_original_timestamp"), "1000");
    assert_eq!(header("dlq_consumer_group"), "local.workers");
    assert_eq!((header("dlq_class"), header("dlq_code")), ("validation".into(), "not_json".into()));
    assert!(!header("dlq_summary").is_empty() && !header("dlq_summary").contains("ada"));
    assert_eq!(header("dlq_worker_build"), options().build);
    assert_eq!(header("x-original-topic"), "tenant.commands.probe");
    assert_eq!(header("kafka_dlt-original-topic"), "tenant.commands.probe");
    let bytes = |name: &str| letter.headers.iter().find(|(have, _)| have == name).unwrap().1.clone();
    assert_eq!(bytes("kafka_dlt-original-partition")[..], [0, 0, 0, 1]);
    assert_eq!(bytes("kafka_dlt-original-offset")[..], [0; 8]);
    let read = tenantry_contracts::Letter::read(&letter).unwrap();
    assert_eq!((read.record.headers, read.record.value), (headers, raw), "it reads back as it was");

    assert_eq!(world.said(&asked), [Said::DeadLettered(origin(0))]);
    let said = world.noted("said");
    let at = |what: &str| said.iter().position(|entry| entry.starts_with(what) && entry.contains(":7"));
    assert!(at("said tenant.commands.probe.dlq") < at("said tenant.results"), "first the letter: {said:?}");
}

#[test]
fn a_record_that_cannot_name_its_question_gets_a_letter_only() {
    let world = World::new();
    world.put(commands(), 0, None, vec![], None);
    world.put(commands(), 0, None, vec![("token".into(), Bytes::from_static(b"x"))], Some("{}".into()));
    Run::start(&world).until("it is finished", |world| world.stored("probe", 0) == Some(2));
    assert_eq!(letters(&world).len(), 2);
    assert_eq!(world.answers(), []);
}

#[test]
fn what_is_not_for_this_worker_is_refused_with_its_code() {
    let mut fleet = execute(1, 1, &["ok"]);
    fleet.body.fleet = Fleet::new("other");
    let mut cell = execute(2, 2, &["ok"]);
    cell.body.cell = 3;
    let mut step = execute(3, 3, &["ok"]);
    step.body.step = StepName::new("probe.unknown");
    let mut input = execute(4, 4, &["ok"]);
    input.body.input = Json::of(&"not an object").unwrap();
    let mut made = command(5, Verb::Compensate, 5, &["ok"]);
    made.body.made = Some(Json::of(&"not a number").unwrap());
    let mut row = execute(6, 6, &["ok"]);
    row.question.row = tenantry_contracts::RowName::new("a\0b");
    let world = World::new();
    let all = [fleet, cell, step, input, made, row];
    for command in &all {
        world.ask(1, command);
    }
    Run::start(&world).until("all are finished", |world| world.stored("probe", 1) == Some(6));
    let mut codes: Vec<_> = letters(&world)
        .iter()
        .map(|letter| {
            (
                letter.header("dlq_original_offset").unwrap().to_owned(),
                letter.header("dlq_code").unwrap().to_owned(),
            )
        })
        .collect();
    codes.sort();
    let codes: Vec<_> = codes.iter().map(|(_, code)| code.as_str()).collect();
    let misconfigured = "misconfigured";
    assert_eq!(
        codes,
        [misconfigured, misconfigured, misconfigured, "field_invalid", "output_invalid", "envelope_invalid"]
    );
    for (offset, command) in all.iter().enumerate() {
        assert_eq!(world.said(command), [Said::DeadLettered(origin(offset as i64))]);
    }
    assert_eq!(world.noted("execute"), [""; 0]);
}

#[test]
fn a_step_of_another_worker_on_this_topic_is_poison() {
    let world = World::new();
    let (headers, value) = crate::world::once(1, 1, &["ok"]).encode().unwrap();
    world.put(commands(), 0, Some("acme-1".into()), headers, Some(value));
    Run::start(&world).until("it is finished", |world| world.stored("probe", 0) == Some(1));
    assert_eq!(letters(&world).len(), 1);
    assert_eq!(world.noted("execute"), [""; 0]);
}

#[test]
fn too_many_dead_letters_in_a_row_stop_the_server_before_the_next_one() {
    let world = World::new();
    for _ in 0..20 {
        world.put(commands(), 0, None, vec![], Some("nonsense".into()));
    }
    let mut options = options();
    options.limits.dead_letters = 6;
    let mut run = Run::with(&world, options);
    let error = run.end().unwrap_err();
    assert!(matches!(&error, ServeError::DeadLetterLimit { letters: 6, .. }), "{error}");
    assert_eq!(error.code(), "dead_letter_limit");
    assert_eq!(letters(&world).len(), 6);
    assert!(world.stored("probe", 0).unwrap_or(0) <= 6, "the others are still to be heard");
}

#[test]
fn good_commands_between_them_keep_dead_letters_below_the_limit() {
    let world = World::new();
    for number in 0..20 {
        world.put(commands(), 0, Some("acme-1".into()), vec![], Some("nonsense".into()));
        world.ask(0, &execute(1, number, &["ok"]));
    }
    let mut options = options();
    options.limits.dead_letters = 1;
    Run::with(&world, options).until("all are finished", |world| world.stored("probe", 0) == Some(40));
    assert_eq!(letters(&world).len(), 20);
}
