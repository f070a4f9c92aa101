//! Folding: the form in which text is searched, filtered and sorted.

use std::collections::HashMap;
use std::sync::LazyLock;

use any_ascii::any_ascii_char;
use icu_properties::props::{Dash, DefaultIgnorableCodePoint, GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::fold_case;

/// Scripts whose marks are accents, or vowel points that are usually omitted (`Script_Extensions` of the Unicode Character
/// Database; a mark of no particular script is Inherited). The marks of other scripts are letters: vowel signs, viramas, tone
/// marks, the voicing of kana.
const ACCENTED: [Script; 7] =
    [Script::Inherited, Script::Latin, Script::Greek, Script::Cyrillic, Script::Arabic, Script::Hebrew, Script::Syriac];

/// The replacements of characters: the lines of `foldings.txt` and the groups of `han.txt`.
static FOLDINGS: LazyLock<HashMap<char, String>> = LazyLock::new(|| {
    let mut foldings = HashMap::new();
    for line in lines(include_str!("foldings.txt")) {
        let mut parts = line.split(' ');
        let target = match parts.next() {
            Some("none") | None => String::new(),
            Some(target) => code_point(target).map_or_else(|| target.to_owned(), String::from),
        };
        foldings.extend(parts.filter_map(code_point).map(|variant| (variant, target.clone())));
    }
    for group in lines(include_str!("han.txt")).flat_map(|line| line.split(' ')) {
        let mut forms = group.chars();
        let target = forms.next().map(String::from).unwrap_or_default();
        foldings.extend(forms.map(|validator| (validator, target.clone())));
    }
    foldings
});

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Parses a character, written as itself or as a code point such as `U+064A`.
fn code_point(text: &str) -> Option<char> {
    match text.strip_prefix("U+") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().and_then(char::from_u32),
        None => text.chars().next().filter(|c| c.len_utf8() == text.len()),
    }
}

/// Returns the form in which text is searched, filtered and sorted. It ignores differences of case, accents and vowel points,
/// compatibility forms (NFKC), forms of one letter or sign (`foldings.txt`), hiragana and katakana, simplified and traditional
/// Chinese characters (`han.txt`), and the decimal digits of all scripts. Invisible characters are removed.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text
            .chars()
            .filter(|c| !c.is_control())
            .map(|c| if c == '`' { '\'' } else { c.to_ascii_lowercase() })
            .collect();
    }
    let mut signs = String::with_capacity(text.len());
    // Some signs decompose into a space and a mark.
    text.chars().for_each(|c| push_folded(c, &mut signs));
    let bare: String = signs.nfkd().filter(|c| !is_accent(*c) && !is_left_out(*c)).collect();
    let mut folded = String::with_capacity(bare.len());
    fold_case(&bare).chars().map(as_hiragana).for_each(|c| push_folded(c, &mut folded));
    folded.nfc().collect()
}

fn push_folded(c: char, folded: &mut String) {
    match c {
        '\0'..='_' | 'a'..='\x7f' => folded.push(c),
        c => match FOLDINGS.get(&c) {
            Some(others) => folded.push_str(others),
            None if CodePointSetData::new::<Dash>().contains(c) => folded.push('-'),
            None if CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DecimalNumber => {
                folded.push_str(any_ascii_char(c));
            }
            None => folded.push(c),
        },
    }
}

/// Returns whether a mark is an accent or a vowel point, not a letter.
fn is_accent(c: char) -> bool {
    let of_script = |script: Script| ACCENTED.contains(&script);
    is_combining_mark(c) && ScriptWithExtensions::new().get_script_extensions_val(c).iter().any(of_script)
}

/// Returns whether a character is invisible (`Default_Ignorable_Code_Point`, `Cc`).
fn is_left_out(c: char) -> bool {
    c.is_control() || (!c.is_ascii() && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c))
}

/// Returns the hiragana of a katakana: the two blocks have the same order.
fn as_hiragana(c: char) -> char {
    match c {
        '\u{30a1}'..='\u{30f6}' | '\u{30fd}' | '\u{30fe}' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        c => c,
    }
}

/// Returns whether a character is part of a word: a letter, a digit, or a mark that [`fold`] keeps because it is a letter.
#[must_use]
pub fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_letter(c)
}

