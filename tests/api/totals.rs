//! The totals of lists are the numbers of their rows, whatever changes.

use std::io::Cursor;

use roster::cli::doctor;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::hostile::Rng;

/// The number of random changes.
const CHANGES: usize = 150;

/// All lists with their totals. No list has more rows than a page.
const LISTS: &str = "{
    users(first: 100) { totalCount nodes { id } }
    all: users(includeInactive: true, first: 100) { totalCount nodes { id } }
    groups(first: 20) { totalCount nodes {
        members(first: 40) { totalCount nodes { id } } all: members(includeInactive: true, first: 40) { totalCount nodes { id } }
    } }
    institutions(first: 20) { totalCount nodes { users(first: 40) { totalCount nodes { id } } } }
}";

/// One of these ids; null if there is none.
fn one_of(rng: &mut Rng, ids: &[Value]) -> Value {
    if ids.is_empty() { Value::Null } else { rng.choose(ids).clone() }
}

/// The ids of what was created, even if it was deleted since.
#[derive(Default)]
struct Created {
    users: Vec<Value>,
    groups: Vec<Value>,
    institutions: Vec<Value>,
}

impl Created {
    /// Makes a change, which may be refused.
    async fn change(&mut self, admin: &Caller<'_>, rng: &mut Rng, number: usize) {
        let (user, group) = (one_of(rng, &self.users), one_of(rng, &self.groups));
        let institution = one_of(rng, &self.institutions);
        let (kind, is_active) = (rng.below(12), rng.below(3) > 0);
        if user.is_null() || group.is_null() || institution.is_null() || kind < 5 {
            return self.create(admin, rng, number).await;
        }
        let (mutation, input) = match kind {
            5 => ("setActive", json!({ "id": user, "active": is_active })),
            6 => ("updateUser", json!({ "id": user, "institutionId": institution })),
            7 => ("updateUser", json!({ "id": user, "institutionId": null, "position": format!("Nurse {number}") })),
            8 => ("setGroupMember", json!({ "groupId": group, "userId": user, "role": "MEMBER" })),
            9 => ("removeGroupMember", json!({ "groupId": group, "userId": user })),
            10 => ("deleteUser", json!({ "id": user })),
            _ if is_active => ("setGroupMember", json!({ "groupId": group, "userId": user, "role": "MANAGER" })),
            _ if number.is_multiple_of(2) => ("deleteGroup", json!({ "id": group })),
            _ => ("deleteInstitution", json!({ "id": institution })),
        };
        admin.mutate(mutation, "", input).await;
    }

    async fn create(&mut self, admin: &Caller<'_>, rng: &mut Rng, number: usize) {
        let (mutation, object, input, ids) = match rng.below(5) {
            0 => ("createGroup", "group", json!({ "name": format!("Ward {number}") }), &mut self.groups),
            1 => {
                let input = json!({ "name": format!("House {number}"), "kind": "HOSPITAL", "country": "AU" });
                ("createInstitution", "institution", input, &mut self.institutions)
            }
            _ => {
                let (institution, is_active) = (one_of(rng, &self.institutions), rng.below(3) > 0);
                let input = json!({ "firstName": "Ann", "lastName": "Lee", "username": format!("ann{number}"),
                    "isActive": is_active, "institutionId": institution });
                ("createUser", "user", input, &mut self.users)
            }
        };
        let payload = admin.mutate(mutation, &format!("{object} {{ id }}"), input).await;
        let id = &payload[object]["id"];
        if !id.is_null() {
            ids.push(id.clone());
        }
    }
}

/// Checks that the total of each list within a response is the number of its rows.
fn check_totals(value: &Value) {
    if let (Some(total), Some(nodes)) = (value.get("totalCount"), value.get("nodes").and_then(Value::as_array)) {
        assert_eq!(*total, json!(nodes.len()), "{value:#}");
    }
    match value {
        Value::Object(fields) => fields.values().for_each(check_totals),
        Value::Array(items) => items.iter().for_each(check_totals),
        _ => {}
    }
}

