//! Damaged files: each is reported in clear sentences, whatever is wrong with it.

mod damage;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs};

use self::damage::{CUT_GZIP, KINDS, Numbers, damage, gzip, utf16};
use super::draft::Draft;
use super::origin::InvalidRow;
use super::reader::{Parsed, ReadRow};
use super::record::Record;
use super::{Format, Formats, Input, Mapping, Preset, Source, SourceFile};
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

fn source_of(input: Input, mapping: Option<Mapping>) -> Source {
    Source::new(vec![SourceFile::new("file".to_owned(), input, mapping, Formats::default())])
}

/// Reads a file as an import does, up to the checks of fields; returns all errors.
fn errors_of(path: &Path, format: Option<Format>, is_checked: bool) -> Vec<String> {
    let input = match Input::open(path, format, None) {
        Ok(input) => input,
        Err(error) => return vec![error.to_string()],
    };
    let mapping = MAPPINGS.iter().find(|(format, _)| *format == input.format()).map(|(_, mapping)| mapping.clone());
    let source = source_of(input, mapping);
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
        errors.extend(InvalidRow::new(&row.origin, &[], row.faults).errors.iter().map(ToString::to_string));
        for record in row.record.into_iter().filter(|_| is_checked) {
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
        let source = source_of(Input::open(&path, None, None).unwrap(), None);
        let (mut lines, mut progress) = (Vec::new(), Vec::new());
        for part in source.parts().unwrap() {
            let before = lines.len();
            for ReadRow { row, position, .. } in part.into_rows(Id::new()).map(Result::unwrap) {
                lines.push(row.origin.place.line);
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
