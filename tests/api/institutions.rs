//! Institutions.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::audit;
use roster::entity::institution;
use roster::entity::user::{Role, UserFields};
use roster::scalar::Id;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::app::{App, Caller, payload_errors};

fn hospital(given: Value) -> Value {
    let mut input = json!({ "name": "St George Hospital", "kind": "HOSPITAL", "country": "AU" });
    if let Value::Object(given) = given {
        input.as_object_mut().unwrap().extend(given);
    }
    input
}

const ALL: &str = "name kind country state city address postcode phone email numBeds externalId";

/// Creates an institution and returns its id.
async fn create_institution(caller: &Caller<'_>) -> String {
    let payload = caller.mutate("createInstitution", "institution { id }", hospital(json!({}))).await;
    payload["institution"]["id"].as_str().unwrap().to_owned()
}

fn granted(user: &Caller<'_>, institution: &str) -> Value {
    json!({ "userId": user.id(), "institutionId": institution })
}

on_every_database! {
    async fn an_institution_is_created_with_every_field(app: App) {
        let license_admin = app.license_admin().await;
        let given = json!({ "name": "St George Hospital", "kind": "CARE_HOME", "country": "AU", "state": "NSW", "city": "Kogarah", "address": "Gray St",
            "postcode": "2217", "phone": "+61 2 9113 1111", "email": "desk@stgeorge.example", "numBeds": 0, "externalId": "007" });
        let selection = "institution { id name kind country state city address postcode phone email numBeds externalId displayName version license { number } users { totalCount } }";
        let payload = license_admin.mutate("createInstitution", selection, given.clone()).await;
        for (field, value) in given.as_object().unwrap() {
            assert_eq!(payload["institution"][field], *value, "{field}");
        }
        assert_eq!(payload["institution"]["displayName"], json!("St George Hospital / Kogarah"));
        assert_eq!(payload["institution"]["license"]["number"], json!("A-1"));
        let read = license_admin.data("query ($id: ID!) { institution(id: $id) { id name kind country state city address postcode phone email numBeds externalId displayName version license { number } users { totalCount } } }",
            json!({ "id": payload["institution"]["id"] })).await;
        assert_eq!(read["institution"], payload["institution"]);
    }

    async fn the_display_name_without_a_city_is_the_name(app: App) {
        let payload = app.license_admin().await.mutate("createInstitution", "institution { displayName country }", hospital(json!({ "country": "au" }))).await;
        assert_eq!(payload["institution"], json!({ "displayName": "St George Hospital", "country": "AU" }));
    }

    async fn all_errors_of_a_new_institution_are_reported_at_once(app: App) {
        let license_admin = app.license_admin().await;
        license_admin.mutate("createInstitution", "", hospital(json!({ "externalId": "7" }))).await;
        assert_eq!(license_admin.payload_errors("createInstitution", hospital(json!({ "externalId": " 7 " }))).await, ["TAKEN input.externalId"]);
        let input = json!({ "name": " ", "kind": "HOSPITAL", "country": "Australia", "state": "x".repeat(101), "city": null, "address": "x".repeat(201),
            "postcode": "x".repeat(21), "phone": "none", "email": "none", "numBeds": -1, "externalId": "7" });
        assert_eq!(license_admin.payload_errors("createInstitution", input).await, [
            "INVALID input.country", "INVALID input.email", "INVALID input.phone", "NULL_NOT_ALLOWED input.city", "REQUIRED input.name", "TAKEN input.externalId",
            "TOO_LONG input.address", "TOO_LONG input.postcode", "TOO_LONG input.state", "TOO_SHORT input.numBeds",
        ]);
        assert_eq!(license_admin.payload_errors("createInstitution", hospital(json!({ "name": "é".repeat(201), "numBeds": 100_001, "externalId": "x".repeat(251) }))).await,
            ["TOO_LONG input.externalId", "TOO_LONG input.name", "TOO_LONG input.numBeds"]);
    }

    async fn an_external_id_is_unique_within_the_license(app: App) {
        let license_admin = app.license_admin().await;
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let there = app.sign_in(app.create("There", app.other_license, there, Undefined).await).await;
        for (caller, id) in [(&license_admin, "1"), (&license_admin, "001"), (&there, "1")] {
            assert_eq!(caller.mutate("createInstitution", "", hospital(json!({ "externalId": id }))).await["success"], json!(true));
        }
    }

    async fn only_existing_countries_are_valid(app: App) {
        let license_admin = app.license_admin().await;
        let institution = create_institution(&license_admin).await;
        for bad in ["UK", "XX", "EU", "AUS", "A", "", "Australia", "\u{ff21}\u{ff35}"] {
            let error = if bad.is_empty() { "REQUIRED input.country" } else { "INVALID input.country" };
            assert_eq!(license_admin.payload_errors("createInstitution", hospital(json!({ "country": bad }))).await, [error], "{bad:?}");
            assert_eq!(license_admin.payload_errors("updateInstitution", json!({ "id": institution, "country": bad })).await, [error], "{bad:?}");
        }
        let payload = license_admin.mutate("updateInstitution", "institution { country }", json!({ "id": institution, "country": " nz " })).await;
        assert_eq!(payload["institution"]["country"], json!("NZ"));
    }

    async fn every_field_of_an_institution_is_updated_and_null_clears_it(app: App) {
        let license_admin = app.license_admin().await;
        let institution = create_institution(&license_admin).await;
        let selection = format!("institution {{ {ALL} version }}");
        let given = json!({ "name": "St Brigid", "kind": "HOSPICE", "country": "IE", "state": "Munster", "city": "Cork", "address": "Gray St", "postcode": "T12",
            "phone": "+353 20 910", "email": "desk@brigid.example.org", "numBeds": 12, "externalId": "H-1" });
        let mut input = given.clone();
        input["id"] = json!(institution);
        let first = license_admin.mutate("updateInstitution", &selection, input.clone()).await["institution"].clone();
        let mut expected = given.clone();
        expected["version"] = json!(2);
        assert_eq!(first, expected);
        input["expectedVersion"] = json!(2);
        for nothing_new in [json!({ "id": institution }), input] {
            assert_eq!(license_admin.mutate("updateInstitution", &selection, nothing_new).await["institution"], first);
        }
        let tried = license_admin.mutate("updateInstitution", &selection, json!({ "id": institution, "name": "Other", "dryRun": true })).await;
        assert_eq!((&tried["success"], &tried["institution"]), (&json!(true), &first));
        let cleared = json!({ "id": institution, "state": null, "city": " ", "address": null, "postcode": null, "phone": null, "email": null, "numBeds": null, "externalId": null });
        let payload = license_admin.mutate("updateInstitution", &selection, cleared).await["institution"].clone();
        assert_eq!(payload, json!({ "name": "St Brigid", "kind": "HOSPICE", "country": "IE", "state": null, "city": null, "address": null, "postcode": null,
            "phone": null, "email": null, "numBeds": null, "externalId": null, "version": 3 }));
    }

    async fn all_errors_of_an_institution_update_are_reported_at_once(app: App) {
        let license_admin = app.license_admin().await;
        let institution = create_institution(&license_admin).await;
        license_admin.mutate("createInstitution", "", hospital(json!({ "externalId": "7" }))).await;
        let input = json!({ "id": institution, "name": " ", "kind": null, "country": null, "phone": "none", "email": "none", "numBeds": -1, "externalId": " 7 " });
        assert_eq!(license_admin.payload_errors("updateInstitution", input).await, [
            "INVALID input.email", "INVALID input.phone", "NULL_NOT_ALLOWED input.country", "NULL_NOT_ALLOWED input.kind", "REQUIRED input.name",
            "TAKEN input.externalId", "TOO_SHORT input.numBeds",
        ]);
        for dry_run in [false, true] {
            let taken = json!({ "id": institution, "externalId": "7", "dryRun": dry_run });
            assert_eq!(license_admin.payload_errors("updateInstitution", taken).await, ["TAKEN input.externalId"]);
        }
        for mutation in ["updateInstitution", "deleteInstitution"] {
            assert_eq!(license_admin.payload_errors(mutation, json!({ "id": "7" })).await, ["INVALID input.id"]);
            assert_eq!(license_admin.payload_errors(mutation, json!({ "id": Id::new().0 })).await, ["NOT_FOUND input.id"]);
        }
    }

    async fn one_of_many_updates_with_the_same_expected_version_succeeds(app: App) {
        let license_admin = app.license_admin().await;
        let institution = create_institution(&license_admin).await;
        let change = |n: i32| json!({ "id": institution, "numBeds": n, "expectedVersion": 1 });
        let payloads = join_all((1..11).map(|n| license_admin.mutate("updateInstitution", "institution { numBeds version }", change(n)))).await;
        let done: Vec<&Value> = payloads.iter().filter(|payload| payload["success"] == json!(true)).collect();
        assert_eq!(done.len(), 1);
        for payload in payloads.iter().filter(|payload| payload["success"] == json!(false)) {
            assert_eq!(payload_errors(payload), ["CONFLICT input.expectedVersion"]);
            assert_eq!(payload["institution"], done[0]["institution"], "the current institution");
        }
    }

    async fn administrators_update_the_sites_they_have_access_to(app: App) {
        let (license_admin, admin, user, stranger) = (app.license_admin().await, app.admin().await, app.user().await, app.other_license_user().await);
        let everywhere = UserFields { role: Given(Role::Admin), full_site_access: Given(true), ..UserFields::default() };
        let everywhere = app.user_with("Everywhere", everywhere).await;
        let (institution, other) = (create_institution(&license_admin).await, create_institution(&license_admin).await);
        license_admin.mutate("grantSiteAccess", "", granted(&admin, &institution)).await;
        license_admin.mutate("grantSiteAccess", "", granted(&user, &institution)).await;
        let input = |institution: &str| json!({ "id": institution, "city": "Cork" });
        for (mutation, input) in [("updateInstitution", input(&other)), ("deleteInstitution", json!({ "id": other }))] {
            assert_eq!(admin.mutation_error_code(mutation, input.clone()).await, "FORBIDDEN");
            assert_eq!(user.mutation_error_code(mutation, input.clone()).await, "FORBIDDEN");
            assert_eq!(stranger.mutation_error_code(mutation, input.clone()).await, "FORBIDDEN");
            assert_eq!(app.anonymous().mutation_error_code(mutation, input).await, "UNAUTHENTICATED");
        }
        assert_eq!(user.mutation_error_code("updateInstitution", input(&institution)).await, "FORBIDDEN", "access to a site does not allow updating it");
        for caller in [&admin, &everywhere, &license_admin, &app.superuser().await] {
            assert_eq!(caller.mutate("updateInstitution", "", input(&institution)).await["success"], json!(true));
        }
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let there = app.sign_in(app.create("There", app.other_license, there, Undefined).await).await;
        assert_eq!(there.payload_errors("updateInstitution", input(&institution)).await, ["NOT_FOUND input.id"]);
        assert_eq!(there.payload_errors("deleteInstitution", json!({ "id": institution })).await, ["NOT_FOUND input.id"]);
        license_admin.mutate("revokeSiteAccess", "", granted(&admin, &institution)).await;
        assert_eq!(admin.mutation_error_code("updateInstitution", input(&institution)).await, "FORBIDDEN", "effective with the next request");
        license_admin.mutate("grantSiteAccess", "", granted(&admin, &institution)).await;
        assert_eq!(admin.mutate("deleteInstitution", "deletedInstitutionId", json!({ "id": institution })).await["deletedInstitutionId"], json!(institution));
        assert_eq!(everywhere.mutate("deleteInstitution", "deletedInstitutionId", json!({ "id": other })).await["deletedInstitutionId"], json!(other));
    }

    async fn an_institution_is_deleted_only_without_users(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        let institution = create_institution(&license_admin).await;
        let into = UserFields { institution_id: Given(institution.as_str().into()), ..UserFields::default() };
        let (one, gone) = (app.user_with("One", into.clone()).await, app.user_with("Gone", into).await);
        license_admin.mutate("setActive", "", json!({ "id": gone.id(), "active": false })).await;
        license_admin.mutate("grantSiteAccess", "", granted(&user, &institution)).await;
        for (count, belonging) in [("2 users belong", &one), ("1 user belongs", &gone)] {
            let payload = license_admin.mutate("deleteInstitution", "deletedInstitutionId", json!({ "id": institution })).await;
            assert_eq!((payload_errors(&payload), &payload["deletedInstitutionId"]), (vec!["NOT_ALLOWED input.id".to_owned()], &Value::Null));
            assert!(payload["message"].as_str().unwrap().starts_with(count), "{payload:#}");
            license_admin.mutate("updateUser", "", json!({ "id": belonging.id(), "institutionId": null })).await;
        }
        let payload = license_admin.mutate("deleteInstitution", "deletedInstitutionId", json!({ "id": institution })).await;
        assert_eq!((&payload["success"], &payload["deletedInstitutionId"]), (&json!(true), &json!(institution)));
        let data = user.data("query ($id: ID!) { institution(id: $id) { id } viewer { sites { totalCount } } }", json!({ "id": institution })).await;
        assert_eq!(data, json!({ "institution": null, "viewer": { "sites": { "totalCount": 0 } } }));
        assert_eq!(license_admin.payload_errors("deleteInstitution", json!({ "id": institution })).await, ["NOT_FOUND input.id"]);
    }

    async fn no_user_is_assigned_to_an_institution_during_its_deletion(app: App) {
        let (license_admin, admin, moved) = (app.license_admin().await, app.license_admin().await, app.user().await);
        for n in 0..20 {
            let institution = create_institution(&license_admin).await;
            let delete = license_admin.mutate("deleteInstitution", "", json!({ "id": institution }));
            let (deleted, put) = if n % 2 == 0 {
                let new_user = json!({ "firstName": "New", "lastName": "Person", "email": format!("{n}@x.example.org"), "institutionId": institution });
                tokio::join!(delete, admin.mutate("createUser", "user { id }", new_user))
            } else {
                tokio::join!(delete, admin.mutate("updateUser", "user { id }", json!({ "id": moved.id(), "institutionId": institution })))
            };
            let there = license_admin.data("query ($id: ID!) { institution(id: $id) { users { totalCount } } }", json!({ "id": institution })).await;
            if deleted["success"] == json!(true) {
                assert_eq!(payload_errors(&put), ["NOT_FOUND input.institutionId"], "{put:#}");
                assert_eq!(there["institution"], Value::Null);
            } else {
                assert_eq!(payload_errors(&deleted), ["NOT_ALLOWED input.id"], "{deleted:#}");
                assert_eq!(put["success"], json!(true), "{put:#}");
                assert_eq!(there["institution"]["users"]["totalCount"], json!(1));
            }
        }
    }

    async fn assigning_a_user_to_a_just_deleted_institution_is_an_error(app: App) {
        let (license_admin, moved) = (app.license_admin().await, app.user().await);
        // The number of statements before the mutation waits for the deletion; on PostgreSQL, an update has found the
        // institution by then.
        let (to_enter, to_move) = (2, if app.db.is_postgres() { 3 } else { 1 });
        for is_new in [true, false] {
            let institution = create_institution(&license_admin).await;
            let deletion = app.db.begin().await.unwrap();
            institution::Entity::delete_by_id(Id::parse(&institution).unwrap()).exec(&deletion).await.unwrap();
            let before = app.db.statements();
            let (mutation, input, read) = if is_new {
                let new_user = json!({ "firstName": "New", "lastName": "Person", "email": "new@example.org", "institutionId": institution });
                ("createUser", new_user, to_enter)
            } else {
                ("updateUser", json!({ "id": moved.id(), "institutionId": institution }), to_move)
            };
            let delete = async {
                while app.db.statements() < before + read {
                    tokio::task::yield_now().await;
                }
                audit::commit(deletion, []).await.unwrap();
            };
            let (errors, ()) = tokio::join!(license_admin.payload_errors(mutation, input), delete);
            assert_eq!(errors, ["NOT_FOUND input.institutionId"], "{mutation}");
        }
    }

    async fn only_administrators_with_full_site_access_create_institutions(app: App) {
        let everywhere = UserFields { role: Given(Role::Admin), full_site_access: Given(true), ..UserFields::default() };
        let everywhere = app.user_with("Everywhere", everywhere).await;
        for caller in [everywhere, app.license_admin().await, app.superuser().await] {
            assert_eq!(caller.mutate("createInstitution", "", hospital(json!({}))).await["success"], json!(true));
        }
        for caller in [app.user().await, app.admin().await] {
            assert_eq!(caller.mutation_error_code("createInstitution", hospital(json!({}))).await, "FORBIDDEN");
        }
        assert_eq!(app.anonymous().mutation_error_code("createInstitution", hospital(json!({}))).await, "UNAUTHENTICATED");
    }
}
