//! Tests of the whole: the house rules, and the fleet on real servers.
