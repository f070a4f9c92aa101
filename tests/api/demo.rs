//! `roster demo`: a hospital group with generated users, the same for everyone.

use std::collections::{BTreeMap, HashSet};

use roster::entity::user::{self, Gender, Role, UserType};
use roster::entity::{attribute_definition, attribute_value, credential, group, institution, license, membership};
use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::{Map, Value, json};

use crate::process::{Process, Sandbox, mode, set_mode, until};

async fn demo(sandbox: &Sandbox, arguments: &[&str]) -> Process {
    // Uses the folder of the other commands, so that tests can read the database.
    sandbox.serve(&[&["demo", "--data-dir", "roster-data", "--users", "200"][..], arguments].concat()).await
}

async fn users(sandbox: &Sandbox) -> Vec<user::Model> {
    user::Entity::find().order_by_asc(user::Column::Id).all(sandbox.db().await.read()).await.unwrap()
}

fn tokens(sandbox: &Sandbox) -> Map<String, Value> {
    serde_json::from_slice(&std::fs::read(sandbox.path("tokens.json")).unwrap()).unwrap()
}

/// The number of users with a value, for each optional field.
fn filled(users: &[user::Model]) -> BTreeMap<&'static str, usize> {
    let count = |has: &dyn Fn(&user::Model) -> bool| users.iter().filter(|user| has(user)).count();
    BTreeMap::from([
        ("username", count(&|user| user.username.is_some())),
        ("email", count(&|user| user.email.is_some())),
        ("nickname", count(&|user| user.nickname.is_some())),
        ("certified_email", count(&|user| user.certified_email.is_some())),
        ("phone", count(&|user| user.phone.is_some())),
        ("mobile", count(&|user| user.mobile.is_some())),
        ("website", count(&|user| user.website.is_some())),
        ("birth_date", count(&|user| user.birth_date.is_some())),
        ("position", count(&|user| user.position.is_some())),
        ("google_scholar", count(&|user| user.google_scholar.is_some())),
        ("orcid_id", count(&|user| user.orcid_id.is_some())),
        ("atlas_preference", count(&|user| user.atlas_preference.is_some())),
        ("external_id", count(&|user| user.external_id.is_some())),
        ("institution_id", count(&|user| user.institution_id.is_some())),
    ])
}

