//! The digest of what a person sees who decides at a gate. It covers everything that the decision is about and that
//! stands still: the request, the plan, the template, and the outputs of all rows that the gate waits for. So it changes
//! exactly when one of these does, and an approval that was given for something else does not fit any more.

use sha2::{Digest, Sha256};

use crate::{Plan, Saga};

impl Saga {
    /// Hexadecimal SHA-256 of what stands before this row of the plan.
    pub fn seen(&self, plan: &Plan, row: u16) -> String {
        let mut digest = Sha256::new();
        // Each part with its length, so that no two sequences of parts have one digest.
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        };
        add(b"tenantry/1 seen");
        add(self.id.to_string().as_bytes());
        add(self.request_id.to_string().as_bytes());
        add(&serde_json::to_vec(&*self.request).unwrap_or_default());
        add(plan.reference().digest.as_bytes());
        add(self.template.as_ref().map_or(&[][..], |template| template.digest.as_bytes()));
        let mut before = vec![false; plan.rows.len()];
        mark(plan, row, &mut before);
        for run in self.rows.iter().filter(|run| before[usize::from(run.row)]) {
            add(plan.rows[usize::from(run.row)].name.as_bytes());
            add(run.output.as_ref().map_or(&[][..], |output| output.text().as_bytes()));
        }
        hex::encode(digest.finalize())
    }
}

/// Marks the rows that this one waits for, also through others.
fn mark(plan: &Plan, row: u16, before: &mut [bool]) {
    for name in plan.rows[usize::from(row)].waits_for {
        if let Some(at) = plan.index_of(name)
            && !std::mem::replace(&mut before[usize::from(at)], true)
        {
            mark(plan, at, before);
        }
    }
}
