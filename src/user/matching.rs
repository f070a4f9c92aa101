//! How well a person matches the words of a search, and in which fields.

use async_graphql::{Enum, SimpleObject};

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

/// What the edge between a search and a person says.
#[derive(SimpleObject)]
pub struct Match {
    /// How well the person matches, from 0 to 1: the mean of the words, of which each counts by the field where it fits best.
    /// 1 is a whole field, 0.8 the begin of one, 0.5 a part; in addresses nine tenths of that.
    score: f64,
    /// The fields in which at least one of the words is found.
    matched_fields: Vec<UserSearchField>,
}

/// The columns that are searched.
pub const SEARCHED: [user::Column; 5] = [
    user::Column::Username,
    user::Column::FirstName,
    user::Column::LastName,
    user::Column::Email,
    user::Column::CertifiedEmail,
];

impl Match {
    /// How folded words are found in a person, of whom the searched columns have been read.
    #[must_use]
    pub fn of(person: &user::Model, words: &[String]) -> Self {
        let fields = [
            (UserSearchField::Username, person.username.as_deref(), 1.0),
            (UserSearchField::FirstName, Some(person.first_name.as_str()), 1.0),
            (UserSearchField::LastName, Some(person.last_name.as_str()), 1.0),
            (UserSearchField::Email, person.email.as_deref(), 0.9),
            (UserSearchField::CertifiedEmail, person.certified_email.as_deref(), 0.9),
        ];
        let fields = fields.map(|(field, text, weight)| (field, text.map(text::fold).unwrap_or_default(), weight));
        let best = |word: &String| fields.iter().map(|(_, text, weight)| weight * fit(text, word)).fold(0.0, f64::max);
        let total: f64 = words.iter().map(best).sum();
        let count = u32::try_from(words.len()).map_or(f64::MAX, f64::from);
        let matched = fields.iter().filter(|(_, text, _)| words.iter().any(|word| text.contains(word.as_str())));
        Self { score: total / count.max(1.0), matched_fields: matched.map(|(field, _, _)| *field).collect() }
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
            Match::of(&person(), &words).score
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
        let matched = Match::of(&person(), &["zoe".to_owned(), "van".to_owned()]).matched_fields;
        assert_eq!(matched, [UserSearchField::FirstName, UserSearchField::LastName, UserSearchField::Email]);
    }
}
