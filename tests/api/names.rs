//! Names are visible: a blank name is missing, and invisible characters are rejected unless a script needs them.

use roster::scalar::Id;
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::process::Sandbox;

/// Texts without a visible character.
const BLANK: [&str; 24] = [
    "",
    " ",
    "\u{a0}",
    "\u{3000}",
    "\u{2800}",
    "\u{2800}\u{2800}",
    "\u{fe0f}",
    "\u{301}",
    "\u{e0041}",
    "\u{180e}",
    "\u{115f}",
    "\u{1160}",
    "\u{3164}",
    "\u{ffa0}",
    "\u{34f}",
    "\u{61c}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{2060}",
    "\u{2066}\u{2069}",
    "\u{feff}",
    "\u{fffc}",
];

/// Texts with visible and invisible characters.
const HIDING: [&str; 16] = [
    "An\u{200b}na",
    "An\u{200d}na",
    "\u{200c}Anna",
    "Anna\u{202e}",
    "\u{2066}Anna\u{2069}",
    "Anna\u{200f}",
    "An\u{ad}na",
    "An\u{2060}na",
    "\u{feff}Anna",
    "Anna\u{fe0f}",
    "Kim\u{3164}",
    "An\u{34f}na",
    "Anna\u{e0041}",
    "An\u{2028}na",
    "An\u{2029}na",
    "An\u{85}na",
];

/// Real names.
const LEGITIMATE: [&str; 18] = [
    "Anna",
    "Jose\u{301}",
    "O’Brien",
    "Anne‐Lise",
    "-",
    "'",
    "李小明",
    "葛\u{e0100}城",
    "می\u{200c}خواهم",
    "کرده\u{200c}ام",
    "क्\u{200d}ष",
    "ক\u{200d}্য",
    "ශ්\u{200d}රී",
    "นิติ",
    "ᠠ\u{180e}ᠠ",
    "김민준",
    "1\u{fe0f}\u{20e3}",
    "👩🏽\u{200d}⚕\u{fe0f} ❤\u{fe0f}",
];

/// The error codes of a field.
async fn codes(by: &Caller<'_>, mutation: &str, input: Value, field: &str) -> Vec<String> {
    let payload = by.mutate(mutation, "", input).await;
    let errors = payload["errors"].as_array().cloned().unwrap_or_default();
    let of_field = errors.iter().filter(|error| error["path"].as_array().unwrap().last() == Some(&json!(field)));
    of_field.map(|error| error["code"].as_str().unwrap().to_owned()).collect()
}

/// Every mutation with a name, its other input, and the field of the name.
fn inputs(id: &str) -> Vec<(&'static str, Value, &'static str)> {
    let user = || json!({ "firstName": "Ada", "lastName": "Byron", "email": format!("{}@example.org", Id::new().0), "dryRun": true });
    let update = || json!({ "id": id, "dryRun": true });
    let registration = json!({ "firstName": "Ada", "lastName": "Byron", "email": "ada@register.example" });
    let institution = json!({ "name": "Ward", "kind": "HOSPITAL", "country": "AU" });
    let attribute = json!({ "name": "team", "label": "Team", "kind": "STRING" });
    vec![
        ("createUser", user(), "firstName"),
        ("createUser", user(), "lastName"),
        ("updateUser", update(), "firstName"),
        ("updateUser", update(), "lastName"),
        ("registerUser", registration.clone(), "firstName"),
        ("registerUser", registration, "lastName"),
        ("createGroup", json!({}), "name"),
        ("createInstitution", institution, "name"),
        ("defineAttribute", attribute, "label"),
        ("createApiKey", json!({ "role": "USER" }), "name"),
    ]
}

fn with(mut input: Value, field: &str, value: &str) -> Value {
    input[field] = json!(value);
    input
}

