//! Newline-delimited JSON. An invalid line does not affect the others.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::{BYTE_ORDER_MARK, MAX_ROW_LENGTH, Place, Row, parse_object, too_long};

/// The lines of a file, without blank ones.
pub(super) struct LineRows<R> {
    file: R,
    text: Vec<u8>,
    line: u64,
}

impl<R: BufRead> LineRows<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, text: Vec::new(), line: 0 }
    }

    /// Reads the next line, of which at most the maximum length is kept. Returns whether there is one.
    fn read_line(&mut self) -> io::Result<bool> {
        self.text.clear();
        let limit = MAX_ROW_LENGTH as u64 + 1;
        if self.file.by_ref().take(limit).read_until(b'\n', &mut self.text)? == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.text.len() > MAX_ROW_LENGTH && self.text.last() != Some(&b'\n') {
            self.file.skip_until(b'\n')?;
        }
        Ok(true)
    }
}

impl<R: BufRead> Iterator for LineRows<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_line() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            let text = self.text.as_slice();
            let text = if self.line == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
            let text = text.trim_ascii();
            let place = Place::of_line(self.line);
            if text.len() > MAX_ROW_LENGTH {
                let row = Row { place, raw: Arc::default(), list: None, values: Err(too_long()) };
                return Some(Ok(row));
            }
            if !text.is_empty() {
                let values = parse_object(text);
                return Some(Ok(Row { place, raw: text.into(), list: None, values }));
            }
        }
    }
}
