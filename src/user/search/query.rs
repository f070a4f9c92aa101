//! Splitting of a query into words.

use email_address::EmailAddress;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use crate::error::Error;
use crate::text::{fold, is_of_word};

/// The maximum length of a query, in characters.
const MAX_QUERY_LENGTH: usize = 200;
/// The maximum number of distinct words of a query. Each is looked up among all users.
const MAX_WORDS: usize = 10;
/// The prefix of a link to an email address.
const MAILTO: &str = "mailto:";
/// ASCII characters that surround or separate words. They are part of an email address nevertheless.
const SEPARATORS: &str = "\"()[]{}<>,;/|!?&#";
/// Characters that occur inside names and addresses. By themselves, they are not a word.
const INNER: &str = ".-'@:·";
/// Characters that occur in pairs around a word.
const PAIRED: &str = "'*_-~=";

/// Returns the distinct words of a query, in the form that [`fold`] gives them. An email address is one word. Otherwise,
/// punctuation separates words like a space, unless it is inside a name, a username or an address.
///
/// # Errors
/// `BadInput` for a query without a word, with more than 200 characters, or with more than 10 distinct words.
pub fn words(query: &str) -> Result<Vec<String>, Error> {
    if query.chars().count() > MAX_QUERY_LENGTH {
        return Err(Error::BadInput(format!("query: must be at most {MAX_QUERY_LENGTH} characters.")));
    }
    let mut words: Vec<String> = Vec::new();
    for chunk in query.split(|c: char| c.is_whitespace() || c.is_control() || c == '\u{200b}').map(fold) {
        for chunk in chunk.split_whitespace() {
            words.extend(words_of(chunk));
        }
    }
    remove_paired_signs(&mut words);
    if words.iter().any(|word| word.chars().any(is_of_word)) {
        words.retain(|word| word.chars().any(is_of_word));
    }
    words.retain(|word| !word.chars().all(|c| INNER.contains(c)));
    let mut distinct: Vec<String> = Vec::new();
    for word in words {
        if !distinct.contains(&word) {
            distinct.push(word);
        }
    }
    if distinct.is_empty() {
        return Err(Error::BadInput("query: must contain at least one word.".to_owned()));
    }
    if distinct.len() > MAX_WORDS {
        let count = distinct.len();
        return Err(Error::BadInput(format!("query: must have at most {MAX_WORDS} different words (got {count}).")));
    }
    Ok(distinct)
}

/// Splits a text without spaces into words.
fn words_of(chunk: &str) -> Vec<String> {
    let chunk = chunk.trim_matches(is_separator);
    let address = chunk.strip_prefix(MAILTO).map_or(chunk, |link| link.split('?').next().unwrap_or(link));
    let address = address.trim_end_matches(is_separator).trim_end_matches(['.', ':']);
    if !address.starts_with('\'') && EmailAddress::is_valid(address) {
        return vec![address.to_owned()];
    }
    let mut words = Vec::new();
    // Folding turns an ellipsis into three full stops.
    let chunk = split_at_middle_dots(address).replace("...", ",").replace("..", ",");
    for part in chunk.split(is_separator) {
        let part = part.strip_prefix(MAILTO).unwrap_or(part);
        let word = if part.chars().any(is_of_word) { part.trim_end_matches(['.', ':']) } else { part };
        words.extend(Some(unpaired(word).to_owned()).filter(|word| !word.is_empty()));
    }
    words
}

/// Returns whether a character separates words wherever it occurs.
fn is_separator(c: char) -> bool {
    const SEPARATING: GeneralCategoryGroup = GeneralCategoryGroup::Punctuation;
    match c {
        c if c.is_ascii() => SEPARATORS.contains(c),
        '·' => false,
        c => SEPARATING.contains(CodePointMapData::<GeneralCategory>::new().get(c)),
    }
}

/// Replaces the middle dots between the parts of a name with commas. Catalan has one inside a word, between two `l`, which stays.
fn split_at_middle_dots(text: &str) -> String {
    let mut split = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_catalan = split.ends_with('l') && rest.peek() == Some(&'l');
        split.push(if c == '·' && !is_catalan { ',' } else { c });
    }
    split
}

/// Returns a word without the same characters before and after it.
fn unpaired(word: &str) -> &str {
    let mut inner = word;
    while let Some(sign) = inner.chars().next().filter(|sign| PAIRED.contains(*sign)) {
        let shorter = inner.strip_prefix(sign).and_then(|rest| rest.strip_suffix(sign));
        let Some(shorter) = shorter.filter(|shorter| shorter.chars().any(is_of_word)) else { break };
        inner = shorter;
    }
    inner
}