/// Returns whether a character is a letter, or a mark that [`fold`] keeps.
#[must_use]
pub fn is_letter(c: char) -> bool {
    c.is_alphabetic() || (!c.is_ascii() && is_combining_mark(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_has_one_form() {
        let is_alone = |c: &char| !matches!(c, '\u{3400}'..'\u{a000}' | '\u{ac00}'..'\u{d7a4}');
        for c in ('\0'..='\u{1ffff}').filter(is_alone) {
            let folded = fold(&c.to_string());
            assert_eq!(fold(&folded), folded, "U+{:04X}", u32::from(c));
            // In upper case, the iota subscript is a separate letter.
            if !c.nfkd().any(|part| part == '\u{345}') {
                assert_eq!(fold(&c.to_uppercase().to_string()), folded, "U+{:04X}", u32::from(c));
            }
        }
    }

    #[test]
    fn no_character_stands_for_others_and_is_replaced() {
        for (variant, target) in FOLDINGS.iter() {
            assert!(target.chars().all(|c| !FOLDINGS.contains_key(&c)), "{variant} {target}");
        }
    }

    #[test]
    fn forms_of_one_text_are_equal() {
        for forms in [
            &["angstrom", "Ångström", "A\u{30a}NGSTRÖM", "ａｎｇｓｔｒｏｍ"][..],
            &["lukasz strasse soren aesir", "ŁUKASZ Straße Søren Æsir", "łukasz STRAẞE SØREN æSIR"],
            &["gross-feld", "Groß-Feld", "GROẞ‐FELD", "GROSS–FELD", "groß−feld", "Groß\u{2011}Feld", "groß﹣feld"],
            &["σισυφοσ", "ΣΊΣΥΦΟΣ", "σίσυφος"],
            &["dorde", "Đorđe"],
            &[
                "o'shea", "O’Shea", "O‘Shea", "Oʼshea", "OʻSHEA", "O`Shea", "O´Shea", "O′Shea", "OꞌShea", "Oꞌshea",
                "O＇Shea",
            ],
            &["d'angelo", "D’Angelo", "DʾAngelo"],
            &["\"rex\"", "“Rex”", "„Rex“", "«rex»", "״Rex״"],
            &["جورج'", "جورج׳"],
            &["علي كريمي", "علی کریمی", "على كريمى", "عَلِيّ كَرِيمِيّ", "عـلـي كريمي", "ﻋﻠﻲ ﻛﺮﻳﻤﻲ"],
            &["فاطمه", "فاطمة", "فاطمہ", "فاطمھ"],
            &["احمد", "أحمد", "إحمد", "آحمد", "ٱحمد"],
            &["رووف", "رؤوف"],
            &["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "０１２３４５６７８９", "๐๑๒๓๔๕๖๗๘๙"],
            &["すずき", "スズキ", "ｽｽﾞｷ", "スス\u{3099}キ", "す\u{30b9}゛キ"],
            &["ぱーく", "パーク", "ﾊﾟｰｸ", "ハ゜ーク"],
            &["김민수", "김민수"],
            &["张伟", "張偉", "張伟"],
            &["边泽龙", "邊澤龍", "辺沢竜", "邉澤龍"],
            &["jose", "JOSÉ", "Jose\u{301}", "J\u{200b}osé", "Jos\u{ad}é"],
            &["aβγ", "Aβγ"],
        ] {
            for validator in forms {
                assert_eq!(fold(validator), fold(forms.first().copied().unwrap_or_default()), "{validator}");
            }
            assert_eq!(forms.first().map(|validator| fold(validator)).as_deref(), forms.first().copied());
        }
    }

    #[test]
    fn marks_that_are_letters_stay() {
        for names in [
            &["राम", "रमा", "रीमा", "रोमी", "रामा"][..],
            &["কমল", "কমলা", "কামাল", "কোমল"],
            &["ปิติ", "ปุตุ", "ปีติ", "ปติ"],
            &["ມະນີ", "ມະນາ", "ມະນຸ"],
            &["សុខា", "សុខ", "សោខា"],
            &["မောင်", "မင်", "မိုင်"],
            &["குமார்", "குமர", "கமார்"],
            &["か", "が", "きゃ", "ぎゃ"],
            &["は", "ば", "ぱ"],
            &["김", "기", "깅"],
            &["ދިވެހި", "ދވހ"],
        ] {
            for (place, name) in names.iter().enumerate() {
                assert!(names.iter().skip(place + 1).all(|other| fold(name) != fold(other)), "{name}");
                assert!(fold(name).chars().all(is_of_word), "{name}");
            }
        }
    }
}
