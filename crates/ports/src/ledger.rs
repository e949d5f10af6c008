//! The worker's durable memory: fences, marks and the answers of steps that must not be done twice.

use std::future::Future;

use bytes::Bytes;
use tenantry_contracts::{DataKey, TenantId, Token};

use crate::StoreError;

/// The highest token that was marked for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The token.
    pub token: Token,
}

/// A mark to be made before acting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The fenced resource.
    pub resource: String,
    /// The question's token.
    pub token: Token,
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// The mark stands, durably.
    Stands,
    /// A higher token stood already; nothing was changed.
    Superseded,
}

/// What became of an answer that was to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is the first and stands, durably.
    First,
    /// An earlier answer stands.
    Earlier(Bytes),
}

/// Fences, marks and answers. Calls take many at once, so that writes of many commands share one statement.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Reads the fences of these resources, in the same order.
    ///
    /// # Errors
    /// Where the store cannot be read now.
    fn fences(
        &self,
        resources: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Option<Fence>>, StoreError>> + Send;

    /// Raises fences, durably, before it returns. Each for itself; equal tokens stand.
    ///
    /// # Errors
    /// Where it is not certain that they stand. May be repeated.
    fn mark(&self, marks: Vec<Mark>) -> impl Future<Output = Result<Vec<Marked>, StoreError>> + Send;

    /// Reads the remembered answers to these questions (by id), in the same order.
    ///
    /// # Errors
    /// Where the store cannot be read now.
    fn answers(
        &self,
        questions: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, StoreError>> + Send;

    /// Remembers the answers to questions (by id); the first one stands.
    ///
    /// # Errors
    /// Where it is not certain that they stand. May be repeated.
    fn remember(
        &self,
        answers: Vec<(String, Bytes)>,
    ) -> impl Future<Output = Result<Vec<Remembered>, StoreError>> + Send;
}

/// The tenants' keys, unwrapped.
pub trait Keys: Clone + Send + Sync + 'static {
    /// The key of a tenant; `None` where it was destroyed or never made.
    ///
    /// # Errors
    /// Where the store cannot be read now.
    fn key(&self, tenant: TenantId) -> impl Future<Output = Result<Option<DataKey>, StoreError>> + Send;
}
