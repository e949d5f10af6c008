//! One document for each tenant, in a table of the worker's own: the simplest thing a step can make.
//!
//! A [`Shelf`] is for steps whose effect is a record: a decision, a quota, a configuration, a report. The record keeps
//! the digest of the input that it was made from, so that a repeat answers what was answered first, and a changed input
//! replaces it.

use deadpool_postgres::{Object, Pool, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tenantry_contracts::{Class, Code, Json};
use tokio_postgres::types::Type;

use crate::postgres::Provider;
use crate::{Answer, Cx, Difference, Observed, Resource, Trouble};

/// The records of a worker.
#[derive(Clone)]
pub struct Shelf {
    provider: Provider,
    schema: &'static str,
}

/// A tenant's place on the shelf, while an effect runs: the fence is raised and the record is locked.
pub struct Place<'a> {
    shelf: &'a Shelf,
    tx: Transaction<'a>,
    cx: &'a Cx,
    found: Found,
}

/// What stands in a place.
enum Found {
    Nothing,
    Ours { digest: String, document: String },
    Foreign,
}

impl Shelf {
    /// The shelf behind `pool`; `schema` is the worker's own.
    pub fn new(pool: Pool, schema: &'static str) -> Self {
        Self { provider: Provider::new(pool, schema), schema }
    }

    /// Makes the worker's schema with its fence and its records, and what `more` says. Can be repeated and run at once.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached, or the account may not create schemas.
    pub async fn prepare(&self, more: &str) -> Answer<()> {
        let records = format!(
            "create table if not exists {}.record (
                 tenant uuid primary key,
                 owner text not null,
                 digest text not null,
                 document json not null,
                 at timestamptz not null default now()
             );
             {more}",
            self.schema
        );
        self.provider.prepare(&records).await
    }

    /// A connection, within what is left of the question's time.
    ///
    /// # Errors
    /// Shaky where none is to be had in time.
    pub async fn connect(&self, cx: &Cx) -> Answer<Object> {
        self.provider.connect(cx).await
    }

    /// Begins an effect.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where the fence stands higher; `owned_by_other` where the record is not ours.
    pub async fn begin<'a>(
        &'a self,
        client: &'a mut Object,
        cx: &'a Cx,
        resource: &Resource,
    ) -> Answer<Place<'a>> {
        let tx = self.provider.begin(client, cx, resource).await?;
        let found = self.find(&tx, cx, " for update").await?;
        Ok(Place { shelf: self, tx, cx, found })
    }

    /// Begins to read what is there: one snapshot, nothing written.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub async fn look<'a>(&'a self, client: &'a mut Object, cx: &'a Cx) -> Answer<Place<'a>> {
        let tx = self.provider.look(client, cx).await?;
        let found = self.find(&tx, cx, "").await?;
        Ok(Place { shelf: self, tx, cx, found })
    }

    async fn find(&self, tx: &Transaction<'_>, cx: &Cx, lock: &str) -> Answer<Found> {
        let schema = self.schema;
        let sql =
            format!("select owner, digest, document::text from {schema}.record where tenant = $1{lock}");
        let row = tx.query_typed_opt(&sql, &[(&cx.tenant.0, Type::UUID)]).await?;
        Ok(match row {
            None => Found::Nothing,
            Some(row) if cx.owns(row.get(0)) => Found::Ours { digest: row.get(1), document: row.get(2) },
            Some(_) => Found::Foreign,
        })
    }

    /// What is there, against this input. `want` is what the record should say where that can be told beforehand.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub async fn observe<T: Serialize>(
        &self,
        cx: &Cx,
        input: &impl Serialize,
        want: Option<&T>,
    ) -> Answer<Observed> {
        let mut client = self.connect(cx).await?;
        Ok(self.look(&mut client, cx).await?.observed(input, want))
    }
}

