//! A directory of invented users: the expected ones, others with similar names, and a crowd. Generated from a seed, so
//! that it is always the same.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::{self, UserFields, UserNames};
use roster::scalar::Id;
use roster::text::fold;
use roster::validation::Validator;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

const USERS: usize = 3_000;

const DOMAINS: [&str; 6] = [
    "north.example.org",
    "south.example.org",
    "campus.example",
    "clinic.example",
    "institute.example.net",
    "library.example.com",
];

/// A seeded random generator (`SplitMix64`).
pub struct Rng(pub u64);

impl Rng {
    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }

    pub fn one_of<'a, T: ?Sized>(&mut self, among: &[&'a T]) -> &'a T {
        among[self.below(among.len())]
    }
}

/// A user that can be searched for.
#[derive(Clone, Debug)]
pub struct DirectoryUser {
    pub first: String,
    pub last: String,
    pub username: Option<String>,
    pub email: Option<String>,
    pub certified_email: Option<String>,
}

impl DirectoryUser {
    pub fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// The searchable texts of the user.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let addresses = [&self.username, &self.email, &self.certified_email];
        [self.first.as_str(), self.last.as_str()].into_iter().chain(addresses.into_iter().filter_map(Option::as_deref))
    }

    /// The user as mutations would store it.
    pub fn of_license(&self, license: Id) -> user::Model {
        let given = |text: &Option<String>| text.clone().map_or(Undefined, Given);
        let fields = UserFields {
            username: given(&self.username),
            email: given(&self.email),
            certified_email: given(&self.certified_email),
            ..UserFields::default()
        };
        let names = UserNames { first_name: Given(self.first.clone()), last_name: Given(self.last.clone()) };
        let mut user = user::Model::empty(Id::new(), license);
        let mut validator = Validator::creating();
        user.apply(names, fields, &mut validator);
        validator.finish().unwrap();
        user
    }
}

/// The names of a culture.
struct Culture {
    name: &'static str,
    has_numbers: bool,
    first: Vec<&'static str>,
    last: Vec<&'static str>,
}

/// All users; the expected ones come first.
pub fn all_users() -> Vec<DirectoryUser> {
    let mut builder = Builder { users: Vec::new(), names: BTreeSet::new(), logins: BTreeSet::new(), rng: Rng(1) };
    let cultures = cultures();
    let expected_users = expected_users();
    for ExpectedUser { first, last, logins, section } in &expected_users {
        assert!(builder.add((first, last), *logins, section.has_numbers), "{first} {last} is a duplicate");
    }
    for ExpectedUser { first, last, section, .. } in expected_users.iter().filter(|user| !user.section.is_alone) {
        let culture = cultures.iter().find(|culture| culture.name == section.name).unwrap();
        builder.add_similar_users((first, last), culture);
    }
    while builder.users.len() < USERS {
        let culture = &cultures[builder.rng.below(cultures.len())];
        let name = (builder.rng.one_of(&culture.first), builder.rng.one_of(&culture.last));
        builder.add(name, [None; 3], culture.has_numbers);
    }
    builder.users
}

struct Builder {
    users: Vec<DirectoryUser>,
    names: BTreeSet<String>,
    logins: BTreeSet<String>,
    rng: Rng,
}

impl Builder {
    /// Adds a user if the name is not used yet.
    fn add(&mut self, (first, last): (&str, &str), given: [Option<&str>; 3], has_number: bool) -> bool {
        if !self.names.insert(format!("{} {}", fold(first), fold(last))) {
            return false;
        }
        let [username, email, certified_email] = if has_number { self.number() } else { self.logins(first, last) };
        let or = |given: Option<&str>, made| given.map(str::to_owned).or(made);
        let is_told = given.iter().any(Option::is_some);
        let user = DirectoryUser {
            first: first.to_owned(),
            last: last.to_owned(),
            username: or(given[0], username.filter(|_| !is_told || has_number)),
            email: or(given[1], email),
            certified_email: or(given[2], certified_email.filter(|_| !is_told)),
        };
        self.users.push(user);
        true
    }

    /// Adds users with similar names.
    fn add_similar_users(&mut self, (first, last): (&str, &str), culture: &Culture) {
        for _ in 0..4 {
            let other = self.rng.one_of(&culture.last);
            self.add((first, other), [None; 3], culture.has_numbers);
            let other = self.rng.one_of(&culture.first);
            self.add((other, last), [None; 3], culture.has_numbers);
        }
        for similar in similar_names(last) {
            self.add((first, similar), [None; 3], culture.has_numbers);
            let other = self.rng.one_of(&culture.first);
            self.add((other, similar), [None; 3], culture.has_numbers);
        }
        for similar in similar_names(first) {
            self.add((similar, last), [None; 3], culture.has_numbers);
        }
    }

