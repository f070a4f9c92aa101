//! Users and queries that seem random, the same ones in each run.

use std::collections::BTreeMap;

use crate::entity::user;
use crate::scalar::Id;
use crate::text::is_of_word;

const FIRST: [&str; 12] = [
    "Anna",
    "Jörg-Uwe",
    "Katharina",
    "Maria Theresia",
    "Jo",
    "小明",
    "Наталья",
    "Seán",
    "Michael",
    "Ann",
    "Bartholomäus",
    "민수",
];
const LAST: [&str; 14] = [
    "Smith",
    "Smith-Walsh",
    "O'Brien",
    "Müller",
    "Johansson",
    "van Dam",
    "Li",
    "김",
    "Szymański",
    "Schmidt",
    "Smythe",
    "Щербакова",
    "Walsh",
    "Mc Johan",
];
const DOMAINS: [&str; 5] =
    ["example.org", "mail.example.org", "smith-clinic.example", "oncology.example.com", "münchen.example"];

/// A generator of numbers that seem random, the same ones in each run.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub(super) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A user as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) license_id: Id,
    pub(super) is_active: bool,
    pub(super) key: String,
}

pub(super) type Users = BTreeMap<Id, User>;

pub(super) fn random_user(rng: &mut Rng, licenses: &[Id]) -> User {
    let license_id = rng.one_of(licenses);
    let (first, last) = (rng.one_of(&FIRST), rng.one_of(&LAST));
    let number = rng.below(300);
    let mut user = user::Model::empty(Id::new(), license_id);
    (user.first_name, user.last_name) = (first.to_owned(), last.to_owned());
    let local = match rng.below(4) {
        0 => format!("{first}.{last}{number}"),
        1 => format!("{last}_{number}"),
        2 => format!("{first}{last}"),
        _ => format!("u{number}"),
    };
    let local = local.replace([' ', '\''], "");
    user.username = (rng.below(3) > 0).then(|| local.clone());
    user.email = (rng.below(5) > 0).then(|| format!("{local}@{}", rng.one_of(&DOMAINS)));
    user.certified_email = (rng.below(6) == 0).then(|| format!("{last}@pec.example.it").replace(' ', ""));
    user.update_derived();
    User { license_id, is_active: rng.below(8) > 0, key: user.search_key }
}

/// A query made of parts of users' names and addresses, with and without typos.
pub(super) fn random_query(rng: &mut Rng, users: &Users) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let count = rng.below(3) + 1;
    while words.len() < count {
        let user = users.values().nth(rng.below(users.len())).unwrap();
        let texts: Vec<&str> = user.key.split(['\n', '\t', ' ']).filter(|text| !text.is_empty()).collect();
        let mut text: Vec<char> = rng.one_of(&texts).chars().collect();
        if rng.below(3) == 0 {
            text.drain(..rng.below(text.len()));
        }
        if rng.below(3) == 0 {
            text.truncate(rng.below(text.len()) + 1);
        }
        for _ in 0..rng.below(3) {
            let place = rng.below(text.len());
            match rng.below(4) {
                0 => text.insert(place, rng.one_of(&['a', 'n', '-', '.', '7'])),
                1 if text.len() > 1 => drop(text.remove(place)),
                2 if place > 0 => text.swap(place, place - 1),
                _ => text[place] = rng.one_of(&['e', 'm', 't']),
            }
        }
        // A query has no words of signs alone beside others.
        if text.iter().copied().any(is_of_word) {
            words.push(text.into_iter().collect());
        }
    }
    words
}
