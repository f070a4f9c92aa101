//! The signed URLs of pictures, which an `<img>` can load.

use roster::document::{self, NewDocument};
use roster::entity::avatar;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use crate::app::{App, Caller, PUBLIC_URL};
use crate::avatars::{png, set};

/// The URL of a user's picture for a caller, on the server of the test.
async fn link(caller: &Caller<'_>, user: &Caller<'_>) -> String {
    let query = "query ($id: ID!) { user(by: { id: $id }) { avatarUrl } }";
    let data = caller.data(query, json!({ "id": user.id() })).await;
    let url = data["user"]["avatarUrl"].as_str().unwrap_or_else(|| panic!("{data}"));
    let path = url.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{url}"));
    format!("{}/{path}", caller.app.url())
}

async fn status(url: &str) -> u16 {
    reqwest::get(url).await.unwrap().status().as_u16()
}

on_every_database! {
    async fn an_image_loads_without_a_token(app: App) {
        let (user, colleague) = (app.user().await, app.user().await);
        set(&user, user.id, &png(30, 20)).await;
        for caller in [&user, &colleague] {
            let response = reqwest::get(link(caller, &user).await).await.unwrap();
            assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"image/png".parse().unwrap()));
            assert_eq!(response.headers()["cache-control"], "private, no-cache");
            let stored = avatar::Entity::find_by_id(user.id).one(app.db.read()).await.unwrap().unwrap();
            assert_eq!(response.bytes().await.unwrap(), stored.content);
        }
    }

    async fn a_changed_url_shows_nothing(app: App) {
        let (user, colleague) = (app.user().await, app.user().await);
        for caller in [&user, &colleague] {
            set(caller, caller.id, &png(30, 20)).await;
        }
        let url = link(&user, &user).await;
        let of_colleague = url.replace(&user.id(), &colleague.id());
        let later = url.replace("expires=", "expires=9");
        let version = url.replace("?v=", "?v=0");
        let (unsigned, _) = url.split_once("&signature=").unwrap();
        for changed in [of_colleague.as_str(), &later, &version, unsigned, &format!("{url}A"), url.split_once('?').unwrap().0] {
            assert_eq!(status(changed).await, 401, "{changed}");
        }
        let with_token = reqwest::Client::new().get(unsigned).bearer_auth(user.token.as_ref().unwrap());
        assert_eq!(with_token.send().await.unwrap().status(), 200, "the header is enough");
        let with_ended_token = reqwest::Client::new().get(&url).bearer_auth("ros_ended");
        assert_eq!(with_ended_token.send().await.unwrap().status(), 401);
    }

    async fn a_url_ends_with_the_picture_and_with_the_rights_of_its_viewer(app: App) {
        let (user, colleague, chief) = (app.user().await, app.user().await, app.license_admin().await);
        set(&user, user.id, &png(30, 20)).await;
        let first = link(&chief, &user).await;
        set(&user, user.id, &png(31, 21)).await;
        assert_eq!(status(&first).await, 404, "the picture has been replaced");
        let (of_user, of_colleague, of_chief) = (link(&user, &user).await, link(&colleague, &user).await, link(&chief, &user).await);
        colleague.data("mutation { logout { success } }", json!({})).await;
        assert_eq!((status(&of_user).await, status(&of_colleague).await), (200, 401), "the session has ended");
        let of_colleague = link(&app.user().await, &user).await;
        chief.mutate("setActive", "", json!({ "id": user.id(), "active": false })).await;
        let seen = (status(&of_user).await, status(&of_colleague).await, status(&of_chief).await);
        assert_eq!(seen, (401, 404, 200), "the user is inactive");
    }

    async fn a_url_shows_no_other_picture_than_the_one_it_names(app: App) {
        let user = app.user().await;
        set(&user, user.id, &png(30, 20)).await;
        let url = link(&user, &user).await;
        assert_eq!(status(&url).await, 200);
        // As if the picture were replaced after its hash was read.
        let replace = avatar::Entity::update_many().col_expr(avatar::Column::Content, Expr::value(png(31, 21)));
        replace.filter(avatar::Column::UserId.eq(user.id)).exec(app.db.write()).await.unwrap();
        assert_eq!(status(&url).await, 404);
        let with_token = reqwest::Client::new().get(&url).bearer_auth(user.token.as_ref().unwrap());
        assert_eq!(with_token.send().await.unwrap().status(), 200, "a token shows the picture as it is now");
    }

    async fn an_api_key_gets_urls_too(app: App) {
        let (admin, user) = (app.admin().await, app.user().await);
        set(&user, user.id, &png(30, 20)).await;
        let created = admin.mutate("createApiKey", "secret apiKey { id }", json!({ "name": "Import", "role": "USER" })).await;
        let key = Caller { token: created["secret"].as_str().map(str::to_owned), ..admin.clone() };
        let url = link(&key, &user).await;
        assert_eq!(status(&url).await, 200);
        admin.mutate("revokeApiKey", "", json!({ "id": created["apiKey"]["id"] })).await;
        assert_eq!(status(&url).await, 401);
    }

    async fn an_api_key_that_is_bound_to_a_set_reads_only_the_pictures_of_its_documents(app: App) {
        let (admin, user) = (app.admin().await, app.user().await);
        set(&user, user.id, &png(30, 20)).await;
        let picture = "query Picture($id: ID!) { user(by: { id: $id }) { avatarUrl } }";
        let document = NewDocument { id: "picture".to_owned(), name: None, body: picture.to_owned() };
        document::publish(&app.db, &roster::schema::sdl(), "wards", vec![document]).await.unwrap();
        let created = admin.mutate("createApiKey", "secret", json!({ "name": "Display", "documentSet": "wards" })).await;
        let key = Caller { token: created["secret"].as_str().map(str::to_owned), ..admin.clone() };
        let by_token = reqwest::Client::new().get(format!("{}/avatars/{}", app.url(), user.id.0));
        let refused = by_token.bearer_auth(key.token.as_ref().unwrap()).send().await.unwrap();
        assert_eq!(refused.status(), 403);
        let answer = key.post(&json!({ "documentId": "picture", "variables": { "id": user.id() } })).await.1;
        let url = answer["data"]["user"]["avatarUrl"].as_str().unwrap_or_else(|| panic!("{answer:#}"));
        let path = url.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{url}"));
        assert_eq!(status(&format!("{}/{path}", app.url())).await, 200);
    }
}
