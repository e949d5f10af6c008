//! What is decided, remembered, repeated and withdrawn.

use tenantry_contracts::steps::policy::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::Tenant;
use tenantry_step::{Observed, Step, Trouble};
use tenantry_worker_policy::Engine;

use crate::world::{Decisions, policy, refusal, sound};

fn self_serve() -> Input {
    Input { initiator: "self".to_owned(), ..sound() }
}

#[tokio::test]
async fn a_decision_names_its_bundle_its_input_and_its_engine() {
    let (world, tenant) = (Decisions::new("named", Engine::built_in()).await, Tenant::fresh());
    let output = world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    assert!(output.allow && output.notices.is_empty());
    assert_eq!(output.engine, "embedded");
    assert_eq!(Some(output.bundle.as_str()), Engine::built_in().bundle());
    assert_eq!((output.bundle.len(), output.input.len()), (64, 64));
    assert_eq!(output.decision.len(), "dec_".len() + 24);
    assert_eq!(world.logged(&tenant).await, [format!("{} true []", output.decision)]);
}

#[tokio::test]
async fn the_log_keeps_what_the_policies_saw() {
    let (world, tenant) = (Decisions::new("saw", Engine::built_in()).await, Tenant::fresh());
    let mut cx = tenant.cx(10);
    cx.region = Some("us-west-2".to_owned());
    let asked = Input { region: None, ..sound() };
    let output = world.step.execute(&cx, &asked).await.unwrap();
    let kept = world
        .texts(
            "select concat_ws(' ', query, engine, bundle, input_digest, input #>> '{tenant,id}',
                 input #>> '{tenant,slug}', input #>> '{tenant,environment}', input ->> 'region',
                 input ->> 'source', extract(epoch from at)::bigint)
             from worker_policy.decision_log",
        )
        .await;
    let (id, slug) = (tenant.id, &tenant.slug);
    assert_eq!(
        kept,
        [format!(
            "tenants/provision embedded {} {} {id} {slug} {} us-west-2 https://crm.example.com {}",
            output.bundle,
            output.input,
            cx.environment,
            cx.now.0 / 1000
        )]
    );
    // The digest is that of the bytes that were kept.
    let digest =
        "select encode(sha256(convert_to(input::text, 'UTF8')), 'hex') from worker_policy.decision_log";
    assert_eq!(world.texts(digest).await, [output.input]);
}

#[tokio::test]
async fn a_denial_is_answered_with_its_id_and_rule_and_is_logged_once() {
    let (world, tenant) = (Decisions::new("denied", Engine::built_in()).await, Tenant::fresh());
    let first = refusal(world.step.execute(&tenant.cx(10), &self_serve()).await);
    assert_eq!((first.0, first.1), (Code::PolicyDenied, Class::Policy));
    let (decision, reasons) = first.2.split_once(": ").unwrap();
    assert!(decision.starts_with("dec_") && decision.len() == 28, "{decision}");
    assert_eq!(
        reasons,
        "self_serve.enabled: self-serve is switched off; let a platform admin ask; \
         self_serve.plan: this plan cannot be had by self-serve; choose a smaller one or let a platform admin ask; \
         self_serve.seats: more seats than self-serve gives; ask for fewer or let a platform admin ask"
    );
    for token in [10, 11] {
        assert_eq!(refusal(world.step.execute(&tenant.cx(token), &self_serve()).await), first);
    }
    let logged = world.logged(&tenant).await;
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(
        logged[0].starts_with(&format!("{decision} false [{{\"id\":\"self_serve.enabled\"")),
        "{logged:?}"
    );
    assert_eq!(world.step.observe(&tenant.cx(12), &self_serve()).await.unwrap(), Observed::Absent);
    world.step.compensate(&tenant.cx(20), &self_serve(), None).await.unwrap();
    assert_eq!(world.logged(&tenant).await, logged, "an undo removes nothing from the log");
    let late = world.step.execute(&tenant.cx(15), &self_serve()).await;
    assert_eq!(late.unwrap_err(), Trouble::Superseded);
}

#[tokio::test]
async fn a_withdrawn_decision_stays_in_the_log_and_is_made_again_under_its_id() {
    let (world, tenant) = (Decisions::new("withdrawn", Engine::built_in()).await, Tenant::fresh());
    let made = world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    world.step.compensate(&tenant.cx(20), &sound(), Some(&made)).await.unwrap();
    assert_eq!(world.step.observe(&tenant.cx(21), &sound()).await.unwrap(), Observed::Absent);
    assert_eq!(world.step.execute(&tenant.cx(30), &sound()).await.unwrap(), made);
    assert_eq!(world.logged(&tenant).await.len(), 1);
}

