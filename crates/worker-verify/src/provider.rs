//! What is looked at: the tenants' database and those of single tenants, the directory of buckets, the directory of
//! key files. All of it belongs to other workers; here it is only read, and what probes write is rolled back.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use tenantry_contracts::steps::verify::{Input, Output};
use tenantry_contracts::{Class, Code, MasterKey};
use tenantry_step::postgres::{Databases, PgIdent, Provider};
use tenantry_step::{Answer, Cx, Trouble};

use crate::report::{Report, State};
use crate::{SCHEMA, database, isolation, records, secrets, storage};

/// The ways to what the other workers made.
pub(crate) struct Outside {
    pub(crate) pool: Pool,
    pub(crate) databases: Databases,
    pub(crate) storage: PathBuf,
    pub(crate) secrets: PathBuf,
    pub(crate) master: MasterKey,
}

impl Outside {
    /// Checks everything and tries everything.
    ///
    /// # Errors
    /// `isolation_broken`, `health_failed`, or trouble that may pass.
    pub(crate) async fn look(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let mut report = Report::default();
        self.databases(cx, input, &mut report).await?;
        self.files(cx, input, &mut report).await?;
        report.check("config.record", records::config(self, cx, &input.config)).await?;
        report.check("quota.record", records::quota(self, cx, &input.quota)).await?;
        report.finish()
    }

    async fn databases(&self, cx: &Cx, input: &Input, report: &mut Report) -> Answer<()> {
        let made = &input.database;
        let mut home = None;
        let reached = report.check("database.reachable", async {
            home = self.home(cx, &made.database).await?;
            Ok(State::when(home.is_some(), "there is no such database, or it lets nobody in"))
        });
        if !reached.await? {
            return Ok(());
        }
        let (Some(mut home), Some(names)) = (home, database::Names::of(input)) else {
            let refused =
                async { Ok(State::Failed("schema or role have names that are none of ours".to_owned())) };
            return report.check("database.role", refused).await.map(|_| ());
        };
        let (home, look) = (&mut *home, Provider::new(self.pool.clone(), SCHEMA));
        let whole = report.check("database.schema", database::schema(&look, home, cx, &names)).await?
            & report.check("database.role", database::role(&look, home, cx, &names)).await?;
        if !whole {
            return Ok(());
        }
        report.check("database.modules", database::modules(&look, home, cx, input, &names)).await?;
        let seeded = report.check("database.seed", database::seed(&look, home, cx, input, &names)).await?;
        isolation::probe(self, home, cx, &names, seeded, report).await
    }

    async fn files(&self, cx: &Cx, input: &Input, report: &mut Report) -> Answer<()> {
        let until = Instant::now() + Duration::from_millis(cx.left_ms().min(60_000) / 2);
        let (root, made) = (self.storage.clone(), input.storage.clone());
        let look = cx.clone();
        report.check("storage.bucket", blocking(move || storage::there(&root, &look, &made))).await?;
        let (root, made) = (self.storage.clone(), input.storage.clone());
        report.check("storage.quota", blocking(move || storage::quota(&root, &made, until))).await?;
        let (root, made) = (self.storage.clone(), input.storage.clone());
        for (name, leak) in blocking(move || storage::probes(&root, &made, until)).await? {
            report.probe(name, leak);
        }

        let (root, made) = (self.secrets.clone(), input.secrets.clone());
        let (look, master) = (cx.clone(), self.master.clone());
        report.check("secrets.keys", blocking(move || secrets::keys(&root, &look, &master, &made))).await?;
        let (root, look, master) = (self.secrets.clone(), cx.clone(), self.master.clone());
        for (name, leak) in blocking(move || secrets::probes(&root, &look, &master)).await? {
            report.probe(name, leak);
        }
        Ok(())
    }

    /// A connection to the tenants' database.
    pub(crate) async fn connect(&self, cx: &Cx) -> Answer<Object> {
        Provider::new(self.pool.clone(), SCHEMA).connect(cx).await
    }

    /// A connection to the database that the tenant lies in; `None` where there is none.
    async fn home(&self, cx: &Cx, database: &str) -> Answer<Option<Object>> {
        let client = self.connect(cx).await?;
        let name: String = client.query_typed_one("select current_database()::text", &[]).await?.get(0);
        if name == database {
            return Ok(Some(client));
        }
        drop(client);
        match PgIdent::read(database) {
            Some(database) => self.databases.connect(cx, &database).await,
            None => Ok(None),
        }
    }
}

/// Work on files, away from the threads that answer questions.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.kind() == ErrorKind::TimedOut => {
            Err(Trouble::shaky("there are more files than can be looked at in the question's time"))
        }
        Ok(Err(error)) if [ErrorKind::PermissionDenied, ErrorKind::NotADirectory].contains(&error.kind()) => {
            let message =
                format!("a directory cannot be read: {}; look at its path and its rights", error.kind());
            Err(Trouble::no(Code::Misconfigured, Class::Config, message))
        }
        Ok(Err(error)) => {
            Err(Trouble::shaky(format_args!("a directory could not be read: {}", error.kind())))
        }
        Err(_) => Err(Trouble::shaky("the process is ending")),
    }
}
