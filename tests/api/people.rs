//! Creating, changing and deactivating users.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::entity::user::{self, Role, UserFields};
use roster::scalar::{Date, Id};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, payload_errors};
use crate::user_fields::{NAMES, USER_FIELDS, USER_SELECTION, UserField, examples};

/// A selection of the user with every field that inputs set.
fn all_fields() -> String {
    format!("user {{ {} }}", *USER_SELECTION)
}

/// The value of a field in a user with that selection.
fn value_of<'a>(user: &'a Value, field: &str) -> &'a Value {
    if field == "institutionId" { user.pointer("/institution/id").unwrap_or(&Value::Null) } else { &user[field] }
}

/// The names of the fields that meet a condition.
fn names_of(is_included: impl Fn(&UserField) -> bool) -> Vec<&'static str> {
    USER_FIELDS.iter().filter(|field| is_included(field)).map(|field| field.name).collect()
}

/// The input of a new user: names, an email address, and the given additional fields.
fn new_user(fields: Value) -> Value {
    let mut input = json!({ "firstName": "Ada", "lastName": "Byron", "email": format!("{}@example.org", Id::new().0) });
    if let Value::Object(fields) = fields {
        input.as_object_mut().unwrap().extend(fields);
    }
    input
}

/// Creates a user, asserts success, and returns the user.
async fn create(caller: &Caller<'_>, fields: Value) -> Value {
    let payload = caller.mutate("createUser", &all_fields(), new_user(fields)).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"].clone()
}

/// Updates a user, asserts success, and returns the user.
async fn changed(caller: &Caller<'_>, input: Value) -> Value {
    let payload = caller.mutate("updateUser", &all_fields(), input).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"].clone()
}

async fn institution(caller: &Caller<'_>) -> String {
    let input = json!({ "name": "St George Hospital", "kind": "HOSPITAL", "country": "AU" });
    let payload = caller.mutate("createInstitution", "institution { id }", input).await;
    payload["institution"]["id"].as_str().unwrap().to_owned()
}

async fn active_license_admins(app: &App) -> u64 {
    let admins = user::Entity::find()
        .filter(user::Column::LicenseId.eq(app.license))
        .filter(user::Column::Role.eq(Role::LicenseAdmin))
        .filter(user::Column::IsActive.eq(true));
    admins.count(app.db.read()).await.unwrap()
}

