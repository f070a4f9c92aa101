//! LDAP Data Interchange Format (RFC 2849): entries, not changes.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{MAX_ROW_LENGTH, Place, Row, parse_utf8, too_long};

/// The entries of a file. An attribute with several values is an array; a value that is not text is an object with the member
/// `base64`.
pub(super) struct LdifRows<R> {
    text: R,
    line: u64,
    /// Whether the last line was only read in part, because it is too long.
    is_within_line: bool,
}

/// The lines of an entry.
struct Lines {
    first: u64,
    raw: Vec<u8>,
    is_too_long: bool,
}

impl<R: BufRead> LdifRows<R> {
    pub(super) fn new(text: R) -> Self {
        Self { text, line: 0, is_within_line: false }
    }

    /// Reads lines up to a blank one.
    fn read_lines(&mut self) -> io::Result<Option<Lines>> {
        let mut lines: Option<Lines> = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = self.text.by_ref().take(MAX_ROW_LENGTH as u64).read_until(b'\n', &mut line)?;
            self.line += u64::from(count > 0 && !self.is_within_line);
            self.is_within_line = count > 0 && line.last() != Some(&b'\n');
            // A space at the beginning folds the line before, even if nothing but spaces follows.
            let is_blank = line.trim_ascii_end().is_empty() && (lines.is_none() || !line.starts_with(b" "));
            if count == 0 || (is_blank && lines.is_some()) {
                return Ok(lines);
            }
            if is_blank {
                continue;
            }
            let first = self.line;
            let lines = lines.get_or_insert_with(|| Lines { first, raw: Vec::new(), is_too_long: false });
            lines.is_too_long |= lines.raw.len() + line.len() > MAX_ROW_LENGTH;
            if !lines.is_too_long {
                lines.raw.extend(&line);
            }
        }
    }
}

impl<R: BufRead> Iterator for LdifRows<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Lines { first, mut raw, is_too_long } = match self.read_lines() {
                Ok(lines) => lines?,
                Err(error) => return Some(Err(error)),
            };
            let values = if is_too_long { Err(too_long()) } else { parse_entry(&raw) };
            if values.as_ref().is_ok_and(|values| !values.contains_key("dn")) {
                continue;
            }
            raw.extend(b"\n");
            let raw = if is_too_long { Arc::default() } else { raw.into() };
            return Some(Ok(Row { place: Place::of_line(first), raw, list: None, values }));
        }
    }
}

/// Returns the attributes of an entry. Without a `dn`, the lines are comments, the version, or the end of a search.
fn parse_entry(raw: &[u8]) -> Result<Map<String, Value>, String> {
    let (mut values, mut names) = (Map::new(), HashMap::new());
    for line in unfold(parse_utf8(raw)?) {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("expected a name and a colon in {line:?}"))?;
        let value = match value.as_bytes().first() {
            Some(b':') => decode(name, value)?,
            Some(b'<') => return Err(format!("{name}: values at other places are not read")),
            _ => value.trim_start().into(),
        };
        add(&mut values, &mut names, name, value);
    }
    match values.remove("changetype").as_ref().and_then(Value::as_str) {
        None | Some("add") => {}
        Some(kind) => return Err(format!("only entries are read, not changes (changetype: {kind})")),
    }
    if values.get("dn").is_some_and(Value::is_array) {
        return Err("the entry has several dn; entries must be separated by an empty line".to_owned());
    }
    let is_entry = values.contains_key("dn");
    let is_known = ["version", "search", "result"].iter().any(|name| values.contains_key(*name));
    if is_entry || is_known || values.is_empty() { Ok(values) } else { Err("the entry has no dn".to_owned()) }
}

/// Joins folded lines, and leaves out comments.
fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(' '), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.retain(|line| !line.starts_with('#'));
    lines
}

fn decode(name: &str, value: &str) -> Result<Value, String> {
    let text = value.trim_start_matches(':').trim();
    let bytes = STANDARD.decode(text).map_err(|_| format!("{name}: expected base64"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": text }),
    })
}

/// Adds a value of an attribute, whose name is compared ignoring case.
fn add(values: &mut Map<String, Value>, names: &mut HashMap<String, String>, name: &str, value: Value) {
    let known = names.entry(name.to_ascii_lowercase()).or_insert_with(|| name.to_owned());
    match values.get_mut(known.as_str()) {
        None => {
            if name.eq_ignore_ascii_case("dn") {
                "dn".clone_into(known);
            }
            values.insert(known.clone(), value);
        }
        Some(Value::Array(all)) => all.push(value),
        Some(one) => {
            let first = one.take();
            *one = Value::Array(vec![first, value]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<String> {
        let shown = |row: io::Result<Row>| {
            let Row { place, values, .. } = row.unwrap();
            format!("{} {}", place.line, values.map_or_else(|error| error, |values| Value::Object(values).to_string()))
        };
        LdifRows::new(text).map(shown).collect()
    }

    #[test]
    fn entries_are_unfolded_and_decoded() {
        let text = "version: 1\r\n\r\n# A user\r\n#  who\r\n  is\r\ndn: uid=ann,\r\n dc=example,dc=org\r\nCN:: UmVuw6k=\r\nmail: a@example.org\r\nMail: b@example.org\r\njpegPhoto:: /9j/\r\n\r\n\r\ndn: x\r\nsn:\r\n\r\n# search result\r\nsearch: 2\r\nresult: 0 Success\r\n";
        assert_eq!(
            rows(text.as_bytes()),
            [
                r#"3 {"CN":"René","dn":"uid=ann,dc=example,dc=org","jpegPhoto":{"base64":"/9j/"},"mail":["a@example.org","b@example.org"]}"#,
                r#"14 {"dn":"x","sn":""}"#,
            ]
        );
    }

    #[test]
    fn a_folded_line_may_consist_of_spaces() {
        let text = b"dn: a\ndescription: b\n    \n  c\nnsAccountLock: TRUE\n\ndn: d\n \ndn: e\n";
        let several = "7 the entry has several dn; entries must be separated by an empty line";
        assert_eq!(rows(text), [r#"1 {"description":"b    c","dn":"a","nsAccountLock":"TRUE"}"#, several]);
    }

    #[test]
    fn a_damaged_entry_does_not_affect_the_others() {
        let text = b"dn: a\nnonsense\n\ndn: b\nchangetype: modify\n\ndn: c\nx:: ***\n\ncn: d\n\ndn: e\njpegPhoto:< file:///etc/passwd\n\ndn: f\xff\n\ndn: g\n";
        let found = rows(text);
        assert_eq!(found.len(), 7, "{found:?}");
        assert_eq!(found.last().map(String::as_str), Some(r#"17 {"dn":"g"}"#));
    }
}
