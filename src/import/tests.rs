//! Damaged files: each is reported in clear sentences, whatever is wrong with it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::draft::Draft;
use super::origin::InvalidRow;
use super::reader::{Parsed, ReadRow};
use super::record::Record;
use super::{Format, Formats, Input, Mapping, Preset, Source};
use crate::error::Error;
use crate::scalar::Id;

/// The number of damaged files; `ROSTER_TEST_DAMAGED_FILES` overrides it.
const FILES: usize = 10_000;
/// The maximum length of an error, in bytes.
const MAX_ERROR: usize = 4_000;
/// Words of errors that are meant for programmers.
const JARGON: [&str; 6] = ["Error {", "Custom {", "Os {", "panicked", "called `", "unwrap"];

/// The mappings of the formats that only one system writes.
static MAPPINGS: LazyLock<Vec<(Format, Mapping)>> = LazyLock::new(|| {
    let mapping = |(format, ..): (Format, &str, String)| {
        Preset::of_format(format).map(|preset| (format, Mapping::parse(preset.text()).unwrap()))
    };
    files().into_iter().filter_map(mapping).collect()
});

/// A valid file in each format.
fn files() -> [(Format, &'static str, String); 8] {
    let user = r#"{"user":{"firstName":"René","lastName":"Oak","email":"ann@example.org","externalId":"E-7","birthDate":"1980-07-08","dateJoined":1551427200,"version":3,"groups":[{"group":"Ward","role":"OWNER"}],"adminRights":{"isAdmin":true}}}"#;
    let group = r#"{"group":{"name":"Ward","createdAt":"2019-03-01T10:00:00Z"}}"#;
    let table = |delimiter: &str| {
        let header = ["firstName", "lastName", "email", "dateJoined", "isStaff"].join(delimiter);
        let row = ["\"René \"\"Ren\"\" O\"", "Oak", "ann@example.org", "2019-03-01T10:00:00Z", "yes"].join(delimiter);
        format!("{header}\r\n{row}\r\n{row}\r\n")
    };
    let ldif = "version: 1\n\ndn: uid=ann,dc=example,\n dc=org\nobjectClass: inetOrgPerson\nuid: ann\ncn:: UmVuw6k=\nsn: Oak\ngivenName: Ann\nmail: ann@example.org\njpegPhoto:: /9j/4AAQSkZJRgABAQ==\n\n# end\n";
    let django = r#"[{"model":"auth.user","pk":7,"fields":{"username":"ann","first_name":"Ann","last_name":"Oak","email":"ann@example.org","date_joined":"2019-03-01T10:00:00Z","is_active":true,"groups":[1]}},{"model":"auth.group","pk":1,"fields":{"name":"Ward"}}]"#;
    let keycloak = r#"{"id":"alder","realm":"alder","groups":[{"id":"0192a000-0000-7000-8000-000000000001","name":"Ward","path":"/Ward"}],"users":[{"id":"0192a000-0000-7000-8000-000000000011","createdTimestamp":1551427200000,"username":"ann","enabled":true,"firstName":"Ann","lastName":"Oak","email":"ann@example.org","credentials":[{"type":"password","secretData":"{\"value\":\"AAAA\",\"salt\":\"AAAA\"}","credentialData":"{\"hashIterations\":27500,\"algorithm\":\"pbkdf2-sha256\"}"}],"groups":["/Ward"]}]}"#;
    let scim = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"Resources":[{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"2819c223-7f76-453a-919d-413861904646","userName":"ann","name":{"givenName":"Ann","familyName":"Oak"},"emails":[{"value":"ann@example.org","primary":true}],"active":true}]}"#;
    [
        (Format::Ndjson, "ndjson", format!("{group}\n{user}\n")),
        (Format::Json, "json", format!("[\n{group},\n{user}\n]\n")),
        (Format::Csv, "csv", table(";")),
        (Format::Tsv, "tsv", table("\t")),
        (Format::Ldif, "ldif", ldif.to_owned()),
        (Format::Django, "django", django.to_owned()),
        (Format::Keycloak, "keycloak", keycloak.to_owned()),
        (Format::Scim, "scim", scim.to_owned()),
    ]
}

/// A generator of numbers (`SplitMix64`); the same seed gives the same numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % most.max(1)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn insert(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    drop(file.splice(at..at, bytes.iter().copied()));
}

