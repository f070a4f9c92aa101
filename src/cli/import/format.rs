//! Recognizes files in other formats than newline-delimited JSON in UTF-8, so that one message is given instead of one for each
//! line.

use std::fmt;
use std::io::{self, BufRead};

use super::reader::BYTE_ORDER_MARK;

/// The number of bytes of a line that are examined for its format.
const EXAMINED_LENGTH: usize = 4096;

/// The format of a file that is not newline-delimited JSON in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFormat {
    Compressed,
    Utf16,
    Utf32,
    Latin1,
    CarriageReturns,
    Array,
    SeveralLines,
    Ldif,
    Csv,
    Other,
}

impl fmt::Display for ForeignFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (problem, advice) = match self {
            Self::Compressed => ("is compressed or an archive", "Unpack it first."),
            Self::Utf16 => (
                "is encoded in UTF-16, as PowerShell's > and many Windows programs write it",
                "Convert it to UTF-8, for example with: Get-Content FILE | Out-File -Encoding utf8 NEW",
            ),
            Self::Utf32 => {
                ("is encoded in UTF-32", "Convert it to UTF-8, for example with: iconv -f UTF-32 -t UTF-8 FILE > NEW")
            }
            Self::Latin1 => (
                "is not UTF-8, but Latin-1, Windows-1252 or another single-byte encoding",
                "Convert it to UTF-8, for example with: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
            ),
            Self::CarriageReturns => (
                "ends its lines with only a carriage return",
                "Convert them to line feeds, for example with: tr '\\r' '\\n' < FILE > NEW",
            ),
            Self::Array => ("is one JSON array", "Write one object per line, for example with: jq -c '.[]' FILE > NEW"),
            Self::SeveralLines => (
                "has JSON objects that span several lines",
                "Write one object per line, for example with: jq -c . FILE > NEW",
            ),
            Self::Ldif => ("looks like LDIF", "Write one JSON object per entry."),
            Self::Csv => ("looks like CSV", "Write one JSON object per row."),
            Self::Other => ("has no line that starts with a JSON object", "Write one JSON object per line."),
        };
        write!(
            formatter,
            "the file {problem}; expected newline-delimited JSON in UTF-8, one object per line, such as {{\"user\": {{\"firstName\": \
             \"Fred\", \"lastName\": \"Moss\", \"email\": \"fred@example.org\"}}}} (docs/getting-started.md, \"Load your users\"). {advice}"
        )
    }
}

/// Returns the format of a file that is not newline-delimited JSON in UTF-8, or `None` if it may be. Errors of single lines are
/// found when the lines are read.
///
/// # Errors
/// The file cannot be read.
pub(super) fn recognize(mut file: impl BufRead) -> io::Result<Option<ForeignFormat>> {
    if let Some(foreign) = by_first_bytes(file.fill_buf()?) {
        return Ok(Some(foreign));
    }
    let (mut first_lines, mut is_utf8, mut is_latin1, mut has_objects) = (Vec::new(), false, false, false);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| first_lines.is_empty()).unwrap_or(&line);
        match std::str::from_utf8(text) {
            Ok(text) => is_utf8 |= !text.is_ascii(),
            Err(_) => is_latin1 = true,
        }
        has_objects |= text.trim_ascii().starts_with(b"{");
        if first_lines.len() < 2 && !text.trim_ascii().is_empty() {
            first_lines.push(text.trim_ascii().iter().copied().take(EXAMINED_LENGTH).collect::<Vec<u8>>());
        }
        line.clear();
    }
    let mut first_lines = first_lines.iter().map(|line| String::from_utf8_lossy(line));
    let first = first_lines.next().unwrap_or_default();
    let by_lines = by_first_lines(&first, first_lines.next().as_deref());
    // A file with some lines in UTF-8 is UTF-8 with single invalid lines.
    let by_letters = (is_latin1 && !is_utf8 && first.starts_with('{')).then_some(ForeignFormat::Latin1);
    let by_beginnings = (!has_objects && !first.is_empty()).then_some(ForeignFormat::Other);
    Ok(by_lines.or(by_letters).or(by_beginnings))
}

fn by_first_bytes(bytes: &[u8]) -> Option<ForeignFormat> {
    match bytes {
        [0x1f, 0x8b, ..] | [b'P', b'K', 3, 4, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [b'B', b'Z', b'h', ..] => {
            Some(ForeignFormat::Compressed)
        }
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [b'{' | b'[', 0, 0, 0, ..] => Some(ForeignFormat::Utf32),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(ForeignFormat::Utf16),
        [first, 0, second, 0, ..] | [0, first, 0, second, ..] if first.is_ascii() && second.is_ascii() => {
            Some(ForeignFormat::Utf16)
        }
        _ => None,
    }
}

/// Recognizes a format by the first two lines that are not blank.
fn by_first_lines(first: &str, second: Option<&str>) -> Option<ForeignFormat> {
    let begins = |start: &str| first.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start));
    let is_json = first.starts_with('{');
    if first.contains('\r') && second.is_none() && first.split('\r').nth(1).is_some_and(|line| !line.trim().is_empty())
    {
        return Some(ForeignFormat::CarriageReturns);
    }
    // An array within one line is an invalid line. An array that is the whole file continues on the next line, or holds objects.
    if first == "[" || first.trim_start_matches('[').trim_start().starts_with('{') && first.starts_with('[') {
        return Some(ForeignFormat::Array);
    }
    if is_json && second.is_some_and(|second| !second.starts_with('{')) && is_cut_off(first) {
        return Some(ForeignFormat::SeveralLines);
    }
    if begins("dn: ") || begins("dn:: ") || begins("version: 1") || (begins("#") && !is_json) {
        return Some(ForeignFormat::Ldif);
    }
    let separated = |separator| first.split(separator).filter(|cell| !cell.trim().is_empty()).count() > 1;
    let is_text = !first.chars().any(|c| c.is_control() && c != '\t');
    let is_table =
        is_text && !is_json && !first.starts_with(['[', '<']) && [',', ';', '\t', '|'].into_iter().any(separated);
    is_table.then_some(ForeignFormat::Csv)
}

