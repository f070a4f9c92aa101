//! Typed words with typos: what is found without a look at every text, against a look at every text.

use std::collections::{BTreeMap, BTreeSet};

use strsim::osa_distance;

use super::super::lookup::QueryWord;
use super::super::prefix::{PrefixIndex, TypedPrefix, prefix_of};
use super::super::score::{points, points_of_word};
use super::super::segment::Segment;
use super::super::typo::{TypedWord, parts_at, places_of_parts, signature_of};
use super::super::{allowed_typos, partition_point_near};
use super::indexed;
use super::random::{Rng, Users, random_query, random_user};
use crate::scalar::Id;

/// Letters of several scripts, so few that random words resemble each other, and signs.
const ALPHABETS: [&[char]; 6] = [
    &['a', 'n', 'e'],
    &['a', 'b', '7', '.', '@'],
    &['и', 'н', 'ш'],
    &['小', '明', '김'],
    &['न', 'ि', 'ా'],
    &['a', 'é', 'ل', '𠮷'],
];

fn random_text(rng: &mut Rng, alphabet: &[char], min: usize, max: usize) -> String {
    let length = min + rng.below(max - min + 1);
    (0..length).map(|_| rng.one_of(alphabet)).collect()
}

/// Returns the lowest distance between a word and the beginnings of a text. `None` if it exceeds the typos that are allowed.
fn least_typos(text: &str, word: &str, allowed: usize) -> Option<usize> {
    let letters = word.chars().count();
    let ends = text.char_indices().map(|(end, _)| end).chain([text.len()]);
    let near = ends.skip(letters.saturating_sub(allowed)).take(2 * allowed + 1);
    near.map(|end| osa_distance(text.get(..end).unwrap(), word)).min().filter(|typos| *typos <= allowed)
}

#[test]
fn no_text_that_begins_with_a_word_but_for_typos_is_skipped() {
    let mut rng = Rng(11);
    for alphabet in ALPHABETS {
        let texts: Vec<String> = (0..100).map(|_| random_text(&mut rng, alphabet, 0, 12)).collect();
        let index = PrefixIndex::new(texts.iter().map(|text| prefix_of(text)));
        for _ in 0..80 {
            let word = random_text(&mut rng, alphabet, 4, 12);
            let allowed = allowed_typos(word.chars().count());
            let typed = TypedPrefix::new(&word, allowed);
            let mut found = BTreeMap::new();
            for similar in index.similar(&typed) {
                for item in similar.items {
                    let place = usize::try_from(*item).unwrap();
                    let is_new = found.insert(place, (similar.least_typos, similar.differs_first)).is_none();
                    assert!(is_new, "{word}: {} is found twice", texts[place]);
                }
            }
            for (place, text) in texts.iter().enumerate() {
                let least = least_typos(text, &word, allowed);
                match (least, found.get(&place)) {
                    (Some(least), Some((bound, differs_first))) => {
                        assert!(*bound <= least, "{word} {text}: {bound} > {least}");
                        assert!(!differs_first || text.chars().next() != word.chars().next(), "{word} {text}");
                    }
                    (Some(_), None) => panic!("{word}: {text} is skipped"),
                    // Others are found only if they are longer than a prefix, or have characters with the same code.
                    (None, Some(_)) => {
                        assert!(text.chars().count() >= 8 || !text.is_ascii(), "{word}: {text} is found");
                    }
                    (None, None) => {}
                }
            }
        }
    }
}

#[test]
fn at_most_two_typos_are_allowed() {
    assert_eq!((0..300).map(allowed_typos).max(), Some(2));
}

#[test]
fn a_place_is_the_same_from_near_as_from_everywhere() {
    for length in 0..40 {
        let items: Vec<usize> = (0..length).collect();
        for place in 0..=length {
            assert_eq!(partition_point_near(&items, |item| *item < place), place);
        }
    }
}

fn random_users(rng: &mut Rng, count: usize) -> Users {
    let licenses = [Id::new(), Id::new()];
    (0..count).map(|_| (Id::new(), random_user(rng, &licenses))).collect()
}

