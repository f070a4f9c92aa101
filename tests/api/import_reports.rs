//! Reports of `roster import`: the outcome of each row, the rows that were refused, and users who are missing in a file.

use std::collections::BTreeMap;

use roster::entity::user;
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::process::{CommandOutput, Sandbox, mode};

const ROWS: &str = "externalId,firstName,lastName,email,role,website\n1,Ann,Oak,ann@example.org,user,\n2,Bo,,not an address,boss,ftp://x\n3,Cy,Elm,ann@example.org,,\n4,Di,Fir,di@example.org,,\n";

async fn import(sandbox: &Sandbox, file: &str, options: &[&str]) -> CommandOutput {
    std::fs::write(sandbox.path("people.csv"), file).unwrap();
    sandbox.run(&[&["import", "people.csv"][..], options].concat()).await
}

async fn users(sandbox: &Sandbox) -> BTreeMap<String, bool> {
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    users.into_iter().map(|user| (user.first_name, user.is_active)).collect()
}

/// The rows of a report: the columns without the ids.
fn report(sandbox: &Sandbox) -> Vec<[String; 5]> {
    let mut reader = csv::Reader::from_path(sandbox.path("report.csv")).unwrap();
    assert_eq!(
        reader.headers().unwrap().iter().collect::<Vec<_>>(),
        ["file", "line", "row", "kind", "outcome", "old_id", "new_id", "column", "value", "rule"]
    );
    reader.records().map(|row| row.unwrap()).map(|row| [1, 4, 7, 8, 9].map(|place| row[place].to_owned())).collect()
}

