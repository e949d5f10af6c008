//! What a row's input is made from: the request and the typed outputs of earlier rows.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tenantry_contracts::request::Request;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Code, Json};

use crate::{Plan, Saga};

/// The request and the outputs of a saga.
pub struct View<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) saga: &'a Saga,
}

impl View<'_> {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.saga.request
    }

    /// The output of an earlier row, typed.
    ///
    /// # Errors
    /// `output_invalid` where the row has none or it has another shape.
    pub fn output<T: DeserializeOwned>(&self, row: &str) -> Result<T, Failure> {
        let at = self.plan.index_of(row);
        let run = self.saga.rows.iter().find(|run| Some(run.row) == at);
        let output = run.and_then(|run| run.output.as_ref()).ok_or_else(|| bug(row, "has no output"))?;
        output.read().map_err(|_| bug(row, "has an output of another shape than its contract says"))
    }

    /// Writes an input.
    ///
    /// # Errors
    /// `bug` where it has no JSON form.
    pub fn input<T: Serialize>(&self, input: &T) -> Result<Json, Failure> {
        Json::of(input).map_err(|_| bug("input", "has no JSON form"))
    }
}

fn bug(row: &str, what: &str) -> Failure {
    Failure {
        code: Code::OutputInvalid,
        class: Class::Bug,
        pointer: None,
        message: format!("row {row} {what}"),
    }
}
