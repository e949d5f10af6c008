//! `tenantry tenant correct`: goes on with a corrected request.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::{Map, Value};
use tenantry_contracts::Json;
use tenantry_contracts::operation::OperationVerb;

use super::find::{self, One};
use super::operate::{self, How};
use crate::out::{Refused, usage};

/// Go on with a corrected request: everything is validated again, from the first row on
///
/// The correction is a JSON merge patch (RFC 7396) of the request in the fleet's own shape, as
/// schemas/examples/request.canonical.json has it. Names, personal data and the plan cannot be corrected: cancel, and ask
/// anew. Without --yes it only shows what would happen.
///
/// Exit codes: 0 taken up (with --watch: in service), 3 refused, 4 everything was undone, 5 a person must act, 6 no outcome
/// in time.
#[derive(Debug, ClapArgs)]
#[group(id = "correct")]
pub(super) struct Args {
    #[command(flatten)]
    one: One,
    /// A member and its value, as in seats=25 or region=eu-west-1 (JSON, else text; null removes it); may be repeated
    #[arg(long = "set", value_name = "MEMBER=VALUE", value_parser = member, required_unless_present = "patch")]
    set: Vec<(String, Value)>,
    /// A file with the merge patch instead
    #[arg(long, env = "TENANTRY_PATCH", value_name = "FILE", conflicts_with = "set")]
    patch: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let patch = match &args.patch {
        Some(file) => read(file)?,
        None => Value::Object(args.set.iter().cloned().collect()),
    };
    let found = args.one.fold(&find::store(&args.how.find).await?).await?;
    operate::about(args.how, &found, OperationVerb::Correct(Json::of(&patch)?), None).await
}

fn read(file: &Path) -> Result<Value, Refused> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| usage("file_unreadable", format!("{}: {error}", file.display())))?;
    let patch: Result<Map<String, Value>, _> = serde_json::from_str(&text);
    patch.map(Value::Object).map_err(|error| {
        let text = format!("{}: {error}; write a JSON object with the members to change", file.display());
        usage("patch_invalid", text)
    })
}

fn member(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write member=value, as in seats=25")?;
    if name.is_empty() {
        return Err("the member has no name; write member=value, as in seats=25".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_where_it_can_be_and_text_elsewhere() {
        let of = |text: &str| member(text).unwrap();
        assert_eq!(of("region=eu-1"), ("region".to_owned(), Value::from("eu-1")));
        assert_eq!(of("seats=25").1, Value::from(25));
        assert_eq!(of("region=null").1, Value::Null);
        assert_eq!(of("name=\"25\"").1, Value::from("25"));
        assert_eq!(of("features=[\"a\"]").1, serde_json::json!(["a"]));
        assert_eq!(of("name=a=b").1, Value::from("a=b"));
        assert!(member("seats").is_err() && member("=x").is_err());
    }
}
