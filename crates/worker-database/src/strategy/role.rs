//! The tenant's role, alike in every strategy.

use postgres_protocol::password::scram_sha_256;
use sha2::{Digest, Sha256};
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::literal;
use tenantry_step::{Answer, Cx, Trouble};

use crate::provider::{Job, Thing};

/// The comment on the role `$n`, null where there is none.
pub(super) fn tag(n: u8) -> String {
    format!("(select coalesce(shobj_description(oid, 'pg_authid'), '') from pg_roles where rolname = ${n})")
}

/// Makes the role, or sets what the input says of it. `powers` says whether it has what its groups have.
pub(super) async fn make(job: &Job<'_>, found: Thing, powers: &str) -> Answer<String> {
    let (role, connections) = (&job.names.role, job.input.connections);
    if found != Thing::Absent {
        return Ok(format!("alter role {role} connection limit {connections};"));
    }
    let (verifier, tag) = (literal(&verifier(job.cx).await?), literal(&job.cx.owner_tag()));
    let schema = &job.names.schema;
    Ok(format!(
        "create role {role} login {powers} connection limit {connections} password {verifier};
         comment on role {role} is {tag};
         grant {role} to current_user;
         alter role {role} set search_path = {schema};"
    ))
}

/// Drops the role, if it is there.
pub(super) fn remove(job: &Job<'_>, found: Thing) -> String {
    let role = &job.names.role;
    if found == Thing::Absent { String::new() } else { format!("drop owned by {role}; drop role {role};") }
}

/// What it means that the role cannot be dropped.
pub(super) fn failed(error: tokio_postgres::Error) -> Trouble {
    match error.code() {
        Some(state) if state.code() == "2BP01" => Trouble::no(
            Code::OwnedByOther,
            Class::Conflict,
            "the tenant's role still owns things in another database",
        ),
        _ => error.into(),
    }
}

/// A SCRAM verifier for a password that is forgotten here: it was never sent, and whoever needs to log in sets another.
async fn verifier(cx: &Cx) -> Answer<String> {
    let password = Sha256::new()
        .chain_update(b"tenantry/1\nrole password\n")
        .chain_update(cx.tenant.0.as_bytes())
        .chain_update(cx.entropy)
        .finalize();
    // Thousands of rounds of hashing would hold up the other questions of this thread.
    tokio::task::spawn_blocking(move || scram_sha_256(hex::encode(password).as_bytes()))
        .await
        .map_err(|_| Trouble::shaky("the process is ending"))
}
