//! The kinds of damage to a file.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A generator of numbers (`SplitMix64`); the same seed gives the same numbers.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % most.max(1)
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn insert(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    drop(file.splice(at..at, bytes.iter().copied()));
}

pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Replaces a number, or inserts one where there is none.
fn huge_number(file: &mut Vec<u8>, numbers: &mut Numbers) {
    let huge =
        ["-9223372036854775808", "9223372036854775807", "99999999999999999999", "1e400", "-0.0e-999", "2147483648"];
    let from = numbers.below(file.len());
    let start = (from..file.len()).find(|place| file[*place].is_ascii_digit()).unwrap_or(from);
    let end = (start..file.len()).find(|place| !file[*place].is_ascii_digit()).unwrap_or(file.len());
    drop(file.splice(start..end, huge[numbers.below(huge.len())].bytes()));
}

/// The kinds of damage.
pub(super) const KINDS: usize = 12;
/// The kind of a compressed file that is cut off.
pub(super) const CUT_GZIP: usize = 6;

/// Damages a file.
pub(super) fn damage(kind: usize, text: &str, numbers: &mut Numbers) -> Vec<u8> {
    let mut file = text.as_bytes().to_vec();
    let place = numbers.below(file.len());
    match kind {
        0 => file.truncate(place),
        1 => {
            for _ in 0..=numbers.below(8) {
                let place = numbers.below(file.len());
                file[place] ^= u8::try_from(1 + numbers.below(255)).unwrap();
            }
        }
        2 => insert(&mut file, place, &[0; 3][..=numbers.below(3)]),
        3 => insert(&mut file, place, [&b"Ren\xe9 \x80"[..], b"\xff\xfeA\0"][numbers.below(2)]),
        4 => insert(&mut file, place, [&b"\""[..], b"'", b"\"\"", b"\\\"", "“".as_bytes()][numbers.below(5)]),
        5 => insert(&mut file, place, [&b"["[..], b"{\"a\":", b"\\"][numbers.below(3)].repeat(2_000).as_slice()),
        CUT_GZIP => {
            file = gzip(&file);
            file.truncate(10 + numbers.below(file.len() - 10));
        }
        7 => insert(&mut file, 0, [&b"\xff\xfe"[..], b"\xfe\xff", b"\xff\xfe\0\0", b"\0\0\xfe\xff"][numbers.below(4)]),
        8 => file = [&b"\xef\xbb\xbf"[..], &utf16(text)].concat(),
        9 => huge_number(&mut file, numbers),
        10 => {
            let end = place + numbers.below(file.len() - place);
            let part = file[place..end].to_vec();
            let at = numbers.below(file.len());
            insert(&mut file, at, &part);
        }
        _ => {
            let end = (place + 1 + numbers.below(20)).min(file.len());
            drop(file.drain(place..end));
        }
    }
    file
}
