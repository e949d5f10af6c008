//! Metrics have their names and labels, and never a tenant.

use std::collections::BTreeSet;
use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tenantry_serve::telemetry;

use crate::world::{Run, World, execute, tenant};

/// Notes which metrics are used, with their labels.
#[derive(Default)]
struct Names(Mutex<BTreeSet<String>>);

impl Names {
    fn note(&self, key: &Key) {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        self.0.lock().unwrap().insert(format!("{}{{{}}}", key.name(), labels.join(",")));
    }
}

impl Recorder for Names {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

#[test]
fn metrics_name_step_and_code_and_never_a_tenant() {
    let names = Names::default();
    metrics::with_local_recorder(&names, || {
        let world = World::new();
        world.ask(0, &execute(1, 7, &["shaky", "no"]));
        world.ask(0, &execute(2, 7, &["ok"]));
        world.put(crate::world::place("probe", 0).topic, 0, None, vec![], Some("nonsense".into()));
        Run::start(&world).until("all are finished", |world| world.stored("probe", 0) == Some(3));
    });
    let names = names.0.into_inner().unwrap();
    for want in [
        "provision_step_failures_total{step=probe.make,code=owned_by_other}".to_owned(),
        format!("{}{{step=probe.make,verb=execute,outcome=succeeded}}", telemetry::STEP_DURATION),
        format!("{}{{step=probe.make}}", telemetry::STEP_RETRIES),
        format!("{}{{topic=tenant.commands.probe,code=envelope_invalid}}", telemetry::DEAD_LETTERS),
    ] {
        assert!(names.contains(&want), "{want} is not among {names:#?}");
    }
    let tenants = [tenant(1).to_string(), "acme".to_owned()];
    assert!(names.iter().all(|name| tenants.iter().all(|tenant| !name.contains(tenant))), "{names:#?}");
}
