//! The visibility of text, by the properties of its characters in the Unicode Character Database.

use icu_properties::props::{
    BinaryProperty, DefaultIgnorableCodePoint, Emoji, EmojiModifier, EnumeratedProperty, ExtendedPictographic,
    GeneralCategory, GeneralCategoryGroup, Ideographic, IndicSyllabicCategory, JoiningType, NoncharacterCodePoint,
    PrependedConcatenationMark, VariationSelector,
};

/// Symbols and letters with an empty glyph: the Braille pattern without dots, the object replacement character, the null notehead
/// of music, the blanks of Egyptian hieroglyphs. No property distinguishes them from others of their kind.
const EMPTY: [char; 5] = ['\u{2800}', '\u{fffc}', '\u{1d159}', '\u{13441}', '\u{13442}'];

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const MONGOLIAN_VOWEL_SEPARATOR: char = '\u{180e}';
const TEXT_STYLE: char = '\u{fe0e}';
const EMOJI_STYLE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';
const BLACK_FLAG: char = '\u{1f3f4}';
const CANCEL_TAG: char = '\u{e007f}';
/// The maximum length of the code of a subdivision (ISO 3166-2) in a flag.
const MAX_FLAG_LENGTH: usize = 6;

/// Returns whether a character is invisible and takes no room: soft hyphens, joiners, direction marks, variation selectors, tags,
/// fillers (`Default_Ignorable_Code_Point`).
#[must_use]
pub fn is_invisible(c: char) -> bool {
    DefaultIgnorableCodePoint::for_char(c)
}

/// Returns whether nothing of a text is visible: it is empty, or has only spaces, controls, marks without a letter, and
/// characters that are invisible or have an empty glyph.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(is_seen)
}

fn is_seen(c: char) -> bool {
    let unseen = GeneralCategoryGroup::Separator
        .union(GeneralCategoryGroup::Mark)
        .union(GeneralCategoryGroup::Control)
        .union(GeneralCategoryGroup::Format);
    !unseen.contains(GeneralCategory::for_char(c))
        && !is_invisible(c)
        && !is_empty(c)
        && !NoncharacterCodePoint::for_char(c)
}

/// Returns whether the glyph of a character is empty, though it takes room.
#[must_use]
pub fn is_empty(c: char) -> bool {
    EMPTY.contains(&c)
}

/// Returns whether a character is a line break of any kind, a control character or a noncharacter.
#[must_use]
pub fn is_control(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = GeneralCategory::for_char(c);
    let controls = [GeneralCategory::Control, GeneralCategory::LineSeparator, GeneralCategory::ParagraphSeparator];
    controls.contains(&category) || NoncharacterCodePoint::for_char(c)
}

/// Returns the first invisible character of a text that is not needed in its place. Needed are joiners between letters of scripts
/// that join, and between emoji; variation selectors after emoji, ideographs and letters of scripts that have variants; the tags
/// of a flag.
#[must_use]
pub fn stray_invisible(text: &str) -> Option<char> {
    if text.is_ascii() {
        return None;
    }
    text.char_indices().filter(|(_, c)| is_hidden(*c)).find(|(at, c)| !is_needed(text, *at, *c)).map(|(_, c)| c)
}

fn is_hidden(c: char) -> bool {
    let formats = GeneralCategory::for_char(c) == GeneralCategory::Format && !PrependedConcatenationMark::for_char(c);
    formats || is_invisible(c)
}

fn is_needed(text: &str, at: usize, c: char) -> bool {
    let (before, rest) = text.split_at(at);
    let (mut before, mut after) = (before.chars().rev(), rest.chars().skip(1));
    match c {
        ZERO_WIDTH_JOINER if is_emoji(before.clone()) => after.next().is_some_and(ExtendedPictographic::for_char),
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER | MONGOLIAN_VOWEL_SEPARATOR => joins(before) && joins(after),
        TEXT_STYLE | EMOJI_STYLE => before
            .next()
            .is_some_and(|base| Emoji::for_char(base) && (!base.is_ascii() || after.next() == Some(KEYCAP))),
        c if VariationSelector::for_char(c) => {
            before.next().is_some_and(|base| Ideographic::for_char(base) || is_joining(base))
        }
        c if is_tag(c) => is_of_flag(before, after, c),
        _ => false,
    }
}

/// Returns whether the nearest character is a letter of a script in which letters join, skipping marks that do not affect
/// joining.
fn joins(mut nearest_first: impl Iterator<Item = char>) -> bool {
    let is_passed = |c: char| is_mark(c) && IndicSyllabicCategory::for_char(c) == IndicSyllabicCategory::Other;
    nearest_first.find(|c| !is_passed(*c)).is_some_and(is_joining)
}

/// Returns whether a character is a letter, or a mark on one, of a script whose letters join: by a line, as in Arabic
/// (`Joining_Type`), or into one sign, as in Devanagari (`Indic_Syllabic_Category`).
fn is_joining(c: char) -> bool {
    let is_letter = GeneralCategoryGroup::Letter.contains(GeneralCategory::for_char(c)) || is_mark(c);
    let joins = ![JoiningType::NonJoining, JoiningType::Transparent].contains(&JoiningType::for_char(c));
    is_letter && (joins || IndicSyllabicCategory::for_char(c) != IndicSyllabicCategory::Other)
}

fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(GeneralCategory::for_char(c))
}

