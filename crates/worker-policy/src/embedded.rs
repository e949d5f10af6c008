//! Policies evaluated in this process, by the Rego interpreter `regorus`.
//!
//! The files are parsed and analysed once; each decision works on a clone, so that none can see another's input. A
//! builtin that fails is an error here, where OPA would go on with an undefined value: a rule that denies must not
//! vanish that way.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{LimitError, Value};
use sha2::{Digest, Sha256};
use tenantry_contracts::catalogue::Fault;
use tenantry_contracts::limits;
use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Trouble};

use crate::decision::{Question, Verdict, broken, cut};
use crate::provider::fault;

/// How the engine is called in outputs and in the log.
pub(crate) const NAME: &str = "embedded";

/// How many expressions are evaluated between two looks at the time.
const CHECK_EVERY: NonZeroU32 = NonZeroU32::new(100).expect("a hundred is not zero");

/// Prepared policies. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Embedded(Arc<Prepared>);

struct Prepared {
    engine: regorus::Engine,
    bundle: String,
}

impl Embedded {
    /// Whether a file of this name is a policy file, a test of one included.
    pub(crate) fn takes(name: &str) -> bool {
        name.ends_with(".rego") || name.rsplit('/').next() == Some("data.json")
    }

    /// Reads policies and analyses them.
    pub(crate) fn load(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, Fault> {
        let mut sorted = BTreeMap::new();
        for (name, text) in files {
            if !Self::takes(&name) {
                return Err(fault(&name, "it is neither *.rego nor data.json"));
            }
            if name.ends_with("_test.rego") {
                continue;
            }
            if sorted.contains_key(&name) {
                return Err(fault(&name, "there are two files of this name"));
            }
            sorted.insert(name, text);
        }
        if !sorted.keys().any(|name| name.ends_with(".rego")) {
            return Err(fault("policies", "there is no policy at all; give at least one *.rego file"));
        }
        let mut engine = regorus::Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.set_gather_prints(true);
        let mut digest = Sha256::new();
        for (name, text) in &sorted {
            digest.update(format!("{}\n{name}\n{}\n", name.len(), text.len()));
            digest.update(text);
            if name.ends_with(".rego") {
                let added = engine.add_policy(name.clone(), text.clone());
                added.map_err(|error| place(name, &error.to_string()))?;
            } else {
                let data = data(name, text)?;
                engine.add_data(data).map_err(|error| place(name, &error.to_string()))?;
            }
        }
        // Analyses all files together; the query itself asks nothing.
        engine.eval_query("true".to_owned(), false).map_err(|error| place("policies", &error.to_string()))?;
        Ok(Self(Arc::new(Prepared { engine, bundle: hex::encode(digest.finalize()) })))
    }

    pub(crate) fn bundle(&self) -> &str {
        &self.0.bundle
    }

    /// What the policies say, on a thread that may be kept busy.
    pub(crate) async fn decide(&self, question: &Question, patience: Duration) -> Answer<Verdict> {
        let (prepared, input) = (Arc::clone(&self.0), question.text()?);
        let query = format!("data.{}", question.query().replace('/', "."));
        let work = move || prepared.evaluate(query, &input, patience);
        match tokio::task::spawn_blocking(work).await {
            Ok(verdict) => verdict,
            Err(error) if error.is_panic() => Err(Trouble::no(
                Code::Bug,
                Class::Bug,
                "the evaluator of policies panicked; nothing is allowed",
            )),
            Err(_) => Err(Trouble::shaky("the process is ending")),
        }
    }
}

impl Prepared {
    fn evaluate(&self, query: String, input: &str, patience: Duration) -> Answer<Verdict> {
        let mut engine = self.engine.clone();
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: patience,
            check_interval: CHECK_EVERY,
        });
        let answer = engine.set_input_json(input).and_then(|()| engine.eval_query(query, false));
        let results = answer.map_err(|error| match error.downcast_ref() {
            Some(LimitError::TimeLimitExceeded { .. }) => {
                Trouble::shaky("the policies gave no decision in time")
            }
            _ => broken(&place("policies", &error.to_string()).to_string()),
        })?;
        let value = results.result.first().and_then(|result| result.expressions.first());
        let document = match value.map(|expression| &expression.value) {
            None | Some(Value::Undefined) => None,
            Some(value) => Some(value.to_json_str().map_err(|error| broken(&cut(&error.to_string())))?),
        };
        Verdict::read(document.as_deref(), self.bundle.clone(), NAME)
    }
}

/// Tables, under the folders of their file's name.
fn data(name: &str, text: &str) -> Result<Value, Fault> {
    limits::check(text.as_bytes()).map_err(|refusal| Fault { file: name.to_owned(), refusal })?;
    let folders = name.split('/').rev().skip(1);
    let text = folders
        .fold(text.to_owned(), |inner, folder| format!("{{{}: {inner}}}", serde_json::Value::from(folder)));
    Value::from_json_str(&text).map_err(|error| fault(name, cut(&error.to_string())))
}

/// The interpreter's words as a fault: it writes `--> file:line:column`, the source, and `error: ...`.
fn place(file: &str, words: &str) -> Fault {
    let said = words.rsplit_once("error: ").map_or(words, |(_, said)| said);
    let said = cut(said.trim());
    let at = words.lines().find_map(|line| line.trim().strip_prefix("--> "));
    let at = at.and_then(|at| {
        let mut parts = at.rsplitn(3, ':');
        let (column, line, file) = (parts.next()?, parts.next()?, parts.next()?);
        Some((file, line.parse::<u32>().ok()?, column.parse::<u32>().ok()?))
    });
    match at {
        Some((file, line, column)) => fault(file, format!("line {line}, column {column}: {said}")),
        None => fault(file, said),
    }
}
