//! `roster import` of files with the rows of licenses.

use serde_json::{Value, json};

use crate::process::{CommandOutput, Sandbox};

async fn import(sandbox: &Sandbox, rows: &[Value], options: &[&str]) -> CommandOutput {
    let file: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    std::fs::write(sandbox.path("all.ndjson"), file).unwrap();
    sandbox.run(&[&["import", "all.ndjson"][..], options].concat()).await
}

fn license(number: &str) -> Value {
    json!({ "license": { "number": number, "holder": "Alder" } })
}

fn user(fields: Value) -> Value {
    let mut user = json!({ "firstName": "Ann", "lastName": "Oak" });
    let Value::Object(fields) = fields else { panic!("not the fields of a user: {fields}") };
    user.as_object_mut().unwrap().extend(fields);
    json!({ "user": user })
}

in_every_sandbox! {
    async fn a_login_of_an_earlier_license_of_the_file_is_taken(sandbox: Sandbox) {
        const ID: &str = "0192a000-0000-7000-8000-000000000011";
        for (first, second, error) in [
            (json!({ "username": "ann" }), json!({ "username": "Ann" }), "line 4: username: This username is taken by the row at line 2."),
            (json!({ "email": "ann@example.org" }), json!({ "username": "ann@example.org" }), "line 4: username: This username is taken by the row at line 2."),
            (json!({ "id": ID, "username": "ann" }), json!({ "id": ID, "username": "bo" }), "line 4: id: An earlier row of the file, at line 2, is about the same user."),
        ] {
            let rows = [license("L-1"), user(first), license("L-2"), user(second)];
            for options in [&["--dry-run"][..], &[][..]] {
                let refused = import(&sandbox, &rows, options).await;
                assert!(refused.code == 1 && refused.err.contains(error), "{refused:?}");
                assert!(refused.err.ends_with("error: 1 invalid row; nothing was written.\n"), "{refused:?}");
            }
            let none = sandbox.run(&["export"]).await;
            assert!(none.err.contains("there is no license yet"), "{none:?}");
        }
        // External IDs are those of a license.
        let rows = [
            license("L-1"),
            user(json!({ "username": "ann", "externalId": "7" })),
            license("L-2"),
            user(json!({ "username": "bo", "externalId": "7" })),
        ];
        let imported = import(&sandbox, &rows, &[]).await;
        assert!(imported.code == 0 && imported.out.starts_with("2 were created"), "{imported:?}");
    }

    async fn the_summary_and_the_report_name_the_license_of_each_part(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["license", "create", "--number", "L-7", "--holder", "Birch"]).await.code, 0);
        let rows = [
            license("L-1"),
            user(json!({ "username": "ann" })),
            // A license that is here already.
            license("L-7"),
            user(json!({ "username": "bo" })),
            user(json!({ "username": "cy" })),
        ];
        for (options, verbs, outcome) in [(&["--dry-run"][..], ["would be"; 2], "would be created"), (&[][..], ["was", "were"], "created")] {
            let imported = import(&sandbox, &rows, &[&["--report", "report.csv"][..], options].concat()).await;
            assert_eq!(imported.code, 0, "{imported:?}");
            let [one, several] = verbs;
            let summary: Vec<&str> = imported.out.lines().take(3).collect();
            assert_eq!(summary, [
                format!("3 {several} created, 0 changed, 0 unchanged."),
                format!("New license L-1 (Alder): 1 {one} created, 0 changed, 0 unchanged."),
                format!("License L-7 (Birch): 2 {several} created, 0 changed, 0 unchanged."),
            ]);
            let report = std::fs::read_to_string(sandbox.path("report.csv")).unwrap();
            let lines: Vec<&str> = report.lines().collect();
            assert!(lines[1].starts_with(&format!("all.ndjson,1,1,license,{outcome},L-1,")), "{report}");
            assert!(lines[3].starts_with("all.ndjson,3,3,license,unchanged,L-7,"), "{report}");
            assert_eq!(lines.len(), 6, "{report}");
        }
        let only = import(&sandbox, &[license("L-7"), user(json!({ "username": "bo" }))], &[]).await;
        assert_eq!(only.out.lines().nth(1), Some("License L-7 (Birch): 0 were created, 0 changed, 1 unchanged."), "{only:?}");
        let chosen = import(&sandbox, &[license("L-7")], &["--license", "L-1"]).await;
        assert_eq!(chosen.out.lines().nth(1), Some("License L-1 (Alder): 0 were created, 0 changed, 0 unchanged."), "{chosen:?}");
    }
}
