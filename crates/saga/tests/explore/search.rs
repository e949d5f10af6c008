//! Breadth-first search over worlds: every state once, the shortest way to a violation, and dead ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use tenantry_contracts::State;

use crate::core::Core;
use crate::rules::Rules;
use crate::world::World;

/// The most states of one exploration: a mistake in a configuration must not eat the machine.
const MOST: usize = 4_000_000;

/// What an exploration found.
pub(crate) struct Found {
    pub(crate) name: &'static str,
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// The first violation and the shortest way there.
    pub(crate) violation: Option<(&'static str, Vec<String>)>,
    /// States from which no resting state can be reached.
    pub(crate) dead_ends: usize,
    /// How often the last tenant was in each state.
    pub(crate) seen: BTreeMap<State, usize>,
}

/// 128 bits: two hashes with different beginnings. Among ten million states a collision has a chance of 10^-25.
struct Key(DefaultHasher, DefaultHasher);

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// A value by its hash.
pub(crate) fn print(value: &impl Hash) -> u128 {
    let mut key = Key(DefaultHasher::new(), DefaultHasher::new());
    key.1.write_u8(1);
    value.hash(&mut key);
    u128::from(key.0.finish()) << 64 | u128::from(key.1.finish())
}

/// Explores every world that can be reached.
pub(crate) fn explore(name: &'static str, core: &Core, rules: &Rules) -> Found {
    let first = World::new(core, rules);
    let mut ids = HashMap::from([(print(&first), 0_u32)]);
    let mut parents: Vec<(u32, u16)> = vec![(0, 0)];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut resting: Vec<u32> = Vec::new();
    let mut queue = VecDeque::from([first]);
    let mut seen = BTreeMap::new();
    let (mut at, mut transitions) = (0_u32, 0);
    while let Some(world) = queue.pop_front() {
        if let Some(what) = world.violation(core, rules) {
            let way = way(core, rules, &parents, at);
            let states = ids.len();
            return Found { name, states, transitions, violation: Some((what, way)), dead_ends: 0, seen };
        }
        *seen.entry(world.tenants[world.tenants.len() - 1].state).or_default() += 1;
        if world.rests(core) {
            resting.push(at);
        }
        for (place, (_, next)) in world.next(core, rules).into_iter().enumerate() {
            transitions += 1;
            let fresh = parents.len() as u32;
            let id = *ids.entry(print(&next)).or_insert(fresh);
            if id == fresh {
                parents.push((at, place as u16));
                queue.push_back(next);
            }
            edges.push((id, at));
        }
        at += 1;
        assert!(parents.len() <= MOST, "{name}: more than {MOST} states; bound the configuration");
    }
    let dead_ends = dead_ends(parents.len(), &edges, resting);
    Found { name, states: parents.len(), transitions, violation: None, dead_ends, seen }
}

/// How many states cannot reach a resting one.
fn dead_ends(states: usize, edges: &[(u32, u32)], resting: Vec<u32>) -> usize {
    let mut first = vec![0_u32; states + 1];
    for (to, _) in edges {
        first[*to as usize + 1] += 1;
    }
    for at in 0..states {
        first[at + 1] += first[at];
    }
    let (mut free, mut back) = (first.clone(), vec![0_u32; edges.len()]);
    for (to, from) in edges {
        back[free[*to as usize] as usize] = *from;
        free[*to as usize] += 1;
    }
    let mut reaches = vec![false; states];
    let mut open = resting;
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut reaches[at as usize], true) {
            let (from, to) = (first[at as usize] as usize, first[at as usize + 1] as usize);
            open.extend(&back[from..to]);
        }
    }
    reaches.iter().filter(|reaches| !**reaches).count()
}

/// The moves to a state, by going the same way once more.
fn way(core: &Core, rules: &Rules, parents: &[(u32, u16)], to: u32) -> Vec<String> {
    let mut places = Vec::new();
    let mut at = to;
    while at != 0 {
        let (parent, place) = parents[at as usize];
        places.push(place);
        at = parent;
    }
    let mut world = World::new(core, rules);
    let mut way = Vec::new();
    for place in places.into_iter().rev() {
        let (what, next) = world.next(core, rules).swap_remove(usize::from(place));
        way.push(format!("{what:?}"));
        world = next;
    }
    way
}

impl Found {
    /// Nothing was violated, every state can still come to rest, and these ends were really seen.
    pub(crate) fn holds(self, ends: &[State]) {
        println!("{}", self);
        if let Some((what, way)) = self.violation {
            panic!("{}: {what} after {} moves:\n  {}", self.name, way.len(), way.join("\n  "));
        }
        assert_eq!(self.dead_ends, 0, "{}: states that never come to rest", self.name);
        for end in ends {
            assert!(self.seen.contains_key(end), "{}: no tenant was ever {end}: {:?}", self.name, self.seen);
        }
    }

    /// This is violated, and the shortest way there has so many moves.
    pub(crate) fn fails(self, want: &str, moves: usize) {
        println!("{}", self);
        let Some((what, way)) = self.violation else { panic!("{}: a planted bug was not found", self.name) };
        let text = format!("{}: {what} after {} moves:\n  {}", self.name, way.len(), way.join("\n  "));
        println!("{text}");
        assert_eq!((what, way.len()), (want, moves), "{text}");
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.violation.is_some() { "FAILS" } else { "holds" };
        write!(
            f,
            "{:<44} {:>8} states {:>9} transitions: {verdict}",
            self.name, self.states, self.transitions
        )
    }
}
