//! The form of a file of rejected rows, so that it can be imported like the file that they are from.

use serde_json::{Map, Value};

use super::table;

/// The form of a file of rejected rows.
#[derive(Default)]
pub(crate) struct RejectForm {
    /// The first lines.
    pub(in crate::import) header: Vec<u8>,
    /// The columns of a table; none in other formats.
    pub(super) columns: Vec<String>,
    pub(super) delimiter: u8,
}

impl RejectForm {
    /// Returns a row as a line or, in LDIF, as an entry.
    pub(in crate::import) fn encode(&self, raw: &[u8], values: &Map<String, Value>) -> Vec<u8> {
        if !raw.is_empty() || self.columns.is_empty() {
            let mut text = raw.to_vec();
            if self.header.is_empty() {
                // A row of JSON may be spread over several lines. Line breaks are only between its values.
                text.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
            }
            if !text.is_empty() && text.last() != Some(&b'\n') {
                text.push(b'\n');
            }
            return text;
        }
        table::encode_values(&self.columns, values, self.delimiter).to_vec()
    }
}
