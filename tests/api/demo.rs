//! `roster demo`: a hospital group with generated users, the same for everyone.

use std::collections::{BTreeMap, HashSet};

use roster::entity::user::{self, Gender, Role, UserType};
use roster::entity::{attribute_definition, attribute_value, credential, group, institution, license, membership};
use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::{Map, Value, json};

use crate::process::{Home, Process, mode, set_mode};

async fn demo(home: &Home, arguments: &[&str]) -> Process {
    // Uses the folder of the other commands, so that tests can read the database.
    home.serve(&[&["demo", "--data-dir", "roster-data", "--users", "200"][..], arguments].concat()).await
}

async fn people(home: &Home) -> Vec<user::Model> {
    user::Entity::find().order_by_asc(user::Column::Id).all(home.db().await.read()).await.unwrap()
}

fn tokens(home: &Home) -> Map<String, Value> {
    serde_json::from_slice(&std::fs::read(home.path("tokens.json")).unwrap()).unwrap()
}

/// The number of users with a value, for each optional field.
fn filled(people: &[user::Model]) -> BTreeMap<&'static str, usize> {
    let count = |has: &dyn Fn(&user::Model) -> bool| people.iter().filter(|person| has(person)).count();
    BTreeMap::from([
        ("username", count(&|person| person.username.is_some())),
        ("email", count(&|person| person.email.is_some())),
        ("nickname", count(&|person| person.nickname.is_some())),
        ("certified_email", count(&|person| person.certified_email.is_some())),
        ("phone", count(&|person| person.phone.is_some())),
        ("mobile", count(&|person| person.mobile.is_some())),
        ("website", count(&|person| person.website.is_some())),
        ("birth_date", count(&|person| person.birth_date.is_some())),
        ("position", count(&|person| person.position.is_some())),
        ("google_scholar", count(&|person| person.google_scholar.is_some())),
        ("orcid_id", count(&|person| person.orcid_id.is_some())),
        ("atlas_preference", count(&|person| person.atlas_preference.is_some())),
        ("external_id", count(&|person| person.external_id.is_some())),
        ("institution_id", count(&|person| person.institution_id.is_some())),
    ])
}

