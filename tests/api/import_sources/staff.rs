//! Exports of 200 users, with the mistakes that such files have: each goes in by one command, which reports every mistake, and users
//! sign in with their old passwords and PINs.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;
use roster::entity::{attribute_definition, group, institution, membership, user};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;

use super::{fixture, import};
use crate::process::{Process, Sandbox};

/// The number of users in a file.
const USERS: usize = 200;

fn table(path: impl AsRef<std::path::Path>) -> Vec<StringRecord> {
    csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).collect()
}

/// The columns with problems by the old id of the user and the outcome.
type Problems = BTreeMap<(String, String), BTreeSet<String>>;

fn expected_problems(system: &str) -> Problems {
    let problem =
        |row: StringRecord| ((row[0].to_owned(), row[1].to_owned()), row[2].split(' ').map(str::to_owned).collect());
    table(fixture(&format!("{system}/expected.csv"))).into_iter().map(problem).collect()
}

/// Compares the report with what is expected of it. Returns the number of users who were created.
fn check_report(sandbox: &Sandbox, system: &str) -> usize {
    let (mut found, mut created) = (Problems::new(), 0);
    for row in table(sandbox.path("report.csv")).iter().filter(|row| &row[3] == "user") {
        match &row[4] {
            "created" => created += 1,
            outcome => {
                assert!(!row[9].is_empty(), "a problem is described: {row:?}");
                let place = (row[5].to_owned(), outcome.to_owned());
                found.entry(place).or_default().insert(row[7].to_owned());
            }
        }
    }
    let expected = expected_problems(system);
    assert_eq!(found, expected, "{system}");
    let refused = expected.keys().filter(|(_, outcome)| outcome == "refused").count();
    assert_eq!(created, USERS - refused, "{system}");
    created
}

async fn check_sign_in(server: &Process, login: &str, password: &str, pin: &str) {
    let query = "mutation ($input: LoginInput!) { login(input: $input) { success deviceToken } }";
    let sign_in = async |input| server.caller(None).data(query, json!({ "input": input })).await["login"].clone();
    let by_password = sign_in(json!({ "login": login, "password": password })).await;
    assert_eq!(by_password["success"], json!(true), "{login}");
    if !pin.is_empty() {
        let by_pin = sign_in(json!({ "login": login, "pin": pin, "deviceToken": by_password["deviceToken"] })).await;
        assert_eq!(by_pin["success"], json!(true), "{login}");
    }
}

/// Imports the file of a system, twice, compares the report, and signs users in.
async fn goes_in(sandbox: &Sandbox, system: &str, file: &str, options: &[&str]) {
    let file = format!("{system}/{file}");
    let options = [options, &["--on-error", "skip", "--report", "report.csv", "--rejects", "rejected"]].concat();
    let imported = import(sandbox, &file, &options).await;
    assert_eq!(imported.code, 0, "{imported:?}");
    let created = check_report(sandbox, system);
    assert!(
        imported.out.contains(&format!("{} invalid rows were refused: rejected.", USERS - created)),
        "{imported:?}"
    );
    let db = sandbox.db().await;
    assert_eq!(user::Entity::find().count(db.read()).await.unwrap(), created as u64);
    let again = import(sandbox, &file, &options).await;
    assert!(again.code == 0 && again.out.starts_with("0 were created, 0 changed, "), "{again:?}");
    let server = sandbox.serve(&[]).await;
    for row in table(fixture(&format!("{system}/logins.csv"))) {
        check_sign_in(&server, &row[0], &row[1], &row[2]).await;
    }
}

in_every_sandbox! {
    async fn staff_of_most(sandbox: Sandbox) {
        let fixes = "too-long=drop,invalid=drop,duplicate-email=second-without";
        goes_in(&sandbox, "most", "staff.csv", &["--from", "most", "--encoding", "windows-1252", "--fix", fixes]).await;
        let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert!(users.iter().any(|user| user.first_name == "Zoë"), "the encoding is read");
    }

    async fn staff_of_painchek(sandbox: Sandbox) {
        let options = ["--from", "painchek", "--create-institutions", "CARE_HOME/AU", "--fix", "too-long=drop"];
        goes_in(&sandbox, "painchek", "staff.json", &options).await;
        let houses = institution::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert_eq!(houses.len(), 6, "five, and one without a name: {houses:?}");
        assert!(houses.iter().any(|house| house.name == "St Odile / Kogarah"), "{houses:?}");
        assert!(sandbox.run(&["license", "list"]).await.out.contains("Alder Care"));
    }

    async fn staff_of_ufdl(sandbox: Sandbox) {
        let fixes = "invalid=drop,invalid-email=drop,duplicate-email=second-without";
        goes_in(&sandbox, "ufdl", "staff.json", &["--from", "ufdl", "--fix", fixes]).await;
    }

    async fn staff_of_authentic2(sandbox: Sandbox) {
        let options = ["--from", "authentic2", "--define-attributes", "--fix", "invalid=drop"];
        goes_in(&sandbox, "authentic2", "staff.json", &options).await;
        let defined = attribute_definition::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert!(defined.len() == 4 && defined.iter().any(|definition| definition.label == "Lieu de naissance"), "{defined:?}");
    }

    async fn staff_of_brainstem(sandbox: Sandbox) {
        let options = ["--from", "brainstem", "--fix", "too-long=drop,invalid=drop"];
        goes_in(&sandbox, "brainstem", "staff.json", &options).await;
        let owners = membership::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert!(owners.len() == 60 && owners.iter().all(|row| row.role == membership::GroupRole::Owner));
    }

    async fn staff_of_django(sandbox: Sandbox) {
        let fixes = "invalid=drop,invalid-email=drop,duplicate-email=second-without,unknown-group=drop";
        goes_in(&sandbox, "django", "staff.json", &["--fix", fixes]).await;
        assert_eq!(group::Entity::find().count(sandbox.db().await.read()).await.unwrap(), 8);
    }

    async fn staff_of_keycloak(sandbox: Sandbox) {
        goes_in(&sandbox, "keycloak", "staff.json", &["--fix", "too-long=drop"]).await;
        let groups = group::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        let mut names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["Empty", "Research", "Wards", "Wards/Ward 1", "Wards/Ward 2", "Wards/Ward 2/Night"]);
    }

    async fn staff_of_ldap(sandbox: Sandbox) {
        let options = ["--create-institutions", "HOSPITAL/IE", "--fix", "too-long=drop,unknown-group=drop"];
        goes_in(&sandbox, "ldap", "staff.ldif", &options).await;
        let mut names: Vec<String> =
            institution::Entity::find().all(sandbox.db().await.read()).await.unwrap().into_iter().map(|row| row.name).collect();
        names.sort();
        assert_eq!(names, ["Alder Trust, Ltd", "Birch Clinic"]);
        let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        let website = |user: &user::Model| user.website.as_ref().map(|url| url.0.clone());
        assert_eq!(users.iter().filter_map(website).collect::<Vec<_>>(), ["https://example.org/nurse"], "without the label");
    }
}
