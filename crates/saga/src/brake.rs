//! Brakes: a tenant is paused, or held for the law; and the key of its personal data is destroyed.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::{Operation, Stopped};
use tenantry_contracts::{Code, Flags, Refusal, State, Verb};

use crate::change::By;
use crate::hear::Story;
use crate::question::waits;
use crate::{Change, Direction, RowState, Run};

impl Story<'_> {
    /// Nothing new begins from here on; what runs is heard.
    pub(crate) fn pause(&mut self, by: By) -> Result<(), Refusal> {
        if self.tenant.flags.paused || self.tenant.state.is_final() {
            return Err(self.not_allowed("pause"));
        }
        self.tell(self.flagged(AuditKind::Paused, by, |flags| flags.paused = true));
        Ok(())
    }

    /// It goes on where it was paused.
    pub(crate) fn unpause(&mut self, by: By) -> Result<(), Refusal> {
        if !self.tenant.flags.paused {
            return Err(self.not_allowed("resume"));
        }
        self.lift(self.flagged(AuditKind::Unpaused, by, |flags| flags.paused = false));
        Ok(())
    }

    /// Nothing may be destroyed from here on, also of a tenant that is over: its key is something that can be destroyed.
    pub(crate) fn hold(&mut self, by: By) -> Result<(), Refusal> {
        if self.tenant.flags.legal_hold {
            return Err(self.not_allowed("hold"));
        }
        self.tell(self.flagged(AuditKind::HoldPlaced, by, |flags| flags.legal_hold = true));
        Ok(())
    }

    /// The hold is lifted, and what was to be undone is undone.
    pub(crate) fn release(&mut self, operation: &Operation, by: By) -> Result<(), Refusal> {
        if !self.tenant.flags.legal_hold {
            return Err(self.not_allowed("release"));
        }
        operation.needs_second()?;
        self.lift(self.flagged(AuditKind::HoldReleased, by, |flags| flags.legal_hold = false));
        Ok(())
    }

    /// The key under which its personal data is sealed is destroyed with the row that says so.
    pub(crate) fn forget(&mut self, operation: &Operation, by: By) -> Result<(), Refusal> {
        if !self.tenant.state.is_final() {
            return Err(self.not_allowed("forget"));
        }
        self.not_held("forget")?;
        operation.needs_second()?;
        self.tell(Change { by: Some(Box::new(by)), ..Change::new(AuditKind::Forgotten) });
        Ok(())
    }

    /// Asks everything afresh that these workers were asked: with a new deadline, fenced against whoever may still answer.
    pub(crate) fn ask_afresh(&mut self, stopped: &Stopped) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        let rows = saga.rows.iter().enumerate().filter(|(_, run)| waits(plan, stopped, run));
        for (at, verb, attempt) in rows.filter_map(|(at, run)| asked(at, run)).collect::<Vec<_>>() {
            self.ask_again(at, verb, attempt);
        }
    }

    /// Refuses what would destroy something under a legal hold.
    pub(crate) fn not_held(&self, verb: &str) -> Result<(), Refusal> {
        if !self.tenant.flags.legal_hold {
            return Ok(());
        }
        let message = format!("the tenant is under a legal hold, and {verb} destroys something of it");
        Err(Refusal::new(Code::LegalHold, message).at("/verb"))
    }

    /// Refuses what would begin something new in a tenant that is paused.
    pub(crate) fn not_paused(&self, verb: &str) -> Result<(), Refusal> {
        if !self.tenant.flags.paused {
            return Ok(());
        }
        let message = format!("{verb} begins something, and the tenant is paused; resume it first");
        Err(Refusal::new(Code::VerbNotAllowed, message).at("/verb"))
    }

    fn flagged(&self, what: AuditKind, by: By, set: impl FnOnce(&mut Flags)) -> Change {
        let mut flags = self.tenant.flags;
        set(&mut flags);
        Change { flags: Some(flags), by: Some(Box::new(by)), ..Change::new(what) }
    }

    /// Tells a change that lifts a brake, and with it whatever can begin without it.
    fn lift(&mut self, change: Change) {
        match self.tenant.saga.as_ref().map(|saga| saga.direction) {
            Some(Direction::Forward) => self.forward(change),
            // Where an undo failed for good, a person decides how it goes on.
            Some(Direction::Back | Direction::BackToReject) if self.tenant.state != State::Stuck => {
                self.backward(change);
            }
            Some(_) => self.tell(change),
            None => {
                self.tell(change);
                self.start_next();
            }
        }
    }
}

/// What a row was asked, and which attempt it was.
fn asked(at: usize, run: &Run) -> Option<(u16, Verb, u8)> {
    match run.state {
        RowState::Asked { verb, attempt, .. } => Some((at as u16, verb, attempt)),
        _ => None,
    }
}
