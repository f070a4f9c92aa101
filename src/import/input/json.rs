//! JSON documents, read one object after the other, so that a document of any size takes the memory of its largest object.

use std::io::{self, BufRead};
use std::sync::Arc;

use super::{MAX_ROW_LENGTH, Row, damaged, parse_object, too_long};

/// The maximum nesting of a row.
const MAX_DEPTH: u32 = 127;

/// The objects of a document: the outermost values, and the items of outermost arrays; or the items of some members of the
/// outermost object.
pub(super) struct JsonRows<R> {
    text: R,
    line: u64,
    /// The members that contain the rows. If there are none, the outermost values are the rows.
    lists: &'static [&'static str],
    place: Place,
    has_failed: bool,
}

/// The place in a document.
enum Place {
    /// Between the outermost values.
    Outside,
    /// In an array, whose name is that of its member; and whether it has had an item.
    Array(Option<Arc<str>>, bool),
    /// In the outermost object; and whether it has had a member.
    Object(bool),
}

/// A value that has been read.
struct Scanned {
    line: u64,
    text: Vec<u8>,
    problem: Option<String>,
}

impl<R: BufRead> JsonRows<R> {
    pub(super) fn new(text: R, lists: &'static [&'static str]) -> Self {
        Self { text, line: 1, lists, place: Place::Outside, has_failed: false }
    }

    fn next_row(&mut self) -> io::Result<Option<Row>> {
        loop {
            let next = self.skip_whitespace()?;
            match (&self.place, next) {
                (Place::Outside, None) => return Ok(None),
                (_, None) => return Err(self.expected("the document to continue, but it ends here")),
                (Place::Outside, Some(b'[')) => self.enter(Place::Array(None, false)),
                (Place::Outside, Some(b'{')) if !self.lists.is_empty() => self.enter(Place::Object(false)),
                (Place::Outside, Some(_)) => return self.scan_row(None).map(Some),
                (Place::Array(list, _), Some(b']')) => {
                    let outer = if list.is_some() { Place::Object(true) } else { Place::Outside };
                    self.enter(outer);
                }
                (Place::Object(_), Some(b'}')) => self.enter(Place::Outside),
                (Place::Array(list, has_items), Some(_)) => {
                    let (list, has_items) = (list.clone(), *has_items);
                    self.skip_comma(has_items)?;
                    self.place = Place::Array(list.clone(), true);
                    return self.scan_row(list).map(Some);
                }
                (Place::Object(has_members), Some(_)) => {
                    let has_members = *has_members;
                    self.skip_comma(has_members)?;
                    self.read_member()?;
                }
            }
        }
    }

    /// Goes on at a place behind the next byte.
    fn enter(&mut self, place: Place) {
        self.text.consume(1);
        self.place = place;
    }

    /// Reads a member of the outermost object, up to the first item if it is one of the lists.
    fn read_member(&mut self) -> io::Result<()> {
        if self.skip_whitespace()? != Some(b'"') {
            return Err(self.expected("the name of a member in quotes"));
        }
        let name = self.scan()?;
        let name: String = serde_json::from_slice(&name.text).map_err(|_| self.expected("the name of a member"))?;
        if self.skip_whitespace()? != Some(b':') {
            return Err(self.expected("a colon"));
        }
        self.text.consume(1);
        if self.skip_whitespace()? == Some(b'[') && self.lists.contains(&name.as_str()) {
            self.enter(Place::Array(Some(name.into()), false));
        } else {
            self.scan()?;
            self.place = Place::Object(true);
        }
        Ok(())
    }

    fn skip_comma(&mut self, is_needed: bool) -> io::Result<()> {
        if !is_needed {
            return Ok(());
        }
        if self.skip_whitespace()? != Some(b',') {
            return Err(self.expected("a comma"));
        }
        self.text.consume(1);
        self.skip_whitespace()?;
        Ok(())
    }

    fn scan_row(&mut self, list: Option<Arc<str>>) -> io::Result<Row> {
        let Scanned { line, text, problem } = self.scan()?;
        let place = super::Place::of_line(line);
        Ok(match problem {
            Some(problem) => Row { place, raw: Arc::default(), list, values: Err(problem) },
            None => Row { place, values: parse_object(&text), raw: text.into(), list },
        })
    }

    /// Reads a value as text. Of one that is too long or too deep only the problem is kept.
    fn scan(&mut self) -> io::Result<Scanned> {
        self.skip_whitespace()?;
        let mut scanned = Scanned { line: self.line, text: Vec::new(), problem: None };
        let (mut depth, mut is_string, mut is_escaped) = (0_u32, false, false);
        loop {
            let Some(byte) = self.peek()? else {
                let is_scalar = depth == 0 && !is_string && !scanned.text.is_empty();
                return if is_scalar {
                    Ok(scanned)
                } else {
                    Err(self.expected("the document to continue, but it ends here"))
                };
            };
            let is_outside = depth == 0 && !is_string;
            if is_outside && (byte.is_ascii_whitespace() || matches!(byte, b',' | b':' | b']' | b'}')) {
                // The end of a number or a word, or no value at all.
                return if scanned.text.is_empty() { Err(self.expected("a value")) } else { Ok(scanned) };
            }
            self.text.consume(1);
            self.line += u64::from(byte == b'\n');
            scanned.add(byte);
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_string => is_escaped = true,
                b'"' => is_string = !is_string,
                b'{' | b'[' if !is_string => depth += 1,
                b'}' | b']' if !is_string => depth -= 1,
                _ => {}
            }
            if depth > MAX_DEPTH {
                scanned.refuse(format!("not JSON: nested more than {MAX_DEPTH} levels deep"));
            }
            if depth == 0 && !is_string && matches!(byte, b'"' | b'}' | b']') {
                return Ok(scanned);
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.text.fill_buf()?.first().copied())
    }

    /// Skips whitespace. Returns the next byte without reading it.
    fn skip_whitespace(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.line += u64::from(byte == b'\n');
            self.text.consume(1);
        }
        Ok(None)
    }

    fn expected(&self, what: &str) -> io::Error {
        damaged(format!("line {}: not JSON: expected {what}", self.line))
    }
}

