//! `roster export`: everything comes out, and an import of it gives the same directory.

mod standards;

use std::collections::BTreeSet;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};
use roster::entity::audit_event::{self, AuditAction};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Map, Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Sandbox, mode};
use crate::user_fields::{USER_FIELDS, UserField};

const ANN: &str = "0192a000-0000-7000-8000-000000000011";
const BO: &str = "0192a000-0000-7000-8000-000000000012";
const OF_DJANGO: &str = "pbkdf2_sha256$29000$seasalt$MqiyVFTP6UUpjrpvJsxVXBlF/shrLYjOh7Qw2l+VN0I=";

fn picture(format: ImageFormat) -> String {
    let image = RgbImage::from_fn(300, 200, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 77]));
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    STANDARD.encode(file.into_inner())
}

fn directory() -> String {
    let lines = [
        json!({ "attribute": { "name": "badge", "label": "Badge", "kind": "INTEGER", "userEditable": true } }),
        json!({ "attribute": { "name": "birthplace", "label": "Birthplace", "kind": "STRING" } }),
        json!({ "institution": { "name": "Alder Hospital", "kind": "HOSPITAL", "country": "AU", "numBeds": 300, "externalId": "H-1", "externalReferences": [{ "source": "most", "id": 4 }] } }),
        json!({ "institution": { "name": "Cedar House", "kind": "CARE_HOME", "country": "IT" } }),
        json!({ "group": { "name": "Ward 1", "description": "Two\nlines" } }),
        json!({ "group": { "name": "Choir", "externalReferences": [{ "source": "hr", "id": "C" }] } }),
        json!({ "user": {
            "id": ANN, "firstName": "Ann", "lastName": "Ångström", "email": "ann@example.org", "username": "ann", "externalId": "P-1",
            "externalReferences": [{ "source": "most", "id": 17 }, { "source": "hr", "id": "0017" }],
            "institution": "Alder Hospital", "sites": ["H-1", "Cedar House"], "groups": [{ "group": "Ward 1", "role": "OWNER" }, { "group": "Choir" }],
            "passwordHash": OF_DJANGO, "pin": "0042", "dateJoined": "2015-03-04T05:06:07.123456+02:00", "lastLogin": "2020-01-02T03:04:05Z",
            "birthDate": "1980-07-08", "gender": "F", "role": "admin", "adminRights": { "isGroupAdmin": true }, "emailVerified": true,
            "attributes": { "badge": 7, "birthplace": "Cork" }, "avatar": { "content": picture(ImageFormat::Png) },
        } }),
        json!({ "user": { "id": BO, "firstName": "Bo", "lastName": "=Nilsson, \"Jr\"", "username": "Bo", "isActive": false, "fullSiteAccess": true, "avatar": { "content": picture(ImageFormat::Jpeg) } } }),
    ];
    lines.iter().map(|line| line.to_string() + "\n").collect()
}

/// A directory with an administrator, who has a password of Roster's own.
async fn filled(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.with_admin().await;
    std::fs::write(sandbox.path("people.ndjson"), directory()).unwrap();
    let output = sandbox.run(&["import", "people.ndjson"]).await;
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
    assert!(output.out.starts_with("8 were created, 0 changed, 0 unchanged."), "{output:?}");
    sandbox
}