#[tokio::test]
async fn a_question_that_was_decided_keeps_its_answer_when_the_policies_change() {
    let (world, tenant) = (Decisions::new("changed", Engine::built_in()).await, Tenant::fresh());
    let first = world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    let stricter = world.with(policy("allow := false"));
    assert_eq!(stricter.foresee(&tenant.cx(11), &sound()).await.unwrap(), Some(first.clone()));
    assert_eq!(stricter.execute(&tenant.cx(11), &sound()).await.unwrap(), first);
    // Another question meets the policies that there are now, and what stands goes on to stand.
    let more = Input { seats: Some(251), ..sound() };
    assert_eq!(refusal(stricter.execute(&tenant.cx(12), &more).await).0, Code::PolicyDenied);
    let seen = stricter.observe(&tenant.cx(13), &sound()).await.unwrap();
    assert_eq!(seen, Observed::Ours { differences: vec![] });
    assert_eq!(world.logged(&tenant).await.len(), 2);
    // A repeat under the fence of a later question is late.
    let late = stricter.execute(&tenant.cx(11), &sound()).await;
    assert_eq!(late.unwrap_err(), Trouble::Superseded);
}

#[tokio::test]
async fn a_changed_question_replaces_the_decision() {
    let (world, tenant) = (Decisions::new("replaced", Engine::built_in()).await, Tenant::fresh());
    let first = world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    let more = Input { seats: Some(251), ..sound() };
    let second = world.step.execute(&tenant.cx(11), &more).await.unwrap();
    assert_ne!((&first.decision, &first.input), (&second.decision, &second.input));
    let seen = world.step.observe(&tenant.cx(12), &sound()).await.unwrap();
    assert!(matches!(&seen, Observed::Ours { differences } if differences.len() == 1), "{seen:?}");
}

#[tokio::test]
async fn two_tenants_with_the_same_wishes_have_decisions_of_their_own() {
    let world = Decisions::new("apart", Engine::built_in()).await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let first = world.step.execute(&one.cx(10), &sound()).await.unwrap();
    let second = world.step.execute(&two.cx(10), &sound()).await.unwrap();
    assert_ne!(first.decision, second.decision);
}

#[tokio::test]
async fn foresight_says_the_no_that_would_come_and_writes_nothing() {
    let (world, tenant) = (Decisions::new("foreseen", Engine::built_in()).await, Tenant::fresh());
    let foreseen = refusal(world.step.foresee(&tenant.cx(10), &self_serve()).await);
    assert_eq!(world.logged(&tenant).await, Vec::<String>::new());
    assert_eq!(world.texts("select resource from worker_policy.fence").await, Vec::<String>::new());
    assert_eq!(refusal(world.step.execute(&tenant.cx(10), &self_serve()).await), foreseen);
}

#[tokio::test]
async fn notices_of_the_policies_are_told_in_order() {
    let rules = r#"allow := true
        notices contains {"code": "capacity_low", "message": "b"}
        notices contains {"code": "capacity_low", "message": "a\nline"}"#;
    let (world, tenant) = (Decisions::new("notices", policy(rules)).await, Tenant::fresh());
    let output = world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    let told: Vec<_> = output.notices.iter().map(|notice| (notice.code, notice.message.as_str())).collect();
    assert_eq!(told, [(Code::CapacityLow, "a line"), (Code::CapacityLow, "b")]);
}

#[tokio::test]
async fn nothing_in_the_log_can_be_changed_or_removed() {
    let (world, tenant) = (Decisions::new("log", Engine::built_in()).await, Tenant::fresh());
    world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    let before = world.logged(&tenant).await;
    let client = world.pool.get().await.unwrap();
    for sql in [
        "update worker_policy.decision_log set allow = false",
        "delete from worker_policy.decision_log",
        "truncate worker_policy.decision_log",
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code().map(|state| state.code()), Some("23001"), "{sql}");
    }
    assert_eq!(world.logged(&tenant).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn preparing_can_be_repeated_and_done_at_once() {
    let world = Decisions::new("prepared", Engine::built_in()).await;
    let at_once =
        futures::future::join_all((0..4).map(|_| tenantry_worker_policy::prepare(&world.pool))).await;
    assert_eq!(at_once, [Ok(()), Ok(()), Ok(()), Ok(())]);
}
