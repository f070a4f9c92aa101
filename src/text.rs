//! The two forms in which text is compared: one to tell people apart, one to find them.
//!
//! Both are made here and stored, because the databases' own `lower()` and `LIKE` differ from each other and from
//! locale to locale.

mod case;
mod fold;
mod korean;
mod login;
mod spelling;
mod visible;

pub use self::case::fold_case;
pub use self::fold::{fold, is_letter, is_of_word};
pub use self::login::{canonical, canonical_email, canonical_login, former_logins};
pub use self::spelling::{spellings, spellings_of_last};
pub use self::visible::{is_blank, is_control, is_empty, is_invisible, stray_invisible};

/// The name in the schema of what is called `name` in the database: `first_name` is `firstName`.
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