    /// A staff number and an address made of it.
    fn number(&mut self) -> [Option<String>; 3] {
        let number = loop {
            let number = format!("u{}", 500_000 + self.rng.below(400_000));
            if self.logins.insert(number.clone()) {
                break number;
            }
        };
        let email = format!("{number}@{}", self.rng.one_of(&DOMAINS));
        [Some(number), Some(email), None]
    }

    /// A username, an address and a certified address in one of the formats that organizations use.
    fn logins(&mut self, first: &str, last: &str) -> [Option<String>; 3] {
        let (first, last) = (ascii(first), ascii(last));
        let initial: String = first.chars().take(1).collect();
        let domain = self.rng.one_of(&DOMAINS);
        let (username, local) = match self.rng.below(5) {
            0 => (Some(format!("{first}.{last}")), format!("{first}.{last}")),
            1 => (Some(format!("{initial}{last}{}", 10 + self.rng.below(90))), format!("{initial}.{last}")),
            2 => (Some(format!("s{}", 200_000 + self.rng.below(300_000))), format!("{first}.{last}")),
            3 => (None, format!("{initial}{last}")),
            _ => (None, format!("{last}.{first}")),
        };
        let username = username.map(|name| name.chars().take(25).collect::<String>());
        let username = username.map(|name| self.free(&|n| format!("{name}{n}")));
        let email = self.free(&|n| format!("{local}{n}@{domain}"));
        let certified = (self.rng.below(8) == 0).then(|| format!("{first}_{last}@pec.example.org"));
        [username, Some(email), certified]
    }

    /// The first of some names that is not used yet.
    fn free(&mut self, name: &dyn Fn(&str) -> String) -> String {
        let numbered = (2..).map(|n: u32| name(&n.to_string()));
        let free = std::iter::once(name("")).chain(numbered).find(|name| self.logins.insert(name.clone()));
        free.unwrap()
    }
}

/// Lowercase letters without accents.
fn plain(text: &str) -> String {
    let bare: String = text.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    let spelt = |c: char| match c {
        'ß' => "ss".to_owned(),
        'ø' => "o".to_owned(),
        'æ' => "ae".to_owned(),
        'þ' => "th".to_owned(),
        'ð' | 'đ' => "d".to_owned(),
        'ł' => "l".to_owned(),
        'ı' => "i".to_owned(),
        c => c.to_string(),
    };
    bare.to_lowercase().chars().map(spelt).collect()
}

/// The letters of a name as used in an address.
fn ascii(text: &str) -> String {
    let letters: String = plain(text).chars().filter(char::is_ascii_alphanumeric).collect();
    assert!(!letters.is_empty(), "{text} has no ASCII letters and needs a number");
    letters
}

/// The header in brackets above some lines.
#[derive(Clone, Copy, Default)]
struct Section {
    name: &'static str,
    has_numbers: bool,
    is_alone: bool,
}

/// The lines of a file, each with its section.
fn lines(file: &'static str) -> impl Iterator<Item = (Section, &'static str)> {
    let mut section = Section::default();
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(move |line| {
        let Some(head) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
            return Some((section, line));
        };
        let (name, marks) = head.split_once(", ").unwrap_or((head, ""));
        section = Section { name, has_numbers: marks.contains("numbers"), is_alone: marks.contains("alone") };
        None
    })
}

/// A user of `wanted.txt`.
struct ExpectedUser {
    first: &'static str,
    last: &'static str,
    logins: [Option<&'static str>; 3],
    section: Section,
}

fn expected_users() -> Vec<ExpectedUser> {
    let read = |(section, line): (Section, &'static str)| {
        let mut parts = line.split('|').map(str::trim);
        let (first, last) = (parts.next().unwrap(), parts.next().unwrap());
        let mut login = || parts.next().filter(|login| *login != "-");
        ExpectedUser { first, last, logins: [login(), login(), login()], section }
    };
    lines(include_str!("wanted.txt")).map(read).collect()
}

fn cultures() -> Vec<Culture> {
    let mut cultures: Vec<Culture> = Vec::new();
    for (section, line) in lines(include_str!("names.txt")) {
        let (which, names) = line.split_once(": ").unwrap();
        let names: Vec<&str> = names.split(", ").collect();
        match which {
            "first" => {
                let Section { name, has_numbers, .. } = section;
                cultures.push(Culture { name, has_numbers, first: names, last: Vec::new() });
            }
            "last" => cultures.last_mut().unwrap().last = names,
            which => panic!("{which} is neither `first` nor `last`"),
        }
    }
    cultures
}

/// The names that are similar to a name.
fn similar_names(name: &str) -> Vec<&'static str> {
    let families = lines(include_str!("alike.txt")).map(|(_, line)| line.split(", "));
    let mut names: Vec<&str> = families.filter(|family| family.clone().any(|one| one == name)).flatten().collect();
    names.retain(|one| *one != name);
    names
}
