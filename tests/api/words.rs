//! The search index follows every change of a user, in the same transaction.

use std::collections::BTreeSet;
use std::io::Cursor;

use futures_util::FutureExt;
use futures_util::future::join_all;
use roster::entity::{search_hit, search_key, search_word, user};
use roster::search_index;
use sea_orm::EntityTrait;
use serde_json::json;

use crate::app::App;

/// Checks that the index has exactly the tokens of the users' names and addresses, that no unused token is kept, and
/// that each can be found.
pub async fn check(app: &App) {
    let users = user::Entity::find().all(app.db.read()).await.unwrap();
    let expected: BTreeSet<_> = users
        .iter()
        .flat_map(|user| {
            let of_person = |word: &str| (word.to_owned(), search_index::short(user.license_id), user.id);
            search_index::words(&user.search_key).into_iter().map(of_person).collect::<Vec<_>>()
        })
        .collect();
    let words = search_word::Entity::find().all(app.db.read()).await.unwrap();
    let hits = search_hit::Entity::find().all(app.db.read()).await.unwrap();
    let name = |id: i32| words.iter().find(|word| word.id == id).map(|word| word.word.clone()).unwrap_or_default();
    let stored: BTreeSet<_> = hits.iter().map(|hit| (name(hit.word_id), hit.license, hit.user_id)).collect();
    assert_eq!(stored, expected);
    let held: BTreeSet<i32> = hits.iter().map(|hit| hit.word_id).collect();
    assert_eq!(words.iter().map(|word| word.id).collect::<BTreeSet<_>>(), held);
    let keys = search_key::Entity::find().all(app.db.read()).await.unwrap();
    let found: BTreeSet<i32> = keys.iter().filter(|key| key.key.starts_with('^')).map(|key| key.word_id).collect();
    assert_eq!(found, held);
    assert!(keys.iter().all(|key| held.contains(&key.word_id)));
    for word in &words {
        let of_word =
            |kind: char| keys.iter().filter(|key| key.word_id == word.id && key.key.starts_with(kind)).count();
        assert_eq!(of_word('*'), word.word.chars().count().min(64) - 1, "{}", word.word);
        let is_long = word.word.chars().all(char::is_alphabetic) && word.word.chars().count() > 2;
        assert!(!is_long || of_word('~') > 1, "{}", word.word);
    }
}

on_every_database! {
    async fn tokens_are_added_changed_and_removed_with_their_users(app: App) {
        let license_admin = app.license_admin().await;
        check(&app).await;
        let mut ids = Vec::new();
        for (first, last, email) in [("Xavier", "Quorn", "xq1@example.org"), ("Xénia", "Quorn-Ödman", "xenia@quorn.example")] {
            let input = json!({ "firstName": first, "lastName": last, "email": email, "sendRegistrationEmail": false });
            ids.push(license_admin.mutate("createUser", "user { id }", input).await["user"]["id"].clone());
            check(&app).await;
        }
        license_admin.mutate("updateUser", "", json!({ "id": ids[0], "lastName": "Qvorn", "certifiedEmail": "x@pec.example" })).await;
        check(&app).await;
        license_admin.mutate("updateUser", "", json!({ "id": ids[0], "phone": "1" })).await;
        license_admin.mutate("deleteUser", "", json!({ "id": ids[1] })).await;
        check(&app).await;
        let left: Vec<_> = search_word::Entity::find().all(app.db.read()).await.unwrap();
        let left: Vec<&str> = left.iter().map(|word| word.word.as_str()).collect();
        assert!(!left.iter().any(|word| word.contains("quorn") || word.contains("odman")), "{left:?}");
        assert!(left.contains(&"qvorn") && left.contains(&"@pec.example"), "{left:?}");
    }

    async fn tokens_follow_users_who_are_imported_in_several_chunks(app: App) {
        for last_name in ["Qvale", "Quorn-Ödman", "Qvale"] {
            let user = |n: usize| {
                let own = if n % 100 == 0 { letters(n) } else { last_name.to_owned() };
                json!({ "user": { "firstName": "Ann", "lastName": own, "username": format!("a{n}"), "externalId": format!("P-{n}") } })
            };
            let file: String = (0..2_400).map(|n| user(n).to_string() + "\n").collect();
            let summary = roster::cli::import::load(&app.db, app.license, Cursor::new(file), |_| ()).await.unwrap();
            assert!(summary.invalid.is_empty(), "{:?}", summary.invalid);
            check(&app).await;
        }
    }

    async fn a_token_lost_by_one_user_and_gained_by_another_is_kept(app: App) {
        let license_admin = app.license_admin().await;
        let enter = |n: usize| {
            let input = json!({ "firstName": "Otto", "lastName": format!("Rare{}", letters(n)), "email": format!("{n}@example.org"), "sendRegistrationEmail": false });
            license_admin.mutate("createUser", "user { id }", input)
        };
        let mut old = enter(1000).await["user"]["id"].clone();
        for round in 0..20 {
            let name = format!("Rare{}", letters(round));
            license_admin.mutate("updateUser", "", json!({ "id": old, "lastName": name })).await;
            let leave = license_admin.mutate("deleteUser", "", json!({ "id": old }));
            let rename = license_admin.mutate("updateUser", "", json!({ "id": app.user().await.id(), "lastName": name }));
            let other = enter(round);
            let (_, _, payload) = tokio::join!(leave, rename, other);
            old = payload["user"]["id"].clone();
        }
        check(&app).await;
    }

    async fn users_exchanging_their_names_concurrently_do_not_deadlock(app: App) {
        let license_admin = app.license_admin().await;
        let ids: Vec<String> = join_all((0..4).map(|_| app.user())).await.iter().map(|user| user.id().clone()).collect();
        for round in 0..10 {
            let rename = |(n, id): (usize, &String)| license_admin.mutate("updateUser", "", json!({ "id": id, "lastName": format!("Swap{}", letters((n + round) % 4)) })).boxed();
            join_all(ids.iter().enumerate().map(rename)).await;
        }
        check(&app).await;
    }
}

/// A number in letters.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'k')).collect()
}
