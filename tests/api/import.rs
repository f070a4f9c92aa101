//! `roster import`: valid files are imported once, invalid lines are reported with every error.

use roster::db::Db;
use roster::entity::{credential, group, institution, license, membership, session, user};
use roster::scalar::Id;
use roster::startup;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, QueryOrder as _, Statement};
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, CommandOutput, Sandbox};

/// Hashes of `PASSWORD`, by Django and by another system.
const OF_DJANGO: &str = "pbkdf2_sha256$29000$seasalt$MqiyVFTP6UUpjrpvJsxVXBlF/shrLYjOh7Qw2l+VN0I=";
const OF_ANOTHER: &str =
    "$argon2id$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$WXkrfBx1JWpuGbIzoKP4Ql+rt4mCi2cTsPWgSwFvA/o";

const WARD: &str = "0192a000-0000-7000-8000-000000000001";
const LAB: &str = "0192a000-0000-7000-8000-000000000002";
const ANN: &str = "0192a000-0000-7000-8000-000000000011";
const HOSPITAL: &str = "0192a000-0000-7000-8000-000000000021";

/// All rows that an import writes.
type Snapshot = (
    Vec<license::Model>,
    Vec<institution::Model>,
    Vec<group::Model>,
    Vec<user::Model>,
    Vec<membership::Model>,
    Vec<credential::Model>,
);

async fn snapshot(db: &Db) -> Snapshot {
    (
        license::Entity::find().order_by_asc(license::Column::Id).all(db.read()).await.unwrap(),
        institution::Entity::find().order_by_asc(institution::Column::Id).all(db.read()).await.unwrap(),
        group::Entity::find().order_by_asc(group::Column::Id).all(db.read()).await.unwrap(),
        user::Entity::find().order_by_asc(user::Column::Id).all(db.read()).await.unwrap(),
        membership::Entity::find()
            .order_by_asc(membership::Column::UserId)
            .order_by_asc(membership::Column::GroupId)
            .all(db.read())
            .await
            .unwrap(),
        credential::Entity::find().order_by_asc(credential::Column::UserId).all(db.read()).await.unwrap(),
    )
}

async fn import(sandbox: &Sandbox, file: impl AsRef<[u8]>) -> CommandOutput {
    import_with(sandbox, file, &[]).await
}

async fn import_with(sandbox: &Sandbox, file: impl AsRef<[u8]>, arguments: &[&str]) -> CommandOutput {
    std::fs::write(sandbox.path("people.ndjson"), file).unwrap();
    sandbox.run(&[&["import", "people.ndjson"][..], arguments].concat()).await
}

/// Imports a file that must be valid; returns the first line of the output, the counts.
async fn import_valid(sandbox: &Sandbox, file: impl AsRef<[u8]>) -> String {
    let output = import(sandbox, file).await;
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
    counts(&output)
}

/// The first line of the output, the counts.
fn counts(output: &CommandOutput) -> String {
    output.out.lines().next().unwrap_or_default().to_owned()
}

/// Imports a file that must be invalid; returns the reported errors. Checks that nothing was written.
async fn import_errors(sandbox: &Sandbox, file: impl AsRef<[u8]>) -> Vec<String> {
    let db = sandbox.db().await;
    let before = snapshot(&db).await;
    let output = import(sandbox, file).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(output.out, "", "{output:?}");
    assert!(!output.err.contains("panicked"), "{output:?}");
    assert!(snapshot(&db).await == before, "something was written");
    let lines: Vec<String> = output.err.lines().map(str::to_owned).collect();
    let (last, errors) = lines.split_last().unwrap();
    assert!(last.starts_with("error: ") && last.ends_with("nothing was written."), "{output:?}");
    errors.to_vec()
}

/// Checks that exactly these errors were reported, in this order.
fn assert_errors(found: &[String], expected: &[(&str, &str)]) {
    let right = found.len() == expected.len()
        && found.iter().zip(expected).all(|(line, (start, part))| line.starts_with(start) && line.contains(part));
    assert!(right, "found {found:#?}\nexpected {expected:#?}");
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| record.to_string() + "\n").collect()
}

fn good_file() -> String {
    lines(&[
        json!({ "institution": { "id": HOSPITAL, "name": "Alder Hospital", "kind": "HOSPITAL", "country": "au", "numBeds": 300, "externalId": "H-1" } }),
        json!({ "institution": { "name": "Cedar House", "kind": "CARE_HOME", "country": "IT", "externalId": "H-2" } }),
        json!({ "institution": { "name": "Birch Institute", "kind": "RESEARCH", "country": "JP" } }),
        json!({ "group": { "id": WARD, "name": "Ward 1", "description": "The first ward" } }),
        json!({ "group": { "id": LAB, "name": "Laboratory" } }),
        json!({ "group": { "name": "Choir" } }),
        json!({ "user": {
            "id": ANN, "firstName": "Ann", "lastName": "Ångström", "email": "ann@example.org", "username": "ann", "externalId": "P-1",
            "institution": HOSPITAL, "groups": [{ "group": WARD, "role": "OWNER" }, { "group": "Choir" }],
            "passwordHash": OF_DJANGO, "dateJoined": "2015-03-04T05:06:07.123456789+02:00", "birthDate": "1980-07-08",
            "gender": "FEMALE", "userType": "CLINICIAN", "position": "Doctor", "website": "www.example.org",
            "orcidId": "0000-0002-1825-0097", "phone": "+61 2 1234", "role": "ADMIN", "adminRights": { "isGroupAdmin": true },
        } }),
        json!({ "user": { "firstName": "李", "lastName": "雷", "email": "li@example.org", "externalId": "P-2", "institution": "Cedar House", "groups": [{ "group": "Ward 1", "role": "MANAGER" }] } }),
        json!({ "user": { "firstName": "Bo", "lastName": "Nilsson", "username": "Bo.Nilsson", "institution": "Birch Institute", "isActive": false } }),
        json!({ "user": { "firstName": "Mike", "lastName": "Noon", "email": "Mike@Example.ORG", "groups": [] } }),
    ])
}