/// Removes characters before a word that also occur after a later one. A single quotation mark is the same character as an
/// apostrophe.
fn remove_paired_signs(words: &mut [String]) {
    for sign in PAIRED.chars() {
        let begin = words.iter().position(|word| word.starts_with(sign));
        let end = words.iter().rposition(|word| word.ends_with(sign));
        let Some((begin, end)) = begin.zip(end).filter(|(begin, end)| begin < end) else { continue };
        if let Some(word) = words.get_mut(begin) {
            word.trim_start_matches(sign).to_owned().clone_into(word);
        }
        if let Some(word) = words.get_mut(end) {
            word.trim_end_matches(sign).to_owned().clone_into(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_in(query: &str) -> Vec<String> {
        words(query).unwrap_or_default()
    }

    #[test]
    fn punctuation_around_and_between_words_separates() {
        for query in [
            "wei li",
            "\"Wei Li\"",
            "“Wei Li”",
            "„Wei Li“",
            "«Wei Li»",
            "‹Wei Li›",
            "‘Wei Li’",
            "'Wei Li'",
            "`Wei Li`",
            "‚Wei Li‘",
            "「Wei Li」",
            "(Wei Li)",
            "[Wei] {Li}",
            "<Wei Li>",
            "（Wei　Li）",
            "【Wei Li】",
            "Wei,Li",
            "Wei, Li",
            "Wei;Li;",
            "Wei/Li",
            "Wei / Li",
            "Wei|Li",
            "Wei، Li",
            "Wei、Li",
            "Wei，Li",
            "Wei؛Li",
            "Wei\u{200b}Li",
            "Wei\u{2028}Li",
            "Wei\u{a0}Li",
            "Wei\tLi\n",
            "Wei - Li",
            "Wei – Li",
            "—Wei— Li",
            "Wei & Li",
            "Wei Li.",
            "Wei Li!",
            "Wei Li?",
            "¿Wei Li?",
            "Wei: Li",
            "Wei…Li",
            "#Wei #Li",
            "*Wei* _Li_",
            "**Wei Li**",
            "• Wei Li",
            "Wei (Li)",
            "Wei(Li)",
            "Wei·Li",
            "Wei・Li",
            "Wei•Li",
            "'Wei' 'Li'",
            "\"'Wei Li'\"",
            "Wei wei Li",
            "\u{feff}Wei Li",
        ] {
            assert_eq!(words_in(query), ["wei", "li"], "{query:?}");
        }
    }

    #[test]
    fn an_address_is_one_word() {
        for query in [
            "zh1@field.example.org",
            "mailto:zh1@field.example.org",
            "MAILTO:ZH1@field.example.org?subject=Hi",
            "<zh1@field.example.org>",
            "<mailto:zh1@field.example.org>",
            "\"zh1@field.example.org\"",
            "'zh1@field.example.org'",
            "(zh1@field.example.org)",
            "zh1@field.example.org,",
            "zh1@field.example.org;",
            "zh1@field.example.org.",
            "[zh1@field.example.org]",
        ] {
            assert_eq!(words_in(query), ["zh1@field.example.org"], "{query:?}");
        }
        assert_eq!(words_in("Li,Wei <zh1@field.example.org>"), ["li", "wei", "zh1@field.example.org"]);
        assert_eq!(words_in("Li<zh1@field.example.org>"), ["li", "zh1@field.example.org"]);
        assert_eq!(words_in("a@x.example;b@y.example"), ["a@x.example", "b@y.example"]);
        for address in ["o'shea@x.example", "a+b/c=d@x.example", "a!b#c@x.example", "a{b}|c@x.example"] {
            assert_eq!(words_in(address), [address]);
        }
    }

    #[test]
    fn signs_inside_names_and_usernames_stay() {
        for word in [
            "o'shea",
            "anne-lise",
            "van't",
            "'t",
            "o'",
            "k.hennig",
            "nwolter_md",
            "gahrens+icu",
            "jritter@ward",
            "miriam.falk@",
            "@oncology",
            "-not",
            "100%",
            "a\\b",
            "st*r",
            "gal·la",
        ] {
            assert_eq!(words_in(word), [word]);
        }
        assert_eq!(words_in("van 't hof"), ["van", "'t", "hof"]);
        for sign in ["%", "_", "\\", "*", "%%", "+", "😀"] {
            assert_eq!(words_in(sign), [sign]);
        }
    }

    #[test]
    fn punctuation_alone_is_no_word() {
        for query in [
            "\"", "\"\"", "()", ",", ";;", "...", "…", "-", "–", "' '", "’", "?!", "<>", "/", "\u{200b}", "。", "، ؛",
            "@", "mailto:", "· ・", "“”", "( - )",
        ] {
            assert!(words(query).is_err(), "{query:?}");
        }
    }
}
