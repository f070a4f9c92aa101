//! Password normalization: the form in which passwords are compared, and the forms in which other programs may have hashed
//! them.

use unicode_normalization::UnicodeNormalization;

use super::MAX_SECRET_LENGTH;

/// Returns the normal form of a password, as RFC 8265 (section 4.2, `OpaqueString`) defines it: every space is U+0020, and
/// characters are composed (NFC). Letters keep their case and width. The same password from a Mac and from Windows is then
/// equal.
#[must_use]
pub fn normalize(password: &str) -> String {
    password.chars().map(|c| if is_space(c) { ' ' } else { c }).nfc().collect()
}

/// Returns whether a character is a space in Unicode (general category Zs).
fn is_space(c: char) -> bool {
    c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns the distinct forms of a password that are tried, at most four: the normal form, the bytes as they were sent,
/// decomposed (NFD), and with compatibility characters replaced (NFKC). ASCII has one form. Their number depends on the
/// password alone, not on the user.
pub(super) fn forms(password: &str) -> Vec<String> {
    let forms = [normalize(password), password.to_owned(), password.nfd().collect(), password.nfkc().collect()];
    let mut distinct: Vec<String> = Vec::with_capacity(forms.len());
    for form in forms {
        if form.len() <= MAX_SECRET_LENGTH && !distinct.contains(&form) {
            distinct.push(form);
        }
    }
    distinct
}

/// Returns a secret as it was sent, as its only form.
pub(super) fn single_form(secret: String) -> Vec<String> {
    Some(secret).filter(|secret| secret.len() <= MAX_SECRET_LENGTH).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_form_of_a_password_is_composed_and_has_one_kind_of_space() {
        for (given, normal) in [
            ("a\u{308}", "\u{e4}"),
            ("\u{e4}", "\u{e4}"),
            ("a\u{a0}b\u{3000}c\u{2003}d\u{1680}e\u{202f}f", "a b c d e f"),
            ("\u{ff21}\u{fb01}", "\u{ff21}\u{fb01}"),
            ("\u{212b}", "\u{c5}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            (" A b ", " A b "),
            ("\t\u{2028}", "\t\u{2028}"),
        ] {
            assert_eq!(normalize(given), normal, "{given:?}");
        }
    }

    #[test]
    fn every_form_is_tried_once_and_ascii_has_one() {
        assert_eq!(forms("0042"), ["0042"]);
        assert_eq!(forms("\u{e4}"), ["\u{e4}", "a\u{308}"]);
        assert_eq!(forms("a\u{308}"), ["\u{e4}", "a\u{308}"]);
        assert_eq!(forms("\u{a0}\u{fb01}\u{e4}").len(), 4);
        assert_eq!(forms("\u{fb01}"), ["\u{fb01}", "fi"]);
        assert_eq!(forms("\u{fdfa}".repeat(1_000).as_str()).len(), 1, "no form is longer than what is hashed");
    }
}