in_every_sandbox! {
    async fn each_demo_viewer_has_a_valid_token(sandbox: Sandbox) {
        let server = demo(&sandbox, &["--seed", "7", "--tokens", "tokens.json"]).await;
        assert_eq!(mode(&sandbox.path("tokens.json")), 0o600);
        let tokens = tokens(&sandbox);
        let mut licenses = HashSet::new();
        for (kind, token) in &tokens {
            let token = token.as_str().unwrap();
            assert!(server.out().contains(token), "{kind} is not printed");
            let query = "{ viewer { fullName role isActive adminRights { isSuperuser } license { number } } }";
            let viewer = server.caller(Some(token)).data(query, json!({})).await["viewer"].clone();
            assert!(!viewer["fullName"].as_str().unwrap().is_empty());
            assert_eq!(viewer["adminRights"]["isSuperuser"], json!(kind == "superuser"), "{kind}");
            let role = match kind.as_str() {
                "license_admin" => Some("LICENSE_ADMIN"),
                "admin" => Some("ADMIN"),
                "user" => Some("USER"),
                _ => None,
            };
            assert!(role.is_none_or(|role| viewer["role"] == role), "{kind}: {viewer}");
            licenses.insert(viewer["license"]["number"].as_str().unwrap().to_owned());
        }
        for kind in ["superuser", "license_admin", "admin", "user"] {
            assert!(tokens.contains_key(kind), "{kind}");
        }
        assert_eq!(licenses.len(), 1, "the viewers have the same license");
        let is_link_for_all = |line: &str| {
            line.contains("/#token=") && tokens.values().all(|token| line.contains(token.as_str().unwrap()))
        };
        assert!(server.out().lines().any(is_link_for_all), "{}", server.out());
    }

    async fn the_demo_viewers_sign_in_with_the_printed_password(sandbox: Sandbox) {
        let server = demo(&sandbox, &[]).await;
        let out = server.out();
        let password = out.lines().find_map(|line| line.strip_prefix("They sign in with the password ")).unwrap();
        let emails = out.lines().filter_map(|line| line.strip_prefix("    ")?.split_once("ros_")?.1.split_once("  "));
        let emails: Vec<&str> = emails.map(|(_, email)| email).collect();
        assert_eq!(emails.len(), 5, "{out}");
        for email in emails {
            assert_eq!(server.login(email, password).await["success"], json!(true), "{email}");
        }
    }

    async fn the_printed_first_request_works_unchanged(sandbox: Sandbox) {
        let server = demo(&sandbox, &[]).await;
        let out = server.out();
        let request = out.lines().map(str::trim).find(|line| line.starts_with("curl ")).unwrap_or_else(|| panic!("{out}"));
        let response = std::process::Command::new("sh").args(["-c", request]).output().unwrap();
        let response: Value = serde_json::from_slice(&response.stdout).unwrap_or_else(|error| panic!("{error}: {request}"));
        assert_eq!(response["data"]["users"]["nodes"].as_array().map(Vec::len), Some(3), "{response:#}");
        assert!(!server.out().contains("admin create"));
        assert_eq!(server.err().matches("ERROR").count(), 0, "{}", server.err());
    }

    async fn the_busy_demo_changes_users_and_groups(sandbox: Sandbox) {
        let server = demo(&sandbox, &["--busy"]).await;
        let out = server.out();
        let command = out.lines().map(str::trim).find(|line| line.starts_with("curl -sSN ")).unwrap_or_else(|| panic!("{out}"));
        // The changes of groups are among them.
        let script = format!("{command} | sed -n '/\"type\":\"GROUP\"/{{p;q;}}'");
        let response = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let event = String::from_utf8(response.stdout).unwrap();
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}"));
        let change = serde_json::from_str::<Value>(data).unwrap()["data"]["changes"].clone();
        assert_eq!(change["kind"], "UPDATED", "{change:#}");
        assert!(change["node"]["name"].is_string(), "{change:#}");
        assert_eq!(server.err().matches("ERROR").count(), 0, "{}", server.err());
    }

    async fn the_busy_demo_signs_in_again_after_its_session_was_ended(sandbox: Sandbox) {
        let server = demo(&sandbox, &["--busy", "--tokens", "tokens.json"]).await;
        let tokens = tokens(&sandbox);
        let caller = |kind: &str| server.caller(tokens[kind].as_str());
        let root = caller("superuser");
        let administrator = caller("license_admin").data("{ viewer { id } }", json!({})).await["viewer"]["id"].clone();
        let end = "mutation ($id: ID!) { endSessions(input: { userId: $id }) { success } }";
        for _ in 0..2 {
            let ended = root.data(end, json!({ "id": administrator })).await;
            assert_eq!(ended["endSessions"]["success"], json!(true));
            // Whatever is committed from now on, is by another session.
            let start = root.data("{ changes { position } }", json!({})).await["changes"]["position"].clone();
            let changes = "query ($after: String) { changes(after: $after) { changes { kind } } }";
            let next = until(|| async {
                let page = root.data(changes, json!({ "after": start })).await;
                page["changes"]["changes"].as_array().unwrap().first().cloned()
            });
            assert_eq!(next.await.map(|change| change["kind"].clone()), Some(json!("UPDATED")));
        }
        assert_eq!(server.err().matches("ERROR").count(), 0, "{}", server.err());
    }

    async fn the_demo_has_data_of_every_kind(sandbox: Sandbox) {
        drop(demo(&sandbox, &["--seed", "7"]).await);
        let users = users(&sandbox).await;
        assert_eq!(users.len(), 200);
        for (field, filled) in filled(&users) {
            let all = matches!(field, "email" | "username");
            assert!(filled > 0 && (all || filled < users.len()), "{field} is set for {filled} of {}", users.len());
        }
        let some = |what: &str, is: &dyn Fn(&user::Model) -> bool| {
            let count = users.iter().filter(|user| is(user)).count();
            assert!(count > 0 && count < users.len(), "{what}: {count}");
        };
        some("inactive", &|user| !user.is_active);
        some("activated", &|user| user.has_activated);
        some("staff", &|user| user.is_staff);
        some("full site access", &|user| user.full_site_access);
        some("superuser", &|user| user.is_superuser);
        for role in [Role::LicenseAdmin, Role::Admin, Role::User] {
            some("role", &|user| user.role == role);
        }
        for gender in [Gender::Male, Gender::Female, Gender::Unknown] {
            some("gender", &|user| user.gender == gender);
        }
        for kind in [UserType::Administrative, UserType::Technician, UserType::Clinician, UserType::Student] {
            some("type", &|user| user.user_type == kind);
        }
        let scripts = [("Latin", 'a'..='z'), ("Greek", 'α'..='ω'), ("Cyrillic", 'а'..='я'), ("Hebrew", 'א'..='ת'), ("Arabic", 'ء'..='ي'), ("Han", '一'..='鿿'), ("Kana", 'ぁ'..='ヿ'), ("Hangul", '가'..='힣'), ("Devanagari", 'ऀ'..='ॿ'), ("Thai", 'ก'..='๛')];
        for (script, letters) in scripts {
            some(script, &|user| user.name().chars().any(|letter| letters.contains(&letter)));
        }
        let db = sandbox.db().await;
        let licenses = license::Entity::find().all(db.read()).await.unwrap();
        assert!(licenses.len() > 1);
        for license in &licenses {
            assert!(users.iter().any(|user| user.license_id == license.id && user.role == Role::LicenseAdmin), "{}", license.number);
        }
        assert!(institution::Entity::find().all(db.read()).await.unwrap().len() > licenses.len());
        let credentials = credential::Entity::find().all(db.read()).await.unwrap();
        assert_eq!(credentials.len(), 5, "only the viewers have a password");
        let definitions = attribute_definition::Entity::find().all(db.read()).await.unwrap();
        assert!(definitions.len() > licenses.len());
        let values = attribute_value::Entity::find().all(db.read()).await.unwrap();
        for definition in &definitions {
            let license = users.iter().filter(|user| user.license_id == definition.license_id).count();
            let filled = values.iter().filter(|value| value.definition_id == definition.id).count();
            assert!(filled > 0 && filled < license, "{} is set for {filled} of {license}", definition.name);
        }
        let memberships = membership::Entity::find().all(db.read()).await.unwrap();
        for group in group::Entity::find().all(db.read()).await.unwrap() {
            let owned = memberships.iter().any(|one| one.group_id == group.id && one.role == membership::GroupRole::Owner);
            assert!(owned, "{} has no owner", group.name);
        }
    }

    async fn restarting_the_demo_adds_no_users(sandbox: Sandbox) {
        let arguments = ["--seed", "7", "--tokens", "tokens.json"];
        drop(demo(&sandbox, &arguments).await);
        let without_sign_in = |users: Vec<user::Model>| -> Vec<user::Model> {
            users.into_iter().map(|user| user::Model { last_login: None, ..user }).collect()
        };
        let before = without_sign_in(users(&sandbox).await);
        let first = tokens(&sandbox);
        let server = demo(&sandbox, &arguments).await;
        assert!(without_sign_in(users(&sandbox).await) == before);
        let again = tokens(&sandbox);
        assert_ne!(first["user"], again["user"]);
        server.caller(again["user"].as_str()).data("{ viewer { id } }", json!({})).await;
    }

    async fn the_demo_rejects_a_directory_that_it_did_not_create(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let before = users(&sandbox).await;
        let failed = sandbox.run(&["demo", "--data-dir", "roster-data", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(failed.code, 1);
        assert!(failed.err.contains("--data-dir"), "{}", failed.err);
        assert!(users(&sandbox).await == before);
    }

    async fn the_demo_rejects_a_directory_of_another_seed(sandbox: Sandbox) {
        drop(demo(&sandbox, &["--seed", "7"]).await);
        let before = users(&sandbox).await;
        let failed = sandbox.run(&["demo", "--data-dir", "roster-data", "--seed", "8", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(users(&sandbox).await == before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_creates_the_same_users_on_every_database() {
    let mut sandboxes = vec![Sandbox::on_sqlite(), Sandbox::on_sqlite(), Sandbox::on_sqlite()];
    sandboxes.extend(Sandbox::on_postgres().await);
    let mut names = Vec::new();
    for (sandbox, seed) in sandboxes.iter().zip(["7", "7", "8", "7"]) {
        drop(demo(sandbox, &["--seed", seed]).await);
        let db = sandbox.db().await;
        let mut values =
            roster::attribute_values::values(db.read(), users(sandbox).await.iter().map(|user| user.id)).await.unwrap();
        let mut known =
            |user: user::Model| (user.id, user.name(), user.email, user.date_joined, values.remove(&user.id));
        names.push(users(sandbox).await.into_iter().map(&mut known).collect::<Vec<_>>());
    }
    assert_eq!(names[0], names[1]);
    assert!(names[0].iter().zip(&names[2]).all(|(one, other)| one.0 != other.0));
    if let Some(on_postgres) = names.get(3) {
        assert_eq!(&names[0], on_postgres);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_uses_its_own_folder() {
    let sandbox = Sandbox::on_sqlite();
    drop(sandbox.serve(&["demo", "--users", "10"]).await);
    assert!(sandbox.path("roster-demo/roster.db").exists());
    assert!(!sandbox.path("roster-data").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_file_is_readable_by_its_owner_only() {
    let sandbox = Sandbox::on_sqlite();
    std::fs::write(sandbox.path("tokens.json"), "{}").unwrap();
    set_mode(&sandbox.path("tokens.json"), 0o644);
    drop(demo(&sandbox, &["--tokens", "tokens.json"]).await);
    assert_eq!(mode(&sandbox.path("tokens.json")), 0o600);
    let failed =
        sandbox.run(&["demo", "--users", "10", "--tokens", "nowhere/tokens.json", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains("--tokens nowhere/tokens.json"), "{}", failed.err);
}
