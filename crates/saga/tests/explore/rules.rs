//! What may happen in a world, and which rules of the protocol hold in it.

/// What may happen in a world, how often, and which of the protocol's rules hold.
#[derive(Clone)]
pub(crate) struct Rules {
    /// Questions that time out; each also has its own attempts.
    pub(crate) timeouts: u8,
    /// Executes that say no, having had no effect or all of it.
    pub(crate) errors: u8,
    /// Undos that say no.
    pub(crate) undo_errors: u8,
    pub(crate) letters: u8,
    pub(crate) cancels: u8,
    pub(crate) retries: u8,
    pub(crate) reruns: u8,
    /// Pauses and legal holds; both are lifted for free.
    pub(crate) brakes: u8,
    /// Handlers at work at the same time, each with any command that was ever asked.
    pub(crate) handlers: usize,
    /// Tenants of the same slug, one after the other.
    pub(crate) tenants: usize,
    pub(crate) coordinators: usize,
    /// The rules of the protocol; the variants that must fail break one each.
    pub(crate) worker_fence: bool,
    pub(crate) resource_fence: bool,
    /// A mark before an undo or a repeat, and an undo that finds nothing still raises the fence.
    pub(crate) marks: bool,
    /// An execute finds what an earlier one made.
    pub(crate) finds_its_own: bool,
    /// A failed step is undone too.
    pub(crate) undoes_failed: bool,
    /// Tokens are the lane's journal numbers; else each saga counts from one.
    pub(crate) lane_tokens: bool,
    pub(crate) compare_and_set: bool,
    /// A forked chain is itself a violation.
    pub(crate) forks_count: bool,
    /// A final tenant may have nothing live even while a late handler runs.
    pub(crate) strict: bool,
    /// Drop from a state what can have no effect any more.
    pub(crate) prune: bool,
}

impl Rules {
    /// The protocol as it is: one time-out, one error, two handlers, one coordinator.
    pub(crate) const fn sound() -> Self {
        Self {
            timeouts: 1,
            errors: 1,
            undo_errors: 0,
            letters: 0,
            cancels: 0,
            retries: 0,
            reruns: 0,
            brakes: 0,
            handlers: 2,
            tenants: 1,
            coordinators: 1,
            worker_fence: true,
            resource_fence: true,
            marks: true,
            finds_its_own: true,
            undoes_failed: true,
            lane_tokens: true,
            compare_and_set: true,
            forks_count: true,
            strict: true,
            prune: true,
        }
    }
}
