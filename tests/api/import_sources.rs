//! `roster import --from`: the exports of other systems are imported as they are, and may be imported again.

mod painchek;
mod staff;

use std::path::Path;

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

    async fn groups_of_keycloak_within_others_are_imported(sandbox: Sandbox) {
        let group = |id: &str, path: &str, within: Value| json!({ "id": id, "name": "Ward", "path": path, "subGroups": within });
        let ids = ["0d0e5d2a-3e6b-4f0a-8c55-0f6b8f0a9a01", "0d0e5d2a-3e6b-4f0a-8c55-0f6b8f0a9a02", "0d0e5d2a-3e6b-4f0a-8c55-0f6b8f0a9a03"];
        let innermost = group(ids[2], "/House/Ward/Night", json!([]));
        let groups = [group(ids[0], "/House", json!([group(ids[1], "/House/Ward", json!([innermost]))]))];
        let kim = json!({ "id": Id::new().0, "username": "kim", "firstName": "Kim", "lastName": "Larch", "groups": ["/House/Ward", "/House/Ward/Night"] });
        let realm = json!({ "realm": "alder", "groups": groups, "users": [kim] });
        std::fs::write(sandbox.path("realm.json"), realm.to_string()).unwrap();
        for outcome in ["4 were created, 0 changed, 0 unchanged.", "0 were created, 0 changed, 4 unchanged."] {
            let output = sandbox.run(&["import", "realm.json"]).await;
            assert_eq!((output.code, output.out.trim()), (0, outcome), "{output:?}");
        }
        let db = sandbox.db().await;
        let groups = group::Entity::find().order_by_asc(group::Column::Id).all(db.read()).await.unwrap();
        let found: Vec<(String, &str)> = groups.iter().map(|group| (group.id.0.to_string(), group.name.as_str())).collect();
        let expected = ids.iter().map(|id| (*id).to_owned()).zip(["House", "House/Ward", "House/Ward/Night"]);
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(membership::Entity::find().all(db.read()).await.unwrap().len(), 2);
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

    async fn a_username_that_is_the_email_address_is_left_out_if_it_is_invalid(sandbox: Sandbox) {
        let user = |username: &str, email: &str| json!({ "username": username, "email": email, "firstName": "Ann", "lastName": "Oak" });
        let long = "a.very.long.name.of.a.user@wards.example.org";
        let realm = json!({ "realm": "alder", "users": [user(long, &long.to_uppercase()), user("bo", "bo@example.org"), user("cy@example.org", "cy@example.org")] });
        std::fs::write(sandbox.path("realm.json"), realm.to_string()).unwrap();
        let imported = sandbox.run(&["import", "realm.json", "--from", "keycloak"]).await;
        let told = "Not imported: username that is the email address (in 1 row).";
        assert!(imported.code == 0 && imported.out.lines().any(|line| line == told), "{imported:?}");
        let db = sandbox.db().await;
        assert_eq!(find(&db, &long.to_uppercase()).await.username, None);
        assert_eq!(find(&db, "bo").await.email.as_deref(), Some("bo@example.org"));
        assert_eq!(find(&db, "cy@example.org").await.username.as_deref(), Some("cy@example.org"));
        // An address that is invalid here stays a username.
        let dump = json!([{ "model": "auth.user", "pk": 1, "fields": { "username": "root@localhost", "email": "root@localhost", "first_name": "Ann", "last_name": "Oak" } }]);
        std::fs::write(sandbox.path("dump.json"), dump.to_string()).unwrap();
        let imported = sandbox.run(&["import", "dump.json", "--fix", "invalid-email=drop"]).await;
        assert_eq!(imported.code, 0, "{imported:?}");
        assert_eq!(find(&db, "root@localhost").await.email, None);
    }

    async fn a_missing_group_is_named_by_its_key_in_the_file(sandbox: Sandbox) {
        let user = json!({ "username": "ann", "first_name": "Ann", "last_name": "Oak", "groups": [98, 99] });
        let dump = json!([{ "model": "auth.group", "pk": 98, "fields": { "name": "Choir" } }, { "model": "auth.user", "pk": 1, "fields": user }]);
        std::fs::write(sandbox.path("dump.json"), dump.to_string()).unwrap();
        let refused = sandbox.run(&["import", "dump.json"]).await;
        let error = "fields.groups (groups): Nothing has the id or name \"99\". (got [98,99])";
        assert!(refused.code == 1 && refused.err.contains(error), "{refused:?}");
    }

    async fn a_mistake_in_a_mapping_is_named(sandbox: Sandbox) {
        std::fs::write(sandbox.path("people.csv"), "name\nAnn\n").unwrap();
        let cases = [
            ("[user.fields]\nfirstName = { column = 'name', code = { a = 'b' } }", "unknown field `code`, expected one of `column`, `columns`"),
            ("[user.fields]\nfirstName = 7", "expected the name of a column, or a table such as { column = \"name\" }"),
            ("time-zone = 'Europe/Roma'\n[user.fields]\nfirstName = 'name'", "time-zone: expected the name of a time zone"),
            ("date-formats = ['%d.%m', '%!']\n[user.fields]\nfirstName = 'name'", "date-formats: expected the form of a date"),
        ];
        for (mapping, part) in cases {
            std::fs::write(sandbox.path("hr.toml"), format!("source = 'hr'\n{mapping}\n")).unwrap();
            let refused = sandbox.run(&["import", "people.csv", "--mapping", "hr.toml"]).await;
            assert_eq!(refused.code, 1, "{refused:?}");
            assert!(refused.err.starts_with("error: hr.toml: ") && refused.err.contains(part), "{part}: {refused:?}");
        }
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

    async fn the_primary_number_of_a_type_is_imported_from_scim(sandbox: Sandbox) {
        let number = |value: &str, kind: &str, primary: bool| json!({ "value": value, "type": kind, "primary": primary });
        let cases = [
            ("ann", json!([number("1", "work", false), number("2", "WORK", true), number("3", "mobile", false), number("4", "mobile", true)]), (Some("2"), Some("4"))),
            ("bo", json!([number("1", "fax", false), number("2", "business", true)]), (Some("2"), None)),
            ("cy", json!([number("1", "home", false), number("2", "main", true)]), (Some("2"), None)),
            ("di", json!([number("1", "office", false), number("2", "office", false)]), (Some("1"), None)),
            ("ed", json!([{ "value": "1" }, { "value": "2", "primary": true }]), (Some("2"), None)),
        ];
        let user = |name: &str, numbers: &Value| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name,
                "name": { "givenName": "A", "familyName": "B" }, "phoneNumbers": numbers,
            })
        };
        let users: Vec<Value> = cases.iter().map(|(name, numbers, _)| user(name, numbers)).collect();
        let list = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "Resources": users });
        std::fs::write(sandbox.path("users.json"), list.to_string()).unwrap();
        let output = sandbox.run(&["import", "users.json"]).await;
        assert_eq!((output.code, output.out.trim()), (0, "5 were created, 0 changed, 0 unchanged."), "{output:?}");
        let db = sandbox.db().await;
        for (name, _, expected) in cases {
            let found = find(&db, name).await;
            assert_eq!((found.phone.as_deref(), found.mobile.as_deref()), expected, "{name}");
        }
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

    async fn a_list_of_which_items_are_read_by_their_type_is_imported(sandbox: Sandbox) {
        let mapping = "source = 'hr'\n[user.fields]\nusername = 'login'\nfirstName = 'first'\nlastName = 'last'\nmobile = 'phones[mobile].value'\n";
        std::fs::write(sandbox.path("hr.toml"), mapping).unwrap();
        let phones = json!([{ "type": "work", "value": "+353 1 555 0100" }, { "type": "mobile", "value": "+353 85 555 0100" }]);
        let person = json!({ "login": "ann", "first": "Ann", "last": "Oak", "phones": phones, "phone": "+353 1 555 0199" });
        std::fs::write(sandbox.path("hr.ndjson"), person.to_string()).unwrap();
        let output = sandbox.run(&["import", "hr.ndjson", "--mapping", "hr.toml"]).await;
        let lines: Vec<&str> = output.out.trim().lines().collect();
        assert_eq!(lines, ["1 was created, 0 changed, 0 unchanged.", "Not imported: phone (in 1 row)."], "{output:?}");
        assert_eq!(find(&sandbox.db().await, "ann").await.mobile.as_deref(), Some("+353 85 555 0100"));
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