fn utf16(text: &str) -> Vec<u8> {
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
const KINDS: usize = 12;
/// The kind of a compressed file that is cut off.
const CUT_GZIP: usize = 6;

/// Damages a file.
fn damage(kind: usize, text: &str, numbers: &mut Numbers) -> Vec<u8> {
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

/// Reads a file as an import does, up to the checks of fields; returns all errors.
fn errors_of(path: &Path, format: Option<Format>, is_checked: bool) -> Vec<String> {
    let input = match Input::open(path, format, None) {
        Ok(input) => input,
        Err(error) => return vec![error.to_string()],
    };
    let mapping = MAPPINGS.iter().find(|(format, _)| *format == input.format()).map(|(_, mapping)| mapping.clone());
    let source = Source::new(input, mapping, Formats::default());
    let rejects = source.reject_form();
    let parts = match source.parts() {
        Ok(parts) => parts,
        Err(error) => return vec![error.to_string()],
    };
    let mut errors = Vec::new();
    for row in parts.flat_map(|part| part.into_rows(Id::new())) {
        let ReadRow { row, .. } = match row {
            Ok(row) => row,
            Err(error) => {
                errors.push(error.to_string());
                break;
            }
        };
        if let Ok(rejects) = &rejects {
            rejects.encode(&row.origin.raw, &row.origin.values());
        }
        errors.extend(InvalidRow::new(&row.origin, row.faults).errors.iter().map(ToString::to_string));
        for record in row.records.into_iter().filter(|_| is_checked) {
            let Record::User(record) = record else { continue };
            let draft =
                Draft::new(Parsed { origin: row.origin.clone(), record: *record, faults: Vec::new() }, Id::new());
            if let Err(Error::Rejected(rejected)) = draft.validator.finish() {
                errors.extend(rejected.into_iter().map(|error| error.message));
            }
        }
    }
    errors
}

fn check_errors(errors: &[String], what: &str) {
    for error in errors {
        assert!(error.split_whitespace().count() >= 2, "{what}: {error:?}");
        assert!(error.len() <= MAX_ERROR, "{what}: {} bytes: {:?}", error.len(), error.get(..200));
        assert!(!error.chars().any(char::is_control), "{what}: {error:?}");
        assert!(!JARGON.iter().any(|word| error.contains(word)), "{what}: {error:?}");
    }
}

fn number_of_files() -> usize {
    env::var("ROSTER_TEST_DAMAGED_FILES").map_or(FILES, |number| number.parse().unwrap())
}

/// Damages files whose numbers are of one remainder, so that several tests share the work.
fn check_part(part: usize, parts: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let files = files();
    let (mut reported, mut cut) = (0, 0);
    for number in (0..number_of_files()).filter(|number| number % parts == part) {
        let (format, name, text) = &files[number / parts % files.len()];
        let kind = number / parts / files.len() % KINDS;
        let file = damage(kind, text, &mut Numbers(number as u64));
        fs::write(&path, &file).unwrap();
        let given = number.is_multiple_of(3).then_some(*format);
        let errors = errors_of(&path, given, number.is_multiple_of(4));
        let what = format!("{name}, damage {kind}, number {number}");
        check_errors(&errors, &what);
        if kind == CUT_GZIP {
            cut += 1;
            assert!(errors.last().is_some_and(|error| error.contains("gzip")), "{what}: {errors:?}");
        }
        reported += usize::from(!errors.is_empty());
    }
    println!("{reported} of {} damaged files have errors, {cut} of them cut off", number_of_files().div_ceil(parts));
}

#[test]
fn valid_files_have_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (format, name, text) in files() {
        for file in [text.as_bytes().to_vec(), gzip(text.as_bytes()), [&b"\xff\xfe"[..], &utf16(&text)].concat()] {
            fs::write(&path, file).unwrap();
            let errors = errors_of(&path, None, true);
            assert!(errors.is_empty(), "{name}: {errors:?}");
            assert_eq!(Input::open(&path, None, None).unwrap().format(), format, "{name}");
        }
    }
}

#[test]
fn the_parts_of_a_file_are_read_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let license = |number: usize| {
        let group = "{\"group\":{\"name\":\"Ward\"}}\n";
        format!("{{\"license\":{{\"number\":\"L-{number}\",\"holder\":\"Alder\"}}}}\n{}", group.repeat(10_000))
    };
    let text: String = (0..3).map(license).collect();
    for file in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
        fs::write(&path, file).unwrap();
        let source = Source::new(Input::open(&path, None, None).unwrap(), None, Formats::default());
        let (mut lines, mut progress) = (Vec::new(), Vec::new());
        for part in source.parts().unwrap() {
            let before = lines.len();
            for ReadRow { row, position, .. } in part.into_rows(Id::new()).map(Result::unwrap) {
                lines.push(row.origin.line);
                progress.push(position);
            }
            assert_eq!(lines.len() - before, 10_001);
        }
        assert!(lines.iter().copied().eq(1..=30_003));
        assert!(progress.is_sorted() && progress.last().copied() == Some(source.size().unwrap()));
    }
}

#[test]
fn damaged_files_are_reported_in_sentences() {
    check_part(0, 2);
}

#[test]
fn more_damaged_files_are_reported_in_sentences() {
    check_part(1, 2);
}

#[test]
fn values_and_lines_of_ten_megabytes_are_reported_in_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let long = "x".repeat(10 * 1024 * 1024);
    for (name, file) in [
        ("ndjson", format!("{{\"user\":{{\"firstName\":\"{long}\"}}}}\n")),
        ("json", format!("[\n{{\"user\":{{\"firstName\":\"{long}\"}}}}]\n")),
        ("csv", format!("firstName,lastName\n{long},Oak\n")),
        ("an open quote", format!("firstName,lastName\n\"{long},Oak\n")),
        ("a header", format!("firstName,{long}\nAnn,Oak\n")),
        ("ldif", format!("dn: uid=ann\nsn: {long}\n")),
    ] {
        fs::write(&path, file).unwrap();
        let errors = errors_of(&path, None, true);
        assert!(errors.iter().any(|error| error.contains("longer than 4 MiB")), "{name}: {errors:?}");
        check_errors(&errors, name);
    }
    let column = "y".repeat(1024 * 1024);
    fs::write(&path, format!("{column},{column}\n1,2\n")).unwrap();
    let errors = errors_of(&path, Some(Format::Csv), true);
    assert!(errors[0].contains("twice"));
    check_errors(&errors, "a long column");
}

#[test]
fn an_entry_with_very_many_attributes_is_read_in_linear_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut entry = "dn: uid=ann\nuid: ann\nsn: Oak\ngivenName: Ann\n".to_owned();
    for number in 0..200_000 {
        writeln!(entry, "a{number}: 1").unwrap();
    }
    fs::write(&path, entry).unwrap();
    check_errors(&errors_of(&path, None, false), "attributes");
}
