# Whether a tenant may be made. Asked as `tenants/provision` before anything else is done, in every flow.
#
# A rule that denies gives its id and one sentence. It says `not <function of what must hold>`, so that a member or a table
# that is missing denies: `not input.x in set` would be undefined in OPA where x is absent. The tables stand in data.json. What the worker `validate` refuses with a code of
# its own (an unknown plan or region, a region outside one of the fleet's residencies) is left to it.
package tenants.provision

import data.provisioning

default allow := false

allow if {
	count(deny) == 0
	is_well_formed(input)
}

is_well_formed(request) if {
	request.query == "tenants/provision"
	is_string(request.tenant.id)
	is_string(request.source)
	is_string(request.initiator)
	is_string(request.plan)
}

# Who may ask at all. `*` is every source.
deny contains reason if {
	not is_listed_source(input)
	reason := {
		"id": "source.allowed",
		"message": "this source may not ask for tenants; add it to `sources` or publish from one that is listed",
	}
}

is_listed_source(_) if "*" in provisioning.sources

is_listed_source(request) if request.source in provisioning.sources

# Which residencies a source may ask for, where it is bound to some.
deny contains reason if {
	residencies := provisioning.source_residencies[input.source]
	not is_within(input, residencies)
	reason := {
		"id": "source.residency",
		"message": sprintf(
			"this source may ask for data in %s only; name one of these as the residency",
			[concat(", ", residencies)],
		),
	}
}

is_within(request, residencies) if upper(request.residency) in residencies

# The platform's admins and, where it is switched on, the tenant's own people. Nobody else starts a flow.
deny contains reason if {
	not is_known_initiator(input)
	reason := {
		"id": "initiator.known",
		"message": "only `admin` and `self` can ask for a tenant",
	}
}

is_known_initiator(request) if request.initiator in {"admin", "self"}

deny contains reason if {
	input.initiator == "self"
	not is_self_serve_on(input)
	reason := {
		"id": "self_serve.enabled",
		"message": "self-serve is switched off; let a platform admin ask",
	}
}

deny contains reason if {
	input.initiator == "self"
	not is_self_serve_plan(input)
	reason := {
		"id": "self_serve.plan",
		"message": "this plan cannot be had by self-serve; choose a smaller one or let a platform admin ask",
	}
}

deny contains reason if {
	input.initiator == "self"
	not is_within_self_serve_seats(input)
	reason := {
		"id": "self_serve.seats",
		"message": "more seats than self-serve gives; ask for fewer or let a platform admin ask",
	}
}

is_self_serve_on(_) if provisioning.self_serve.enabled == true

is_self_serve_plan(request) if plan_of(request) in provisioning.self_serve.plans

is_within_self_serve_seats(request) if object.get(request, "seats", 0) <= provisioning.self_serve.seats

# The template's name where it is known, since plans have aliases.
plan_of(request) := lower(object.get(request, "template", request.plan))

# A residency that is a country: its data stays where the country's law is in force.
deny contains reason if {
	country := upper(input.residency)
	residency := provisioning.countries[country]
	input.region
	not lies_in(input, residency)
	reason := {
		"id": "residency.region",
		"message": sprintf(
			"data of %s stays in %s; choose one of the regions there: %s",
			[country, residency, concat(", ", object.get(provisioning, ["regions", residency], []))],
		),
	}
}

lies_in(request, residency) if lower(request.region) in provisioning.regions[residency]

# Plans whose data has to be kept under enhanced encryption in some residencies. Where the request does not say, the
# template decides.
deny contains reason if {
	input.encryption == "standard"
	residency := law_of(input)
	plan_of(input) in provisioning.enhanced_encryption[residency]
	reason := {
		"id": "encryption.residency",
		"message": sprintf("data of this plan in %s needs enhanced encryption", [residency]),
	}
}

law_of(request) := provisioning.countries[upper(request.residency)]

law_of(request) := upper(request.residency) if not provisioning.countries[upper(request.residency)]
