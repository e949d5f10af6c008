//! The bug zoo: bugs that are planted at the ports, so that the world can show that it finds them.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A take-over does not raise the epoch. The number alone still shuts out every owner but one, as the world showed:
    /// so it is not compared here either.
    EpochNotRaised,
    /// A take-over finds nothing to say again.
    NothingSaidAgain,
    /// `spoken` moves past rows that were not said.
    SpokenPastUnsaid,
    /// A batch is written whatever the lane's epoch and number are.
    NoCompareAndSet,
    /// A commit whose outcome nobody knows is taken for done.
    UnknownTakenForDone,
    /// A lane that was lost is told that its batch was written.
    LossNotNoticed,
    /// Request ids are not remembered.
    RequestIdsForgotten,
    /// A lane reads on one record later than it had heard.
    RecordSkipped,
    /// A worker's offset is stored before the answer is out.
    OffsetBeforeAnswer,
    /// No mark is made before an undo.
    NoMarkBeforeUndo,
    /// The ledger's fences are not looked at.
    FenceNotChecked,
    /// A provider that should check the fencing number does not.
    ResourceDoesNotCheck,
    /// The first answer of a step that cannot be repeated does not stand.
    FirstAnswerForgotten,
    /// A step that failed or never answered is not undone.
    FailedStepNotUndone,
    /// A producer says that a record is there, and it is not.
    AckWithoutRecord,
    /// A producer writes the records of a partition in another order.
    OutOfOrder,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::EpochNotRaised,
        Self::NothingSaidAgain,
        Self::SpokenPastUnsaid,
        Self::NoCompareAndSet,
        Self::UnknownTakenForDone,
        Self::LossNotNoticed,
        Self::RequestIdsForgotten,
        Self::RecordSkipped,
        Self::OffsetBeforeAnswer,
        Self::NoMarkBeforeUndo,
        Self::FenceNotChecked,
        Self::ResourceDoesNotCheck,
        Self::FirstAnswerForgotten,
        Self::FailedStepNotUndone,
        Self::AckWithoutRecord,
        Self::OutOfOrder,
    ];
}
