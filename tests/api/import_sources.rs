//! `roster import --from`: the exports of other systems are imported as they are, and may be imported again.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use roster::db::Db;
use roster::entity::external_reference::{self, ExternalReference};
use roster::entity::{attribute_value, group, membership, user};
use roster::scalar::Id;
use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{CommandOutput, Sandbox};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).to_str().unwrap().to_owned()
}

async fn import(sandbox: &Sandbox, name: &str, options: &[&str]) -> CommandOutput {
    let file = fixture(name);
    sandbox.run(&[&["import", file.as_str()][..], options].concat()).await
}

/// Imports a fixture that must be valid. Returns the lines of the output.
async fn import_valid(sandbox: &Sandbox, name: &str, options: &[&str]) -> Vec<String> {
    let output = import(sandbox, name, options).await;
    assert_eq!(output.code, 0, "{output:?}");
    output.out.trim().lines().map(str::to_owned).collect()
}

/// Imports a fixture again, which changes nothing.
async fn import_again(sandbox: &Sandbox, name: &str, options: &[&str], records: usize) {
    let lines = import_valid(sandbox, name, options).await;
    assert_eq!(lines[0], format!("0 were created, 0 changed, {records} unchanged."));
}

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

/// All users by their email address, or else by their username.
async fn find(db: &Db, login: &str) -> user::Model {
    let users = user::Entity::find().all(db.read()).await.unwrap();
    let is_found = |user: &user::Model| [&user.email, &user.username].into_iter().flatten().any(|one| one == login);
    users.into_iter().find(is_found).unwrap_or_else(|| panic!("{login} was not imported"))
}

