//! The two forms in which text is compared: one to tell people apart, one to find them.
//!
//! Both are made here and stored, because the databases' own `lower()` and `LIKE` differ from each other and from
//! locale to locale.

mod fold;
mod korean;
mod spelling;

use unicode_normalization::UnicodeNormalization;

pub use self::fold::{fold, is_letter, is_of_word};
pub use self::spelling::{spellings, spellings_of_last};

/// The form under which two spellings of a username or address are the same account: NFKC (Unicode Annex 15) and
/// case folded by way of upper case, which also joins `ı` with `i` and `ß` with `ss`.
#[must_use]
pub fn canonical(text: &str) -> String {
    let compatible: String = text.nfkc().collect();
    compatible.to_uppercase().to_lowercase().nfkc().collect()
}

/// The canonical form of an e-mail address: the local part as [`canonical`] has it, the domain in its ASCII form
/// (UTS 46), so that `Ann@MÜNCHEN.example` and `ann@xn--mnchen-3ya.example` are one.
#[must_use]
pub fn canonical_email(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let domain = canonical(domain);
            let ascii = idna::domain_to_ascii(&domain).unwrap_or(domain);
            format!("{}@{ascii}", canonical(local))
        }
        None => canonical(address),
    }
}

/// Whether a character shows nothing and takes no room: hyphens and joiners that are not seen, marks of direction.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_account() {
        for spelling in ["MIKE@x.example", "mıke@x.example", "ｍｉｋｅ@X.example", "Mike@x.EXAMPLE"] {
            assert_eq!(canonical_email(spelling), "mike@x.example");
        }
        assert_eq!(canonical_email("a@MÜNCHEN.example"), "a@xn--mnchen-3ya.example");
        assert_eq!(canonical("Jose\u{301}"), canonical("JOSÉ"));
    }
}
