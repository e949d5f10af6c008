//! What every store and ledger must do: the seeded one and PostgreSQL.
//!
//! Each function is one promise. It uses lanes, tenants and names of its own, so they may run in any order, one at a
//! time or together, on one store.

mod claims;
mod history;
mod lanes;
mod ledger;
mod make;

use std::future::Future;

use tenantry_contracts::Lane;

use crate::{Ledger, Store};

pub use claims::{
    a_key_that_is_destroyed_is_gone, a_request_id_is_decided_once, a_slug_has_one_holder,
    a_slug_is_freed_and_claimed_in_one_batch, a_tenant_id_belongs_to_one_lane,
};
pub use history::{
    a_lagging_tenant_row_hides_no_row, a_tenant_at_rest_is_read_with_all_its_rows,
    load_finds_exactly_the_tenants_not_at_rest, rows_above_spoken_are_found_in_order,
    what_is_not_there_is_not_found,
};
pub use lanes::{
    a_commit_is_read_back_as_it_was_written, a_commit_that_is_repeated_counts_once,
    a_take_over_is_counted_until_a_commit, a_wrong_number_writes_nothing, an_old_owner_writes_nothing,
    other_lanes_of_a_batch_still_commit,
};
pub use ledger::{a_mark_only_rises, the_first_answer_stands, what_was_never_written_is_not_there};

/// What the suite needs of the implementation under test. It must not lose answers on purpose.
pub trait StoreWorld {
    /// The store.
    type Store: Store;
    /// The ledger.
    type Ledger: Ledger;

    /// A store as another process would have it: all of them see the same rows.
    fn store(&self) -> impl Future<Output = Self::Store>;

    /// A ledger as another process would have it.
    fn ledger(&self) -> impl Future<Output = Self::Ledger>;

    /// A lane that nobody used before.
    fn lane(&self) -> Lane;
}

/// Every promise, one after the other.
pub async fn all<W: StoreWorld>(world: &W) {
    a_take_over_is_counted_until_a_commit(world).await;
    a_commit_is_read_back_as_it_was_written(world).await;
    a_commit_that_is_repeated_counts_once(world).await;
    an_old_owner_writes_nothing(world).await;
    a_wrong_number_writes_nothing(world).await;
    other_lanes_of_a_batch_still_commit(world).await;
    a_request_id_is_decided_once(world).await;
    a_tenant_id_belongs_to_one_lane(world).await;
    a_key_that_is_destroyed_is_gone(world).await;
    a_slug_has_one_holder(world).await;
    a_slug_is_freed_and_claimed_in_one_batch(world).await;
    load_finds_exactly_the_tenants_not_at_rest(world).await;
    a_lagging_tenant_row_hides_no_row(world).await;
    a_tenant_at_rest_is_read_with_all_its_rows(world).await;
    rows_above_spoken_are_found_in_order(world).await;
    what_is_not_there_is_not_found(world).await;
    a_mark_only_rises(world).await;
    the_first_answer_stands(world).await;
    what_was_never_written_is_not_there(world).await;
}
