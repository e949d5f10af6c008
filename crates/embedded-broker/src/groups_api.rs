//! The requests about consumer groups, turned into calls on their state machines and back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use tokio::sync::oneshot;

use crate::Shared;
use crate::admin::NODE;
use crate::groups::{Caller, Group, Join, Joined, Refusal};
use crate::store::lock;
use crate::wire::{Client, text};

/// Sessions that members may ask for, in milliseconds.
const SESSION_MS: std::ops::RangeInclusive<i32> = 100..=1_800_000;
/// The type of a group that has committed offsets and no members.
const CONSUMER: &str = "consumer";

pub(crate) fn find_coordinator(
    shared: &Shared,
    request: &FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default();
    if request.key_type != 0 {
        let error = ResponseError::TransactionalIdAuthorizationFailed.code();
        let why =
            (version >= 1).then(|| text("only groups have a coordinator here, there are no transactions"));
        return response
            .with_error_code(error)
            .with_error_message(why)
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let host = text(shared.address.ip().to_string());
    response.with_node_id(NODE).with_host(host).with_port(i32::from(shared.address.port()))
}

pub(crate) async fn join(
    shared: &Shared,
    client: &Client,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let joined = joined(shared, client, &request, version).await;
    let (error, joined) = match joined {
        Ok(joined) => (0, joined),
        Err(refusal) => {
            let member_id =
                if refusal.member_id.is_empty() { member_id.to_string() } else { refusal.member_id };
            (refusal.error.code(), Joined { generation: -1, member_id, ..Joined::default() })
        }
    };
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        let instance = instance.filter(|_| version >= 5).map(text);
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance)
            .with_metadata(metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(error)
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then_some(request.protocol_type))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

async fn joined(
    shared: &Shared,
    client: &Client,
    request: &JoinGroupRequest,
    version: i16,
) -> Result<Joined, Refusal> {
    let refuse = |error| Err(Refusal { error, member_id: String::new() });
    if request.group_id.is_empty() {
        return refuse(ResponseError::InvalidGroupId);
    }
    if !SESSION_MS.contains(&request.session_timeout_ms) {
        return refuse(ResponseError::InvalidSessionTimeout);
    }
    let session_timeout = millis(request.session_timeout_ms);
    let protocols = request.protocols.iter();
    let join = Join {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(|instance| instance.to_string()),
        client_id: client.id.clone(),
        client_host: client.peer.ip().to_string(),
        session_timeout,
        rebalance_timeout: if version >= 1 { millis(request.rebalance_timeout_ms) } else { session_timeout },
        protocol_type: request.protocol_type.to_string(),
        // Copied, so that a group does not keep the whole frame.
        protocols: protocols
            .map(|one| (one.name.to_string(), Bytes::copy_from_slice(&one.metadata)))
            .collect(),
        knows_member_id_required: version >= 4,
    };
    let (reply, answer) = oneshot::channel();
    with_group(shared, &request.group_id, |group| group.join(join, reply, Instant::now()));
    shared.groups_changed.notify_one();
    wait(client, answer).await.unwrap_or_else(|| refuse(ResponseError::UnknownMemberId))
}

pub(crate) async fn sync(
    shared: &Shared,
    client: &Client,
    request: SyncGroupRequest,
    version: i16,
) -> SyncGroupResponse {
    let (reply, answer) = oneshot::channel();
    let parts = request.assignments.into_iter();
    let parts =
        parts.map(|part| (part.member_id.to_string(), Bytes::copy_from_slice(&part.assignment))).collect();
    let caller = Caller {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    with_group(shared, &request.group_id, |group| group.sync(&caller, parts, reply, Instant::now()));
    shared.groups_changed.notify_one();
    let part = wait(client, answer).await.unwrap_or(Err(ResponseError::UnknownMemberId));
    let response = SyncGroupResponse::default();
    match part {
        Ok(assignment) if version >= 5 => response
            .with_assignment(assignment)
            .with_protocol_type(request.protocol_type)
            .with_protocol_name(request.protocol_name),
        Ok(assignment) => response.with_assignment(assignment),
        Err(error) => response.with_error_code(error.code()),
    }
}

pub(crate) fn heartbeat(shared: &Shared, request: &HeartbeatRequest) -> HeartbeatResponse {
    let caller = Caller {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let alive = with_group(shared, &request.group_id, |group| group.heartbeat(&caller, Instant::now()));
    HeartbeatResponse::default().with_error_code(code(alive))
}

pub(crate) fn leave(shared: &Shared, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    let response = LeaveGroupResponse::default();
    let now = Instant::now();
    shared.groups_changed.notify_one();
    if version < 3 {
        let left = with_group(shared, &request.group_id, |group| group.leave(&request.member_id, None, now));
        return response.with_error_code(code(left));
    }
    let members = request.members.into_iter().map(|member| {
        let instance = member.group_instance_id.as_deref();
        let left =
            with_group(shared, &request.group_id, |group| group.leave(&member.member_id, instance, now));
        MemberResponse::default()
            .with_error_code(code(left))
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
    });
    response.with_members(members.collect())
}

pub(crate) fn list(shared: &Shared, request: &ListGroupsRequest, version: i16) -> ListGroupsResponse {
    let names: BTreeSet<String> = {
        let with_offsets: BTreeSet<String> = lock(&shared.offsets).groups().map(str::to_owned).collect();
        lock(&shared.groups)
            .iter()
            .filter(|(_, group)| !group.is_deserted())
            .map(|(name, _)| name.clone())
            .chain(with_offsets)
            .collect()
    };
    let groups = names.into_iter().filter_map(|name| {
        let (state, kind) = match lock(&shared.groups).get(&name) {
            Some(group) if !group.members.is_empty() => (group.state(), group.protocol_type.clone()),
            _ => ("Empty", CONSUMER.to_owned()),
        };
        let wanted = request.states_filter.is_empty()
            || request.states_filter.iter().any(|filter| filter.eq_ignore_ascii_case(state));
        let listed = ListedGroup::default().with_group_id(GroupId(text(name))).with_protocol_type(text(kind));
        wanted.then(|| if version >= 4 { listed.with_group_state(text(state)) } else { listed })
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(crate) fn describe(
    shared: &Shared,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|name| {
        let described = match lock(&shared.groups).get(name.as_str()) {
            Some(group) if !group.members.is_empty() => described(group, version),
            _ if lock(&shared.offsets).has(&name) => {
                DescribedGroup::default().with_group_state(text("Empty")).with_protocol_type(text(CONSUMER))
            }
            _ => DescribedGroup::default().with_group_state(text("Dead")),
        };
        described.with_group_id(name)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn described(group: &Group, version: i16) -> DescribedGroup {
    let members = group.members.iter().map(|(id, member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id.clone()))
            .with_group_instance_id(member.join.instance.clone().filter(|_| version >= 4).map(text))
            .with_client_id(text(member.join.client_id.clone()))
            .with_client_host(text(format!("/{}", member.join.client_host)))
            .with_member_metadata(member.metadata(&group.protocol))
            .with_member_assignment(member.assignment.clone())
    });
    DescribedGroup::default()
        .with_group_state(text(group.state()))
        .with_protocol_type(text(group.protocol_type.clone()))
        .with_protocol_data(text(group.protocol.clone()))
        .with_members(members.collect())
}

pub(crate) fn delete(shared: &Shared, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|name| {
        // Held to the end, so that nobody joins in between.
        let mut groups = lock(&shared.groups);
        let mut offsets = lock(&shared.offsets);
        let deleted = if groups.get(name.as_str()).is_some_and(|group| !group.is_deserted()) {
            Err(ResponseError::NonEmptyGroup)
        } else if offsets.has(&name) {
            offsets.delete_group(&name).map_err(crate::offsets_api::storage)
        } else {
            groups.get(name.as_str()).map(drop).ok_or(ResponseError::GroupIdNotFound)
        };
        if deleted.is_ok() {
            groups.remove(name.as_str());
        }
        DeletableGroupResult::default().with_group_id(name).with_error_code(code(deleted))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

/// Works on a group, which need not have been there.
pub(crate) fn with_group<T>(shared: &Shared, name: &str, work: impl FnOnce(&mut Group) -> T) -> T {
    let mut groups = lock(&shared.groups);
    let done = work(groups.entry(name.to_owned()).or_default());
    if groups.get(name).is_some_and(Group::is_deserted) {
        groups.remove(name);
    }
    done
}

/// The answer, unless the client hangs up first or the group lets go of it.
async fn wait<T>(client: &Client, answer: oneshot::Receiver<T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => answer.ok(),
        () = client.gone() => None,
    }
}

fn code(done: Result<(), ResponseError>) -> i16 {
    done.map_or_else(|error| error.code(), |()| 0)
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
