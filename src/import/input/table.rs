//! Tables: values separated by commas, semicolons or tabs, with a header.

use std::collections::HashSet;
use std::io::{self, BufRead, Chain, Cursor, Read};
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use memchr::memchr_iter;
use serde_json::{Map, Value};

use super::detect::named_delimiter;
use super::{MAX_ROW_LENGTH, Place, Row, damaged, parse_utf8, too_long};
use crate::text::counted;

/// The length of the line that names the delimiter, `sep=;`, with the end of the line.
const NAMED_DELIMITER_LENGTH: u64 = 8;

/// The maximum length of the name of a column in an error, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// The rows of a table. Blank values are null; rows without any value are skipped.
pub(super) struct TableRows<R> {
    reader: csv::Reader<Limited<Chain<Cursor<Vec<u8>>, R>>>,
    delimiter: u8,
    columns: Vec<String>,
    record: ByteRecord,
    /// The number of lines before the header.
    skipped: u64,
    has_failed: bool,
}

impl<R: BufRead> TableRows<R> {
    pub(super) fn new(mut text: R, delimiter: u8) -> io::Result<Self> {
        let mut first = Vec::new();
        text.by_ref().take(NAMED_DELIMITER_LENGTH).read_until(b'\n', &mut first)?;
        let is_named = std::str::from_utf8(&first).is_ok_and(|line| named_delimiter(line).is_some());
        if is_named {
            first.clear();
        }
        let text = Limited::new(Cursor::new(first).chain(text));
        let reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text);
        let (record, skipped) = (ByteRecord::new(), u64::from(is_named));
        let mut table = Self { reader, delimiter, columns: Vec::new(), record, skipped, has_failed: false };
        table.read_header()?;
        Ok(table)
    }

    fn read_header(&mut self) -> io::Result<()> {
        self.read_record()?;
        let mut names = HashSet::new();
        for (place, cell) in self.record.iter().enumerate() {
            let name = parse_utf8(cell).map_err(|error| damaged(format!("the header is {error}")))?.trim();
            let name = if name.is_empty() { format!("column {}", place + 1) } else { name.to_owned() };
            if !names.insert(name.clone()) {
                let name: String = name.chars().take(MAX_NAME_LENGTH).collect();
                return Err(damaged(format!("the header has the column {name:?} twice")));
            }
            self.columns.push(name);
        }
        Ok(())
    }

    fn read_record(&mut self) -> io::Result<bool> {
        self.reader.get_mut().left = MAX_ROW_LENGTH;
        let line = self.reader.position().line() + self.skipped;
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|error| damaged(format!("line {line}: {error}; is a quote not closed?")))
    }

    fn row(&self) -> Row {
        // The reader is behind the last line of the row.
        let breaks: usize = self.record.iter().map(|cell| memchr_iter(b'\n', cell).count()).sum();
        let line = (self.reader.position().line() + self.skipped).saturating_sub(breaks as u64 + 1);
        let place = Place::of_line(line);
        let (found, expected) = (self.record.len(), self.columns.len());
        let values: Result<Map<String, Value>, String> = if found == expected {
            self.columns.iter().zip(self.record.iter()).map(|(name, cell)| Ok((name.clone(), value(cell)?))).collect()
        } else {
            let (found, expected) = (counted(found, "value", "values"), counted(expected, "column", "columns"));
            Err(format!("{found}, but the header has {expected}; a value with a delimiter needs quotes"))
        };
        let raw = if values.is_err() { encode(self.record.iter(), self.delimiter) } else { Arc::default() };
        Row { place, raw, list: None, values }
    }
}

