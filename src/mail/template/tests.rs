use sea_orm::Iterable;

use super::*;

const URL: &str =
    "https://people.example.org/roster/activate?lang=fr&x=1#rol_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "Ada\r\nBcc: eve@example.org\r\n\r\nLook",
    "Ada\u{2028}Bcc: eve\u{85}Cc: eve\u{b}x\0\u{7f}",
    "{$name} {$organisation} { mail.regards }",
    "{{name}} {{ sheet.subject }} {% raw %} {# #}",
    "\u{202e}adA\u{2066}\u{200f}",
    "' onmouseover='x",
    "&lt;b&gt; &amp;",
];

fn letter(kind: MailKind, language: Language, name: &'static str) -> EmailTemplate<'static> {
    let link = leads_somewhere(kind).then_some(Link { url: URL, lives: TimeDelta::days(14) });
    EmailTemplate { kind, language, name: Some(name), organisation: name, link }
}

/// Returns all emails of all kinds in one text.
pub fn every_letter_in(words: &Messages) -> String {
    let mut said = String::new();
    for kind in MailKind::iter() {
        for name in ["Ada", ""] {
            let written = letter(kind, words.language(), name).write_in(words).unwrap();
            said.push_str(&written.subject);
            said.push_str(&written.text);
        }
    }
    said
}

/// Returns the words that a browser shows of a body; every tag ends a word.
fn shown(html: &str) -> Vec<String> {
    let body = html.split_once("<body").unwrap().1;
    let text: String = body.split('>').skip(1).map(|piece| piece.split('<').next().unwrap().to_owned() + " ").collect();
    let text = text
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&");
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_mail_has_a_subject_on_one_line_and_its_link_where_there_is_one() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            let written = letter(kind, language, "Ada Tester").write().unwrap();
            assert!(!written.subject.is_empty() && !written.subject.contains(char::is_control), "{}", written.subject);
            let links = usize::from(leads_somewhere(kind));
            assert_eq!(written.text.matches("https://").count(), links, "{}", written.text);
            assert_eq!(written.text.lines().filter(|line| *line == URL).count(), links, "{}", written.text);
            let url = URL.replace('&', "&#38;");
            assert_eq!(written.html.matches(&format!("href=\"{url}\"")).count(), links * 2, "{}", written.html);
            assert_eq!(written.html.matches(&format!(">{url}</a>")).count(), links, "{}", written.html);
            assert_eq!(written.html.matches("://").count(), links * 3, "nothing of elsewhere: {}", written.html);
            assert!(written.html.contains(&format!("<html lang=\"{}\">", language.tag())));
            assert_eq!(written.text.contains("14\u{a0}"), links > 0);
        }
    }
}

#[test]
fn both_bodies_say_the_same_words() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            for name in HOSTILE.into_iter().chain(["Ada Tester"]) {
                let written = letter(kind, language, name).write().unwrap();
                let words: Vec<&str> = written.text.split_whitespace().collect();
                assert_eq!(shown(&written.html), words);
            }
        }
    }
}

#[test]
fn what_people_call_themselves_is_text_and_stays_on_its_line() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            let plain = letter(kind, language, "Ada Tester").write().unwrap();
            for name in HOSTILE {
                let Written { subject, text, html } = letter(kind, language, name).write().unwrap();
                assert!(
                    !subject.contains(|c: char| c.is_control() || is_invisible(c) || c == '\u{2028}'),
                    "{subject:?}"
                );
                assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || is_invisible(c)), "{text:?}");
                for mark in ['<', '>', '"', '\''] {
                    assert_eq!(html.matches(mark).count(), plain.html.matches(mark).count(), "{html}");
                }
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(text.ends_with(&one_line(name)), "{text}");
            }
        }
    }
}

#[test]
fn no_line_is_too_long_for_a_mail_server() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            for letter_of in ["\u{1f3e5}", "w", "w ", "\u{df}\u{a0}"] {
                let name: String = letter_of.chars().cycle().take(101).collect();
                let organisation: String = letter_of.chars().cycle().take(200).collect();
                let letter =
                    EmailTemplate { name: Some(&name), organisation: &organisation, ..letter(kind, language, "") };
                let Written { text, html, .. } = letter.write().unwrap();
                assert!(text.lines().all(|line| line.len() <= 998), "{text}");
                assert!(text.lines().all(|line| line.chars().count() <= LINE || !line.contains(' ')), "{text}");
                assert!(!html.is_empty());
            }
        }
    }
}

#[test]
fn a_name_that_a_stranger_may_have_typed_is_not_repeated() {
    for kind in [MailKind::Registration, MailKind::EmailConfirmation] {
        let written =
            EmailTemplate { organisation: "Alder", ..letter(kind, Language::English, "Mallory") }.write().unwrap();
        assert!(!written.text.contains("Mallory") && !written.html.contains("Mallory"));
        assert!(written.text.starts_with("Hello,\n"), "{}", written.text);
    }
    let written = letter(MailKind::Invitation, Language::French, "Ada").write().unwrap();
    assert!(written.text.starts_with("Bonjour Ada,\n"), "{}", written.text);
}

#[test]
fn a_mail_that_leads_nowhere_has_no_link_and_one_that_does_needs_it() {
    let link = || Some(Link { url: URL, lives: TimeDelta::hours(1) });
    let notice =
        EmailTemplate { link: link(), ..letter(MailKind::PinChanged, Language::English, "Ada") }.write().unwrap();
    assert!(!notice.text.contains(URL) && !notice.html.contains("href"));
    assert!(EmailTemplate { link: None, ..letter(MailKind::PasswordReset, Language::English, "Ada") }.write().is_err());
    let reset =
        EmailTemplate { link: link(), ..letter(MailKind::PasswordReset, Language::English, "Ada") }.write().unwrap();
    assert!(reset.text.contains("valid for 1\u{a0}hour."), "{}", reset.text);
}

#[test]
fn a_time_is_said_in_the_unit_that_suits_it() {
    for (time, said) in [
        (TimeDelta::days(14), (14, "days")),
        (TimeDelta::hours(47), (47, "hours")),
        (TimeDelta::hours(24), (24, "hours")),
        (TimeDelta::hours(1), (1, "hours")),
        (TimeDelta::minutes(59), (59, "minutes")),
    ] {
        assert_eq!(span(time), said);
    }
}
