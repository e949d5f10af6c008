# The rules of `tenants/provision`, one by one, with what they must not catch.
package tenants.provision_test

import data.tenants.provision

request := {
	"query": "tenants/provision",
	"source": "https://crm.example.com",
	"initiator": "admin",
	"plan": "enterprise",
	"residency": "US",
	"region": "us-east-1",
	"seats": 250,
	"tenant": {"id": "01919191-9191-7191-8191-919191919191", "slug": "acme", "environment": "prod"},
}

self_serve := {"enabled": true, "plans": ["starter"], "seats": 10}

self_request := object.union(request, {"initiator": "self", "plan": "starter", "seats": 10})

changed(changes) := object.union(request, changes)

without(members) := object.remove(request, members)

denied_by(reasons) := {reason.id | some reason in reasons}

test_a_sound_request_is_allowed if {
	provision.allow with input as request
	count(provision.deny) == 0 with input as request
}

test_nothing_asked_is_not_allowed if {
	not provision.allow with input as {}
}

test_a_request_without_a_tenant_is_not_allowed if {
	not provision.allow with input as without({"tenant"})
}

test_another_query_is_not_allowed if {
	not provision.allow with input as changed({"query": "tenants/delete"})
}

test_every_reason_has_an_id_and_a_message if {
	reasons := provision.deny with input as {"initiator": "self", "residency": "DE", "region": "us-east-1"}
	count(reasons) > 0
	every reason in reasons {
		object.keys(reason) == {"id", "message"}
		reason.message != ""
	}
}

test_a_source_that_is_not_listed_is_denied if {
	denied_by(provision.deny) == {"source.allowed"} with input as request
		with data.provisioning.sources as ["https://erp.example.com"]
}

test_a_listed_source_is_allowed if {
	provision.allow with input as request with data.provisioning.sources as ["https://crm.example.com"]
}

test_no_source_is_allowed_without_the_list if {
	denied_by(provision.deny) == {"source.allowed"} with input as request
		with data.provisioning.sources as null
}

test_a_source_that_is_bound_to_a_residency_keeps_to_it if {
	provision.allow with input as changed({"residency": "eu", "region": "eu-west-1"})
		with data.provisioning.source_residencies as {"https://crm.example.com": ["EU"]}
}

test_a_source_that_is_bound_to_a_residency_is_denied_another if {
	denied_by(provision.deny) == {"source.residency"} with input as request
		with data.provisioning.source_residencies as {"https://crm.example.com": ["EU"]}
}

test_a_source_that_is_bound_to_a_residency_must_name_it if {
	denied_by(provision.deny) == {"source.residency"} with input as without({"residency"})
		with data.provisioning.source_residencies as {"https://crm.example.com": ["EU"]}
}

test_an_unknown_initiator_is_denied if {
	denied_by(provision.deny) == {"initiator.known"} with input as changed({"initiator": "reseller"})
}

test_no_initiator_is_denied if {
	denied_by(provision.deny) == {"initiator.known"} with input as without({"initiator"})
	not provision.allow with input as without({"initiator"})
}

test_self_serve_is_off_by_default if {
	denied_by(provision.deny) == {"self_serve.enabled"} with input as self_request
}

test_self_serve_gives_nothing_without_its_table if {
	denied_by(provision.deny) == {"self_serve.enabled", "self_serve.plan", "self_serve.seats"} with input as self_request
		with data.provisioning.self_serve as {}
}

test_self_serve_is_allowed_where_it_is_switched_on if {
	provision.allow with input as self_request with data.provisioning.self_serve as self_serve
}

test_self_serve_knows_an_alias_by_its_template if {
	provision.allow with input as object.union(self_request, {"plan": "basic", "template": "starter"})
		with data.provisioning.self_serve as self_serve
}

test_self_serve_gives_the_listed_plans_only if {
	denied_by(provision.deny) == {"self_serve.plan"} with input as object.union(self_request, {"plan": "enterprise"})
		with data.provisioning.self_serve as self_serve
}

test_self_serve_gives_no_more_than_its_seats if {
	denied_by(provision.deny) == {"self_serve.seats"} with input as object.union(self_request, {"seats": 11})
		with data.provisioning.self_serve as self_serve
}

test_self_serve_gives_the_seats_of_the_plan_where_none_are_named if {
	provision.allow with input as object.remove(self_request, {"seats"})
		with data.provisioning.self_serve as self_serve
}

test_data_of_germany_stays_in_the_eu if {
	denied_by(provision.deny) == {"residency.region"} with input as changed({"residency": "DE"})
}

test_data_of_germany_may_lie_anywhere_in_the_eu if {
	provision.allow with input as changed({"residency": "de", "region": "EU-West-1"})
}

test_data_of_a_country_has_no_region_without_the_table if {
	asked := {"residency": "DE", "region": "eu-west-1"}
	denied_by(provision.deny) == {"residency.region"} with input as changed(asked) with data.provisioning.regions as {}
}

test_a_country_without_a_region_is_left_to_validate if {
	provision.allow with input as object.union(without({"region"}), {"residency": "DE"})
}

test_data_of_britain_stays_in_the_uk if {
	denied_by(provision.deny) == {"residency.region"} with input as changed({"residency": "GB", "region": "eu-west-1"})
}

test_a_region_outside_one_of_the_fleets_residencies_is_left_to_validate if {
	provision.allow with input as changed({"residency": "EU", "region": "us-east-1"})
}

test_an_unknown_plan_or_region_is_left_to_validate if {
	provision.allow with input as changed({"plan": "gold", "region": "mars-1"})
}

test_standard_encryption_is_too_weak_for_an_enterprise_in_the_eu if {
	asked := {"residency": "EU", "region": "eu-west-1", "encryption": "standard"}
	denied_by(provision.deny) == {"encryption.residency"} with input as changed(asked)
}

test_standard_encryption_is_too_weak_for_an_enterprise_in_a_country_of_the_eu if {
	asked := {"residency": "FR", "region": "eu-west-3", "encryption": "standard"}
	denied_by(provision.deny) == {"encryption.residency"} with input as changed(asked)
}

test_enhanced_encryption_is_strong_enough if {
	asked := {"residency": "EU", "region": "eu-west-1", "encryption": "enhanced"}
	provision.allow with input as changed(asked)
}

test_standard_encryption_is_enough_elsewhere if {
	provision.allow with input as changed({"encryption": "standard"})
	provision.allow with input as changed({"residency": "EU", "encryption": "standard", "plan": "starter"})
}
