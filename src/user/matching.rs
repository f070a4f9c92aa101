//! How well a person matches the words of a search, and in which fields.

use std::sync::Arc;

use async_graphql::{Enum, Object};

use crate::entity::user;
use crate::text;

/// A field in which words are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum UserSearchField {
    /// The username.
    Username,
    /// The first name.
    FirstName,
    /// The last name.
    LastName,
    /// The e-mail address.
    Email,
    /// The certified e-mail address.
    CertifiedEmail,
}

/// What the edge between a search and a person says; found out when it is asked for.
pub struct Match {
    words: Arc<[String]>,
    username: Option<String>,
    first_name: String,
    last_name: String,
    email: Option<String>,
    certified_email: Option<String>,
}

#[Object(name = "UserSearchMatch")]
impl Match {
    /// How well the person matches, from 0 to 1: the mean of the words, of which each counts by the field where it fits best.
    /// 1 is a whole field, 0.8 the begin of one, 0.5 a part; in addresses nine tenths of that.
    async fn score(&self) -> f64 {
        self.fitness()
    }

    /// The fields in which at least one of the words is found.
    async fn matched_fields(&self) -> Vec<UserSearchField> {
        self.found_in()
    }
}

impl Match {
    /// How folded words are found in a person.
    #[must_use]
    pub fn of(person: &user::Model, words: Arc<[String]>) -> Self {
        Self {
            words,
            username: person.username.clone(),
            first_name: person.first_name.clone(),
            last_name: person.last_name.clone(),
            email: person.email.clone(),
            certified_email: person.certified_email.clone(),
        }
    }

    fn fitness(&self) -> f64 {
        let fields = self.fields();
        let best = |word: &String| fields.iter().map(|(_, text, weight)| weight * fit(text, word)).fold(0.0, f64::max);
        let total: f64 = self.words.iter().map(best).sum();
        let count = u32::try_from(self.words.len()).map_or(f64::MAX, f64::from);
        total / count.max(1.0)
    }

    fn found_in(&self) -> Vec<UserSearchField> {
        let has_word = |text: &str| self.words.iter().any(|word| text.contains(word.as_str()));
        self.fields().into_iter().filter(|(_, text, _)| has_word(text)).map(|(field, _, _)| field).collect()
    }

    /// The searched fields, each folded and with what a word in it counts.
    fn fields(&self) -> [(UserSearchField, String, f64); 5] {
        let folded = |text: Option<&str>| text.map(text::fold).unwrap_or_default();
        [
            (UserSearchField::Username, folded(self.username.as_deref()), 1.0),
            (UserSearchField::FirstName, folded(Some(&self.first_name)), 1.0),
            (UserSearchField::LastName, folded(Some(&self.last_name)), 1.0),
            (UserSearchField::Email, folded(self.email.as_deref()), 0.9),
            (UserSearchField::CertifiedEmail, folded(self.certified_email.as_deref()), 0.9),
        ]
    }
}

/// How well a word fits a text.
fn fit(text: &str, word: &str) -> f64 {
    match text.find(word) {
        Some(0) if text.len() == word.len() => 1.0,
        Some(0) => 0.8,
        Some(_) => 0.5,
        None => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Id;

    fn person() -> user::Model {
        let mut person = user::Model::blank(Id::new(), Id::new());
        person.first_name = "Zoë".to_owned();
        person.last_name = "van Dam".to_owned();
        person.email = Some("zoe@dam.example".to_owned());
        person
    }

    #[test]
    fn a_whole_field_counts_more_than_its_begin_and_that_more_than_a_part() {
        let score = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Match::of(&person(), words.into()).fitness()
        };
        for (words, expected) in [
            (&["zoe"][..], 1.0),
            (&["zo"], 0.8),
            (&["dam"], 0.5),
            (&["example"], 0.45),
            (&["zoe", "dam"], 0.75),
            (&["q"], 0.0),
        ] {
            assert!((score(words) - expected).abs() < 1e-9, "{words:?}: {}", score(words));
        }
    }

    #[test]
    fn the_fields_are_those_in_which_a_word_is() {
        let matched = Match::of(&person(), ["zoe".to_owned(), "van".to_owned()].into()).found_in();
        assert_eq!(matched, [UserSearchField::FirstName, UserSearchField::LastName, UserSearchField::Email]);
    }
}