/// The external references of a user, each as one text.
fn references(user: &user::Model) -> Vec<String> {
    external_reference::list(user.external_references.as_ref()).iter().map(ExternalReference::text).collect()
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

    async fn two_systems_may_have_the_same_integer_ids(sandbox: Sandbox) {
        let most = import_valid(&sandbox, "most/users.csv", &["--from", "most"]).await;
        assert_eq!(most, ["3 were created, 0 changed, 0 unchanged."]);
        let ufdl = import_valid(&sandbox, "ufdl/users.json", &["--from", "ufdl"]).await;
        assert_eq!(ufdl, ["3 were created, 0 changed, 0 unchanged."]);
        let db = sandbox.db().await;
        let giulia = find(&db, "g.rossi").await;
        assert_eq!((giulia.user_type, giulia.gender), (user::UserType::Clinician, user::Gender::Female));
        assert!(giulia.is_staff && giulia.has_pin && !giulia.is_admin, "{giulia:?}");
        assert_eq!(giulia.birth_date.map(|date| date.0.to_string()).as_deref(), Some("1980-07-08"));
        assert_eq!((giulia.external_id.as_deref(), references(&giulia)), (None, vec!["most:1".to_owned()]));
        let piero = find(&db, "p.melis").await;
        assert_eq!(piero.birth_date.map(|date| date.0.to_string()).as_deref(), Some("1975-07-08"));
        assert!(piero.is_admin && !find(&db, "s.deiana").await.is_active);
        let mere = find(&db, "mere.k").await;
        // A superuser there is no superuser over all licenses here.
        assert_eq!((mere.role, mere.is_superuser, references(&mere)), (user::Role::LicenseAdmin, false, vec!["ufdl:1".to_owned()]));
        assert_eq!(mere.last_login.map(|at| at.to_rfc3339()).as_deref(), Some("2024-01-02T03:04:05+00:00"));
        import_again(&sandbox, "most/users.csv", &["--from", "most"], 3).await;
        import_again(&sandbox, "ufdl/users.json", &["--from", "ufdl"], 3).await;
    }

    async fn an_external_id_of_another_system_is_refused(sandbox: Sandbox) {
        let user = |username: &str| format!("id,username,firstName,lastName,email\n,{username},A,B,{username}@example.org\n").replace("id,username", "externalId,username").replace("\n,", "\n1,");
        std::fs::write(sandbox.path("one.csv"), user("ann")).unwrap();
        std::fs::write(sandbox.path("two.csv"), user("bo")).unwrap();
        assert_eq!(sandbox.run(&["import", "one.csv"]).await.code, 0);
        let refused = sandbox.run(&["import", "two.csv"]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains("line 2: externalId: This external ID belongs to A B (") && refused.err.contains("--source"), "{refused:?}");
    }

    async fn attributes_and_local_times_of_authentic2_are_kept(sandbox: Sandbox) {
        import_valid(&sandbox, "authentic2/attributes.ndjson", &[]).await;
        let lines = import_valid(&sandbox, "authentic2/users.json", &["--from", "authentic2"]).await;
        assert_eq!(lines, ["2 were created, 0 changed, 0 unchanged."]);
        let db = sandbox.db().await;
        let zoe = find(&db, "zoe.dupre@example.org").await;
        assert_eq!(zoe.id, Id::parse("8e7f200b-4bb4-47fa-8a91-cd03c0f0ade3").unwrap());
        assert_eq!((zoe.first_name.as_str(), zoe.gender), ("Zoé", user::Gender::Female));
        let values = attribute_value::Entity::find().all(db.read()).await.unwrap();
        let mut values: Vec<&str> = values.iter().map(|value| value.value.as_str()).collect();
        values.sort_unstable();
        assert_eq!(values, ["France", "Lyon", "Marseille", "zoe"]);
        let leo = find(&db, "leo.martin@example.org").await;
        assert_eq!(leo.date_joined.to_rfc3339(), "2018-03-20T13:16:44+00:00");
        import_again(&sandbox, "authentic2/users.json", &["--from", "authentic2"], 2).await;
    }

    async fn groups_of_brainstem_are_created_with_their_owners(sandbox: Sandbox) {
        let lines = import_valid(&sandbox, "brainstem/users.json", &["--from", "brainstem"]).await;
        assert_eq!(lines, ["4 were created, 0 changed, 0 unchanged."]);
        let db = sandbox.db().await;
        let piet = find(&db, "piet.noordam@example.org").await;
        assert!(piet.is_project_admin && piet.is_contact_form_email_receiver && !piet.is_group_admin, "{piet:?}");
        assert_eq!(piet.atlas_preference.as_deref(), Some("AIA"));
        let groups = group::Entity::find().order_by_asc(group::Column::Name).all(db.read()).await.unwrap();
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["Cortex group", "Piet's group"]);
        let members = membership::Entity::find().all(db.read()).await.unwrap();
        assert!(members.len() == 2 && members.iter().all(|row| row.user_id == piet.id && row.role == membership::GroupRole::Owner));
        import_again(&sandbox, "brainstem/users.json", &["--from", "brainstem"], 4).await;
    }

    async fn a_dump_of_django_is_recognized(sandbox: Sandbox) {
        let lines = import_valid(&sandbox, "django/dump.json", &[]).await;
        assert_eq!(lines, [
            "3 were created, 0 changed, 0 unchanged.",
            "New users: 1 can sign in with their old password, 1 needs an invitation.",
            "Not imported: rows with model contenttypes.contenttype (in 1 row).",
        ]);
        let db = sandbox.db().await;
        let ann = find(&db, "ann.oak@example.org").await;
        let members = membership::Entity::find().all(db.read()).await.unwrap();
        assert!(members.len() == 1 && members[0].user_id == ann.id && ann.role == user::Role::LicenseAdmin);
        let server = sandbox.serve(&[]).await;
        assert_eq!(server.login("ann", PASSWORD).await["success"], json!(true));
        drop(server);
        import_again(&sandbox, "django/dump.json", &[], 3).await;
    }

    async fn users_of_keycloak_sign_in_with_their_passwords(sandbox: Sandbox) {
        let lines = import_valid(&sandbox, "keycloak/realm.json", &[]).await;
        assert_eq!(lines, [
            "3 were created, 0 changed, 0 unchanged.",
            "New users: 1 can sign in with their old password, 1 cannot sign in because they are inactive.",
        ]);
        let db = sandbox.db().await;
        let kim = find(&db, "kim").await;
        assert!(kim.email_verified && kim.phone.as_deref() == Some("+1 555 0100"), "{kim:?}");
        assert_eq!(kim.date_joined.to_rfc3339(), "2019-03-01T08:00:00+00:00");
        assert_eq!(membership::Entity::find().all(db.read()).await.unwrap().len(), 1);
        let server = sandbox.serve(&[]).await;
        assert_eq!(server.login("kim", PASSWORD).await["success"], json!(true));
    }

    async fn entries_of_ldap_are_imported_without_hashes_that_cannot_be_used(sandbox: Sandbox) {
        let output = import(&sandbox, "ldap/people.ldif", &[]).await;
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.out.starts_with("3 were created, 0 changed, 0 unchanged."), "{output:?}");
        assert!(output.err.contains("line 11: userPassword (passwordHash): "), "{output:?}");
        let db = sandbox.db().await;
        let rene = find(&db, "rene").await;
        assert_eq!((rene.first_name.as_str(), rene.email.as_deref()), ("René", Some("rene.moss@example.org")));
        assert!(rene.position.is_some_and(|position| position.ends_with("folded over two lines")));
        assert_eq!(membership::Entity::find().all(db.read()).await.unwrap().len(), 1);
        assert!(!find(&db, "sid").await.is_active);
    }

    async fn resources_of_scim_are_imported(sandbox: Sandbox) {
        let lines = import_valid(&sandbox, "scim/users.json", &[]).await;
        assert_eq!(lines, ["2 were created, 0 changed, 0 unchanged."]);
        let db = sandbox.db().await;
        let babs = find(&db, "bjensen").await;
        assert_eq!((babs.email.as_deref(), babs.external_id.as_deref()), (Some("bjensen@example.org"), Some("701984")));
        assert_eq!(membership::Entity::find().all(db.read()).await.unwrap().len(), 1);
        import_again(&sandbox, "scim/users.json", &[], 2).await;
    }

    async fn organizations_of_other_directories_are_not_imported(sandbox: Sandbox) {
        let entries = "dn: dc=example,dc=org\nobjectClass: organization\no: Alder\n\n\
            dn: uid=ann,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann Oak\ngivenName: Ann\nsn: Oak\no: Alder\n";
        std::fs::write(sandbox.path("people.ldif"), entries).unwrap();
        let output = sandbox.run(&["import", "people.ldif"]).await;
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
        let lines: Vec<&str> = output.out.trim().lines().collect();
        assert_eq!(lines, [
            "1 was created, 0 changed, 0 unchanged.",
            "Not imported: o (in 1 row).",
            "Not imported: rows with objectClass organization (in 1 row).",
        ]);
    }

    async fn roles_in_groups_may_have_a_column_of_their_own(sandbox: Sandbox) {
        let mapping = "source = 'hr'\n[group]\nwhere = { kind = ['team'] }\n[group.fields]\nname = 'team'\n[user]\nwhere = { kind = ['person'] }\n\
            [user.fields]\nusername = 'login'\nfirstName = 'first'\nlastName = 'last'\ngroups = { column = 'teams', roles = 'leads' }\n";
        std::fs::write(sandbox.path("hr.toml"), mapping).unwrap();
        let team = json!({ "kind": "team", "team": "Ward 1" });
        let mut person = json!({ "kind": "person", "login": "ann", "first": "Ann", "last": "Oak", "teams": "Ward 1", "leads": "Ward 1=owner" });
        let write = |person: &Value| std::fs::write(sandbox.path("hr.ndjson"), format!("{team}\n{person}\n")).unwrap();
        write(&person);
        let options = ["import", "hr.ndjson", "--mapping", "hr.toml"];
        let output = sandbox.run(&options).await;
        assert_eq!((output.code, output.out.trim()), (0, "2 were created, 0 changed, 0 unchanged."), "{output:?}");
        let members = membership::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert_eq!(members.iter().map(|row| row.role).collect::<Vec<_>>(), [membership::GroupRole::Owner]);
        person["leads"] = json!(["Ward 1=boss"]);
        write(&person);
        let refused = sandbox.run(&options).await;
        assert!(refused.code == 1 && refused.err.contains("line 2: teams (groups): expected the roles in groups"), "{refused:?}");
    }

    async fn a_role_in_a_group_that_the_row_does_not_name_is_refused(sandbox: Sandbox) {
        let mapping = "source = 'hr'\n[group]\nwhere = { kind = ['team'] }\n[group.fields]\nname = 'team'\n[user]\nwhere = { kind = ['person'] }\n\
            [user.fields]\nusername = 'login'\nfirstName = 'first'\nlastName = 'last'\ngroups = { column = 'teams', roles = 'leads' }\n";
        std::fs::write(sandbox.path("hr.toml"), mapping).unwrap();
        let head = "kind,team,login,first,last,teams,leads\nteam,Ward 1,,,,,\nteam,Ward 2,,,,,\n";
        let options = ["import", "hr.csv", "--mapping", "hr.toml"];
        for (teams, leads, group) in [("Ward 1", "Ward 2=OWNER", "Ward 2"), ("Ward 1", "ward 1=OWNER", "ward 1"), ("", "Ward 1=OWNER", "Ward 1")] {
            std::fs::write(sandbox.path("hr.csv"), format!("{head}person,,ann,Ann,Oak,{teams},{leads}\n")).unwrap();
            let refused = sandbox.run(&options).await;
            let error = format!("line 4: teams (groups): the row has a role in the group {group:?}, but does not name that group");
            assert!(refused.code == 1 && refused.err.contains(&error), "{teams}, {leads}: {refused:?}");
        }
        let people = "person,,ann,Ann,Oak,Ward 1;Ward 2,Ward 1=OWNER;Ward 2=manager\nperson,,bo,Bo,Elm,Ward 2,\nperson,,cy,Cy,Ash,,\n";
        std::fs::write(sandbox.path("hr.csv"), format!("{head}{people}")).unwrap();
        let output = sandbox.run(&options).await;
        assert_eq!((output.code, output.out.trim()), (0, "5 were created, 0 changed, 0 unchanged."), "{output:?}");
        let members = membership::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        let count = |role: membership::GroupRole| members.iter().filter(|row| row.role == role).count();
        let counts = [membership::GroupRole::Owner, membership::GroupRole::Manager, membership::GroupRole::Member].map(count);
        assert_eq!(counts, [1, 1, 1], "{members:?}");
    }

    async fn a_mapping_file_maps_other_columns(sandbox: Sandbox) {
        let mapping = "source = 'hr'\n[user.fields]\nexternalId = { column = 'No', with-source = true }\nfirstName = 'Vorname'\nlastName = 'Nachname'\n\
            email = 'E-Mail'\nisActive = { column = 'Ausgetreten', convert = 'not', default = true }\nposition = { constant = 'Nurse' }\n\
            birthDate = 'Geburtstag'\ngender = { column = 'Geschlecht', codes = { w = 'FEMALE', m = 'MALE' } }\n";
        std::fs::write(sandbox.path("hr.toml"), mapping).unwrap();
        let rows = "No;Vorname;Nachname;E-Mail;Ausgetreten;Geburtstag;Geschlecht;Raum\n7;Jürgen;Groß;j.gross@example.org;nein;08.07.1980;m;12\n8;Ute;Bär;u.baer@example.org;1;;w;\n";
        std::fs::write(sandbox.path("hr.csv"), rows.replace("nein", "no")).unwrap();
        let options = ["import", "hr.csv", "--mapping", "hr.toml", "--date-format", "%d.%m.%Y"];
        let output = sandbox.run(&options).await;
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
        let lines: Vec<&str> = output.out.trim().lines().collect();
        assert_eq!(lines, ["2 were created, 0 changed, 0 unchanged.", "Not imported: Raum (in 1 row)."]);
        let db = sandbox.db().await;
        let jurgen = find(&db, "j.gross@example.org").await;
        assert_eq!((jurgen.external_id.as_deref(), jurgen.position.as_deref()), (Some("hr:7"), Some("Nurse")));
        assert!(jurgen.is_active && !find(&db, "u.baer@example.org").await.is_active);
        std::fs::write(sandbox.path("hr.csv"), rows.replace("nein", "vielleicht").replace(";m;", ";x;")).unwrap();
        let refused = sandbox.run(&options).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        for error in ["line 2: Ausgetreten (isActive): expected a boolean", "(got \"vielleicht\")", "line 2: Geschlecht (gender): unknown code; the mapping has m, w (got \"x\")"] {
            assert!(refused.err.contains(error), "{error}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn the_mapping_of_a_system_is_printed() {
    let sandbox = Sandbox::on_sqlite();
    let printed = sandbox.run(&["import", "--from", "most", "--print-mapping"]).await;
    assert!(printed.code == 0 && printed.out.contains("the user pin. String of 4 numbers"), "{printed:?}");
    std::fs::write(sandbox.path("most.toml"), printed.out).unwrap();
    let file = fixture("most/users.csv");
    let output = sandbox.run(&["import", &file, "--mapping", "most.toml", "--dry-run"]).await;
    assert!(output.code == 0 && output.out.starts_with("3 would be created"), "{output:?}");
    std::fs::write(sandbox.path("wrong.toml"), "source = 'x'\n[user.fields]\nshoeSize = 'a'\n").unwrap();
    let output = sandbox.run(&["import", &file, "--mapping", "wrong.toml"]).await;
    assert!(
        output.code == 1 && output.err.contains("wrong.toml") && output.err.contains("shoeSize is no field"),
        "{output:?}"
    );
}
