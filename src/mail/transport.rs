//! The transport of emails: SMTP, or files in a folder.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::SendError;
use super::smtp::Smtp;
use crate::i18n::language::Language;
use crate::private_file;
use crate::scalar::Id;

/// The maximum length of the reason of an error, in characters.
const MAX_REASON_LENGTH: usize = 500;

/// The sender of emails and their destination; cheap to clone.
#[derive(Clone)]
pub struct Transport {
    from: Mailbox,
    destination: Destination,
}

/// The destination of emails.
#[derive(Clone)]
pub enum Destination {
    /// A mail server.
    Smtp(Smtp),
    /// A folder, in which each email becomes a file `ID.eml`. It is created if it does not exist.
    Folder(PathBuf),
}

/// An email to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The id of the email, the same for every attempt.
    pub id: Id,
    /// The address of the recipient, without a name.
    pub to: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    pub html: &'a str,
    pub language: Language,
    pub written_at: DateTime<Utc>,
}

impl Transport {
    /// Creates a transport.
    #[must_use]
    pub fn new(from: Mailbox, destination: Destination) -> Self {
        Self { from, destination }
    }

    /// Sends an email. It has the same Message-ID each time it is sent.
    ///
    /// # Errors
    /// The reason for administrators, in one line of at most 500 characters, without our password. The error is permanent if the
    /// same email would be rejected again.
    pub async fn send(&self, mail: &Outgoing<'_>) -> Result<(), SendError> {
        let outcome = async {
            let message = self.message(mail).map_err(SendError::permanent)?;
            match &self.destination {
                Destination::Smtp(smtp) => smtp.send(message.envelope(), &message.formatted()).await,
                Destination::Folder(folder) => {
                    let file = folder.join(format!("{}.eml", mail.id.0));
                    let saved = save(folder.clone(), file.clone(), message.formatted()).await;
                    saved.map_err(SendError::temporary)?;
                    tracing::info!(file = %file.display(), "wrote an email to a file");
                    Ok(())
                }
            }
        };
        outcome.await.map_err(|error: SendError| SendError { reason: one_line(&error.reason), ..error })
    }

    fn message(&self, mail: &Outgoing<'_>) -> Result<Message, String> {
        let to = address(mail.to)?;
        if mail.subject.contains(char::is_control) {
            return Err("the subject contains line breaks or control characters".to_owned());
        }
        let recipients = Envelope::new(Some(self.from.email.clone()), vec![to.clone()]);
        Message::builder()
            .envelope(recipients.map_err(|error| error.to_string())?)
            .date(mail.written_at.into())
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .message_id(Some(format!("<{}@{}>", mail.id.0, self.from.email.domain())))
            .raw_header(header("Content-Language", mail.language.tag()))
            // Suppresses automatic replies (RFC 3834).
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .multipart(MultiPart::alternative_plain_html(clean_lines(mail.text), clean_lines(mail.html)))
            .map_err(|error| error.to_string())
    }
}

/// Returns a text without control characters except line ends and tabs: a lone CR ends an email for some servers.
fn clean_lines(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    unix.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Parses one address; its domain is converted to ASCII, the local part stays as it is.
fn address(text: &str) -> Result<Address, String> {
    let parts = text.rsplit_once('@').filter(|_| !text.contains(char::is_control));
    let address = parts.and_then(|(local, domain)| Address::new(local, idna::domain_to_ascii(domain).ok()?).ok());
    address.ok_or_else(|| "this is not an email address".to_owned())
}

/// Parses the sender of emails: `Roster <roster@example.org>` or `roster@example.org`.
///
/// # Errors
/// The expected format.
pub fn sender(text: &str) -> Result<Mailbox, String> {
    let text = text.trim();
    let (name, bare) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, bare)) => (name.trim(), bare),
        None => ("", text),
    };
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    let is_name = !name.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | '"' | '\\'));
    // Not every server can forward local parts that are not ASCII.
    let email = address(bare).ok().filter(|email| is_name && email.user().is_ascii());
    let email = email.ok_or("expected an email address, such as Roster <roster@example.org>")?;
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), email))
}

/// Writes an email into a folder, whole or not at all. Only the owner can read it, as it may hold a link that gives access.
async fn save(folder: PathBuf, file: PathBuf, mail: Vec<u8>) -> Result<(), String> {
    let saved = tokio::task::spawn_blocking(move || {
        write(&folder, &file, &mail).map_err(|error| format!("{}: {error}", file.display()))
    });
    saved.await.map_err(|error| error.to_string())?
}

