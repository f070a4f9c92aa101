//! The text format of Prometheus, version 0.0.4, read by its rules
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::collections::{BTreeMap, BTreeSet};

/// The metrics of a scrape.
#[derive(Clone, Debug)]
pub struct Exposition {
    /// The type of each family, by its name.
    pub types: BTreeMap<String, String>,
    samples: BTreeMap<Series, f64>,
}

/// A name and its labels.
type Series = (String, BTreeMap<String, String>);

impl Exposition {
    /// Reads a text, which must follow the format.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let (mut types, mut samples, mut help) = (BTreeMap::new(), BTreeMap::new(), None);
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, description) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(!description.is_empty(), "{line}");
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(help.take().as_deref(), Some(name), "{line} does not follow its help");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}: a second time");
                name.clone_into(&mut current);
            } else {
                let (series, value) = sample(line);
                let suffixes =
                    if types[&current] == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""][..] };
                let is_of_family = suffixes.iter().any(|suffix| series.0 == format!("{current}{suffix}"));
                assert!(is_of_family, "{line} is not of {current}");
                assert!(samples.insert(series, value).is_none(), "{line}: a second time");
            }
        }
        let exposition = Self { types, samples };
        exposition.check_histograms();
        exposition
    }

    /// The value of a series; 0 if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied().unwrap_or_default()
    }

    /// The sum of all series of a name.
    pub fn sum(&self, name: &str) -> f64 {
        self.samples.iter().filter(|((of, _), _)| of == name).map(|(_, value)| value).sum()
    }

    /// The names and values of all labels.
    pub fn labels(&self) -> BTreeSet<(&str, &str)> {
        self.samples
            .keys()
            .flat_map(|(_, labels)| labels)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// The buckets of a histogram are cumulative, and the last one has everything.
    fn check_histograms(&self) {
        for ((name, labels), count) in &self.samples {
            let Some(family) = name.strip_suffix("_count").filter(|family| self.types.contains_key(*family)) else {
                continue;
            };
            let of_series = |(of, with): &Series| {
                let mut rest = with.clone();
                let bound: f64 = rest.remove("le")?.replace("+Inf", "inf").parse().unwrap();
                (*of == format!("{family}_bucket") && rest == *labels).then_some(bound)
            };
            let mut buckets: Vec<(f64, f64)> =
                self.samples.iter().filter_map(|(series, value)| Some((of_series(series)?, *value))).collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name} {labels:?}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{name} {labels:?}");
        }
    }
}

fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    ((name.to_owned(), labels_of(labels).unwrap_or_else(|| panic!("{line}"))), value)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !text.starts_with('_')
}

/// Reads labels: each is a name and a value in quotation marks, with its escapes.
fn labels_of(text: &str) -> Option<BTreeMap<String, String>> {
    let (mut labels, mut rest) = (BTreeMap::new(), text);
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"").filter(|(name, _)| is_name(name))?;
        let (mut value, mut characters) = (String::new(), quoted.chars());
        loop {
            value.push(match characters.next()? {
                '"' => break,
                '\\' => match characters.next()? {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                },
                other => other,
            });
        }
        if labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = characters.as_str();
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')? };
    }
    Some(labels)
}
