//! The position of a list: whoever reads a list and then follows the changes after its position misses nothing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{change, current_position, decoded, follow, new_user, summaries};
use crate::app::{App, Caller};

const USERS: &str = "{ users(first: 100) { position nodes { id } } }";

/// The position of the list of users, and the IDs in it.
async fn snapshot(caller: &Caller<'_>) -> (String, HashSet<Value>) {
    let users = caller.data(USERS, json!({})).await["users"].clone();
    let ids = users["nodes"].as_array().unwrap().iter().map(|user| user["id"].clone()).collect();
    (users["position"].as_str().unwrap().to_owned(), ids)
}

on_every_database! {
    async fn lists_of_users_tell_their_position(app: App) {
        let (chief, stranger) = (app.license_admin().await, app.other_license_user().await);
        let site = json!({ "name": "House", "kind": "HOSPITAL", "country": "AU" });
        let site = change(&chief, "createInstitution", "institution", site).await;
        let (position, _) = snapshot(&chief).await;
        assert_eq!(decoded(&position), decoded(&current_position(&chief).await));
        let query = "query ($id: ID!) { a: users { position } institution(id: $id) { users { position totalCount } } }";
        let data = chief.data(query, json!({ "id": site })).await;
        let in_institution = &data["institution"]["users"];
        assert_eq!(in_institution["totalCount"], json!(0));
        for list in [&data["a"], in_institution] {
            assert_eq!(decoded(list["position"].as_str().unwrap()), decoded(&position));
        }
        let of_stranger = snapshot(&stranger).await.0;
        change(&chief, "createUser", "user", new_user("bob@x.example")).await;
        assert_eq!(summaries(&chief, &position).await, ["CREATED USER email firstName lastName"]);
        assert_eq!(decoded(&snapshot(&stranger).await.0), decoded(&of_stranger), "the position tells nothing about other licenses");
    }

    async fn no_change_is_between_a_list_and_its_position(app: App) {
        const USERS_OF_WRITER: usize = 15;
        let reader = app.user().await;
        let writers = join_all((0..4).map(|_| app.license_admin())).await;
        let is_done = AtomicBool::new(false);
        let write = async {
            let work = writers.iter().enumerate().map(|(writer, caller)| async move {
                for n in 0..USERS_OF_WRITER {
                    change(caller, "createUser", "user", new_user(&format!("bob{writer}-{n}@x.example"))).await;
                }
            });
            join_all(work).await;
            is_done.store(true, Ordering::Release);
        };
        let read = async {
            let mut snapshots = Vec::new();
            while !is_done.load(Ordering::Acquire) {
                snapshots.push(snapshot(&reader).await);
            }
            snapshots
        };
        let ((), snapshots) = tokio::join!(write, read);
        let (_, all) = snapshot(&reader).await;
        for (position, mut ids) in snapshots {
            ids.extend(follow(&reader, &position, 100).await.iter().map(|change| change["nodeId"].clone()));
            assert_eq!(ids, all);
        }
    }
}
