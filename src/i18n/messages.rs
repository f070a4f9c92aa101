//! Messages of emails and pages in each language, from the Fluent files in `locales/`.

use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::i18n::language::Language;

/// The parsed messages of each language, in the order of [`Language::ALL`].
static PARSED: [OnceLock<Messages>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];

/// The messages of a language.
pub struct Messages {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl Messages {
    /// Returns the messages of a language, which are parsed once.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "there is an element for each variant")]
    pub fn of(language: Language) -> &'static Self {
        PARSED[language as usize].get_or_init(|| Self::parse(language, language.source().to_owned()))
    }

    /// Parses the messages of a language. Invalid entries are left out; a test ensures that there are none.
    fn parse(language: Language, source: String) -> Self {
        let resource = FluentResource::try_new(source).unwrap_or_else(|(resource, _)| resource);
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
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&FluentArgs::from_iter(values)), &mut errors).into_owned();
        for error in errors {
            tracing::error!(key, ?self.language, %error, "failed to format a translation");
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::mail::template::tests::all_emails_in;
    use crate::web::pages::tests::all_pages_in;

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
    fn every_language_has_the_same_messages_with_the_same_variables() {
        let keys_and_variables = |language: Language| {
            let entries = entries(language.source());
            entries.iter().map(|(key, text)| (key.clone(), format!("{:?}", variables(text)))).collect::<Vec<_>>()
        };
        let english = keys_and_variables(Language::English);
        assert!(english.len() > 60);
        for language in Language::ALL {
            assert_eq!(keys_and_variables(language), english, "{language:?}");
        }
    }

    #[test]
    fn every_message_can_be_formatted() {
        for language in Language::ALL {
            let source = language.source();
            let resource = FluentResource::try_new(source.to_owned()).map_err(|(_, errors)| errors).unwrap();
            let messages = Messages::parse(language, source.to_owned());
            let mut strict = FluentBundle::<FluentResource>::new_concurrent(Vec::new());
            assert!(strict.add_resource(resource).is_ok(), "{language:?}");
            for (key, text) in entries(source) {
                let (message, attribute) = key.split_once('.').unwrap();
                let pattern = messages.bundle.get_message(message).unwrap().get_attribute(attribute).unwrap().value();
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
                    let mut errors = Vec::new();
                    let text = messages.bundle.format_pattern(pattern, Some(&values), &mut errors);
                    assert!(errors.is_empty() && !text.is_empty(), "{language:?} {key}: {errors:?}");
                }
            }
        }
    }

    /// Returns messages whose texts are their keys, and the keys.
    fn keys() -> (Messages, BTreeSet<String>) {
        let keys: BTreeSet<String> = entries(Language::English.source()).into_keys().collect();
        let mut source = String::new();
        for key in &keys {
            let (message, attribute) = key.split_once('.').unwrap();
            if !source.contains(&format!("\n{message} =\n")) {
                source.extend(["\n", message, " =\n"]);
            }
            source.extend(["    .", attribute, " = [", key, "]\n"]);
        }
        (Messages::parse(Language::English, source), keys)
    }

    #[test]
    fn every_message_is_used() {
        let (messages, keys) = keys();
        let text = all_emails_in(&messages) + &all_pages_in(&messages);
        let unused: Vec<&String> = keys.iter().filter(|key| !text.contains(&format!("[{key}]"))).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn numbers_and_units_agree() {
        let validity = |language, count: i64, unit| {
            let text = Messages::of(language)
                .get_with("mail.lives", [("count", count.into()), ("unit", FluentValue::from(unit))]);
            text.replace('\u{a0}', " ")
                .rsplit_once(' ')
                .map(|(start, unit)| format!("{} {unit}", start.rsplit_once(' ').unwrap().1))
                .unwrap()
        };
        assert_eq!(validity(Language::English, 14, "days"), "14 days.");
        assert_eq!(validity(Language::English, 1, "hours"), "1 hour.");
        assert_eq!(validity(Language::French, 1, "hours"), "1 heure.");
        assert_eq!(validity(Language::French, 2, "hours"), "2 heures.");
        assert_eq!(validity(Language::Italian, 1, "hours"), "1 ora.");
        assert_eq!(validity(Language::Italian, 14, "days"), "14 giorni.");
        assert_eq!(validity(Language::Italian, 5, "minutes"), "5 minuti.");
    }

    #[test]
    fn punctuation_follows_the_rules_of_each_language() {
        for language in Language::ALL {
            for (key, text) in entries(language.source()) {
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
    fn values_are_not_escaped() {
        let text = Messages::of(Language::English)
            .get_with("mail.greeting-by-name", [("name", "{$name} { mail.regards }".into())]);
        assert_eq!(text, "Hello {$name} { mail.regards },");
    }
}
