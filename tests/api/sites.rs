//! Access of users to the data of institutions.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::entity::user::{AdminRightsInput, Role, UserFields};
use roster::entity::{site_access, user};
use roster::scalar::{Id, now};
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller};

const SITES: &str = "sites { totalCount nodes { name } }";

/// Creates an institution of the caller's license and returns its id.
async fn create_institution(caller: &Caller<'_>, name: &str) -> String {
    let input = json!({ "name": name, "kind": "HOSPITAL", "country": "AU" });
    let payload = caller.mutate("createInstitution", "institution { id }", input).await;
    payload["institution"]["id"].as_str().unwrap().to_owned()
}

fn access(user: &Caller<'_>, institution: &str) -> Value {
    json!({ "userId": user.id(), "institutionId": institution })
}

/// The names of a user's sites, as a caller sees them.
async fn sites_of(caller: &Caller<'_>, user: &Caller<'_>) -> Vec<String> {
    let query = format!("query ($id: ID!) {{ user(by: {{ id: $id }}) {{ {SITES} }} }}");
    let data = caller.data(&query, json!({ "id": user.id() })).await;
    let nodes = data["user"]["sites"]["nodes"].as_array().unwrap_or_else(|| panic!("{data:#}"));
    assert_eq!(data["user"]["sites"]["totalCount"], json!(nodes.len()));
    nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// The users among the given ones who meet a condition.
async fn users_matching(app: &App, users: &[Id], condition: Condition) -> Vec<Id> {
    let some = user::Entity::find().filter(user::Column::Id.is_in(users.to_vec())).filter(condition);
    let mut met: Vec<Id> = some.all(app.db.read()).await.unwrap().into_iter().map(|user| user.id).collect();
    met.sort();
    met
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

async fn of_the_other_license(app: &App) -> Caller<'_> {
    let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
    app.sign_in(app.create("There", app.other_license, there, Undefined).await).await
}

on_every_database! {
    async fn granted_sites_are_listed_by_name(app: App) {
        let (license_admin, user, other) = (app.license_admin().await, app.user().await, app.user().await);
        let mut institutions = Vec::new();
        for name in ["zeta", "Ähre", "beta", "Alpha", "not granted"] {
            institutions.push(create_institution(&license_admin, name).await);
        }
        for institution in &institutions[..4] {
            let payload = license_admin.mutate("grantSiteAccess", "user { id }", access(&user, institution)).await;
            assert_eq!((&payload["success"], &payload["user"]["id"]), (&json!(true), &json!(user.id())));
        }
        for caller in [&user, &other, &license_admin] {
            assert_eq!(sites_of(caller, &user).await, ["Ähre", "Alpha", "beta", "zeta"], "everyone who sees the user sees the sites");
        }
        assert_eq!(sites_of(&license_admin, &other).await, [""; 0]);
        license_admin.mutate("revokeSiteAccess", "", access(&user, &institutions[0])).await;
        assert_eq!(sites_of(&user, &user).await, ["Ähre", "Alpha", "beta"]);
    }

    async fn full_site_access_covers_every_site_of_the_license_and_no_other(app: App) {
        let (license_admin, there) = (app.license_admin().await, of_the_other_license(&app).await);
        let fields = UserFields { full_site_access: Given(true), ..UserFields::default() };
        let everywhere = app.user_with("Everywhere", fields).await;
        let (first, _) = (create_institution(&license_admin, "First").await, create_institution(&license_admin, "Second").await);
        create_institution(&there, "Elsewhere").await;
        for user in [&everywhere, &license_admin] {
            assert_eq!(sites_of(user, user).await, ["First", "Second"]);
        }
        assert_eq!(sites_of(&app.superuser().await, &there).await, ["Elsewhere"]);
        // A single grant takes effect once full site access ends.
        license_admin.mutate("grantSiteAccess", "", access(&everywhere, &first)).await;
        assert_eq!(sites_of(&license_admin, &everywhere).await, ["First", "Second"]);
        license_admin.mutate("updateUser", "", json!({ "id": everywhere.id(), "fullSiteAccess": false })).await;
        assert_eq!(sites_of(&license_admin, &everywhere).await, ["First"]);
    }

    async fn sites_are_paged_and_a_cursor_belongs_to_one_list(app: App) {
        let (license_admin, user, other) = (app.license_admin().await, app.user().await, app.user().await);
        for n in 0..5 {
            let institution = create_institution(&license_admin, &format!("House {n}")).await;
            license_admin.mutate("grantSiteAccess", "", access(&user, &institution)).await;
            license_admin.mutate("grantSiteAccess", "", access(&other, &institution)).await;
        }
        let query = "query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { user(by: { id: $id }) {
            sites(first: $first, after: $after, last: $last, before: $before) { pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { name } } } }";
        for caller in [&user, &license_admin] {
            let page = async |mut arguments: Value| {
                arguments["id"] = json!(caller.id());
                user.data(query, arguments).await["user"]["sites"].clone()
            };
            let first = page(json!({ "first": 2 })).await;
            assert_eq!(first["nodes"], json!([{ "name": "House 0" }, { "name": "House 1" }]));
            assert_eq!((&first["pageInfo"]["hasNextPage"], &first["pageInfo"]["hasPreviousPage"]), (&json!(true), &json!(false)));
            let next = page(json!({ "first": 10, "after": first["pageInfo"]["endCursor"] })).await;
            assert_eq!(next["nodes"], json!([{ "name": "House 2" }, { "name": "House 3" }, { "name": "House 4" }]));
            let last = page(json!({ "last": 2, "before": next["pageInfo"]["endCursor"] })).await;
            assert_eq!(last["nodes"], json!([{ "name": "House 2" }, { "name": "House 3" }]));
            let foreign = json!({ "id": other.id(), "after": first["pageInfo"]["endCursor"] });
            assert_eq!(user.error_code(query, foreign).await, "BAD_USER_INPUT");
        }
        for first in [0, -1, 101] {
            assert_eq!(user.error_code(query, json!({ "id": user.id(), "first": first })).await, "BAD_USER_INPUT");
        }
    }

    async fn granting_and_revoking_are_idempotent_and_keep_the_version(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        let institution = create_institution(&license_admin, "House").await;
        let selection = "user { version modifiedAt sites { totalCount } }";
        let before = license_admin.data("query ($id: ID!) { user(by: { id: $id }) { version modifiedAt } }", json!({ "id": user.id() })).await["user"].clone();
        for (mutation, count) in [("grantSiteAccess", 1), ("grantSiteAccess", 1), ("revokeSiteAccess", 0), ("revokeSiteAccess", 0)] {
            let payload = license_admin.mutate(mutation, selection, access(&user, &institution)).await;
            let expected = json!({ "version": before["version"], "modifiedAt": before["modifiedAt"], "sites": { "totalCount": count } });
            assert_eq!((&payload["success"], &payload["user"]), (&json!(true), &expected), "{mutation}");
        }
        let grants = join_all((0..10).map(|_| license_admin.mutate("grantSiteAccess", "", access(&user, &institution)))).await;
        assert!(grants.iter().all(|payload| payload["success"] == json!(true)), "{grants:#?}");
        let events = format!("{{ auditEvents(filter: {{ subject: \"{}\", action: [SITE_ACCESS_GRANTED, SITE_ACCESS_REVOKED] }}) {{ totalCount }} }}", user.id());
        assert_eq!(license_admin.data(&events, json!({})).await["auditEvents"]["totalCount"], json!(3));
    }

    async fn administrators_grant_their_own_sites_to_users_up_to_their_rank(app: App) {
        let (license_admin, admin, user) = (app.license_admin().await, app.admin().await, app.user().await);
        let (own, other) = (create_institution(&license_admin, "Own").await, create_institution(&license_admin, "Other").await);
        license_admin.mutate("grantSiteAccess", "", access(&admin, &own)).await;
        license_admin.mutate("grantSiteAccess", "", access(&user, &own)).await;
        let colleague = app.admin().await;
        for mutation in ["grantSiteAccess", "revokeSiteAccess"] {
            for grantee in [&user, &colleague] {
                assert_eq!(admin.mutate(mutation, "", access(grantee, &own)).await["success"], json!(true));
                assert_eq!(admin.mutation_error_code(mutation, access(grantee, &other)).await, "FORBIDDEN");
            }
            assert_eq!(admin.mutation_error_code(mutation, access(&admin, &other)).await, "FORBIDDEN");
            for above in [&license_admin, &app.superuser().await] {
                assert_eq!(admin.mutation_error_code(mutation, access(above, &own)).await, "FORBIDDEN");
                assert_eq!(license_admin.mutate(mutation, "", access(above, &own)).await["success"], json!(true));
            }
            assert_eq!(user.mutation_error_code(mutation, access(&user, &own)).await, "FORBIDDEN");
            assert_eq!(app.anonymous().mutation_error_code(mutation, access(&user, &own)).await, "UNAUTHENTICATED");
        }
        let rights = AdminRightsInput { is_admin: Given(true), ..AdminRightsInput::default() };
        let everywhere = UserFields { admin_rights: Given(rights), full_site_access: Given(true), ..UserFields::default() };
        let everywhere = app.user_with("Everywhere", everywhere).await;
        assert_eq!(everywhere.mutate("grantSiteAccess", "", access(&user, &other)).await["success"], json!(true));
    }

    async fn two_administrators_revoking_each_others_site_leave_one(app: App) {
        let (license_admin, one, other) = (app.license_admin().await, app.admin().await, app.admin().await);
        for n in 0..5 {
            let institution = create_institution(&license_admin, &format!("House {n}")).await;
            for admin in [&one, &other] {
                license_admin.mutate("grantSiteAccess", "", access(admin, &institution)).await;
            }
            let execute = async |by: &Caller<'_>, from: &Caller<'_>| {
                let mutation = "mutation ($input: SiteAccessInput!) { revokeSiteAccess(input: $input) { success } }";
                by.execute(mutation, json!({ "input": access(from, &institution) })).await["data"]["revokeSiteAccess"]["success"] == json!(true)
            };
            let (first, second) = tokio::join!(execute(&one, &other), execute(&other, &one));
            assert!(first != second, "one of them no longer had the site");
            assert_eq!(sites_of(&license_admin, &one).await.len() + sites_of(&license_admin, &other).await.len(), n + 1);
        }
    }

    async fn user_and_institution_must_belong_to_the_same_license(app: App) {
        let (license_admin, root, user, stranger) = (app.license_admin().await, app.superuser().await, app.user().await, app.other_license_user().await);
        let there = of_the_other_license(&app).await;
        let (institution, elsewhere) = (create_institution(&license_admin, "House").await, create_institution(&there, "Elsewhere").await);
        let nothing = Id::new().0.to_string();
        for mutation in ["grantSiteAccess", "revokeSiteAccess"] {
            let errors = async |caller: &Caller<'_>, user: &str, institution: &str| caller.payload_errors(mutation, json!({ "userId": user, "institutionId": institution })).await;
            assert_eq!(errors(&license_admin, "1", "2").await, ["INVALID input.institutionId", "INVALID input.userId"]);
            assert_eq!(errors(&license_admin, &nothing, &nothing).await, ["NOT_FOUND input.institutionId", "NOT_FOUND input.userId"]);
            assert_eq!(errors(&license_admin, &stranger.id(), &institution).await, ["NOT_FOUND input.userId"]);
            assert_eq!(errors(&license_admin, &user.id(), &elsewhere).await, ["NOT_FOUND input.institutionId"]);
            assert_eq!(errors(&root, &stranger.id(), &institution).await, ["NOT_FOUND input.userId"]);
            assert_eq!(errors(&root, &user.id(), &elsewhere).await, ["NOT_FOUND input.userId"]);
        }
        assert_eq!(root.mutate("grantSiteAccess", "", access(&stranger, &elsewhere)).await["success"], json!(true));
    }

    async fn deactivating_keeps_site_access_and_erasing_ends_it(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        let institution = create_institution(&license_admin, "House").await;
        license_admin.mutate("grantSiteAccess", "", access(&user, &institution)).await;
        license_admin.mutate("setActive", "", json!({ "id": user.id(), "active": false })).await;
        assert_eq!(sites_of(&license_admin, &user).await, ["House"]);
        assert_eq!(license_admin.mutate("grantSiteAccess", "", access(&user, &institution)).await["success"], json!(true), "inactive users can be granted access, too");
        license_admin.mutate("setActive", "", json!({ "id": user.id(), "active": true })).await;
        assert_eq!(sites_of(&license_admin, &user).await, ["House"]);
        license_admin.mutate("deleteUser", "", json!({ "id": user.id() })).await;
        assert_eq!(site_access::Entity::find().all(app.db.read()).await.unwrap(), []);
    }

    async fn a_condition_selects_the_users_with_access_to_a_site(app: App) {
        let (license_admin, user, nobody, stranger) = (app.license_admin().await, app.user().await, app.user().await, app.other_license_user().await);
        let (first, second) = (id(&create_institution(&license_admin, "First").await), id(&create_institution(&license_admin, "Second").await));
        let backend = app.db.read().get_database_backend();
        let users = [license_admin.id, user.id, nobody.id, stranger.id];
        let grant = site_access::Model { user_id: user.id, institution_id: first, granted_at: now() };
        grant.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
        let everywhere = user::Entity::update_many().col_expr(user::Column::FullSiteAccess, Expr::value(true));
        everywhere.filter(user::Column::Id.eq(stranger.id)).exec(app.db.write()).await.unwrap();
        for (sites, expected) in [
            (vec![first], vec![license_admin.id, user.id]),
            (vec![second], vec![license_admin.id]),
            (vec![second, first], vec![license_admin.id, user.id]),
            (vec![Id::new()], vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(users_matching(&app, &users, site_access::accesses_one_of(backend, &sites)).await, expected, "{sites:?}");
        }
        assert_eq!(users_matching(&app, &users, site_access::accesses_any()).await, [license_admin.id, user.id], "without sites, no user has access");
        assert_eq!(users_matching(&app, &users, site_access::accesses_any().not()).await, [nobody.id, stranger.id]);
    }
}
