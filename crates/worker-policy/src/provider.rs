//! What the step needs from outside: an engine that evaluates policies, inside this process or an OPA server.

use std::fmt;
use std::path::Path;

use tenantry_contracts::catalogue::Fault;
use tenantry_contracts::{Code, Refusal};
use tenantry_step::{Answer, Cx};

use crate::decision::{Question, Verdict};
use crate::embedded::Embedded;
use crate::opa::Opa;

/// The longest that a decision may take, in milliseconds.
const LONGEST_MS: u64 = 2_000;

/// The house's own policies, by name; their tests stand beside them.
const BUILT_IN: [(&str, &str); 2] = [
    ("data.json", include_str!("../../../schemas/policies/data.json")),
    ("tenants/provision.rego", include_str!("../../../schemas/policies/tenants/provision.rego")),
];

/// Who evaluates policies. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Kind);

#[derive(Clone)]
enum Kind {
    Embedded(Embedded),
    Opa(Opa),
}

impl Engine {
    /// The house's own policies, evaluated in this process.
    #[allow(clippy::missing_panics_doc, reason = "a test reads the files")]
    pub fn built_in() -> Self {
        let files = BUILT_IN.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Self::embedded(files).expect("the files are part of the program, and a test reads them")
    }

    /// Policies given by name and text, evaluated in this process: Rego 1 in `*.rego`, and tables in `data.json`, which
    /// stand under the folders of its name as OPA puts them. Tests (`*_test.rego`) take no part.
    ///
    /// # Errors
    /// The first file that cannot be used, with the line and column where there is one.
    pub fn embedded(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, Fault> {
        Embedded::load(files).map(|embedded| Self(Kind::Embedded(embedded)))
    }

    /// The OPA server at `base`, as in `http://127.0.0.1:8181`.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn remote(base: &str) -> Result<Self, Fault> {
        Opa::at(base).map(|opa| Self(Kind::Opa(opa)))
    }

    /// Hexadecimal SHA-256 of the policy files; `None` of a server, which tells its revision with each decision.
    pub fn bundle(&self) -> Option<&str> {
        match &self.0 {
            Kind::Embedded(embedded) => Some(embedded.bundle()),
            Kind::Opa(_) => None,
        }
    }

    /// `embedded` or `opa`.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Embedded(_) => crate::embedded::NAME,
            Kind::Opa(_) => crate::opa::NAME,
        }
    }

    /// What the policies say. Whatever is no decision is trouble.
    pub(crate) async fn decide(&self, cx: &Cx, question: &Question) -> Answer<Verdict> {
        let patience = std::time::Duration::from_millis(cx.left_ms().min(LONGEST_MS));
        match &self.0 {
            Kind::Embedded(embedded) => embedded.decide(question, patience).await,
            Kind::Opa(opa) => opa.decide(cx.now, question, patience).await,
        }
    }
}

impl fmt::Debug for Engine {
    /// Without the server's address, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("name", &self.name()).field("bundle", &self.bundle()).finish()
    }
}

/// The policy files of a directory, for [`Engine::embedded`]: every `*.rego` and `data.json` in it and below, named by
/// their path inside it. Hidden files and folders are passed over.
///
/// # Errors
/// What cannot be read.
pub fn read_directory(dir: &Path) -> Result<Vec<(String, String)>, Fault> {
    let mut files = Vec::new();
    collect(dir, "", &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, String)>) -> Result<(), Fault> {
    let broken = |path: &Path, error: std::io::Error| {
        fault(
            &path.display().to_string(),
            format!("it cannot be read: {error}; look at its path and its rights"),
        )
    };
    for entry in std::fs::read_dir(dir).map_err(|error| broken(dir, error))? {
        let path = entry.map_err(|error| broken(dir, error))?.path();
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'))
        else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else if Embedded::takes(&name) {
            let text = std::fs::read_to_string(&path).map_err(|error| broken(&path, error))?;
            files.push((name, text));
        }
    }
    Ok(())
}

/// A policy file, or the settings of an engine, that cannot be used.
pub(crate) fn fault(file: &str, message: impl Into<String>) -> Fault {
    Fault { file: file.to_owned(), refusal: Refusal::new(Code::Misconfigured, message) }
}
