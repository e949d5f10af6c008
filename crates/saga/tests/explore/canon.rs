//! The simplest form of a world: worlds that differ only in what can have no effect any more are one state.

use std::rc::Rc;

use tenantry_saga::{RowState, Tenant};

use crate::core::{Command, Core, Input, Seen};
use crate::rules::Rules;
use crate::world::World;

impl World {
    /// The same world in its simplest form: tokens by rank (only their order matters, and a new one is above all),
    /// and without what can have no effect any more.
    pub(crate) fn normalise(&mut self, core: &Core, rules: &Rules) {
        self.handlers.sort_unstable();
        self.loaded.sort_unstable_by_key(|loaded| (loaded.n, loaded.input));
        if rules.prune {
            let (tenants, loaded) = (&self.tenants, &self.loaded);
            // A stale answer changes nothing now, which `expects` checks, nor ever: its token never comes again.
            self.answers.retain(|(command, _)| {
                let tenant = &tenants[usize::from(command.tenant)];
                core.expects(tenant, *command)
                    || loaded.iter().any(|loaded| core.expects(&loaded.tenant, *command))
            });
            if rules.lane_tokens {
                let refused = |command: &Command| {
                    let row = usize::from(command.row);
                    (rules.worker_fence && command.token < self.marks[row])
                        || (rules.resource_fence && command.token < self.fences[row])
                };
                self.commands.retain(|command| !refused(command));
                let fences = &self.fences;
                self.handlers.retain(|handler| {
                    let behind = handler.command.token < fences[usize::from(handler.command.row)];
                    !(handler.acted.is_none() && rules.resource_fence && behind)
                });
            }
        }
        if rules.lane_tokens {
            self.rank();
        }
    }

    fn rank(&mut self) {
        let mut tokens = vec![0];
        self.each_token(&mut |token| {
            if let Err(at) = tokens.binary_search(token) {
                tokens.insert(at, *token);
            }
        });
        if tokens.iter().enumerate().all(|(at, token)| *token == at as i64) {
            return;
        }
        self.each_token(&mut |token| *token = tokens.binary_search(token).unwrap() as i64);
        self.commands.sort_unstable();
        self.answers.sort_unstable();
        self.handlers.sort_unstable();
    }

    fn each_token(&mut self, with: &mut dyn FnMut(&mut i64)) {
        with(&mut self.n);
        self.commands.iter_mut().for_each(|command| with(&mut command.token));
        self.answers.iter_mut().for_each(|(command, _)| with(&mut command.token));
        self.handlers.iter_mut().for_each(|handler| with(&mut handler.command.token));
        self.marks.iter_mut().chain(&mut self.fences).for_each(&mut *with);
        self.tenants.iter_mut().for_each(|tenant| each_question(tenant, with));
        for loaded in &mut self.loaded {
            with(&mut loaded.n);
            each_question(&mut loaded.tenant, with);
            if let Input::Answer(command, _) = &mut loaded.input {
                with(&mut command.token);
            }
        }
    }
}

fn each_question(tenant: &mut Rc<Seen>, with: &mut dyn FnMut(&mut i64)) {
    if tenant.saga.is_none() {
        return;
    }
    // A tenant is copied only where a token changes.
    let mut changed = false;
    let tokens = tenant.saga.iter().flat_map(|saga| &saga.rows).filter_map(|run| match run.state {
        RowState::Asked { token, .. } => Some(token.0),
        _ => None,
    });
    let mut renamed: Vec<i64> = tokens.collect();
    for token in &mut renamed {
        let before = *token;
        with(token);
        changed |= before != *token;
    }
    if !changed {
        return;
    }
    let (mut renamed, mut copy) = (renamed.into_iter(), Tenant::clone(tenant));
    for run in copy.saga.iter_mut().flat_map(|saga| &mut saga.rows) {
        if let RowState::Asked { token, .. } = &mut run.state {
            token.0 = renamed.next().unwrap();
        }
    }
    *tenant = Seen::new(copy);
}
