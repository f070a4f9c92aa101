//! Files in every format and encoding that an import reads, and one sentence about those that it cannot read.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use roster::entity::user;
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::process::{CommandOutput, Sandbox};

fn line(name: &str) -> String {
    json!({ "user": { "firstName": name, "lastName": "Oak", "email": "ann@example.org" } }).to_string()
}

async fn import(sandbox: &Sandbox, file: impl AsRef<[u8]>) -> CommandOutput {
    import_with(sandbox, file, &[]).await
}

async fn import_with(sandbox: &Sandbox, file: impl AsRef<[u8]>, options: &[&str]) -> CommandOutput {
    std::fs::write(sandbox.path("people.txt"), file).unwrap();
    sandbox.run(&[&["import", "people.txt"][..], options].concat()).await
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_unsupported_file_is_named_in_one_sentence() {
    let sandbox = Sandbox::on_sqlite();
    let cases: [(Vec<u8>, &str); 8] = [
        ([line("A"), line("B"), String::new()].join("\r").into(), "carriage return"),
        ("<user/>\n".repeat(50).into(), "none of the formats"),
        ("firstName: Ann\n".repeat(50).into(), "--format"),
        (b"PK\x03\x04rest".to_vec(), "Excel"),
        (b"\x28\xb5\x2f\xfdrest".to_vec(), "not with gzip"),
        (line("A").chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(), "UTF-32"),
        (b"\x1f\x8b\x08\x00damaged".to_vec(), ""),
        ("a,b,a\n1,2,3\n".into(), "twice"),
    ];
    for (file, part) in cases {
        let output = import(&sandbox, file).await;
        assert_eq!((output.code, output.out.as_str()), (1, ""), "{part}: {output:?}");
        let [sentence] = output.err.lines().collect::<Vec<_>>()[..] else { panic!("{part}: {output:?}") };
        assert!(sentence.starts_with("error: ") && sentence.contains(part), "{part}: {sentence}");
        assert!(!sentence.contains("panicked"), "{sentence}");
    }
}

#[tokio::test]
async fn an_invalid_utf8_byte_is_reported_with_its_line() {
    let sandbox = Sandbox::on_sqlite();
    let output =
        import(&sandbox, [line("Ren\u{e9}").as_bytes(), b"\n{\"user\":{\"firstName\":\"Ren\xe9\"}}\n"].concat()).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.err.contains("line 2: not UTF-8: invalid byte at position 26"), "{output:?}");
    assert!(output.err.contains("--encoding windows-1252"), "{output:?}");
}