on_every_database! {
    async fn a_name_without_visible_characters_is_missing(app: App) {
        let (license_admin, id) = (app.license_admin().await, app.user().await.id());
        for (mutation, input, field) in inputs(&id) {
            for name in BLANK {
                let found = codes(&license_admin, mutation, with(input.clone(), field, name), field).await;
                assert_eq!(found, ["REQUIRED"], "{mutation} {field} {}", name.escape_unicode());
            }
        }
    }

    async fn a_name_with_invisible_characters_is_rejected(app: App) {
        let (license_admin, id) = (app.license_admin().await, app.user().await.id());
        let optional = ["nickname", "position", "externalId", "atlasPreference", "phone"];
        let users = ["createUser", "updateUser"];
        let optional = inputs(&id).into_iter().filter(|(mutation, _, field)| users.contains(mutation) && *field == "firstName")
            .flat_map(|(mutation, input, _)| optional.map(|field| (mutation, input.clone(), field)));
        for (mutation, input, field) in inputs(&id).into_iter().chain(optional) {
            for name in HIDING {
                let found = codes(&license_admin, mutation, with(input.clone(), field, name), field).await;
                assert_eq!(found, ["INVALID"], "{mutation} {field} {}", name.escape_unicode());
            }
        }
        let payload = license_admin.mutate("createGroup", "", json!({ "name": "Ward\u{202e}" })).await;
        let message = "Invisible characters and direction marks are not allowed (found U+202E).";
        assert_eq!(payload["errors"][0]["message"], json!(message));
        let payload = license_admin.mutate("createGroup", "", json!({ "name": "Ward", "description": "One\nTwo\u{202e}" })).await;
        assert_eq!(payload["errors"][0]["message"], json!(message));
    }

    async fn a_login_with_invisible_characters_is_rejected(app: App) {
        let license_admin = app.license_admin().await;
        let user = json!({ "firstName": "Ada", "lastName": "Byron", "dryRun": true });
        for login in ["an\u{3164}na", "an\u{200b}na", "anna\u{fe0f}", "an\u{2800}na", "an\u{ffa0}na", "an\u{202e}na"] {
            assert_eq!(codes(&license_admin, "createUser", with(user.clone(), "username", login), "username").await, ["INVALID"], "{}", login.escape_unicode());
            let email = format!("{login}@example.org");
            assert_eq!(codes(&license_admin, "createUser", with(user.clone(), "email", &email), "email").await, ["INVALID"], "{}", login.escape_unicode());
        }
    }

    async fn an_optional_text_without_visible_characters_is_null(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        for text in BLANK {
            let input = json!({ "id": user.id(), "nickname": text, "position": text });
            let payload = license_admin.mutate("updateUser", "user { nickname position }", input).await;
            assert_eq!(payload["user"], json!({ "nickname": null, "position": null }), "{}: {payload:#}", text.escape_unicode());
        }
    }

    async fn real_names_are_stored_unchanged(app: App) {
        let (license_admin, id) = (app.license_admin().await, app.user().await.id());
        for (mutation, input, field) in inputs(&id) {
            if ["registerUser", "createApiKey", "defineAttribute"].contains(&mutation) {
                continue;
            }
            for name in LEGITIMATE {
                assert!(codes(&license_admin, mutation, with(input.clone(), field, name), field).await.is_empty(), "{mutation} {field} {name}");
            }
        }
        for name in LEGITIMATE {
            let input = json!({ "id": id, "firstName": name });
            let payload = license_admin.mutate("updateUser", "user { firstName }", input).await;
            assert_eq!(payload["user"]["firstName"], json!(name), "{payload:#}");
        }
        let scotland = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
        assert!(codes(&license_admin, "createGroup", json!({ "name": format!("Team {scotland}") }), "name").await.is_empty());
    }

    async fn an_attribute_value_with_invisible_characters_is_rejected(app: App) {
        let (license_admin, id) = (app.license_admin().await, app.user().await.id());
        let defined = license_admin.mutate("defineAttribute", "", json!({ "name": "team", "label": "Team", "kind": "STRING" })).await;
        assert_eq!(defined["success"], json!(true), "{defined:#}");
        for value in HIDING {
            let input = json!({ "id": id, "attributes": [{ "name": "team", "value": value }] });
            assert_eq!(codes(&license_admin, "updateUser", input, "value").await, ["INVALID"], "{}", value.escape_unicode());
        }
        for value in LEGITIMATE {
            let input = json!({ "id": id, "attributes": [{ "name": "team", "value": value }] });
            let payload = license_admin.mutate("updateUser", "", input).await;
            assert_eq!(payload["success"], json!(true), "{payload:#}");
        }
    }
}

in_every_sandbox! {
    async fn an_import_rejects_blank_names_and_invisible_characters(sandbox: Sandbox) {
        let user = |name: &str| json!({ "user": { "firstName": name, "lastName": "Byron", "username": "ada" } });
        let lines: Vec<Value> = BLANK.iter().chain(&HIDING).map(|name| user(name))
            .chain([json!({ "group": { "name": "\u{2800}" } }), json!({ "institution": { "name": "Ward\u{202e}", "kind": "HOSPITAL", "country": "AU" } })])
            .collect();
        let file = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        std::fs::write(sandbox.path("names.ndjson"), file).unwrap();
        let output = sandbox.run(&["import", "names.ndjson", "--dry-run"]).await;
        assert_eq!(output.code, 1, "{output:?}");
        for number in 1..=lines.len() {
            let expected = match number {
                n if n == lines.len() => "name: Invisible characters",
                n if n == lines.len() - 1 => "name: This field is required.",
                n if n <= BLANK.len() => "firstName: This field is required.",
                n if n <= lines.len() - 5 => "firstName: Invisible characters and direction marks are not allowed",
                _ => "firstName: Line breaks and control characters are not allowed.",
            };
            assert!(output.err.contains(&format!("line {number}: {expected}")), "{number} {expected}: {}", output.err);
        }
    }
}
