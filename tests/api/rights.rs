//! What each rank can see and change.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::{AdminRightsInput, Role, UserFields};
use roster::scalar::{DateText, Id};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD};
use crate::user_fields::USER_FIELDS;

const PRIVATE: &str = "query ($id: ID!) { user(by: { id: $id }) { mobile birthDate externalId lastLogin sessions { id } adminRights { isSuperuser isAdmin } phone position } }";
const RANKS: [&str; 5] = ["user", "staff", "admin", "license admin", "superuser"];

fn role(role: Role) -> UserFields {
    UserFields { role: Given(role), ..UserFields::default() }
}

fn rights(rights: AdminRightsInput) -> UserFields {
    UserFields { admin_rights: Given(rights), ..UserFields::default() }
}

/// The fields that give a user a rank.
fn of_rank(rank: &str) -> UserFields {
    match rank {
        "staff" => UserFields { is_staff: Given(true), ..UserFields::default() },
        "admin" => role(Role::Admin),
        "license admin" => role(Role::LicenseAdmin),
        "superuser" => rights(AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() }),
        _ => UserFields::default(),
    }
}

fn with_secrets() -> UserFields {
    UserFields {
        mobile: Given("0777".to_owned()),
        birth_date: Given(DateText("1980-07-08".to_owned())),
        external_id: Given("E-1".to_owned()),
        phone: Given("0555".to_owned()),
        ..UserFields::default()
    }
}

fn new_user(given: Value) -> Value {
    let mut input = json!({ "firstName": "Ada", "lastName": "Byron", "email": format!("{}@example.org", Id::new().0) });
    if let Value::Object(given) = given {
        input.as_object_mut().unwrap().extend(given);
    }
    input
}

/// `done`, the code of the validation error, or the code of the top-level error.
async fn outcome(caller: &Caller<'_>, mutation: &str, input: Value) -> String {
    let mut input_type = format!("{mutation}Input!");
    input_type.get_mut(..1).unwrap().make_ascii_uppercase();
    let document =
        format!("mutation ($input: {input_type}) {{ {mutation}(input: $input) {{ success errors {{ code }} }} }}");
    let response = caller.execute(&document, json!({ "input": input })).await;
    if let Some(code) = response.pointer("/errors/0/extensions/code") {
        assert_eq!(response["data"][mutation], Value::Null);
        return code.as_str().unwrap().to_owned();
    }
    let payload = &response["data"][mutation];
    if payload["success"] == json!(true) {
        "done".to_owned()
    } else {
        payload["errors"][0]["code"].as_str().unwrap_or_else(|| panic!("{response:#}")).to_owned()
    }
}

