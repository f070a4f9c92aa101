//! Compression of responses, negotiated by the Accept-Encoding header (RFC 9110, 12.5.3).
//!
//! It discloses nothing to other pages (BREACH): a browser never adds the token of its user to a request by itself, so no other page
//! can have a response made that contains both a secret and a guess.

use std::io::{self, Write};

use brotli::{BrotliCompress, enc::BrotliEncoderParams};
use flate2::{Compression, write::GzEncoder};
use poem::http::{HeaderMap, HeaderValue, header};

/// Minimum number of bytes of a body that is compressed; a shorter one fits into a packet or two anyway.
pub const MIN_LENGTH: usize = 1024;

// Levels that compress JSON to about a fifth, at a hundred megabytes a second or more. Higher ones save little and take long.
const ZSTD_LEVEL: i32 = 1;
const BROTLI_QUALITY: i32 = 3;
/// The window of brotli, as a power of two, which limits its memory.
const BROTLI_WINDOW: i32 = 18;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Zstd,
    Brotli,
    Gzip,
}

impl Encoding {
    /// All encodings, the cheapest first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the value of the Content-Encoding header.
    #[must_use]
    pub const fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// Returns the encoding that the client likes best, of these; the first of several equally good ones. `None` if it accepts none
    /// of them, or prefers a body as it is.
    #[must_use]
    pub fn accepted(headers: &HeaderMap, available: &[Self]) -> Option<Self> {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).map(range).collect();
        let quality = |name: &str| {
            let found = ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(name));
            found.map(|(_, quality)| *quality)
        };
        let (others, identity) = (quality("*").unwrap_or(0.0), quality("identity").unwrap_or(0.0));
        let mut best: Option<(f32, Self)> = None;
        for encoding in available {
            let quality = quality(encoding.name()).unwrap_or(others);
            let is_accepted = quality > 0.0 && quality >= identity;
            if is_accepted && best.is_none_or(|(best, _)| quality > best) {
                best = Some((quality, *encoding));
            }
        }
        best.map(|(_, encoding)| encoding)
    }

    fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
            Self::Brotli => {
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW,
                    size_hint: bytes.len(),
                    ..BrotliEncoderParams::default()
                };
                let (mut input, mut output) = (bytes, Vec::new());
                BrotliCompress(&mut input, &mut output, &parameters)?;
                Ok(output)
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// Returns the name and the quality of one entry of the header.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)))
}

/// Compresses a body, if it is long enough for that; returns it with the encoding that it has.
#[must_use]
pub fn encode(bytes: Vec<u8>, encoding: Option<Encoding>) -> (Vec<u8>, Option<Encoding>) {
    let Some(encoding) = encoding.filter(|_| bytes.len() >= MIN_LENGTH) else { return (bytes, None) };
    match encoding.compress(&bytes) {
        Ok(compressed) => (compressed, Some(encoding)),
        Err(error) => {
            tracing::error!(%error, ?encoding, "failed to compress a response");
            (bytes, None)
        }
    }
}

/// A body that is sent often, in each encoding.
pub struct EncodedBody {
    plain: Vec<u8>,
    encoded: Vec<(Encoding, Vec<u8>)>,
}

impl EncodedBody {
    /// Compresses a body once for all responses.
    #[must_use]
    pub fn new(plain: Vec<u8>) -> Self {
        let encoded = Encoding::ALL.into_iter().filter_map(|encoding| {
            let (bytes, used) = encode(plain.clone(), Some(encoding));
            used.map(|encoding| (encoding, bytes))
        });
        Self { encoded: encoded.collect(), plain }
    }

    /// Returns the body as the client likes it best, with its encoding.
    #[must_use]
    pub fn accepted(&self, headers: &HeaderMap) -> (&[u8], Option<Encoding>) {
        let accepted = Encoding::accepted(headers, &Encoding::ALL);
        let encoded = self.encoded.iter().find(|(encoding, _)| Some(*encoding) == accepted);
        encoded.map_or((self.plain.as_slice(), None), |(encoding, bytes)| (bytes.as_slice(), Some(*encoding)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &str) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
        Encoding::accepted(&headers, &Encoding::ALL)
    }

    #[test]
    fn the_best_encoding_that_the_client_accepts_is_chosen() {
        use Encoding::{Brotli, Gzip, Zstd};
        for (value, wanted) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip, deflate", Some(Gzip)),
            ("GZIP", Some(Gzip)),
            ("br;q=0.5, gzip", Some(Gzip)),
            ("br; q=0.5, gzip;q=0.8, zstd;q=0", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*, zstd;q=0", Some(Brotli)),
            ("*;q=0.1, gzip;Q=0.2", Some(Gzip)),
            ("", None),
            ("deflate", None),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some(Gzip)),
            ("gzip;q=0, *;q=0", None),
            ("gzip;q=nan", None),
            ("gzip;q=x", None),
        ] {
            assert_eq!(accepted(value), wanted, "{value}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new(), &Encoding::ALL), None);
    }

    #[test]
    fn only_long_bodies_are_compressed() {
        let long = b"a user ".repeat(MIN_LENGTH);
        for encoding in Encoding::ALL {
            let (compressed, used) = encode(long.clone(), Some(encoding));
            assert!(used == Some(encoding) && compressed.len() < long.len() / 10, "{encoding:?}");
            assert_eq!(encode(vec![0; MIN_LENGTH - 1], Some(encoding)), (vec![0; MIN_LENGTH - 1], None));
        }
        assert_eq!(encode(long.clone(), None), (long, None));
    }
}
