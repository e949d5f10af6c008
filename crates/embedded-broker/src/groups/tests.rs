//! Groups under a clock that moves only when told.

use std::time::Duration;

use super::*;

const SESSION: Duration = Duration::from_secs(6);
const REBALANCE: Duration = Duration::from_secs(60);

/// A group with a clock that only moves when told.
struct World {
    group: Group,
    now: Instant,
}

type Waiting<T> = oneshot::Receiver<T>;

impl World {
    fn new() -> World {
        World { group: Group::default(), now: Instant::now() }
    }

    fn join_as(
        &mut self,
        member_id: &str,
        instance: Option<&str>,
        edit: impl FnOnce(&mut Join),
    ) -> Waiting<JoinReply> {
        let (reply, waiting) = oneshot::channel();
        let mut join = Join {
            member_id: member_id.to_owned(),
            instance: instance.map(str::to_owned),
            client_id: "client".to_owned(),
            client_host: "127.0.0.1".to_owned(),
            session_timeout: SESSION,
            rebalance_timeout: REBALANCE,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
            knows_member_id_required: true,
        };
        edit(&mut join);
        self.group.join(join, reply, self.now);
        waiting
    }

    fn join(&mut self, member_id: &str) -> Waiting<JoinReply> {
        self.join_as(member_id, None, |_| ())
    }

    /// A new dynamic member, with the id it is given first.
    fn enter(&mut self) -> (String, Waiting<JoinReply>) {
        let refusal = got(&mut self.join("")).expect_err("an id is handed out first");
        assert_eq!(refusal.error, ResponseError::MemberIdRequired);
        let joining = self.join(&refusal.member_id);
        (refusal.member_id, joining)
    }

