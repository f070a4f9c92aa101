//! Exports for SCIM and LDAP, and what an import reads back from them.

use serde_json::{Value, json};

use super::{ANN, BO, export, filled};
use crate::process::Sandbox;

/// Returns the institutions of an export, without their dates and versions, and the relations of the users.
fn relations(export: &str) -> Vec<Value> {
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let relations = |mut line: Value| {
        if let Some(Value::Object(institution)) = line.get_mut("institution") {
            institution.retain(|name, _| !["createdAt", "modifiedAt", "version"].contains(&name.as_str()));
            return Some(line);
        }
        let user = line.get("user").filter(|user| [json!(ANN), json!(BO)].contains(&user["id"]))?;
        let items = |list: &str, names: [&str; 2]| -> Vec<Value> {
            let items = user.get(list).and_then(Value::as_array).into_iter().flatten();
            items.map(|item| names.iter().map(|name| item[*name].clone()).collect()).collect()
        };
        Some(json!({
            "id": user["id"], "institution": user["institution"], "fullSiteAccess": user["fullSiteAccess"],
            "sites": items("sites", ["site", "site"]), "groups": items("groups", ["group", "role"]),
        }))
    };
    lines.filter_map(relations).collect()
}

in_every_sandbox! {
    async fn users_and_groups_are_exported_for_scim_and_ldap(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        let scim: Value = serde_json::from_str(&export(&sandbox, &["--format", "scim"]).await).unwrap();
        assert_eq!((&scim["totalResults"], scim["Resources"].as_array().unwrap().len()), (&json!(7), 7));
        let ann = scim["Resources"].as_array().unwrap().iter().find(|one| one["id"] == json!(ANN)).unwrap();
        assert_eq!((&ann["userName"], &ann["name"]["familyName"], ann["groups"].as_array().unwrap().len()), (&json!("ann"), &json!("Ångström"), 2));
        assert_eq!(ann["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"], json!({ "organization": "Alder Hospital" }));
        let ldif = export(&sandbox, &["--format", "ldif", "--with-secrets", "--base-dn", "dc=example,dc=org"]).await;
        for line in ["version: 1\n", "\nobjectClass: inetOrgPerson\n", "\nsn:: w4VuZ3N0csO2bQ==\n", "\nobjectClass: groupOfNames\n", "\nnsAccountLock: TRUE\n", "\nobjectClass: organization\n", "\no: Alder Hospital\n", "=OWNER\n", "\nuserPassword: pbkdf2_sha256$"] {
            assert!(ldif.contains(line), "{line}: {ldif}");
        }
        assert!(ldif.contains(&format!("\nmember: entryUUID={ANN},ou=users,dc=example,d\n c=org\n")), "{ldif}");
        assert!(!ldif.contains("keyid="), "hashes that work only here");
        let secrets = sandbox.run(&["export", "--format", "scim", "--with-secrets"]).await;
        assert!(secrets.code == 1 && secrets.err.contains("SCIM has no hashes") && secrets.out.is_empty(), "{secrets:?}");
        assert!(ldif.lines().all(|line| line.len() <= 76), "{ldif}");
        for base in ["example", "dc=", "=example", "dc=example,org"] {
            let wrong = sandbox.run(&["export", "--format", "ldif", "--base-dn", base]).await;
            assert!(wrong.code == 2 && wrong.err.contains("expected a distinguished name, such as dc=example,dc=org"), "{base}: {wrong:?}");
        }
    }

    async fn external_references_go_through_scim_and_ldap(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        for (format, base) in [("scim", &[][..]), ("ldif", &["--base-dn", "dc=example,dc=org"][..])] {
            let file = format!("users.{format}");
            export(&sandbox, &[&["--format", format, "--output", file.as_str()][..], base].concat()).await;
            let target = Sandbox::on_sqlite();
            assert_eq!(target.run(&["license", "create", "--number", "L-1", "--holder", "Alder"]).await.code, 0);
            let output = target.run(&["import", sandbox.path(&file).to_str().unwrap(), "--on-error", "skip"]).await;
            assert!(!output.out.contains("roster"), "{format}: the references are read: {output:?}");
            let lines: Vec<Value> = export(&target, &[]).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let find = |kind: &str, field: &str, value: &str| {
                lines.iter().map(|line| &line[kind]).find(|object| object[field] == json!(value)).unwrap_or_else(|| panic!("{format}: {output:?} {lines:#?}"))
            };
            let ann = find("user", "id", ANN);
            assert_eq!(ann["externalReferences"], json!([{ "source": "hr", "id": "0017" }, { "source": "most", "id": "17" }]), "{format}");
            assert_eq!(ann["externalId"], json!("P-1"));
            assert_eq!(find("group", "name", "Choir")["externalReferences"], json!([{ "source": "hr", "id": "C" }]), "{format}");
            assert!(find("user", "id", BO).get("externalReferences").is_none());
        }
    }

    async fn roles_institutions_and_sites_go_through_scim_and_ldap(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        let before = relations(&export(&sandbox, &[]).await);
        assert_eq!(before.len(), 4, "{before:#?}");
        for format in ["scim", "ldif"] {
            let file = format!("users.{format}");
            export(&sandbox, &["--format", format, "--output", file.as_str()]).await;
            let target = Sandbox::on_sqlite();
            assert_eq!(target.run(&["license", "create", "--number", "L-1", "--holder", "Alder"]).await.code, 0);
            let output = target.run(&["import", sandbox.path(&file).to_str().unwrap(), "--on-error", "skip"]).await;
            let left_out: Vec<&str> = output.out.lines().filter(|line| line.starts_with("Not imported")).collect();
            assert!(left_out.is_empty(), "{format}: {output:?}");
            assert_eq!(relations(&export(&target, &[]).await), before, "{format}: {output:?}");
        }
    }

    async fn logins_and_phones_go_through_scim_and_ldap(sandbox: Sandbox) {
        let email = "a.very.long.name.of.a.user@wards.example.org";
        let user = |id: &str, fields: Value| {
            let mut user = json!({ "id": id, "firstName": "Cy", "lastName": "Oak", "email": email });
            user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({ "user": user }).to_string() + "\n"
        };
        let only_mobile = user(ANN, json!({ "mobile": "+353 85 555 0100" }));
        let both = user(BO, json!({ "username": "bo", "email": "bo@example.org", "mobile": "+353 85 555 0101", "phone": "+353 1 555 0101" }));
        std::fs::write(sandbox.path("people.ndjson"), only_mobile + &both).unwrap();
        assert_eq!(sandbox.run(&["import", "people.ndjson"]).await.code, 0);
        // The columns from the ID to the mobile number.
        let logins_and_phones = |csv: &str| -> Vec<Vec<String>> {
            csv.lines().map(|line| line.split(',').take(10).map(str::to_owned).collect()).collect()
        };
        let before = logins_and_phones(&export(&sandbox, &["--format", "csv"]).await);
        assert_eq!((before.len(), before[1][2].as_str(), before[1][9].as_str()), (3, email, "+353 85 555 0100"));
        for format in ["scim", "ldif"] {
            export(&sandbox, &["--format", format, "--output", "users"]).await;
            let target = Sandbox::on_sqlite();
            let output = target.run(&["import", sandbox.path("users").to_str().unwrap()]).await;
            assert_eq!((output.code, output.err.lines().filter(|line| line.starts_with("line ")).count()), (0, 0), "{format}: {output:?}");
            assert_eq!(logins_and_phones(&export(&target, &["--format", "csv"]).await), before, "{format}");
        }
    }

    async fn an_institution_that_is_not_there_is_refused(sandbox: Sandbox) {
        let sandbox = filled(sandbox).await;
        let ldif = export(&sandbox, &["--format", "ldif"]).await;
        std::fs::write(sandbox.path("users.ldif"), ldif.replace("objectClass: rosterInstitution\n", "")).unwrap();
        let target = Sandbox::on_sqlite();
        let output = target.run(&["import", sandbox.path("users.ldif").to_str().unwrap()]).await;
        assert_eq!(output.code, 1, "{output:?}");
        for error in ["rosterInstitutionDN (institution): Nothing has the id or name", "rosterSiteDN (sites): Nothing has the id or name"] {
            assert!(output.err.contains(error), "{error}: {output:?}");
        }
    }
}
