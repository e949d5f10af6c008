//! What every bus must do: the seeded one, the embedded one and Apache Kafka.
//!
//! Each function is one promise. It makes its own topics and groups, so they may run in any order, one at a time or
//! together. The first two are about saying, the others about hearing.

mod ear;
mod groups;
mod hearing;
mod mouth;
mod saying;

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use tenantry_contracts::Topic;

use crate::{Bus, Clock};

pub use groups::{
    a_static_member_finds_its_partitions_again, members_share_lanes_whole,
    partitions_that_went_elsewhere_are_silent_and_nothing_is_missed,
};
pub use hearing::{
    a_foreign_partition_cannot_be_sought, a_missing_topic_is_refused,
    a_seek_is_followed_by_the_new_generation_only, nothing_is_heard_before_the_first_seek,
    paused_partitions_are_silent_and_miss_nothing, reading_resumes_at_what_was_stored,
    watermarks_and_records_are_seen_from_beside, what_was_not_stored_is_heard_again,
};
pub use saying::{
    acknowledgements_carry_the_offsets_in_order, order_is_kept_and_nothing_is_doubled,
    too_large_is_refused_and_the_producer_goes_on, what_was_said_comes_back_exactly,
};

/// How long one thing may take before it counts as never, in milliseconds of the clock.
const MOST: i64 = 60_000;
/// For how long there must be silence where there must be silence, in milliseconds of the clock.
const SILENCE: i64 = 1_500;

/// For how long nobody listens where records are to be read ahead, in milliseconds of the clock.
const AHEAD: i64 = 200;

/// What the suite needs of the implementation under test.
pub trait BusWorld {
    /// The bus.
    type Bus: Bus;
    /// The clock that its waiting goes by.
    type Clock: Clock;

    /// The bus.
    fn bus(&self) -> &Self::Bus;

    /// The clock.
    fn clock(&self) -> Self::Clock;

    /// Makes an empty topic that nobody used before, and waits until it can be used.
    fn topic(&self, partitions: u16) -> impl Future<Output = Topic>;

    /// The name of a topic that does not exist.
    fn missing(&self) -> Topic;

    /// The id of a group that nobody used before.
    fn group(&self) -> String;
}

/// Runs the whole suite, one promise after the other.
pub async fn all<W: BusWorld>(world: &W) {
    order_is_kept_and_nothing_is_doubled(world).await;
    acknowledgements_carry_the_offsets_in_order(world).await;
    what_was_said_comes_back_exactly(world).await;
    too_large_is_refused_and_the_producer_goes_on(world).await;
    what_was_not_stored_is_heard_again(world).await;
    reading_resumes_at_what_was_stored(world).await;
    nothing_is_heard_before_the_first_seek(world).await;
    a_seek_is_followed_by_the_new_generation_only(world).await;
    a_foreign_partition_cannot_be_sought(world).await;
    a_missing_topic_is_refused(world).await;
    paused_partitions_are_silent_and_miss_nothing(world).await;
    watermarks_and_records_are_seen_from_beside(world).await;
    members_share_lanes_whole(world).await;
    partitions_that_went_elsewhere_are_silent_and_nothing_is_missed(world).await;
    a_static_member_finds_its_partitions_again(world).await;
}

/// What `work` gave, or `None` after `ms`.
async fn within<C: Clock, T>(clock: &C, ms: i64, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut end = pin!(clock.sleep_until(clock.now().plus(ms)));
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}
