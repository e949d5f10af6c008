//! A consumer under observation: what must hold at all times is checked at every news.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::{Record, Topic};

use super::{BusWorld, MOST, within};
use crate::{Bus, Clock, Consumer, Group, Heard, News, Place};

pub(super) struct Ear<W: BusWorld> {
    pub(super) consumer: <W::Bus as Bus>::Consumer,
    clock: W::Clock,
    /// What is ours now.
    pub(super) ours: BTreeSet<Place>,
    /// How often something was taken from us.
    pub(super) revocations: usize,
    /// All that was heard.
    pub(super) heard: Vec<Heard>,
    /// The last generation and offset of each place.
    last: BTreeMap<Place, (u64, i64)>,
}

impl<W: BusWorld> Ear<W> {
    /// Joins a group of workers.
    pub(super) async fn worker(world: &W, id: &str, topics: &[Topic]) -> Self {
        Self::join(world, group(id, None, topics, true)).await
    }

    /// Joins a group of coordinators.
    pub(super) async fn coordinator(world: &W, id: &str, topics: &[Topic]) -> Self {
        Self::join(world, group(id, None, topics, false)).await
    }

    /// Joins a group of workers under a name of its own.
    pub(super) async fn member(world: &W, id: &str, member: &str, topics: &[Topic]) -> Self {
        Self::join(world, group(id, Some(member), topics, true)).await
    }

    async fn join(world: &W, group: Group) -> Self {
        let consumer = world.bus().consumer(group).await.expect("the group can be joined");
        Self {
            consumer,
            clock: world.clock(),
            ours: BTreeSet::new(),
            revocations: 0,
            heard: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    /// Does not listen for `ms` milliseconds.
    pub(super) async fn idle(&self, ms: i64) {
        self.clock.sleep_until(self.clock.now().plus(ms)).await;
    }

    /// Listens for `ms` milliseconds.
    pub(super) async fn listen(&mut self, ms: i64) {
        let end = self.clock.now().plus(ms);
        while let left @ 1.. = end.since(self.clock.now()) {
            if let Some(news) = within(&self.clock, left, self.consumer.news()).await {
                self.note(news);
            }
        }
    }

    /// Listens until it is enough.
    pub(super) async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let end = self.clock.now().plus(MOST);
        while !enough(self) {
            let left = end.since(self.clock.now());
            let news = within(&self.clock, left.max(0), self.consumer.news()).await;
            let (ours, heard) = (&self.ours, self.heard.len());
            let news = news.unwrap_or_else(|| panic!("never: {what}; ours {ours:?}, heard {heard} records"));
            self.note(news);
        }
    }

    /// Listens until so many records were heard.
    pub(super) async fn until_heard(&mut self, count: usize) {
        self.until(&format!("{count} records"), |ear| ear.heard.len() >= count).await;
    }

    /// Listens until so many partitions are ours.
    pub(super) async fn until_ours(&mut self, count: usize) {
        self.until(&format!("{count} partitions"), |ear| ear.ours.len() == count).await;
    }

    fn note(&mut self, news: Vec<News>) {
        assert!(!news.is_empty(), "news without news");
        for one in news {
            match one {
                News::Assigned(places) => {
                    for place in places {
                        assert!(self.ours.insert(place.clone()), "{place:?} was ours already");
                    }
                }
                News::Revoked(places) => {
                    self.revocations += 1;
                    for place in places {
                        assert!(self.ours.remove(&place), "{place:?} was not ours");
                    }
                }
                News::Lost(why) => panic!("the consumer was lost: {why}"),
                News::Heard(heard) => {
                    let place = place(&heard.record);
                    assert!(self.ours.contains(&place), "{place:?} is not ours, but is heard");
                    let now = (heard.generation, heard.record.offset);
                    if let Some(last) = self.last.insert(place.clone(), now) {
                        assert!(last < now, "{place:?}: generation and offset {now:?} after {last:?}");
                    }
                    self.heard.push(heard);
                }
            }
        }
    }

    /// The values heard of a partition, as text.
    pub(super) fn values(&self, place: &Place) -> Vec<String> {
        self.heard
            .iter()
            .filter(|heard| self::place(&heard.record) == *place)
            .map(|h| text(&h.record))
            .collect()
    }

    pub(super) async fn close(self, leave: bool) {
        self.consumer.close(leave).await;
    }
}

fn group(id: &str, member: Option<&str>, topics: &[Topic], resumes: bool) -> Group {
    Group { id: id.into(), member: member.map(Into::into), topics: topics.to_vec(), resumes }
}

pub(super) fn place(record: &Record) -> Place {
    Place { topic: record.topic.clone(), partition: record.partition }
}

/// The value as text.
pub(super) fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}
