//! The playground on a phone.

use serde_json::json;

use super::{RESPONSE, sign_in_by_link, with_ada};
use crate::browser::Browser;

/// The elements beyond the window, besides those that scroll by themselves or are hidden beside it.
const TOO_WIDE: &str = "return [...document.querySelectorAll('body *')].filter(element => {
    const { left, right, width } = element.getBoundingClientRect();
    const scrolls = element.closest('.CodeMirror, .graphiql-editor-tool, #code, .graphiql-explorer-root, .graphiql-tooltip');
    return width > 0 && !scrolls && (left < -1 || right > innerWidth + 1);
}).map(element => element.outerHTML.slice(0, 80))";

async fn assert_fits(browser: &Browser, state: &str) {
    assert_eq!(browser.run(TOO_WIDE).await, json!([]), "{state}");
    let widths = "const main = document.querySelector('#graphiql');
        return [document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth]";
    assert_eq!(browser.run(widths).await, json!([0, 0]), "{state}");
}

#[tokio::test]
async fn a_phone_shows_everything_without_horizontal_scrolling() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    browser.show_as_phone(390, 844).await;
    browser.open(&app.url()).await;
    browser.see(".graphiql-container", "FirstLook").await;
    assert_fits(&browser, "signed out").await;
    sign_in_by_link(&browser, &app, &token).await;
    for panel in ["Documentation Explorer", "History", "GraphiQL Explorer", "Examples", "Code", "File upload"] {
        browser.click(&format!("button[aria-label='Show {panel}']")).await;
        browser.see_true(&format!("return Boolean(document.querySelector(\"[aria-label='Hide {panel}']\"))")).await;
        assert_fits(&browser, panel).await;
    }
    browser.click("button[aria-label='Hide File upload']").await;
    browser.click(".graphiql-execute-button").await;
    browser.see(RESPONSE, "totalCount").await;
    assert_fits(&browser, "response").await;
}

#[tokio::test]
async fn a_phone_shows_the_response_below_the_document() {
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    browser.show_as_phone(390, 844).await;
    browser.open(&app.url()).await;
    browser.see(".graphiql-container", "FirstLook").await;
    let boxes = "const [above, below] = ['.graphiql-query-editor', '.graphiql-response'].map(
            selector => document.querySelector(selector).getBoundingClientRect());
        return above.bottom <= below.top && above.width > 300 && below.width > 300 && below.height > 200";
    browser.see_true(boxes).await;
}
