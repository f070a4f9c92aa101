//! The text of an email, in the recipient's language.

use askama::Template;
use chrono::TimeDelta;
use fluent_bundle::FluentValue;

use crate::entity::mail::MailKind;
use crate::error::Error;
use crate::i18n::language::Language;
use crate::i18n::messages::Messages;
use crate::text::is_invisible;

/// The maximum length of a line of plain text, except for longer words.
const LINE: usize = 76;

/// An email to be rendered: its kind, recipient and link.
pub struct EmailTemplate<'a> {
    pub kind: MailKind,
    pub language: Language,
    /// The name in the greeting; `None` if a stranger may have chosen it.
    pub name: Option<&'a str>,
    /// The holder of the license.
    pub organisation: &'a str,
    /// The link of the email, if emails of its kind have one.
    pub link: Option<Link<'a>>,
}

/// A one-time link.
pub struct Link<'a> {
    pub url: &'a str,
    pub lifetime: TimeDelta,
}

/// An email to be sent; both bodies have the same text.
pub struct RenderedEmail {
    /// The subject, in one line.
    pub subject: String,
    /// The plain text, in lines of a length that every mail server accepts.
    pub text: String,
    /// A whole HTML page without external resources.
    pub html: String,
}

impl EmailTemplate<'_> {
    /// Renders the email.
    ///
    /// # Errors
    /// `Internal` if emails of its kind have a link and none is given.
    pub fn render(&self) -> Result<RenderedEmail, Error> {
        self.render_in(Messages::of(self.language))
    }

    fn render_in(&self, messages: &Messages) -> Result<RenderedEmail, Error> {
        let message = message_key(self.kind);
        let organisation = one_line(self.organisation);
        let part = |name: &str| {
            one_line(&messages.get_with(&format!("{message}.{name}"), [("organisation", organisation.as_str().into())]))
        };
        let context = TemplateContext {
            tag: messages.language().tag(),
            subject: part("subject"),
            greeting: self.greeting(messages),
            reason: part("reason"),
            action: self.action(messages, part)?,
            otherwise: part("otherwise"),
            regards: messages.get("mail.regards"),
            organisation: organisation.clone(),
        };
        let text = PlainText { context: &context }.render().map_err(Error::internal)?;
        let html = HtmlPage { context: &context }.render().map_err(Error::internal)?;
        Ok(RenderedEmail { text: wrap(&text), html, subject: context.subject })
    }

    fn greeting(&self, messages: &Messages) -> String {
        let may_be_named = !matches!(self.kind, MailKind::Registration | MailKind::EmailConfirmation);
        match self.name.map(one_line).filter(|name| may_be_named && !name.is_empty()) {
            Some(name) => messages.get_with("mail.greeting-by-name", [("name", name.into())]),
            None => messages.get("mail.greeting"),
        }
    }

    fn action(&self, messages: &Messages, part: impl Fn(&str) -> String) -> Result<Option<Action<'_>>, Error> {
        if !has_link(self.kind) {
            return Ok(None);
        }
        let Some(Link { url, lifetime }) = &self.link else {
            return Err(Error::internal(format!("an email of the kind {:?} requires a link", self.kind)));
        };
        let (count, unit) = count_and_unit(*lifetime);
        let validity = messages.get_with("mail.lives", [("count", count.into()), ("unit", FluentValue::from(unit))]);
        Ok(Some(Action { label: part("action"), url, validity }))
    }
}

/// The parts of an email, as the HTML template uses them.
struct TemplateContext<'a> {
    tag: &'static str,
    subject: String,
    greeting: String,
    reason: String,
    action: Option<Action<'a>>,
    otherwise: String,
    regards: String,
    organisation: String,
}

struct Action<'a> {
    label: String,
    url: &'a str,
    /// The sentence about the lifetime of the link.
    validity: String,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct PlainText<'a> {
    context: &'a TemplateContext<'a>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct HtmlPage<'a> {
    context: &'a TemplateContext<'a>,
}

/// Returns the key of the messages of a kind.
fn message_key(kind: MailKind) -> &'static str {
    match kind {
        MailKind::Invitation => "invitation",
        MailKind::Registration => "registration",
        MailKind::AddressTaken => "address-taken",
        MailKind::PasswordReset => "password-reset",
        MailKind::EmailConfirmation => "email-confirmation",
        MailKind::EmailChangeRequested => "email-change-requested",
        MailKind::PasswordChanged => "password-changed",
        MailKind::PinChanged => "pin-changed",
        MailKind::EmailChanged => "email-changed",
    }
}

fn has_link(kind: MailKind) -> bool {
    match kind {
        MailKind::Invitation | MailKind::Registration | MailKind::PasswordReset | MailKind::EmailConfirmation => true,
        MailKind::AddressTaken
        | MailKind::EmailChangeRequested
        | MailKind::PasswordChanged
        | MailKind::PinChanged
        | MailKind::EmailChanged => false,
    }
}

/// Returns a duration as count and unit: in days from two days on, in hours from one hour on, otherwise in minutes.
fn count_and_unit(time: TimeDelta) -> (i64, &'static str) {
    match (time.num_days(), time.num_hours()) {
        (days @ 2.., _) => (days, "days"),
        (_, hours @ 1..) => (hours, "hours"),
        _ => (time.num_minutes(), "minutes"),
    }
}

/// Returns an untrusted text as one line, without control characters and invisible characters, which could change its direction.
fn one_line(text: &str) -> String {
    let visible: String = text.chars().filter(|c| c.is_whitespace() || !(c.is_control() || is_invisible(*c))).collect();
    let is_separator = |c: char| c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{202f}');
    visible.split(is_separator).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Wraps a text into lines of at most [`LINE`] characters; a longer word, such as a link, stays whole.
fn wrap(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + text.len() / LINE);
    for line in text.lines() {
        let mut length = 0;
        for word in line.split(' ') {
            let needed = word.chars().count();
            if length > 0 {
                let fits = length + 1 + needed <= LINE;
                wrapped.push(if fits { ' ' } else { '\n' });
                length = if fits { length + 1 } else { 0 };
            }
            wrapped.push_str(word);
            length += needed;
        }
        wrapped.push('\n');
    }
    wrapped
}

#[cfg(test)]
pub(crate) mod tests;
