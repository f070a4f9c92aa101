//! Files that an import cannot read: one sentence names the format of the file and the expected one.

use roster::entity::user;
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::process::{CommandOutput, Sandbox};

fn line(name: &str) -> String {
    json!({ "user": { "firstName": name, "lastName": "Oak", "email": "ann@example.org" } }).to_string()
}

async fn import(sandbox: &Sandbox, file: impl AsRef<[u8]>) -> CommandOutput {
    std::fs::write(sandbox.path("people.txt"), file).unwrap();
    sandbox.run(&["import", "people.txt"]).await
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn an_unsupported_file_is_named_in_one_sentence() {
    let sandbox = Sandbox::on_sqlite();
    let many = |line: &str| format!("{line}\n").repeat(50);
    let latin1 = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
    let cases: [(Vec<u8>, &str); 14] = [
        (utf16(&format!("\u{feff}{}", many(&line("Ann")).replace('\n', "\r\n"))), "UTF-16"),
        (utf16(&many(&line("Ann"))), "UTF-16"),
        (latin1(&many(&line("Ren\u{e9}"))), "Latin-1"),
        (format!("[{}]", [line("A"), line("B")].join(",\n")).into(), "one JSON array"),
        (serde_json::to_vec_pretty(&json!([{ "user": { "firstName": "A" } }])).unwrap(), "one JSON array"),
        (serde_json::to_vec_pretty(&json!({ "user": { "firstName": "A" } })).unwrap(), "several lines"),
        ([line("A"), line("B"), String::new()].join("\r").into(), "carriage return"),
        (many("firstName,lastName,email").into(), "CSV"),
        (latin1("Vorname;Stra\u{df}e;Ort\r\nJ\u{fc}rg;Weg 1;K\u{f6}ln\r\n"), "CSV"),
        (format!("version: 1\n\n{}", many("dn: uid=ann,dc=example,dc=org\nuid: ann\n")).into(), "LDIF"),
        (format!("# extended LDIF\n#\n{}", many("dn: uid=ann,dc=example,dc=org\nuid: ann\n")).into(), "LDIF"),
        (many("<user/>").into(), "no line that starts with a JSON object"),
        (many("firstName: Ann").into(), "no line that starts with a JSON object"),
        (b"\x1f\x8b\x08\x00rest".to_vec(), "compressed"),
    ];
    for (file, format) in cases {
        let output = import(&sandbox, file).await;
        assert_eq!((output.code, output.out.as_str()), (1, ""), "{format}: {output:?}");
        let [sentence] = output.err.lines().collect::<Vec<_>>()[..] else { panic!("{format}: {output:?}") };
        for part in [
            "error: people.txt: ",
            format,
            "expected newline-delimited JSON in UTF-8",
            "docs/getting-started.md",
            "{\"user\": {",
        ] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
    }
    assert!(!sandbox.path("roster-data").exists(), "no data folder is created for an unreadable file");
}

#[tokio::test]
async fn an_invalid_utf8_byte_is_reported_with_its_line() {
    let sandbox = Sandbox::on_sqlite();
    let output =
        import(&sandbox, [line("Ren\u{e9}").as_bytes(), b"\n{\"user\":{\"firstName\":\"Ren\xe9\"}}\n"].concat()).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.err.contains("line 2: not UTF-8: invalid byte at position 26"), "{output:?}");
}

in_every_sandbox! {
    async fn import_reads_standard_input_and_pipes(sandbox: Sandbox) {
        let output = sandbox.run_with(&["import", "-"], &(line("Ann") + "\n")).await;
        assert_eq!((output.code, output.out.trim(), output.err.as_str()), (0, "1 were created, 0 changed, 0 unchanged.", ""), "{output:?}");
        let output = sandbox.run_with(&["import", "/dev/stdin"], &line("Bo")).await;
        assert_eq!((output.code, output.out.trim(), output.err.as_str()), (0, "0 were created, 1 changed, 0 unchanged.", ""), "{output:?}");
        let output = sandbox.run_with(&["import", "-"], "firstName,lastName\nAnn,Oak\n").await;
        assert!(output.code == 1 && output.err.contains("-: the file looks like CSV"), "{output:?}");
        let names: Vec<String> = user::Entity::find().all(sandbox.db().await.read()).await.unwrap().into_iter().map(|user| user.first_name).collect();
        assert_eq!(names, ["Bo"]);
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
    }
}
