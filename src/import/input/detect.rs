//! Recognizes the format of a file by its beginning.

use std::io;

use serde_json::{Map, Value};

use super::json::JsonRows;
use super::{Format, damaged};

/// The members of a page that may contain its objects.
const LISTS_OF_PAGE: &[&str] = &["results", "users", "Resources", "data", "items"];
/// The members of a realm of Keycloak that are read.
const LISTS_OF_REALM: &[&str] = &["groups", "users"];
/// The members by which a line of Roster's own format is known.
const OWN_MEMBERS: [&str; 5] = ["license", "attribute", "institution", "group", "user"];

/// The format of a file, and its particulars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: Format,
    /// The delimiter between the values of a table.
    pub(super) delimiter: u8,
    /// The members of the outermost object that contain the rows. If there are none, the outermost values are the rows.
    pub(super) lists: &'static [&'static str],
}

/// Returns the layout of a file by the beginning of its text and, if it is given, by its format.
///
/// # Errors
/// One sentence that says what the file is.
pub(super) fn find_layout(head: &[u8], given: Option<Format>) -> io::Result<Layout> {
    if let Some(archive) = by_first_bytes(head) {
        return Err(damaged(format!("the file is {archive}; expected text")));
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    let found = if given.is_none() && !text.is_empty() { find_format(text)? } else { Format::Ndjson };
    let format = given.unwrap_or(found);
    let delimiter = if format == Format::Tsv { b'\t' } else { find_delimiter(text).unwrap_or(b',') };
    let lists = match format {
        Format::Keycloak => LISTS_OF_REALM,
        Format::Json | Format::Scim if is_page(text) => LISTS_OF_PAGE,
        _ => &[],
    };
    Ok(Layout { format, delimiter, lists })
}

fn by_first_bytes(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'P', b'K', 3, 4, ..] => {
            Some("an archive, such as a workbook of Excel. Save its sheet as CSV, or unpack it first")
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [b'B', b'Z', b'h', ..] => Some("compressed, and not with gzip. Unpack it first"),
        _ => None,
    }
}

fn find_format(text: &str) -> io::Result<Format> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let is_bare = |text: &str| text.split('\r').nth(1).is_some_and(|line| !line.trim().is_empty());
    match first.chars().next() {
        Some('{' | '[') if is_bare(first) => Err(damaged(
            "the file ends its lines with only a carriage return; convert them to line feeds, for example with: tr '\\r' \
             '\\n' < FILE > NEW",
        )),
        Some('[') => Ok(format_of_array(text, first, second)),
        Some('{') => Ok(format_of_object(text, first, second)),
        _ if is_ldif(text) => Ok(Format::Ldif),
        _ => format_of_table(text, first),
    }
}

fn format_of_array(text: &str, first: &str, second: Option<&str>) -> Format {
    let is_whole = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(first);
    // An array within one line is an invalid line. An array that is the whole file continues on the next line, or holds objects.
    if is_whole.is_ok_and(|items| items.is_empty()) && second.is_some() {
        return Format::Ndjson;
    }
    match first_object(text) {
        Some(object) if object.contains_key("model") && object.contains_key("fields") => Format::Django,
        _ => Format::Json,
    }
}

fn format_of_object(text: &str, first: &str, second: Option<&str>) -> Format {
    match serde_json::from_str::<Map<String, Value>>(first) {
        Ok(object) if second.is_none() && has_list(&object) => format_of_page(text),
        Err(error) if error.is_eof() && (is_page(text) || !second.is_some_and(|second| second.starts_with('{'))) => {
            let is_own = |key: &String| OWN_MEMBERS.contains(&key.as_str());
            let is_cut_off = second.is_none();
            // A long line may be longer than the text that is looked at.
            if is_cut_off && keys(text).first().is_some_and(is_own) { Format::Ndjson } else { format_of_page(text) }
        }
        _ => Format::Ndjson,
    }
}

fn has_list(object: &Map<String, Value>) -> bool {
    object.iter().any(|(key, value)| LISTS_OF_PAGE.contains(&key.as_str()) && value.is_array())
}

fn format_of_page(text: &str) -> Format {
    let keys = keys(text);
    let has = |name: &str| keys.iter().any(|key| key == name);
    if has("realm") {
        Format::Keycloak
    } else if has("schemas") || has("Resources") {
        Format::Scim
    } else {
        Format::Json
    }
}

fn is_page(text: &str) -> bool {
    text.starts_with('{') && keys(text).iter().any(|key| LISTS_OF_PAGE.contains(&key.as_str()))
}

fn first_object(text: &str) -> Option<Map<String, Value>> {
    JsonRows::new(text.as_bytes(), &[]).next()?.ok()?.values.ok()
}

/// Returns the names of the members of the outermost object.
fn keys(text: &str) -> Vec<String> {
    let (mut keys, mut depth, mut last) = (Vec::new(), 0_u32, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => last = Some(rest_of_string(&mut chars)),
            ':' if depth == 1 => keys.extend(last.take()),
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    keys
}

fn rest_of_string(chars: &mut std::str::Chars<'_>) -> String {
    let mut string = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => string.extend(chars.next()),
            c => string.push(c),
        }
    }
    string
}

