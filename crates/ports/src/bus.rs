//! The bus: partitions that are heard in order, and records that are said in order.

use std::future::Future;

use bytes::Bytes;
use tenantry_contracts::{Headers, Record, Topic};

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: u16,
}

/// Opens consumers and producers.
pub trait Bus: Send + Sync + 'static {
    /// Its consumers.
    type Consumer: Consumer;
    /// Its producers.
    type Producer: Producer;

    /// Joins a group.
    ///
    /// # Errors
    /// Where the bus refuses for good (authorization, unknown topic).
    fn consumer(&self, group: Group) -> impl Future<Output = Result<Self::Consumer, BusError>> + Send;

    /// Opens a producer. Idempotent, acknowledged by all replicas, and it never gives up by itself.
    ///
    /// # Errors
    /// Where the bus refuses for good.
    fn producer(&self) -> impl Future<Output = Result<Self::Producer, BusError>> + Send;
}

/// Which group to join, and what to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group's id; carries the fleet's name.
    pub id: String,
    /// A static member id that is stable across restarts, where wanted.
    pub member: Option<String>,
    /// What to hear.
    pub topics: Vec<Topic>,
    /// `true` for workers: reading begins at the group's committed offset. `false` for coordinators: they seek by
    /// themselves, and nothing is delivered from a partition before its first [`Consumer::seek`].
    pub resumes: bool,
}

/// What a consumer has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// These partitions are ours from here on.
    Assigned(Vec<Place>),
    /// These are ours no longer. Nothing of them is delivered after this.
    Revoked(Vec<Place>),
    /// A record. In order for each partition.
    Heard(Heard),
    /// The consumer is lost (fenced, fatal, stalled); open a new one.
    Lost(String),
}

/// A record, with the generation of the seek or assignment that it was read under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The record.
    pub record: Record,
    /// Grows with each assignment and each [`Consumer::seek`] of the partition; what was seek'd returns it.
    pub generation: u64,
}

/// Hears partitions.
pub trait Consumer: Send + 'static {
    /// The next news; at least one. Waits for it. May be dropped and called again without loss.
    fn news(&mut self) -> impl Future<Output = Vec<News>> + Send;

    /// Reads on from `offset` (the next one wanted). Returns the generation of what is heard from now on; whatever was
    /// on the way before is never delivered under it.
    ///
    /// # Errors
    /// Where the partition is no longer ours, or the bus is not to be reached.
    fn seek(&mut self, place: &Place, offset: i64) -> impl Future<Output = Result<u64, BusError>> + Send;

    /// Stops delivering these partitions until [`Consumer::resume`]. Idempotent.
    fn pause(&mut self, places: &[Place]);

    /// Delivers them again. Idempotent, and harmless for partitions that are not paused or not ours.
    fn resume(&mut self, places: &[Place]);

    /// Remembers that everything below `offset` is finished, to be committed to the group in the background.
    fn store(&mut self, place: &Place, offset: i64);

    /// The low and high watermark: the first offset that is kept, and the next one to be written.
    ///
    /// # Errors
    /// Where the bus is not to be reached.
    fn watermarks(&mut self, place: &Place) -> impl Future<Output = Result<(i64, i64), BusError>> + Send;

    /// The record at `offset`, if it is kept. For the continuity check; does not disturb what is heard.
    ///
    /// # Errors
    /// Where the bus is not to be reached.
    fn record_at(
        &mut self,
        place: &Place,
        offset: i64,
    ) -> impl Future<Output = Result<Option<Record>, BusError>> + Send;

    /// Commits what was stored and goes. `leave`: gives up the membership (scale-in); otherwise drops without leaving
    /// (restart), so that a static member finds its partitions again.
    fn close(self, leave: bool) -> impl Future<Output = ()> + Send;
}

/// What a delivery report is about; chosen by the sender.
pub type Tag = u64;

/// A record to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where. Always explicit, never by a partitioner.
    pub place: Place,
    /// The key.
    pub key: Option<Bytes>,
    /// The headers in order.
    pub headers: Headers,
    /// The value.
    pub value: Option<Bytes>,
    /// What the report will carry.
    pub tag: Tag,
}

/// Says records.
pub trait Producer: Send + 'static {
    /// Puts the record in the queue. Order for each partition is the order of these calls.
    ///
    /// # Errors
    /// The record itself, with the reason; nothing was queued.
    fn send(&mut self, record: Outgoing) -> Result<(), Refused>;

    /// Reports since the last call; at least one. Waits for it. May be dropped and called again without loss.
    fn delivered(&mut self) -> impl Future<Output = Vec<Delivered>> + Send;
}

/// The report on one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The sender's tag.
    pub tag: Tag,
    /// What is known.
    pub delivery: Delivery,
}

/// What is known of a record that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All replicas have it, at this offset.
    Acked(i64),
    /// It may or may not be there. The producer is fatal: open a new one.
    PossiblyPersisted(String),
    /// It is certainly not there, and will not be for the same reason: authorization, size, unknown topic.
    NotPersisted(String),
}

/// A record that was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full; send again after a report came in.
    Full(Box<Outgoing>),
    /// It can never be sent: too large, unknown topic, producer fatal.
    Never(Box<Outgoing>, String),
}

/// The bus could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bus: {0}")]
pub struct BusError(pub String);
