//! Kinds of search terms that users type, with and without mistakes, made from the users of the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use roster::text::fold;
use serde_json::json;

use crate::walk::{User, head, spread};
use crate::workload::{Request, request};

/// Searches of one kind, each different from the others.
pub struct Kind {
    pub name: &'static str,
    pub terms: Vec<String>,
    pub requests: Vec<Request>,
}

/// The number of different searches of each kind.
const TERMS: usize = 120;
/// The longest query that Roster accepts, in characters.
const MAX_QUERY_LENGTH: usize = 200;

/// The arguments that restrict a search, and the fields besides the first 20 users.
const PLAIN: (&str, &str) = ("", "");
const COUNTED: (&str, &str) = ("", "totalCount ");
const BY_ROLE: (&str, &str) = (", filter: { role: [ADMIN] }", "");
const BY_POSITION: (&str, &str) = (r#", filter: { position: { contains: "nurse" } }"#, "");

/// Returns all kinds but the deep page, which needs the pages before it.
pub fn kinds(address: SocketAddr, token: &str, users: &[User]) -> Vec<Kind> {
    let threes = frequent(users.iter().map(|user| head(&fold(&user.last), 3)), 3);
    let surnames = frequent(users.iter().map(|user| user.last.clone()), 4);
    let names = || users.iter().map(|user| format!("{} {}", user.first, user.last));
    let long_last = || spread(users, users.len()).map(|user| &user.last).filter(|last| is_latin_word(last, 5));
    let very_long = || spread(users, users.len()).map(|user| &user.last).filter(|last| is_latin_word(last, 9));
    let addresses = || spread(users, users.len()).filter_map(|user| user.email.as_deref()?.split_once('@'));
    let plain: [(&'static str, Vec<String>); 20] = [
        ("one letter", different(users.iter().map(|user| head(&fold(&user.last), 1)))),
        ("two letters", frequent(users.iter().map(|user| head(&fold(&user.last), 2)), 2)),
        ("three letters", threes.clone()),
        ("a frequent surname", surnames.clone()),
        ("a frequent first name and surname", frequent(names(), 6)),
        ("surname, then first name", different(spread(users, TERMS).map(reordered))),
        ("a surname without its first letter", different(long_last().map(|last| last.chars().skip(1).collect()))),
        ("a surname with one letter wrong", different(long_last().map(|last| mistyped(last, &[2])))),
        ("a long one with two letters wrong", different(very_long().map(|last| mistyped(last, &[2, 6])))),
        ("a name in other letters", different(spread(users, users.len()).filter_map(transliterated))),
        ("a login", different(spread(users, TERMS).map(|user| user.login().to_owned()))),
        ("a part of an address", different(addresses().map(|(local, _)| local.chars().skip(1).collect()))),
        ("the domain of addresses", different(addresses().map(|(_, domain)| domain.to_owned()))),
        ("no match", (0..TERMS).map(|n| format!("zzqqxx{n}")).collect()),
        ("nobody, two letters", pairs()),
        ("50 words", (0..TERMS).map(|n| many_words(&threes, n)).collect()),
        ("200 letters", (0..TERMS).map(|n| long_word(&surnames, n)).collect()),
        ("other scripts, one or two letters", different(users.iter().filter_map(in_another_script))),
        ("symbols", SYMBOLS.map(str::to_owned).to_vec()),
        ("% and a letter", ('a'..='z').flat_map(|c| [format!("%{c}"), format!("{c}_"), format!("{c}%")]).collect()),
    ];
    let with = |name, terms: Vec<String>, (among, shown): (&str, &str)| {
        let query = format!(
            "query($q: String!) {{ searchUsers(query: $q, first: 20{among}) {{ {shown}nodes {{ id firstName lastName }} }} }}"
        );
        let begins =
            if shown.is_empty() { r#"{"data":{"searchUsers":{"nodes":["# } else { r#"{"data":{"searchUsers":{""# };
        let to_request = |term: &String| request(address, token, &query, &json!({"q": term}), begins);
        let requests = terms.iter().map(to_request).collect();
        Kind { name, terms, requests }
    };
    let mut kinds: Vec<Kind> = plain.into_iter().map(|(name, terms)| with(name, terms, PLAIN)).collect();
    kinds.push(with("three letters, by role", threes.clone(), BY_ROLE));
    kinds.push(with("three letters, by position", threes.clone(), BY_POSITION));
    kinds.push(with("three letters, counted", threes, COUNTED));
    kinds
}

const SYMBOLS: [&str; 16] =
    ["%", "_", "%%", "\\", "'", "\"", "*", "(", "AND", "OR", "-", "+", "@", ".", "%_%", "\"\"\""];

/// Returns the most frequent texts of at least so many letters, the most frequent first.
fn frequent(texts: impl Iterator<Item = String>, letters: usize) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts.filter(|text| text.chars().count() >= letters) {
        *counts.entry(text).or_default() += 1;
    }
    let mut sorted: Vec<(String, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.into_iter().map(|(text, _)| text).take(TERMS).collect()
}

fn different(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut met = BTreeSet::new();
    texts.filter(|text| !text.trim().is_empty() && met.insert(text.clone())).take(TERMS).collect()
}

fn reordered(user: &User) -> String {
    format!("{} {}", user.last, user.first)
}

fn is_latin_word(text: &str, letters: usize) -> bool {
    text.chars().count() >= letters && fold(text).chars().all(|c| c.is_ascii_alphabetic())
}

/// Returns a word with other letters at some places.
fn mistyped(word: &str, places: &[usize]) -> String {
    let wrong = |(place, c): (usize, char)| match c {
        _ if !places.contains(&place) => c,
        'e' => 'a',
        _ => 'e',
    };
    word.chars().enumerate().map(wrong).collect()
}

/// Returns a last name as typed without the letters of its script: an umlaut as two letters, and a name that is not Latin
/// as in the user's email address.
fn transliterated(user: &User) -> Option<String> {
    if user.last.is_ascii() {
        return None;
    }
    if user.last.chars().any(|c| c.is_alphabetic() && c as u32 >= 0x0370 && c as u32 <= 0xffff && c as u32 >> 8 != 0x1e)
    {
        let local = user.email.as_deref()?.split('@').next()?;
        return Some(local.split('.').next_back()?.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned());
    }
    let spelt = |c: char| match c {
        'ä' | 'Ä' => "ae".to_owned(),
        'ö' | 'Ö' | 'ø' | 'Ø' => "oe".to_owned(),
        'ü' | 'Ü' => "ue".to_owned(),
        'å' | 'Å' => "aa".to_owned(),
        'ß' => "ss".to_owned(),
        _ => c.to_string(),
    };
    Some(user.last.chars().map(spelt).collect())
}

fn in_another_script(user: &User) -> Option<String> {
    let first = user.last.chars().next()?;
    (first.is_alphabetic() && first as u32 >= 0x0370).then(|| head(&user.last, 2))
}

/// Returns pairs of letters that no name contains.
fn pairs() -> Vec<String> {
    "qxzjvkw".chars().flat_map(|one| "qxzjvkwpfgbd".chars().map(move |two| format!("{one}{two}"))).collect()
}

/// Returns 50 words of three letters, which is as much as a query can hold.
fn many_words(threes: &[String], turn: usize) -> String {
    let words: Vec<&str> = threes.iter().cycle().skip(turn).take(50).map(String::as_str).collect();
    head(&words.join(" "), MAX_QUERY_LENGTH)
}

fn long_word(surnames: &[String], turn: usize) -> String {
    let word: String =
        surnames.iter().cycle().skip(turn).take(MAX_QUERY_LENGTH / 4).flat_map(|name| name.chars()).collect();
    head(&word.replace(char::is_whitespace, ""), MAX_QUERY_LENGTH)
}
