//! The searches and expected users of `cases.txt`, checked against the rule of typos.

use roster::text::fold;

use super::directory::DirectoryUser;

/// A search and its expected first result.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub kind: &'static str,
    pub query: &'static str,
    /// The name or username of the user who must come first.
    pub expected: &'static str,
}

/// Every case, in the order of the file.
pub fn all() -> Vec<Case> {
    let lines = include_str!("cases.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &'static str| {
        let [kind, query, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{line}") };
        Case { kind, query, expected }
    };
    lines.map(read).collect()
}

impl Case {
    /// The only user with the expected name or username.
    pub fn expected_user<'a>(&self, users: &'a [DirectoryUser]) -> &'a DirectoryUser {
        let is_expected =
            |user: &&DirectoryUser| user.name() == self.expected || user.username.as_deref() == Some(self.expected);
        let expected: Vec<&DirectoryUser> = users.iter().filter(is_expected).collect();
        let [one] = expected[..] else { panic!("{self:?}: {} users match", expected.len()) };
        one
    }

    /// The problem of a case with a typo, if any: each word must match the user with the allowed number of typos, and
    /// the typo must be of the case's kind.
    pub fn mismatch(&self, user: &DirectoryUser) -> Option<String> {
        let typos: Vec<Typo> = match fold(self.query).split_whitespace().map(|word| Typo::of(word, user)).collect() {
            Ok(typos) => typos,
            Err(mismatch) => return Some(mismatch),
        };
        let wrong: Vec<&Typo> = typos.iter().filter(|typo| typo.distance > 0).collect();
        let is_so = match (self.kind, &wrong[..]) {
            ("typo-both", wrong) => wrong.len() >= 2,
            (_, [typo]) => typo.is(self.kind),
            _ => false,
        };
        (!is_so).then(|| format!("{wrong:?}"))
    }
}

/// A word of the query, and the nearest word of the user.
#[derive(Debug)]
struct Typo {
    queried: Vec<char>,
    expected: Vec<char>,
    distance: usize,
}

impl Typo {
    fn of(queried: &str, user: &DirectoryUser) -> Result<Self, String> {
        let texts: Vec<String> = user.texts().map(fold).collect();
        let queried: Vec<char> = queried.chars().collect();
        if texts.iter().any(|text| text.contains(&String::from_iter(&queried))) {
            return Ok(Self { expected: queried.clone(), queried, distance: 0 });
        }
        let words = texts.iter().flat_map(|text| words(text)).map(|word| word.chars().collect::<Vec<char>>());
        let nearest = words.map(|expected| (distance(&queried, &expected), expected)).min().unwrap();
        let (distance, expected) = nearest;
        if distance > allowed(queried.len().min(expected.len())) {
            return Err(format!("{queried:?} is not {expected:?}"));
        }
        Ok(Self { queried, expected, distance })
    }

    /// Whether the typo is of a kind.
    fn is(&self, kind: &str) -> bool {
        let (queried, expected) = (self.queried.len(), self.expected.len());
        let differing =
            self.queried.iter().zip(&self.expected).filter(|(queried, expected)| queried != expected).count();
        match kind {
            "typo-two" => self.distance == 2,
            "typo-first" => self.distance == 1 && self.queried[0] != self.expected[0],
            "typo-missing" => self.distance == 1 && queried + 1 == expected,
            "typo-extra" => self.distance == 1 && queried == expected + 1,
            "typo-substituted" => self.distance == 1 && queried == expected && differing == 1,
            "typo-transposed" => self.distance == 1 && queried == expected && differing == 2,
            kind => panic!("{kind} is not a kind of typo"),
        }
    }
}

/// The words of a text: its parts between spaces, and the parts of those.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    text.split_whitespace().chain(parts)
}

/// The number of typos allowed in a word of a length.
pub fn allowed(letters: usize) -> usize {
    match letters {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

/// The number of substituted, missing, extra and transposed letters (optimal string alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            table[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let substituted = table[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let least = substituted.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    let exchanged = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                    if exchanged { least.min(table[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    table[one.len()][other.len()]
}

#[test]
fn distances_follow_the_rule() {
    let far =
        |one: &str, other: &str| distance(&one.chars().collect::<Vec<char>>(), &other.chars().collect::<Vec<char>>());
    for (one, other, expected) in [
        ("meier", "meier", 0),
        ("meyer", "meier", 1),
        ("meir", "meier", 1),
        ("meiier", "meier", 1),
        ("meire", "meier", 1),
        ("emeir", "meier", 2),
        ("ca", "abc", 3),
        ("", "abc", 3),
    ] {
        assert_eq!(far(one, other), expected, "{one} {other}");
        assert_eq!(far(other, one), expected, "{other} {one}");
    }
}