#[test]
fn the_words_and_parts_of_all_users_are_found_by_their_prefixes() {
    let mut rng = Rng(12);
    let users = random_users(&mut rng, 120);
    let segment = Segment::build(&indexed(&users));
    let all = 0..u32::try_from(users.len()).unwrap();
    let mut distances = Vec::new();
    for query in (0..80).map(|_| random_query(&mut rng, &users)).collect::<Vec<_>>() {
        for typed in query.iter().filter_map(|word| TypedWord::new(word)) {
            for words in [&segment.letters, &segment.others] {
                let found: BTreeSet<usize> = words.similar(&typed).collect();
                for (number, word) in words.iter().enumerate() {
                    let score = typed.score(word, &[word.chars().count()], &mut distances);
                    assert!(score == 0.0 || found.contains(&number), "{query:?} {word}");
                }
            }
            // The places of one user are so few that each is looked at.
            let mut places = |range: std::ops::Range<u32>| -> BTreeSet<(u32, usize)> {
                let similar = segment.compounds.similar(&typed, &range).map(|similar| (similar.user, similar.place));
                let matches = similar.filter(|(user, place)| {
                    let parts = parts_at(segment.key(*user), *place).unwrap();
                    typed.score(parts.rest, &parts.lengths, &mut distances) > 0.0
                });
                matches.collect()
            };
            let one_by_one: BTreeSet<_> = all.clone().flat_map(|user| places(user..user.saturating_add(1))).collect();
            assert_eq!(places(all.clone()), one_by_one, "{query:?}");
        }
    }
}

#[test]
fn a_user_has_the_points_of_the_score() {
    let mut rng = Rng(13);
    let users = random_users(&mut rng, 50);
    let mut distances = Vec::new();
    for word in (0..40).flat_map(|_| random_query(&mut rng, &users)).collect::<Vec<_>>() {
        let query = QueryWord::new(&word);
        for user in users.values() {
            let expected = points_of_word(&user.key, &word, true);
            assert_eq!(query.points_with_typos(&user.key, &mut distances), expected, "{word} {:?}", user.key);
        }
    }
}

/// Returns the score of a word in a text, by the parts that begin at each place.
fn score(text: &str, word: &str) -> f64 {
    let Some(word) = TypedWord::new(word) else { return 0.0 };
    let mut distances = Vec::new();
    let parts = places_of_parts(text).filter_map(|place| parts_at(text, place));
    let parts = parts.filter(|parts| word.may_match(signature_of(parts.rest)));
    parts.map(|parts| word.score(parts.rest, &parts.lengths, &mut distances)).fold(0.0, f64::max)
}

#[test]
fn parts_are_compared_as_the_score_does() {
    let texts = [
        "anna",
        "anna.smith7",
        "smith-walsh",
        "o'brien",
        "johansson",
        "zoe@dam.example",
        "van dam",
        "sima3",
        "-- x",
        "katharina maria",
        "a@b@c.example",
        "мюллер",
        "mihcaeljon.x",
        "12345",
        "anne-lise smith42 y",
    ];
    let words = [
        "amna",
        "smtih7",
        "smith-wlash",
        "obrien",
        "obrein",
        "jonhason",
        "johansso",
        "zeo@dam.example",
        "vann",
        "sima2",
        "katarina",
        "mraia",
        "мюлер",
        "michaeljohn",
        "a1234",
        "annelise",
        "smiht42",
        "anna.smth",
        "exmaple",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    for text in texts {
        for word in words {
            if text.contains(word) {
                continue;
            }
            assert_eq!(points(score(text, word)), points_of_word(text, word, true), "{text} {word}");
        }
    }
    let long = "smith-".repeat(13);
    let typed = format!("{}smtih-", "smith-".repeat(12));
    assert_eq!(points(score(&long, &typed)), points_of_word(&long, &typed, true));
    assert!(score(&long, &typed) > 0.0);
}
