//! `roster import` of several files in one run, and the reports that lead from the ids of a file to those of the directory.

use std::collections::BTreeMap;

use roster::entity::{group, institution, user};
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::process::Sandbox;

const INSTITUTIONS: &str = "{\"institution\":{\"name\":\"House\",\"kind\":\"HOSPITAL\",\"country\":\"IE\"}}\n";

/// The file, the line and the row, the kind, the outcome and both ids of each line of the report.
fn report(sandbox: &Sandbox) -> Vec<[String; 7]> {
    let mut reader = csv::Reader::from_path(sandbox.path("report.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap);
    rows.map(|row| std::array::from_fn(|place| row[place].to_owned())).collect()
}

async fn ids(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    users.into_iter().map(|user| (user.first_name, user.id.0.to_string())).collect()
}

in_every_sandbox! {
    async fn several_files_are_imported_as_one(sandbox: Sandbox) {
        std::fs::write(sandbox.path("houses.ndjson"), INSTITUTIONS).unwrap();
        std::fs::write(sandbox.path("staff.csv"), "externalId;firstName;lastName;email;institution\n1;Ann;Oak;ann@example.org;House\n").unwrap();
        let entry = "dn: uid=bo\nobjectClass: inetOrgPerson\nuid: bo\ngivenName: Bo\nsn: Elm\nmail: ann@example.org\n";
        std::fs::write(sandbox.path("more.ldif"), entry).unwrap();
        let command = ["import", "houses.ndjson", "staff.csv", "more.ldif", "--report", "report.csv"];
        let refused = sandbox.run(&command).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        let error = "line 1 of more.ldif: mail (email): This email address is taken by the row at line 2 of staff.csv.";
        assert!(refused.err.contains(error), "{refused:?}");
        let db = sandbox.db().await;
        assert!(institution::Entity::find().all(db.read()).await.unwrap().is_empty(), "nothing was written");
        std::fs::write(sandbox.path("more.ldif"), entry.replace("mail: ann", "mail: bo")).unwrap();
        let imported = sandbox.run(&command).await;
        assert_eq!((imported.code, imported.out.trim()), (0, "3 were created, 0 changed, 0 unchanged."), "{imported:?}");
        let files: Vec<[String; 3]> = report(&sandbox).into_iter().map(|[file, line, row, ..]| [file, line, row]).collect();
        assert_eq!(files, [["houses.ndjson", "1", "1"], ["staff.csv", "2", "1"], ["more.ldif", "1", "1"]]);
        let again = sandbox.run(&command).await;
        assert_eq!((again.code, again.out.trim()), (0, "0 were created, 0 changed, 3 unchanged."), "{again:?}");
        let damaged = sandbox.run(&["import", "staff.csv", "missing.csv"]).await;
        assert!(damaged.code == 1 && damaged.err.contains("missing.csv"), "{damaged:?}");
        let rejects = sandbox.run(&["import", "staff.csv", "more.ldif", "--rejects", "bad"]).await;
        assert!(rejects.code == 1 && rejects.err.contains("--rejects needs one file"), "{rejects:?}");
        std::fs::write(sandbox.path("cut.json"), "[{\"user\": {").unwrap();
        let cut = sandbox.run(&["import", "houses.ndjson", "cut.json"]).await;
        assert!(cut.code == 1 && cut.err.contains("cut.json: line 1: not JSON"), "{cut:?}");
    }

    async fn complete_files_are_complete_together(sandbox: Sandbox) {
        let people = |names: &[&str]| {
            let row = |name: &&str| format!("{name},Oak,{name}@example.org\n");
            "firstName,lastName,email\n".to_owned() + &names.iter().map(row).collect::<String>()
        };
        std::fs::write(sandbox.path("a.csv"), people(&["Ann", "Bo"])).unwrap();
        std::fs::write(sandbox.path("b.csv"), people(&["Cy"])).unwrap();
        let full = ["import", "a.csv", "b.csv", "--full"];
        assert_eq!(sandbox.run(&full).await.code, 0);
        let again = sandbox.run(&full).await;
        assert!(again.code == 0 && !again.out.contains("deactivated"), "{again:?}");
        std::fs::write(sandbox.path("dump.json"), "[{\"model\":\"auth.group\",\"pk\":1,\"fields\":{\"name\":\"Ward\"}}]").unwrap();
        std::fs::write(sandbox.path("people.ldif"), "dn: uid=bo\nobjectClass: inetOrgPerson\nuid: bo\nsn: Elm\ngivenName: Bo\n").unwrap();
        let mixed = sandbox.run(&["import", "dump.json", "people.ldif", "--full", "--dry-run", "--max-leavers", "100%"]).await;
        assert_eq!(mixed.code, 0, "only the file of Django has the ids of a source: {mixed:?}");
    }

    async fn rows_that_share_a_line_are_told_apart(sandbox: Sandbox) {
        let users = json!([
            { "pk": 1, "username": "ann", "first_name": "Ann", "last_name": "Oak", "email": "ann@example.org" },
            { "pk": 2, "username": "bo", "first_name": "Bo", "last_name": "Elm", "email": "ANN@example.org" },
            { "pk": 3, "username": "cy", "first_name": "", "last_name": "Ash", "email": "cy@example.org" },
        ]);
        std::fs::write(sandbox.path("users.json"), users.to_string()).unwrap();
        let refused = sandbox.run(&["import", "users.json", "--from", "ufdl", "--report", "report.csv"]).await;
        for error in [
            "line 1 (row 2): email: This email address is taken by the row at line 1. (got \"ANN@example.org\")",
            "line 1 (row 3): first_name (firstName): This field is required.",
        ] {
            assert!(refused.err.contains(error), "{error}: {refused:?}");
        }
        let rows: Vec<String> = report(&sandbox).into_iter().map(|[_, _, row, _, outcome, old, _]| format!("{row} {outcome} {old}")).collect();
        assert_eq!(rows, ["1 would be created 1", "2 refused 2", "3 refused 3"]);
    }

    async fn a_report_leads_from_old_ids_to_new_ones(sandbox: Sandbox) {
        let users = json!({ "users": [
            { "id": 1, "email": "ann@example.org", "first_name": "Ann", "last_name": "Oak", "groups_own_json": [{ "id": 9, "name": "Cortex" }] },
        ] });
        std::fs::write(sandbox.path("users.json"), users.to_string()).unwrap();
        assert_eq!(sandbox.run(&["import", "users.json", "--from", "brainstem", "--report", "report.csv"]).await.code, 0);
        let group = group::Entity::find().one(sandbox.db().await.read()).await.unwrap().unwrap();
        let found: Vec<[String; 3]> = report(&sandbox).into_iter().map(|[_, _, _, kind, _, old, new]| [kind, old, new]).collect();
        let ids = ids(&sandbox).await;
        assert_eq!(found, [["group".to_owned(), "9".to_owned(), group.id.0.to_string()], ["user".to_owned(), "1".to_owned(), ids["Ann"].clone()]]);
        let uuid = "0507f1a3-7d50-4f3e-a5ae-a8f3c318e151";
        for external_id in [json!(null), json!("E-7")] {
            let users = json!([{ "uuid": uuid, "external_id": external_id, "email": "bo@example.org", "first_name": "Bo", "last_name": "Elm" }]);
            std::fs::write(sandbox.path("users.json"), users.to_string()).unwrap();
            let imported = sandbox.run(&["import", "users.json", "--from", "painchek", "--report", "report.csv"]).await;
            assert_eq!(imported.code, 0, "{imported:?}");
            assert_eq!(report(&sandbox)[0][5], uuid, "the id there, with the external id {external_id}");
        }
    }

    async fn values_that_are_left_out_are_in_the_report(sandbox: Sandbox) {
        std::fs::write(sandbox.path("people.csv"), "externalId,username,firstName,lastName,passwordHash,avatar\n7,ann,Ann,Oak,nonsense,https://example.org/ann.png\n").unwrap();
        let imported = sandbox.run(&["import", "people.csv", "--report", "report.csv"]).await;
        assert_eq!(imported.code, 0, "{imported:?}");
        let mut reader = csv::Reader::from_path(sandbox.path("report.csv")).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let found: Vec<[&str; 4]> = rows.iter().map(|row| [&row[4], &row[5], &row[7], &row[8]]).collect();
        assert_eq!(found, [
            ["created", "7", "", ""],
            ["left out", "7", "avatar", "\"https://example.org/ann.png\""],
            ["left out", "7", "passwordHash", ""],
        ]);
    }

    async fn objects_that_rows_refer_to_are_not_changed(sandbox: Sandbox) {
        std::fs::write(sandbox.path("houses.ndjson"), INSTITUTIONS).unwrap();
        assert_eq!(sandbox.run(&["import", "houses.ndjson"]).await.code, 0);
        let mapping = "source = 'hr'\n[user.fields]\nusername = 'login'\nfirstName = 'first'\nlastName = 'last'\n\
            institution = { column = 'site', create = { kind = 'CARE_HOME', country = 'AU' } }\n";
        std::fs::write(sandbox.path("hr.toml"), mapping).unwrap();
        std::fs::write(sandbox.path("hr.csv"), "login,first,last,site\nann,Ann,Oak,House\nbo,Bo,Elm,Cottage\ncy,Cy,Ash,Cottage\n").unwrap();
        let options = ["import", "hr.csv", "--mapping", "hr.toml"];
        let imported = sandbox.run(&options).await;
        assert_eq!((imported.code, imported.out.trim()), (0, "4 were created, 0 changed, 1 unchanged."), "{imported:?}");
        let again = sandbox.run(&options).await;
        assert_eq!((again.code, again.out.trim()), (0, "0 were created, 0 changed, 5 unchanged."), "{again:?}");
        let houses = institution::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        let kinds: BTreeMap<&str, institution::InstitutionKind> = houses.iter().map(|house| (house.name.as_str(), house.kind)).collect();
        assert_eq!(kinds["House"], institution::InstitutionKind::Hospital);
        assert_eq!((kinds["Cottage"], kinds.len()), (institution::InstitutionKind::CareHome, 2));
    }
}