fn write(folder: &Path, file: &Path, mail: &[u8]) -> io::Result<()> {
    private_file::make_dir(folder)?;
    let draft = folder.join(format!(".draft-{}", Id::new().0));
    let written = private_file::make(&draft).and_then(|mut open| open.write_all(mail).and_then(|()| open.sync_all()));
    let renamed = written.and_then(|()| fs::rename(&draft, file));
    if renamed.is_err() {
        // The draft may not exist; the first error is the one that matters.
        let _ = fs::remove_file(&draft);
    }
    renamed
}

/// Returns a reason as one printable line.
fn one_line(reason: &str) -> String {
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(MAX_REASON_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_address_or_none() {
        let good = [
            ("ann@example.org", "ann@example.org"),
            ("Ann+x@EXAMPLE.org", "Ann+x@example.org"),
            ("ann@münchen.example", "ann@xn--mnchen-3ya.example"),
            ("jürgen@example.org", "jürgen@example.org"),
            ("\"quoted, local\"@example.org", "\"quoted, local\"@example.org"),
            ("o'neil@example.org", "o'neil@example.org"),
        ];
        for (text, expected) in good {
            assert_eq!(address(text).unwrap().as_ref() as &str, expected, "{text}");
        }
        for text in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "ann@example.org\r\n",
            "ann@example.org\r\nBcc: eve@example.org",
            "ann\r\nRCPT TO:<eve@example.org>@example.org",
            "\"ann\r\nbcc\"@example.org",
            "\"ann\tbcc\"@example.org",
            "ann@example.org\0",
            "ann\u{85}@example.org",
            "ann@example.org,eve@example.org",
            "ann@example.org, eve@example.org",
            "ann@example.org;eve@example.org",
            "ann@example.org eve@example.org",
            "ann@eve@example.org",
            "ann@example.org>,<eve@example.org",
            "Ann <ann@example.org>",
            "<ann@example.org>",
            "ann@example.org (Ann)",
            "ann@example.org> SIZE=1",
            "ann@example.org，eve@example.org",
            "ann@example＠example.org",
            "ann@example\u{2028}.org",
            "group: ann@example.org;",
            "ann @example.org",
            "ann@ example.org",
            "ann@exam ple.org",
            "a..b@example.org",
            "ann@example..org",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_sender_has_a_name_or_none() {
        let from = |text: &str| sender(text).map(|mailbox| (mailbox.name, mailbox.email.to_string()));
        let named = |name: &str| Ok((Some(name.to_owned()), "a@example.org".to_owned()));
        assert_eq!(from("Roster <a@example.org>"), named("Roster"));
        assert_eq!(from(" \"Roster, Inc.\"<a@Example.org> "), named("Roster, Inc."));
        assert_eq!(from("Annuaire d\u{e9}mo <a@example.org>"), named("Annuaire d\u{e9}mo"));
        assert_eq!(from("a@example.org"), Ok((None, "a@example.org".to_owned())));
        assert_eq!(from("<a@example.org>"), Ok((None, "a@example.org".to_owned())));
        assert_eq!(from("a@m\u{fc}nchen.example").unwrap().1, "a@xn--mnchen-3ya.example");
        for text in [
            "",
            "Roster",
            "a@example.org, b@example.org",
            "A <a@example.org>, B <b@example.org>",
            "A <a@example.org> B",
            "A\r\nBcc: b@example.org <a@example.org>",
            "A <<a@example.org>>",
            "\u{e4}@example.org",
        ] {
            assert!(sender(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(one_line(" 550 no\r\n\tsuch\u{1b}[2J\u{85}person "), "550 no such [2J person");
        assert_eq!(one_line(&"é".repeat(600)).chars().count(), 500);
    }

    #[test]
    fn a_subject_adds_no_header() {
        let from = sender("Roster <roster@example.org>").unwrap();
        let transport = Transport::new(from, Destination::Folder(PathBuf::new()));
        let mail = |subject| {
            let mail = Outgoing {
                id: Id::new(),
                to: "ann@example.org",
                subject,
                text: "Text",
                html: "<p>Text</p>",
                language: Language::French,
                written_at: DateTime::UNIX_EPOCH,
            };
            transport.message(&mail).map(|message| String::from_utf8(message.formatted()).unwrap())
        };
        assert!(mail("Hello\r\nBcc: eve@example.org").is_err());
        assert!(mail("Hello\nBcc: eve@example.org").is_err());
        let long = format!("Hello: {} Bcc: eve@example.org", "é ".repeat(200));
        let head = mail(&long).unwrap();
        assert!(head.lines().all(|line| line.len() < 100 && !line.to_lowercase().starts_with("bcc")), "{head}");
    }
}