on_every_database! {
    async fn anonymous_callers_are_unauthenticated(app: App) {
        let (anonymous, user) = (app.anonymous(), app.user().await);
        assert_eq!(anonymous.data("{ viewer { id } }", json!({})).await, json!({ "viewer": null }));
        let id = user.id();
        let queries = [
            format!("node(id: \"{id}\") {{ id }}"), format!("nodes(ids: [\"{id}\"]) {{ id }}"), format!("user(by: {{ id: \"{id}\" }}) {{ id }}"), "users { totalCount }".to_owned(),
            "searchUsers(query: \"a\") { totalCount }".to_owned(), format!("group(id: \"{id}\") {{ id }}"), "groups { totalCount }".to_owned(),
            format!("institution(id: \"{id}\") {{ id }}"), "institutions { totalCount }".to_owned(), format!("license(id: \"{}\") {{ id }}", app.license.0),
        ];
        for query in queries {
            assert_eq!(anonymous.error_code(&format!("{{ {query} }}"), json!({})).await, "UNAUTHENTICATED", "{query}");
        }
        let mutations = [
            ("createUser", new_user(json!({}))), ("updateUser", json!({ "id": id, "nickname": "A" })), ("setActive", json!({ "id": id, "active": false })),
            ("createGroup", json!({ "name": "A" })), ("setGroupMember", json!({ "groupId": id, "userId": id, "role": "MEMBER" })),
            ("removeGroupMember", json!({ "groupId": id, "userId": id })), ("createInstitution", json!({ "name": "A", "kind": "HOSPITAL", "country": "AU" })),
        ];
        for (mutation, input) in mutations {
            assert_eq!(outcome(&anonymous, mutation, input).await, "UNAUTHENTICATED", "{mutation}");
        }
        assert_eq!(anonymous.error_code("mutation { logout { success } }", json!({})).await, "UNAUTHENTICATED");
    }

    async fn private_fields_are_visible_to_the_user_and_administrators(app: App) {
        let ada = app.user_with("Ada", with_secrets()).await;
        let group_admin = app.user_with("Groups", rights(AdminRightsInput { is_group_admin: Given(true), ..AdminRightsInput::default() })).await;
        let variables = json!({ "id": ada.id() });
        for caller in [app.user().await, group_admin] {
            let seen = caller.data(PRIVATE, variables.clone()).await["user"].clone();
            assert_eq!(seen, json!({ "mobile": null, "birthDate": null, "externalId": null, "lastLogin": null, "sessions": null, "adminRights": null, "phone": "0555", "position": null }));
        }
        for rank in ["staff", "admin", "license admin", "superuser"] {
            let seen = app.user_with("Boss", of_rank(rank)).await.data(PRIVATE, variables.clone()).await["user"].clone();
            assert_eq!((&seen["mobile"], &seen["birthDate"], &seen["externalId"]), (&json!("0777"), &json!("1980-07-08"), &json!("E-1")), "{rank}");
            assert!(seen["lastLogin"].is_string() && seen["sessions"].as_array().unwrap().len() == 1);
            assert_eq!(seen["adminRights"], json!({ "isSuperuser": false, "isAdmin": false }));
        }
        let own = ada.data(PRIVATE, variables).await["user"].clone();
        assert_eq!((&own["mobile"], &own["birthDate"], &own["externalId"]), (&json!("0777"), &json!("1980-07-08"), &json!("E-1")));
        assert_eq!((own["sessions"].as_array().unwrap().len(), &own["adminRights"]["isSuperuser"]), (1, &json!(false)));
    }

    async fn private_fields_are_null_on_every_path_to_a_user(app: App) {
        let (ada, user) = (app.user_with("Adaxyz", with_secrets()).await, app.user().await);
        let site = app.license_admin().await.mutate("createInstitution", "institution { id }", json!({ "name": "A", "kind": "HOSPITAL", "country": "AU" })).await["institution"]["id"].clone();
        app.admin().await.mutate("updateUser", "", json!({ "id": ada.id(), "institutionId": site })).await;
        let group = ada.mutate("createGroup", "group { id }", json!({ "name": "A" })).await["group"]["id"].clone();
        let query = "query ($id: ID!, $group: ID!, $site: ID!) { node(id: $id) { ...Private } nodes(ids: [$id]) { ...Private } group(id: $group) { members { nodes { ...Private } edges { node { ...Private } } } }
            institution(id: $site) { users { nodes { ...Private } } } searchUsers(query: \"adaxyz\") { nodes { ...Private } edges { node { ...Private } } } users { nodes { ...Private } } }
            fragment Private on User { id mobile birthDate externalId lastLogin sessions { id } adminRights { isSuperuser } }";
        let data = user.data(query, json!({ "id": ada.id(), "group": group, "site": site })).await;
        let text = data.to_string();
        assert!(text.matches(&ada.id()).count() >= 8, "{data:#}");
        assert!(!text.contains("0777") && !text.contains("1980-07-08") && !text.contains("E-1"));
        let node = json!({ "id": ada.id(), "mobile": null, "birthDate": null, "externalId": null, "lastLogin": null, "sessions": null, "adminRights": null });
        assert_eq!(data["node"], node);
    }

    async fn users_see_only_is_superuser_of_their_own_admin_rights(app: App) {
        let group_admin = app.user_with("Groups", rights(AdminRightsInput { is_group_admin: Given(true), ..AdminRightsInput::default() })).await;
        let data = group_admin.data("{ viewer { adminRights { isSuperuser isGroupAdmin } } }", json!({})).await;
        assert_eq!(data["viewer"]["adminRights"], json!({ "isSuperuser": false, "isGroupAdmin": false }));
        let data = app.superuser().await.data("{ viewer { adminRights { isSuperuser isGroupAdmin } } }", json!({})).await;
        assert_eq!(data["viewer"]["adminRights"]["isSuperuser"], json!(true));
    }

    async fn only_administrators_look_up_users_by_external_id_in_their_license(app: App) {
        let ada = app.user_with("Ada", with_secrets()).await;
        app.create("There", app.other_license, with_secrets(), Undefined).await;
        let lookup = "{ user(by: { externalId: \" E-1 \" }) { id } }";
        for caller in [&ada, &app.user().await] {
            assert_eq!(caller.error_code(lookup, json!({})).await, "FORBIDDEN");
        }
        for rank in ["staff", "admin", "license admin", "superuser"] {
            let data = app.user_with("Boss", of_rank(rank)).await.data(lookup, json!({})).await;
            assert_eq!(data["user"]["id"], json!(ada.id()), "{rank}");
        }
    }

    async fn users_are_looked_up_by_every_spelling(app: App) {
        let user = app.user().await;
        let fields = UserFields { username: Given("José".to_owned()), email: Given("mike@münchen.example".to_owned()), ..UserFields::default() };
        let id = app.create("Ada", app.license, fields, Undefined).await.id.0;
        for by in [json!({ "id": id }), json!({ "username": " JOSE\u{301} " }), json!({ "email": "MIKE@xn--mnchen-3ya.example" }), json!({ "id": id.to_string().to_uppercase() })] {
            let data = user.data("query ($by: UserBy!) { user(by: $by) { id } }", json!({ "by": by })).await;
            assert_eq!(data["user"], json!({ "id": id }), "{by}");
        }
        for by in [json!({ "id": Id::new().0 }), json!({ "username": "nobody" }), json!({ "email": "" }), json!({ "username": "%" })] {
            assert_eq!(user.data("query ($by: UserBy!) { user(by: $by) { id } }", json!({ "by": by })).await["user"], Value::Null, "{by}");
        }
        for by in [json!({}), json!({ "username": "a", "email": "b" }), json!({ "username": null }), json!({ "id": "7" })] {
            assert_eq!(user.error_code("query ($by: UserBy!) { user(by: $by) { id } }", json!({ "by": by })).await, "BAD_USER_INPUT", "{by}");
        }
    }

    async fn other_licenses_are_invisible_except_to_superusers(app: App) {
        let stranger = app.user_with("There", UserFields::default()).await;
        let there = app.create("Chief", app.other_license, role(Role::LicenseAdmin), Undefined).await;
        let there = app.sign_in(there).await;
        let group = there.mutate("createGroup", "group { id }", json!({ "name": "There" })).await["group"]["id"].clone();
        let site = there.mutate("createInstitution", "institution { id }", json!({ "name": "There", "kind": "HOSPITAL", "country": "AU" })).await["institution"]["id"].clone();
        let session = there.data("{ viewer { sessions { id } } }", json!({})).await["viewer"]["sessions"][0]["id"].clone();
        let query = "query ($ids: [ID!]!, $user: ID!, $email: String!, $group: ID!, $site: ID!, $license: ID!) { nodes(ids: $ids) { id } node(id: $user) { id } a: user(by: { id: $user }) { id } b: user(by: { email: $email }) { id }
            group(id: $group) { id } institution(id: $site) { id } license(id: $license) { id } }";
        let email = there.data("{ viewer { email } }", json!({})).await["viewer"]["email"].clone();
        let variables = json!({ "ids": [there.id(), group, site, session, app.other_license.0], "user": there.id(), "email": email, "group": group, "site": site, "license": app.other_license.0 });
        let nothing = json!({ "nodes": [null, null, null, null, null], "node": null, "a": null, "b": null, "group": null, "institution": null, "license": null });
        for caller in [&stranger, &app.admin().await, &app.license_admin().await] {
            assert_eq!(caller.data(query, variables.clone()).await, nothing);
        }
        let all = app.superuser().await.data(query, variables.clone()).await;
        assert_eq!(all["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect::<Vec<_>>(), variables["ids"].as_array().unwrap()[..]);
        for (mutation, input) in [("updateUser", json!({ "id": there.id(), "nickname": "A" })), ("setActive", json!({ "id": there.id(), "active": false }))] {
            assert_eq!(outcome(&app.license_admin().await, mutation, input.clone()).await, "NOT_FOUND");
            assert_eq!(outcome(&app.superuser().await, mutation, input).await, if mutation == "setActive" { "NOT_ALLOWED" } else { "done" });
        }
    }

    async fn sessions_are_visible_to_their_user_and_administrators(app: App) {
        let (ada, user) = (app.user_with("Ada", UserFields::default()).await, app.user().await);
        let session = ada.data("{ viewer { sessions { id } } }", json!({})).await["viewer"]["sessions"][0]["id"].clone();
        let query = "query ($id: ID!) { node(id: $id) { id ... on Session { isCurrent } } }";
        assert_eq!(ada.data(query, json!({ "id": session })).await["node"], json!({ "id": session, "isCurrent": true }));
        assert_eq!(user.data(query, json!({ "id": session })).await["node"], Value::Null);
        assert_eq!(app.admin().await.data(query, json!({ "id": session })).await["node"], json!({ "id": session, "isCurrent": false }));
    }

    async fn users_change_every_field_of_their_own_profile(app: App) {
        let user = app.user().await;
        let mut own = json!({ "id": user.id() });
        for field in USER_FIELDS.iter().filter(|field| field.is_self_editable) {
            own[field.name] = field.example().unwrap().clone();
        }
        assert_eq!(outcome(&user, "updateUser", own).await, "done");
    }

    async fn users_change_nothing_else_of_themselves_and_nothing_of_others(app: App) {
        let (user, other) = (app.user().await, app.user().await);
        let rest = USER_FIELDS.iter().filter(|field| !field.is_self_editable);
        let rest = rest.map(|field| (field.name, field.example().cloned().unwrap_or_default()));
        let unchanged = [("role", json!("USER")), ("isStaff", json!(false)), ("fullSiteAccess", json!(false))];
        let others = [("password", json!("nine-velvet-comets-hum")), ("adminRights", json!({ "isGroupAdmin": true }))];
        for (field, value) in rest.chain(unchanged).chain(others) {
            assert_eq!(outcome(&user, "updateUser", json!({ "id": user.id(), "nickname": "A", field: value })).await, "FORBIDDEN", "{field}");
        }
        assert_eq!(outcome(&user, "updateUser", json!({ "id": other.id(), "nickname": "A" })).await, "FORBIDDEN");
        assert_eq!(outcome(&user, "setActive", json!({ "id": other.id(), "active": false })).await, "FORBIDDEN");
        assert_eq!(outcome(&user, "setActive", json!({ "id": user.id(), "active": false })).await, "FORBIDDEN");
        assert_eq!(outcome(&user, "createUser", new_user(json!({}))).await, "FORBIDDEN");
        assert_eq!(user.data("{ viewer { nickname version } }", json!({})).await["viewer"], json!({ "nickname": null, "version": 1 }));
    }

    async fn callers_manage_only_users_up_to_their_own_rank(app: App) {
        app.license_admin().await;
        for (height, rank) in RANKS.into_iter().enumerate() {
            let caller = app.user_with("Caller", of_rank(rank)).await;
            // Staff and `ADMIN` have the same rank.
            let reach = if rank == "staff" { 2 } else { height };
            for (target_height, target) in RANKS.into_iter().enumerate() {
                let id = app.create("Target", app.license, of_rank(target), Undefined).await.id.0;
                let expected = if reach > 0 && target_height <= reach { "done" } else { "FORBIDDEN" };
                assert_eq!(outcome(&caller, "updateUser", json!({ "id": id, "nickname": "A", "username": id.as_simple().to_string().chars().rev().take(30).collect::<String>() })).await, expected, "{rank} updates {target}");
                for active in [false, true] {
                    assert_eq!(outcome(&caller, "setActive", json!({ "id": id, "active": active })).await, expected, "{rank} sets isActive of {target} to {active}");
                }
                let given = match target {
                    "staff" => json!({ "isStaff": true }),
                    "admin" => json!({ "role": "ADMIN" }),
                    "license admin" => json!({ "role": "LICENSE_ADMIN" }),
                    "superuser" => json!({ "adminRights": { "isSuperuser": true } }),
                    _ => json!({}),
                };
                assert_eq!(outcome(&caller, "createUser", new_user(given.clone())).await, expected, "{rank} creates {target}");
                let mut promotion = given;
                promotion["id"] = json!(app.create("Promoted", app.license, UserFields::default(), Undefined).await.id.0);
                assert_eq!(outcome(&caller, "updateUser", promotion).await, expected, "{rank} promotes a user to {target}");
            }
        }
    }

    async fn only_license_administrators_and_superusers_change_their_own_role(app: App) {
        app.license_admin().await;
        for (rank, expected) in [("staff", "FORBIDDEN"), ("license admin", "done"), ("superuser", "done")] {
            let caller = app.user_with("Caller", of_rank(rank)).await;
            assert_eq!(outcome(&caller, "updateUser", json!({ "id": caller.id(), "role": "ADMIN" })).await, expected, "{rank}");
        }
        let admin = app.admin().await;
        for role in ["USER", "LICENSE_ADMIN"] {
            assert_eq!(outcome(&admin, "updateUser", json!({ "id": admin.id(), "role": role })).await, "FORBIDDEN");
        }
        assert_eq!(outcome(&admin, "updateUser", json!({ "id": admin.id(), "role": "ADMIN", "nickname": "A" })).await, "done", "setting the current role is not a change");
    }

    async fn callers_cannot_deactivate_themselves(app: App) {
        for rank in RANKS {
            let caller = app.user_with("Caller", of_rank(rank)).await;
            assert_eq!(outcome(&caller, "setActive", json!({ "id": caller.id(), "active": false })).await, "FORBIDDEN", "{rank}");
        }
    }

    async fn update_user_does_not_change_an_administrators_own_credentials(app: App) {
        for rank in ["staff", "admin", "license admin", "superuser"] {
            let caller = app.user_with("Caller", of_rank(rank)).await;
            for (field, value) in [("password", json!("nine-velvet-comets-hum")), ("password", Value::Null), ("email", json!("new@x.example"))] {
                assert_eq!(outcome(&caller, "updateUser", json!({ "id": caller.id(), field: value })).await, "FORBIDDEN", "{rank}: {field}");
            }
        }
    }

    async fn callers_cannot_grant_rights_that_they_do_not_hold(app: App) {
        let (admin, license_admin) = (app.admin().await, app.license_admin().await);
        for right in ["isProjectAdmin", "isTaxonomiesAdmin", "isResourcesAdmin", "isAttributesAdmin", "isSuperuser"] {
            let given = json!({ "adminRights": { right: true } });
            assert_eq!(outcome(&admin, "createUser", new_user(given.clone())).await, "FORBIDDEN", "{right}");
            let mut to_self = given.clone();
            to_self["id"] = json!(admin.id());
            assert_eq!(outcome(&admin, "updateUser", to_self).await, "FORBIDDEN", "{right}");
            let expected = if right == "isSuperuser" { "FORBIDDEN" } else { "done" };
            assert_eq!(outcome(&license_admin, "createUser", new_user(given)).await, expected, "{right}");
        }
        assert_eq!(outcome(&admin, "createUser", new_user(json!({ "fullSiteAccess": true }))).await, "FORBIDDEN");
        assert_eq!(outcome(&admin, "updateUser", json!({ "id": admin.id(), "fullSiteAccess": true })).await, "FORBIDDEN");
        let holder = UserFields { full_site_access: Given(true), role: Given(Role::Admin), ..rights(AdminRightsInput { is_project_admin: Given(true), ..AdminRightsInput::default() }) };
        let holder = app.user_with("Holder", holder).await;
        assert_eq!(outcome(&holder, "createUser", new_user(json!({ "fullSiteAccess": true, "adminRights": { "isProjectAdmin": true } }))).await, "done");
    }

    async fn administrators_change_users_with_more_rights_but_no_higher_rank(app: App) {
        let admin = app.admin().await;
        let holder = rights(AdminRightsInput { is_project_admin: Given(true), ..AdminRightsInput::default() });
        let id = app.create("Holder", app.license, holder, Undefined).await.id.0;
        assert_eq!(outcome(&admin, "updateUser", json!({ "id": id, "nickname": "A" })).await, "done");
    }

    async fn changed_rights_apply_from_the_next_request(app: App) {
        let (license_admin, admin) = (app.license_admin().await, app.admin().await);
        assert_eq!(outcome(&admin, "createUser", new_user(json!({}))).await, "done");
        license_admin.mutate("updateUser", "", json!({ "id": admin.id(), "role": "USER" })).await;
        assert_eq!(outcome(&admin, "createUser", new_user(json!({}))).await, "FORBIDDEN");
        license_admin.mutate("updateUser", "", json!({ "id": admin.id(), "isStaff": true })).await;
        assert_eq!(outcome(&admin, "createUser", new_user(json!({}))).await, "done");
    }

    async fn inactive_users_are_hidden_from_all_but_administrators(app: App) {
        let (user, admin) = (app.user().await, app.admin().await);
        let fields = UserFields { username: Given("gonexyz".to_owned()), ..UserFields::default() };
        let gone = app.create("Gonexyz", app.license, fields, Given(PASSWORD.to_owned())).await;
        let group = app.sign_in(gone.clone()).await.mutate("createGroup", "group { id }", json!({ "name": "A" })).await["group"]["id"].clone();
        admin.mutate("setActive", "", json!({ "id": gone.id.0, "active": false })).await;
        let query = "query ($id: ID!, $group: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } user(by: { username: \"gonexyz\" }) { id }
            group(id: $group) { members { totalCount } } searchUsers(query: \"gonexyz\") { totalCount } users { nodes { id } } }";
        let data = user.data(query, json!({ "id": gone.id.0, "group": group })).await;
        assert!(!data.to_string().contains(&gone.id.0.to_string()), "{data:#}");
        assert_eq!((&data["group"]["members"]["totalCount"], &data["searchUsers"]["totalCount"]), (&json!(0), &json!(0)));
        let data = admin.data(query, json!({ "id": gone.id.0, "group": group })).await;
        assert_eq!((&data["node"]["id"], &data["user"]["id"]), (&json!(gone.id.0), &json!(gone.id.0)));
        assert_eq!(outcome(&user, "updateUser", json!({ "id": gone.id.0, "nickname": "A" })).await, "NOT_FOUND");
        assert_eq!(outcome(&admin, "updateUser", json!({ "id": gone.id.0, "nickname": "A" })).await, "done");
    }

    async fn new_users_belong_to_the_license_of_their_creator(app: App) {
        let there = app.sign_in(app.create("There", app.other_license, role(Role::Admin), Undefined).await).await;
        let payload = there.mutate("createUser", "user { license { number } }", new_user(json!({}))).await;
        assert_eq!(payload["user"]["license"]["number"], json!("B-2"));
        assert_eq!(there.mutation_error_code("createUser", new_user(json!({ "licenseId": app.license.0 }))).await, "BAD_USER_INPUT");
    }
}
