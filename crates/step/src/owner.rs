//! Owner tags: how a worker tells what it made from what others made. What has no tag of ours is never adopted and
//! never removed.

use crate::Cx;

impl Cx {
    /// What is written on a thing when it is made: whose it is, and by which question.
    pub fn owner_tag(&self) -> String {
        format!("{}{}", self.owner_stem(), self.token)
    }

    /// Whether a tag says that the thing is this tenant's, in this fleet, whichever question made it.
    pub fn owns(&self, tag: &str) -> bool {
        tag.strip_prefix(&self.owner_stem())
            .is_some_and(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn owner_stem(&self) -> String {
        // One line whatever the fleet is called: tags also stand in headers.
        let fleet: String =
            self.fleet.as_str().chars().map(|c| if c.is_control() { '_' } else { c }).collect();
        format!("tenantry tenant={} fleet={fleet} token=", self.tenant)
    }
}
