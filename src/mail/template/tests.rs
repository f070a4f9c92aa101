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
    "{{name}} {{ context.subject }} {% raw %} {# #}",
    "\u{202e}adA\u{2066}\u{200f}",
    "' onmouseover='x",
    "&lt;b&gt; &amp;",
];

fn template(kind: MailKind, language: Language, name: &'static str) -> EmailTemplate<'static> {
    let link = has_link(kind).then_some(Link { url: URL, lifetime: TimeDelta::days(14) });
    EmailTemplate { kind, language, name: Some(name), organisation: name, link }
}

/// Returns all emails of all kinds in one text.
pub fn all_emails_in(messages: &Messages) -> String {
    let mut texts = String::new();
    for kind in MailKind::iter() {
        for name in ["Ada", ""] {
            let rendered = template(kind, messages.language(), name).render_in(messages).unwrap();
            texts.push_str(&rendered.subject);
            texts.push_str(&rendered.text);
        }
    }
    texts
}

/// Returns the words that a browser shows of a body; every tag ends a word.
fn visible_words(html: &str) -> Vec<String> {
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
fn every_email_has_a_subject_on_one_line_and_the_link_of_its_kind() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            let rendered = template(kind, language, "Ada Tester").render().unwrap();
            assert!(
                !rendered.subject.is_empty() && !rendered.subject.contains(char::is_control),
                "{}",
                rendered.subject
            );
            let links = usize::from(has_link(kind));
            assert_eq!(rendered.text.matches("https://").count(), links, "{}", rendered.text);
            assert_eq!(rendered.text.lines().filter(|line| *line == URL).count(), links, "{}", rendered.text);
            let url = URL.replace('&', "&#38;");
            assert_eq!(rendered.html.matches(&format!("href=\"{url}\"")).count(), links * 2, "{}", rendered.html);
            assert_eq!(rendered.html.matches(&format!(">{url}</a>")).count(), links, "{}", rendered.html);
            assert_eq!(rendered.html.matches("://").count(), links * 3, "nothing of elsewhere: {}", rendered.html);
            assert!(rendered.html.contains(&format!("<html lang=\"{}\">", language.tag())));
            assert_eq!(rendered.text.contains("14\u{a0}"), links > 0);
        }
    }
}

#[test]
fn both_bodies_have_the_same_words() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            for name in HOSTILE.into_iter().chain(["Ada Tester"]) {
                let rendered = template(kind, language, name).render().unwrap();
                let words: Vec<&str> = rendered.text.split_whitespace().collect();
                assert_eq!(visible_words(&rendered.html), words);
            }
        }
    }
}

#[test]
fn names_are_escaped_and_stay_on_their_line() {
    for kind in MailKind::iter() {
        for language in Language::ALL {
            let plain = template(kind, language, "Ada Tester").render().unwrap();
            for name in HOSTILE {
                let RenderedEmail { subject, text, html } = template(kind, language, name).render().unwrap();
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
            for pattern in ["\u{1f3e5}", "w", "w ", "\u{df}\u{a0}"] {
                let name: String = pattern.chars().cycle().take(101).collect();
                let organisation: String = pattern.chars().cycle().take(200).collect();
                let template =
                    EmailTemplate { name: Some(&name), organisation: &organisation, ..template(kind, language, "") };
                let RenderedEmail { text, html, .. } = template.render().unwrap();
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
        let rendered =
            EmailTemplate { organisation: "Alder", ..template(kind, Language::English, "Mallory") }.render().unwrap();
        assert!(!rendered.text.contains("Mallory") && !rendered.html.contains("Mallory"));
        assert!(rendered.text.starts_with("Hello,\n"), "{}", rendered.text);
    }
    let rendered = template(MailKind::Invitation, Language::French, "Ada").render().unwrap();
    assert!(rendered.text.starts_with("Bonjour Ada,\n"), "{}", rendered.text);
}

#[test]
fn an_email_has_a_link_only_if_its_kind_has_one_and_requires_it_then() {
    let link = || Some(Link { url: URL, lifetime: TimeDelta::hours(1) });
    let notification =
        EmailTemplate { link: link(), ..template(MailKind::PinChanged, Language::English, "Ada") }.render().unwrap();
    assert!(!notification.text.contains(URL) && !notification.html.contains("href"));
    assert!(
        EmailTemplate { link: None, ..template(MailKind::PasswordReset, Language::English, "Ada") }.render().is_err()
    );
    let reset =
        EmailTemplate { link: link(), ..template(MailKind::PasswordReset, Language::English, "Ada") }.render().unwrap();
    assert!(reset.text.contains("valid for 1\u{a0}hour."), "{}", reset.text);
}

#[test]
fn a_duration_is_given_in_days_hours_or_minutes() {
    for (time, expected) in [
        (TimeDelta::days(14), (14, "days")),
        (TimeDelta::hours(47), (47, "hours")),
        (TimeDelta::hours(24), (24, "hours")),
        (TimeDelta::hours(1), (1, "hours")),
        (TimeDelta::minutes(59), (59, "minutes")),
    ] {
        assert_eq!(count_and_unit(time), expected);
    }
}