async fn check(app: &App, callers: &[&Caller<'_>]) {
    for caller in callers {
        check_totals(&caller.data(LISTS, json!({})).await);
    }
    assert_eq!(doctor::wrong_totals(&app.db).await.unwrap(), 0);
}

on_every_database! {
    async fn totals_are_the_numbers_of_rows_after_random_changes(app: App) {
        let (admin, root) = (app.license_admin().await, app.superuser().await);
        app.other_license_user().await;
        let (mut created, mut rng) = (Created::default(), Rng(8));
        for number in 0..CHANGES {
            created.change(&admin, &mut rng, number).await;
            if number.is_multiple_of(10) {
                check(&app, &[&admin, &root]).await;
            }
        }
        check(&app, &[&admin, &root]).await;
        assert!(created.users.len() > 20 && created.groups.len() > 3, "{} users", created.users.len());
    }

    async fn totals_are_the_numbers_of_rows_after_an_import(app: App) {
        let admin = app.license_admin().await;
        let import = async |lines: Vec<Value>| {
            let file: String = lines.iter().map(|line| line.to_string() + "\n").collect();
            let summary = roster::import::load(&app.db, app.license, Cursor::new(file), |_| ()).await.unwrap();
            assert!(summary.invalid.is_empty(), "{summary:?}");
        };
        let houses = ["House 0", "House 1"].map(|name| json!({ "institution": { "name": name, "kind": "HOSPITAL", "country": "AU" } }));
        let wards = ["Ward 0", "Ward 1", "Ward 2"].map(|name| json!({ "group": { "name": name } }));
        import(houses.into_iter().chain(wards).collect()).await;
        let user = |n: usize, moved: usize| {
            json!({ "user": { "firstName": "Ann", "lastName": "Lee", "externalId": format!("P-{n}"), "email": format!("p{n}@example.org"),
                "isActive": !(n + moved).is_multiple_of(4), "institution": format!("House {}", (n + moved) % 2), "groups": [format!("Ward {}", (n + moved) % 3)] } })
        };
        import((0..60).map(|n| user(n, 0)).collect()).await;
        check(&app, &[&admin]).await;
        import((20..70).map(|n| user(n, 1)).collect()).await;
        check(&app, &[&admin]).await;
    }

    async fn totals_of_lists_without_a_filter_are_exact(app: App) {
        let admin = app.license_admin().await;
        admin.mutate("createGroup", "", json!({ "name": "Ward" })).await;
        let house = json!({ "name": "House", "kind": "HOSPITAL", "country": "AU" });
        let house = admin.mutate("createInstitution", "institution { id }", house).await["institution"]["id"].clone();
        admin.mutate("updateUser", "", json!({ "id": admin.id(), "institutionId": house })).await;
        let total = "totalCount totalCountIsExact";
        let query = format!("{{ users {{ {total} }} groups {{ {total} nodes {{ members {{ {total} }} }} }} institutions {{ {total} nodes {{ users {{ {total} }} }} }} }}");
        let data = admin.data(&query, json!({})).await;
        let one = json!({ "totalCount": 1, "totalCountIsExact": true });
        assert_eq!(data["users"], json!({ "totalCount": 2, "totalCountIsExact": true }));
        assert_eq!(data["groups"], json!({ "totalCount": 1, "totalCountIsExact": true, "nodes": [{ "members": one }] }));
        assert_eq!(data["institutions"], json!({ "totalCount": 1, "totalCountIsExact": true, "nodes": [{ "users": one }] }));
    }

    async fn the_total_of_audit_events_is_the_number_of_visible_events(app: App) {
        let (admin, user, root) = (app.license_admin().await, app.user().await, app.superuser().await);
        app.other_license_user().await;
        user.mutate("updateUser", "", json!({ "id": user.id(), "phone": "123" })).await;
        for caller in [&admin, &user, &root] {
            let query = "{ auditEvents(first: 100) { totalCount totalCountIsExact nodes { id } } }";
            let events = caller.data(query, json!({})).await["auditEvents"].clone();
            check_totals(&events);
            assert_eq!((events["totalCount"].as_u64() > Some(0), &events["totalCountIsExact"]), (true, &json!(true)));
        }
        assert_eq!(doctor::wrong_totals(&app.db).await.unwrap(), 0);
    }

    async fn a_change_that_is_rolled_back_changes_no_total(app: App) {
        let admin = app.license_admin().await;
        let total = async || admin.data("{ users { totalCount } }", json!({})).await["users"]["totalCount"].clone();
        let before = total().await;
        let transaction = app.db.begin().await.unwrap();
        transaction.execute_unprepared("UPDATE users SET is_active = NOT is_active").await.unwrap();
        assert_eq!(total().await, before, "what is not committed is not counted");
        transaction.rollback().await.unwrap();
        assert_eq!(total().await, before);
        check(&app, &[&admin]).await;
    }
}
