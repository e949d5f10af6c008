//! What is there before the first part starts: topics that nobody used, and a folder for the run.

use std::path::{Path, PathBuf};

use tenantry_contracts::Topic;
use tenantry_kafka::{Options, Reader, Start, topics};

use super::Ground;
use super::plan::workers;
use crate::fleet::Worker;
use crate::out::usage;

/// The topics of the fleet, made anew where that was asked for. A run on another one's records would wait for ever: what
/// lies on them is in no store that it has.
pub(super) async fn make_topics(options: &Options, ground: &Ground) -> anyhow::Result<()> {
    if ground.delete_topics {
        let missing = topics::check(options, &Worker::names()).await?;
        let product = Worker::names().into_iter().map(Topic::Commands).find(|topic| {
            !missing
                .iter()
                .any(|difference| difference.code == "topic_missing" && difference.topic == topic.name())
        });
        if let Some(topic) = product {
            let text = format!(
                "{topic} is there: these may be the topics of a fleet that is no benchmark; use another broker"
            );
            return Err(usage("bench_topics_foreign", text).into());
        }
        topics::delete(options, &Topic::all(&workers())).await?;
    }
    let report = topics::apply(options, &workers(), ground.lanes, 1).await?;
    if let Some(difference) = report.differences.iter().find(|found| found.code == "topic_partitions") {
        let text = format!("{difference}; or start with --delete-topics, which deletes what is on them");
        return Err(usage("bench_topics_differ", text).into());
    }
    if written(options).await? > 0 {
        let text = "the topics hold the records of another run, which the new database knows nothing of; start with \
                    --delete-topics, which deletes them, or use another broker";
        return Err(usage("bench_topics_used", text).into());
    }
    Ok(())
}

/// How many records were ever written to the topics.
pub(super) async fn written(options: &Options) -> anyhow::Result<i64> {
    let places = Reader::places(options, Topic::all(&workers())).await?;
    let reader = Reader::open(options, places, Start::End).await?;
    Ok(reader.ends().values().sum())
}

/// A folder for the run, removed afterwards unless it was given.
pub(super) struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    pub(super) fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let ours = given.is_none();
        let path = given
            .unwrap_or_else(|| std::env::temp_dir().join(format!("tenantry-bench-{}", std::process::id())));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, ours })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
