//! `roster import --fix`: rules by which values are left out, instead of their rows being refused.

use std::collections::BTreeMap;

use roster::entity::{membership, site_access, user};
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::process::{CommandOutput, Sandbox};

async fn import(sandbox: &Sandbox, name: &str, text: &str, options: &[&str]) -> CommandOutput {
    std::fs::write(sandbox.path(name), text).unwrap();
    sandbox.run(&[&["import", name][..], options].concat()).await
}

async fn users(sandbox: &Sandbox) -> BTreeMap<String, user::Model> {
    let all = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    all.into_iter().map(|user| (user.first_name.clone(), user)).collect()
}

/// The column and the value of each line of the report about a value that is left out.
fn left_out(sandbox: &Sandbox) -> Vec<[String; 2]> {
    let mut reader = csv::Reader::from_path(sandbox.path("report.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[4] == "left out");
    rows.map(|row| [row[7].to_owned(), row[8].to_owned()]).collect()
}

in_every_sandbox! {
    async fn optional_values_are_left_out_by_rules(sandbox: Sandbox) {
        let long = "1".repeat(30);
        let rows = format!("externalId,username,firstName,lastName,phone,birthDate,website,gender,pin\n1,ann,Ann,Oak,{long},2999-01-01,www.example.org,X,12\n2,bo,Bo,Elm,7,1980-07-08,,F,0042\n");
        let none = import(&sandbox, "staff.csv", &rows, &[]).await;
        assert!(none.code == 1 && none.err.ends_with("error: 1 invalid row; nothing was written.\n"), "{none:?}");
        let part = import(&sandbox, "staff.csv", &rows, &["--fix", "too-long=drop"]).await;
        assert!(part.code == 1 && part.err.contains("line 2: birthDate: "), "{part:?}");
        let unknown = import(&sandbox, "staff.csv", &rows, &["--fix", "everything"]).await;
        assert!(unknown.code == 2 && unknown.err.contains("too-long=drop"), "{unknown:?}");
        let options = ["--fix", "too-long=drop,invalid=drop", "--report", "report.csv"];
        let imported = import(&sandbox, "staff.csv", &rows, &options).await;
        assert_eq!(imported.code, 0, "{imported:?}");
        let lines: Vec<&str> = imported.out.trim().lines().collect();
        assert_eq!(lines, [
            "2 were created, 0 changed, 0 unchanged.",
            "Left out (--fix): birthDate of 1 user, gender of 1 user, phone of 1 user, pin of 1 user.",
        ]);
        assert!(imported.err.contains("line 2: phone: Must be at most 20 characters"), "{imported:?}");
        let mut found = left_out(&sandbox);
        found.sort();
        assert_eq!(found.iter().map(|[column, _]| column.as_str()).collect::<Vec<_>>(), ["birthDate", "gender", "phone", "pin"]);
        assert_eq!(found[3][1], "", "a PIN is secret");
        let users = users(&sandbox).await;
        let ann = &users["Ann"];
        assert_eq!((ann.phone.as_deref(), ann.birth_date, ann.gender, ann.has_pin), (None, None, user::Gender::Unknown, false));
        assert_eq!(ann.website.as_ref().map(|url| url.0.as_str()), Some("http://www.example.org"));
        assert!(users["Bo"].has_pin && users["Bo"].phone.as_deref() == Some("7"));
        let again = import(&sandbox, "staff.csv", &rows, &options).await;
        assert!(again.out.starts_with("0 were created, 0 changed, 2 unchanged."), "{again:?}");
    }

    async fn names_logins_and_rights_are_never_left_out(sandbox: Sandbox) {
        let long = "x".repeat(60);
        let all = "too-long=drop,invalid=drop,invalid-email=drop,duplicate-email=second-without,duplicate-username=second-without,unknown-institution=drop,unknown-group=drop";
        for fields in [
            json!({ "firstName": long }),
            json!({ "lastName": "" }),
            json!({ "username": long }),
            json!({ "username": null, "email": "no address" }),
            json!({ "role": "boss" }),
            json!({ "isActive": "perhaps" }),
            json!({ "adminRights": { "isAdmin": "perhaps" } }),
            json!({ "shoeSize": 42 }),
        ] {
            let mut user = json!({ "username": "ann", "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org" });
            user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let refused = import(&sandbox, "one.ndjson", &json!({ "user": user }).to_string(), &["--fix", all]).await;
            assert!(refused.code == 1 && refused.err.ends_with("error: 1 invalid row; nothing was written.\n"), "{fields}: {refused:?}");
        }
    }

    async fn an_invalid_address_is_left_out_if_there_is_a_username(sandbox: Sandbox) {
        let rows = "externalId,username,firstName,lastName,email\n1,root,Ann,Oak,root@localhost\n2,,Bo,Elm,bo@1.2.3.4\n";
        let options = ["--fix", "invalid-email=drop,invalid=drop"];
        let refused = import(&sandbox, "staff.csv", rows, &options).await;
        assert!(refused.code == 1 && refused.err.contains("line 3: email: Must be a valid email address."), "{refused:?}");
        let imported = import(&sandbox, "staff.csv", &rows.replace("2,,Bo", "2,bo,Bo"), &options).await;
        assert!(imported.code == 0 && imported.out.contains("Left out (--fix): email of 2 users."), "{imported:?}");
        assert!(users(&sandbox).await.values().all(|user| user.email.is_none()));
    }

    async fn the_second_user_has_no_login_that_is_taken(sandbox: Sandbox) {
        let rows = "externalId,username,firstName,lastName,email\n1,ann,Ann,Oak,ann@example.org\n2,bo,Bo,Elm,ANN@example.org\n3,BO,Cy,Ash,cy@example.org\n4,,Di,Fir,Ann@Example.org\n";
        let email = ["--fix", "duplicate-email=second-without"];
        let part = import(&sandbox, "staff.csv", rows, &email).await;
        assert!(part.code == 1 && part.err.contains("line 4: username: This username is taken by the row at line 3."), "{part:?}");
        let both = ["--fix", "duplicate-email=second-without", "--fix", "duplicate-username=second-without"];
        let without = import(&sandbox, "staff.csv", rows, &both).await;
        assert!(without.code == 1 && without.err.contains("line 5: email: This email address is taken"), "nothing else to sign in with: {without:?}");
        let rows = rows.replace("4,,Di", "4,di,Di");
        for outcome in ["4 were created, 0 changed, 0 unchanged.", "0 were created, 0 changed, 4 unchanged."] {
            let imported = import(&sandbox, "staff.csv", &rows, &both).await;
            assert!(imported.code == 0 && imported.out.starts_with(outcome), "{imported:?}");
            assert!(imported.out.contains("Left out (--fix): email of 2 users, username of 1 user."), "{imported:?}");
        }
        let users = users(&sandbox).await;
        let logins = |name: &str| (users[name].username.as_deref(), users[name].email.as_deref());
        assert_eq!(logins("Ann"), (Some("ann"), Some("ann@example.org")));
        assert_eq!(logins("Bo"), (Some("bo"), None));
        assert_eq!(logins("Cy"), (None, Some("cy@example.org")));
        assert_eq!(logins("Di"), (Some("di"), None));
        assert!(users["Bo"].email_key.is_none() && !users["Bo"].search_key.contains("example"), "{:?}", users["Bo"]);
    }

    async fn unknown_institutions_and_groups_are_left_out(sandbox: Sandbox) {
        let lines = [
            json!({ "institution": { "name": "House", "kind": "HOSPITAL", "country": "IE" } }),
            json!({ "group": { "name": "Ward" } }),
            json!({ "user": { "externalId": "1", "username": "ann", "firstName": "Ann", "lastName": "Oak", "institution": "Hut", "sites": ["House", "Hut"], "groups": ["Ward", "Choir"] } }),
        ];
        let file = lines.map(|line| line.to_string() + "\n").concat();
        assert_eq!(import(&sandbox, "all.ndjson", &file, &["--fix", "unknown-group=drop"]).await.code, 1);
        let options = ["--fix", "unknown-institution=drop,unknown-group=drop"];
        let imported = import(&sandbox, "all.ndjson", &file, &options).await;
        assert!(imported.code == 0 && imported.out.starts_with("3 were created"), "{imported:?}");
        assert!(imported.out.contains("Left out (--fix): groups of 1 user, institution of 1 user, sites of 1 user."), "{imported:?}");
        let db = sandbox.db().await;
        assert_eq!(membership::Entity::find().all(db.read()).await.unwrap().len(), 1);
        assert_eq!(site_access::Entity::find().all(db.read()).await.unwrap().len(), 1);
        assert!(users(&sandbox).await["Ann"].institution_id.is_none());
    }
}