    fn sync(&mut self, joined: &Joined, parts: &[(&str, &'static str)]) -> Waiting<SyncReply> {
        let (reply, waiting) = oneshot::channel();
        let parts = parts.iter().map(|(id, part)| (id.to_string(), Bytes::from(*part))).collect();
        self.group.sync(&caller(joined), parts, reply, self.now);
        waiting
    }

    fn beat(&mut self, joined: &Joined) -> Result<(), ResponseError> {
        self.group.heartbeat(&caller(joined), self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    /// A stable group of one.
    fn alone() -> (World, Joined) {
        let mut world = World::new();
        let (id, mut joining) = world.enter();
        let joined = got(&mut joining).expect("joined");
        assert_eq!((joined.leader.as_str(), joined.members.len()), (id.as_str(), 1));
        assert_eq!(got(&mut world.sync(&joined, &[(&id, "all")])), Ok(Bytes::from("all")));
        (world, joined)
    }
}

fn caller(joined: &Joined) -> Caller<'_> {
    Caller { member_id: &joined.member_id, instance: None, generation: joined.generation }
}

fn got<T>(waiting: &mut Waiting<T>) -> T {
    waiting.try_recv().expect("an answer")
}

fn waits<T>(waiting: &mut Waiting<T>) -> bool {
    matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

#[test]
fn a_join_ends_when_all_known_members_have_rejoined() {
    let (mut world, first) = World::alone();
    let (second, mut joining) = world.enter();
    assert!(waits(&mut joining));
    assert_eq!(world.beat(&first), Err(ResponseError::RebalanceInProgress));
    let first = got(&mut world.join(&first.member_id)).expect("joined");
    let joined = got(&mut joining).expect("joined");
    assert_eq!((joined.generation, joined.members.len()), (2, 0));
    assert_eq!((first.generation, first.members.len()), (2, 2));
    let mut waiting = world.sync(&joined, &[]);
    assert!(waits(&mut waiting));
    let parts = [(first.member_id.as_str(), "one"), (second.as_str(), "two")];
    assert_eq!(got(&mut world.sync(&first, &parts)), Ok(Bytes::from("one")));
    assert_eq!(got(&mut waiting), Ok(Bytes::from("two")));
    assert_eq!(world.beat(&joined), Ok(()));
}

#[test]
fn a_silent_member_is_expelled_but_one_whose_join_is_pending_is_not() {
    let (mut world, first) = World::alone();
    let (_, mut joining) = world.enter();
    world.pass(SESSION - Duration::from_millis(1));
    assert!(waits(&mut joining));
    world.pass(Duration::from_millis(1));
    let joined = got(&mut joining).expect("joined, though it waited for a whole session");
    assert_eq!(joined.members.len(), 1);
    assert_eq!(world.beat(&first), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_beats_but_does_not_rejoin_is_left_behind_when_the_time_is_up() {
    let (mut world, first) = World::alone();
    let (_, mut joining) = world.enter();
    for _ in 0..59 {
        world.pass(Duration::from_secs(1));
        assert_eq!(world.beat(&first), Err(ResponseError::RebalanceInProgress));
    }
    assert!(waits(&mut joining));
    world.pass(Duration::from_secs(1));
    assert_eq!(got(&mut joining).expect("joined").members.len(), 1);
}

#[test]
fn a_leader_that_never_assigns_is_expelled_and_the_others_join_anew() {
    let (mut world, first) = World::alone();
    let (_, mut joining) = world.enter();
    got(&mut world.join(&first.member_id)).expect("joined, and then it is gone");
    let second = got(&mut joining).expect("joined");
    let mut waiting = world.sync(&second, &[]);
    world.pass(SESSION);
    assert_eq!(got(&mut waiting), Err(ResponseError::RebalanceInProgress));
    let second = got(&mut world.join(&second.member_id)).expect("joined");
    assert_eq!(second.members.len(), 1);
}

#[test]
fn a_restarted_static_member_keeps_its_part_and_its_old_self_is_fenced() {
    let mut world = World::new();
    let one = got(&mut world.join_as("", Some("one"), |_| ())).expect("joined");
    got(&mut world.sync(&one, &[(&one.member_id, "all")])).expect("synced");
    let again = got(&mut world.join_as("", Some("one"), |_| ())).expect("joined at once");
    assert_eq!(again.generation, one.generation);
    assert_ne!(again.member_id, one.member_id);
    assert_ne!(again.leader, again.member_id, "it must not assign again");
    assert_eq!(got(&mut world.sync(&again, &[])), Ok(Bytes::from("all")));
    let old = Caller { instance: Some("one"), ..caller(&one) };
    assert_eq!(world.group.heartbeat(&old, world.now), Err(ResponseError::FencedInstanceId));
    let fenced = got(&mut world.join_as(&one.member_id, Some("one"), |_| ())).expect_err("fenced");
    assert_eq!(fenced.error, ResponseError::FencedInstanceId);
}

#[test]
fn a_restarted_static_member_with_other_topics_makes_everybody_join_anew() {
    let mut world = World::new();
    let one = got(&mut world.join_as("", Some("one"), |_| ())).expect("joined");
    got(&mut world.sync(&one, &[(&one.member_id, "all")])).expect("synced");
    let other = |join: &mut Join| join.protocols[0].1 = Bytes::from_static(b"other topics");
    let again = got(&mut world.join_as("", Some("one"), other)).expect("joined");
    assert_eq!((again.generation, again.members.len()), (one.generation + 1, 1));
}

#[test]
fn an_older_generation_neither_beats_nor_commits() {
    let (mut world, first) = World::alone();
    got(&mut world.join(&first.member_id)).expect("a leader that rejoins begins a generation");
    assert_eq!(world.beat(&first), Err(ResponseError::IllegalGeneration));
    assert_eq!(world.group.may_commit(&caller(&first), world.now), Err(ResponseError::IllegalGeneration));
}

#[test]
fn a_commit_from_outside_is_taken_only_while_nobody_is_in_the_group() {
    let outside = Caller { member_id: "", instance: None, generation: -1 };
    assert_eq!(Group::default().may_commit(&outside, Instant::now()), Ok(()));
    let (mut world, _) = World::alone();
    assert_eq!(world.group.may_commit(&outside, world.now), Err(ResponseError::UnknownMemberId));
}

#[test]
fn members_that_speak_no_common_protocol_are_refused_and_unknown_ids_too() {
    let (mut world, _) = World::alone();
    let sticky = |join: &mut Join| join.protocols[0].0 = "sticky".to_owned();
    let refused = got(&mut world.join_as("", None, sticky)).expect_err("refused");
    assert_eq!(refused.error, ResponseError::InconsistentGroupProtocol);
    assert_eq!(got(&mut world.join("nobody")).expect_err("refused").error, ResponseError::UnknownMemberId);
}

#[test]
fn a_member_that_leaves_makes_room_and_a_group_without_members_is_deserted() {
    let (mut world, first) = World::alone();
    let (second, mut joining) = world.enter();
    assert_eq!(world.group.leave(&first.member_id, None, world.now), Ok(()));
    assert_eq!(got(&mut joining).expect("joined").members.len(), 1);
    assert_eq!(world.group.leave(&second, None, world.now), Ok(()));
    assert!(world.group.is_deserted());
    assert_eq!(world.group.leave(&second, None, world.now), Err(ResponseError::UnknownMemberId));
}

#[test]
fn an_id_that_nobody_comes_back_with_delays_a_join_for_a_session_only() {
    let (mut world, first) = World::alone();
    got(&mut world.join("")).expect_err("an id is handed out, and its client dies");
    let mut joining = world.join(&first.member_id);
    assert!(waits(&mut joining));
    world.pass(SESSION);
    got(&mut joining).expect("joined");
}
