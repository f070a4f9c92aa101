//! Canonical forms of logins, which decide whether two logins are the same.

use unicode_normalization::UnicodeNormalization;

use super::{fold_case, is_invisible};

/// Returns the form in which text is compared regardless of case, of the encoding of characters and of invisible characters: as
/// `toNFKC_Casefold` of Unicode 3.13, with [`fold_case`].
#[must_use]
pub fn canonical(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let visible: String = text.nfkc().filter(|c| !is_invisible(*c)).collect();
    fold_case(&visible).nfkc().collect()
}

/// Returns the canonical form of an email address: the local part by [`canonical`], the domain in ASCII form (UTS 46), so that
/// `Ann@MÜNCHEN.example` and `ann@xn--mnchen-3ya.example` are equal.
#[must_use]
pub fn canonical_email(address: &str) -> String {
    with_ascii_domain(address, canonical)
}

/// Returns the form in which logins are compared, both usernames and email addresses. Two logins with the same form are the same
/// login, and no user may have a login that another user has as either.
#[must_use]
pub fn canonical_login(login: &str) -> String {
    canonical_email(login)
}

/// Returns the forms that a login had as a username and as an email address before case was fully folded and invisible characters
/// were removed. If the logins of two users have become one by that, one of the users keeps the former form until one of the
/// logins is changed.
#[must_use]
pub fn former_logins(login: &str) -> [String; 2] {
    [formerly_canonical(login), with_ascii_domain(login, formerly_canonical)]
}

fn formerly_canonical(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let compatible: String = text.nfkc().collect();
    compatible.to_uppercase().to_lowercase().nfkc().collect()
}

fn with_ascii_domain(address: &str, canonical: fn(&str) -> String) -> String {
    match address.rsplit_once(['@', '＠', '﹫']) {
        Some((local, domain)) => {
            let domain = canonical(domain);
            let ascii = idna::domain_to_ascii(&domain).unwrap_or(domain);
            format!("{}@{ascii}", canonical(local))
        }
        None => canonical(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns all letters except those of scripts without case and without other forms.
    fn letters() -> impl Iterator<Item = char> {
        let is_syllable =
            |c: &char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{17000}'..='\u{1cfff}');
        ('\0'..='\u{1ffff}').filter(move |c| c.is_alphabetic() && !is_syllable(c))
    }

    #[test]
    fn spellings_of_one_address_are_one_login() {
        for spelling in
            ["MIKE@x.example", "mıke@x.example", "ｍｉｋｅ@X.example", "Mike@x.EXAMPLE", "mi\u{200b}ke＠x.example"]
        {
            assert_eq!(canonical_login(spelling), "mike@x.example");
        }
        assert_eq!(canonical_login("a@MÜNCHEN.example"), "a@xn--mnchen-3ya.example");
        assert_eq!(canonical("Jose\u{301}"), canonical("JOSÉ"));
        for spelling in ["strauß1", "STRAUẞ1", "STRAUSS1", "strau\u{ad}ss1", "ﬆrauß1"] {
            assert_eq!(canonical_login(spelling), "strauss1", "{spelling}");
        }
        assert_ne!(canonical_login("strauss1"), canonical_login("straus1"));
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        for c in letters() {
            for text in [c.to_string(), format!("a{c}\u{301}"), c.nfd().collect(), c.to_uppercase().collect()] {
                let once = canonical(&text);
                assert_eq!(canonical(&once), once, "U+{:04X}", u32::from(c));
            }
            let upper: String = c.to_uppercase().collect();
            assert_eq!(canonical(&upper), canonical(&c.to_string()), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn ascii_characters_have_only_their_lower_case() {
        for c in '\0'..='\x7f' {
            let visible: String = c.to_string().nfkc().filter(|c| !is_invisible(*c)).collect();
            assert_eq!(fold_case(&visible).nfkc().collect::<String>(), c.to_ascii_lowercase().to_string(), "{c:?}");
        }
    }

    #[test]
    fn a_former_login_is_no_other_one_today() {
        for c in letters() {
            let today = canonical(&c.to_string());
            for former in former_logins(&c.to_string()) {
                assert_eq!(canonical(&former), today, "U+{:04X}", u32::from(c));
            }
        }
    }
}