impl<R: BufRead> Iterator for TableRows<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_failed {
            match self.read_record() {
                Ok(false) => return None,
                Ok(true) if self.record.iter().all(|cell| cell.trim_ascii().is_empty()) => {}
                Ok(true) => return Some(Ok(self.row())),
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn value(cell: &[u8]) -> Result<Value, String> {
    let text = parse_utf8(cell)?;
    Ok(if text.trim().is_empty() { Value::Null } else { text.into() })
}

/// Returns the header of a table as a line.
pub(super) fn header(text: impl BufRead, delimiter: u8) -> io::Result<Vec<u8>> {
    let table = TableRows::new(text, delimiter)?;
    Ok(encode(table.columns.iter().map(String::as_bytes), delimiter).to_vec())
}

/// Returns the line of a row with these values.
pub(super) fn encode_values(columns: &[String], values: &Map<String, Value>, delimiter: u8) -> Arc<[u8]> {
    let cell = |column: &String| values.get(column).and_then(Value::as_str).unwrap_or_default().as_bytes();
    encode(columns.iter().map(cell), delimiter)
}

fn encode<'a>(cells: impl Iterator<Item = &'a [u8]>, delimiter: u8) -> Arc<[u8]> {
    let mut writer = WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    // Memory can always be written to.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default().into()
}

/// Returns the columns of a line that [`header`] returned.
pub(super) fn columns(header: &[u8], delimiter: u8) -> io::Result<Vec<String>> {
    Ok(TableRows::new(header, delimiter)?.columns)
}

/// A reader that fails if a row is too long, as one is whose quote is not closed. It ends every line with a line feed, and the last
/// one too, so that lines can be counted.
struct Limited<R> {
    inner: R,
    /// The number of bytes that may still be read for the row.
    left: usize,
    /// Whether the last byte was a carriage return.
    is_after_return: bool,
    ends_line: bool,
}

impl<R: Read> Limited<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: MAX_ROW_LENGTH, is_after_return: false, ends_line: true }
    }

    /// Returns bytes with a line feed at the end of each line.
    fn normalize(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut normalized = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match byte {
                b'\n' if self.is_after_return => {}
                b'\r' => normalized.push(b'\n'),
                byte => normalized.push(*byte),
            }
            self.is_after_return = *byte == b'\r';
        }
        if let Some(last) = normalized.last() {
            self.ends_line = *last == b'\n';
        }
        normalized
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(damaged(too_long()));
        }
        loop {
            let count = self.inner.read(buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            let normalized = if count > 0 { self.normalize(bytes) } else { b"\n".to_vec() };
            if count == 0 && self.ends_line {
                return Ok(0);
            }
            self.ends_line |= count == 0;
            if normalized.is_empty() {
                continue;
            }
            self.left = self.left.saturating_sub(count);
            if let Some(part) = buffer.get_mut(..normalized.len()) {
                part.copy_from_slice(&normalized);
            }
            return Ok(normalized.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, delimiter: u8) -> Vec<String> {
        let shown = |row: io::Result<Row>| match row {
            Err(error) => format!("error: {error}"),
            Ok(Row { place, values, .. }) => {
                format!(
                    "{} {}",
                    place.line,
                    values.map_or_else(|error| error, |values| Value::Object(values).to_string())
                )
            }
        };
        TableRows::new(text.as_bytes(), delimiter).unwrap().map(shown).collect()
    }

    #[test]
    fn values_may_contain_quotes_delimiters_and_line_breaks() {
        let text = "a,b\r\n\"x, \"\"y\"\"\",\"1\n2\"\r\n, \r\n\r\nz,\r\n";
        assert_eq!(
            rows(text, b','),
            [r#"2 {"a":"x, \"y\"","b":"1\n2"}"#, r#"6 {"a":"z","b":null}"#],
            "rows without any value are skipped"
        );
        assert_eq!(rows("sep=;\r\na;b\r1;2\r", b';'), [r#"3 {"a":"1","b":"2"}"#]);
    }

    #[test]
    fn a_row_of_another_width_is_invalid() {
        let found = rows("a,b\n1\n1,2,3\n1,2\n", b',');
        assert!(found[0].starts_with("2 1 value,") && found[1].starts_with("3 3 values"), "{found:?}");
        assert_eq!(found[2], r#"4 {"a":"1","b":"2"}"#);
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_read_the_whole_file() {
        let found = rows(&format!("a,b\n\"1,2\n{}", "1,2\n".repeat(MAX_ROW_LENGTH / 2)), b',');
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("error: line 2: longer than 4 MiB"), "{found:?}");
    }

    #[test]
    fn a_column_has_a_name_of_its_own() {
        assert!(TableRows::new(&b"a,b,a\n"[..], b',').is_err_and(|error| error.to_string().contains("twice")));
        assert_eq!(rows("a,,\n1,2,3\n", b','), [r#"2 {"a":"1","column 2":"2","column 3":"3"}"#]);
    }
}