in_every_sandbox! {
    async fn a_valid_file_is_imported_completely(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        assert_eq!(import_valid(&sandbox, good_file()).await, "10 were created, 0 changed, 0 unchanged.");
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let query = "query ($id: ID!) { user(by: { id: $id }) {
            fullName username email externalId birthDate gender userType position website role dateJoined hasActivated version
            adminRights { isGroupAdmin } institution { name country numBeds } groups { id name } } }";
        let ann = root.data(query, json!({ "id": ANN })).await;
        let mut ann = ann["user"].clone();
        let groups = ann["groups"].as_array_mut().unwrap();
        groups.sort_by_key(|group| group["name"].as_str().map(str::to_owned));
        assert_eq!(groups[0].as_object_mut().unwrap().remove("id").map(|id| id.is_string()), Some(true));
        assert_eq!(ann, json!({
            "fullName": "Ann Ångström", "username": "ann", "email": "ann@example.org", "externalId": "P-1", "birthDate": "1980-07-08",
            "gender": "FEMALE", "userType": "CLINICIAN", "position": "Doctor", "website": "http://www.example.org", "role": "ADMIN",
            "dateJoined": "2015-03-04T03:06:07.123456Z", "hasActivated": true, "version": 1, "adminRights": { "isGroupAdmin": true },
            "institution": { "name": "Alder Hospital", "country": "AU", "numBeds": 300 },
            "groups": [{ "name": "Choir" }, { "id": WARD, "name": "Ward 1" }],
        }));
        let query = "{ a: user(by: { externalId: \"P-2\" }) { fullName hasActivated institution { name } groups { name } }
            b: user(by: { username: \"bo.nilsson\" }) { fullName isActive institution { name } } c: user(by: { email: \"mike@example.org\" }) { email version } }";
        assert_eq!(root.data(query, json!({})).await, json!({
            "a": { "fullName": "李 雷", "hasActivated": false, "institution": { "name": "Cedar House" }, "groups": [{ "name": "Ward 1" }] },
            "b": { "fullName": "Bo Nilsson", "isActive": false, "institution": { "name": "Birch Institute" } },
            "c": { "email": "Mike@Example.ORG", "version": 1 },
        }));
        let query = "query ($id: ID!) { group(id: $id) { description members { edges { role node { fullName } } } } }";
        assert_eq!(root.data(query, json!({ "id": WARD })).await["group"], json!({ "description": "The first ward", "members": { "edges": [
            { "role": "OWNER", "node": { "fullName": "Ann Ångström" } },
            { "role": "MANAGER", "node": { "fullName": "李 雷" } },
        ] } }));
    }

    async fn users_sign_in_with_imported_passwords(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        let server = sandbox.serve(&[]).await;
        let ann = server.login("ann@example.org", PASSWORD).await;
        assert_eq!(ann["user"], json!({ "id": ANN, "hasActivated": true }));
        assert_eq!(server.login("ann@example.org", "another-password-altogether").await["success"], json!(false));
        assert_eq!(server.login("mike@example.org", PASSWORD).await["success"], json!(false));
    }

    async fn importing_a_file_twice_changes_nothing(sandbox: Sandbox) {
        let file = good_file();
        import_valid(&sandbox, &file).await;
        let db = sandbox.db().await;
        let before = snapshot(&db).await;
        assert_eq!(import_valid(&sandbox, &file).await, "0 were created, 0 changed, 10 unchanged.");
        assert!(snapshot(&db).await == before);
    }

    async fn users_get_access_to_the_sites_on_their_line(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let with = |sites: Value| {
            lines(&[
                json!({ "institution": { "name": "Alder Hospital", "kind": "HOSPITAL", "country": "AU", "externalId": "H-1" } }),
                json!({ "institution": { "name": "Cedar House", "kind": "CARE_HOME", "country": "IT", "externalId": "H-2" } }),
                json!({ "institution": { "id": HOSPITAL, "name": "Twin", "kind": "HOSPITAL", "country": "AU" } }),
                json!({ "user": { "id": ANN, "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org", "institution": "H-2", "sites": sites } }),
            ])
        };
        import_valid(&sandbox, with(json!(["H-1", "Alder Hospital", HOSPITAL]))).await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let query = "query ($id: ID!) { user(by: { id: $id }) { version institution { name } sites { nodes { name } } }
            auditEvents(first: 1, filter: { subject: $id }) { nodes { action changes { field after } } } }";
        let seen = root.data(query, json!({ "id": ANN })).await;
        let sites = json!([{ "name": "Alder Hospital" }, { "name": "Twin" }]);
        assert_eq!(seen["user"], json!({ "version": 1, "institution": { "name": "Cedar House" }, "sites": { "nodes": sites } }));
        for unchanged in [json!(["Twin", "H-1"]), json!(null)] {
            assert_eq!(import_valid(&sandbox, with(unchanged)).await, "0 were created, 0 changed, 4 unchanged.");
        }
        assert_eq!(import_valid(&sandbox, with(json!(["Cedar House", "Twin"]))).await, "0 were created, 1 changed, 3 unchanged.");
        let seen = root.data(query, json!({ "id": ANN })).await;
        let sites = json!([{ "name": "Cedar House" }, { "name": "Twin" }]);
        assert_eq!(seen["user"], json!({ "version": 1, "institution": { "name": "Cedar House" }, "sites": { "nodes": sites } }));
        let event = &seen["auditEvents"]["nodes"][0];
        assert_eq!((&event["action"], &event["changes"][0]["field"]), (&json!("USER_UPDATED"), &json!("sites")));
        assert_eq!(event["changes"].as_array().unwrap().len(), 1);
        assert_eq!(event["changes"][0]["after"].as_array().unwrap().len(), 1, "only the new site");
        assert_errors(&import_errors(&sandbox, with(json!(["Nowhere", "H-1", "H-9"]))).await, &[("line 4: sites: ", "Nowhere"), ("line 4: sites: ", "H-9")]);
        assert_errors(&import_errors(&sandbox, with(json!(7))).await, &[("line 4: sites: ", "expected a list")]);
        assert_eq!(import_valid(&sandbox, with(json!([]))).await, "0 were created, 1 changed, 3 unchanged.");
        let seen = root.data(query, json!({ "id": ANN })).await;
        assert_eq!(seen["user"]["sites"], json!({ "nodes": [] }));
    }

    async fn a_second_import_changes_nothing_if_a_line_names_a_group_twice(sandbox: Sandbox) {
        let groups = json!([{ "group": "Ward", "role": "OWNER" }, { "group": "Ward", "role": "MEMBER" }]);
        let file = lines(&[
            json!({ "group": { "name": "Ward" } }),
            json!({ "user": { "firstName": "A", "lastName": "B", "email": "a@example.org", "groups": groups } }),
        ]);
        import_valid(&sandbox, &file).await;
        let db = sandbox.db().await;
        let before = snapshot(&db).await;
        assert_eq!(import_valid(&sandbox, &file).await, "0 were created, 0 changed, 2 unchanged.");
        assert!(snapshot(&db).await == before);
    }

    async fn a_changed_line_updates_only_its_own_row(sandbox: Sandbox) {
        let file = good_file();
        import_valid(&sandbox, &file).await;
        let db = sandbox.db().await;
        let before = snapshot(&db).await;
        let changed = file.replace("\"Doctor\"", "\"Head Doctor\"").replace("The first ward", "Ward of all wards");
        assert_ne!(changed, file);
        assert_eq!(import_valid(&sandbox, &changed).await, "0 were created, 2 changed, 8 unchanged.");
        let after = snapshot(&db).await;
        let differ = |(old, new): &(&user::Model, &user::Model)| old != new;
        let users: Vec<_> = before.3.iter().zip(&after.3).filter(differ).collect();
        let [(old, new)] = users[..] else { panic!("{users:#?}") };
        assert_eq!((new.position.as_deref(), new.version), (Some("Head Doctor"), 2));
        assert!(new.modified_at > old.modified_at);
        let mut restored = user::Model { position: old.position.clone(), version: 1, modified_at: old.modified_at, ..new.clone() };
        restored.update_derived();
        assert_eq!(&restored, old);
        assert!(before.1 == after.1 && before.4 == after.4 && before.5 == after.5);
        let groups: Vec<_> = after.2.iter().filter(|group| group.version == 2).map(|group| group.name.as_str()).collect();
        assert_eq!(groups, ["Ward 1"]);
    }

    async fn users_are_found_by_external_id_and_null_clears_a_field(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        let line = json!({ "user": { "externalId": "P-1", "position": null, "email": "new@example.org" } });
        assert_eq!(import_valid(&sandbox, lines(&[line])).await, "0 were created, 1 changed, 0 unchanged.");
        let ann = user::Entity::find_by_id(Id::parse(ANN).unwrap()).one(sandbox.db().await.read()).await.unwrap().unwrap();
        assert_eq!((ann.position, ann.email.as_deref(), ann.first_name.as_str()), (None, Some("new@example.org"), "Ann"));
    }

    async fn a_renamed_institution_is_referenced_by_its_new_name(sandbox: Sandbox) {
        let institution = |name: &str| format!(r#"{{"institution":{{"name":"{name}","kind":"HOSPITAL","country":"IE","externalId":"H-1"}}}}"#);
        let user = |institution: &str| {
            format!(r#"{{"user":{{"firstName":"Ann","lastName":"Oak","email":"ann@example.org","institution":"{institution}"}}}}"#)
        };
        import_valid(&sandbox, format!("{}\n{}", institution("Old House"), user("Old House"))).await;
        import_valid(&sandbox, format!("{}\n{}", institution("New House"), user("New House"))).await;
        assert_eq!(import_errors(&sandbox, format!("{}\n{}", institution("New House"), user("Old House"))).await.len(), 1);
    }

    async fn an_import_cannot_demote_or_deactivate_a_license_administrator(sandbox: Sandbox) {
        let line = |more: &str| format!(r#"{{"user":{{"firstName":"Ann","lastName":"Oak","email":"ann@example.org"{more}}}}}"#);
        import_valid(&sandbox, line(r#","role":"LICENSE_ADMIN""#)).await;
        for more in [r#","role":"USER""#, r#","isActive":false"#] {
            assert!(import_errors(&sandbox, line(more)).await[0].contains("role"), "{more}");
        }
    }

    async fn null_fields_of_a_new_user_count_as_not_set(sandbox: Sandbox) {
        import_valid(&sandbox, r#"{"user":{"firstName":"Ann","lastName":"Oak","email":"ann@example.org","nickname":null,"role":null}}"#).await;
    }

    async fn a_dry_run_writes_nothing(sandbox: Sandbox) {
        let file = good_file();
        let dry = import_with(&sandbox, &file, &["--dry-run"]).await;
        assert_eq!((dry.code, counts(&dry).as_str()), (0, "10 would be created, 0 changed, 0 unchanged."), "{dry:?}");
        assert!(!sandbox.path("roster-data").exists(), "neither a database nor a key is created");
        if !sandbox.is_sqlite() {
            assert_eq!(sandbox.db().await.pending_migrations().await.unwrap(), startup::migrations());
        }
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let dry = import_with(&sandbox, &file, &["--dry-run"]).await;
        assert_eq!((dry.code, counts(&dry).as_str()), (0, "10 would be created, 0 changed, 0 unchanged."), "{dry:?}");
        assert!(!sandbox.path("roster-data/roster.key").exists());
        let db = sandbox.db().await;
        assert!(snapshot(&db).await == Snapshot::default(), "a dry run wrote something");
        import_valid(&sandbox, &file).await;
        let before = snapshot(&db).await;
        let dry = import_with(&sandbox, file.replace("\"Doctor\"", "\"Nurse\""), &["--dry-run"]).await;
        assert_eq!((dry.code, counts(&dry).as_str()), (0, "0 would be created, 1 changed, 9 unchanged."), "{dry:?}");
        let dry = import_with(&sandbox, "{}", &["--dry-run"]).await;
        assert_eq!(dry.code, 1, "{dry:?}");
        assert!(snapshot(&db).await == before);
        // An import would be refused as well.
        std::fs::remove_file(sandbox.path("roster-data/roster.key")).unwrap();
        let dry = import_with(&sandbox, &file, &["--dry-run"]).await;
        assert!(dry.code == 2 && dry.err.contains("another key"), "{dry:?}");
    }

    async fn an_invalid_file_writes_nothing_to_an_empty_database(sandbox: Sandbox) {
        let good = json!({ "user": { "firstName": "A", "lastName": "B", "email": "a@example.org" } });
        let bad = import(&sandbox, format!("{good}\n{{}}\n")).await;
        assert_eq!(bad.code, 1);
        assert!(snapshot(&sandbox.db().await).await == Snapshot::default(), "something was written");
    }

    async fn each_invalid_line_is_reported_with_its_number_and_every_error(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        import_valid(&sandbox, lines(&[
            json!({ "group": { "id": Id::new(), "name": "Twin" } }),
            json!({ "group": { "id": Id::new(), "name": "Twin" } }),
        ])).await;
        let good = json!({ "user": { "firstName": "G", "lastName": "H", "email": "good@example.org" } });
        let user = |more: Value| {
            let mut object = json!({ "firstName": "F", "lastName": "L", "email": format!("{}@example.org", Id::new().0) });
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "user": object }).to_string()
        };
        let file = [
            good.to_string(),
            "{ no json".to_owned(),
            "[]".to_owned(),
            r#"{"user":{},"group":{}}"#.to_owned(),
            r#"{"person":{}}"#.to_owned(),
            r#"{"user":[]}"#.to_owned(),
            String::new(),
            user(json!({ "shoeSize": 43, "isStaff": "maybe", "gender": "OTHER", "id": 7 })),
            r#"{"user":{"lastName":" ","email":"no address","orcidId":"0000-0002-1825-0098"}}"#.to_owned(),
            user(json!({ "institution": "Nowhere", "groups": [{ "group": "Nothing" }] })),
            user(json!({ "groups": [{ "group": "Twin" }] })),
            user(json!({ "groups": [{ "group": "Choir", "role": "BOSS" }] })),
            user(json!({ "email": "GOOD@example.org" })),
            user(json!({ "email": "ann@Example.org", "externalId": "P-9" })),
            user(json!({ "email": "Ann@Example.org", "externalId": "P-8", "username": "ANN" })),
            user(json!({ "passwordHash": "secret" })),
            user(json!({ "passwordHash": "$argon2id$v=19$m=0,t=0,p=1$c29tZXNhbHRzYWx0$mGXcJTkI6F0SxMjXfFzPvk5gQYhXr0VhQvKqTmA8mGk" })),
            user(json!({ "passwordHash": "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHRzYWx0$mGXcJTkI6F0SxMjXfFzPvk5gQYhXr0VhQvKqTmA8mGk" })),
            user(json!({ "passwordHash": "$2b$16$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW" })),
            user(json!({ "dateJoined": "yesterday" })),
            user(json!({ "dateJoined": "+262000-01-01T00:00:00Z" })),
            user(json!({ "dateJoined": "0000-01-01T00:00:00Z" })),
            r#"{"institution":{"name":"X","kind":"HOTEL","country":"AUS","stars":5}}"#.to_owned(),
            r#"{"institution":{"name":"X","kind":"HOSPITAL","country":"AUS","numBeds":-1}}"#.to_owned(),
            r#"{"group":{"name":"","owner":"me"}}"#.to_owned(),
            r#"{"group":{"name":""}}"#.to_owned(),
            r#"{"group":{"name":"Twin","description":"Which of them?"}}"#.to_owned(),
            user(json!({ "id": ANN, "email": "ann@example.org" })),
            user(json!({ "externalId": "P-1", "email": "ann@example.org" })),
        ]
        .join("\n");
        let found = import_errors(&sandbox, file).await;
        assert_errors(&found, &[
            ("line 2: ", "not JSON"),
            ("line 3: ", "expected a JSON object"),
            ("line 4: ", "one member"),
            ("line 5: ", "one member"),
            ("line 6: ", "one member"),
            ("line 8: gender: ", "expected one of MALE, FEMALE, UNKNOWN (got \"OTHER\")"),
            ("line 8: isStaff: ", "expected a boolean"),
            ("line 8: shoeSize: ", "unknown field"),
            ("line 8: id: ", "expected a UUID; the ID of another system belongs in externalReferences (got 7)"),
            ("line 9: firstName: ", "required"),
            ("line 9: lastName: ", "required"),
            ("line 9: email: ", "valid email address"),
            ("line 9: orcidId: ", "checksum"),
            ("line 10: institution: ", "Nowhere"),
            ("line 10: groups: ", "Nothing"),
            ("line 11: groups: ", "Several"),
            ("line 12: groups: ", "BOSS"),
            ("line 13: email: ", "taken"),
            ("line 14: email: ", "taken"),
            ("line 15: email: ", "taken"),
            ("line 15: username: ", "taken"),
            ("line 16: passwordHash: ", "known format"),
            ("line 17: passwordHash: ", "damaged"),
            ("line 18: passwordHash: ", "too much work"),
            ("line 19: passwordHash: ", "too much work"),
            ("line 20: dateJoined: ", ""),
            ("line 21: dateJoined: ", ""),
            ("line 22: dateJoined: ", ""),
            ("line 23: kind: ", "HOTEL"),
            ("line 23: stars: ", "unknown field"),
            ("line 23: country: ", "two-letter country code"),
            ("line 24: country: ", "two-letter country code"),
            ("line 24: numBeds: ", "at least 0"),
            ("line 25: owner: ", "unknown field"),
            ("line 25: name: ", "required"),
            ("line 26: name: ", "required"),
            ("line 27: name: ", "Several"),
            ("line 29: id: ", "same user"),
        ]);
    }

    async fn null_in_a_required_field_counts_as_absent(sandbox: Sandbox) {
        let file = [
            r#"{"user":{"username":"ann","firstName":null,"lastName":"Oak"}}"#,
            r#"{"group":{"name":null}}"#,
            r#"{"attribute":{"name":"badge","label":null,"kind":null}}"#,
            r#"{"institution":{"name":null,"kind":null,"country":null}}"#,
            r#"{"institution":{"name":"Alder Hospital","country":"AU"}}"#,
        ];
        let output = import(&sandbox, file.join("\n")).await;
        let places = ["1: firstName", "2: name", "3: label", "3: kind", "4: name", "4: kind", "4: country", "5: kind"];
        let expected = places.map(|place| format!("line {place}: This field is required."));
        assert_eq!(output.err.lines().take(expected.len()).collect::<Vec<_>>(), expected, "{output:?}");
        assert_eq!(output.err.lines().last(), Some("error: 5 invalid rows; nothing was written."));
    }

    async fn rows_of_another_license_are_unknown_or_taken(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        let db = sandbox.db().await;
        let other = roster::license::create_first(&db, Id::new(), "B-2", "Birch Institute").await.unwrap();
        let file = lines(&[
            json!({ "institution": { "id": HOSPITAL, "name": "Ours", "kind": "HOSPITAL", "country": "AU" } }),
            json!({ "group": { "id": WARD, "name": "Ours" } }),
            json!({ "user": { "id": ANN, "firstName": "Ours", "lastName": "Now", "email": "ours@example.org" } }),
            json!({ "user": { "firstName": "C", "lastName": "D", "email": "c@example.org", "institution": HOSPITAL } }),
            json!({ "user": { "firstName": "C", "lastName": "D", "email": "d@example.org", "institutionId": HOSPITAL } }),
            json!({ "user": { "firstName": "C", "lastName": "D", "email": "e@example.org", "institution": "Cedar House" } }),
            json!({ "user": { "firstName": "C", "lastName": "D", "email": "f@example.org", "groups": [{ "group": LAB }] } }),
            json!({ "user": { "firstName": "C", "lastName": "D", "email": "ANN@example.org" } }),
            json!({ "user": { "firstName": "C", "lastName": "D", "email": "g@example.org", "externalId": "P-1" } }),
        ]);
        let before = snapshot(&db).await;
        let several = import(&sandbox, &file).await;
        assert_eq!(several.code, 1);
        assert!(several.err.contains("--license"), "{several:?}");
        let unknown = import_with(&sandbox, &file, &["--license", "C-3"]).await;
        assert_eq!(unknown.code, 1);
        assert!(unknown.err.contains("C-3"), "{unknown:?}");
        let failed = import_with(&sandbox, &file, &["--license", "B-2"]).await;
        assert_eq!(failed.code, 1);
        let found: Vec<String> = failed.err.lines().filter(|line| line.starts_with("line ")).map(str::to_owned).collect();
        assert_errors(&found, &[
            ("line 1: id: ", "taken"),
            ("line 2: id: ", "taken"),
            ("line 3: id: ", "taken"),
            ("line 4: institution: ", "Nothing has the id"),
            ("line 5: institutionId: ", "no such institution"),
            ("line 6: institution: ", "Nothing has the id"),
            ("line 7: groups: ", "Nothing has the id"),
            ("line 8: ", "taken"),
        ]);
        assert!(snapshot(&db).await == before);
        let line = json!({ "user": { "firstName": "C", "lastName": "D", "email": "g@example.org", "externalId": "P-1" } });
        let created = import_with(&sandbox, lines(&[line]), &["--license", "B-2"]).await;
        assert_eq!((created.code, created.out.trim()), (0, "1 was created, 0 changed, 0 unchanged."), "{created:?}");
        let after = snapshot(&db).await;
        assert_eq!(after.3.iter().filter(|user| user.license_id == other.id).count(), 1);
    }

    async fn unique_violations_are_reported_before_anything_is_written(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        let institution = |more: Value| {
            let mut object = json!({ "name": "New House", "kind": "HOSPITAL", "country": "AU" });
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "institution": object })
        };
        let user = |email: &str, more: Value| {
            let mut object = json!({ "firstName": "F", "lastName": "L", "email": email });
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "user": object })
        };
        let (one, two) = (Id::new(), Id::new());
        let file = lines(&[
            user("good@example.org", json!({})),
            institution(json!({ "id": HOSPITAL, "externalId": "H-2" })),
            institution(json!({ "id": one, "externalId": "H-7" })),
            institution(json!({ "id": two, "externalId": "H-7" })),
            user("h@example.org", json!({ "externalId": "P-2", "id": ANN })),
            user("i@example.org", json!({ "externalId": "P-7" })),
            user("j@example.org", json!({ "externalId": "P-7" })),
            user("k@example.org", json!({ "username": "kk" })),
            user("l@example.org", json!({ "username": "KK" })),
            user("m@example.org", json!({ "id": one })),
            user("n@example.org", json!({ "id": one })),
        ]);
        assert_errors(&import_errors(&sandbox, file).await, &[
            ("line 2: externalId: ", "taken"),
            ("line 4: id: ", "same institution"),
            ("line 5: externalId: ", "taken"),
            ("line 7: externalId: ", "taken"),
            ("line 9: username: ", "taken"),
            ("line 11: id: ", "same user"),
        ]);
    }

    async fn two_lines_for_the_same_row_are_an_error(sandbox: Sandbox) {
        let id = Id::new();
        let file = lines(&[
            json!({ "institution": { "id": id, "name": "House", "kind": "HOSPITAL", "country": "AU" } }),
            json!({ "institution": { "id": id, "name": "House", "kind": "HOSPITAL", "country": "AU", "city": "Perth" } }),
            json!({ "group": { "name": "Ward" } }),
            json!({ "group": { "name": "Ward", "description": "Of the House" } }),
        ]);
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        assert_errors(&import_errors(&sandbox, file).await, &[("line 2: id: ", "An earlier row of the file, at line 1,"), ("line 4: id: ", "An earlier row of the file, at line 3,")]);
    }

    async fn a_user_belongs_to_at_most_200_groups(sandbox: Sandbox) {
        let groups = |count: usize| (0..count).map(|number| format!("Group {number}"));
        let user = |email: &str, names: Vec<String>| {
            let references: Vec<Value> = names.iter().map(|name| json!({ "group": name })).collect();
            json!({ "user": { "firstName": "A", "lastName": "B", "email": email, "groups": references } })
        };
        let created: Vec<Value> = groups(201).map(|name| json!({ "group": { "name": name } })).collect();
        import_valid(&sandbox, lines(&created)).await;
        let most = user("most@example.org", groups(200).collect());
        assert_eq!(import_valid(&sandbox, lines(&[most])).await, "1 was created, 0 changed, 0 unchanged.");
        let file = lines(&[
            user("more@example.org", groups(201).collect()),
            user("most@example.org", vec!["Group 200".to_owned()]),
            user("same@example.org", groups(200).chain(groups(200)).collect()),
        ]);
        // The second user leaves all other groups.
        assert_errors(&import_errors(&sandbox, file).await, &[("line 1: groups: ", "200")]);
    }

    async fn a_byte_order_mark_and_whitespace_between_lines_are_ignored(sandbox: Sandbox) {
        let user = |name: &str| json!({ "user": { "firstName": name, "lastName": "B", "email": format!("{name}@example.org") } });
        let file = format!("\u{feff}{}\r\n\r\n   \n\t{}  \r\n\n{}", user("a"), user("b"), user("c"));
        assert_eq!(import_valid(&sandbox, &file).await, "3 were created, 0 changed, 0 unchanged.");
        assert_eq!(import_valid(&sandbox, "").await, "0 were created, 0 changed, 0 unchanged.");
        assert_eq!(import_valid(&sandbox, "\u{feff}").await, "0 were created, 0 changed, 0 unchanged.");
        assert_eq!(import_valid(&sandbox, "\n\r\n").await, "0 were created, 0 changed, 0 unchanged.");
    }

    async fn hostile_lines_are_errors_and_never_panic(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        let long = "x".repeat(2_000_000);
        let deep = "[".repeat(100_000);
        let hostile: Vec<Vec<u8>> = vec![
            br#"{"user":{"firstName":"A","lastName":"B","email":"q@example.org"}}"#.to_vec(),
            format!(r#"{{"user":{{"firstName":"A","lastName":"B","email":"a@example.org","position":"{long}"}}}}"#).into_bytes(),
            format!(r#"{{"user":{{"firstName":"A","lastName":"B","email":"a@example.org","{long}":1}}}}"#).into_bytes(),
            format!(r#"{{"user":{{"firstName":"A","lastName":"B","email":"a@example.org","institution":"{long}"}}}}"#).into_bytes(),
            format!(r#"{{"{long}":{{}}}}"#).into_bytes(),
            long.into_bytes(),
            deep.into_bytes(),
            b"{\"user\":{\"firstName\":\"\xff\xfe\",\"lastName\":\"B\",\"email\":\"a@example.org\"}}".to_vec(),
            b"\xff\xfe\x00".to_vec(),
            b"{\"user\":{\"firstName\":\"A\x00\",\"lastName\":\"B\",\"email\":\"a@example.org\"}}".to_vec(),
            br#"{"user":{"firstName":"A\u0000","lastName":"B","email":"a@example.org"}}"#.to_vec(),
            br#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org","externalId":"\u0000"}}"#.to_vec(),
            br#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org","institution":"\u0000","groups":[{"group":"\u0000"}]}}"#.to_vec(),
            br#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org","passwordHash":"\u0000"}}"#.to_vec(),
            br#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org","a\u001b[31m\nline 1: b":1}}"#.to_vec(),
            br#"{"user":{"firstName":"\ud800","lastName":"B","email":"a@example.org"}}"#.to_vec(),
            br#"{"group":{"name":"\u0000"}}"#.to_vec(),
            br#"{"institution":{"name":"A","kind":"HOSPITAL","country":"\u0000\u0000"}}"#.to_vec(),
            b"\xef\xbb\xbf{}".to_vec(),
        ];
        let found = import_errors(&sandbox, hostile.join(&b'\n')).await;
        for number in 2..=hostile.len() {
            let named = found.iter().filter(|line| line.starts_with(&format!("line {number}: "))).count();
            assert!(named > 0, "line {number} is not named\n{found:#?}");
        }
        assert!(!found.iter().any(|line| line.starts_with("line 1: ")), "{found:#?}");
        assert!(found.iter().all(|line| line.len() < 1_000), "an error repeats a long input");
        assert!(!found.iter().any(|line| line.contains(char::is_control)), "{found:#?}");
    }

    async fn an_imported_deactivation_ends_sessions_and_links(sandbox: Sandbox) {
        import_valid(&sandbox, good_file()).await;
        let server = sandbox.serve(&[]).await;
        let ann = server.sign_in("ann@example.org").await;
        let created = sandbox.run(&["admin", "link", "--email", "ann@example.org"]).await;
        let token = created.out.split('#').nth(1).unwrap().trim().to_owned();
        import_valid(&sandbox, lines(&[json!({ "user": { "id": ANN, "isActive": false } })])).await;
        let reactivating = lines(&[json!({ "user": { "id": ANN, "isActive": true } })]);
        let told = import(&sandbox, &reactivating).await;
        assert_eq!(told.out.lines().next(), Some("0 were created, 0 changed, 1 unchanged."), "{told:?}");
        assert!(told.out.contains("1 user stays inactive: deactivated here, but active in the file"), "{told:?}");
        assert_eq!(import_with(&sandbox, &reactivating, &["--reactivate"]).await.code, 0);
        let failed = ann.try_execute("{ viewer { id } }", &json!({})).await.unwrap();
        assert_eq!(failed["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "the session must not be valid after reactivation: {failed:#}");
        let activate = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { errors { code } } }";
        let input = json!({ "input": { "token": token, "password": "nine-copper-badgers-sing" } });
        assert_eq!(server.caller(None).data(activate, input).await["activateAccount"]["errors"][0]["code"], json!("EXPIRED"));
        let ann = server.sign_in("ann@example.org").await;
        import_valid(&sandbox, lines(&[json!({ "user": { "id": ANN, "position": "Nurse" } })])).await;
        ann.data("{ viewer { id } }", json!({})).await;
        assert_eq!(session::Entity::find().all(sandbox.db().await.read()).await.unwrap().len(), 1);
    }

    async fn imported_passwords_are_ignored_after_the_first_sign_in(sandbox: Sandbox) {
        let server = sandbox.serve(&[]).await;
        import_valid(&sandbox, lines(&[json!({ "user": { "id": ANN, "firstName": "Ann", "lastName": "Moss", "email": "ann@example.org", "passwordHash": OF_ANOTHER } })])).await;
        let file = lines(&[json!({ "user": { "id": ANN, "passwordHash": OF_DJANGO } })]);
        assert_eq!(import_valid(&sandbox, &file).await, "0 were created, 1 changed, 0 unchanged.");
        let ann = server.sign_in("ann@example.org").await;
        for hash in [OF_DJANGO, OF_ANOTHER] {
            let file = lines(&[json!({ "user": { "id": ANN, "passwordHash": hash } })]);
            assert_eq!(import_valid(&sandbox, &file).await, "0 were created, 0 changed, 1 unchanged.");
        }
        ann.data("{ viewer { id } }", json!({})).await;
        assert_eq!(server.login("ann@example.org", PASSWORD).await["success"], json!(true));
    }

    async fn an_import_cannot_demote_a_superuser_who_is_a_license_administrator(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let id = root.data("{ viewer { id } }", json!({})).await["viewer"]["id"].clone();
        import_valid(&sandbox, lines(&[json!({ "user": { "id": id, "role": "LICENSE_ADMIN" } })])).await;
        for fields in [json!({ "id": id, "role": "USER" }), json!({ "id": id, "adminRights": { "isSuperuser": false } })] {
            std::fs::write(sandbox.path("file.ndjson"), lines(&[json!({ "user": fields })])).unwrap();
            let failed = sandbox.run(&["import", "file.ndjson"]).await;
            assert!(failed.code == 1 && failed.err.contains("line 1: role:"), "{failed:?}");
        }
    }

    async fn thousands_of_users_are_imported_in_chunks(sandbox: Sandbox) {
        let users: Vec<Value> = (0..2_345)
            .map(|number| json!({ "user": { "firstName": format!("F{number}"), "lastName": "L", "email": format!("p{number}@example.org"), "institution": "House" } }))
            .collect();
        let institution = json!({ "institution": { "name": "House", "kind": "HOSPITAL", "country": "AU" } });
        let file = lines(&[vec![institution], users].concat());
        assert_eq!(import_valid(&sandbox, &file).await, "2346 were created, 0 changed, 0 unchanged.");
        let changed = file.replace("\"F2000\"", "\"Two Thousand\"");
        assert_eq!(import_valid(&sandbox, &changed).await, "0 were created, 1 changed, 2345 unchanged.");
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    async fn a_value_of_an_earlier_chunk_is_taken(sandbox: Sandbox) {
        let user = |number: usize, more: Value| {
            let mut object = json!({ "firstName": "F", "lastName": "L", "email": format!("p{number}@example.org"), "externalId": format!("P-{number}") });
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "user": object })
        };
        let id = Id::new();
        let mut users: Vec<Value> = (0..2_100).map(|number| user(number, json!({}))).collect();
        users[1] = user(1, json!({ "id": id, "username": "one" }));
        users.push(user(3_000, json!({ "email": "P0@example.org" })));
        users.push(user(3_001, json!({ "username": "ONE" })));
        users.push(user(3_002, json!({ "externalId": "P-2" })));
        users.push(user(3_003, json!({ "id": id })));
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        assert_errors(&import_errors(&sandbox, lines(&users)).await, &[
            ("line 2101: email: ", "taken"),
            ("line 2102: username: ", "taken"),
            ("line 2103: externalId: ", "taken"),
            ("line 2104: id: ", "same user"),
        ]);
    }

    async fn indexes_that_an_interrupted_import_left_out_are_built(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let db = sandbox.db().await;
        let complete = indexes(&db).await;
        for command in ["import", "serve"] {
            roster::cli::bulk::begin(&db, 1_000_000).await.unwrap();
            assert!(indexes(&db).await.len() + 10 < complete.len());
            if command == "import" {
                import_valid(&sandbox, good_file()).await;
            } else {
                drop(sandbox.serve(&[]).await);
            }
            assert_eq!(indexes(&db).await, complete, "{command}");
        }
    }
}

/// The names of all indexes.
async fn indexes(db: &Db) -> Vec<String> {
    let names = if db.is_postgres() {
        "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY 1"
    };
    let names = Statement::from_string(db.read().get_database_backend(), names);
    let rows = db.read().query_all_raw(names).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

#[tokio::test]
async fn a_missing_file_is_named_in_the_error() {
    let sandbox = Sandbox::on_sqlite();
    let missing = sandbox.run(&["import", "missing.ndjson"]).await;
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("missing.ndjson"), "{missing:?}");
    assert!(!sandbox.path("roster-data").exists());
    let folder = sandbox.run(&["import", "."]).await;
    assert_eq!(folder.code, 1);
    assert!(!folder.err.contains("panicked"), "{folder:?}");
}
