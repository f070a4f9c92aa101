//! `roster import --from painchek`: the license that the rows name, institutions and pictures.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use roster::entity::user;
use roster::scalar::Id;
use serde_json::{Value, json};

use super::{find, import, import_again, import_valid};
use crate::process::{CommandOutput, Sandbox};

/// A user of PainChek.
fn of_painchek(email: &str, license: &str) -> Value {
    json!({
        "uuid": Id::new().0, "license": license, "license_name": "A89E0CC1/Alder Care/2100-08-25", "email": email,
        "first_name": "Ann", "last_name": "Oak", "role": "user", "is_active": true, "avatar": null,
    })
}

async fn import_of_painchek(sandbox: &Sandbox, users: &[&Value], options: &[&str]) -> CommandOutput {
    let page = json!({ "count": users.len(), "next": null, "previous": null, "results": users });
    std::fs::write(sandbox.path("users.json"), page.to_string()).unwrap();
    sandbox.run(&[&["import", "users.json", "--from", "painchek"][..], options].concat()).await
}

in_every_sandbox! {
    async fn users_of_painchek_keep_their_ids(sandbox: Sandbox) {
        let refused = import(&sandbox, "painchek/users.json", &["--from", "painchek"]).await;
        assert!(refused.code == 1 && refused.err.contains("institution: Nothing has the id"), "{refused:?}");
        assert_eq!(import_valid(&sandbox, "painchek/institutions.ndjson", &[]).await, ["1 was created, 0 changed, 0 unchanged."]);
        let options = ["--from", "painchek"];
        assert_eq!(import_valid(&sandbox, "painchek/users.json", &options).await, [
            "3 were created, 0 changed, 0 unchanged.",
            "Not imported: the last day of the license, 2028-08-25; `roster license extend` sets one.",
        ]);
        let db = sandbox.db().await;
        let nora = find(&db, "nora.birch@example.org").await;
        assert_eq!(nora.id, Id::parse("c0d06995-87dd-4437-a92e-338f53b7dba5").unwrap());
        assert!(nora.has_activated && nora.is_active && nora.phone.is_none(), "{nora:?}");
        assert_eq!(nora.modified_at.to_rfc3339(), "2017-09-01T07:49:55.055+00:00");
        let tom = find(&db, "tom.elm@example.org").await;
        assert_eq!((tom.role, tom.external_id.as_deref()), (user::Role::Admin, Some("E-7")));
        assert_eq!(tom.institution_id, Id::parse("c186cf8e-708c-479e-acbd-d534f54b7e89"));
        assert!(!find(&db, "ida.fir@example.org").await.is_active);
        import_again(&sandbox, "painchek/users.json", &options, 3).await;
    }

    async fn the_license_of_painchek_is_made_or_matched(sandbox: Sandbox) {
        let ann = of_painchek("ann@example.org", "a89e0cc1-fd90-4721-b09b-7f527f5ff626");
        let bo = of_painchek("bo@example.org", "b89e0cc1-fd90-4721-b09b-7f527f5ff626");
        let both = import_of_painchek(&sandbox, &[&ann, &bo], &[]).await;
        assert!(both.code == 1 && both.err.contains("license: the rows before are of another license"), "{both:?}");
        let made = import_of_painchek(&sandbox, &[&ann], &[]).await;
        assert!(made.code == 0 && made.out.starts_with("1 was created"), "{made:?}");
        assert!(!made.out.contains("Not imported"), "the license ends on the day of the file: {made:?}");
        let licenses = sandbox.run(&["license", "list"]).await.out;
        assert!(licenses.contains("A89E0CC1 ") && licenses.contains("Alder Care") && licenses.contains("2100-08-25"), "{licenses}");
        assert_eq!(sandbox.run(&["license", "create", "--number", "L-2", "--holder", "Birch"]).await.code, 0);
        let matched = import_of_painchek(&sandbox, &[&ann], &[]).await;
        assert!(matched.code == 0 && matched.out.starts_with("0 were created, 0 changed, 1 unchanged."), "{matched:?}");
        let unknown = json!({ "license": "b89e0cc1-fd90-4721-b09b-7f527f5ff626", "license_name": "B-2/Birch/2028-08-25" });
        let mut bo = bo;
        bo.as_object_mut().unwrap().extend(unknown.as_object().unwrap().clone());
        let refused = import_of_painchek(&sandbox, &[&bo], &[]).await;
        assert!(refused.code == 1 && refused.err.contains("--license"), "another system adds no license: {refused:?}");
        let chosen = import_of_painchek(&sandbox, &[&bo], &["--license", "L-2"]).await;
        assert!(chosen.code == 0 && chosen.out.starts_with("1 was created"), "{chosen:?}");
        assert!(chosen.out.contains("Not imported: the last day of the license, 2028-08-25;"), "L-2 has no end: {chosen:?}");
    }

    async fn a_row_with_a_license_that_cannot_be_read_is_not_imported_into_that_of_the_others(sandbox: Sandbox) {
        let id = "a89e0cc1-fd90-4721-b09b-7f527f5ff626";
        let (ann, mut bo) = (of_painchek("ann@example.org", id), of_painchek("bo@example.org", id));
        for license in [json!({ "uuid": Id::new().0 }), json!([id, Id::new().0]), json!(true)] {
            bo["license"] = license;
            let refused = import_of_painchek(&sandbox, &[&ann, &bo], &[]).await;
            assert!(refused.code == 1 && refused.err.contains("license: the rows before are of another license"), "{refused:?}");
        }
    }

    async fn a_last_day_of_painchek_that_has_passed_is_reported(sandbox: Sandbox) {
        let mut ann = of_painchek("ann@example.org", "a89e0cc1-fd90-4721-b09b-7f527f5ff626");
        ann["license_name"] = json!("A89E0CC1/Alder / Care/2018-08-25");
        let no_date = import_of_painchek(&sandbox, &[&ann], &["--dry-run"]).await;
        assert!(no_date.code == 0 && no_date.out.trim() == "1 would be created, 0 changed, 0 unchanged.", "{no_date:?}");
        ann["license_name"] = json!("A89E0CC1/Alder Care/2018-08-25");
        let passed = import_of_painchek(&sandbox, &[&ann], &[]).await;
        assert!(passed.code == 0 && passed.out.starts_with("1 was created"), "{passed:?}");
        assert!(passed.out.contains("Not imported: the last day of the license, 2018-08-25;"), "{passed:?}");
        let licenses = sandbox.run(&["license", "list"]).await.out;
        assert!(licenses.contains("A89E0CC1 ") && !licenses.contains("2018-08-25"), "{licenses}");
    }

    async fn a_picture_at_a_url_is_not_fetched(sandbox: Sandbox) {
        let mut ann = of_painchek("ann@example.org", "a89e0cc1-fd90-4721-b09b-7f527f5ff626");
        ann["avatar"] = json!("http://127.0.0.1:9/media/ann.png?size=2");
        let without = import_of_painchek(&sandbox, &[&ann], &[]).await;
        assert!(without.code == 0 && without.out.starts_with("1 was created"), "{without:?}");
        assert!(without.err.contains("avatar: Pictures are not fetched") && without.err.contains("--avatar-dir"), "{without:?}");
        std::fs::create_dir(sandbox.path("pictures")).unwrap();
        let missing = import_of_painchek(&sandbox, &[&ann], &["--avatar-dir", "pictures"]).await;
        assert!(missing.code == 0 && missing.err.contains("avatar: The file cannot be read"), "{missing:?}");
        let mut picture = Cursor::new(Vec::new());
        RgbImage::from_pixel(20, 20, image::Rgb([7, 77, 177])).write_to(&mut picture, ImageFormat::Png).unwrap();
        std::fs::write(sandbox.path("pictures/ann.png"), picture.into_inner()).unwrap();
        let with = import_of_painchek(&sandbox, &[&ann], &["--avatar-dir", "pictures"]).await;
        assert_eq!((with.code, with.err.as_str()), (0, ""), "{with:?}");
        assert!(with.out.starts_with("0 were created, 1 changed, 0 unchanged."), "{with:?}");
        assert!(find(&sandbox.db().await, "ann@example.org").await.avatar.is_some());
    }
}
