//! The two forms in which text is compared: one to tell people apart, one to find them.
//!
//! Both are made here and stored, because the databases' own `lower()` and `LIKE` differ from each other and from
//! locale to locale.

mod case;
mod login;
mod visible;

use any_ascii::any_ascii;
use deunicode::deunicode_with_tofu;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

pub use self::case::fold_case;
pub use self::login::{canonical, canonical_email, canonical_login, former_logins};
pub use self::visible::{is_blank, is_control, is_empty, is_invisible, stray_invisible};

/// The form in which text is searched and sorted: no case, no accents, nothing invisible, letters that do not decompose (`ø`, `ł`, `æ`)
/// spelt out.
#[must_use]
pub fn fold(text: &str) -> String {
    let bare: String = text.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    let mut folded = String::with_capacity(bare.len());
    for c in bare.to_uppercase().to_lowercase().chars() {
        match c {
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ς' => folded.push('σ'),
            c if is_combining_mark(c) || c.is_control() || is_invisible(c) => {}
            c => folded.push(c),
        }
    }
    folded
}

/// How many characters another way to write a name has at most: some signs are many letters in another script.
const LONGEST_SPELLING: usize = 100;

/// How a name may be written beside [`fold`], each way folded: umlauts spelt out (`Müller` is also `mueller`), other scripts in Latin
/// letters (`Щербакова` is also `shcherbakova`), and what has several parts in one (`O'Brien` is also `obrien`).
#[must_use]
pub fn spellings(name: &str) -> Vec<String> {
    let folded = fold(name);
    let mut ways = Vec::new();
    let mut add = |way: String| {
        let one: String = way.chars().filter(|c| c.is_alphanumeric()).collect();
        ways.extend([way, one]);
    };
    add(folded.clone());
    add(fold(&spelt_out(name)));
    if !folded.is_ascii() {
        // Two romanizations, for none has all that is usual; an apostrophe stands for a soft sign.
        for latin in [deunicode_with_tofu(name, ""), any_ascii(name)] {
            let latin = fold(latin.replace(['\'', '`', '"'], "").trim());
            add(latin.replace("iya", "ia").replace("iia", "ia"));
            add(latin);
        }
    }
    let mut others: Vec<String> = Vec::new();
    for way in ways {
        let way: String = way.chars().take(LONGEST_SPELLING).collect();
        if !way.is_empty() && way != folded && !others.contains(&way) {
            others.push(way);
        }
    }
    others
}

/// How a last name may be written beside [`fold`]: as [`spellings`], and in front of the first name where the two are written without a
/// space between them.
#[must_use]
pub fn spellings_of_last(first: &str, last: &str) -> Vec<String> {
    let mut ways = spellings(last);
    if [first, last].iter().all(|name| name.chars().all(is_written_together)) {
        ways.push(fold(&format!("{last}{first}")));
    }
    ways
}

/// Whether a letter is of Chinese, Japanese or Korean.
fn is_written_together(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

fn spelt_out(name: &str) -> String {
    let mut spelt = String::with_capacity(name.len());
    for c in name.nfc() {
        match c {
            'ä' | 'Ä' => spelt.push_str("ae"),
            'ö' | 'Ö' | 'ø' | 'Ø' => spelt.push_str("oe"),
            'ü' | 'Ü' => spelt.push_str("ue"),
            'å' | 'Å' => spelt.push_str("aa"),
            c => spelt.push(c),
        }
    }
    spelt
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

/// The words of a query in the form that [`fold`] gives them.
#[must_use]
pub fn words(query: &str) -> Vec<String> {
    let split = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    query.split_whitespace().map(fold).flat_map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_also_found_as_others_would_write_it() {
        for (name, ways) in [
            ("Müller", &["mueller"][..]),
            ("Bjørn", &["bjoern"]),
            ("O'Brien", &["obrien"]),
            ("Anna Maria", &["annamaria"]),
            ("Jörg-Uwe", &["jorguwe", "joerg-uwe", "joerguwe"]),
            ("Мария", &["maria", "mariia", "mariya"]),
            ("小明", &["xiao ming", "xiaoming"]),
            ("Ada", &[]),
        ] {
            assert_eq!(spellings(name), ways, "{name}");
        }
    }

    #[test]
    fn folding_forgets_case_and_accents() {
        assert_eq!(fold("Ångström"), "angstrom");
        assert_eq!(fold("ŁUKASZ Straße Søren Æsir"), "lukasz strasse soren aesir");
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
        assert_eq!(fold("Đorđe"), "dorde");
    }
}
