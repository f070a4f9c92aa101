//! Messages of emails and pages in each language, from the Fluent files in `locales/`.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::i18n::language::Language;

static ENGLISH: LazyLock<Messages> =
    LazyLock::new(|| Messages::read(Language::English, include_str!("../../locales/en.ftl").to_owned()));
static FRENCH: LazyLock<Messages> =
    LazyLock::new(|| Messages::read(Language::French, include_str!("../../locales/fr.ftl").to_owned()));
static ITALIAN: LazyLock<Messages> =
    LazyLock::new(|| Messages::read(Language::Italian, include_str!("../../locales/it.ftl").to_owned()));

/// The messages of a language.
pub struct Messages {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl Messages {
    /// Returns the messages of a language, which are parsed once.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
            Language::Italian => &ITALIAN,
        }
    }

    /// Parses the messages of a language. Invalid entries are left out; a test ensures that there are none.
    pub(crate) fn read(language: Language, text: String) -> Self {
        let resource = FluentResource::try_new(text).unwrap_or_else(|(resource, _)| resource);
        let mut bundle = FluentBundle::new_concurrent(vec![language.tag().parse().unwrap_or_default()]);
        // Direction marks around the values would be visible in subjects and in plain text.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        Self { language, bundle }
    }

    /// Returns the language of the messages.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// Returns the message with a key such as `invitation.subject`: a message and its attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> String {
        self.get_with(key, [])
    }

    /// Returns the message with a key, with values for its variables. The values are not escaped.
    #[must_use]
    pub fn get_with<const N: usize>(&self, key: &str, values: [(&'static str, FluentValue<'_>); N]) -> String {
        let pattern = key
            .split_once('.')
            .and_then(|(message, attribute)| Some(self.bundle.get_message(message)?.get_attribute(attribute)?.value()));
        let Some(pattern) = pattern else {
            tracing::error!(key, ?self.language, "missing translation");
            return key.to_owned();
        };
        let mut faults = Vec::new();
        let said = self.bundle.format_pattern(pattern, Some(&FluentArgs::from_iter(values)), &mut faults).into_owned();
        if !faults.is_empty() {
            tracing::error!(key, ?self.language, ?faults, "failed to format a translation");
        }
        said
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::mail::template::tests::every_letter_in;
    use crate::web::pages::tests::every_page_in;

    const SOURCES: [(Language, &str); 3] = [
        (Language::English, include_str!("../../locales/en.ftl")),
        (Language::French, include_str!("../../locales/fr.ftl")),
        (Language::Italian, include_str!("../../locales/it.ftl")),
    ];

    /// Returns each key of a file with its text.
    fn entries(source: &str) -> BTreeMap<String, String> {
        let (mut message, mut key, mut entries) = ("", String::new(), BTreeMap::new());
        for line in source.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((attribute, text)) = line.strip_prefix("    .").and_then(|line| line.split_once(" = ")) {
                key = format!("{message}.{attribute}");
                assert!(entries.insert(key.clone(), text.to_owned()).is_none(), "{key} twice");
            } else if let Some(name) = line.strip_suffix(" =") {
                message = name;
            } else {
                entries.get_mut(&key).unwrap().push_str(line.trim());
            }
        }
        entries
    }

    fn variables(text: &str) -> BTreeSet<&str> {
        let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-';
        text.split('$').skip(1).filter_map(|rest| rest.split(ends).next()).collect()
    }

    #[test]
    fn every_language_says_the_same_things() {
        let of = |source| {
            let entries = entries(source);
            entries.iter().map(|(key, text)| (key.clone(), format!("{:?}", variables(text)))).collect::<Vec<_>>()
        };
        let [(_, english), others @ ..] = SOURCES;
        assert!(of(english).len() > 60);
        for (language, source) in others {
            assert_eq!(of(source), of(english), "{language:?}");
        }
    }

    #[test]
    fn everything_can_be_said() {
        for (language, source) in SOURCES {
            let resource = FluentResource::try_new(source.to_owned()).map_err(|(_, faults)| faults).unwrap();
            let words = Messages::read(language, source.to_owned());
            let mut twice = FluentBundle::<FluentResource>::new_concurrent(Vec::new());
            assert!(twice.add_resource(resource).is_ok(), "{language:?}");
            for (key, text) in entries(source) {
                let (message, attribute) = key.split_once('.').unwrap();
                let pattern = words.bundle.get_message(message).unwrap().get_attribute(attribute).unwrap().value();
                for (count, unit) in
                    [(1, "minutes"), (2, "minutes"), (1, "hours"), (2, "hours"), (1, "days"), (14, "days")]
                {
                    let mut values = FluentArgs::new();
                    for variable in variables(&text) {
                        match variable {
                            "unit" => values.set(variable, unit),
                            "name" | "organisation" => values.set(variable, "{$name}"),
                            _ => values.set(variable, count),
                        }
                    }
                    let mut faults = Vec::new();
                    let said = words.bundle.format_pattern(pattern, Some(&values), &mut faults);
                    assert!(faults.is_empty() && !said.is_empty(), "{language:?} {key}: {faults:?}");
                }
            }
        }
    }

    /// Returns messages whose texts are their keys, and the keys.
    fn keys() -> (Messages, BTreeSet<String>) {
        let keys: BTreeSet<String> = entries(SOURCES[0].1).into_keys().collect();
        let mut source = String::new();
        for key in &keys {
            let (message, attribute) = key.split_once('.').unwrap();
            if !source.contains(&format!("\n{message} =\n")) {
                source.extend(["\n", message, " =\n"]);
            }
            source.extend(["    .", attribute, " = [", key, "]\n"]);
        }
        (Messages::read(Language::English, source), keys)
    }

    #[test]
    fn there_are_no_words_that_nobody_says() {
        let (words, keys) = keys();
        let said = every_letter_in(&words) + &every_page_in(&words);
        let left: Vec<&String> = keys.iter().filter(|key| !said.contains(&format!("[{key}]"))).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn numbers_and_units_agree() {
        let lives = |language, count: i64, unit| {
            let said = Messages::of(language)
                .get_with("mail.lives", [("count", count.into()), ("unit", FluentValue::from(unit))]);
            said.replace('\u{a0}', " ")
                .rsplit_once(' ')
                .map(|(start, unit)| format!("{} {unit}", start.rsplit_once(' ').unwrap().1))
                .unwrap()
        };
        assert_eq!(lives(Language::English, 14, "days"), "14 days.");
        assert_eq!(lives(Language::English, 1, "hours"), "1 hour.");
        assert_eq!(lives(Language::French, 1, "hours"), "1 heure.");
        assert_eq!(lives(Language::French, 2, "hours"), "2 heures.");
        assert_eq!(lives(Language::Italian, 1, "hours"), "1 ora.");
        assert_eq!(lives(Language::Italian, 14, "days"), "14 giorni.");
        assert_eq!(lives(Language::Italian, 5, "minutes"), "5 minuti.");
    }

    #[test]
    fn signs_are_set_as_each_language_sets_them() {
        for (language, source) in SOURCES {
            for (key, text) in entries(source) {
                let wrong = ["'", "\"", "...", "  "].into_iter().find(|sign| text.contains(sign));
                assert_eq!(wrong, None, "{language:?} {key}: {text}");
                let pairs: Vec<(char, char)> = text.chars().zip(text.chars().skip(1)).collect();
                for (before, sign) in pairs {
                    match (language, sign) {
                        (Language::French, ':' | ';' | '?' | '!') => assert_eq!(before, '\u{202f}', "{key}: {text}"),
                        (Language::French, '»') => assert_eq!(before, '\u{a0}', "{key}: {text}"),
                        (_, ':' | ';' | '?' | '!' | '»') => assert!(!before.is_whitespace(), "{key}: {text}"),
                        _ => {}
                    }
                    if before == '«' {
                        assert_eq!(sign == '\u{a0}', language == Language::French, "{key}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn values_are_taken_as_they_are() {
        let said = Messages::of(Language::English)
            .get_with("mail.greeting-by-name", [("name", "{$name} { mail.regards }".into())]);
        assert_eq!(said, "Hello {$name} { mail.regards },");
    }
}
