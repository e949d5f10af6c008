//! The protocol as it is: nothing is ever violated, and everything comes to rest.

use tenantry_contracts::{Class, State};
use tenantry_saga::Plan;

use crate::core::Core;
use crate::plans;
use crate::rules::Rules;
use crate::search::{Found, explore};

fn run(name: &'static str, plan: &'static Plan, rules: &Rules) -> Found {
    explore(name, &Core::new(plan, Class::Business), rules)
}

const ENDS: &[State] = &[State::Active, State::RolledBack];

#[test]
fn two_steps() {
    let rules = Rules { timeouts: 3, errors: 2, ..Rules::sound() };
    run("two steps", plans::two(), &rules).holds(ENDS);
}

#[test]
fn two_steps_and_nothing_is_ever_dropped_from_the_bus() {
    let rules = Rules { prune: false, timeouts: 2, ..Rules::sound() };
    run("two steps, duplicates and late answers for ever", plans::two(), &rules).holds(ENDS);
}

#[test]
fn three_steps() {
    let rules = Rules { timeouts: 2, cancels: 1, ..Rules::sound() };
    run("three steps", plans::three(), &rules).holds(ENDS);
}

#[test]
fn a_parallel_branch() {
    let rules = Rules { cancels: 1, ..Rules::sound() };
    run("a parallel branch", plans::diamond(), &rules).holds(ENDS);
    let rules = Rules { errors: 2, handlers: 3, ..Rules::sound() };
    run("a parallel branch, three handlers", plans::diamond(), &rules).holds(ENDS);
}

#[test]
fn a_gate_that_is_approved_refused_or_forgotten() {
    let rules = Rules { timeouts: 2, cancels: 1, ..Rules::sound() };
    run("a gate", plans::gated(), &rules).holds(&[State::Active, State::RolledBack, State::Rejected]);
}

#[test]
fn a_gate_beside_a_step_and_a_retry_from_blocked_and_held() {
    let rules = Rules { retries: 1, cancels: 1, ..Rules::sound() };
    let ends = [State::Active, State::RolledBack, State::Blocked, State::Held];
    run("a gate beside a step, retry", plans::beside(), &rules).holds(&ends);
}

#[test]
fn a_cancel_while_running() {
    let rules = Rules { timeouts: 3, errors: 2, cancels: 1, ..Rules::sound() };
    run("a cancel while running", plans::two(), &rules).holds(ENDS);
}

#[test]
fn three_handlers_at_once() {
    let rules = Rules { handlers: 3, timeouts: 2, ..Rules::sound() };
    run("three handlers at once, two zombies", plans::one(), &rules).holds(ENDS);
    let rules = Rules { handlers: 3, timeouts: 2, ..Rules::sound() };
    run("three handlers at once, two steps", plans::two(), &rules).holds(ENDS);
}

#[test]
fn a_name_that_is_used_again() {
    let rules = Rules { tenants: 2, timeouts: 3, errors: 2, cancels: 1, ..Rules::sound() };
    run("a name used again", plans::two(), &rules).holds(ENDS);
    let rules = Rules { tenants: 3, timeouts: 2, errors: 2, ..Rules::sound() };
    run("a name used twice again", plans::one(), &rules).holds(ENDS);
}

#[test]
fn held_and_retried_or_cancelled() {
    let rules = Rules { timeouts: 2, retries: 2, cancels: 1, ..Rules::sound() };
    run("hold and retry", plans::hold(), &rules).holds(&[State::Active, State::RolledBack, State::Held]);
}

#[test]
fn a_step_that_is_asked_again_by_a_person() {
    let rules = Rules { timeouts: 1, reruns: 2, cancels: 1, ..Rules::sound() };
    run("a rerun while running", plans::two(), &rules).holds(ENDS);
    let rules = Rules { errors: 2, reruns: 1, retries: 1, ..Rules::sound() };
    run("a rerun while held", plans::hold(), &rules).holds(&[State::Active, State::Held]);
    let rules = Rules { errors: 0, timeouts: 0, reruns: 2, ..Rules::sound() };
    run("a rerun around a gate", plans::gated(), &rules).holds(&[State::Active, State::Rejected]);
}

#[test]
fn paused_or_held_for_the_law_and_released() {
    let rules = Rules { brakes: 1, cancels: 1, ..Rules::sound() };
    run("a brake", plans::two(), &rules).holds(ENDS);
    let rules = Rules { brakes: 2, timeouts: 0, undo_errors: 2, retries: 1, ..Rules::sound() };
    run("two brakes and a stuck undo", plans::two(), &rules).holds(&[State::RolledBack, State::Stuck]);
}

#[test]
fn dead_lettered_held_and_retried() {
    let rules = Rules { letters: 2, retries: 1, cancels: 1, errors: 0, ..Rules::sound() };
    let ends = [State::Active, State::RolledBack, State::Held, State::Stuck];
    run("dead letters", plans::two(), &rules).holds(&ends);
}

#[test]
fn an_undo_that_is_stuck_and_retried() {
    let rules = Rules { undo_errors: 2, retries: 1, timeouts: 1, ..Rules::sound() };
    run("a stuck undo and retry", plans::two(), &rules).holds(&[State::RolledBack, State::Stuck]);
    let rules = Rules { undo_errors: 2, retries: 1, timeouts: 0, ..Rules::sound() };
    run("a stuck undo in a branch", plans::diamond(), &rules).holds(&[State::RolledBack, State::Stuck]);
}

#[test]
fn a_person_chooses_after_failures_in_two_branches() {
    let rules = Rules { errors: 2, timeouts: 0, retries: 1, ..Rules::sound() };
    run("a choice after failures", plans::ask(), &rules).holds(&[
        State::Active,
        State::RolledBack,
        State::Awaiting,
    ]);
}

#[test]
fn a_refused_request_leaves_nothing() {
    run("a refused request", plans::reject(), &Rules { timeouts: 2, errors: 2, ..Rules::sound() }).holds(&[
        State::Active,
        State::RolledBack,
        State::Rejected,
    ]);
}

#[test]
fn a_step_that_only_degrades() {
    run("a step that only degrades", plans::degrade(), &Rules { timeouts: 2, errors: 2, ..Rules::sound() })
        .holds(ENDS);
}

#[test]
fn after_the_pivot_nothing_is_undone() {
    let rules = Rules { cancels: 1, retries: 1, ..Rules::sound() };
    run("a pivot, a wait, a branch beside", plans::pivoted(), &rules).holds(&[
        State::Active,
        State::RolledBack,
        State::Held,
    ]);
}

#[test]
fn two_coordinators_with_the_compare_and_set() {
    let rules = Rules { coordinators: 2, timeouts: 3, ..Rules::sound() };
    run("two coordinators", plans::two(), &rules).holds(ENDS);
    let rules = Rules { coordinators: 2, cancels: 1, ..Rules::sound() };
    run("two coordinators and a cancel", plans::two(), &rules).holds(ENDS);
    let rules = Rules { coordinators: 2, tenants: 2, ..Rules::sound() };
    run("two coordinators and a name used again", plans::one(), &rules).holds(ENDS);
}
