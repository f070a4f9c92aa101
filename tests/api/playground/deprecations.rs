//! Deprecated elements in the playground. Nothing in the schema is deprecated, so the page reads a schema that was
//! changed on the way.

use serde_json::json;

use super::show;
use crate::app::App;
use crate::browser::Browser;

/// Deprecates an element of each kind in the response to the introspection of GraphiQL.
const DEPRECATE: &str = "{
    const original = window.fetch;
    window.fetch = async (...request) => {
        const response = await original(...request);
        if (!String(request[1]?.body).includes('IntrospectionQuery')) return response;
        const schema = await response.json();
        const type = name => schema.data.__schema.types.find(type => type.name === name);
        const deprecate = (members, name, deprecationReason) =>
            Object.assign(members.find(member => member.name === name), { isDeprecated: true, deprecationReason });
        const { fields } = type('Query');
        deprecate(fields, 'searchUsers', 'Since 2027-01-31: use `users`. Removed on 2027-07-31.');
        deprecate(fields.find(field => field.name === 'users').args, 'orderBy', 'Since 2027-02-01: use `filter`.');
        deprecate(type('UserFilter').inputFields, 'nickname', 'Since 2027-03-02: use `firstName`.');
        deprecate(type('Gender').enumValues, 'FEMALE', 'Since 2027-04-03: no replacement.');
        return new Response(JSON.stringify(schema), response);
    };
}";

const EXPLORER: &str = ".graphiql-doc-explorer";

/// The way through the documentation: a link, the button that shows what is deprecated there, and what it shows.
const WAY: [(&str, &str, &str); 4] = [
    ("Query", "Show Deprecated Fields", "Since 2027-01-31: use users. Removed on 2027-07-31."),
    ("users", "Show Deprecated Arguments", "Since 2027-02-01: use filter."),
    ("UserFilter", "Show Deprecated Fields", "Since 2027-03-02: use firstName."),
    ("Gender", "Show Deprecated Values", "Since 2027-04-03: no replacement."),
];

/// Clicks on a link or a button of the documentation.
async fn click(browser: &Browser, text: &str) {
    let text = json!(text);
    let script = format!(
        "const elements = [...document.querySelectorAll('{EXPLORER} :is(a, button)')];
        const found = elements.find(element => element.textContent === {text});
        found?.click();
        return Boolean(found)"
    );
    browser.see_true(&script).await;
}

#[tokio::test]
async fn deprecated_elements_are_shown_with_their_dates_and_reasons() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    browser.run_in_new_pages(DEPRECATE).await;
    browser.open(&app.url()).await;
    browser.click("button[aria-label='Show Documentation Explorer']").await;
    for (link, button, reason) in WAY {
        click(&browser, link).await;
        click(&browser, button).await;
        browser.see(EXPLORER, reason).await;
    }
    let query = "query Old { users(orderBy: [{ field: ROLE }]) { totalCount } }";
    show(&browser, "Old", query, &json!({})).await;
    let warnings = "[...document.querySelectorAll('.graphiql-query-editor .CodeMirror-lint-mark-warning')]";
    browser.see_true(&format!("return {warnings}.some(mark => mark.textContent === 'orderBy')")).await;
    assert_eq!(browser.console().await, [""; 0]);
}
