//! Settings as clients see and change them.

use std::borrow::Cow;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as SomeAltered;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use crate::Shared;
use crate::admin::NODE;
use crate::settings::{self, Configs, KNOWN};
use crate::wire::text;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Apache Kafka's numbers for where a value comes from.
pub(crate) const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

type Refusal = (ResponseError, String);

pub(crate) fn describe(
    shared: &Shared,
    request: DescribeConfigsRequest,
    version: i16,
) -> DescribeConfigsResponse {
    let synonyms = request.include_synonyms;
    let results = request.resources.into_iter().map(|wanted| {
        let result = DescribeConfigsResult::default().with_resource_type(wanted.resource_type);
        let result = match values(shared, &wanted, synonyms, version) {
            Ok(configs) => result.with_configs(configs),
            Err((error, why)) => result.with_error_code(error.code()).with_error_message(Some(text(why))),
        };
        result.with_resource_name(wanted.resource_name)
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn values(
    shared: &Shared,
    wanted: &DescribeConfigsResource,
    synonyms: bool,
    version: i16,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let all = match wanted.resource_type {
        TOPIC => of_topic(shared, &wanted.resource_name, synonyms, version)?,
        BROKER if wanted.resource_name.as_str() == NODE.to_string() => of_broker(shared),
        _ => return Err(no_such(wanted.resource_type, &wanted.resource_name)),
    };
    let keys = wanted.configuration_keys.as_ref();
    Ok(all.into_iter().filter(|value| keys.is_none_or(|keys| keys.contains(&value.name))).collect())
}

fn of_topic(
    shared: &Shared,
    name: &str,
    synonyms: bool,
    version: i16,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let topic = shared.store.topic(name).map_err(|error| (error, format!("there is no topic {name:?}")))?;
    let values = KNOWN.iter().map(|known| {
        let own = topic.configs.get(known.name);
        let source = if own.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT };
        let synonym = |value: &str, source| {
            let synonym = DescribeConfigsSynonym::default().with_name(text(known.name)).with_source(source);
            synonym.with_value(Some(text(value)))
        };
        let mut all: Vec<_> = own.map(|own| synonym(own, SOURCE_TOPIC)).into_iter().collect();
        all.push(synonym(known.default, SOURCE_DEFAULT));
        DescribeConfigsResourceResult::default()
            .with_name(text(known.name))
            .with_value(Some(text(own.map_or(known.default, String::as_str))))
            .with_config_source(source)
            .with_config_type(if version >= 3 { settings::type_of(known) } else { 0 })
            .with_synonyms(if synonyms { all } else { Vec::new() })
    });
    Ok(values.collect())
}

fn of_broker(shared: &Shared) -> Vec<DescribeConfigsResourceResult> {
    let listener = format!("PLAINTEXT://{}", shared.address);
    let values = [
        ("advertised.listeners", listener),
        ("auto.create.topics.enable", "false".to_owned()),
        ("broker.id", NODE.to_string()),
        ("default.replication.factor", "1".to_owned()),
        ("num.partitions", "1".to_owned()),
        ("socket.request.max.bytes", shared.max_frame_bytes.to_string()),
    ];
    let values = values.into_iter().map(|(name, value)| {
        let result =
            DescribeConfigsResourceResult::default().with_name(text(name)).with_value(Some(text(value)));
        result.with_config_source(SOURCE_STATIC_BROKER).with_read_only(true)
    });
    values.collect()
}

/// AlterConfigs: what is not named goes back to its default.
pub(crate) fn alter(shared: &Shared, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|wanted| {
        let altered =
            change(shared, wanted.resource_type, &wanted.resource_name, request.validate_only, |_| {
                let pairs = wanted
                    .configs
                    .iter()
                    .map(|config| (config.name.to_string(), value(config.value.as_deref())));
                Ok(pairs.collect())
            });
        let response = Altered::default()
            .with_resource_type(wanted.resource_type)
            .with_resource_name(wanted.resource_name);
        match altered {
            Ok(()) => response,
            Err((error, why)) => response.with_error_code(error.code()).with_error_message(Some(text(why))),
        }
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// IncrementalAlterConfigs: only what is named changes.
pub(crate) fn alter_some(
    shared: &Shared,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|wanted| {
        let altered =
            change(shared, wanted.resource_type, &wanted.resource_name, request.validate_only, |now| {
                let mut configs = now.clone();
                wanted.configs.iter().try_for_each(|edit| apply(&mut configs, edit))?;
                Ok(configs)
            });
        let response = SomeAltered::default()
            .with_resource_type(wanted.resource_type)
            .with_resource_name(wanted.resource_name);
        match altered {
            Ok(()) => response,
            Err((error, why)) => response.with_error_code(error.code()).with_error_message(Some(text(why))),
        }
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

/// Sets (0), resets (1), extends (2) or shortens (3) one setting.
fn apply(configs: &mut Configs, edit: &AlterableConfig) -> Result<(), Refusal> {
    let name = edit.name.to_string();
    let given = value(edit.value.as_deref());
    match edit.config_operation {
        0 => drop(configs.insert(name, given)),
        1 => drop(configs.remove(&name)),
        2 | 3 if settings::is_list(&name) => {
            let default = KNOWN.iter().find(|known| known.name == name).map_or("", |known| known.default);
            let now = configs.get(&name).map_or(Cow::Borrowed(default), |now| Cow::Owned(now.clone()));
            let mut words: Vec<&str> = now.split(',').filter(|word| !word.is_empty()).collect();
            words.retain(|word| !given.split(',').any(|given| given == *word));
            if edit.config_operation == 2 {
                words.extend(given.split(','));
            }
            let words = words.join(",");
            configs.insert(name, words);
        }
        other => {
            let why = format!("operation {other} does not exist for {name:?}");
            return Err((ResponseError::InvalidRequest, why));
        }
    }
    Ok(())
}

fn change(
    shared: &Shared,
    kind: i8,
    name: &str,
    validate_only: bool,
    edit: impl Fn(&Configs) -> Result<Configs, Refusal>,
) -> Result<(), Refusal> {
    if kind != TOPIC {
        return Err(no_such(kind, name));
    }
    let topic = shared.store.topic(name).map_err(|error| (error, format!("there is no topic {name:?}")))?;
    let checked = |now: &Configs| {
        let configs = edit(now)?;
        let wrong = configs.iter().find_map(|(name, value)| settings::check(name, value).err());
        wrong.map_or(Ok(configs), |why| Err((ResponseError::InvalidConfig, why)))
    };
    if validate_only {
        return checked(&topic.configs).map(drop);
    }
    let failed = |error| (error, format!("the settings of {name:?} could not be changed: {error}"));
    let mut refused = None;
    let changed = shared.store.configure(name, |now| {
        checked(now).map_err(|refusal| {
            let error = refusal.0;
            refused = Some(refusal);
            error
        })
    });
    changed.map_err(|error| refused.unwrap_or_else(|| failed(error)))
}

fn value(given: Option<&str>) -> String {
    given.unwrap_or_default().to_owned()
}

fn no_such(kind: i8, name: &str) -> Refusal {
    let why = format!(
        "there is nothing of type {kind} named {name:?} here, only topics (2) and the settings of broker {} (4), which are fixed",
        *NODE
    );
    (ResponseError::InvalidRequest, why)
}
