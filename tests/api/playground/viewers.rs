//! Ranks of viewers, and links with several of them.

use serde_json::{Value, json};

use super::{WHO, with_ada};
use crate::app::PASSWORD;
use crate::browser::Browser;

const TOKEN: &str = "return sessionStorage.getItem('roster:token')";

#[tokio::test]
async fn a_link_with_several_tokens_lets_the_person_view_as_each_user() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ada) = with_ada().await;
    let (root, user) = (app.superuser().await.token.unwrap(), app.user().await.token.unwrap());
    browser.open(&format!("{}/#token={root}&token={ada}&token=of-old-times&token={user}", app.url())).await;
    let offered = browser.see("#offer", "This link signs you in as").await;
    assert!(offered.contains("Super Tester (superuser)") && offered.contains("User Tester (user)"), "{offered}");
    assert_eq!(browser.run(TOKEN).await, Value::Null, "the page asks first");
    browser.click("#offer button").await;
    browser.see(WHO, "Signed in as Super Tester (superuser)").await;
    browser.click("button[aria-label='Show Examples']").await;
    browser.see(".roster-panel", "Superusers").await;
    assert_eq!(browser.run("return document.querySelectorAll('.roster-panel .beyond').length").await, 0);

    browser.click("#viewers option:nth-child(3)").await;
    browser.see(WHO, "Signed in as User Tester (user)").await;
    browser.see(".roster-panel", "Superusers (not for you)").await;
    browser.reload().await;
    browser.see(WHO, "Signed in as User Tester (user)").await;
    assert_eq!(browser.run("return document.querySelector('#viewers').selectedIndex").await, 2);

    // Only the session of the current viewer ends.
    browser.click("#sign-out").await;
    browser.see(WHO, "Not signed in").await;
    let stored = browser.run("return JSON.stringify({ ...sessionStorage })").await;
    assert!(!stored.as_str().unwrap().contains(&user), "{stored}");
    browser.click("#viewers option:nth-child(2)").await;
    browser.see(WHO, "Signed in as Ada Tester (license admin)").await;
    assert_eq!(browser.run(TOKEN).await, json!(ada));
}

#[tokio::test]
async fn signing_in_otherwise_forgets_the_viewers_of_a_link() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ada) = with_ada().await;
    let user = app.user().await.token.unwrap();
    browser.open(&format!("{}/#token={user}&token={ada}", app.url())).await;
    browser.click("#offer button").await;
    browser.see(WHO, "Signed in as User Tester").await;
    browser.click("#sign-out").await;
    browser.see(WHO, "Not signed in").await;
    browser.write("#login [name=login]", "ada").await;
    browser.write("#login [name=password]", PASSWORD).await;
    browser.click("#login button").await;
    browser.see(WHO, "Signed in as Ada Tester").await;
    let stored = browser.run("return JSON.stringify({ ...sessionStorage })").await;
    assert!(!stored.as_str().unwrap().contains(&ada), "{stored}");
    assert_eq!(browser.run("return document.querySelector('#view-as').hidden").await, true);
}