#[tokio::test]
async fn a_damaged_document_writes_nothing() {
    let sandbox = Sandbox::on_sqlite();
    assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
    let deep = format!("[{{\"user\": {}", "[".repeat(1_000_000));
    let cases = [
        (format!("[{},", line("A")), "line 1: not JSON: expected the document to continue"),
        (format!("[{}\n {}]", line("A"), line("B")), "line 2: not JSON: expected a comma"),
        (deep, "not JSON"),
        (format!("a,b\n\"{}", "x,\n".repeat(3_000_000)), "line 2: longer than 4 MiB"),
        (format!("{{\"user\": \"{}\"}}", "x".repeat(10_000_000)), "line 1: longer than 4 MiB"),
        (format!("dn: {}\n", "x".repeat(10_000_000)), "line 1: longer than 4 MiB"),
    ];
    for (file, part) in cases {
        let output = import(&sandbox, &file).await;
        assert!(
            output.code == 1 && output.err.contains(part),
            "{part}: {}",
            output.err.get(..500).unwrap_or(&output.err)
        );
        assert!(!output.err.contains("panicked"), "{part}");
    }
    let half = gzip(line("Ann").repeat(1_000).as_bytes());
    let output = import(&sandbox, &half[..half.len() / 2]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(user::Entity::find().one(sandbox.db().await.read()).await.unwrap().is_none());
}

in_every_sandbox! {
    async fn import_reads_every_format(sandbox: Sandbox) {
        let table = |delimiter: &str| ["first_name,Last Name,e-mail,Is Staff", "René,\"Oak, \"\"Jr\"\"\",ann@example.org,true", ""].join("\r\n").replace("Oak, ", "Oak_ ").replace(',', delimiter);
        let page = json!({ "count": 1, "next": null, "results": [{ "first_name": "René", "last_name": "Oak", "email": "ann@example.org" }] });
        let ldif = "version: 1\ndn: uid=ann,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ann\ngivenName:: UmVuw6k=\nsn: Oak\nmail: ann@example.org\n";
        let rene = line("René");
        let cases: [(Vec<u8>, &[&str]); 17] = [
            (rene.clone().into(), &[]),
            (utf16(&format!("\u{feff}{rene}\r\n")), &[]),
            (utf16(&rene), &[]),
            (latin1(&rene), &["--encoding", "windows-1252"]),
            (gzip(rene.as_bytes()), &[]),
            (gzip(&utf16(&format!("\u{feff}{rene}"))), &[]),
            (format!("[{rene}]").into(), &[]),
            (serde_json::to_vec_pretty(&json!([{ "user": { "firstName": "René", "lastName": "Oak", "email": "ann@example.org" } }])).unwrap(), &[]),
            (serde_json::to_vec_pretty(&json!({ "user": { "firstName": "René", "lastName": "Oak", "email": "ann@example.org" } })).unwrap(), &[]),
            (page.to_string().into(), &[]),
            (serde_json::to_vec_pretty(&page).unwrap(), &[]),
            (table(",").into(), &[]),
            (table(";").into(), &[]),
            (format!("sep=;\r\n{}", table(";")).into(), &[]),
            (utf16(&format!("\u{feff}{}", table("\t"))), &[]),
            (latin1(&table(";")), &["--encoding", "windows-1252"]),
            (ldif.into(), &[]),
        ];
        for (place, (file, options)) in cases.into_iter().enumerate() {
            let output = import_with(&sandbox, file, options).await;
            assert_eq!(output.code, 0, "{place}: {output:?}");
            let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
            assert_eq!(users.len(), 1, "{place}");
            assert_eq!(users[0].first_name, "René", "{place}");
            assert!(users[0].last_name.starts_with("Oak"), "{place}");
        }
    }

    async fn import_reads_standard_input_and_pipes(sandbox: Sandbox) {
        let output = sandbox.run_with(&["import", "-"], &(line("Ann") + "\n")).await;
        assert_eq!((output.code, output.out.trim(), output.err.as_str()), (0, "1 was created, 0 changed, 0 unchanged.", ""), "{output:?}");
        let output = sandbox.run_with(&["import", "/dev/stdin"], &line("Bo")).await;
        assert_eq!((output.code, output.out.trim(), output.err.as_str()), (0, "0 were created, 1 changed, 0 unchanged.", ""), "{output:?}");
        let output = sandbox.run_with(&["import", "-"], "firstName,lastName,email\nCy,Oak,ann@example.org\n").await;
        assert_eq!((output.code, output.out.trim()), (0, "0 were created, 1 changed, 0 unchanged."), "{output:?}");
        let names: Vec<String> = user::Entity::find().all(sandbox.db().await.read()).await.unwrap().into_iter().map(|user| user.first_name).collect();
        assert_eq!(names, ["Cy"]);
    }

    async fn an_unknown_column_is_reported_with_its_line(sandbox: Sandbox) {
        let output = import(&sandbox, "firstName,lastName,email,shoeSize,role\nAnn,Oak,ann@example.org,43,boss\n").await;
        assert_eq!(output.code, 1, "{output:?}");
        let unknown = "line 2: shoeSize: unknown field; columns of custom attributes are named attributes.NAME; the fields are id, username, ";
        assert!(output.err.contains(unknown), "{output:?}");
        assert!(output.err.contains("pinHash, avatar (got \"43\")"), "the list of fields is complete: {output:?}");
        let rows = import(&sandbox, "username,firstName,lastName,shoeSize,hat\nann,A,B,43,7\nbo,A,B,44,\n").await;
        let ends: Vec<bool> = rows.err.lines().map(|line| line.contains("named attributes.NAME (got ")).collect();
        assert_eq!(ends, [false, true, true, false], "only the first error has the list: {rows:?}");
        assert!(output.err.contains("line 2: role: expected one of LICENSE_ADMIN, ADMIN, USER (got \"boss\")"), "{output:?}");
    }

    async fn import_accepts_timestamps_as_databases_write_them(sandbox: Sandbox) {
        let joined = |text: &str| {
            json!({ "user": { "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org", "dateJoined": text } }).to_string()
        };
        for text in ["2019-03-01 10:00:00+02", "2019-03-01T08:00:00Z", "2019-03-01 05:00:00.000-0300"] {
            let output = import(&sandbox, joined(text)).await;
            assert_eq!((output.code, output.err.as_str()), (0, ""), "{text}: {output:?}");
            let ann = user::Entity::find().one(sandbox.db().await.read()).await.unwrap().unwrap();
            assert_eq!(ann.date_joined.to_rfc3339(), "2019-03-01T08:00:00+00:00", "{text}");
        }
        for text in ["2020-01-01", "2019-03-01 10:00:00", "yesterday"] {
            let output = import(&sandbox, joined(text)).await;
            assert_eq!(output.code, 1, "{text}: {output:?}");
            assert!(output.err.starts_with("line 1: dateJoined: expected a date, a time and its offset from UTC, such as"), "{output:?}");
        }
        let output = import_with(&sandbox, joined("2019-03-01 09:00:00"), &["--time-zone", "Europe/Rome"]).await;
        assert_eq!((output.code, output.out.trim()), (0, "0 were created, 0 changed, 1 unchanged."), "{output:?}");
    }
}
