//! Logs on standard error: for people on a terminal, one JSON object a line otherwise.

use std::fmt;
use std::io::IsTerminal;

use clap::{Args as ClapArgs, ValueEnum};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};

use crate::out::{Refused, plain, usage};

/// What clients say below a warning is about themselves. Of librdkafka only errors: it warns at every start that
/// `enable.gapless.guarantee` is experimental, and what it warns of besides comes back as an error of a call.
const QUIET: &str = "librdkafka=error,rdkafka=warn,sqlx=warn,tokio_postgres=warn";

/// How logs are written.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Logs")]
pub struct Args {
    /// What is logged: a level, or targets as in `info,tenantry_serve=debug`
    #[arg(long, global = true, env = "TENANTRY_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How it is written [default: human on a terminal, json otherwise]
    #[arg(long, global = true, env = "TENANTRY_LOG_FORMAT", value_enum)]
    pub log_format: Option<Format>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Begins to log. `usual` is the level where neither `--log` nor `RUST_LOG` says otherwise.
///
/// # Errors
/// Where the filter cannot be read.
pub fn start(args: &Args, usual: &str) -> Result<(), Refused> {
    let said = args.log.clone().or_else(|| std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()));
    let text = said.unwrap_or_else(|| usual.to_owned());
    // What is named later wins over what is named earlier.
    let filter = EnvFilter::try_new(format!("{QUIET},{text}")).map_err(|error| {
        usage(
            "log_filter_invalid",
            format!("{text:?} is no filter: {error}; write a level such as info, or target=level,..."),
        )
    })?;
    let terminal = std::io::stderr().is_terminal();
    let format = args.log_format.unwrap_or(if terminal { Format::Human } else { Format::Json });
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where another subscriber stands already, as in tests.
    let _ = match format {
        Format::Json => logs.json().flatten_event(true).with_span_list(false).try_init(),
        Format::Human => {
            let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            logs.with_ansi(colours).fmt_fields(Plain).try_init()
        }
    };
    Ok(())
}

/// Fields as `name=value`, with control characters shown instead of obeyed: a value may come from outside, and must not
/// be able to fake a log line or to rewrite a terminal.
#[derive(Clone, Copy, Debug)]
struct Plain;

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&plain(&text).replace('\n', "\\n"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_value_from_outside_cannot_begin_a_line_or_colour_the_terminal() {
        let kept = Kept::default();
        let writer = kept.clone();
        let logs = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(Plain)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(logs, || {
            let span = tracing::info_span!("command", tenant = "t\nx");
            let _in = span.enter();
            tracing::info!(slug = %"a\nERROR fake \u{1b}[31m", "heard\r{}", "b");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.trim_end().contains(|c: char| c.is_control()), "{text:?}");
        assert!(text.contains("fake"), "{text:?}");
    }
}