async fn export(sandbox: &Sandbox, options: &[&str]) -> String {
    let output = sandbox.run(&[&["export"][..], options].concat()).await;
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
    output.out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_moves_from_sqlite_to_postgres_and_stays_the_same() {
    let source = filled(Sandbox::on_sqlite()).await;
    assert_eq!(export(&source, &["--with-secrets", "--output", "all.ndjson"]).await, "");
    let file = source.path("all.ndjson");
    assert_eq!(mode(&file), 0o600);
    let before = std::fs::read_to_string(&file).unwrap();
    let Some(target) = Sandbox::on_postgres().await else { return };
    let key = source.path("roster-data/roster.key").to_str().unwrap().to_owned();
    let options = ["--key-file", key.as_str()];
    let import = [&["import", file.to_str().unwrap()][..], &options].concat();
    let output = target.run(&import).await;
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
    assert!(output.out.starts_with("9 were created, 0 changed, 0 unchanged."), "{output:?}");
    let after = export(&target, &["--with-secrets"]).await;
    for (before, after) in before.lines().zip(after.lines()) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
    // The same file changes nothing any more.
    assert!(target.run(&import).await.out.starts_with("0 were created, 0 changed, 9 unchanged."));
    let server = target.serve(&options).await;
    for login in [ADMIN, "ann"] {
        assert_eq!(server.login(login, PASSWORD).await["success"], json!(true), "{login}");
    }
    drop(server);
    assert_eq!(target.run(&["audit", "verify"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_of_another_server_key_are_left_out_and_told() {
    let source = filled(Sandbox::on_sqlite()).await;
    export(&source, &["--with-secrets", "--output", "all.ndjson"]).await;
    let target = Sandbox::on_sqlite();
    let output = target.run(&["import", source.path("all.ndjson").to_str().unwrap()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    for part in [
        "passwordHash: This hash was made by Roster with another server key",
        "pinHash: This hash was made by Roster with another",
    ] {
        assert!(output.err.contains(part), "{output:?}");
    }
    let server = target.serve(&[]).await;
    assert_eq!(server.login("ann", PASSWORD).await["success"], json!(true), "a hash of Django needs no key");
    assert_eq!(server.login(ADMIN, PASSWORD).await["success"], json!(false));
}

in_every_sandbox! {
    async fn every_field_of_a_user_is_imported_and_exported(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        // Rights and institutions are in `directory`.
        let is_plain = |field: &&UserField| !field.grants_rights && !field.accepted.is_empty();
        let fields: Vec<&UserField> = USER_FIELDS.iter().filter(is_plain).collect();
        let user: Map<String, Value> = fields.iter().map(|field| (field.name.to_owned(), field.accepted[0].value.clone())).collect();
        std::fs::write(sandbox.path("user.ndjson"), json!({ "user": user }).to_string() + "\n").unwrap();
        let output = sandbox.run(&["import", "user.ndjson"]).await;
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
        for format in ["ndjson", "csv"] {
            let file = export(&sandbox, &["--format", format]).await;
            std::fs::write(sandbox.path("all"), &file).unwrap();
            let again = sandbox.run(&["import", "all", "--format", format]).await;
            assert!(again.out.starts_with("0 were created, 0 changed"), "{again:?}");
        }
        let lines: Vec<Value> = export(&sandbox, &[]).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let exported = lines.iter().map(|line| &line["user"]).find(|exported| exported["username"] == user["username"]).unwrap();
        for field in fields {
            assert_eq!(exported[field.name], field.accepted[0].stored, "{}", field.name);
        }
    }

    async fn secrets_are_exported_only_on_request(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        let all: Vec<Value> = export(&sandbox, &[]).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: BTreeSet<&String> = all.iter().flat_map(|line| line.as_object().unwrap().keys()).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["attribute", "group", "institution", "license", "user"]);
        let ann = all.iter().find(|line| line["user"]["id"] == json!(ANN)).unwrap()["user"].clone();
        assert!(ann.get("passwordHash").is_none() && ann.get("pinHash").is_none(), "{ann}");
        assert_eq!((&ann["attributes"], &ann["dateJoined"]), (&json!({ "badge": 7, "birthplace": "Cork" }), &json!("2015-03-04T03:06:07.123456Z")));
        assert_eq!((&ann["adminRights"], &ann["lastLogin"]), (&json!({ "isGroupAdmin": true }), &json!("2020-01-02T03:04:05.000000Z")));
        assert_eq!((ann["groups"].as_array().unwrap().len(), ann["sites"].as_array().unwrap().len()), (2, 2));
        assert_eq!(ann["avatar"]["contentType"], json!("image/png"));
        assert_eq!(ann["externalReferences"], json!([{ "source": "hr", "id": "0017" }, { "source": "most", "id": "17" }]));
        let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(AuditAction::LicenseExported)).all(sandbox.db().await.read()).await.unwrap();
        assert_eq!(events.len(), 1);
        let changes: Value = serde_json::from_str(events[0].changes.as_deref().unwrap()).unwrap();
        assert_eq!(changes, json!([{ "field": "secrets", "after": false }, { "field": "auditTrail", "after": false }]));
    }

    async fn pictures_become_files_in_a_directory(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        let all = export(&sandbox, &["--avatar-dir", "pictures"]).await;
        assert!(all.contains(&format!("{{\"file\":\"{ANN}.png\"}}")) && all.contains(&format!("{{\"file\":\"{BO}.jpeg\"}}")), "{all}");
        assert_eq!(mode(&sandbox.path(&format!("pictures/{ANN}.png"))), 0o600);
        std::fs::write(sandbox.path("again.ndjson"), &all).unwrap();
        let output = sandbox.run(&["import", "again.ndjson", "--avatar-dir", "pictures"]).await;
        assert!(output.out.starts_with("0 were created, 0 changed, 9 unchanged."), "{output:?}");
        std::fs::write(sandbox.path("secret.png"), "x").unwrap();
        let outside = all.replace(&format!("{ANN}.png"), "../secret.png");
        std::fs::write(sandbox.path("again.ndjson"), outside).unwrap();
        let output = sandbox.run(&["import", "again.ndjson", "--avatar-dir", "pictures"]).await;
        assert!(output.code == 1 && output.err.contains("avatar: The file must be a name without a directory."), "{output:?}");
        assert!(!export(&sandbox, &["--no-avatars"]).await.contains("avatar"));
    }

    async fn an_exported_table_can_be_imported_again(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        export(&sandbox, &["--format", "csv", "--output", "users.csv"]).await;
        let output = sandbox.run(&["import", "users.csv"]).await;
        assert_eq!((output.code, output.err.as_str(), output.out.trim()), (0, "", "0 were created, 0 changed, 3 unchanged."), "{output:?}");
    }

    async fn the_audit_trail_is_exported_on_request(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        let all = export(&sandbox, &["--with-audit"]).await;
        let events: Vec<Value> = all.lines().filter(|line| line.starts_with("{\"auditEvent\"")).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.first().unwrap()["auditEvent"]["action"], json!("LICENSE_CREATED"));
        assert_eq!(events.last().unwrap()["auditEvent"]["action"], json!("LICENSE_EXPORTED"));
        assert!(!all.contains("\"salt\""));
        std::fs::write(sandbox.path("all.ndjson"), &all).unwrap();
        let output = sandbox.run(&["import", "all.ndjson"]).await;
        assert!(output.code == 0 && output.out.contains(&format!("Not imported: the audit trail (in {} rows).", events.len())), "{output:?}");
        let failed = sandbox.run(&["export", "--with-audit", "--format", "csv"]).await;
        assert!(failed.code == 1 && failed.err.contains("--with-audit needs --format ndjson"), "{failed:?}");
    }

    async fn everything_about_one_user_is_exported(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        for name in [ANN, "ANN", "ann@example.org"] {
            let file: Value = serde_json::from_str(&export(&sandbox, &["--user", name]).await).unwrap();
            assert_eq!((&file["user"]["id"], &file["user"]["birthDate"]), (&json!(ANN), &json!("1980-07-08")), "{name}");
            assert_eq!(file["user"]["adminRights"], json!({ "isGroupAdmin": true }));
            assert_eq!(file["auditEvents"]["events"][0]["action"], json!("USER_EXPORTED"));
            assert!(!file.to_string().contains("Hash\""), "{file:#}");
        }
        export(&sandbox, &["--user", "bo", "--output", "bo.json"]).await;
        assert_eq!(mode(&sandbox.path("bo.json")), 0o600);
        let unknown = sandbox.run(&["export", "--user", "nobody", "--output", "nobody.json"]).await;
        assert!(unknown.code == 1 && unknown.err.contains("there is no user with"), "{unknown:?}");
        assert!(!sandbox.path("nobody.json").exists());
        let both = sandbox.run(&["export", "--user", "ann", "--with-secrets"]).await;
        assert!(both.code == 2 && both.err.contains("--with-secrets"), "{both:?}");
    }

    async fn several_licenses_go_through_one_file(sandbox: Sandbox) {
        for number in ["L-1", "L-2"] {
            assert_eq!(sandbox.run(&["license", "create", "--number", number, "--holder", "Alder"]).await.code, 0);
            let user = json!({ "firstName": "Ann", "lastName": "Oak", "username": format!("ann-{number}"), "externalId": "7", "groups": [{ "group": "Ward", "role": "OWNER" }], "attributes": { "badge": 7 } });
            let lines = [json!({ "attribute": { "name": "badge", "label": "Badge", "kind": "INTEGER" } }), json!({ "group": { "name": "Ward" } }), json!({ "user": user })];
            let file: String = lines.iter().map(|line| line.to_string() + "\n").collect();
            std::fs::write(sandbox.path("one.ndjson"), file).unwrap();
            let output = sandbox.run(&["import", "one.ndjson", "--license", number]).await;
            assert_eq!(output.code, 0, "{output:?}");
        }
        let both = ["--license", "L-2", "--license", "L-1", "--license", "L-2"];
        export(&sandbox, &[&both[..], &["--output", "all.ndjson"]].concat()).await;
        let all = std::fs::read_to_string(sandbox.path("all.ndjson")).unwrap();
        assert_eq!((all.lines().count(), all.matches("{\"license\":").count()), (8, 2), "{all}");
        let target = Sandbox::on_sqlite();
        std::fs::write(target.path("bad.ndjson"), all.replace("ann-L-1", "not a username")).unwrap();
        let report = ["--report", "report.csv"];
        let refused = target.run(&[&["import", "bad.ndjson"][..], &report].concat()).await;
        assert!(refused.code == 1 && refused.err.contains("line 8: username"), "{refused:?}");
        let rows = std::fs::read_to_string(target.path("report.csv")).unwrap();
        assert_eq!(rows.matches(",user,").count(), 2, "the report has the rows of both licenses: {rows}");
        std::fs::write(target.path("twice.ndjson"), all.repeat(2)).unwrap();
        let twice = target.run(&["import", "twice.ndjson"]).await;
        assert!(twice.code == 1 && twice.err.contains("a license twice"), "{twice:?}");
        let none = target.run(&["export"]).await;
        assert!(none.err.contains("there is no license yet"), "nothing was written: {none:?}");
        let file = sandbox.path("all.ndjson");
        for outcome in ["6 were created, 0 changed, 0 unchanged.", "0 were created, 0 changed, 6 unchanged."] {
            let output = target.run(&["import", file.to_str().unwrap()]).await;
            assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
            assert!(output.out.starts_with(outcome), "{output:?}");
        }
        assert_eq!(export(&target, &both).await, all);
        for (options, part) in [(["--license", "L-1"], "without --license"), (["--rejects", "rejects.ndjson"], "--rejects needs")] {
            let failed = target.run(&[&["import", file.to_str().unwrap()][..], &options].concat()).await;
            assert!(failed.code == 1 && failed.err.contains(part), "{failed:?}");
        }
        let table = sandbox.run(&[&["export", "--format", "csv"][..], &both].concat()).await;
        assert!(table.code == 1 && table.err.contains("--format ndjson"), "{table:?}");
    }

    async fn a_license_is_exported_by_its_number(sandbox: Sandbox) {
        let none = sandbox.run(&["export"]).await;
        assert!(none.code == 1 && none.err.contains("there is no license yet") && none.out.is_empty(), "{none:?}");
        for number in ["L-1", "L-2"] {
            assert_eq!(sandbox.run(&["license", "create", "--number", number, "--holder", "Alder"]).await.code, 0);
        }
        let several = sandbox.run(&["export", "--output", "all.ndjson"]).await;
        assert!(several.code == 1 && several.err.contains("--license"), "{several:?}");
        assert!(!sandbox.path("all.ndjson").exists(), "a failed export leaves no file");
        let one = export(&sandbox, &["--license", "L-2"]).await;
        assert!(one.lines().count() == 1 && one.contains("\"number\":\"L-2\""), "{one}");
    }
}
