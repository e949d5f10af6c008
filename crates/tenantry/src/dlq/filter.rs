//! Which letters are meant: `code=not_json,step=database.provision,since=2h`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tenantry_contracts::Time;

use super::article::Article;

/// The words before `=`.
const KEYS: [&str; 10] =
    ["build", "class", "code", "letter", "row", "since", "step", "tenant", "topic", "worker"];

/// A filter. Different words must all hold; of the same word, one value must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(BTreeMap<&'static str, Vec<String>>);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?}: write word=value, as in code=not_json"))?;
            let known = KEYS.into_iter().find(|known| *known == key.trim());
            let key = known.ok_or_else(|| format!("{key:?} is no word; there are {}", KEYS.join(", ")))?;
            if key == "since" {
                since(value, Time(0))?;
            }
            filter.0.entry(key).or_default().push(value.trim().to_owned());
        }
        Ok(filter)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all =
            self.0.iter().flat_map(|(key, values)| values.iter().map(move |value| format!("{key}={value}")));
        f.write_str(&all.collect::<Vec<_>>().join(","))
    }
}

impl Filter {
    /// Adds a value, from a flag of its own.
    pub(super) fn with(mut self, key: &'static str, values: &[String]) -> Self {
        if !values.is_empty() {
            self.0.entry(key).or_default().extend_from_slice(values);
        }
        self
    }

    /// Whether a letter is meant. `now` is what times are counted back from.
    pub(super) fn fits(&self, article: &Article, now: Time) -> bool {
        let letter = &article.letter;
        self.0.iter().all(|(key, values)| {
            let is = |have: &str| values.iter().any(|value| value == have);
            let any = |have: Option<&str>| have.is_some_and(is);
            match *key {
                "build" => is(&letter.build),
                "class" => is(&letter.class),
                "code" => is(&letter.code_text),
                "letter" => is(&letter.id().to_string()),
                "row" => any(article.row().as_deref()),
                "since" => {
                    values.iter().any(|value| since(value, now).is_ok_and(|from| letter.aside >= from))
                }
                "step" => any(article.step.as_deref()) || any(article.row().as_deref()),
                "tenant" => {
                    any(article.slug.as_deref()) || any(article.tenant().map(|id| id.to_string()).as_deref())
                }
                "topic" => is(&letter.record.topic.name()) || is(&letter.lies.topic),
                "worker" => any(article.worker().as_deref()),
                _ => false,
            }
        })
    }
}

/// A point in time: RFC 3339, or so long before `now` (90s, 30m, 2h, 7d).
pub(crate) fn since(text: &str, now: Time) -> Result<Time, String> {
    if let Some(at) = Time::parse(text) {
        return Ok(at);
    }
    let wrong = || format!("{text:?}: write 90s, 30m, 2h, 7d, or a time as in 2026-01-31T12:00:00Z");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    Ok(now.plus(-number.saturating_mul(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reads_and_prints() {
        let filter: Filter = "code=not_json, step=database.provision,code=bug".parse().unwrap();
        assert_eq!(filter.to_string(), "code=not_json,code=bug,step=database.provision");
        assert!("colour=red".parse::<Filter>().unwrap_err().contains("worker"));
        assert!("code".parse::<Filter>().is_err());
        assert!("since=yesterday".parse::<Filter>().is_err());
    }

    #[test]
    fn times_are_points_or_ages() {
        assert_eq!(since("2h", Time(10_000_000)), Ok(Time(2_800_000)));
        assert_eq!(since("1970-01-01T00:00:01Z", Time(5)), Ok(Time(1_000)));
        for wrong in ["", "2", "h", "2w"] {
            assert!(since(wrong, Time(0)).is_err(), "{wrong}");
        }
    }
}
