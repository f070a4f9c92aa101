//! importUsers: the groups of users and the sites that they may access, by the rules of `roster import` and with the rights of
//! the mutations of groups and sites.

use std::io::Cursor;
use std::pin::pin;
use std::time::Duration;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::{Either, join, select};
use roster::entity::membership::{self, GroupRole};
use roster::entity::user::{Role, UserFields};
use roster::entity::{group, site_access};
use roster::scalar::{Id, now};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, Statement,
};
use serde_json::{Value, json};

use crate::app::{App, Caller, payload_errors};
use crate::crowd;

const RESULTS: &str = "results { outcome user { id } errors { code path message } }";

async fn import(caller: &Caller<'_>, rows: Value) -> Value {
    caller.mutate("importUsers", RESULTS, json!({ "rows": rows })).await
}

/// A row about a user, who is created the first time.
fn row(username: &str, more: Value) -> Value {
    let mut row = json!({ "firstName": "Ann", "lastName": "Moss", "username": username });
    let Value::Object(more) = more else { panic!("not the fields of a row: {more}") };
    row.as_object_mut().unwrap().extend(more);
    row
}

fn outcomes(payload: &Value) -> Vec<&str> {
    let results = payload["results"].as_array().unwrap_or_else(|| panic!("{payload:#}"));
    results.iter().map(|result| result["outcome"].as_str().unwrap()).collect()
}

fn user_id(payload: &Value, place: usize) -> Id {
    Id::parse(payload["results"][place]["user"]["id"].as_str().unwrap()).unwrap()
}

/// Creates an institution with an external ID and a reference, both of which contain its name.
async fn new_site(caller: &Caller<'_>, name: &str) -> Id {
    let input = json!({
        "name": name, "kind": "HOSPITAL", "country": "AU",
        "externalId": format!("E-{name}"), "externalReferences": [{ "source": "hr", "id": name }],
    });
    let payload = caller.mutate("createInstitution", "institution { id }", input).await;
    Id::parse(payload["institution"]["id"].as_str().unwrap_or_else(|| panic!("{payload:#}"))).unwrap()
}

/// Creates a group with a reference, whose owner is the caller.
async fn new_group(caller: &Caller<'_>, name: &str) -> Id {
    let input = json!({ "name": name, "externalReferences": [{ "source": "hr", "id": name }] });
    let payload = caller.mutate("createGroup", "group { id }", input).await;
    Id::parse(payload["group"]["id"].as_str().unwrap_or_else(|| panic!("{payload:#}"))).unwrap()
}

async fn groups_of(app: &App, user_id: Id) -> Vec<(Id, GroupRole)> {
    let rows =
        membership::Entity::find().filter(membership::Column::UserId.eq(user_id)).all(app.db.read()).await.unwrap();
    by_id(rows.into_iter().map(|row| (row.group_id, row.role)).collect())
}

fn by_id(mut groups: Vec<(Id, GroupRole)>) -> Vec<(Id, GroupRole)> {
    groups.sort_by_key(|(id, _)| *id);
    groups
}

async fn sites_of(app: &App, user_id: Id) -> Vec<Id> {
    let rows =
        site_access::Entity::find().filter(site_access::Column::UserId.eq(user_id)).all(app.db.read()).await.unwrap();
    sorted(rows.into_iter().map(|row| row.institution_id).collect())
}

async fn grant(app: &App, user_id: Id, institution_id: Id) {
    let grant = site_access::Model { user_id, institution_id, granted_at: now() };
    grant.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
}

fn sorted(mut ids: Vec<Id>) -> Vec<Id> {
    ids.sort();
    ids
}

async fn lock_group(db: &impl ConnectionTrait, id: Id) {
    assert!(group::Entity::find_by_id(id).lock_exclusive().one(db).await.unwrap().is_some());
}

