//! Tests of the whole: the house rules, and the fleet on real servers, as processes that are really killed.

pub mod harness;