in_every_home! {
    async fn each_demo_viewer_has_a_valid_token(home: Home) {
        let server = demo(&home, &["--seed", "7", "--tokens", "tokens.json"]).await;
        assert_eq!(mode(&home.path("tokens.json")), 0o600);
        let tokens = tokens(&home);
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
    }

    async fn the_demo_viewers_sign_in_with_the_printed_password(home: Home) {
        let server = demo(&home, &[]).await;
        let out = server.out();
        let password = out.lines().find_map(|line| line.strip_prefix("They sign in with the password ")).unwrap();
        let emails = out.lines().filter_map(|line| line.strip_prefix("    ")?.split_once("ros_")?.1.split_once("  "));
        let emails: Vec<&str> = emails.map(|(_, email)| email).collect();
        assert_eq!(emails.len(), 5, "{out}");
        for email in emails {
            assert_eq!(server.login(email, password).await["success"], json!(true), "{email}");
        }
    }

    async fn the_printed_first_request_works_unchanged(home: Home) {
        let server = demo(&home, &[]).await;
        let out = server.out();
        let request = out.lines().map(str::trim).find(|line| line.starts_with("curl ")).unwrap_or_else(|| panic!("{out}"));
        let answer = std::process::Command::new("sh").args(["-c", request]).output().unwrap();
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {request}"));
        assert_eq!(answer["data"]["users"]["nodes"].as_array().map(Vec::len), Some(3), "{answer:#}");
        assert!(!server.out().contains("admin create"));
        assert_eq!(server.err().matches("ERROR").count(), 0, "{}", server.err());
    }

    async fn the_demo_has_data_of_every_kind(home: Home) {
        drop(demo(&home, &["--seed", "7"]).await);
        let people = people(&home).await;
        assert_eq!(people.len(), 200);
        for (field, filled) in filled(&people) {
            let all = matches!(field, "email" | "username");
            assert!(filled > 0 && (all || filled < people.len()), "{field} is set for {filled} of {}", people.len());
        }
        let some = |what: &str, is: &dyn Fn(&user::Model) -> bool| {
            let count = people.iter().filter(|person| is(person)).count();
            assert!(count > 0 && count < people.len(), "{what}: {count}");
        };
        some("inactive", &|person| !person.is_active);
        some("activated", &|person| person.has_activated);
        some("staff", &|person| person.is_staff);
        some("full site access", &|person| person.full_site_access);
        some("superuser", &|person| person.is_superuser);
        for role in [Role::LicenseAdmin, Role::Admin, Role::User] {
            some("role", &|person| person.role == role);
        }
        for gender in [Gender::Male, Gender::Female, Gender::Unknown] {
            some("gender", &|person| person.gender == gender);
        }
        for kind in [UserType::Administrative, UserType::Technician, UserType::Clinician, UserType::Student] {
            some("type", &|person| person.user_type == kind);
        }
        let scripts = [("Latin", 'a'..='z'), ("Greek", 'α'..='ω'), ("Cyrillic", 'а'..='я'), ("Hebrew", 'א'..='ת'), ("Arabic", 'ء'..='ي'), ("Han", '一'..='鿿'), ("Kana", 'ぁ'..='ヿ'), ("Hangul", '가'..='힣'), ("Devanagari", 'ऀ'..='ॿ'), ("Thai", 'ก'..='๛')];
        for (script, letters) in scripts {
            some(script, &|person| person.name().chars().any(|letter| letters.contains(&letter)));
        }
        let db = home.db().await;
        let licenses = license::Entity::find().all(db.read()).await.unwrap();
        assert!(licenses.len() > 1);
        for license in &licenses {
            assert!(people.iter().any(|person| person.license_id == license.id && person.role == Role::LicenseAdmin), "{}", license.number);
        }
        assert!(institution::Entity::find().all(db.read()).await.unwrap().len() > licenses.len());
        let credentials = credential::Entity::find().all(db.read()).await.unwrap();
        assert_eq!(credentials.len(), 5, "only the viewers have a password");
        let definitions = attribute_definition::Entity::find().all(db.read()).await.unwrap();
        assert!(definitions.len() > licenses.len());
        let values = attribute_value::Entity::find().all(db.read()).await.unwrap();
        for definition in &definitions {
            let license = people.iter().filter(|person| person.license_id == definition.license_id).count();
            let filled = values.iter().filter(|value| value.definition_id == definition.id).count();
            assert!(filled > 0 && filled < license, "{} is set for {filled} of {license}", definition.name);
        }
        let memberships = membership::Entity::find().all(db.read()).await.unwrap();
        for group in group::Entity::find().all(db.read()).await.unwrap() {
            let owned = memberships.iter().any(|one| one.group_id == group.id && one.role == membership::GroupRole::Owner);
            assert!(owned, "{} has no owner", group.name);
        }
    }

    async fn restarting_the_demo_adds_no_users(home: Home) {
        let arguments = ["--seed", "7", "--tokens", "tokens.json"];
        drop(demo(&home, &arguments).await);
        let without_sign_in = |people: Vec<user::Model>| -> Vec<user::Model> {
            people.into_iter().map(|person| user::Model { last_login: None, ..person }).collect()
        };
        let before = without_sign_in(people(&home).await);
        let first = tokens(&home);
        let server = demo(&home, &arguments).await;
        assert!(without_sign_in(people(&home).await) == before);
        let again = tokens(&home);
        assert_ne!(first["user"], again["user"]);
        server.caller(again["user"].as_str()).data("{ viewer { id } }", json!({})).await;
    }

    async fn the_demo_rejects_a_directory_that_it_did_not_create(home: Home) {
        let home = home.with_admin().await;
        let before = people(&home).await;
        let refused = home.run(&["demo", "--data-dir", "roster-data", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains("--data-dir"), "{}", refused.err);
        assert!(people(&home).await == before);
    }

    async fn the_demo_rejects_a_directory_of_another_seed(home: Home) {
        drop(demo(&home, &["--seed", "7"]).await);
        let before = people(&home).await;
        let refused = home.run(&["demo", "--data-dir", "roster-data", "--seed", "8", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(people(&home).await == before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_creates_the_same_users_on_every_database() {
    let mut homes = vec![Home::on_sqlite(), Home::on_sqlite(), Home::on_sqlite()];
    homes.extend(Home::on_postgres().await);
    let mut names = Vec::new();
    for (home, seed) in homes.iter().zip(["7", "7", "8", "7"]) {
        drop(demo(home, &["--seed", seed]).await);
        let db = home.db().await;
        let mut values = roster::attribute_values::values(db.read(), people(home).await.iter().map(|person| person.id))
            .await
            .unwrap();
        let mut known = |person: user::Model| {
            (person.id, person.name(), person.email, person.date_joined, values.remove(&person.id))
        };
        names.push(people(home).await.into_iter().map(&mut known).collect::<Vec<_>>());
    }
    assert_eq!(names[0], names[1]);
    assert!(names[0].iter().zip(&names[2]).all(|(one, other)| one.0 != other.0));
    if let Some(on_postgres) = names.get(3) {
        assert_eq!(&names[0], on_postgres);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_uses_its_own_folder() {
    let home = Home::on_sqlite();
    drop(home.serve(&["demo", "--users", "10"]).await);
    assert!(home.path("roster-demo/roster.db").exists());
    assert!(!home.path("roster-data").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_file_is_readable_by_its_owner_only() {
    let home = Home::on_sqlite();
    std::fs::write(home.path("tokens.json"), "{}").unwrap();
    set_mode(&home.path("tokens.json"), 0o644);
    drop(demo(&home, &["--tokens", "tokens.json"]).await);
    assert_eq!(mode(&home.path("tokens.json")), 0o600);
    let refused =
        home.run(&["demo", "--users", "10", "--tokens", "nowhere/tokens.json", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("--tokens nowhere/tokens.json"), "{}", refused.err);
}
