//! The pages that one-time links lead to. The secret of a link is behind its `#`, which browsers do not send: opening the page,
//! by a user or by an email scanner, does not use up the link.

use askama::Template;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use poem::http::{HeaderMap, StatusCode, header};
use poem::{Request, Response, Route, endpoint::make_sync, get};
use sea_orm::Iterable;
use url::form_urlencoded;

use crate::auth::one_time_link;
use crate::auth::password::MAX_PASSWORD_LENGTH;
use crate::entity::link::Purpose;
use crate::i18n::language::Language;
use crate::i18n::messages::Messages;

/// The mutation by which the activation page ends the session that began with it.
const LOGOUT: &str = "mutation { logout { success } }";

/// The settings that the pages depend on.
#[derive(Clone, Debug)]
pub struct PageSettings {
    /// The minimum length of a new password.
    shortest: usize,
    /// The URL at which users sign in; `None` if there is none to link to.
    sign_in_url: Option<String>,
}

impl PageSettings {
    #[must_use]
    pub fn new(shortest: usize, sign_in_url: Option<String>) -> Self {
        Self { shortest, sign_in_url }
    }
}

/// Adds the pages, for GET and HEAD.
#[must_use]
pub fn add_to(route: Route, settings: &PageSettings) -> Route {
    Purpose::iter().fold(route, |route, purpose| {
        let settings = settings.clone();
        route.at(one_time_link::path(purpose), get(make_sync(move |request| respond(&request, purpose, &settings))))
    })
}

/// Returns the prefix of the page's own messages.
fn message(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Activation => "activate",
        Purpose::PasswordReset => "reset",
        Purpose::EmailChange => "confirm-email",
    }
}

/// Returns the mutation that the page sends when its button is pressed.
fn query(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Activation => {
            "mutation ($input: ActivateAccountInput!) \
             { done: activateAccount(input: $input) { success nextUrl token user { username email } errors { code } } }"
        }
        Purpose::PasswordReset => {
            "mutation ($input: ResetPasswordInput!) \
             { done: resetPassword(input: $input) { success errors { code } } }"
        }
        Purpose::EmailChange => {
            "mutation ($input: ConfirmEmailChangeInput!) \
             { done: confirmEmailChange(input: $input) { success errors { code } } }"
        }
    }
}

/// Returns whether a document is one that the pages send.
#[must_use]
pub fn is_document(text: &str) -> bool {
    text == LOGOUT || Purpose::iter().any(|purpose| text == query(purpose))
}

#[derive(Template)]
#[template(path = "page.html")]
struct LinkPage<'a> {
    purpose: Purpose,
    messages: &'a Messages,
    shortest: usize,
    longest: usize,
    sign_in_url: Option<&'a str>,
    logout: &'static str,
    nonce: &'a str,
}

impl<'a> LinkPage<'a> {
    fn new(purpose: Purpose, messages: &'a Messages, settings: &'a PageSettings, nonce: &'a str) -> Self {
        let (shortest, sign_in_url) = (settings.shortest, settings.sign_in_url.as_deref());
        Self { purpose, messages, shortest, longest: MAX_PASSWORD_LENGTH, sign_in_url, logout: LOGOUT, nonce }
    }

    /// Returns whether the page tells the login of a new account.
    fn tells_login(&self) -> bool {
        match self.purpose {
            Purpose::Activation => true,
            Purpose::PasswordReset | Purpose::EmailChange => false,
        }
    }

    fn sets_password(&self) -> bool {
        match self.purpose {
            Purpose::Activation | Purpose::PasswordReset => true,
            Purpose::EmailChange => false,
        }
    }

    /// Returns whether the link may bring an email address that another user has by now: the new address, or that of a
    /// registration.
    fn brings_address(&self) -> bool {
        match self.purpose {
            Purpose::Activation | Purpose::EmailChange => true,
            Purpose::PasswordReset => false,
        }
    }

    fn query(&self) -> &'static str {
        query(self.purpose)
    }

    /// Returns a message that only this page has.
    fn own(&self, part: &str) -> String {
        self.messages.get(&format!("{}.{part}", message(self.purpose)))
    }

    /// Returns a rule for the length of passwords.
    fn rule(&self, part: &str) -> String {
        let lengths = [("shortest", self.shortest.into()), ("longest", self.longest.into())];
        self.messages.get_with(&format!("password.{part}"), lengths)
    }
}

/// Returns the response with a page. It runs only its own script and is never cached.
fn respond(request: &Request, purpose: Purpose, settings: &PageSettings) -> Response {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let language = language(request.uri().query(), request.headers());
    let page = match LinkPage::new(purpose, Messages::of(language), settings, &nonce).render() {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(%error, ?purpose, "failed to render a page");
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

/// Returns the language of the link or, without one, the language that the browser prefers.
fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let of_link = parameters.find(|(name, _)| name == "lang").and_then(|(_, tag)| Language::of_tag(&tag));
    of_link.or_else(|| Language::of_headers(headers)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns all pages as one text.
    pub fn all_pages_in(messages: &Messages) -> String {
        let settings = PageSettings::new(12, Some("./".to_owned()));
        let page = |purpose| LinkPage::new(purpose, messages, &settings, "").render().unwrap();
        Purpose::iter().map(page).collect()
    }
}