fn is_ldif(text: &str) -> bool {
    let begins =
        |line: &str, start: &str| line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let line = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    line.is_some_and(|line| begins(line, "dn:") || begins(line, "version:"))
}

fn format_of_table(text: &str, first: &str) -> io::Result<Format> {
    let is_text = !first.chars().any(|c| c.is_control() && c != '\t' && c != '\r');
    if !is_text || first.starts_with('<') {
        return Err(damaged(
            "the file has none of the formats that an import reads: newline-delimited JSON, JSON, CSV, TSV, LDIF, and the \
             exports of Django, Keycloak and SCIM (docs/migration.md)",
        ));
    }
    match find_delimiter(text) {
        Some(b'\t') => Ok(Format::Tsv),
        Some(_) => Ok(Format::Csv),
        None => Err(damaged(
            "the format of the file is not recognized; name it with --format, such as csv for a table with one column \
             (docs/migration.md)",
        )),
    }
}

/// Returns the delimiter that the first line has most of, outside of quotes.
fn find_delimiter(text: &str) -> Option<u8> {
    let first = text.split(['\n', '\r']).next().unwrap_or_default();
    // Excel reads and writes a first line that names the delimiter.
    if let Some(delimiter) = named_delimiter(first) {
        return Some(delimiter);
    }
    let mut is_quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in first.bytes() {
        is_quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| *delimiter == byte && !is_quoted) {
            *count += 1;
        }
    }
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| *count > 0).map(|(delimiter, _)| delimiter)
}

/// Returns the delimiter of a line such as `sep=;`.
pub(super) fn named_delimiter(line: &str) -> Option<u8> {
    match line.trim_end_matches(['\r', '\n']).as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => Some(*delimiter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"user":{"firstName":"Ann","lastName":"Oak"}}"#;

    #[test]
    fn a_format_is_recognized_by_its_beginning() {
        let cases = [
            (String::new(), Format::Ndjson),
            (LINE.to_owned(), Format::Ndjson),
            (format!("{LINE}\r\n\r\n{LINE}\r\n"), Format::Ndjson),
            (format!("{{\"user\":\n{LINE}"), Format::Ndjson),
            (format!("{{\"user\":{{\"firstName\":\"René\"\n{LINE}"), Format::Ndjson),
            (format!("[]\n{LINE}"), Format::Ndjson),
            (r#"{"user":{"avatar":{"content":"AAAA"#.to_owned(), Format::Ndjson),
            (format!("[{LINE},{LINE}]"), Format::Json),
            (format!("\n[\r\n  {LINE}\r\n]"), Format::Json),
            ("{\n  \"user\": {\n    \"firstName\": \"Ann\"\n  }\n}\n".to_owned(), Format::Json),
            (r#"{"count":1,"next":null,"results":[{"uuid":"x"}]}"#.to_owned(), Format::Json),
            ("{\"users\": [\n{\"id\": 1}]}".to_owned(), Format::Json),
            ("[{\"model\": \"auth.user\", \"pk\": 1, \"fields\": {}}]".to_owned(), Format::Django),
            ("{\"id\": \"alder\",\n\"realm\": \"alder\", \"users\": []}".to_owned(), Format::Keycloak),
            ("{\"schemas\": [\"urn:x\"],\n\"Resources\": []}".to_owned(), Format::Scim),
            ("dn: uid=ann,dc=example,dc=org\nuid: ann\n".to_owned(), Format::Ldif),
            ("version: 1\n\ndn:: dWlkPWFubg==\n".to_owned(), Format::Ldif),
            ("# extended LDIF\n#\ndn: uid=ann\n".to_owned(), Format::Ldif),
            ("firstName,lastName\nAnn,Oak\n".to_owned(), Format::Csv),
            ("sep=;\r\nfirstName;lastName\r\n".to_owned(), Format::Csv),
            ("firstName\tlastName\nAnn\tOak\n".to_owned(), Format::Tsv),
        ];
        for (text, format) in cases {
            let found = find_layout(text.as_bytes(), None).map(|layout| layout.format);
            assert_eq!(found.ok(), Some(format), "{text}");
        }
    }

    #[test]
    fn an_unsupported_file_is_an_error() {
        for text in ["PK\u{3}\u{4}rest", "BZh9", "<?xml version=\"1.0\"?>", "\u{7f}ELF\u{1},\u{2}", "no json"] {
            assert!(find_layout(text.as_bytes(), None).is_err(), "{text}");
        }
        assert!(find_layout(format!("{LINE}\r{LINE}\r").as_bytes(), None).is_err());
    }

    #[test]
    fn the_delimiter_is_the_most_frequent_one_of_the_header() {
        assert_eq!(find_delimiter("a;b;\"c,d,e,f\"\n1,2,3,4,5,6"), Some(b';'));
        assert_eq!(find_delimiter("a|b"), Some(b'|'));
        assert_eq!(find_delimiter("a"), None);
        assert_eq!(find_delimiter("sep=|\na,b"), Some(b'|'));
    }
}
