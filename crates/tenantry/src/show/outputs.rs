//! What steps made, as lines: the typed outputs by row, flattened. They hold no secrets by contract.

use std::collections::BTreeMap;

use serde_json::Value;
use tenantry_contracts::{Json, Time};

use super::Style;
use super::style::{WIDTH, wrap};

/// Lines for the outputs of all rows in short, as they stand in the public event; the rows in this order, others after
/// them. `tenant show` has them in full.
pub fn lines(style: Style, made: &Json, order: &[String], indent: usize) -> Vec<String> {
    let Ok(rows) = made.read::<BTreeMap<String, Value>>() else { return Vec::new() };
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(row, _)| order.iter().position(|have| have == row).unwrap_or(order.len()));
    rows.iter().filter_map(|(row, output)| in_short(style, row, output, indent)).collect()
}

/// One line for the output of a row: its members that say something in a few words.
fn in_short(style: Style, row: &str, output: &Value, indent: usize) -> Option<String> {
    let Value::Object(members) = output else { return None };
    let words = members.iter().collect::<BTreeMap<_, _>>().into_iter().filter_map(|(name, value)| {
        let text = match value {
            Value::Array(items) => format!("{} {name}", items.len()),
            Value::Object(_) => return None,
            _ => moment(name, value).unwrap_or_else(|| shown(value)),
        };
        (!text.is_empty()).then_some(text)
    });
    let text = words.collect::<Vec<_>>().join(", ");
    let label = format!("{:indent$}{row:<16} ", "");
    let room = WIDTH.saturating_sub(label.chars().count());
    let cut = match text.char_indices().nth(room) {
        Some(_) => format!("{}…", text.chars().take(room.saturating_sub(1)).collect::<String>()),
        None => text,
    };
    (!cut.is_empty()).then(|| format!("{}{}", style.bold(&label), cut))
}

/// Lines for the output of one row.
pub fn of_row(style: Style, row: &str, output: &Value, indent: usize) -> Vec<String> {
    let Value::Object(members) = output else { return Vec::new() };
    if members.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("{:indent$}{}", "", style.bold(row))];
    // Sorted here: whether a map is, depends on how the JSON library was built.
    for (name, value) in members.iter().collect::<BTreeMap<_, _>>() {
        let text = moment(name, value).unwrap_or_else(|| shown(value));
        if text.is_empty() {
            continue;
        }
        let label = format!("{:indent$}  {name:<14} ", "");
        let mut rest = wrap(&text, label.len()).into_iter();
        if let Some(first) = rest.next() {
            lines.push(format!("{label}{}", first.trim_start()));
        }
        lines.extend(rest);
    }
    lines
}

/// A member that is a point in time by its name, as people write it.
fn moment(name: &str, value: &Value) -> Option<String> {
    let is_time = name == "expires" || name.ends_with("_at") || name.ends_with("until");
    value.as_i64().filter(|_| is_time).map(|ms| Time(ms).to_string())
}

/// One value in a line: objects as `name=value`, lists with commas, long digests cut.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            format!("{}…", &text[..12])
        }
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            // A thing with a name and one number, such as a module at a version, reads better without labels.
            if let (2, Some(Value::String(name)), Some(Value::Number(version))) =
                (members.len(), members.get("name"), members.get("version"))
            {
                return format!("{name} {version}");
            }
            let members: BTreeMap<_, _> = members.iter().collect();
            let pairs = members.into_iter().map(|(name, value)| format!("{name}={}", shown(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_read_as_short_lines() {
        let made = r#"{"database":{"database":"tenants","schema":"t_1","modules":[{"name":"identity","version":2},
            {"name":"auditing","version":1}],"probes":["read a neighbour's rows: refused"],"none":null},
            "validate":{"template":{"digest":"0000000000000000000000000000000000000000000000000000000000000000"}},
            "pivot":{},"zone":{"expires":7}}"#;
        let made: Json = serde_json::from_str(made).unwrap();
        assert_eq!(
            lines(Style::PLAIN, &made, &["zone".into(), "database".into()], 2).join("\n"),
            "  zone             1970-01-01T00:00:00.007Z\n  database         tenants, 2 modules, 1 probes, t_1"
        );
    }

    #[test]
    fn an_output_in_full_is_flattened() {
        let output = serde_json::json!({"modules": [{"name": "identity", "version": 2}], "schema": "t_1", "expires": 7});
        assert_eq!(
            of_row(Style::PLAIN, "database", &output, 2).join("\n"),
            "  database\n    expires        1970-01-01T00:00:00.007Z\n    modules        identity 2\n    schema         t_1"
        );
    }
}
