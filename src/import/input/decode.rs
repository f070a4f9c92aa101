//! Encodings other than UTF-8. Text that is not valid in its encoding is an error, never replaced.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};

use super::damaged;

/// The number of bytes of text that are decoded at once.
const DECODED_AT_ONCE: usize = 64 * 1024;

/// Returns the encoding that the first bytes of a file show: `None` for UTF-8, which is the default.
///
/// # Errors
/// The encoding is not supported.
pub(super) fn find_encoding(head: &[u8]) -> io::Result<Option<&'static Encoding>> {
    match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [b'{' | b'[', 0, 0, 0, ..] => Err(damaged(
            "the file is encoded in UTF-32; convert it to UTF-8, for example with: iconv -f UTF-32 -t UTF-8 FILE > NEW",
        )),
        [0xff, 0xfe, ..] => Ok(Some(UTF_16LE)),
        [0xfe, 0xff, ..] => Ok(Some(UTF_16BE)),
        [first, 0, second, 0, ..] if first.is_ascii() && second.is_ascii() => Ok(Some(UTF_16LE)),
        [0, first, 0, second, ..] if first.is_ascii() && second.is_ascii() => Ok(Some(UTF_16BE)),
        _ => Ok(None),
    }
}

/// A reader of text in another encoding, as UTF-8 without a byte order mark.
pub(super) struct Decoded<R> {
    inner: R,
    decoder: Decoder,
    /// Text that has been decoded, and how much of it has been read.
    text: String,
    read: usize,
    has_ended: bool,
}

impl<R: BufRead> Decoded<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        Self { inner, decoder, text: String::with_capacity(DECODED_AT_ONCE), read: 0, has_ended: false }
    }

    /// Decodes more text, until there is some or the file ends.
    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.read = 0;
        while self.text.is_empty() && !self.has_ended {
            let input = self.inner.fill_buf()?;
            let is_last = input.is_empty();
            let (result, length) = self.decoder.decode_to_string_without_replacement(input, &mut self.text, is_last);
            self.inner.consume(length);
            match result {
                DecoderResult::Malformed(..) => {
                    let name = self.decoder.encoding().name();
                    return Err(damaged(format!("the file has bytes that are not text in {name}")));
                }
                DecoderResult::InputEmpty => self.has_ended = is_last,
                DecoderResult::OutputFull => {}
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read >= self.text.len() {
            self.refill()?;
        }
        let count = self.text.as_bytes().get(self.read..).unwrap_or_default().read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], encoding: &'static Encoding) -> io::Result<String> {
        let mut text = String::new();
        Decoded::new(bytes, encoding).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn text_of_any_length_is_decoded() {
        let text = "Zoë, 李 雷 \u{1f984}\n".repeat(20_000);
        let little: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(decode(&little, UTF_16LE).is_ok_and(|decoded| decoded == text));
        assert!(decode(&big, UTF_16BE).is_ok_and(|decoded| decoded == text));
        assert_eq!(decode(b"Ren\xe9 \x80", encoding_rs::WINDOWS_1252).ok().as_deref(), Some("René €"));
        assert_eq!(decode(b"", UTF_16LE).ok().as_deref(), Some(""));
    }

    #[test]
    fn damaged_text_is_an_error() {
        for bytes in [&[0x41, 0, 0x00, 0xd8, 0x42, 0][..], &[0x41, 0, 0x42]] {
            assert!(decode(bytes, UTF_16LE).is_err_and(|error| error.to_string().contains("UTF-16LE")));
        }
    }

    #[test]
    fn an_encoding_shows_in_the_first_bytes() {
        assert_eq!(find_encoding(b"{\0\"\0").ok().flatten(), Some(UTF_16LE));
        assert_eq!(find_encoding(b"\xfe\xff\0{").ok().flatten(), Some(UTF_16BE));
        assert_eq!(find_encoding(b"{\"user\"").ok().flatten(), None);
        assert!(find_encoding(b"\xff\xfe\0\0").is_err());
    }
}
