//! What a person reads of a command: one log line with its names.
//!
//! Alone in its process: `tracing` remembers for the whole process who listens to which line, and tests that run
//! beside it without a listener would race with it.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "helpers of tests may unwrap, and this test uses a part of the world only"
)]

#[path = "../serve/world/mod.rs"]
mod world;

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::world::{Run, World, execute, tenant};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn a_command_ends_with_one_log_line_that_names_it() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
    let mut asked = execute(1, 7, &["ok"]);
    asked.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    tracing::subscriber::with_default(subscriber, || {
        let world = World::new();
        world.ask(0, &asked);
        Run::start(&world).until("it is answered", |world| world.answers().len() == 1);
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let of_step: Vec<_> = text.lines().filter(|line| line.contains("probe.make")).collect();
    assert_eq!(of_step.len(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(of_step[0]).unwrap();
    let span = &line["span"];
    assert_eq!(span["tenant"], tenant(1).to_string());
    assert_eq!(span["saga"], asked.question.saga.to_string());
    assert_eq!(span["correlation"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&span["step"], &span["verb"], &span["row"]),
        (&"probe.make".into(), &"execute".into(), &"row".into())
    );
    assert_eq!(span["token"], 7);
    assert_eq!(line["fields"]["outcome"], "succeeded");
    assert!(line["fields"]["duration_ms"].is_i64());
}
