//! Variants of the protocol that lack one rule: the search must find what goes wrong, by the shortest way.

use tenantry_contracts::Class;
use tenantry_saga::Plan;

use crate::core::Core;
use crate::plans;
use crate::rules::Rules;
use crate::search::{Found, explore};

const RESIDUE: &str = "something is live of a tenant that was undone";
const LACKS: &str = "a tenant is active and lacks something";

fn run(name: &'static str, plan: &'static Plan, rules: Rules) -> Found {
    explore(name, &Core::new(plan, Class::Business), &Rules { strict: false, ..rules })
}

#[test]
fn no_fence_at_all_leaves_residue() {
    let rules = Rules { worker_fence: false, resource_fence: false, ..Rules::sound() };
    run("no fence at all", plans::two(), rules).fails(RESIDUE, 11);
}

#[test]
fn a_fence_at_the_worker_alone_leaves_residue() {
    let rules = Rules { resource_fence: false, ..Rules::sound() };
    run("a fence at the worker alone", plans::two(), rules).fails(RESIDUE, 11);
}

#[test]
fn an_undo_that_finds_nothing_and_leaves_no_mark_lets_a_late_execute_back_in() {
    let rules = Rules { marks: false, ..Rules::sound() };
    run("no mark of an empty undo", plans::two(), rules).fails(RESIDUE, 11);
}

#[test]
fn a_failed_step_that_is_not_undone_leaves_residue() {
    let rules = Rules { undoes_failed: false, ..Rules::sound() };
    run("a failed step is not undone", plans::two(), rules).fails(RESIDUE, 5);
}

#[test]
fn a_refusal_without_an_undo_leaves_residue() {
    let rules = Rules { undoes_failed: false, timeouts: 0, ..Rules::sound() };
    run("a refusal without an undo", plans::reject(), rules).fails(RESIDUE, 5);
}

#[test]
fn an_execute_that_does_not_find_its_own_makes_it_twice() {
    let rules = Rules { finds_its_own: false, ..Rules::sound() };
    run("an execute that does not find its own", plans::two(), rules).fails("an effect is live twice", 4);
}

#[test]
fn tokens_that_begin_anew_with_each_saga_destroy_a_living_tenant() {
    let rules = Rules { lane_tokens: false, tenants: 2, ..Rules::sound() };
    run("tokens per saga, a name used again", plans::one(), rules).fails(LACKS, 17);
}

#[test]
fn two_coordinators_without_the_compare_and_set_fork_a_chain() {
    let rules = Rules { coordinators: 2, compare_and_set: false, timeouts: 2, ..Rules::sound() };
    run("no compare-and-set", plans::two(), rules).fails("a chain forked", 4);
}

#[test]
fn two_coordinators_without_the_compare_and_set_lose_a_resource() {
    let rules = Rules { coordinators: 2, compare_and_set: false, forks_count: false, ..Rules::sound() };
    run("no compare-and-set, forks ignored", plans::one(), rules).fails(LACKS, 12);
}
