//! Normalized forms of text: one that identifies users, one that finds them.
//!
//! Both are computed here and stored, because `lower()` and `LIKE` differ between the databases and between locales.

mod case;
mod fold;
mod korean;
mod login;
mod spelling;
mod visible;

use std::fmt::Display;

pub use self::case::fold_case;
pub use self::fold::{fold, is_letter, is_of_word};
pub use self::login::{canonical, canonical_email, canonical_login, former_logins};
pub use self::spelling::{spellings, spellings_of_last};
pub use self::visible::{is_blank, is_control, is_empty, is_invisible, stray_invisible};

/// Returns a number with the words that follow it: `1 user`, `2 users`.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, one: &str, several: &str) -> String {
    format!("{number} {}", if number == N::from(1) { one } else { several })
}

/// Returns the name in the schema of a database name: `first_name` becomes `firstName`.
#[must_use]
pub fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