in_every_sandbox! {
    async fn a_report_has_the_outcome_of_each_row_with_every_error(sandbox: Sandbox) {
        let options = ["--report", "report.csv", "--rejects", "bad.csv"];
        let stopped = import(&sandbox, ROWS, &options).await;
        assert!(stopped.code == 1 && stopped.err.ends_with("error: 2 invalid rows; nothing was written.\n"), "{stopped:?}");
        let rows = report(&sandbox);
        let found: Vec<[&str; 3]> = rows.iter().map(|row| [row[0].as_str(), row[1].as_str(), row[2].as_str()]).collect();
        assert_eq!(found, [
            ["2", "would be created", ""],
            ["3", "refused", "role"],
            ["3", "refused", "lastName"],
            ["3", "refused", "email"],
            ["3", "refused", "website"],
            ["4", "refused", "email"],
            ["5", "would be created", ""],
        ]);
        assert_eq!(rows[1][3..], ["\"boss\"".to_owned(), "expected one of LICENSE_ADMIN, ADMIN, USER".to_owned()]);
        assert_eq!(rows[5][3..], ["\"ann@example.org\"".to_owned(), "This email address is taken by the row at line 2.".to_owned()]);
        assert_eq!(mode(&sandbox.path("report.csv")), 0o600);
        let rejects = std::fs::read_to_string(sandbox.path("bad.csv")).unwrap();
        assert_eq!(rejects, "externalId,firstName,lastName,email,role,website\n2,Bo,,not an address,boss,ftp://x\n3,Cy,Elm,ann@example.org,,\n");
    }

    async fn invalid_rows_can_be_skipped_and_imported_later(sandbox: Sandbox) {
        let options = ["--report", "report.csv", "--rejects", "bad.csv", "--on-error", "skip"];
        let skipped = import(&sandbox, ROWS, &options).await;
        assert_eq!(skipped.code, 0, "{skipped:?}");
        assert_eq!(skipped.out, "2 were created, 0 changed, 0 unchanged.\n2 invalid rows were refused: bad.csv.\n");
        assert_eq!(users(&sandbox).await.into_keys().collect::<Vec<_>>(), ["Ann", "Di"]);
        let outcomes: Vec<String> = report(&sandbox).into_iter().map(|[_, outcome, ..]| outcome).collect();
        assert_eq!(outcomes, ["created", "refused", "refused", "refused", "refused", "refused", "created"]);
        let rejects = std::fs::read_to_string(sandbox.path("bad.csv")).unwrap();
        let mended = rejects.replace(",Bo,,not an address,boss,ftp://x", ",Bo,Ash,bo@example.org,admin,").replace("Elm,ann@", "Elm,cy@");
        let output = import(&sandbox, &mended, &[]).await;
        assert_eq!((output.code, output.out.trim()), (0, "2 were created, 0 changed, 0 unchanged."), "{output:?}");
        let one = import(&sandbox, "firstName,lastName,email\nEd,Fir,\n", &["--on-error", "skip"]).await;
        assert_eq!(one.out, "0 were created, 0 changed, 0 unchanged.\n1 invalid row was refused.\n", "{one:?}");
        for option in ["--report", "--rejects"] {
            let lost = import(&sandbox, ROWS, &["--on-error", "skip", option, "missing/file.csv"]).await;
            assert_eq!(lost.code, 1, "{lost:?}");
            assert!(lost.err.contains("error: missing/file.csv cannot be written: No such file"), "{lost:?}");
        }
    }

    async fn refused_lines_of_json_keep_their_form(sandbox: Sandbox) {
        let good = json!({ "user": { "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org" } });
        let file = format!("{good}\n{{ no json\n{{\"user\": {{\"firstName\": \"Bo\"}}}}\n");
        let skipped = import(&sandbox, &file, &["--rejects", "bad.ndjson", "--on-error", "skip"]).await;
        assert_eq!(skipped.code, 0, "{skipped:?}");
        assert_eq!(std::fs::read_to_string(sandbox.path("bad.ndjson")).unwrap(), "{ no json\n{\"user\": {\"firstName\": \"Bo\"}}\n");
    }

    async fn users_who_are_missing_in_a_complete_file_are_deactivated_within_a_bound(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let rows = |names: &[&str]| {
            let row = |name: &&str| format!("{name},Oak,{name}@example.org\n");
            "firstName,lastName,email\n".to_owned() + &names.iter().map(row).collect::<String>()
        };
        import(&sandbox, &rows(&["Ann", "Bo", "Cy"]), &[]).await;
        let refused = import(&sandbox, &rows(&["Ann", "Bo", "Di"]), &["--full"]).await;
        assert!(refused.code == 1 && refused.err.contains("1 of 4 active users are missing in the file, which is more than --max-leavers 5% allows"), "{refused:?}");
        assert!(!users(&sandbox).await.contains_key("Di"), "nothing was imported");
        let options = ["--full", "--max-leavers", "30%", "--report", "report.csv"];
        let preview = import(&sandbox, &rows(&["Ann", "Bo", "Di"]), &[&options[..], &["--dry-run"]].concat()).await;
        assert!(preview.out.contains("1 user missing in the file would be deactivated."), "{preview:?}");
        assert_eq!(report(&sandbox).last().unwrap()[1], "would be deactivated");
        let done = import(&sandbox, &rows(&["Ann", "Bo", "Di"]), &options).await;
        assert!(done.code == 0 && done.out.contains("1 user missing in the file was deactivated."), "{done:?}");
        let active = users(&sandbox).await;
        assert_eq!((active["Ann"], active["Bo"], active["Cy"], active["Di"], active["Root"]), (true, true, false, true, true));
        // A refused row may be that of a user who seems to be missing.
        let skipped = import(&sandbox, &(rows(&["Ann"]) + "Bo,,bad\n"), &[&options[..], &["--on-error", "skip"]].concat()).await;
        assert_eq!(skipped.code, 0, "{skipped:?}");
        assert!(users(&sandbox).await["Di"]);
    }

    async fn users_who_were_entered_by_hand_are_adopted_by_their_address(sandbox: Sandbox) {
        let without = "firstName,lastName,email\nAnn,Oak,ann@example.org\n";
        assert_eq!(import(&sandbox, without, &[]).await.code, 0);
        let with = "externalId,firstName,lastName,email\n7,Ann,Oak,ann@example.org\n";
        let adopted = import(&sandbox, with, &[]).await;
        assert_eq!((adopted.code, adopted.out.trim()), (0, "0 were created, 1 changed, 0 unchanged."), "{adopted:?}");
        let other = import(&sandbox, &with.replace("7,", "8,"), &[]).await;
        assert!(other.code == 1 && other.err.contains("line 2: email: This email address is taken by Ann Oak ("), "{other:?}");
    }

    async fn an_erased_user_does_not_come_back_by_external_id(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let rows = "externalId,firstName,lastName,email\nE-7,Ann,Oak,ann@example.org\n";
        assert_eq!(import(&sandbox, rows, &[]).await.code, 0);
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(crate::process::ADMIN).await;
        let ann = root.data("{ user(by: { externalId: \"E-7\" }) { id } }", json!({})).await["user"]["id"].clone();
        let delete = "mutation ($input: DeleteUserInput!) { deleteUser(input: $input) { success } }";
        assert_eq!(root.data(delete, json!({ "input": { "id": ann } })).await["deleteUser"]["success"], json!(true));
        let refused = import(&sandbox, rows, &[]).await;
        assert!(refused.code == 1 && refused.err.contains("line 2: externalId: The user with this external ID was erased. (got \"E-7\")"), "{refused:?}");
        assert_eq!(import(&sandbox, &rows.replace("E-7", "E-8"), &[]).await.code, 0);
    }

    async fn a_repeated_import_keeps_what_users_edited_themselves(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file = |position: &str, phone: &str| {
            let hash = "pbkdf2_sha256$29000$seasalt$MqiyVFTP6UUpjrpvJsxVXBlF/shrLYjOh7Qw2l+VN0I=";
            json!({ "user": { "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org", "position": position, "phone": phone, "passwordHash": hash } }).to_string()
        };
        assert_eq!(import(&sandbox, &file("Nurse", "1"), &[]).await.code, 0);
        let server = sandbox.serve(&[]).await;
        let update = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { success user { id } } }";
        let ann = server.sign_in("ann@example.org").await;
        let id = ann.data("{ viewer { id } }", json!({})).await["viewer"]["id"].clone();
        assert_eq!(ann.data(update, json!({ "input": { "id": id, "position": "Doctor" } })).await["updateUser"]["success"], json!(true));
        let root = server.sign_in(crate::process::ADMIN).await;
        assert_eq!(root.data(update, json!({ "input": { "id": id, "phone": "2" } })).await["updateUser"]["success"], json!(true));
        let found = async || user::Entity::find_by_id(roster::scalar::Id::parse(id.as_str().unwrap()).unwrap()).one(sandbox.db().await.read()).await.unwrap().unwrap();
        // What an administrator edited is not kept by default.
        let own = import(&sandbox, &file("Nurse", "3"), &[]).await;
        assert!(own.code == 0 && own.out.contains("Kept as edited here (--keep-edits): position of 1 user."), "{own:?}");
        let row = found().await;
        assert_eq!((row.position.as_deref(), row.phone.as_deref()), (Some("Doctor"), Some("3")));
        let all = import(&sandbox, &file("Nurse", "4"), &["--keep-edits", "all"]).await;
        assert!(all.code == 0 && all.out.starts_with("0 were created, 0 changed, 1 unchanged."), "{all:?}");
        let none = import(&sandbox, &file("Nurse", "4"), &["--keep-edits", "none"]).await;
        assert!(none.code == 0 && none.out.starts_with("0 were created, 1 changed, 0 unchanged."), "{none:?}");
        let row = found().await;
        assert_eq!((row.position.as_deref(), row.position_key.as_deref()), (Some("Nurse"), Some("nurse")));
    }

    async fn null_means_the_same_in_every_run(sandbox: Sandbox) {
        let line = json!({ "user": { "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org", "gender": null, "userType": null, "role": null, "isStaff": null, "isActive": null, "fullSiteAccess": null, "nickname": null } });
        for expected in ["1 was created, 0 changed, 0 unchanged.", "0 were created, 0 changed, 1 unchanged."] {
            let output = import(&sandbox, &line.to_string(), &[]).await;
            assert_eq!((output.code, output.out.trim()), (0, expected), "{output:?}");
        }
    }

    async fn lists_say_all_and_null_takes_the_institution_away(sandbox: Sandbox) {
        let before = [
            json!({ "institution": { "name": "House", "kind": "HOSPITAL", "country": "IE" } }),
            json!({ "group": { "name": "Ward" } }),
            json!({ "group": { "name": "Choir" } }),
            json!({ "user": { "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org", "institution": "House", "groups": ["Ward", { "group": "Choir", "role": "OWNER" }] } }),
        ];
        let lines = before.map(|line| line.to_string()).join("\n");
        assert_eq!(import(&sandbox, &lines, &[]).await.code, 0);
        let change = |fields: serde_json::Value| {
            let mut user = json!({ "email": "ann@example.org" });
            user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({ "user": user }).to_string()
        };
        for (fields, expected) in [
            (json!({}), "0 were created, 0 changed, 1 unchanged."),
            (json!({ "institution": null }), "0 were created, 1 changed, 0 unchanged."),
            // The group that the user owns is kept.
            (json!({ "groups": [] }), "0 were created, 1 changed, 0 unchanged."),
            (json!({ "groups": [] }), "0 were created, 0 changed, 1 unchanged."),
        ] {
            let output = import(&sandbox, &change(fields), &[]).await;
            assert_eq!((output.code, output.out.trim()), (0, expected), "{output:?}");
        }
        let db = sandbox.db().await;
        let left = roster::entity::membership::Entity::find().all(db.read()).await.unwrap();
        assert_eq!(left.len(), 1);
        assert!(user::Entity::find().one(db.read()).await.unwrap().unwrap().institution_id.is_none());
    }
}
