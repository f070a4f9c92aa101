//! Institutions.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::audit;
use roster::entity::institution;
use roster::entity::user::{Role, UserFields};
use roster::scalar::Id;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::app::{App, Caller, faults_of};

fn hospital(said: Value) -> Value {
    let mut input = json!({ "name": "St George Hospital", "kind": "HOSPITAL", "country": "AU" });
    if let Value::Object(said) = said {
        input.as_object_mut().unwrap().extend(said);
    }
    input
}

const ALL: &str = "name kind country state city address postcode phone email numBeds externalId";

/// Creates an institution and returns its id.
async fn create_institution(caller: &Caller<'_>) -> String {
    let payload = caller.change("createInstitution", "institution { id }", hospital(json!({}))).await;
    payload["institution"]["id"].as_str().unwrap().to_owned()
}

fn granted(user: &Caller<'_>, house: &str) -> Value {
    json!({ "userId": user.id(), "institutionId": house })
}

on_every_database! {
    async fn an_institution_is_created_with_every_field(app: App) {
        let chief = app.license_admin().await;
        let said = json!({ "name": "St George Hospital", "kind": "CARE_HOME", "country": "AU", "state": "NSW", "city": "Kogarah", "address": "Gray St",
            "postcode": "2217", "phone": "+61 2 9113 1111", "email": "desk@stgeorge.example", "numBeds": 0, "externalId": "007" });
        let selection = "institution { id name kind country state city address postcode phone email numBeds externalId displayName version license { number } users { totalCount } }";
        let payload = chief.change("createInstitution", selection, said.clone()).await;
        for (field, value) in said.as_object().unwrap() {
            assert_eq!(payload["institution"][field], *value, "{field}");
        }
        assert_eq!(payload["institution"]["displayName"], json!("St George Hospital / Kogarah"));
        assert_eq!(payload["institution"]["license"]["number"], json!("A-1"));
        let read = chief.data("query ($id: ID!) { institution(id: $id) { id name kind country state city address postcode phone email numBeds externalId displayName version license { number } users { totalCount } } }",
            json!({ "id": payload["institution"]["id"] })).await;
        assert_eq!(read["institution"], payload["institution"]);
    }

    async fn the_display_name_without_a_city_is_the_name(app: App) {
        let payload = app.license_admin().await.change("createInstitution", "institution { displayName country }", hospital(json!({ "country": "au" }))).await;
        assert_eq!(payload["institution"], json!({ "displayName": "St George Hospital", "country": "AU" }));
    }

    async fn all_errors_of_a_new_institution_are_reported_at_once(app: App) {
        let chief = app.license_admin().await;
        chief.change("createInstitution", "", hospital(json!({ "externalId": "7" }))).await;
        assert_eq!(chief.faults("createInstitution", hospital(json!({ "externalId": " 7 " }))).await, ["TAKEN input.externalId"]);
        let input = json!({ "name": " ", "kind": "HOSPITAL", "country": "Australia", "state": "x".repeat(101), "city": null, "address": "x".repeat(201),
            "postcode": "x".repeat(21), "phone": "none", "email": "none", "numBeds": -1, "externalId": "7" });
        assert_eq!(chief.faults("createInstitution", input).await, [
            "INVALID input.country", "INVALID input.email", "INVALID input.phone", "NULL_NOT_ALLOWED input.city", "REQUIRED input.name", "TAKEN input.externalId",
            "TOO_LONG input.address", "TOO_LONG input.postcode", "TOO_LONG input.state", "TOO_SHORT input.numBeds",
        ]);
        assert_eq!(chief.faults("createInstitution", hospital(json!({ "name": "é".repeat(201), "numBeds": 100_001, "externalId": "x".repeat(251) }))).await,
            ["TOO_LONG input.externalId", "TOO_LONG input.name", "TOO_LONG input.numBeds"]);
    }

    async fn an_external_id_is_unique_within_the_license(app: App) {
        let chief = app.license_admin().await;
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let there = app.sign_in(app.create("There", app.other_license, there, Undefined).await).await;
        for (caller, id) in [(&chief, "1"), (&chief, "001"), (&there, "1")] {
            assert_eq!(caller.change("createInstitution", "", hospital(json!({ "externalId": id }))).await["success"], json!(true));
        }
    }

    async fn only_existing_countries_are_valid(app: App) {
        let chief = app.license_admin().await;
        let house = create_institution(&chief).await;
        for bad in ["UK", "XX", "EU", "AUS", "A", "", "Australia", "\u{ff21}\u{ff35}"] {
            let fault = if bad.is_empty() { "REQUIRED input.country" } else { "INVALID input.country" };
            assert_eq!(chief.faults("createInstitution", hospital(json!({ "country": bad }))).await, [fault], "{bad:?}");
            assert_eq!(chief.faults("updateInstitution", json!({ "id": house, "country": bad })).await, [fault], "{bad:?}");
        }
        let payload = chief.change("updateInstitution", "institution { country }", json!({ "id": house, "country": " nz " })).await;
        assert_eq!(payload["institution"]["country"], json!("NZ"));
    }

    async fn every_field_of_an_institution_is_updated_and_null_clears_it(app: App) {
        let chief = app.license_admin().await;
        let house = create_institution(&chief).await;
        let selection = format!("institution {{ {ALL} version }}");
        let said = json!({ "name": "St Brigid", "kind": "HOSPICE", "country": "IE", "state": "Munster", "city": "Cork", "address": "Gray St", "postcode": "T12",
            "phone": "+353 20 910", "email": "desk@brigid.example.org", "numBeds": 12, "externalId": "H-1" });
        let mut input = said.clone();
        input["id"] = json!(house);
        let first = chief.change("updateInstitution", &selection, input.clone()).await["institution"].clone();
        let mut expected = said.clone();
        expected["version"] = json!(2);
        assert_eq!(first, expected);
        input["expectedVersion"] = json!(2);
        for nothing_new in [json!({ "id": house }), input] {
            assert_eq!(chief.change("updateInstitution", &selection, nothing_new).await["institution"], first);
        }
        let tried = chief.change("updateInstitution", &selection, json!({ "id": house, "name": "Other", "dryRun": true })).await;
        assert_eq!((&tried["success"], &tried["institution"]), (&json!(true), &first));
        let cleared = json!({ "id": house, "state": null, "city": " ", "address": null, "postcode": null, "phone": null, "email": null, "numBeds": null, "externalId": null });
        let payload = chief.change("updateInstitution", &selection, cleared).await["institution"].clone();
        assert_eq!(payload, json!({ "name": "St Brigid", "kind": "HOSPICE", "country": "IE", "state": null, "city": null, "address": null, "postcode": null,
            "phone": null, "email": null, "numBeds": null, "externalId": null, "version": 3 }));
    }

    async fn all_errors_of_an_institution_update_are_reported_at_once(app: App) {
        let chief = app.license_admin().await;
        let house = create_institution(&chief).await;
        chief.change("createInstitution", "", hospital(json!({ "externalId": "7" }))).await;
        let input = json!({ "id": house, "name": " ", "kind": null, "country": null, "phone": "none", "email": "none", "numBeds": -1, "externalId": " 7 " });
        assert_eq!(chief.faults("updateInstitution", input).await, [
            "INVALID input.email", "INVALID input.phone", "NULL_NOT_ALLOWED input.country", "NULL_NOT_ALLOWED input.kind", "REQUIRED input.name",
            "TAKEN input.externalId", "TOO_SHORT input.numBeds",
        ]);
        for dry_run in [false, true] {
            let taken = json!({ "id": house, "externalId": "7", "dryRun": dry_run });
            assert_eq!(chief.faults("updateInstitution", taken).await, ["TAKEN input.externalId"]);
        }
        for mutation in ["updateInstitution", "deleteInstitution"] {
            assert_eq!(chief.faults(mutation, json!({ "id": "7" })).await, ["INVALID input.id"]);
            assert_eq!(chief.faults(mutation, json!({ "id": Id::new().0 })).await, ["NOT_FOUND input.id"]);
        }
    }

    async fn one_of_many_updates_with_the_same_expected_version_succeeds(app: App) {
        let chief = app.license_admin().await;
        let house = create_institution(&chief).await;
        let change = |n: i32| json!({ "id": house, "numBeds": n, "expectedVersion": 1 });
        let payloads = join_all((1..11).map(|n| chief.change("updateInstitution", "institution { numBeds version }", change(n)))).await;
        let done: Vec<&Value> = payloads.iter().filter(|payload| payload["success"] == json!(true)).collect();
        assert_eq!(done.len(), 1);
        for payload in payloads.iter().filter(|payload| payload["success"] == json!(false)) {
            assert_eq!(faults_of(payload), ["CONFLICT input.expectedVersion"]);
            assert_eq!(payload["institution"], done[0]["institution"], "the current institution");
        }
    }

    async fn administrators_update_the_sites_they_have_access_to(app: App) {
        let (chief, admin, user, stranger) = (app.license_admin().await, app.admin().await, app.user().await, app.stranger().await);
        let everywhere = UserFields { role: Given(Role::Admin), full_site_access: Given(true), ..UserFields::default() };
        let everywhere = app.person("Everywhere", everywhere).await;
        let (house, other) = (create_institution(&chief).await, create_institution(&chief).await);
        chief.change("grantSiteAccess", "", granted(&admin, &house)).await;
        chief.change("grantSiteAccess", "", granted(&user, &house)).await;
        let input = |house: &str| json!({ "id": house, "city": "Cork" });
        for (mutation, input) in [("updateInstitution", input(&other)), ("deleteInstitution", json!({ "id": other }))] {
            assert_eq!(admin.change_refused(mutation, input.clone()).await, "FORBIDDEN");
            assert_eq!(user.change_refused(mutation, input.clone()).await, "FORBIDDEN");
            assert_eq!(stranger.change_refused(mutation, input.clone()).await, "FORBIDDEN");
            assert_eq!(app.anonymous().change_refused(mutation, input).await, "UNAUTHENTICATED");
        }
        assert_eq!(user.change_refused("updateInstitution", input(&house)).await, "FORBIDDEN", "access to a site does not allow updating it");
        for caller in [&admin, &everywhere, &chief, &app.superuser().await] {
            assert_eq!(caller.change("updateInstitution", "", input(&house)).await["success"], json!(true));
        }
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let there = app.sign_in(app.create("There", app.other_license, there, Undefined).await).await;
        assert_eq!(there.faults("updateInstitution", input(&house)).await, ["NOT_FOUND input.id"]);
        assert_eq!(there.faults("deleteInstitution", json!({ "id": house })).await, ["NOT_FOUND input.id"]);
        chief.change("revokeSiteAccess", "", granted(&admin, &house)).await;
        assert_eq!(admin.change_refused("updateInstitution", input(&house)).await, "FORBIDDEN", "effective with the next request");
        chief.change("grantSiteAccess", "", granted(&admin, &house)).await;
        assert_eq!(admin.change("deleteInstitution", "deletedInstitutionId", json!({ "id": house })).await["deletedInstitutionId"], json!(house));
        assert_eq!(everywhere.change("deleteInstitution", "deletedInstitutionId", json!({ "id": other })).await["deletedInstitutionId"], json!(other));
    }

    async fn an_institution_is_deleted_only_without_users(app: App) {
        let (chief, user) = (app.license_admin().await, app.user().await);
        let house = create_institution(&chief).await;
        let into = UserFields { institution_id: Given(house.as_str().into()), ..UserFields::default() };
        let (one, gone) = (app.person("One", into.clone()).await, app.person("Gone", into).await);
        chief.change("setActive", "", json!({ "id": gone.id(), "active": false })).await;
        chief.change("grantSiteAccess", "", granted(&user, &house)).await;
        for (count, person) in [("2 users belong", &one), ("1 user belongs", &gone)] {
            let refused = chief.change("deleteInstitution", "deletedInstitutionId", json!({ "id": house })).await;
            assert_eq!((faults_of(&refused), &refused["deletedInstitutionId"]), (vec!["NOT_ALLOWED input.id".to_owned()], &Value::Null));
            assert!(refused["message"].as_str().unwrap().starts_with(count), "{refused:#}");
            chief.change("updateUser", "", json!({ "id": person.id(), "institutionId": null })).await;
        }
        let payload = chief.change("deleteInstitution", "deletedInstitutionId", json!({ "id": house })).await;
        assert_eq!((&payload["success"], &payload["deletedInstitutionId"]), (&json!(true), &json!(house)));
        let data = user.data("query ($id: ID!) { institution(id: $id) { id } viewer { sites { totalCount } } }", json!({ "id": house })).await;
        assert_eq!(data, json!({ "institution": null, "viewer": { "sites": { "totalCount": 0 } } }));
        assert_eq!(chief.faults("deleteInstitution", json!({ "id": house })).await, ["NOT_FOUND input.id"]);
    }

    async fn no_user_is_assigned_to_an_institution_during_its_deletion(app: App) {
        let (chief, admin, moved) = (app.license_admin().await, app.license_admin().await, app.user().await);
        for n in 0..20 {
            let house = create_institution(&chief).await;
            let delete = chief.change("deleteInstitution", "", json!({ "id": house }));
            let (deleted, put) = if n % 2 == 0 {
                let entered = json!({ "firstName": "New", "lastName": "Person", "email": format!("{n}@x.example.org"), "institutionId": house });
                tokio::join!(delete, admin.change("createUser", "user { id }", entered))
            } else {
                tokio::join!(delete, admin.change("updateUser", "user { id }", json!({ "id": moved.id(), "institutionId": house })))
            };
            let there = chief.data("query ($id: ID!) { institution(id: $id) { users { totalCount } } }", json!({ "id": house })).await;
            if deleted["success"] == json!(true) {
                assert_eq!(faults_of(&put), ["NOT_FOUND input.institutionId"], "{put:#}");
                assert_eq!(there["institution"], Value::Null);
            } else {
                assert_eq!(faults_of(&deleted), ["NOT_ALLOWED input.id"], "{deleted:#}");
                assert_eq!(put["success"], json!(true), "{put:#}");
                assert_eq!(there["institution"]["users"]["totalCount"], json!(1));
            }
        }
    }

    async fn assigning_a_user_to_a_just_deleted_institution_is_an_error(app: App) {
        let (chief, moved) = (app.license_admin().await, app.user().await);
        // The number of statements before the mutation waits for the deletion; on PostgreSQL, an update reads again
        // under its lock.
        let (to_enter, to_move) = (2, if app.db.is_postgres() { 5 } else { 3 });
        for is_new in [true, false] {
            let house = create_institution(&chief).await;
            let deletion = app.db.begin().await.unwrap();
            institution::Entity::delete_by_id(Id::parse(&house).unwrap()).exec(&deletion).await.unwrap();
            let before = app.db.statements();
            let (mutation, input, read) = if is_new {
                let entered = json!({ "firstName": "New", "lastName": "Person", "email": "new@example.org", "institutionId": house });
                ("createUser", entered, to_enter)
            } else {
                ("updateUser", json!({ "id": moved.id(), "institutionId": house }), to_move)
            };
            let delete = async {
                while app.db.statements() < before + read {
                    tokio::task::yield_now().await;
                }
                audit::commit(deletion, []).await.unwrap();
            };
            let (faults, ()) = tokio::join!(chief.faults(mutation, input), delete);
            assert_eq!(faults, ["NOT_FOUND input.institutionId"], "{mutation}");
        }
    }

    async fn only_administrators_with_full_site_access_create_institutions(app: App) {
        let everywhere = UserFields { role: Given(Role::Admin), full_site_access: Given(true), ..UserFields::default() };
        let everywhere = app.person("Everywhere", everywhere).await;
        for caller in [everywhere, app.license_admin().await, app.superuser().await] {
            assert_eq!(caller.change("createInstitution", "", hospital(json!({}))).await["success"], json!(true));
        }
        for caller in [app.user().await, app.admin().await] {
            assert_eq!(caller.change_refused("createInstitution", hospital(json!({}))).await, "FORBIDDEN");
        }
        assert_eq!(app.anonymous().change_refused("createInstitution", hospital(json!({}))).await, "UNAUTHENTICATED");
    }
}