/// Waits until a transaction of PostgreSQL waits for another one.
async fn wait_for_waiting(app: &App) {
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = Statement::from_string(DatabaseBackend::Postgres, waiting);
    while app.db.read().query_one_raw(waiting.clone()).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

on_every_database! {
    async fn rows_name_the_groups_and_sites_of_a_user(app: App) {
        let license_admin = app.license_admin().await;
        let [ward, lab, choir] = [new_group(&license_admin, "Ward").await, new_group(&license_admin, "Lab").await, new_group(&license_admin, "Choir").await];
        let [house, annex, barn, mill] = [new_site(&license_admin, "House").await, new_site(&license_admin, "Annex").await, new_site(&license_admin, "Barn").await, new_site(&license_admin, "Mill").await];
        let all = json!({
            "groups": [{ "group": ward.0, "role": "MANAGER" }, { "group": " Lab " }, { "group": "hr:Choir", "role": "OWNER" }],
            "sites": [house.0, "Annex", "E-Barn", "hr:Mill"],
        });
        let created = import(&license_admin, json!([row("ann", all.clone())])).await;
        assert_eq!(outcomes(&created), ["CREATED"], "{created:#}");
        let ann = user_id(&created, 0);
        let expected = vec![(ward, GroupRole::Manager), (lab, GroupRole::Member), (choir, GroupRole::Owner)];
        assert_eq!(groups_of(&app, ann).await, by_id(expected));
        assert_eq!(sites_of(&app, ann).await, sorted(vec![house, annex, barn, mill]));
        for unchanged in [all, json!({}), json!({ "groups": null, "sites": null })] {
            let again = import(&license_admin, json!([row("ann", unchanged)])).await;
            assert_eq!(outcomes(&again), ["UNCHANGED"], "{again:#}");
        }
        // Lists are complete, but nobody loses a group of their own.
        let fewer = json!({ "groups": [{ "group": "Lab" }, { "group": "Lab", "role": "MANAGER" }], "sites": ["Mill"] });
        assert_eq!(outcomes(&import(&license_admin, json!([row("ann", fewer)])).await), ["UPDATED"]);
        assert_eq!(groups_of(&app, ann).await, by_id(vec![(lab, GroupRole::Manager), (choir, GroupRole::Owner)]));
        assert_eq!(sites_of(&app, ann).await, [mill]);
        assert_eq!(outcomes(&import(&license_admin, json!([row("ann", json!({ "groups": [], "sites": [] }))])).await), ["UPDATED"]);
        assert_eq!(groups_of(&app, ann).await, [(choir, GroupRole::Owner)]);
        assert!(sites_of(&app, ann).await.is_empty());
    }

    async fn a_changed_group_or_site_is_an_event_of_the_user(app: App) {
        let license_admin = app.license_admin().await;
        let (ward, house) = (new_group(&license_admin, "Ward").await, new_site(&license_admin, "House").await);
        let created = import(&license_admin, json!([row("ann", json!({}))])).await;
        let ann = user_id(&created, 0);
        let changed = import(&license_admin, json!([row("ann", json!({ "groups": [{ "group": "Ward" }], "sites": ["House"] }))])).await;
        assert_eq!(outcomes(&changed), ["UPDATED"]);
        app.seal().await;
        let query = format!("{{ auditEvents(filter: {{ subject: \"{}\" }}, first: 1) {{ nodes {{ action changes {{ field after }} }} }} }}", ann.0);
        let data = license_admin.data(&query, json!({})).await;
        let event = data["auditEvents"]["nodes"].to_string();
        assert!(["USER_UPDATED", &ward.0.to_string(), &house.0.to_string()].iter().all(|part| event.contains(part)), "{data:#}");
        let promoted = import(&license_admin, json!([row("ann", json!({ "groups": [{ "group": "Ward", "role": "MANAGER" }] }))])).await;
        assert_eq!(outcomes(&promoted), ["UPDATED"]);
        app.seal().await;
        let query = query.replace("field after", "field before after");
        let data = license_admin.data(&query, json!({})).await;
        let change = &data["auditEvents"]["nodes"][0]["changes"][0];
        let role = |role: &str| json!([{ "groupId": ward.0, "role": role }]);
        assert_eq!((&change["before"], &change["after"]), (&role("MEMBER"), &role("MANAGER")), "{data:#}");
    }

    async fn a_group_or_site_that_is_unknown_refuses_the_row(app: App) {
        let license_admin = app.license_admin().await;
        crowd::groups(&app, app.other_license, ["Elsewhere".to_owned()]).await;
        crowd::groups(&app, app.license, ["Twin".to_owned(), "Twin".to_owned()]).await;
        let many = |count: usize| (0..count).map(|n| format!("G{n}")).collect::<Vec<_>>();
        let groups: Vec<Value> = many(201).into_iter().map(|group| json!({ "group": group })).collect();
        let payload = import(&license_admin, json!([
            row("a", json!({ "groups": [{ "group": "Elsewhere" }, { "group": "hr:7" }], "sites": ["House", "", Id::new().0] })),
            row("b", json!({ "groups": [{ "group": "Twin" }] })),
            row("c", json!({ "groups": groups, "sites": many(201) })),
        ])).await;
        assert_eq!(outcomes(&payload), ["REFUSED", "REFUSED", "REFUSED"]);
        assert_eq!(payload_errors(&payload), [
            "NOT_FOUND input.rows.0.groups.0.group",
            "NOT_FOUND input.rows.0.groups.1.group",
            "NOT_FOUND input.rows.0.sites.0",
            "NOT_FOUND input.rows.0.sites.1",
            "NOT_FOUND input.rows.0.sites.2",
            "NOT_FOUND input.rows.1.groups.0.group",
            "TOO_LONG input.rows.2.groups",
            "TOO_LONG input.rows.2.sites",
        ]);
        let message = payload["results"][1]["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("Several have the name"), "{message}");
        let rows: Vec<Value> = (0..26).map(|n| row(&format!("u{n}"), json!({ "sites": (0..200).map(|m| format!("{n}-{m}")).collect::<Vec<_>>() }))).collect();
        assert_eq!(payload_errors(&import(&license_admin, json!(rows)).await), ["TOO_LONG input.rows"]);
    }

    async fn groups_and_sites_of_an_ambiguous_name_are_not_locked(app: App) {
        let license_admin = app.license_admin().await;
        let twins = crowd::groups(&app, app.license, (0..300).map(|_| "Twin".to_owned())).await;
        let one = new_group(&license_admin, "TWIN").await;
        let with = |group: &str| json!([row("ann", json!({ "groups": [{ "group": group }] }))]);
        // One of them may be named by its ID, and another spelling is another name.
        for (group, expected) in [(twins[299].0.to_string(), twins[299]), ("TWIN".to_owned(), one)] {
            let named = import(&license_admin, with(&group)).await;
            assert_eq!(groups_of(&app, user_id(&named, 0)).await, [(expected, GroupRole::Member)], "{named:#}");
        }
        if !app.db.is_postgres() {
            return;
        }
        let transaction = app.db.begin().await.unwrap();
        for id in &twins[..299] {
            lock_group(&transaction, *id).await;
        }
        let refused = pin!(import(&license_admin, with("Twin")));
        let waiting = pin!(wait_for_waiting(&app));
        let Either::Left((refused, _)) = select(refused, waiting).await else {
            panic!("the import waits for a group that it does not change");
        };
        assert_eq!(payload_errors(&refused), ["NOT_FOUND input.rows.0.groups.0.group"]);
        transaction.commit().await.unwrap();
    }

    async fn a_row_changes_only_the_sites_that_the_viewer_may_change(app: App) {
        let (license_admin, admin) = (app.license_admin().await, app.admin().await);
        let (own, other) = (new_site(&license_admin, "Own").await, new_site(&license_admin, "Other").await);
        let ward = new_group(&license_admin, "Ward").await;
        grant(&app, admin.id, own).await;
        let ann = user_id(&import(&license_admin, json!([row("ann", json!({ "sites": ["Other"] }))])).await, 0);
        let chief_fields = UserFields { username: Given("chief".to_owned()), role: Given(Role::LicenseAdmin), ..UserFields::default() };
        let chief = app.create("Chief", app.license, chief_fields, Undefined).await;
        for forbidden in [
            row("bob", json!({ "sites": ["Own", "Other"] })),
            row("ann", json!({ "sites": ["Own"] })),
            row("ann", json!({ "sites": [] })),
            json!({ "username": "chief", "sites": ["Own"] }),
        ] {
            for on_error in ["STOP", "SKIP"] {
                let input = json!({ "onError": on_error, "rows": [row("eve", json!({})), forbidden] });
                assert_eq!(admin.mutation_error_code("importUsers", input).await, "FORBIDDEN", "{forbidden}");
            }
        }
        let (_, response) = admin.post(&json!({
            "query": "mutation ($input: ImportUsersInput!) { importUsers(input: $input) { success } }",
            "variables": { "input": { "rows": [row("eve", json!({})), row("bob", json!({ "sites": ["Other"] }))] } },
        })).await;
        assert!(response["errors"][0]["message"].as_str().unwrap().contains("rows.1"), "{response:#}");
        assert_eq!((sites_of(&app, ann).await, sites_of(&app, chief.id).await), (vec![other], Vec::new()));
        // A site that stays needs no right, and every administrator administers groups.
        let allowed = import(&admin, json!([
            row("ann", json!({ "sites": ["Other", "Own"], "groups": [{ "group": "Ward" }] })),
            row("bob", json!({ "sites": ["Own"], "groups": [{ "group": "Ward", "role": "OWNER" }] })),
            json!({ "username": "chief", "groups": [{ "group": "Ward" }] }),
        ])).await;
        assert_eq!(outcomes(&allowed), ["UPDATED", "CREATED", "UPDATED"], "{allowed:#}");
        assert_eq!(groups_of(&app, chief.id).await, [(ward, GroupRole::Member)]);
        assert_eq!(sites_of(&app, ann).await, sorted(vec![own, other]));
    }

    async fn a_row_does_not_take_the_last_owner_of_a_group(app: App) {
        let license_admin = app.license_admin().await;
        let ward = crowd::groups(&app, app.license, ["Ward".to_owned()]).await[0];
        let with = |name: &str, role: &str| row(name, json!({ "groups": [{ "group": "Ward", "role": role }] }));
        let created = import(&license_admin, json!([with("ann", "OWNER"), with("bob", "MEMBER")])).await;
        assert_eq!(outcomes(&created), ["CREATED", "CREATED"], "{created:#}");
        let (ann, bob) = (user_id(&created, 0), user_id(&created, 1));
        let refused = import(&license_admin, json!([with("ann", "MEMBER"), with("bob", "OWNER")])).await;
        assert_eq!(payload_errors(&refused), ["NOT_ALLOWED input.rows.0.groups"]);
        // Rows count in their order.
        let passed_on = import(&license_admin, json!([with("bob", "OWNER"), with("ann", "MANAGER")])).await;
        assert_eq!(outcomes(&passed_on), ["UPDATED", "UPDATED"], "{passed_on:#}");
        assert_eq!(groups_of(&app, ann).await, [(ward, GroupRole::Manager)]);
        assert_eq!(groups_of(&app, bob).await, [(ward, GroupRole::Owner)]);
        // Of two requests that each take one of two owners, one is refused.
        let other_admin = app.license_admin().await;
        assert_eq!(outcomes(&import(&license_admin, json!([with("ann", "OWNER")])).await), ["UPDATED"]);
        let (one, other) = join(
            import(&license_admin, json!([with("ann", "MEMBER")])),
            import(&other_admin, json!([with("bob", "MEMBER")])),
        ).await;
        let refused = [&one, &other].iter().filter(|payload| payload["success"] == json!(false)).count();
        assert_eq!(refused, 1, "{one:#}\n{other:#}");
    }

    async fn an_import_of_a_file_locks_groups_in_the_order_of_other_transactions(app: App) {
        let admin = app.license_admin().await;
        let mut groups = [(new_group(&admin, "North").await, "North"), (new_group(&admin, "South").await, "South")];
        groups.sort_unstable_by_key(|(id, _)| *id);
        let [(first, first_name), (last, last_name)] = groups;
        let line = |username: &str, group: &str| {
            let user = row(username, json!({ "groups": [{ "group": group }] }));
            json!({ "user": user }).to_string() + "\n"
        };
        let file = line("one", last_name) + &line("two", first_name);
        let transaction = app.db.begin().await.unwrap();
        lock_group(&transaction, first).await;
        let lock_the_other = async {
            if app.db.is_postgres() {
                wait_for_waiting(&app).await;
            }
            lock_group(&transaction, last).await;
            transaction.commit().await.unwrap();
        };
        let import = roster::import::load(&app.db, app.license, Cursor::new(file), |_| ());
        let (summary, ()) = join(import, lock_the_other).await;
        let summary = summary.unwrap();
        assert!(summary.invalid.is_empty() && summary.new_users == 2, "{summary:?}");
    }

    async fn groups_and_sites_take_a_bounded_number_of_statements(app: App) {
        let license_admin = app.license_admin().await;
        new_group(&license_admin, "Ward").await;
        new_site(&license_admin, "House").await;
        let rows = |count: usize, role: &str| {
            let relations = json!({ "groups": [{ "group": "Ward", "role": role }], "sites": ["House"] });
            (0..count).map(|number| row(&format!("ann{number}"), relations.clone())).collect::<Vec<Value>>()
        };
        for (role, expected) in [("MEMBER", "CREATED"), ("MEMBER", "UNCHANGED"), ("MANAGER", "UPDATED")] {
            app.seal().await;
            let before = app.db.statements();
            let payload = license_admin.mutate("importUsers", "results { outcome }", json!({ "rows": rows(1_000, role) })).await;
            assert!(outcomes(&payload).iter().all(|outcome| *outcome == expected), "{payload:#}");
            let statements = app.db.statements() - before;
            assert!(statements <= 120, "{expected}: {statements}");
        }
    }
}
