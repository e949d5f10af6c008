//! What a row's input is made from: the request and the typed outputs of earlier rows.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tenantry_contracts::request::Request;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Code, Json, RequestId};

use crate::{Pinned, Plan, Saga};

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

    /// Which request it is.
    pub fn request_id(&self) -> &RequestId {
        &self.saga.request_id
    }

    /// The template that was pinned, where the request's plan has one.
    pub fn template(&self) -> Option<&Pinned> {
        self.saga.template.as_ref()
    }

    /// The output of an earlier row, typed; `None` where that row was not chosen or was given up.
    ///
    /// # Errors
    /// `output_invalid` where it has another shape.
    pub fn maybe<T: DeserializeOwned>(&self, row: &str) -> Result<Option<T>, Failure> {
        let at = self.plan.index_of(row);
        let run = self.saga.rows.iter().find(|run| Some(run.row) == at);
        if run.is_some_and(|run| run.output.is_some()) { self.output(row).map(Some) } else { Ok(None) }
    }

    /// Hexadecimal SHA-256 of an earlier row's output, exactly as it was answered.
    ///
    /// # Errors
    /// `output_invalid` where the row has none.
    pub fn digest(&self, row: &str) -> Result<String, Failure> {
        let output: Json = self.output(row)?;
        Ok(hex::encode(Sha256::digest(output.text().as_bytes())))
    }

    /// The same of each of these rows that has an output, by its name.
    pub fn digests(&self, rows: &[&str]) -> BTreeMap<String, String> {
        let digest = |row: &&str| Some(((*row).to_owned(), self.digest(row).ok()?));
        rows.iter().filter_map(digest).collect()
    }

    /// The output of an earlier row, typed.
    ///
    /// # Errors
    /// `output_invalid` where the row has none or it has another shape.
    pub fn output<T: DeserializeOwned>(&self, row: &str) -> Result<T, Failure> {
        let at = self.plan.index_of(row);
        let run = self.saga.rows.iter().find(|run| Some(run.row) == at);
        let output = run.and_then(|run| run.output.as_ref());
        let missing = || Failure { pointer: Some(output_of(row)), ..bug(row, "has no output") };
        let output = output.ok_or_else(missing)?;
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

/// The place of a row's output among all outputs.
pub(crate) fn output_of(row: &str) -> String {
    format!("/outputs/{row}")
}

fn bug(row: &str, what: &str) -> Failure {
    Failure {
        code: Code::OutputInvalid,
        class: Class::Bug,
        pointer: None,
        message: format!("row {row} {what}"),
    }
}
