//! The input of an import: a file in one of several formats, read as a stream of rows. A row has its place in the file, and its
//! values under the names that the file gives them.

mod decode;
mod detect;
mod json;
mod ldif;
mod lines;
mod reject;
mod source;
mod table;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use encoding_rs::Encoding;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::decode::Decoded;
use self::detect::Layout;
use self::json::JsonRows;
use self::ldif::LdifRows;
use self::lines::LineRows;
pub(crate) use self::reject::RejectForm;
use self::source::Source;
use self::table::TableRows;
use super::place::Place;

/// The maximum length of a row, in bytes. It has room for a user with a picture.
const MAX_ROW_LENGTH: usize = 4 * 1024 * 1024;
/// The number of bytes by which the format of a file is recognized.
const HEAD_LENGTH: u64 = 64 * 1024;
/// The number of bytes that are read at once.
const READ_AT_ONCE: usize = 64 * 1024;
/// The beginning of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The byte order mark, with which some programs begin a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The format of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Newline-delimited JSON, one object per line.
    #[default]
    Ndjson,
    /// JSON: an array of objects, a page with such an array, or objects over several lines.
    Json,
    /// Values separated by commas or semicolons (RFC 4180), with a header.
    Csv,
    /// Values separated by tabs, with a header.
    Tsv,
    /// LDAP Data Interchange Format (RFC 2849), only entries.
    Ldif,
    /// The output of Django's `dumpdata`.
    Django,
    /// A realm exported by Keycloak.
    Keycloak,
    /// A `ListResponse` of SCIM 2.0.
    Scim,
}

/// A row of a file.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    /// The row as it is in the file, in UTF-8. Empty if it is too long.
    pub(super) raw: Arc<[u8]>,
    /// The name of the list that contains the row, if the file has several.
    pub(super) list: Option<Arc<str>>,
    /// The values by the names of the file, or the reason why the row cannot be read.
    pub(super) values: Result<Map<String, Value>, String>,
}

impl Row {
    /// Returns the number of bytes of the row, or of its values if it is not kept as it is.
    pub(super) fn length(&self) -> usize {
        let values = self.values.iter().flat_map(Map::values).filter_map(Value::as_str);
        if self.raw.is_empty() { values.map(str::len).sum() } else { self.raw.len() }
    }
}

pub(super) type RowIterator = Box<dyn Iterator<Item = io::Result<Row>> + Send>;

/// A stream of rows.
pub(super) struct Rows {
    pub(super) rows: RowIterator,
    /// The number of bytes that have been read.
    pub(super) position: Arc<AtomicU64>,
}

impl Rows {
    /// Returns the lines of newline-delimited JSON in UTF-8.
    pub(super) fn of_lines(file: impl BufRead + Send + 'static) -> Self {
        let position = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: file, position: Arc::clone(&position) };
        let rows = Box::new(LineRows::new(BufReader::with_capacity(READ_AT_ONCE, counted)));
        Self { rows: numbered(rows, 0), position }
    }

    /// Returns the number of bytes of the file that have been read.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }
}

impl Iterator for Rows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

/// An open file whose format is known. It can be read several times.
pub struct Input {
    source: Source,
    is_compressed: bool,
    /// The encoding, unless it is UTF-8.
    encoding: Option<&'static Encoding>,
    layout: Layout,
}

