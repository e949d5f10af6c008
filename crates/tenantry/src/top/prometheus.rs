//! Reads the lines of Prometheus' text format that a board needs: names, labels, values. Comments, time stamps and what
//! cannot be read are passed over: a board shows what it understands.

use std::collections::BTreeMap;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: BTreeMap<&'a str, String>,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// A label's value; empty where there is none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All samples of a page.
pub(super) fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<&str, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(name, value);
        rest = quoted.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_what_is_no_sample_is_passed_over() {
        let page = "# HELP a b\n# TYPE a counter\na_total 3\nb{x=\"1\",y=\"q\\\"{}, \\\\ \\n\"} 2.5 1700000000\n\
                    c_bucket{le=\"+Inf\"} 7\nnonsense\nd{x=\"open 1\ne{} NaN\nf{x=\"1\"}\n";
        let all: Vec<_> = samples(page).collect();
        let names: Vec<_> = all.iter().map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(names[..3], [("a_total", 3.0), ("b", 2.5), ("c_bucket", 7.0)]);
        assert_eq!(all[1].label("y"), "q\"{}, \\ \n");
        assert_eq!((all[1].label("x"), all[1].label("z")), ("1", ""));
        assert!(names.len() == 4 && names[3].0 == "e" && names[3].1.is_nan(), "{names:?}");
    }

    #[test]
    fn the_exporter_that_the_fleet_uses_is_understood() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("a_total", "topic" => "tenant.commands.\"x\"").increment(4);
        });
        let page = handle.render();
        let all: Vec<_> = samples(&page).collect();
        assert_eq!(
            (all[0].name, all[0].value, all[0].label("topic")),
            ("a_total", 4.0, "tenant.commands.\"x\"")
        );
    }
}
