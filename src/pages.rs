//! The pages that links lead to. A link's secret stands behind its `#`, which no browser sends: a look at the page, by a
//! person or a mail scanner, uses nothing up.

use askama::Template;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use poem::http::{HeaderMap, StatusCode, header};
use poem::{Request, Response, Route, endpoint::make_sync, get};
use url::form_urlencoded;

use crate::language::Language;
use crate::password::LONGEST;
use crate::words::Words;

/// Where a link to activate an account leads.
pub const ACTIVATE: &str = "/activate";
/// Where a link to replace a lost password leads.
pub const RESET: &str = "/reset";
/// Where a link to confirm an e-mail address leads.
pub const CONFIRM_EMAIL: &str = "/confirm-email";

/// Adds the pages, by GET and HEAD; a new password needs at least so many characters.
#[must_use]
pub fn add_to(route: Route, shortest_password: usize) -> Route {
    [Purpose::Activate, Purpose::Reset, Purpose::ConfirmEmail].into_iter().fold(route, |route, purpose| {
        route.at(purpose.path(), get(make_sync(move |request| answer(&request, purpose, shortest_password))))
    })
}

/// The link of a token, at the server's public address, to a page in a language; without one, in that of the browser.
#[must_use]
pub fn link(public_url: &str, page: &str, language: Option<Language>, token: &str) -> String {
    let query = language.map(|language| format!("?lang={}", language.tag())).unwrap_or_default();
    format!("{}{page}{query}#{token}", public_url.trim_end_matches('/'))
}

/// What a page is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Activate,
    Reset,
    ConfirmEmail,
}

impl Purpose {
    fn path(self) -> &'static str {
        match self {
            Self::Activate => ACTIVATE,
            Self::Reset => RESET,
            Self::ConfirmEmail => CONFIRM_EMAIL,
        }
    }

    /// Under which message the page has its own words.
    fn message(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Reset => "reset",
            Self::ConfirmEmail => "confirm-email",
        }
    }

    fn sets_password(self) -> bool {
        matches!(self, Self::Activate | Self::Reset)
    }

    /// What the page sends once its button is pressed.
    fn query(self) -> &'static str {
        match self {
            Self::Activate => {
                "mutation ($input: ActivateAccountInput!) \
                 { done: activateAccount(input: $input) { success nextUrl token errors { code } } }"
            }
            Self::Reset => {
                "mutation ($input: ResetPasswordInput!) \
                 { done: resetPassword(input: $input) { success errors { code } } }"
            }
            Self::ConfirmEmail => {
                "mutation ($input: ConfirmEmailChangeInput!) \
                 { done: confirmEmailChange(input: $input) { success errors { code } } }"
            }
        }
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    purpose: Purpose,
    words: &'a Words,
    shortest: usize,
    longest: usize,
    nonce: &'a str,
}

impl Page<'_> {
    /// What this page says, and no other.
    fn own(&self, part: &str) -> String {
        self.words.say(&format!("{}.{part}", self.purpose.message()))
    }

    /// A rule for the length of passwords.
    fn rule(&self, part: &str) -> String {
        let lengths = [("shortest", self.shortest.into()), ("longest", self.longest.into())];
        self.words.say_of(&format!("password.{part}"), lengths)
    }
}

/// A page runs its own script and no other, and is never kept.
fn answer(request: &Request, purpose: Purpose, shortest: usize) -> Response {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let language = language(request.uri().query(), request.headers());
    let page = Page { purpose, words: Words::of(language), shortest, longest: LONGEST, nonce: &nonce };
    let page = match page.render() {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(%error, ?purpose, "a page could not be written");
            return Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).finish();
        }
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_LANGUAGE, language.tag())
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::VARY, header::ACCEPT_LANGUAGE)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(page)
}

/// That of the link, or else the one that the browser prefers.
fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let mut given = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let of_link = given.find(|(name, _)| name == "lang").and_then(|(_, tag)| Language::of_tag(&tag));
    let accepted = || headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Language::accepted);
    of_link.or_else(accepted).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every page in one text.
    pub fn every_page_in(words: &Words) -> String {
        let page = |purpose| Page { purpose, words, shortest: 12, longest: LONGEST, nonce: "" }.render().unwrap();
        [Purpose::Activate, Purpose::Reset, Purpose::ConfirmEmail].map(page).concat()
    }

    #[test]
    fn a_link_has_the_language_before_its_secret() {
        let base = "https://people.example.org/roster";
        for public_url in [base.to_owned(), format!("{base}/")] {
            let french = link(&public_url, ACTIVATE, Some(Language::French), "rol_x");
            assert_eq!(french, "https://people.example.org/roster/activate?lang=fr#rol_x");
            assert_eq!(link(&public_url, RESET, None, "rol_x"), "https://people.example.org/roster/reset#rol_x");
        }
    }
}
