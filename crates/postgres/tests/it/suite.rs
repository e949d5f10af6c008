//! The suite that every store passes.

use tenantry_ports::conformance::store;

use crate::fleet::Fleet;

macro_rules! suite {
    ($($promise:ident,)*) => {$(
        #[tokio::test]
        async fn $promise() {
            store::$promise(&Fleet::new().await).await;
        }
    )*};
}

suite! {
    a_take_over_is_counted_until_a_commit,
    a_commit_is_read_back_as_it_was_written,
    a_commit_that_is_repeated_counts_once,
    an_old_owner_writes_nothing,
    a_wrong_number_writes_nothing,
    other_lanes_of_a_batch_still_commit,
    a_request_id_is_decided_once,
    a_tenant_id_belongs_to_one_lane,
    a_slug_has_one_holder,
    a_slug_is_freed_and_claimed_in_one_batch,
    load_finds_exactly_the_tenants_not_at_rest,
    a_lagging_tenant_row_hides_no_row,
    a_tenant_at_rest_is_read_with_all_its_rows,
    rows_above_spoken_are_found_in_order,
    what_is_not_there_is_not_found,
    a_mark_only_rises,
    the_first_answer_stands,
    what_was_never_written_is_not_there,
}

#[tokio::test]
async fn all_of_them_live_together_in_one_database() {
    store::all(&Fleet::new().await).await;
}
