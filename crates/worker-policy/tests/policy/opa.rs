//! An OPA server that answers well, and every way in which one can misbehave. The server of these tests speaks HTTP on
//! loopback and says what it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{NOW, Tenant};
use tenantry_step::{Step, Trouble};
use tenantry_worker_policy::Engine;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::world::{Decisions, refusal, sound};

const YES: &str = r#"{"result":{"allow":true,"deny":[]}}"#;

#[derive(Clone)]
struct Say {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: String,
    slow: bool,
}

/// What the server was asked: path and query, and the body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

struct Server {
    base: String,
    say: Arc<Mutex<Say>>,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn say(status: u16, headers: &'static [(&'static str, &'static str)], body: &str) -> Say {
    Say { status, headers, body: body.to_owned(), slow: false }
}

impl Server {
    async fn saying(first: Say) -> Self {
        let (say, asked) = (Arc::new(Mutex::new(first)), Asked::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (told, heard) = (Arc::clone(&say), Arc::clone(&asked));
        let app = Router::new().fallback(move |uri: Uri, body: Bytes| {
            let now = told.lock().unwrap().clone();
            let body = String::from_utf8(body.to_vec()).unwrap();
            heard.lock().unwrap().push((uri.to_string(), body));
            respond(now)
        });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, say, asked, task }
    }

