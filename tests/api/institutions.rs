//! Institutions.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::{Role, UserFields};
use serde_json::{Value, json};

use crate::app::App;

fn hospital(said: Value) -> Value {
    let mut input = json!({ "name": "St George Hospital", "kind": "HOSPITAL", "country": "AU" });
    if let Value::Object(said) = said {
        input.as_object_mut().unwrap().extend(said);
    }
    input
}

on_every_database! {
    async fn an_institution_is_entered_with_every_field(app: App) {
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

    async fn a_name_without_a_city_stands_alone(app: App) {
        let payload = app.license_admin().await.change("createInstitution", "institution { displayName country }", hospital(json!({ "country": "au" }))).await;
        assert_eq!(payload["institution"], json!({ "displayName": "St George Hospital", "country": "AU" }));
    }

    async fn every_fault_of_an_institution_comes_at_once(app: App) {
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

    async fn an_external_id_is_taken_within_the_license_only(app: App) {
        let chief = app.license_admin().await;
        let there = UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let there = app.sign_in(app.create("There", app.other_license, there, Undefined).await).await;
        for (caller, id) in [(&chief, "1"), (&chief, "001"), (&there, "1")] {
            assert_eq!(caller.change("createInstitution", "", hospital(json!({ "externalId": id }))).await["success"], json!(true));
        }
    }

    async fn only_administrators_with_access_to_every_site_enter_institutions(app: App) {
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
