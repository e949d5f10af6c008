//! What happened, line by line: hashed as it is written, so that two runs can be compared, with the last lines kept.

use std::collections::VecDeque;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The trace of one run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: u64,
    kept: VecDeque<String>,
    keep: usize,
}

impl Trace {
    /// A trace that keeps its last `keep` lines.
    pub fn new(keep: usize) -> Self {
        Self { hash: OFFSET, lines: 0, kept: VecDeque::new(), keep }
    }

    /// Adds a line.
    pub fn add(&mut self, line: String) {
        // FNV-1a: fast where nothing is optimised, and the same on every machine and compiler.
        for byte in line.as_bytes().iter().chain(b"\n") {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
        self.lines += 1;
        if self.keep == 0 {
            return;
        }
        if self.kept.len() == self.keep {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }

    /// The hash over all lines so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines there were.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    pub fn last(&self) -> Vec<String> {
        self.kept.iter().cloned().collect()
    }
}
