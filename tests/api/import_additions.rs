//! `roster import` creates institutions, definitions of attributes and the first license if it is told to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use roster::entity::{attribute_definition, attribute_value, institution, user};
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};

use crate::process::{ADMIN, CommandOutput, Sandbox, until};

fn fixture(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).to_str().unwrap().to_owned()
}

async fn import(sandbox: &Sandbox, name: &str, text: &str, options: &[&str]) -> CommandOutput {
    std::fs::write(sandbox.path(name), text).unwrap();
    sandbox.run(&[&["import", name][..], options].concat()).await
}

async fn institutions(sandbox: &Sandbox) -> BTreeMap<String, institution::Model> {
    let all = institution::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    all.into_iter().map(|row| (row.name.clone(), row)).collect()
}

async fn definitions(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let all = attribute_definition::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    all.into_iter().map(|row| (row.name, format!("{:?} {}", row.kind, row.label))).collect()
}

/// The number and the holder of each license.
async fn licenses(sandbox: &Sandbox) -> String {
    sandbox.run(&["license", "list"]).await.out
}

in_every_sandbox! {
    async fn institutions_of_painchek_are_created_with_their_ids(sandbox: Sandbox) {
        let file = fixture("painchek/users.json");
        let command = ["import", &file, "--from", "painchek"];
        let refused = sandbox.run(&command).await;
        assert!(refused.code == 1 && refused.err.contains("create them with --create-institutions."), "{refused:?}");
        let wrong = sandbox.run(&[&command[..], &["--create-institutions", "Australia"]].concat()).await;
        assert!(wrong.code == 2 && wrong.err.contains("such as CARE_HOME/AU; the kinds are HOSPITAL, CARE_HOME"), "{wrong:?}");
        let command = [&command[..], &["--create-institutions", "CARE_HOME/AU"]].concat();
        let imported = sandbox.run(&command).await;
        assert!(imported.code == 0 && imported.out.starts_with("4 were created"), "{imported:?}");
        let found = institutions(&sandbox).await;
        let house = &found["Cedar House / Fremantle"];
        assert_eq!(house.id.0.to_string(), "c186cf8e-708c-479e-acbd-d534f54b7e89");
        assert_eq!((house.kind, house.country.as_str(), found.len()), (institution::InstitutionKind::CareHome, "AU", 1));
        let again = sandbox.run(&command).await;
        assert!(again.out.starts_with("0 were created, 0 changed, 4 unchanged."), "{again:?}");
    }

    async fn institutions_are_created_by_name_and_never_changed(sandbox: Sandbox) {
        let known = json!({ "institution": { "name": "Known", "kind": "RESEARCH", "country": "FR", "externalId": "H-1" } });
        assert_eq!(import(&sandbox, "known.ndjson", &known.to_string(), &[]).await.code, 0);
        let rows = "username,firstName,lastName,institution,sites\nann,Ann,Oak, New ,Known;New;Third\nbo,Bo,Elm,H-1,Third\ncy,Cy,Ash,,\n";
        let options = ["--create-institutions", "HOSPITAL/IE"];
        let refused = import(&sandbox, "staff.csv", rows, &[]).await;
        let advice = "sites: Nothing has the id or name \"Third\". Import institutions first, or create them with --create-institutions.";
        assert!(refused.code == 1 && refused.err.contains(advice), "{refused:?}");
        let tried = import(&sandbox, "staff.csv", rows, &[&options[..], &["--dry-run"]].concat()).await;
        assert_eq!((tried.code, tried.out.trim()), (0, "5 would be created, 0 changed, 2 unchanged."), "{tried:?}");
        assert_eq!(institutions(&sandbox).await.len(), 1, "a dry run");
        let imported = import(&sandbox, "staff.csv", rows, &options).await;
        assert_eq!((imported.code, imported.out.trim()), (0, "5 were created, 0 changed, 2 unchanged."), "{imported:?}");
        let found = institutions(&sandbox).await;
        let kinds: Vec<(&str, &str)> = found.values().map(|row| (row.name.as_str(), row.country.as_str())).collect();
        assert_eq!(kinds, [("Known", "FR"), ("New", "IE"), ("Third", "IE")]);
        let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        let of = |name: &str| users.iter().find(|user| user.first_name == name).unwrap().institution_id;
        assert_eq!((of("Ann"), of("Bo"), of("Cy")), (Some(found["New"].id), Some(found["Known"].id), None));
        // The rows of Roster's own format name institutions in the same way.
        let own = json!({ "user": { "username": "di", "firstName": "Di", "lastName": "Fir", "institution": "Fourth" } });
        assert_eq!(import(&sandbox, "own.ndjson", &own.to_string(), &[]).await.code, 1);
        assert_eq!(import(&sandbox, "own.ndjson", &own.to_string(), &options).await.code, 0);
        assert_eq!(institutions(&sandbox).await.len(), 4);
        let long = format!("username,firstName,lastName,institution\ned,Ed,Fir,{}\n", "x".repeat(201));
        let refused = import(&sandbox, "staff.csv", &long, &[&options[..], &["--report", "report.csv"]].concat()).await;
        let rule = "line 2: institution: name: Must be at most 200 characters. (got \"xxx";
        assert!(refused.code == 1 && refused.err.contains(rule), "{refused:?}");
        let report = std::fs::read_to_string(sandbox.path("report.csv")).unwrap();
        assert!(report.contains(",name,\"\"\"xxx") && report.contains("...\"\"\",Must be at most 200 characters."), "{report}");
    }

    async fn the_creation_of_institutions_is_advised_only_if_it_helps(sandbox: Sandbox) {
        let twin = |id: &str| json!({ "institution": { "id": id, "name": "Twin", "kind": "RESEARCH", "country": "FR" } }).to_string() + "\n";
        let twins = twin("0198c7a0-0000-7000-8000-000000000001") + &twin("0198c7a0-0000-7000-8000-000000000002");
        assert_eq!(import(&sandbox, "twins.ndjson", &twins, &[]).await.code, 0);
        let unknown = "0198c7a0-0000-7000-8000-000000000003";
        for (institution, error) in [("Twin", "Several have the name \"Twin\"; refer to one by its id."), (unknown, "Nothing has the id or name")] {
            let rows = format!("username,firstName,lastName,institution,sites\nann,Ann,Oak,{institution},{institution}\n");
            for options in [&[][..], &["--create-institutions", "HOSPITAL/IE"][..]] {
                let refused = import(&sandbox, "staff.csv", &rows, options).await;
                assert_eq!((refused.code, refused.err.matches(error).count()), (1, 2), "{refused:?}");
                assert!(!refused.err.contains("Import institutions first"), "{refused:?}");
            }
        }
    }

    async fn organizations_of_ldap_and_scim_become_institutions(sandbox: Sandbox) {
        let entry = "dn: uid=ann,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ann\ngivenName: Ann\nsn: Oak\no: Alder, Inc.\n";
        let options = ["--create-institutions", "RESEARCH/AU"];
        assert_eq!(import(&sandbox, "people.ldif", entry, &options).await.code, 0);
        let resource = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "Resources": [{
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "bo", "name": { "givenName": "Bo", "familyName": "Elm" },
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "organization": "Birch" },
        }] });
        assert_eq!(import(&sandbox, "users.json", &resource.to_string(), &options).await.code, 0);
        assert_eq!(institutions(&sandbox).await.into_keys().collect::<Vec<_>>(), ["Alder, Inc.", "Birch"]);
        let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert!(users.iter().all(|user| user.institution_id.is_some()), "{users:?}");
    }

    async fn attributes_of_authentic2_are_defined_with_their_labels(sandbox: Sandbox) {
        let file = fixture("authentic2/users.json");
        let command = ["import", &file, "--from", "authentic2", "--define-attributes"];
        let imported = sandbox.run(&command).await;
        assert_eq!((imported.code, imported.out.trim()), (0, "6 were created, 0 changed, 0 unchanged."), "{imported:?}");
        let found = definitions(&sandbox).await;
        assert_eq!(found["birthplace"], "String Lieu de naissance");
        assert_eq!(found.into_keys().collect::<Vec<_>>(), ["address_city", "birthcountry", "birthplace", "preferred_username"]);
        let again = sandbox.run(&command).await;
        assert!(again.out.starts_with("0 were created, 0 changed, 6 unchanged."), "{again:?}");
    }

    async fn attributes_are_defined_by_their_values(sandbox: Sandbox) {
        let user = |attributes: Value| json!({ "user": { "username": "ann", "firstName": "Ann", "lastName": "Oak", "attributes": attributes } }).to_string();
        let own = user(json!({ "badge": 7, "night": true, "born": "Cork" }));
        let refused = import(&sandbox, "own.ndjson", &own, &[]).await;
        let advice = "attributes.badge: There is no attribute with this name. Define it first, or with --define-attributes. (got 7)";
        assert!(refused.code == 1 && refused.err.contains(advice), "{refused:?}");
        assert_eq!(import(&sandbox, "own.ndjson", &own, &["--define-attributes"]).await.code, 0);
        let rows = "username,firstName,lastName,attributes.badge,Attributes.room,ADMINRIGHTS.is_group_admin\nbo,Bo,Elm,8,12,true\n";
        assert_eq!(import(&sandbox, "staff.csv", rows, &["--define-attributes"]).await.code, 0);
        let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert!(users.iter().any(|user| user.first_name == "Bo" && user.is_group_admin), "{users:?}");
        let other = "username,firstName,lastName,badge\nbo,Bo,Elm,8\n";
        let unknown = import(&sandbox, "staff.csv", other, &["--define-attributes"]).await;
        assert!(unknown.code == 1 && unknown.err.contains("badge: unknown field; columns of custom attributes are named attributes.NAME; "), "{unknown:?}");
        let kinds: Vec<String> = definitions(&sandbox).await.into_values().collect();
        assert_eq!(kinds, ["Integer badge", "String born", "Boolean night", "String room"]);
        assert_eq!(attribute_value::Entity::find().all(sandbox.db().await.read()).await.unwrap().len(), 5);
        // Null is nothing to set.
        for options in [&[][..], &["--define-attributes"][..]] {
            let unset = import(&sandbox, "own.ndjson", &user(json!({ "shoe": null })), options).await;
            assert_eq!((unset.code, unset.out.trim()), (0, "0 were created, 0 changed, 1 unchanged."), "{unset:?}");
        }
        assert!(!definitions(&sandbox).await.contains_key("shoe"));
        let invalid = import(&sandbox, "own.ndjson", &user(json!({ "No name": 1 })), &["--define-attributes"]).await;
        assert!(invalid.code == 1 && invalid.err.contains("line 1: attribute: name: Must be a lowercase letter, followed by letters, digits or _. (got \"No name\")"), "{invalid:?}");
    }

    async fn an_id_of_another_system_is_refused_with_advice(sandbox: Sandbox) {
        let advice = "; the ID of another system belongs in externalReferences";
        let attribute = json!({ "id": "7", "name": "badge", "label": "Badge", "kind": "STRING" });
        for (kind, object, advice) in [("attribute", attribute, ""), ("group", json!({ "id": "7", "name": "Ward" }), advice)] {
            let refused = import(&sandbox, "own.ndjson", &json!({ kind: object }).to_string(), &[]).await;
            let error = format!("line 1: id: expected a UUID{advice} (got \"7\")");
            assert!(refused.code == 1 && refused.err.contains(&error), "{kind}: {refused:?}");
        }
    }

    async fn a_license_has_the_holder_that_the_import_names(sandbox: Sandbox) {
        let rows = "username,firstName,lastName\nann,Ann,Oak\n";
        assert_eq!(import(&sandbox, "staff.csv", rows, &["--holder", "Birch Trust"]).await.code, 0);
        assert!(licenses(&sandbox).await.contains("Birch Trust"));
        assert_eq!(import(&sandbox, "staff.csv", rows, &["--holder", "Other"]).await.code, 0);
        assert!(!licenses(&sandbox).await.contains("Other"), "the license exists");
        let blank = sandbox.run(&["license", "create", "--number", "L-2", "--holder", " "]).await;
        assert_eq!((blank.code, blank.err.as_str()), (1, "error: holder: This field is required.\n"), "{blank:?}");
    }

    async fn a_license_of_another_system_has_the_holder_that_the_import_names(sandbox: Sandbox) {
        let file = fixture("painchek/users.json");
        let options = ["--from", "painchek", "--create-institutions", "CARE_HOME/AU", "--holder", "Birch Trust"];
        assert_eq!(sandbox.run(&[&["import", file.as_str()][..], &options].concat()).await.code, 0);
        let list = licenses(&sandbox).await;
        assert!(list.contains("A89E0CC1-FD90") && list.contains("Birch Trust") && !list.contains("Alder Care"), "{list}");
    }

    async fn an_email_of_an_organisation_without_a_name_has_the_host_of_the_server(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--public-url", "https://people.example.org"]).await;
        let root = server.sign_in(ADMIN).await;
        let invited = json!({ "firstName": "Ann", "lastName": "Oak", "email": "ann@example.org" });
        root.mutate("createUser", "", invited).await;
        let mail = || async {
            let files = std::fs::read_dir(sandbox.path("roster-data/mail")).ok()?;
            let file = files.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|it| it == "eml"))?;
            std::fs::read_to_string(file).ok()
        };
        let mail = until(mail).await.expect("an email");
        assert!(mail.contains("people.example.org") && !mail.contains("This organisation"), "{mail}");
        assert!(mail.contains("Subject: Your account in the directory of people.example.org"), "{mail}");
    }
}