impl Input {
    /// Opens a file; `-` is standard input. The format and the encoding are found out by the content, unless they are given.
    ///
    /// # Errors
    /// The file cannot be read, or one sentence about a file of an unsupported format.
    pub fn open(path: &Path, format: Option<Format>, encoding: Option<&'static Encoding>) -> io::Result<Self> {
        let source = Source::open(path)?;
        let is_compressed = head_of(source.reader()?)?.starts_with(&GZIP_MAGIC);
        let mut input = Self { source, is_compressed, encoding: None, layout: Layout::default() };
        let head = head_of(input.bytes(Arc::default())?)?;
        input.encoding = match encoding {
            Some(encoding) => Some(encoding).filter(|encoding| *encoding != encoding_rs::UTF_8),
            None => decode::find_encoding(&head)?,
        };
        let text = head_of(input.text(Arc::default())?)?;
        input.layout = detect::find_layout(&text, format)?;
        Ok(input)
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.layout.format
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> io::Result<u64> {
        self.source.size()
    }

    /// Returns the form of a file of rejected rows, so that it can be imported like this one.
    pub(super) fn reject_form(&self) -> io::Result<RejectForm> {
        let Layout { format, delimiter, .. } = self.layout;
        Ok(match format {
            Format::Csv | Format::Tsv => {
                let header = table::header(self.text(Arc::default())?, delimiter)?;
                RejectForm { columns: table::columns(&header, delimiter)?, header, delimiter }
            }
            Format::Ldif => RejectForm { header: b"version: 1\n\n".to_vec(), ..RejectForm::default() },
            _ => RejectForm::default(),
        })
    }

    /// Returns the rows from the beginning, as those of the file with a number. Rows that were returned before must not be used any
    /// more. `position` is increased by the number of bytes that are read.
    pub(super) fn rows(&self, file: u16, position: Arc<AtomicU64>) -> io::Result<RowIterator> {
        let text = self.text(position)?;
        let rows: RowIterator = match self.layout.format {
            Format::Ndjson => Box::new(LineRows::new(text)),
            Format::Csv | Format::Tsv => Box::new(TableRows::new(text, self.layout.delimiter)?),
            Format::Ldif => Box::new(LdifRows::new(text)),
            Format::Json | Format::Django | Format::Keycloak | Format::Scim => {
                Box::new(JsonRows::new(text, self.layout.lists))
            }
        };
        Ok(numbered(rows, file))
    }

    /// Returns the content, decompressed.
    fn bytes(&self, position: Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
        let counted = Counted { inner: self.source.reader()?, position };
        let file = BufReader::with_capacity(READ_AT_ONCE, counted);
        if self.is_compressed {
            return Ok(Box::new(BufReader::with_capacity(READ_AT_ONCE, Unzipped(MultiGzDecoder::new(file)))));
        }
        Ok(Box::new(file))
    }

    /// Returns the content in UTF-8, without a byte order mark. It may contain invalid bytes if the file is said to be UTF-8.
    fn text(&self, position: Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
        let mut bytes = self.bytes(position)?;
        if let Some(encoding) = self.encoding {
            return Ok(Box::new(BufReader::with_capacity(READ_AT_ONCE, Decoded::new(bytes, encoding))));
        }
        let mut first = Vec::new();
        bytes.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut first)?;
        if first == BYTE_ORDER_MARK {
            first.clear();
        }
        Ok(Box::new(io::Cursor::new(first).chain(bytes)))
    }
}

/// Numbers the rows of a file.
fn numbered(rows: RowIterator, file: u16) -> RowIterator {
    let mut last = Place::default();
    Box::new(rows.map(move |row| {
        let row = row?;
        last = row.place.after(last, file);
        Ok(Row { place: last, ..row })
    }))
}

fn head_of(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD_LENGTH).read_to_end(&mut head)?;
    Ok(head)
}

/// A reader that counts the bytes read.
struct Counted<R> {
    inner: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A reader of a compressed file that says in its errors what is damaged.
struct Unzipped<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Unzipped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                damaged(format!("the file is cut off or damaged; gzip cannot decompress it: {error}"))
            }
            _ => error,
        })
    }
}

/// Returns an error of a file that cannot be read any further.
fn damaged(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Returns the object of a JSON text.
fn parse_object(text: &[u8]) -> Result<Map<String, Value>, String> {
    let text = parse_utf8(text)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("expected a JSON object".to_owned()),
        Err(error) if error.to_string().starts_with("recursion limit exceeded") => {
            Err("not JSON: nested more than 127 levels deep".to_owned())
        }
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

fn parse_utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|error| {
        let place = error.valid_up_to() + 1;
        format!(
            "not UTF-8: invalid byte at position {place}; if the file has another encoding, name it, for example with \
             --encoding windows-1252"
        )
    })
}

fn too_long() -> String {
    format!("longer than {} MiB", MAX_ROW_LENGTH / (1024 * 1024))
}