on_every_database! {
    async fn users_are_created_with_every_field(app: App) {
        let superuser = app.superuser().await;
        let mut fields = examples();
        fields.insert("institutionId".to_owned(), institution(&superuser).await.into());
        let mut input = fields.clone();
        input.insert("isActive".to_owned(), json!(true));
        let user = create(&superuser, input.into()).await;
        for field in USER_FIELDS.iter() {
            let stored = field.accepted.first().map_or(&fields[field.name], |example| &example.stored);
            assert_eq!(value_of(&user, field.name), stored, "{}", field.name);
        }
        assert_eq!((&user["fullName"], &user["isActive"]), (&json!("Ada King"), &json!(true)));
        let found = superuser.data("query ($id: ID!) { user(by: { id: $id }) { email externalId version } }", json!({ "id": user["id"] })).await;
        assert_eq!(found["user"], json!({ "email": fields["email"], "externalId": fields["externalId"], "version": 1 }));
    }

    async fn absent_fields_have_defaults(app: App) {
        let user = create(&app.license_admin().await, json!({})).await;
        let mut defaults = json!({ "gender": "UNKNOWN", "userType": "STUDENT", "role": "USER", "isActive": true, "version": 1 });
        for field in ["isStaff", "hasActivated", "hasPin", "fullSiteAccess", "emailVerified"] {
            defaults[field] = json!(false);
        }
        for (field, value) in defaults.as_object().unwrap() {
            assert_eq!(user[field], *value, "{field}");
        }
        for field in names_of(|field| field.is_optional && field.name != "email") {
            assert_eq!(*value_of(&user, field), Value::Null, "{field}");
        }
        assert!(user["adminRights"].as_object().unwrap().values().all(|right| *right == json!(false)));
    }

    async fn new_users_need_a_username_or_an_email_address(app: App) {
        let license_admin = app.license_admin().await;
        let alone = json!({ "firstName": "Ada", "lastName": "Byron", "username": "ada" });
        assert_eq!(license_admin.mutate("createUser", "user { email username }", alone).await["user"], json!({ "email": null, "username": "ada" }));
        for nobody in [json!({ "firstName": "A", "lastName": "B" }), json!({ "firstName": "A", "lastName": "B", "email": " ", "username": "" })] {
            assert_eq!(license_admin.payload_errors("createUser", nobody).await, ["REQUIRED input.email"]);
        }
    }

    async fn license_administrators_always_have_full_site_access(app: App) {
        let license_admin = app.license_admin().await;
        let user = create(&license_admin, json!({ "role": "LICENSE_ADMIN", "fullSiteAccess": false })).await;
        assert_eq!(user["fullSiteAccess"], json!(true));
        let user = changed(&license_admin, json!({ "id": user["id"], "fullSiteAccess": false })).await;
        assert_eq!(user["fullSiteAccess"], json!(true));
    }

    async fn all_errors_of_an_input_are_reported_at_once(app: App) {
        let license_admin = app.license_admin().await;
        let mut input = json!({ "password": "short" });
        let mut expected = vec!["TOO_SHORT input.password".to_owned()];
        for field in USER_FIELDS.iter() {
            let rejected = field.rejected.first();
            input[field.name] = rejected.map_or(Value::Null, |rejected| rejected.value.clone());
            expected.push(format!("{} input.{}", rejected.map_or("NULL_NOT_ALLOWED", |rejected| rejected.code), field.name));
        }
        expected.sort();
        assert!(expected.iter().any(|error| error.starts_with("TOO_LONG")), "{expected:?}");
        assert_eq!(license_admin.payload_errors("createUser", input).await, expected);
    }

    async fn null_is_rejected_in_every_field_of_a_new_user(app: App) {
        let license_admin = app.license_admin().await;
        let mut fields = names_of(|field| field.name != "email" && !NAMES.contains(&field.name));
        fields.extend(["password", "isActive"]);
        let nulls: Value = fields.iter().map(|field| ((*field).to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
        let mut expected: Vec<String> = fields.iter().map(|field| format!("NULL_NOT_ALLOWED input.{field}")).collect();
        expected.sort();
        assert_eq!(license_admin.payload_errors("createUser", new_user(nulls)).await, expected);
        let no_address = json!({ "firstName": "A", "lastName": "B", "username": "ab", "email": null });
        assert_eq!(license_admin.payload_errors("createUser", no_address).await, ["NULL_NOT_ALLOWED input.email"]);
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "adminRights": { "isGroupAdmin": null } }))).await,
            ["NULL_NOT_ALLOWED input.adminRights.isGroupAdmin"]);
    }

    async fn each_field_is_validated(app: App) {
        let superuser = app.superuser().await;
        // The user must not be the only license administrator, when the role changes.
        app.license_admin().await;
        let id = create(&superuser, json!({ "username": "ada" })).await["id"].clone();
        let (today, tomorrow) = (Date::today().0, Date::today().0.succ_opt().unwrap());
        let accepted = USER_FIELDS.iter().flat_map(|field| {
            field.accepted.iter().map(|accepted| (field.name, accepted.value.clone(), accepted.stored.clone()))
        });
        let is_today = ("birthDate", json!(today.to_string()), json!(today.to_string()));
        for (field, given, stored) in accepted.chain([is_today]) {
            let user = changed(&superuser, json!({ "id": id, field: given })).await;
            assert_eq!(*value_of(&user, field), stored, "{field}: {given}");
        }
        let rejected = USER_FIELDS.iter().flat_map(|field| {
            field.rejected.iter().map(|rejected| (field.name, rejected.value.clone(), rejected.code))
        });
        for (field, given, code) in rejected.chain([("birthDate", json!(tomorrow.to_string()), "INVALID")]) {
            let input = json!({ "id": id, field: given });
            if code == "BAD_REQUEST" {
                assert_eq!(superuser.mutation_error_code("updateUser", input).await, code, "{field}: {given}");
                continue;
            }
            let payload = superuser.mutate("updateUser", "", input).await;
            assert_eq!(payload_errors(&payload), [format!("{code} input.{field}")], "{field}: {given}");
        }
    }

    async fn values_of_the_wrong_type_are_rejected(app: App) {
        let license_admin = app.license_admin().await;
        for (field, value) in [("birthDate", json!(19_800_708)), ("gender", json!("X")), ("isStaff", json!("yes")), ("nickname", json!(7)), ("shoeSize", json!(7))] {
            let code = license_admin.mutation_error_code("createUser", new_user(json!({ field: value }))).await;
            assert!(["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&code.as_str()), "{field}: {code}");
        }
    }

    async fn updates_keep_absent_fields_and_clear_null_fields(app: App) {
        let license_admin = app.license_admin().await;
        let optional = names_of(|field| field.is_optional && field.name != "email");
        let mut given = examples();
        given.retain(|field, _| optional.contains(&field.as_str()));
        given.insert("institutionId".to_owned(), institution(&license_admin).await.into());
        let before = create(&license_admin, given.into()).await;
        for field in &optional {
            assert!(!value_of(&before, field).is_null(), "{field}");
        }
        let renamed = changed(&license_admin, json!({ "id": before["id"], "lastName": "King" })).await;
        let mut expected = before.clone();
        (expected["lastName"], expected["fullName"], expected["version"]) = (json!("King"), json!("Ada King"), json!(2));
        expected["modifiedAt"] = renamed["modifiedAt"].clone();
        assert_eq!(renamed, expected);

        let mut nulls = json!({ "id": before["id"] });
        for field in optional {
            nulls[field] = Value::Null;
            expected[if field == "institutionId" { "institution" } else { field }] = Value::Null;
        }
        let cleared = changed(&license_admin, nulls).await;
        expected["version"] = json!(3);
        expected["modifiedAt"] = cleared["modifiedAt"].clone();
        assert_eq!(cleared, expected);
    }

    async fn a_blank_text_counts_as_null(app: App) {
        let license_admin = app.license_admin().await;
        let user = create(&license_admin, json!({ "nickname": "  ", "phone": "", "website": "\t", "externalId": " \u{a0}", "birthDate": " ", "orcidId": "" })).await;
        for field in ["nickname", "phone", "website", "externalId", "birthDate", "orcidId"] {
            assert_eq!(user[field], Value::Null, "{field}");
        }
        let user = changed(&license_admin, json!({ "id": user["id"], "nickname": "A" })).await;
        let user = changed(&license_admin, json!({ "id": user["id"], "nickname": " " })).await;
        assert_eq!(user["nickname"], Value::Null);
    }

    async fn required_fields_cannot_be_cleared(app: App) {
        let license_admin = app.license_admin().await;
        let id = create(&license_admin, json!({})).await["id"].clone();
        let fields = names_of(|field| !field.is_optional);
        let mut input = json!({ "id": id });
        for field in &fields {
            input[field] = Value::Null;
        }
        let mut expected: Vec<String> = fields.iter().map(|field| format!("NULL_NOT_ALLOWED input.{field}")).collect();
        expected.sort();
        assert_eq!(license_admin.payload_errors("updateUser", input).await, expected);
        assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": id, "email": null })).await, ["REQUIRED input.email"]);
        let moved = changed(&license_admin, json!({ "id": id, "email": null, "username": "ada" })).await;
        assert_eq!((&moved["email"], &moved["username"]), (&Value::Null, &json!("ada")));
        assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": id, "username": "" })).await, ["REQUIRED input.email"]);
    }

    async fn email_addresses_and_usernames_are_taken_in_every_spelling(app: App) {
        let license_admin = app.license_admin().await;
        create(&license_admin, json!({ "email": "mike@münchen.example", "username": "josé" })).await;
        let dotless = "m\u{131}ke@m\u{fc}nchen.example";
        let wide = "\u{ff4d}\u{ff49}\u{ff4b}\u{ff45}@m\u{fc}nchen.example";
        for email in ["mike@münchen.example", "MIKE@MÜNCHEN.EXAMPLE", dotless, wide, "mike@xn--mnchen-3ya.example", "Mike@mu\u{308}nchen.example", " mike@XN--MNCHEN-3YA.example "] {
            assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "email": email }))).await, ["TAKEN input.email"], "{email}");
        }
        create(&license_admin, json!({ "email": "josé@x.example" })).await;
        for email in ["JOSÉ@x.example", "jose\u{301}@x.example"] {
            assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "email": email }))).await, ["TAKEN input.email"], "{email}");
        }
        for username in ["josé", "JOSÉ", "jose\u{301}", "\u{ff4a}os\u{e9}"] {
            assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "username": username }))).await, ["TAKEN input.username"], "{username}");
        }
        create(&license_admin, json!({ "email": "mike@munchen.example", "username": "jose" })).await;
    }

    async fn all_taken_values_are_reported_together_with_other_errors(app: App) {
        let license_admin = app.license_admin().await;
        create(&license_admin, json!({ "email": "ada@x.example" })).await;
        create(&license_admin, json!({ "username": "ada" })).await;
        create(&license_admin, json!({ "externalId": "7" })).await;
        let mut input = new_user(json!({ "email": "ADA@x.example", "username": "Ada", "externalId": " 7" }));
        let taken = ["TAKEN input.email", "TAKEN input.externalId", "TAKEN input.username"];
        assert_eq!(license_admin.payload_errors("createUser", input.clone()).await, taken);
        input["nickname"] = json!("x".repeat(51));
        input["phone"] = Value::Null;
        assert_eq!(license_admin.payload_errors("createUser", input).await,
            ["NULL_NOT_ALLOWED input.phone", taken[0], taken[1], taken[2], "TOO_LONG input.nickname"]);
        let id = create(&license_admin, json!({})).await["id"].clone();
        let change = json!({ "id": id, "email": "ada@x.example", "username": "ADA", "externalId": "7", "firstName": "" });
        assert_eq!(license_admin.payload_errors("updateUser", change).await, ["REQUIRED input.firstName", taken[0], taken[1], taken[2]]);
    }

    async fn email_addresses_are_unique_across_licenses_and_inactive_users(app: App) {
        let license_admin = app.license_admin().await;
        let there = UserFields { email: Given("ada@x.example".to_owned()), external_id: Given("7".to_owned()), ..UserFields::default() };
        app.create("There", app.other_license, there, Undefined).await;
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "email": "ada@x.example" }))).await, ["TAKEN input.email"]);
        create(&license_admin, json!({ "externalId": "7" })).await;
        create(&license_admin, json!({ "externalId": "007", "username": "gone", "isActive": false })).await;
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "externalId": "007", "username": "GONE" }))).await,
            ["TAKEN input.externalId", "TAKEN input.username"]);
    }

    async fn the_spelling_of_a_users_own_values_can_change(app: App) {
        let license_admin = app.license_admin().await;
        let user = create(&license_admin, json!({ "email": "ada@x.example", "username": "ada", "externalId": "7" })).await;
        let user = changed(&license_admin, json!({ "id": user["id"], "email": "Ada@X.example", "username": "ADA", "externalId": "7" })).await;
        assert_eq!((&user["email"], &user["username"]), (&json!("Ada@X.example"), &json!("ADA")));
    }

    async fn a_new_email_address_is_unverified_unless_only_the_spelling_changes(app: App) {
        let license_admin = app.license_admin().await;
        let user = create(&license_admin, json!({ "email": "ada@x.example" })).await;
        let verify = user::Entity::update_many().col_expr(user::Column::EmailVerified, Expr::value(true));
        verify.filter(user::Column::EmailKey.eq("ada@x.example")).exec(app.db.write()).await.unwrap();
        let user = changed(&license_admin, json!({ "id": user["id"], "email": "ADA@x.example" })).await;
        assert_eq!(user["emailVerified"], json!(true));
        let user = changed(&license_admin, json!({ "id": user["id"], "email": "ada@y.example" })).await;
        assert_eq!(user["emailVerified"], json!(false));
    }

    async fn only_one_of_100_concurrent_users_with_one_email_address_is_created(app: App) {
        let license_admin = app.license_admin().await;
        let spellings = ["mike@münchen.example", "MIKE@MÜNCHEN.example", "Mike@xn--mnchen-3ya.example", "ｍｉｋｅ@mu\u{308}nchen.EXAMPLE", "mıke@München.example"];
        let attempts = (0..100).map(|n| {
            let license_admin = &license_admin;
            async move { license_admin.mutate("createUser", "user { email }", new_user(json!({ "email": spellings[n % 5] }))).await }
        });
        let payloads = join_all(attempts).await;
        let (done, rejected): (Vec<_>, Vec<_>) = payloads.iter().partition(|payload| payload["success"] == json!(true));
        assert_eq!((done.len(), rejected.len()), (1, 99));
        assert!(rejected.iter().all(|payload| payload_errors(payload) == ["TAKEN input.email"] && payload["user"].is_null()), "{rejected:#?}");
        let events = "{ auditEvents(filter: { action: [USER_CREATED] }) { nodes { actor { id } } } }";
        let events = license_admin.data(events, json!({})).await["auditEvents"]["nodes"].as_array().unwrap().clone();
        assert_eq!(events.iter().filter(|event| event["actor"]["id"] == json!(license_admin.id())).count(), 1);
    }

    async fn only_one_of_100_concurrent_updates_of_one_version_succeeds(app: App) {
        let license_admin = app.license_admin().await;
        let id = create(&license_admin, json!({})).await["id"].clone();
        let changes = (0..100).map(|n| {
            let input = json!({ "id": id, "nickname": format!("Nick {n}"), "expectedVersion": 1 });
            license_admin.mutate("updateUser", "user { id nickname version }", input)
        });
        let payloads = join_all(changes).await;
        let (done, rejected): (Vec<_>, Vec<_>) = payloads.iter().partition(|payload| payload["success"] == json!(true));
        assert_eq!((done.len(), rejected.len()), (1, 99));
        assert_eq!(done[0]["user"]["version"], json!(2));
        for payload in rejected {
            assert_eq!(payload_errors(payload), ["CONFLICT input.expectedVersion"]);
            assert_eq!(payload["user"], done[0]["user"], "a conflict returns the current user");
        }
        let read = "query ($id: ID!) { user(by: { id: $id }) { id nickname version } auditEvents(filter: { subject: $id, action: [USER_UPDATED] }) { totalCount } }";
        let read = license_admin.data(read, json!({ "id": id })).await;
        assert_eq!((&read["user"], &read["auditEvents"]["totalCount"]), (&done[0]["user"], &json!(1)));
    }

    async fn only_one_of_20_concurrent_changes_to_one_username_succeeds(app: App) {
        let license_admin = app.license_admin().await;
        let mut users = Vec::new();
        for _ in 0..20 {
            users.push(create(&license_admin, json!({})).await["id"].clone());
        }
        let attempts = users.iter().map(|id| license_admin.mutate("updateUser", "", json!({ "id": id, "username": "ada" })));
        let payloads = join_all(attempts).await;
        assert_eq!(payloads.iter().filter(|payload| payload["success"] == json!(true)).count(), 1);
        assert_eq!(payloads.iter().filter(|payload| payload_errors(payload) == ["TAKEN input.username"]).count(), 19);
    }

    async fn concurrent_changes_of_different_fields_are_all_kept(app: App) {
        let license_admin = app.license_admin().await;
        let id = create(&license_admin, json!({})).await["id"].clone();
        let changes = [json!({ "nickname": "A" }), json!({ "position": "Doctor" }), json!({ "phone": "1" }), json!({ "mobile": "2" }), json!({ "gender": "FEMALE" })];
        join_all(changes.iter().map(|change| {
            let mut input = change.clone();
            input["id"] = id.clone();
            let license_admin = &license_admin;
            async move { changed(license_admin, input).await }
        })).await;
        let user = license_admin.data("query ($id: ID!) { user(by: { id: $id }) { nickname position phone mobile gender version } }", json!({ "id": id })).await;
        assert_eq!(user["user"], json!({ "nickname": "A", "position": "Doctor", "phone": "1", "mobile": "2", "gender": "FEMALE", "version": 6 }));
    }

    async fn the_version_grows_only_if_a_value_changes(app: App) {
        let license_admin = app.license_admin().await;
        let selection = "user { id version modifiedAt dateJoined }";
        let new = license_admin.mutate("createUser", selection, new_user(json!({ "nickname": "A" }))).await["user"].clone();
        assert_eq!(new["modifiedAt"], new["dateJoined"]);
        let same = license_admin.mutate("updateUser", selection, json!({ "id": new["id"], "nickname": " A " })).await["user"].clone();
        assert_eq!(same, new);
        let other = license_admin.mutate("updateUser", selection, json!({ "id": new["id"], "nickname": "B" })).await["user"].clone();
        assert_eq!((&other["version"], &other["dateJoined"]), (&json!(2), &new["dateJoined"]));
        assert!(other["modifiedAt"].as_str() > new["modifiedAt"].as_str());
        let read = license_admin.data("query ($id: ID!) { user(by: { id: $id }) { id version modifiedAt dateJoined } }", json!({ "id": new["id"] })).await;
        assert_eq!(read["user"], other);
    }

    async fn institutions_of_another_license_are_not_found(app: App) {
        let license_admin = app.license_admin().await;
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let there = app.sign_in(app.create("There", app.other_license, there, Undefined).await).await;
        let foreign = institution(&there).await;
        let own = institution(&license_admin).await;
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "institutionId": foreign, "phone": "x" }))).await,
            ["INVALID input.phone", "NOT_FOUND input.institutionId"]);
        let id = create(&license_admin, json!({ "institutionId": own })).await["id"].clone();
        let root = app.superuser().await;
        for caller in [&license_admin, &root] {
            assert_eq!(caller.payload_errors("updateUser", json!({ "id": id, "institutionId": foreign })).await, ["NOT_FOUND input.institutionId"]);
        }
    }

    async fn changing_an_unknown_user_reports_an_error(app: App) {
        let license_admin = app.license_admin().await;
        let stranger = app.other_license_user().await;
        for mutation in ["updateUser", "setActive"] {
            let input = |id: String| if mutation == "setActive" { json!({ "id": id, "active": true }) } else { json!({ "id": id, "nickname": "A" }) };
            assert_eq!(license_admin.payload_errors(mutation, input("7".to_owned())).await, ["INVALID input.id"]);
            assert_eq!(license_admin.payload_errors(mutation, input(Id::new().0.to_string())).await, ["NOT_FOUND input.id"]);
            assert_eq!(license_admin.payload_errors(mutation, input(stranger.id())).await, ["NOT_FOUND input.id"]);
        }
    }

    async fn passwords_have_12_to_128_characters_and_are_hard_to_guess(app: App) {
        let license_admin = app.license_admin().await;
        let errors = [
            ("brass-otter", "TOO_SHORT"), ("", "TOO_SHORT"), ("ééééééééééé", "TOO_SHORT"), ("passwordpassword", "INVALID"), ("qwertyuiop123", "INVALID"),
            ("wolfeschlegelstein", "INVALID"), ("zanzibarwolf@mail.example", "INVALID"),
        ];
        let input = |password: &str| json!({ "firstName": "Zanzibar", "lastName": "Wolfeschlegelstein", "email": "zanzibarwolf@mail.example", "password": password });
        for (password, code) in errors {
            assert_eq!(license_admin.payload_errors("createUser", input(password)).await, [format!("{code} input.password")], "{password}");
        }
        let long: String = PASSWORD.chars().cycle().take(128).collect();
        assert_eq!(license_admin.payload_errors("createUser", input(&format!("{long}x"))).await, ["TOO_LONG input.password"]);
        let user = license_admin.mutate("createUser", "user { hasActivated }", input(&long)).await;
        assert_eq!(user["user"]["hasActivated"], json!(true));
        let login = app.anonymous().mutate("login", "token", json!({ "login": "zanzibarwolf@mail.example", "password": long })).await;
        assert!(login["token"].is_string());
    }

    async fn an_administrator_who_changes_or_removes_a_password_ends_sessions(app: App) {
        let license_admin = app.license_admin().await;
        let fields = UserFields { username: Given("ada".to_owned()), ..UserFields::default() };
        let ada = app.sign_in(app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await).await;
        let login = |password: &'static str| {
            let anonymous = app.anonymous();
            async move { anonymous.mutate("login", "", json!({ "login": "ada", "password": password })).await }
        };
        changed(&license_admin, json!({ "id": ada.id(), "password": "nine-velvet-comets-hum" })).await;
        assert_eq!(ada.post(&json!({ "query": "{ viewer { id } }" })).await.0, 401);
        assert_eq!(payload_errors(&login(PASSWORD).await), ["INVALID_CREDENTIALS input"]);
        assert_eq!(login("nine-velvet-comets-hum").await["success"], json!(true));
        assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": ada.id(), "password": "  " })).await, ["TOO_SHORT input.password"]);
        changed(&license_admin, json!({ "id": ada.id(), "password": null })).await;
        assert_eq!(payload_errors(&login("nine-velvet-comets-hum").await), ["INVALID_CREDENTIALS input"]);
    }

    async fn deactivated_users_are_hidden_until_reactivated(app: App) {
        let license_admin = app.license_admin().await;
        let user = app.user().await;
        let ada = app.user_with("Ada", UserFields::default()).await;
        let find = "query ($id: ID!) { user(by: { id: $id }) { isActive } node(id: $id) { id } }";
        let selection = "sessionsEnded user { isActive version }";
        let off = json!({ "id": ada.id(), "active": false });
        let payload = license_admin.mutate("setActive", selection, off.clone()).await;
        assert_eq!((&payload["sessionsEnded"], &payload["user"]), (&json!(1), &json!({ "isActive": false, "version": 2 })));
        let payload = license_admin.mutate("setActive", selection, off).await;
        assert_eq!((&payload["sessionsEnded"], &payload["user"]), (&json!(0), &json!({ "isActive": false, "version": 2 })));
        assert_eq!(user.data(find, json!({ "id": ada.id() })).await, json!({ "user": null, "node": null }));
        assert_eq!(license_admin.data(find, json!({ "id": ada.id() })).await["user"], json!({ "isActive": false }));
        let payload = license_admin.mutate("setActive", selection, json!({ "id": ada.id(), "active": true })).await;
        assert_eq!(payload["user"], json!({ "isActive": true, "version": 3 }));
        assert_eq!(user.data(find, json!({ "id": ada.id() })).await["user"], json!({ "isActive": true }));
        assert_eq!(ada.post(&json!({ "query": "{ viewer { id } }" })).await.0, 401, "reactivation does not restore sessions");
    }

    async fn the_last_license_administrator_cannot_be_demoted_or_deactivated(app: App) {
        let root = app.superuser().await;
        let license_admin = app.license_admin().await;
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        app.create("There", app.other_license, there, Undefined).await;
        let demotion = json!({ "id": license_admin.id(), "role": "ADMIN" });
        for caller in [&root, &license_admin] {
            assert_eq!(caller.payload_errors("updateUser", demotion.clone()).await, ["NOT_ALLOWED input.id"]);
        }
        assert_eq!(root.payload_errors("setActive", json!({ "id": license_admin.id(), "active": false })).await, ["NOT_ALLOWED input.id"]);
        let second = app.license_admin().await;
        root.mutate("setActive", "", json!({ "id": second.id(), "active": false })).await;
        assert_eq!(root.payload_errors("updateUser", demotion.clone()).await, ["NOT_ALLOWED input.id"], "an inactive license administrator does not count");
        root.mutate("setActive", "", json!({ "id": second.id(), "active": true })).await;
        assert_eq!(changed(&root, demotion).await["role"], json!("ADMIN"));
    }

    async fn the_last_superuser_cannot_be_demoted(app: App) {
        let one = app.superuser().await;
        let other = app.superuser().await;
        let root = one.data(r#"{ user(by: { email: "root@alder.example.org" }) { id } }"#, json!({})).await["user"]["id"].clone();
        assert_eq!(one.mutate("setActive", "", json!({ "id": root, "active": false })).await["success"], json!(true));
        let demotion = json!({ "id": one.id(), "adminRights": { "isSuperuser": false } });
        changed(&one, json!({ "id": other.id(), "adminRights": { "isSuperuser": false } })).await;
        assert_eq!(one.payload_errors("updateUser", demotion).await, ["NOT_ALLOWED input.id"]);
    }

    async fn one_of_two_license_administrators_who_demote_each_other_remains(app: App) {
        for _ in 0..5 {
            let (one, other) = (app.license_admin().await, app.license_admin().await);
            for admin in user::Entity::find().filter(user::Column::Role.eq(Role::LicenseAdmin)).all(app.db.read()).await.unwrap() {
                if admin.id != one.id && admin.id != other.id {
                    one.mutate("updateUser", "", json!({ "id": admin.id.0, "role": "USER" })).await;
                }
            }
            assert_eq!(active_license_admins(&app).await, 2);
            let demote = |id: String| json!({ "query": "mutation ($id: ID!) { updateUser(input: { id: $id, role: USER }) { success } }", "variables": { "id": id } });
            let (first, second) = (demote(other.id()), demote(one.id()));
            tokio::join!(one.post(&first), other.post(&second));
            assert_eq!(active_license_admins(&app).await, 1);
        }
    }

    async fn an_input_with_an_error_saves_nothing(app: App) {
        let license_admin = app.license_admin().await;
        let user = create(&license_admin, json!({ "nickname": "A" })).await;
        license_admin.payload_errors("updateUser", json!({ "id": user["id"], "nickname": "B", "phone": "x" })).await;
        let read = license_admin.data("query ($id: ID!) { user(by: { id: $id }) { nickname phone version } }", json!({ "id": user["id"] })).await;
        assert_eq!(read["user"], json!({ "nickname": "A", "phone": null, "version": 1 }));
        license_admin.payload_errors("createUser", new_user(json!({ "email": "new@x.example", "phone": "x" }))).await;
        let read = license_admin.data(r#"{ user(by: { email: "new@x.example" }) { id } }"#, json!({})).await;
        assert_eq!(read["user"], Value::Null);
    }
}
