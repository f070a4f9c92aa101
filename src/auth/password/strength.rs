//! Password strength: estimates with bounded work how hard a password is to guess.

use zxcvbn::Score;

/// The number of characters whose strength is estimated. The work grows with the square of the length, and a password whose first
/// characters are strong is strong.
const MAX_ESTIMATED_LENGTH: usize = 64;
/// The most readings of substituted characters that are tried. zxcvbn tries them all, each with a pass over its dictionaries:
/// up to thousands for a password of 20 characters. All ten digits together have 16.
const MAX_READINGS: usize = 16;

/// The characters that are typed in place of a letter, as in zxcvbn 3.
const SUBSTITUTES: [(char, &[char]); 12] = [
    ('a', &['4', '@']),
    ('b', &['8']),
    ('c', &['(', '{', '[', '<']),
    ('e', &['3']),
    ('g', &['6', '9']),
    ('i', &['1', '!', '|']),
    ('l', &['1', '|', '7']),
    ('o', &['0']),
    ('s', &['$', '5']),
    ('t', &['+', '7']),
    ('x', &['%']),
    ('z', &['2']),
];

/// Returns whether a password is hard to guess (a zxcvbn score of at least 3), even with known words such as the user's names
/// and addresses.
pub(super) fn is_strong(password: &str, known_words: &[String]) -> bool {
    let known_words: Vec<String> = known_words.iter().map(|word| head(word)).collect();
    let known_words: Vec<&str> = known_words.iter().map(String::as_str).collect();
    zxcvbn::zxcvbn(&estimated_part(password), &known_words).score() >= Score::Three
}

/// Returns the part of a password whose strength is estimated. If it has too many readings, each symbol that may stand for a letter is
/// replaced by that letter, which only makes words easier to find. Digits are kept, because of dates and sequences.
fn estimated_part(password: &str) -> String {
    let head = head(password);
    if readings(&head) <= MAX_READINGS {
        return head;
    }
    let letter_of = |c: char| SUBSTITUTES.iter().find(|(_, typed)| typed.contains(&c)).map_or(c, |(letter, _)| *letter);
    head.chars().map(|c| if c.is_ascii_digit() { c } else { letter_of(c) }).collect()
}

fn head(text: &str) -> String {
    text.chars().take(MAX_ESTIMATED_LENGTH).collect()
}

/// Returns an upper bound of the readings that zxcvbn tries: one of the characters for each letter, doubled for each character
/// that stands for two letters.
fn readings(text: &str) -> usize {
    let present = |c: &&char| text.contains(**c);
    let choices = SUBSTITUTES.iter().map(|(_, typed)| typed.iter().filter(present).count().max(1));
    let ambiguous = ['1', '|', '7'].iter().filter(present).count();
    choices.product::<usize>() << ambiguous
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_has_more_readings_than_are_tried() {
        let symbols = "4@8({[<369&#!1/|0$5+7%2";
        let passwords = [
            symbols.repeat(6),
            format!("password{symbols}"),
            "0123456789".repeat(12),
            symbols.chars().rev().collect(),
            format!("{}{symbols}", "a".repeat(63)),
            "\u{1f600}@({!|".repeat(20),
        ];
        for password in passwords {
            let part = estimated_part(&password);
            let length = part.chars().count();
            assert!(readings(&part) <= MAX_READINGS && length <= MAX_ESTIMATED_LENGTH, "{password} {part}");
        }
    }

    #[test]
    fn the_bounds_make_no_weak_password_strong() {
        let weak = [
            "12345678901234567890",
            "!@#$%^&*()_+",
            "password1234",
            "p4$$w0rd1!p4$$w0rd1!",
            "P@s$w0rd!",
            "ada.lovelace@example.org",
        ];
        for password in weak {
            assert!(!is_strong(password, &["ada.lovelace@example.org".to_owned()]), "{password}");
        }
        let (long, address) = ("a".repeat(128), format!("{}@example.org", "qkwzjvxpbn".repeat(9)));
        assert!(!is_strong(&long, &[]) && !is_strong(&address, std::slice::from_ref(&address)));
        for password in ["seven-brass-otters-waltz", "x7$K!q2@Lm9(Zr4|", "4@8({[<369&#!1/|0$5+7%2", "zyG4!wq3x"] {
            assert!(is_strong(password, &[]), "{password}");
        }
        assert!(
            is_strong(&format!("seven-brass-otters-waltz{long}"), &[]),
            "what is strong at its beginning is strong"
        );
    }
}