fn is_emoji(mut nearest_first: impl Iterator<Item = char>) -> bool {
    let is_passed = |c: char| c == EMOJI_STYLE || EmojiModifier::for_char(c);
    nearest_first.find(|c| !is_passed(*c)).is_some_and(ExtendedPictographic::for_char)
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}' | CANCEL_TAG)
}

/// Returns whether a tag belongs to a flag: a black flag, a few tags, and the cancel tag (Unicode Technical Standard 51).
fn is_of_flag(
    mut before: impl Iterator<Item = char> + Clone,
    mut after: impl Iterator<Item = char>,
    tag: char,
) -> bool {
    let is_part = |c: &char| is_tag(*c) && *c != CANCEL_TAG;
    let parts = before.clone().take_while(is_part).count();
    let is_after_flag = before.nth(parts) == Some(BLACK_FLAG) && parts <= MAX_FLAG_LENGTH;
    let is_ended = if tag == CANCEL_TAG { parts > 0 } else { after.find(|c| !is_part(c)) == Some(CANCEL_TAG) };
    is_after_flag && is_ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank() {
        for blank in [
            "",
            " ",
            "\u{a0}",
            "\u{3000}",
            "\u{2800}",
            "\u{fe0f}",
            "\u{301}",
            "\u{e0041}",
            "\u{180e}",
            "\u{115f}",
            "\u{1160}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{34f}",
            "\u{61c}",
            "\u{ad}",
            "\u{200b}",
            "\u{200d}",
            "\u{202e}",
            "\u{2028}",
            "\u{2060}",
            "\u{2066}",
            "\u{feff}",
            "\u{fffc}",
            "\u{1d159}",
            "\u{1d173}",
            "\u{13441}",
            "\u{16fe4}",
            "\u{fffe}",
            "\u{e0100}",
            " \u{301}\u{2800} \u{200b}",
        ] {
            assert!(is_blank(blank), "{}", blank.escape_unicode());
        }
        for seen in ["a", "-", "'", "1", "ß", "李", "ا", "क", "😀", "\u{e000}", "e\u{301}"] {
            assert!(!is_blank(seen), "{seen}");
        }
    }

    #[test]
    fn an_invisible_character_stands_only_where_it_is_needed() {
        for needed in [
            "می‌خواهم",
            "کرده‌ام",
            "آزاد‌ها",
            "क्‍ष",
            "क्‌ष",
            "ক‍্য",
            "ශ්‍රී",
            "ᠠ\u{180e}ᠠ",
            "ᠠ\u{180b}",
            "❤️",
            "👩‍⚕️",
            "👩🏽‍⚕️",
            "👨‍👩‍👧",
            "🏳️‍🌈",
            "1️⃣",
            "葛󠄀城",
            "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
            "José",
            "Jose\u{301}",
            "นิติ",
            "O’Brien",
            "Anne‐Lise",
            "\u{600}١",
        ] {
            assert_eq!(stray_invisible(needed), None, "{needed}");
        }
        for (stray, c) in [
            ("Ann\u{200b}a", '\u{200b}'),
            ("Ann\u{200d}a", '\u{200d}'),
            ("Ann\u{200c}a", '\u{200c}'),
            ("Jose\u{301}\u{200d}\u{301}", '\u{200d}'),
            ("\u{200d}کرده", '\u{200d}'),
            ("کرده\u{200c}", '\u{200c}'),
            ("کرده\u{200c} ام", '\u{200c}'),
            ("ک\u{200d}\u{200d}ک", '\u{200d}'),
            ("کa\u{200c}ک", '\u{200c}'),
            ("Ann\u{202e}a", '\u{202e}'),
            ("Ann\u{200f}", '\u{200f}'),
            ("\u{2066}Ann\u{2069}", '\u{2066}'),
            ("A\u{ad}nn", '\u{ad}'),
            ("A\u{fe0f}nn", '\u{fe0f}'),
            ("Ward 1\u{fe0f}", '\u{fe0f}'),
            ("A\u{fe00}nn", '\u{fe00}'),
            ("A\u{e0100}nn", '\u{e0100}'),
            ("❤️\u{fe0f}", '\u{fe0f}'),
            ("A\u{180e}nn", '\u{180e}'),
            ("Kim\u{3164}", '\u{3164}'),
            ("A\u{34f}nn", '\u{34f}'),
            ("A\u{e0041}nn", '\u{e0041}'),
            ("🏴\u{e0067}\u{e0062}", '\u{e0067}'),
            ("🏴\u{e007f}", '\u{e007f}'),
            ("😀\u{e0067}\u{e0062}\u{e007f}", '\u{e0067}'),
            ("A\u{fff9}nn", '\u{fff9}'),
            ("A\u{1d173}nn", '\u{1d173}'),
            ("😀\u{200d}a", '\u{200d}'),
        ] {
            assert_eq!(stray_invisible(stray), Some(c), "{}", stray.escape_unicode());
        }
    }

    #[test]
    fn no_ascii_character_is_hidden() {
        for c in '\0'..='\x7f' {
            assert!(!is_hidden(c), "{c:?}");
            assert_eq!(GeneralCategory::for_char(c) == GeneralCategory::Control, c.is_ascii_control(), "{c:?}");
        }
    }

    #[test]
    fn every_line_break_is_a_control() {
        for c in ['\0', '\n', '\t', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', '\u{fffe}', '\u{fdd0}'] {
            assert!(is_control(c), "{}", c.escape_unicode());
        }
        assert!(!"Ann-Marie O’Brien 李".contains(is_control));
    }
}
