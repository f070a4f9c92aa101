//! Case folding.

use icu_casemap::CaseMapper;

/// Returns the full case folding of a text (Unicode 3.13, mappings C and F of `CaseFolding.txt`), applied to its upper case. So
/// `ß`, `ẞ`, `SS` and `ss` are equal, as are `σ`, `ς` and `Σ`, and `ı`, whose upper case is `I`, equals `i`.
#[must_use]
pub fn fold_case(text: &str) -> String {
    CaseMapper::new().fold_string(&text.to_uppercase()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_the_same_in_every_case() {
        for c in ('\0'..='\u{1ffff}').filter(|c| c.is_alphabetic()) {
            let folded = fold_case(&c.to_string());
            let upper = c.to_uppercase().collect::<String>();
            let lower = c.to_lowercase().collect::<String>();
            assert_eq!(fold_case(&upper), folded, "{c} U+{:04X}", u32::from(c));
            assert_eq!(fold_case(&lower), folded, "{c} U+{:04X}", u32::from(c));
            assert_eq!(fold_case(&folded), folded, "{c} U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn what_unicode_folds_is_folded() {
        for c in ('\0'..='\u{1ffff}').filter(|c| *c != 'ı') {
            let text = c.to_string();
            assert_eq!(fold_case(&text), CaseMapper::new().fold_string(&text), "{c} U+{:04X}", u32::from(c));
        }
        assert_eq!(fold_case("STRAUẞ ß ss SS"), "strauss ss ss ss");
        assert_eq!(fold_case("ΣΊΣΥΦΟΣ"), fold_case("σίσυφος"));
        assert_eq!(fold_case("Mıke"), "mike");
    }
}
