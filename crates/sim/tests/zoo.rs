//! Every planted bug is found: the world bites.

use tenantry_sim::zoo::Bug;
use tenantry_sim::{Options, run};

/// A bug must show within so many seeds.
const MOST: u64 = 60;

/// The first seed that shows the bug.
fn hunt(bug: Bug) -> Option<u64> {
    let options = Options { bug: Some(bug), keep_lines: 0, ..Options::default() };
    (0..MOST).find(|seed| !run(*seed, &options).broken.is_empty())
}

macro_rules! zoo {
    ($($name:ident: $bug:ident,)*) => {
        $(#[test]
        fn $name() {
            assert!(hunt(Bug::$bug).is_some(), "not found in {MOST} seeds");
        }
)*

        #[test]
        fn every_bug_of_the_zoo_has_its_test() {
            assert_eq!(Bug::ALL.to_vec(), vec![$(Bug::$bug),*]);
        }
    };
}

zoo! {
    a_take_over_without_raising_the_epoch_is_found: EpochNotRaised,
    a_take_over_that_does_not_say_again_is_found: NothingSaidAgain,
    spoken_moved_past_unsaid_rows_is_found: SpokenPastUnsaid,
    a_batch_without_its_compare_and_set_is_found: NoCompareAndSet,
    an_unknown_commit_taken_for_done_is_found: UnknownTakenForDone,
    memory_kept_after_a_missed_compare_and_set_is_found: LossNotNoticed,
    request_ids_that_are_not_remembered_are_found: RequestIdsForgotten,
    a_record_that_is_skipped_is_found: RecordSkipped,
    an_offset_stored_before_the_answer_is_found: OffsetBeforeAnswer,
    an_undo_without_a_mark_is_found: NoMarkBeforeUndo,
    a_fence_that_is_not_checked_is_found: FenceNotChecked,
    a_resource_that_does_not_check_the_token_is_found: ResourceDoesNotCheck,
    a_first_answer_that_does_not_stand_is_found: FirstAnswerForgotten,
    a_failed_step_that_is_not_undone_is_found: FailedStepNotUndone,
    an_acknowledgement_without_a_record_is_found: AckWithoutRecord,
    records_said_in_another_order_are_found: OutOfOrder,
}
