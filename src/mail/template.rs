//! The text of a mail, in the language of whom it is for.

use askama::Template;
use chrono::TimeDelta;
use fluent_bundle::FluentValue;

use crate::entity::mail::Kind;
use crate::error::Error;
use crate::i18n::language::Language;
use crate::i18n::messages::Words;
use crate::text::is_invisible;

/// So many characters are written on a line of plain text, where its words allow it.
const LINE: usize = 76;

/// To whom, and what about.
pub struct Letter<'a> {
    pub kind: Kind,
    pub language: Language,
    /// Who is greeted; nobody is by a name that a stranger may have chosen.
    pub name: Option<&'a str>,
    /// The holder of the license.
    pub organisation: &'a str,
    /// Where the mail leads, if a mail of its kind does.
    pub link: Option<Link<'a>>,
}

/// A link that works once.
pub struct Link<'a> {
    pub url: &'a str,
    /// For how long.
    pub lives: TimeDelta,
}

/// A mail as it is sent: both bodies say the same.
pub struct Written {
    /// One line.
    pub subject: String,
    /// Plain text, in lines that every mail server takes.
    pub text: String,
    /// A whole page, with nothing in it that is elsewhere.
    pub html: String,
}

impl Letter<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// `Internal` where a mail of its kind leads somewhere, and no link is given.
    pub fn write(&self) -> Result<Written, Error> {
        self.write_in(Words::of(self.language))
    }

    fn write_in(&self, words: &Words) -> Result<Written, Error> {
        let message = message(self.kind);
        let organisation = one_line(self.organisation);
        let part = |name: &str| {
            one_line(&words.say_of(&format!("{message}.{name}"), [("organisation", organisation.as_str().into())]))
        };
        let sheet = Sheet {
            tag: words.language().tag(),
            subject: part("subject"),
            greeting: self.greeting(words),
            reason: part("reason"),
            action: self.action(words, part)?,
            otherwise: part("otherwise"),
            regards: words.say("mail.regards"),
            organisation: organisation.clone(),
        };
        let text = Plain { sheet: &sheet }.render().map_err(Error::internal)?;
        let html = Page { sheet: &sheet }.render().map_err(Error::internal)?;
        Ok(Written { text: wrapped(&text), html, subject: sheet.subject })
    }

    fn greeting(&self, words: &Words) -> String {
        let is_known = !matches!(self.kind, Kind::Registration | Kind::EmailConfirmation);
        match self.name.map(one_line).filter(|name| is_known && !name.is_empty()) {
            Some(name) => words.say_of("mail.greeting-by-name", [("name", name.into())]),
            None => words.say("mail.greeting"),
        }
    }

    fn action(&self, words: &Words, part: impl Fn(&str) -> String) -> Result<Option<Action<'_>>, Error> {
        if !leads_somewhere(self.kind) {
            return Ok(None);
        }
        let Some(Link { url, lives }) = &self.link else {
            return Err(Error::internal(format!("a mail about {:?} needs a link", self.kind)));
        };
        let (count, unit) = span(*lives);
        let lives = words.say_of("mail.lives", [("count", count.into()), ("unit", FluentValue::from(unit))]);
        Ok(Some(Action { label: part("action"), url, lives }))
    }
}

/// What a mail says, part by part.
struct Sheet<'a> {
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
    lives: String,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Plain<'a> {
    sheet: &'a Sheet<'a>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Page<'a> {
    sheet: &'a Sheet<'a>,
}

/// Under which message a kind has its words.
fn message(kind: Kind) -> &'static str {
    match kind {
        Kind::Invitation => "invitation",
        Kind::Registration => "registration",
        Kind::AddressTaken => "address-taken",
        Kind::PasswordReset => "password-reset",
        Kind::EmailConfirmation => "email-confirmation",
        Kind::EmailChangeRequested => "email-change-requested",
        Kind::PasswordChanged => "password-changed",
        Kind::PinChanged => "pin-changed",
        Kind::EmailChanged => "email-changed",
    }
}

fn leads_somewhere(kind: Kind) -> bool {
    match kind {
        Kind::Invitation | Kind::Registration | Kind::PasswordReset | Kind::EmailConfirmation => true,
        Kind::AddressTaken
        | Kind::EmailChangeRequested
        | Kind::PasswordChanged
        | Kind::PinChanged
        | Kind::EmailChanged => false,
    }
}

/// A time in the largest unit of which there are several, or one hour.
fn span(time: TimeDelta) -> (i64, &'static str) {
    match (time.num_days(), time.num_hours()) {
        (days @ 2.., _) => (days, "days"),
        (_, hours @ 1..) => (hours, "hours"),
        _ => (time.num_minutes(), "minutes"),
    }
}

/// Text that stays on its line and in its direction, whoever wrote it.
fn one_line(text: &str) -> String {
    let visible: String = text.chars().filter(|c| c.is_whitespace() || !(c.is_control() || is_invisible(*c))).collect();
    let breaks = |c: char| c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{202f}');
    visible.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text in lines of at most [`LINE`] characters; a word that is longer, such as a link, stays whole.
fn wrapped(text: &str) -> String {
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
