//! What a server is told, and why it may give up.

use tenantry_contracts::{Code, Fleet, StepName};

/// What a server is told. All fields may be set; [`Options::new`] has the usual values.
#[derive(Clone, Debug)]
pub struct Options {
    /// The installation. Commands of another one go to the dead letters.
    pub fleet: Fleet,
    /// The cell that is served.
    pub cell: u16,
    /// The consumer group's whole id; carries the fleet.
    pub group: String,
    /// A static member id that is stable across restarts. With one, a stop does not leave the group.
    pub member: Option<String>,
    /// How many commands run at a time.
    pub concurrency: usize,
    /// The build, for dead letters: which program could not handle the record.
    pub build: String,
    /// Times and sizes.
    pub limits: Limits,
}

impl Options {
    /// The usual options of a fleet: group `<fleet>.workers`, cell 0, 64 commands at a time.
    pub fn new(fleet: Fleet) -> Self {
        Self {
            group: format!("{fleet}.workers"),
            fleet,
            cell: 0,
            member: None,
            concurrency: 64,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            limits: Limits::default(),
        }
    }
}

/// Times (in milliseconds) and sizes that bound the server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest time that one try of a step is given.
    pub try_ms: i64,
    /// The first and the longest pause between tries of a shaky step.
    pub retry_ms: (u64, u64),
    /// The first and the longest pause before a store or a bus that is down is asked again.
    pub outage_ms: (u64, u64),
    /// How often in a row a consumer or producer may fail to open before the server gives up.
    pub open_tries: u32,
    /// How long a stop waits for what runs.
    pub drain_ms: i64,
    /// How many dead letters may follow each other without one good command in between.
    pub dead_letters: u32,
    /// After how many exhausted commands in a row a worker is paused.
    pub breaker_after: u32,
    /// The first and the longest pause of a worker before it is probed with one command.
    pub probe_ms: (u64, u64),
    /// How far one partition is heard beyond its first unfinished record, in offsets.
    pub lookahead: i64,
    /// The most bytes of a step's output.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            try_ms: 60_000,
            retry_ms: (100, 10_000),
            outage_ms: (50, 5_000),
            open_tries: 10,
            drain_ms: 10_000,
            dead_letters: 50,
            breaker_after: 5,
            probe_ms: (1_000, 60_000),
            lookahead: 10_000,
            output_bytes: 512 << 10,
        }
    }
}

/// Why a server gave up. The process should exit; its supervisor starts it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// No step was given.
    #[error("no_steps: this server was given no step to serve; name at least one worker")]
    NoSteps,
    /// A step was given twice.
    #[error("step_twice: step {0} was given twice; each step belongs to exactly one worker")]
    StepTwice(StepName),
    /// The bus refused again and again.
    #[error(
        "bus_refused: opening the {what} failed {tries} times; check brokers, topics and rights: {reason}"
    )]
    Bus {
        /// `consumer` or `producer`.
        what: &'static str,
        /// How often in a row.
        tries: u32,
        /// What the bus said last.
        reason: String,
    },
    /// One dead letter after the other: the program is wrong, not the records.
    #[error(
        "dead_letter_limit: {letters} records in a row went to the dead letters (last {last}: {summary}); \
         is this the right build for these commands? Nothing more was taken from the topic"
    )]
    DeadLetterLimit {
        /// How many letters were written in a row.
        letters: u32,
        /// The code of the record that would have been the next one.
        last: Code,
        /// What was wrong with it.
        summary: String,
    },
}

impl ServeError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSteps => "no_steps",
            Self::StepTwice(_) => "step_twice",
            Self::Bus { .. } => "bus_refused",
            Self::DeadLetterLimit { .. } => "dead_letter_limit",
        }
    }
}
