//! Damaged files are refused by `roster import` in clear sentences, and nothing is written.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use roster::entity::{group, user};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;

use crate::process::Sandbox;

fn line(name: &str) -> String {
    json!({ "user": { "firstName": name, "lastName": "Oak", "email": format!("{name}@example.org") } }).to_string()
}

/// Returns the records of a license, more than the importer reads to find out the format.
fn large_license() -> String {
    let group =
        |number: usize| json!({ "group": { "name": format!("Ward {number}"), "description": "x".repeat(100) } });
    let records =
        [json!({ "license": { "number": "L-1", "holder": "Alder" } })].into_iter().chain((0..2_000).map(group));
    records.map(|record| record.to_string() + "\n").collect()
}

fn cut_gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let mut file = encoder.finish().unwrap();
    file.truncate(file.len() - 9);
    file
}

/// Returns text in UTF-8 behind the byte order mark of UTF-16, with an odd number of bytes.
fn lying_mark(text: &str) -> Vec<u8> {
    let rest = if text.len().is_multiple_of(2) { "x" } else { "" };
    [&b"\xff\xfe"[..], text.as_bytes(), rest.as_bytes()].concat()
}

/// Damaged files, each with a part of the sentence about it.
fn damaged_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let lines = format!("{}\n{}\n", line("ann"), line("bob"));
    let table = "firstName,lastName,email\nAnn,Oak,ann@example.org\n";
    let ldif = "dn: uid=ann\nobjectClass: inetOrgPerson\nuid: ann\nsn: Oak\ngivenName: Ann\nmail: ann@example.org\n";
    let million = "[".repeat(1_000_000);
    vec![
        ("cut off", lines.get(..lines.len() - 20).unwrap().into(), "not JSON"),
        ("NULs", lines.replacen("Oak", "O\0k", 1).into(), "not JSON"),
        ("an escaped NUL", lines.replacen("Oak", "O\\u0000k", 1).into(), "lastName"),
        ("mixed encodings", [lines.as_bytes(), &b"{\"user\":{\"firstName\":\"Ren\xe9\"}}\n"[..]].concat(), "not UTF-8"),
        ("a lying byte order mark", lying_mark(&lines), "UTF-16LE"),
        ("a line of 10 MB", format!("{{\"user\":{{\"firstName\":\"{}\"}}}}\n", "x".repeat(10 << 20)).into(), "longer than 4 MiB"),
        ("deep JSON", format!("{{\"user\":{{\"groups\":{million}}}}}\n").into(), "127 levels deep"),
        ("a huge number", "{\"user\":{\"firstName\":\"A\",\"lastName\":\"B\",\"username\":\"ab\",\"dateJoined\":-9223372036854775808}}\n".into(), "dateJoined"),
        ("a number without end", "{\"user\":{\"firstName\":\"A\",\"lastName\":\"B\",\"username\":\"ab\",\"version\":1e999}}\n".into(), "not JSON"),
        ("a year after 9999", "{\"group\":{\"name\":\"Ward\"}}\n{\"user\":{\"firstName\":\"A\",\"lastName\":\"B\",\"username\":\"ab\",\"groups\":[{\"group\":\"Ward\",\"joinedAt\":\"+12345-01-01T00:00:00Z\"}]}}\n".into(), "groups"),
        ("a cut gzip file", cut_gzip(&lines), "gzip"),
        ("a cut gzip file of a license", cut_gzip(&large_license()), "gzip"),
        ("an open quote", format!("{table}\"Bob,Elm,bob@example.org\n").into(), "3 columns"),
        ("a missing cell", format!("{table}Bob,Elm\n").into(), "3 columns"),
        ("a cut base64 text", format!("{ldif}\n{}cn:: UmVuw\n", ldif.replace("ann", "bob")).into(), "base64"),
    ]
}

in_every_sandbox! {
    async fn a_damaged_file_is_reported_and_nothing_is_written(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let db = sandbox.db().await;
        let count = async || {
            (user::Entity::find().count(db.read()).await.unwrap(), group::Entity::find().count(db.read()).await.unwrap())
        };
        let before = count().await;
        for (name, file, part) in damaged_files() {
            std::fs::write(sandbox.path("damaged"), file).unwrap();
            let output = sandbox.run(&["import", "damaged"]).await;
            assert_eq!((output.code, output.out.as_str()), (1, ""), "{name}: {output:?}");
            assert!(output.err.contains(part), "{name}: {output:?}");
            assert!(output.err.len() < 4_000 && !output.err.contains("panicked"), "{name}: {output:?}");
            assert!(output.err.lines().last().is_some_and(|line| line.starts_with("error: ")), "{name}: {output:?}");
            assert_eq!(count().await, before, "{name}");
        }
    }
}