impl Place<'_> {
    /// The effect's own transaction, for what stands beside the record.
    pub fn tx(&self) -> &Transaction<'_> {
        &self.tx
    }

    /// What was made from this input before, if it stands.
    ///
    /// # Errors
    /// `owned_by_other` where the record is not ours; `output_invalid` where it cannot be read.
    pub fn standing<T: DeserializeOwned>(&self, input: &impl Serialize) -> Answer<Option<T>> {
        match &self.found {
            Found::Ours { digest: have, .. } if *have != digest(input) => Ok(None),
            _ => self.latest(),
        }
    }

    /// What stands, whatever it was made from.
    ///
    /// # Errors
    /// `owned_by_other` where the record is not ours; `output_invalid` where it cannot be read.
    pub fn latest<T: DeserializeOwned>(&self) -> Answer<Option<T>> {
        match &self.found {
            Found::Ours { document, .. } => serde_json::from_str(document).map(Some).map_err(|_| {
                let message = "the record that stands has another shape than this worker writes";
                Trouble::no(Code::OutputInvalid, Class::Bug, message)
            }),
            Found::Foreign => Err(foreign()),
            Found::Nothing => Ok(None),
        }
    }

    /// Whether a record of ours stands, whatever it was made from.
    pub fn is_ours(&self) -> bool {
        matches!(self.found, Found::Ours { .. })
    }

    /// Writes the record, in place of an earlier one of ours, and ends the effect.
    ///
    /// # Errors
    /// `owned_by_other` where the record is not ours.
    pub async fn put<T: Serialize>(self, input: &impl Serialize, document: &T) -> Answer<()> {
        if let Found::Foreign = self.found {
            return Err(foreign());
        }
        let text = serde_json::to_string(document)
            .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "the record has no JSON form"))?;
        let sql = format!(
            "insert into {}.record (tenant, owner, digest, document) values ($1, $2, $3, $4::text::json)
             on conflict (tenant) do update set owner = excluded.owner, digest = excluded.digest,
                 document = excluded.document, at = now()",
            self.shelf.schema
        );
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&self.cx.tenant.0, Type::UUID),
            (&self.cx.owner_tag(), Type::TEXT),
            (&digest(input), Type::TEXT),
            (&text, Type::TEXT),
        ];
        self.tx.execute_typed(&sql, &values).await?;
        Ok(self.tx.commit().await?)
    }

    /// Ends the effect and leaves the record as it is; the fence stays raised, and so does what was written beside it.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub async fn leave(self) -> Answer<()> {
        Ok(self.tx.commit().await?)
    }

    /// Takes the record away if it is ours, and ends the effect. What is not ours stays.
    ///
    /// # Errors
    /// `owned_by_other` where the record is not ours.
    pub async fn remove(self) -> Answer<()> {
        if let Found::Foreign = self.found {
            return Err(foreign());
        }
        let sql = format!("delete from {}.record where tenant = $1", self.shelf.schema);
        self.tx.execute_typed(&sql, &[(&self.cx.tenant.0, Type::UUID)]).await?;
        Ok(self.tx.commit().await?)
    }

    /// What is there, against this input. `want` is what the record should say where that can be told beforehand.
    pub fn observed<T: Serialize>(&self, input: &impl Serialize, want: Option<&T>) -> Observed {
        let (have, document) = match &self.found {
            Found::Nothing => return Observed::Absent,
            Found::Foreign => {
                return Observed::Foreign { hint: "the record has no owner tag of ours".into() };
            }
            Found::Ours { digest, document } => (digest, document),
        };
        let mut differences = Vec::new();
        let asked = digest(input);
        if *have != asked {
            differences.extend(Difference::of("/input", &asked, have));
        }
        if let Some(want) = want
            && serde_json::to_string(want).ok().as_ref() != Some(document)
        {
            let have: Option<Json> = serde_json::from_str(document).ok();
            differences.extend(Difference::of("/record", want, &have));
        }
        Observed::Ours { differences }
    }
}

/// Hexadecimal SHA-256 of an input's JSON form.
pub fn digest(input: &impl Serialize) -> String {
    // An input came as JSON, so it has a JSON form.
    hex::encode(Sha256::digest(serde_json::to_vec(input).unwrap_or_default()))
}

fn foreign() -> Trouble {
    let message = "a record of this tenant's id stands in the worker's table and has no owner tag of ours";
    Trouble::no(Code::OwnedByOther, Class::Conflict, message)
}