/// Returns whether a text is the beginning of a JSON value, but not a whole one.
fn is_cut_off(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_err_and(|error| error.is_eof())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(file: impl AsRef<[u8]>) -> Option<ForeignFormat> {
        recognize(file.as_ref()).unwrap()
    }

    const LINE: &str = r#"{"user":{"firstName":"Ann","lastName":"Oak"}}"#;

    #[test]
    fn a_file_of_another_format_is_recognized() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let utf32: Vec<u8> = LINE.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let with_mark = format!("\u{feff}{LINE}");
        let cases: [(Vec<u8>, ForeignFormat); 33] = [
            (utf16(LINE, u16::to_le_bytes), ForeignFormat::Utf16),
            (utf16(LINE, u16::to_be_bytes), ForeignFormat::Utf16),
            (utf16(&with_mark, u16::to_le_bytes), ForeignFormat::Utf16),
            (utf16(&with_mark, u16::to_be_bytes), ForeignFormat::Utf16),
            (utf16("firstName,lastName", u16::to_le_bytes), ForeignFormat::Utf16),
            (utf32, ForeignFormat::Utf32),
            (b"\x1f\x8b\x08\x00rest".to_vec(), ForeignFormat::Compressed),
            (b"PK\x03\x04rest".to_vec(), ForeignFormat::Compressed),
            (b"{\"user\":{\"firstName\":\"Ren\xe9\"}}".to_vec(), ForeignFormat::Latin1),
            ([LINE.as_bytes(), b"\n{\"user\":{\"firstName\":\"J\xfcrg\"}}\n"].concat(), ForeignFormat::Latin1),
            (format!("{LINE}\r{LINE}\r").into(), ForeignFormat::CarriageReturns),
            (format!("{LINE}\r{LINE}").into(), ForeignFormat::CarriageReturns),
            ("firstName,lastName\rAnn,Oak\r".into(), ForeignFormat::CarriageReturns),
            (format!("[{LINE},{LINE}]").into(), ForeignFormat::Array),
            (format!("[\n{LINE},\n{LINE}\n]\n").into(), ForeignFormat::Array),
            (format!("\u{feff}\n[\r\n  {LINE}\r\n]").into(), ForeignFormat::Array),
            (format!(" [ {LINE},\n{LINE}]").into(), ForeignFormat::Array),
            ("{\n  \"user\": {\n    \"firstName\": \"Ann\"\n  }\n}\n".into(), ForeignFormat::SeveralLines),
            ("{\"user\": {\n\"firstName\": \"Ann\"}}".into(), ForeignFormat::SeveralLines),
            ("dn: uid=ann,dc=example,dc=org\nuid: ann\n".into(), ForeignFormat::Ldif),
            ("version: 1\n\ndn:: dWlkPWFubg==\n".into(), ForeignFormat::Ldif),
            ("# extended LDIF\n#\ndn: uid=ann\n".into(), ForeignFormat::Ldif),
            ("firstName,lastName,email\nAnn,Oak,ann@example.org\n".into(), ForeignFormat::Csv),
            ("\u{feff}firstName;lastName\r\nAnn;Oak\r\n".into(), ForeignFormat::Csv),
            ("\"firstName\",\"lastName\"\n\"Ann\",\"Oak\"\n".into(), ForeignFormat::Csv),
            ("firstName\tlastName\nAnn\tOak\n".into(), ForeignFormat::Csv),
            (b"Vorname;Stra\xdfe;Ort".to_vec(), ForeignFormat::Csv),
            ("1,ann@example.org\n2,bo@example.org".into(), ForeignFormat::Csv),
            ("<?xml version=\"1.0\"?>\n<users>\n<user/>\n</users>".into(), ForeignFormat::Other),
            ("user:\n  firstName: Ann\n".into(), ForeignFormat::Other),
            ("no json".into(), ForeignFormat::Other),
            ("[]".into(), ForeignFormat::Other),
            (b"\x7fELF\x02\x01\x01,\x03\x04".to_vec(), ForeignFormat::Other),
        ];
        for (file, format) in cases {
            assert_eq!(format_of(&file), Some(format), "{:?}", String::from_utf8_lossy(&file));
        }
    }

    #[test]
    fn a_file_of_single_bad_lines_is_read_line_by_line() {
        let good = [
            String::new(),
            "\n\r\n".to_owned(),
            LINE.to_owned(),
            format!("\u{feff}{LINE}\r\n\r\n{LINE}\r\n"),
            format!("{{\"user\":\n{LINE}"),
            format!("{{\"user\":{{\"firstName\":\"René\"\n{LINE}"),
            format!("no json\n{LINE}"),
            format!("[]\n{LINE}"),
            "\u{feff}{}".to_owned(),
        ];
        for file in good {
            assert_eq!(format_of(&file), None, "{file:?}");
        }
        let mixed = [LINE.replace("Ann", "René").as_bytes(), b"\n{\"user\":{\"firstName\":\"Ren\xe9\"}}"].concat();
        assert_eq!(format_of(mixed), None);
    }
}
