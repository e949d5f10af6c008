//! Kafka's jars in a cache outside the repository, and the archive of loaded classes that halves the time of a start.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::Kafka;

/// The version in `jars.xml`; it also names the folder, so that a new version gets a new one.
const VERSION: &str = "4.3.1";
const WHAT_TO_INSTALL: &str = "Apache Kafka for tests needs Java 17 or later and Maven; on Debian: apt-get install openjdk-17-jre-headless maven";

/// What a JVM is started with.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    folder: PathBuf,
    class_path: String,
    archive: Option<PathBuf>,
}

/// What to do with the archive of classes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Archive {
    Use,
    Make,
}

impl Jars {
    /// The jars from the cache. The first process of a machine fills it, others wait for that.
    pub(super) async fn ready() -> anyhow::Result<Jars> {
        let cache = cache()?;
        std::fs::create_dir_all(&cache)
            .with_context(|| format!("cannot make the cache folder {}", cache.display()))?;
        let lock_file = File::create(cache.join("kafka.lock"))
            .with_context(|| format!("cannot write in {}", cache.display()))?;
        let lock = tokio::task::spawn_blocking(move || lock_file.lock().map(|()| lock_file)).await??;
        let folder = cache.join(format!("kafka-{VERSION}"));
        if !folder.exists() {
            tokio::task::spawn_blocking({
                let folder = folder.clone();
                move || fetch(&folder)
            })
            .await??;
        }
        let mut jars = Jars { class_path: class_path(&folder)?, archive: None, folder };
        let archive = jars.folder.join("classes.jsa");
        if !archive.exists() {
            jars.make_archive(&archive).await.context("making the archive of Kafka's classes")?;
        }
        jars.archive = Some(archive);
        drop(lock);
        Ok(jars)
    }

    /// `java` with flags for a small process that starts fast, up to the class path.
    pub(super) fn java(&self, archive: Archive) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
        java.arg(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display()));
        match (archive, &self.archive) {
            (Archive::Make, _) => {
                java.arg(format!(
                    "-XX:ArchiveClassesAtExit={}",
                    self.folder.join("classes.jsa.new").display()
                ));
            }
            (Archive::Use, Some(archive)) => {
                java.arg(format!("-XX:SharedArchiveFile={}", archive.display()))
                    .args(["-Xlog:cds=off", "-Xlog:class+path=off"]);
            }
            (Archive::Use, None) => {}
        }
        // The archive only counts with the very class path it was made with.
        java.args(["-cp", &self.class_path]).env_remove("CLASSPATH").stdin(Stdio::null());
        java
    }

    /// One throw-away broker, whose classes go into the archive when it ends.
    async fn make_archive(&self, archive: &Path) -> anyhow::Result<()> {
        let dir = tempfile::Builder::new().prefix("tenantry-test-kafka-").tempdir()?;
        let mut kafka = Kafka::make(self.clone(), dir.path(), 1, false).await?;
        kafka.run(Archive::Make).await?;
        kafka.stop().await?;
        let new = self.folder.join("classes.jsa.new");
        // A JVM that cannot make one runs without it.
        if new.exists() { std::fs::rename(new, archive) } else { std::fs::write(archive, "") }
            .with_context(|| format!("cannot write {}", archive.display()))
    }
}

/// `$TENANTRY_TEST_CACHE`, or `~/.cache/tenantry-tests`.
fn cache() -> anyhow::Result<PathBuf> {
    match std::env::var_os("TENANTRY_TEST_CACHE").filter(|path| !path.is_empty()) {
        Some(path) => Ok(std::path::absolute(PathBuf::from(path))?),
        None => Ok(std::env::home_dir()
            .context("there is no home folder; set TENANTRY_TEST_CACHE to a folder for downloads")?
            .join(".cache/tenantry-tests")),
    }
}

/// Has Maven copy the jars; they appear in the cache by one rename.
fn fetch(folder: &Path) -> anyhow::Result<()> {
    for program in ["java", "mvn"] {
        let found = Command::new(program)
            .arg("-version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ensure!(found.is_ok_and(|status| status.success()), "{program} does not run. {WHAT_TO_INSTALL}");
    }
    let above = folder.parent().context("the cache has a parent")?;
    let new = tempfile::Builder::new().prefix("new-kafka-").tempdir_in(above)?;
    let pom = tempfile::Builder::new().prefix("tenantry-test-kafka-").tempdir()?;
    std::fs::write(pom.path().join("pom.xml"), include_str!("jars.xml"))?;
    let mut maven = Command::new("mvn");
    maven.args([
        "--quiet",
        "--batch-mode",
        "--strict-checksums",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
    ]);
    maven
        .arg(format!("-DoutputDirectory={}", new.path().display()))
        .current_dir(pom.path())
        .stdin(Stdio::null());
    let done = maven.output().context("mvn")?;
    if !done.status.success() {
        bail!(
            "mvn could not fetch Kafka's jars; is there a network? It said: {}",
            String::from_utf8_lossy(&done.stdout).trim()
        );
    }
    std::fs::write(new.path().join("log4j2.properties"), include_str!("log4j2.properties"))?;
    std::fs::rename(new.keep(), folder).with_context(|| format!("cannot rename to {}", folder.display()))
}

/// All jars in order of their names, written out.
fn class_path(folder: &Path) -> anyhow::Result<String> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut jars: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .filter(|path| path.ends_with(".jar"))
        .collect();
    ensure!(
        !jars.is_empty(),
        "there is no jar in {}; remove the folder, then it is filled again",
        folder.display()
    );
    jars.sort();
    Ok(jars.join(":"))
}

/// Says what to install where `java` is not there.
pub(super) fn no_java(error: std::io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("java does not run. {WHAT_TO_INSTALL}"))
}
