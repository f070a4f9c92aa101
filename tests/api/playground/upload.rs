//! Files that the playground sends.

use serde_json::json;

use super::{RESPONSE, show, with_ada};
use crate::avatars::png;
use crate::browser::Browser;

const QUERY: &str =
    "mutation SetPicture($input: SetUserAvatarInput!) { setUserAvatar(input: $input) { success user { avatarUrl } } }";

#[tokio::test]
async fn a_chosen_file_is_sent_with_a_mutation_that_takes_one() {
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    let user = app.user().await;
    browser.open(&format!("{}/#token={}", app.url(), user.token.as_deref().unwrap())).await;
    browser.click("#offer button").await;
    show(&browser, "SetPicture", QUERY, &json!({ "input": { "id": user.id(), "avatar": null } })).await;
    browser.click(".graphiql-execute-button").await;
    browser.see(RESPONSE, "\"avatarUrl\": null").await;
    browser.see("#notice", "Sent without a file").await;

    let picture = app.dir().join("picture.png");
    std::fs::write(&picture, png(20, 20)).unwrap();
    browser.click("button[aria-label='Show File upload']").await;
    browser.write("#file", picture.to_str().unwrap()).await;
    browser.see(".roster-panel", "Chosen: picture.png").await;
    browser.click(".graphiql-execute-button").await;
    browser.see(RESPONSE, "/avatars/").await;
    browser.see_true("return document.querySelector('#notice').hidden").await;
    assert_eq!(browser.console().await, [""; 0]);
}
