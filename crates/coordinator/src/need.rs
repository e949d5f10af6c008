//! What a batch must know before it is stepped.

use std::collections::BTreeSet;

use tenantry_contracts::request::{Decoded, Kind};
use tenantry_contracts::{Environment, Slug, TenantId};
use tenantry_ports::{Found, Need};

use crate::lane::{Item, Lane, request_id};

/// What these items need and neither memory nor an earlier read has. Asked again after each read until nothing is
/// missing: the holder of a slug is known only after the first.
pub(crate) fn missing<'a>(
    lanes: impl Iterator<Item = (&'a Lane, &'a [Item])>,
    found: Option<&Found>,
) -> Need {
    let mut requests = BTreeSet::new();
    let mut slugs: BTreeSet<(Environment, Slug)> = BTreeSet::new();
    let mut tenants: BTreeSet<TenantId> = BTreeSet::new();
    for (lane, items) in lanes {
        for item in items {
            if found.is_none() {
                requests.extend(request_id(item).cloned());
            }
            let (slug, named, whole) = match item {
                Item::Request(_, Decoded::Heard(heard)) => {
                    let request = &heard.request;
                    let key = (request.environment.clone(), request.slug.clone());
                    (key, request.tenant, request.kind != Kind::Provision)
                }
                Item::Operation(_, Ok(operation)) => {
                    let Some(target) = &operation.target else { continue };
                    ((target.environment.clone(), target.slug.clone()), target.tenant, true)
                }
                _ => continue,
            };
            let holder = match found {
                None => {
                    if !lane.slugs.contains_key(&slug) {
                        slugs.insert(slug);
                    }
                    None
                }
                Some(found) => found.slugs.get(&slug).copied(),
            };
            let wanted = named.into_iter().chain(holder.filter(|_| whole && named.is_none()));
            tenants.extend(wanted.filter(|id| !lane.tenants.contains_key(id)));
        }
    }
    if let Some(found) = found {
        tenants.retain(|id| !found.tenants.contains_key(id));
        // Ids that upstream named and that do not exist were asked for in the first read.
        tenants.retain(|id| found.slugs.values().any(|holder| holder == id));
    }
    Need {
        requests: requests.into_iter().collect(),
        slugs: slugs.into_iter().collect(),
        tenants: tenants.into_iter().collect(),
    }
}