    fn says(&self, next: Say) {
        *self.say.lock().unwrap() = next;
    }
}

async fn respond(say: Say) -> Response {
    if say.slow {
        return std::future::pending().await;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in say.headers {
        headers.insert(*name, value.parse().unwrap());
    }
    (StatusCode::from_u16(say.status).unwrap(), headers, say.body).into_response()
}

async fn with_server(prefix: &str, first: Say) -> (Decisions, Server) {
    let server = Server::saying(first).await;
    (Decisions::new(prefix, Engine::remote(&server.base).unwrap()).await, server)
}

#[tokio::test]
async fn a_server_is_asked_for_the_path_with_the_input_and_its_revision_is_told() {
    let body = r#"{"decision_id":"x","result":{"allow":true},
                   "provenance":{"version":"1.22.2","bundles":{"tenants":{"revision":"r17"}}}}"#;
    let (world, server) = with_server("asked", say(200, &[], body)).await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &sound()).await.unwrap();
    assert_eq!((output.engine.as_str(), output.bundle.as_str(), output.allow), ("opa", "r17", true));
    let (uri, input) = server.asked.lock().unwrap().remove(0);
    assert_eq!(uri, "/v1/data/tenants/provision?provenance=true");
    assert!(input.starts_with(r#"{"input":{"tenant":{"id":""#), "{input}");
    assert!(input.contains(r#""query":"tenants/provision","source":"https://crm.example.com""#), "{input}");
    // A repeat is answered from what stands, even though the server would say no by now.
    server.says(say(200, &[], r#"{"result":{"allow":false}}"#));
    assert_eq!(world.step.execute(&tenant.cx(11), &sound()).await.unwrap(), output);
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_behind_a_path_is_asked_there_and_several_bundles_are_all_named() {
    let body =
        r#"{"result":{"allow":true},"provenance":{"bundles":{"b":{"revision":"2"},"a":{"revision":"1"}}}}"#;
    let server = Server::saying(say(200, &[], body)).await;
    let engine = Engine::remote(&format!("{}/opa/", server.base)).unwrap();
    let world = Decisions::new("behind", engine).await;
    let output = world.step.execute(&Tenant::fresh().cx(10), &sound()).await.unwrap();
    assert_eq!(output.bundle, "a=1,b=2");
    assert_eq!(server.asked.lock().unwrap()[0].0, "/opa/v1/data/tenants/provision?provenance=true");
}

#[tokio::test]
async fn a_servers_no_is_a_denial_with_its_reasons() {
    let body = r#"{"result":{"allow":false,"deny":[{"id":"b","message":"two"},{"id":"a","message":"one"}]}}"#;
    let (world, _server) = with_server("no", say(200, &[], body)).await;
    let (code, class, message) = refusal(world.step.execute(&Tenant::fresh().cx(10), &sound()).await);
    assert_eq!((code, class), (Code::PolicyDenied, Class::Policy));
    assert!(message.ends_with(": a: one; b: two"), "{message}");
}

#[tokio::test]
async fn a_server_without_a_revision_that_changes_its_mind_makes_another_decision() {
    let (world, server) = with_server("mind", say(200, &[], r#"{"result":{"allow":false}}"#)).await;
    let tenant = Tenant::fresh();
    let denied = refusal(world.step.execute(&tenant.cx(10), &sound()).await).2;
    server.says(say(200, &[], YES));
    let output = world.step.execute(&tenant.cx(11), &sound()).await.unwrap();
    assert_eq!(output.bundle, "unknown");
    assert!(!denied.starts_with(&output.decision));
    assert_eq!(world.logged(&tenant).await.len(), 2);
}

#[tokio::test]
async fn no_result_and_no_clear_yes_never_allow() {
    let (world, server) = with_server("unclear", say(200, &[], "{}")).await;
    let large = format!(r#"{{"result":{{"allow":true}},"x":"{}"}}"#, "x".repeat(300_000));
    for (body, code) in [
        ("{}", Code::PolicyDenied),
        (r#"{"warning":{"code":"api_usage_warning"}}"#, Code::PolicyDenied),
        (r#"{"result":null}"#, Code::PolicyDenied),
        (r#"{"result":{}}"#, Code::PolicyDenied),
        (r#"{"result":{"allow":"yes"}}"#, Code::Misconfigured),
        (r#"{"result":true}"#, Code::Misconfigured),
        (r#"{"result":{"allow":true,"allow":false}}"#, Code::Misconfigured),
        ("", Code::Misconfigured),
        ("<html>welcome</html>", Code::Misconfigured),
        ("[]", Code::Misconfigured),
        (large.as_str(), Code::Misconfigured),
    ] {
        server.says(say(200, &[], body));
        let tenant = Tenant::fresh();
        let refused = refusal(world.step.execute(&tenant.cx(10), &sound()).await);
        let shown = &body[..body.len().min(80)];
        assert_eq!(refused.0, code, "{shown}: {}", refused.2);
        let standing = format!("select digest from worker_policy.record where tenant = '{}'", tenant.id);
        assert!(world.texts(&standing).await.is_empty(), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_its_body_does_not_matter() {
    let (world, server) = with_server("fails", say(500, &[], YES)).await;
    for status in [500, 502, 503, 504, 408, 429] {
        server.says(say(status, &[], YES));
        let answer = world.step.execute(&Tenant::fresh().cx(10), &sound()).await;
        assert_eq!(answer, Err(Trouble::Shaky(format!("the policy server answered {status}"))));
    }
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    let (world, server) = with_server("patience", say(429, &[("retry-after", "7")], YES)).await;
    let in_ms = |ms| Err(Trouble::NotYet(Duration::from_millis(ms)));
    assert_eq!(world.step.execute(&Tenant::fresh().cx(10), &sound()).await, in_ms(7_000));
    // The time of every question of the kit, and nine seconds.
    assert_eq!(NOW.0, 1_800_000_000_000);
    for (header, ms) in [
        (&[("retry-after", "Fri, 15 Jan 2027 08:00:09 GMT")], 9_000),
        (&[("retry-after", "Fri, 15 Jan 2021 08:00:09 GMT")], 1),
        (&[("retry-after", "0")], 1),
        (&[("retry-after", "999999999999999999")], 3_600_000),
    ] {
        server.says(say(503, header, ""));
        assert_eq!(world.step.execute(&Tenant::fresh().cx(10), &sound()).await, in_ms(ms), "{header:?}");
    }
    for unreadable in [&[("retry-after", "soon")], &[("retry-after", "-1")]] {
        server.says(say(503, unreadable, ""));
        let answer = world.step.execute(&Tenant::fresh().cx(10), &sound()).await;
        assert!(matches!(answer, Err(Trouble::Shaky(_))), "{unreadable:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_or_sends_elsewhere_must_be_mended() {
    let (world, server) = with_server("refuses", say(401, &[], YES)).await;
    for status in [201, 204, 302, 307, 400, 401, 403, 404] {
        server.says(say(status, &[("location", "/v1/data/elsewhere")], YES));
        let (code, class, message) = refusal(world.step.execute(&Tenant::fresh().cx(10), &sound()).await);
        assert_eq!((code, class), (Code::Misconfigured, Class::Config), "{status}");
        assert!(message.contains(&status.to_string()), "{message}");
    }
    assert_eq!(server.asked.lock().unwrap().len(), 8, "no redirect was followed");
}

#[tokio::test]
async fn a_server_that_is_slow_or_down_is_asked_again() {
    let slow = Say { slow: true, ..say(200, &[], YES) };
    let (world, server) = with_server("slow", slow).await;
    let mut tenant = Tenant::fresh();
    tenant.limit_ms = 200;
    let answer = world.step.execute(&tenant.cx(10), &sound()).await;
    assert_eq!(answer, Err(Trouble::shaky("the policy server gave no decision in time")));

    // A port that was free a moment ago, and nobody listens on it.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = world.with(Engine::remote(&format!("http://{closed}")).unwrap());
    let answer = down.execute(&Tenant::fresh().cx(10), &sound()).await;
    assert_eq!(answer, Err(Trouble::shaky("the policy server cannot be reached")));
    assert!(world.texts("select decision from worker_policy.decision_log").await.is_empty());
    drop(server);
}

#[tokio::test]
async fn no_trouble_tells_the_servers_address() {
    let engine = Engine::remote("http://user:canary@127.0.0.1:1/canary").unwrap();
    assert!(!format!("{engine:?}").contains("canary"));
    let world = Decisions::new("address", engine).await;
    let answer = world.step.execute(&Tenant::fresh().cx(10), &sound()).await;
    assert!(!answer.unwrap_err().to_string().contains("canary"));
}
