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
        assert!(ldif.lines().all(|line| line.len() <= 76), "{ldif}");
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
            assert!(!output.out.contains("Not imported"), "{format}: {output:?}");
            assert_eq!(relations(&export(&target, &[]).await), before, "{format}: {output:?}");
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