impl Scanned {
    fn add(&mut self, byte: u8) {
        if self.problem.is_some() {
            return;
        }
        if self.text.len() == MAX_ROW_LENGTH {
            return self.refuse(too_long());
        }
        self.text.push(byte);
    }

    fn refuse(&mut self, problem: String) {
        if self.problem.is_none() {
            self.problem = Some(problem);
            // Some text remains, as a sign that there was a value.
            self.text.truncate(1);
        }
    }
}

impl<R: BufRead> Iterator for JsonRows<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let row = self.next_row();
        self.has_failed = row.is_err();
        row.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, lists: &'static [&'static str]) -> Vec<String> {
        let shown = |row: io::Result<Row>| match row {
            Err(error) => format!("error: {error}"),
            Ok(Row { place, list, values, .. }) => {
                let values = values.map_or_else(|error| error, |values| serde_json::Value::Object(values).to_string());
                format!("{} {}{values}", place.line, list.map(|list| format!("{list} ")).unwrap_or_default())
            }
        };
        JsonRows::new(text.as_bytes(), lists).map(shown).collect()
    }

    #[test]
    fn the_items_of_arrays_and_pages_are_rows() {
        assert_eq!(rows("[\n{\"a\":1},\n {\"b\":\"]}\\\"\"}]\n", &[]), ["2 {\"a\":1}", "3 {\"b\":\"]}\\\"\"}"]);
        assert_eq!(rows("[]", &[]), [""; 0]);
        assert_eq!(rows("{\"a\":\n1}\n{\"b\":2}", &[]), ["1 {\"a\":1}", "3 {\"b\":2}"]);
        let page = "{\"count\":2, \"x\":{\"users\":[1]},\n\"users\":[{\"a\":1},{\"a\":2}],\"next\":null}";
        assert_eq!(rows(page, &["users"]), ["2 users {\"a\":1}", "2 users {\"a\":2}"]);
        assert_eq!(rows("[1, {}]", &[]), ["1 expected a JSON object", "1 {}"]);
    }

    #[test]
    fn a_damaged_document_is_an_error() {
        for text in
            ["[{\"a\":1}", "[{\"a\":1} {}]", "[,]", "{\"users\"", "{\"users\":[{}", "[{\"a", "{users:[]}", "[{}}"]
        {
            let rows = rows(text, &["users"]);
            assert!(rows.last().is_some_and(|row| row.starts_with("error: line 1: not JSON")), "{text}: {rows:?}");
        }
    }

    #[test]
    fn a_row_has_a_maximum_length_and_depth() {
        let deep = format!("[{{\"a\":{}{}}}, {{}}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(rows(&deep, &[]), ["1 not JSON: nested more than 127 levels deep", "1 {}"]);
        let long = format!("[{{\"a\":\"{}\"}}, {{}}]", "x".repeat(MAX_ROW_LENGTH));
        assert_eq!(rows(&long, &[]), ["1 longer than 4 MiB", "1 {}"]);
        assert!(rows(&"[".repeat(100_000), &[]).last().is_some_and(|row| row.starts_with("error")));
    }
}
