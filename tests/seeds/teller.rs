//! A fleet of which a story is told: what is published, what people do on the command line, what they then see.

use std::process::Output;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::{Refusal, Topic};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Answers, Ground, Topics, Up, binary, outcome};

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Fleet {
    pub(crate) up: Up,
    pub(crate) topics: Topics,
    pub(crate) ground: Ground,
}

impl Fleet {
    pub(crate) async fn start(faults: &str, args: &[&str]) -> Self {
        let up = Up::start(faults, args);
        Self { topics: Topics::of(&up.running), ground: Ground::of(&up.running).await, up }
    }

    /// Started again with other faults, as after a mended cause.
    pub(crate) async fn start_again_with(&mut self, faults: &str) {
        self.up.stop();
        self.up.start_again_with(faults);
        self.topics = Topics::of(&self.up.running);
        self.ground = Ground::of(&self.up.running).await;
    }

    /// Publishes a request of the canonical shape, and waits for its outcome.
    pub(crate) async fn request(&self, id: &str, slug: &str, body: &Value) -> Vec<Event> {
        self.topics.publish(vec![self.topics.binary(id, slug, body)]).await;
        self.outcome(id).await
    }

    /// Publishes a seed's document as it is, without any envelope.
    pub(crate) async fn document(&self, slug: &str, text: &str) -> Vec<Event> {
        self.topics
            .publish(vec![Outgoing {
                place: Place { topic: Topic::Requests, partition: self.topics.home(slug) },
                key: Some(Bytes::copy_from_slice(slug.as_bytes())),
                headers: Vec::new(),
                value: Some(Bytes::copy_from_slice(text.as_bytes())),
                tag: 0,
            }])
            .await;
        let of = |answers: &Answers| {
            let mut of: Vec<Event> = answers.values().flatten().cloned().collect();
            of.retain(|event| event.tenant.as_ref().is_some_and(|tenant| tenant.slug.as_str() == slug));
            of
        };
        self.wait(|answers| {
            let of = of(answers);
            let ended = of.iter().any(|event| {
                !matches!(
                    event.event,
                    EventKind::RequestAccepted | EventKind::OperationAccepted | EventKind::Notice
                )
            });
            ended.then_some(of)
        })
        .await
    }

    /// What was answered to a request once it has an outcome.
    pub(crate) async fn outcome(&self, id: &str) -> Vec<Event> {
        self.wait(|answers| outcome(answers, id).map(|_| answers[id].clone())).await
    }

    /// Waits until this kind of event was said about a slug.
    pub(crate) async fn said(&self, slug: &str, kind: EventKind) -> Event {
        let about = |event: &&Event| {
            event.event == kind && event.tenant.as_ref().is_some_and(|tenant| tenant.slug.as_str() == slug)
        };
        self.wait(|answers| answers.values().flatten().find(about).cloned()).await
    }

    async fn wait<T>(&self, look: impl Fn(&Answers) -> Option<T>) -> T {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answers = self.topics.answers().await;
            if let Some(found) = look(&answers) {
                return found;
            }
            if tokio::time::Instant::now() > end {
                panic!("it was not said in time: {answers:#?}\n{}", self.up.log());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A command of a person that must succeed.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.up.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A command that names its databases itself.
    #[track_caller]
    pub(crate) fn run_bare(&self, args: &[&str]) -> String {
        let output = std::process::Command::new(binary()).args(args).output().expect("the program starts");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Publishes a document that must be refused, and says why it was.
    pub(crate) async fn refusal(&self, slug: &str, text: &str) -> Refusal {
        let id = format!("refused-{slug}");
        let mut record = self.topics.binary(&id, slug, &Value::Null);
        record.value = Some(Bytes::copy_from_slice(text.as_bytes()));
        self.topics.publish(vec![record]).await;
        let told = self.outcome(&id).await;
        let last = told.last().expect("an outcome");
        assert!(matches!(last.event, EventKind::Rejected | EventKind::RequestRejected), "{told:#?}");
        last.refusal.clone().expect("a reason")
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.up.running.http).await.expect("the probes");
        let ask = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(ask).await.expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    }

    /// A command of a person that must be refused.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let output = self.up.run(args);
        assert!(!output.status.success(), "{args:?} went through: {}", said(&output));
        said(&output)
    }

    /// What `tenant show` says.
    #[track_caller]
    pub(crate) fn show(&self, slug: &str) -> Value {
        serde_json::from_str(&self.run(&["tenant", "show", slug, "--json"])).expect("JSON")
    }

    /// Waits until the tenant is in a state.
    pub(crate) async fn is(&self, slug: &str, state: &str) -> Value {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let shown = self.show(slug);
            if shown["state"] == state {
                return shown;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{slug} should be {state}: {shown:#}\n{}",
                self.up.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A yes of this person, about what stands now.
    #[track_caller]
    pub(crate) fn approve(&self, slug: &str, gate: &str, who: &str) {
        self.run(&[
            "tenant", "approve", slug, "--gate", gate, "--actor", who, "--reason", "reviewed", "--yes",
        ]);
    }

    /// The audit events of a tenant in order: type, row.
    pub(crate) async fn audit(&self, slug: &str) -> Vec<(String, String)> {
        let mut events = Vec::new();
        for record in self.topics.read(vec![Topic::Audit]).await {
            let event = tenantry_contracts::audit::decode(&record).expect("an audit event");
            if event.tenant.as_ref().is_some_and(|tenant| tenant.slug.as_str() == slug) {
                let row = event.row.map(|row| row.to_string()).unwrap_or_default();
                events.push((event.seq, event.kind.as_str().to_owned(), row));
            }
        }
        events.sort();
        events.dedup();
        events.into_iter().map(|(_, kind, row)| (kind, row)).collect()
    }

    /// The names of seed 000 by which its audit events are known, in the order of the tenant's chain.
    pub(crate) async fn aliases(&self, slug: &str) -> Vec<String> {
        let mut known = std::collections::BTreeMap::new();
        for record in self.topics.read(vec![Topic::Audit]).await {
            let event = tenantry_contracts::audit::decode(&record).expect("an audit event");
            if event.tenant.as_ref().is_some_and(|tenant| tenant.slug.as_str() == slug) {
                known.insert(event.seq, event.alias);
            }
        }
        known.into_values().flatten().collect()
    }

    /// The audit of everything verifies.
    #[track_caller]
    pub(crate) fn audit_verifies(&self) {
        self.run(&["audit", "verify"]);
    }

    /// The receipts of the provider, by the action that each is about: the signed content.
    pub(crate) fn receipts(&self) -> Vec<Value> {
        let mut found = Vec::new();
        let mut folders = vec![self.up.running.places.receipts.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "json") {
                    let text = std::fs::read(&path).expect("a receipt can be read");
                    found.push(serde_json::from_slice(&text).expect("an envelope"));
                }
            }
        }
        found
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The places of these audit events, which must stand in this order.
#[track_caller]
pub(crate) fn in_order(events: &[(String, String)], wanted: &[(&str, &str)]) {
    let mut at = 0;
    for (kind, row) in wanted {
        let found = events[at..].iter().position(|event| event.0 == *kind && event.1 == *row);
        at += 1 + found
            .unwrap_or_else(|| panic!("{kind} of {row:?} is missing, or not in its place: {events:#?}"));
    }
}
